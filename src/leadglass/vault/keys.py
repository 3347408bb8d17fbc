"""Which key opens what: archive key, study keys, object keys.

Rule 1. An object's key opens only as that object of that SOP instance. Rule 2.
It is wrapped by its study's key, and that by a key derived from the archive
key: who deletes the study's row has erased the study. Rule 3. What is in
quarantine belongs to no study yet; its key is wrapped for itself alone.
"""

from leadglass.crypto.wrap import ArchiveKey, KeyWrap, new_key
from leadglass.vault.objects import Place


class Keys:
    """Makes, wraps and opens the keys of one archive.

    Parameters
    ----------
    archive : ArchiveKey
        The key on top.
    """

    __slots__ = ("_quarantine", "_studies")

    def __init__(self, archive: ArchiveKey) -> None:
        self._studies = KeyWrap(archive.derive("study keys"))
        self._quarantine = KeyWrap(archive.derive("quarantine keys"))

    def new_study(self, study_uid: str) -> tuple[bytes, KeyWrap]:
        """Make a study's data key: wrapped, and ready for use."""
        key = new_key()
        return self._studies.wrap(key, study_uid.encode()), KeyWrap(key)

    def study(self, wrapped: bytes, study_uid: str) -> KeyWrap:
        """Open a study's data key; raises ``Corrupt``."""
        return KeyWrap(self._studies.unwrap(wrapped, study_uid.encode()))

    def rewrapped_study(self, before: "Keys", wrapped: bytes, study_uid: str) -> bytes:
        """Give a study's data key wrapped by these keys instead of those ``before``; raises ``Corrupt``."""
        belongs_to = study_uid.encode()
        return self._studies.wrap(before._studies.unwrap(wrapped, belongs_to), belongs_to)

    @property
    def quarantine(self) -> KeyWrap:
        """The key for what is in quarantine."""
        return self._quarantine


def object_identity(place: Place, sop_instance_uid: str) -> bytes:
    """Give what an object's key is bound to."""
    return place.name + sop_instance_uid.encode()
