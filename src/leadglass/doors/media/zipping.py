"""Zipping: a study as one ZIP, made while it is sent.

Rule 1. Memory is bounded: a block is read, packed and given away before the next.
Rule 2. A member of a ZIP cannot be taken back, so each is read, and so checked,
before it is begun; what fails is left out and named in a list of its own. Rule 3.
What goes wrong later breaks the stream off: a ZIP that ends as it should is whole.
"""

from collections.abc import Iterator
from io import RawIOBase
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.uids import NATIVE
from leadglass.doors.dicomweb.pumping import Blocks, Pause
from leadglass.doors.media.dicomdir import Directory
from leadglass.doors.media.fileset import DICOMDIR, Member, Missing, directory_blocks, members
from leadglass.errors import Corrupt, LeadglassError, Unsupported

LEFT_OUT: Final = "LEFT-OUT.TXT"
"""The file that names what could not be given."""

_QUICKLY: Final = 1
"""Level of compression: most of what can be gained, at a third of the time."""


class _Outgoing(RawIOBase):
    """What was written and not yet taken; it cannot be gone back in, so that a ZIP writes no lengths before data."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        block = bytes(memoryview(data))  # pyright: ignore[reportArgumentType] - whatever has a buffer
        self._kept.append(block)
        return len(block)

    def take(self) -> bytes:
        """Give what was written since the last time."""
        kept, self._kept = self._kept, []
        return b"".join(kept)


def zipped(retrieval: Retrieval) -> Blocks:
    """Give the ZIP of one study, with a DICOMDIR.

    Parameters
    ----------
    retrieval : Retrieval
        What was located, as a whole; it is told what became of each instance.

    Raises
    ------
    Corrupt
        When not one instance could be read.
    Unsupported
        When all are withheld.
    """
    outgoing, directory = _Outgoing(), Directory()
    missing: list[Missing] = []
    withheld = 0
    with ZipFile(outgoing, "w", ZIP_DEFLATED, compresslevel=_QUICKLY) as made:
        for member in members(1, retrieval):
            try:
                entry = member.entry()
                for _ in member.blocks():  # what fails its check is not begun
                    pass
            except LeadglassError as error:
                retrieval.failed(member.record)
                withheld += isinstance(error, Unsupported)
                missing.append(Missing(member.record.sop_instance_uid, error.message))
                continue
            yield Pause(retrieval.take_delay())
            yield from _one(made, outgoing, member.name, member.blocks(), _packing(member))
            retrieval.sent(member.record)
            directory.add(entry)
        if withheld and withheld == len(retrieval.records):
            raise Unsupported("Nothing of this study can be given without who it is of.")
        if len(missing) == len(retrieval.records):
            raise Corrupt("Not one instance could be read. Run: leadglass fsck")
        if missing:
            yield from _one(made, outgoing, LEFT_OUT, iter([_said(missing)]))
        yield from _one(made, outgoing, DICOMDIR, directory_blocks(directory))
    yield outgoing.take()


def _one(
    made: ZipFile, outgoing: _Outgoing, name: str, blocks: Iterator[bytes], packing: int = ZIP_DEFLATED
) -> Iterator[bytes]:
    made.compression = packing
    with made.open(name, "w", force_zip64=True) as member:
        for block in blocks:
            member.write(block)
            if taken := outgoing.take():
                yield taken
    if taken := outgoing.take():
        yield taken


def _packing(member: Member) -> int:
    """Say whether packing gains anything: compressed frames do not become smaller."""
    return ZIP_DEFLATED if member.record.transfer_syntax_uid in NATIVE else ZIP_STORED


def _said(missing: list[Missing]) -> bytes:
    lines = [f"{each.sop_instance_uid}: {each.reason}" for each in missing]
    head = "These instances of the study are not in this file:"
    return "\r\n".join([head, "", *lines, ""]).encode()
