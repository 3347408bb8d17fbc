"""Soundness: whether a stored object can still be opened, asked before a good copy of it is let go.

Rule: it costs one opening. The file is there, is this object, has its size, and
its last chunk opens with its key; the chunks before it are read by fsck.
"""

from collections.abc import Callable

from leadglass.crypto.sealed import SealedReader
from leadglass.errors import Corrupt
from leadglass.vault.objects import Objects, Place

IsSound = Callable[[Place, bytes, int], bool]
"""Given an object's place, key and size in bytes."""


def is_sound(objects: Objects, place: Place, key: bytes, size: int) -> bool:
    """Say whether an object can be opened and has its size.

    Raises
    ------
    Busy
        When the system has no room to open it: then nobody knows.
    """
    try:
        with SealedReader(objects.open(place), key, place.name) as reader:
            return reader.size == size
    except (Corrupt, OSError):  # OSError: the disk cannot read the header
        return False
