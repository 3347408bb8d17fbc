"""File-set: a retrieval as the files of a medium (PS3.10 section 8), named by us, with a DICOMDIR in the end.

Rule 1. Names in it are ours, never a patient's. Rule 2. What leaves as it came is
compared with the digest taken when it arrived. Rule 3. What cannot be given is
left out by name, and the rest is given.
"""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.part10 import file_meta
from leadglass.doors.media.dicomdir import Directory, Entry
from leadglass.errors import Corrupt

DICOMDIR: Final = "DICOMDIR"
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Missing:
    """An instance that could not be given."""

    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a file-set that is to be.

    Parameters
    ----------
    file_id : tuple of str
        Where it goes (PS3.10 section 8.2).
    retrieval : Retrieval
        What its instance was located by.
    record : InstanceRecord
        The instance.
    """

    file_id: tuple[str, ...]
    retrieval: Retrieval
    record: InstanceRecord

    @property
    def name(self) -> str:
        """Its path in the file-set."""
        return "/".join(self.file_id)

    def blocks(self) -> Iterator[bytes]:
        """Give the file (PS3.10 section 7.1), in pieces, as often as asked for.

        Raises
        ------
        Corrupt
            At the end, when it is not what was received.
        Unsupported, NotHere, Busy, Throttled
        """
        record = self.record
        yield file_meta(record.sop_class_uid, record.sop_instance_uid, record.transfer_syntax_uid)
        digest = hashlib.sha256()
        with self.retrieval.open(record) as reader:
            offset = 0
            while block := reader.read_at(offset, _BLOCK):
                digest.update(block)
                yield block
                offset += len(block)
        if self.retrieval.is_as_stored(record) and digest.digest() != record.digest:
            raise Corrupt("It is not what was received. Run: leadglass fsck")

    def entry(self) -> Entry:
        """Give what the directory says of it."""
        record = self.record
        attributes = self.retrieval.metadata(record)
        return Entry(
            self.file_id, record.sop_class_uid, record.sop_instance_uid, record.transfer_syntax_uid, attributes
        )


def members(number: int, retrieval: Retrieval) -> Iterator[Member]:
    """Give the files of one study, the ``number``-th of the file-set, in their order."""
    series: dict[str, int] = {}
    for nth, record in enumerate(retrieval.records, 1):
        of_series = series.setdefault(record.series_uid, len(series) + 1)
        yield Member(("DICOM", f"ST{number:06d}", f"SE{of_series:06d}", f"IM{nth:06d}"), retrieval, record)


def directory_blocks(directory: Directory) -> Iterator[bytes]:
    """Give the DICOMDIR of a file-set, with a UID of its own."""
    return directory.blocks(f"2.25.{uuid.uuid4().int}")
