"""The key of an archive, as a test that goes behind its back needs it."""

from pathlib import Path

from leadglass.crypto.sources import Given
from leadglass.crypto.wrap import ArchiveKey
from leadglass.folder import Folder
from leadglass.keyring import Keyring
from leadglass.parts import sealed


def archive_key(data: Path, given: Given | None = None) -> ArchiveKey:
    """Give the archive key of a data folder; nothing is changed."""
    folder = Folder(data)
    return Keyring(folder, given or Given(), lambda: sealed(folder)).unlock()
