"""The offline verifier: an export and the log's public key, and nothing else.

Rule 1. Nothing in the file is believed: every record is hashed anew, the tree is
computed over records and subtrees, and compared with the signed head. Rule 2. It
streams: one line in memory, whose length is bounded. Rule 3. The first record at
fault is named.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO, Final

import msgspec

from leadglass.audit.checkpoint import Checkpoint, Verifier
from leadglass.audit.export import FORMAT, STATEMENT, statement
from leadglass.audit.merkle import HASH_LENGTH, Frontier, heights_of, leaf_hash
from leadglass.audit.record import decode
from leadglass.audit.verification import Fault
from leadglass.errors import BadInput, Corrupt

MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of the longest line: more than the largest record there can be."""

_RECORD: Final = re.compile(rb'\{"leaf":"([A-Za-z0-9+/]{43}=)","record":')


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    leadglass_audit_export: int
    origin: str
    key: str
    size: int
    selection: dict[str, str]


class _Omitted(msgspec.Struct, forbid_unknown_fields=True):
    omitted: tuple[int, int]
    hashes: list[str]


class _Checkpoint(msgspec.Struct, forbid_unknown_fields=True):
    checkpoint: str


class _Statement(msgspec.Struct, forbid_unknown_fields=True):
    statement: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What an export was found to be.

    Parameters
    ----------
    records : int
        Records that were found right, from the file's first on.
    omitted : int
        Records in whose place hashes stand.
    first, last : int
        Numbers of the first and the last record that was given; 0 without any.
    first_time, last_time : datetime, optional
        When they were written.
    size : int
        Number of the last record that was reached.
    root : bytes
        Merkle tree hash up to there.
    compared : int
        Heads kept elsewhere that the export was compared with.
    selection : dict of str to str
        Which records were asked for; empty for all.
    fault : Fault, optional
        The first thing that is wrong.
    """

    records: int
    omitted: int
    first: int
    last: int
    first_time: datetime | None
    last_time: datetime | None
    size: int
    root: bytes
    compared: int
    selection: dict[str, str]
    fault: Fault | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None


class _Wrong(Exception):  # noqa: N818 - it carries a finding, it is no error of ours
    """The walk ends here."""

    def __init__(self, sequence: int, what: str) -> None:
        super().__init__(what)
        self.fault = Fault(sequence, what)


def check_export(stream: BinaryIO, verifier: Verifier, notes: Sequence[str] = ()) -> Proof:
    """Check an export.

    Parameters
    ----------
    stream : binary file
        The export, from its first byte.
    verifier : Verifier
        The log's public key, from a source other than the export.
    notes : sequence of str
        Signed heads that were kept elsewhere: the log has to contain each.

    Raises
    ------
    Corrupt
        When a note is no head of this log.
    BadInput
        When the file is no export, or of another log than the key.
    """
    heads: dict[int, list[Checkpoint]] = {}
    for note in notes:
        checkpoint = verifier.open(note)
        heads.setdefault(checkpoint.size, []).append(checkpoint)
    walk = _Walk(stream, verifier, heads)
    try:
        walk.run()
    except _Wrong as wrong:
        return walk.found(wrong.fault)
    return walk.found(None)


class _Walk:
    """One reading of an export, from the first line to the last."""

    def __init__(self, stream: BinaryIO, verifier: Verifier, heads: dict[int, list[Checkpoint]]) -> None:
        self._stream = stream
        self._verifier = verifier
        self._heads = heads
        self._digest = sha256()
        self._frontier = Frontier()
        self._records = 0
        self._left_out = 0
        self._first = self._last = 0
        self._first_time: datetime | None = None
        self._last_time: datetime | None = None
        self._compared = 0
        self._selection: dict[str, str] = {}

    def found(self, fault: Fault | None) -> Proof:
        """Give what was found until now."""
        return Proof(
            records=self._records,
            omitted=self._left_out,
            first=self._first,
            last=self._last,
            first_time=self._first_time,
            last_time=self._last_time,
            size=self._frontier.size,
            root=self._frontier.root(),
            compared=self._compared,
            selection=self._selection,
            fault=fault,
        )

    @property
    def _place(self) -> int:
        """The number that the next record has."""
        return self._frontier.size + 1

    def run(self) -> None:
        """Read to the end, or raise what is wrong."""
        size = self._header()
        self._compare()
        while True:
            line = self._line()
            if line.startswith(b'{"leaf":'):
                self._record(line)
            elif line.startswith(b'{"omitted":'):
                self._omission(line)
            elif line.startswith(b'{"checkpoint":'):
                self._signed_head(line, size)
                break
            else:
                raise _Wrong(self._place, "is not there: what stands in its place is nothing that an export holds")
            self._compare()
        self._end()

    def _line(self, *, is_last: bool = False) -> bytes:
        """Read one line; without its end the file was cut off."""
        line = self._stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) == MAX_LINE:
                raise _Wrong(self._place, "is longer than any record can be")
            if is_last:
                raise _Wrong(self._frontier.size, "is the last one, and the signed end after it was cut off")
            raise _Wrong(self._place, f"is missing: the file was cut off after record {self._frontier.size}")
        if not is_last:
            self._digest.update(line)
        return line

    def _header(self) -> int:
        line = self._stream.readline(MAX_LINE)
        self._digest.update(line)
        try:
            header = msgspec.json.decode(line, type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadInput(
                "That is no export of an audit log; its first line says so. "
                "Make one with: leadglass audit export --format leadglass."
            ) from None
        if header.leadglass_audit_export != FORMAT:
            raise BadInput(
                f"The export has format {header.leadglass_audit_export}, and this version of Leadglass reads {FORMAT}. "
                "Use the version that wrote it, or a newer one."
            )
        if header.origin != self._verifier.origin:
            raise BadInput(
                f"The export is of the log {header.origin}, and the key is of {self._verifier.origin}. "
                "Give the key of the archive that it came from."
            )
        self._selection = header.selection
        return header.size

    def _record(self, line: bytes) -> None:
        match = _RECORD.match(line)
        place = self._place
        if match is None or not line.endswith(b"}\n"):
            raise _Wrong(place, "cannot be read")
        body = line[match.end() : -2]
        leaf = leaf_hash(body)
        if b64encode(leaf) != match[1]:
            raise _Wrong(place, "was changed")
        try:
            record = decode(body.decode("utf-8", "surrogatepass"))
        except (Corrupt, UnicodeDecodeError):
            raise _Wrong(place, "cannot be read") from None
        if record.sequence > place:
            raise _Wrong(place, f"is missing: record {record.sequence} stands in its place")
        if record.sequence < place:
            raise _Wrong(record.sequence, f"stands in the file again after record {place - 1}, or was put in there")
        if record.before != b64encode(self._frontier.root()).decode():
            if self._last == place - 1 and self._last:
                raise _Wrong(
                    place - 1, f"was changed and its hash with it: record {place} and the records before it disagree"
                )
            raise _Wrong(place, "and the records before it disagree: one of them was changed, or what stands for them")
        self._frontier = self._frontier.append(leaf)
        self._records += 1
        self._last, self._last_time = place, record.time
        if not self._first:
            self._first, self._first_time = place, record.time

    def _omission(self, line: bytes) -> None:
        place = self._place
        try:
            said = msgspec.json.decode(line, type=_Omitted)
            hashes = [b64decode(text, validate=True) for text in said.hashes]
        except (msgspec.DecodeError, UnicodeDecodeError, BadBase64, ValueError):
            raise _Wrong(place, "cannot be read") from None
        first, last = said.omitted
        if first != place or last < first or last > _MOST:
            raise _Wrong(place, "is missing: what is left out does not begin with it")
        heights = list(heights_of(first - 1, last))
        if len(heights) != len(hashes) or any(len(each) != HASH_LENGTH for each in hashes):
            raise _Wrong(place, f"to {last} are left out, and what stands for them is incomplete")
        if not self._selection:
            raise _Wrong(place, "is missing: it was left out of an export that says that it holds every record")
        for height, root in zip(heights, hashes, strict=True):
            self._frontier = self._frontier.absorb(height, root)
        self._left_out += last - first + 1
        for size in self._heads:
            if first <= size < last:
                raise _Wrong(
                    size,
                    "was left out, and the head kept elsewhere that covers the log up to it cannot be compared. "
                    "Compare it with a whole export",
                )

    def _compare(self) -> None:
        """Compare with the heads kept elsewhere that end here."""
        for head in self._heads.get(self._frontier.size, ()):
            if head.root != self._frontier.root():
                raise _Wrong(
                    min(1, self._frontier.size),
                    f"or one after it, up to {self._frontier.size}, was changed and all that follows made to fit: "
                    f"the tree differs from the head kept elsewhere that was signed at record {head.size}",
                )
            self._compared += 1

    def _signed_head(self, line: bytes, size: int) -> None:
        reached = self._frontier.size
        try:
            head = self._verifier.open(msgspec.json.decode(line, type=_Checkpoint).checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError, Corrupt):
            raise _Wrong(reached, "is followed by a head that this log's key did not sign") from None
        covers = max(head.size, size)
        if covers > reached:
            raise _Wrong(reached + 1, f"is missing: the file was cut off after record {reached} of {covers}")
        if head.size < reached or size < reached:
            raise _Wrong(min(head.size, size) + 1, "was put in behind the end of the log")
        if head.root != self._frontier.root():
            raise _Wrong(
                self._last or 1,
                "was changed and its hash with it, or what stands for the records left out: "
                f"the tree differs from the head that was signed at record {reached}",
            )
        later = max((each for each in self._heads if each > reached), default=0)
        if later:
            raise _Wrong(
                reached + 1,
                f"is missing: the log ends after record {reached} here, and a head kept elsewhere was signed "
                f"at record {later}. The export is older than that head, or the log was put back",
            )

    def _end(self) -> None:
        """Check what is signed over the whole file."""
        reached = self._frontier.size
        digest = self._digest.digest()
        line = self._line(is_last=True)
        try:
            text = self._verifier.check(msgspec.json.decode(line, type=_Statement).statement)
        except (msgspec.DecodeError, UnicodeDecodeError, Corrupt):
            raise _Wrong(reached, "is the last one, and the end of the file was not signed by this log's key") from None
        if not text.startswith(f"{STATEMENT} {FORMAT}\n"):
            raise _Wrong(reached, "is the last one, and what is signed after it is no end of an export")
        if text != statement(self._records, self._left_out, reached, digest):
            raise _Wrong(
                0,
                f"was changed after it was made, in what it gives or leaves out or says of itself: "
                f"its signed end does not fit {self._records} records given and {self._left_out} left out",
            )
        if self._stream.read(1):
            raise _Wrong(reached + 1, "was put in behind the end of the file")


_MOST: Final = 10**15
"""No log has more records."""
