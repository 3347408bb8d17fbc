"""The verifiable export: records as they were hashed, and what proves that they are the log's.

Rule 1. Every record's bytes leave as they are. Rule 2. What is not selected is
not left out: the roots of its subtrees (RFC 6962) stand in its place, so that the
whole tree can be computed anew from the file. Rule 3. One signed head, the last
line but one: with an earlier one in the file, whoever cuts it off could also end
it properly. Rule 4. The last line is signed over all before it, so that nobody
can turn a record that was given into one that was left out.

The format is described in ``docs/audit-export.md``.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from leadglass.audit.checkpoint import Verifier
from leadglass.audit.log import AuditLog
from leadglass.audit.merkle import Frontier, Run, heights_of, leaf_hash
from leadglass.audit.reading import Reader, Row, Selection
from leadglass.errors import Corrupt

FORMAT: Final = 1
"""Number of the format."""

STATEMENT: Final = "leadglass audit export"
"""First words of the signed last line: no head of a log begins like this."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    Parameters
    ----------
    records : int
        Records that were given.
    omitted : int
        Records in whose place hashes stand.
    size : int
        Number of the last record that the signed head covers.
    """

    records: int
    omitted: int
    size: int


def statement(records: int, omitted: int, size: int, digest: bytes) -> str:
    """Give the text that is signed over an export.

    Parameters
    ----------
    records, omitted, size : int
        As in ``Exported``.
    digest : bytes
        SHA-256 over every byte before the last line.
    """
    return (
        f"{STATEMENT} {FORMAT}\nrecords {records}\nomitted {omitted}\nsize {size}\n"
        f"sha256 {b64encode(digest).decode()}\n"
    )


def export(log: AuditLog, selection: Selection, write: Callable[[bytes], object]) -> Exported:
    """Write an export of the log as it ends now.

    Parameters
    ----------
    log : AuditLog
        The log; its head is signed first.
    selection : Selection
        The records to give.
    write : callable
        Takes the bytes, line by line.

    Raises
    ------
    Corrupt
        When what lies in the log does not fit its signed head; what was written
        until then is no export.
    Busy, Full, Misconfigured
    """
    note = log.checkpoint()
    size = log.verifier.open(note).size
    with log.reader() as reader:
        return _Writer(log, write).run(reader, selection, note, size)


class _Writer:
    """One export being written, and the tree as far as it has come."""

    def __init__(self, log: AuditLog, write: Callable[[bytes], object]) -> None:
        self._log = log
        self._write = write
        self._digest = sha256()
        self._frontier = Frontier()
        self._records = 0
        self._omitted = 0

    def run(self, reader: Reader, selection: Selection, note: str, size: int) -> Exported:
        verifier = self._log.verifier
        self._line(_header(verifier, selection, size))
        heads = iter(reader.heads())
        cut = next(heads, size)
        run: Run | None = None
        for row in self._in_order(reader.walk(selection, size)):
            if row.body is None:
                run = run or Run(row.sequence - 1)
                run.append(row.leaf)
            if run is not None and (row.body is not None or row.sequence >= cut):
                # Cut where a head was signed, so that a copy of that head can be compared.
                self._leave_out(run)
                run = None
            if row.body is not None:
                self._give(row, row.body)
            if row.sequence >= cut:
                cut = next(heads, size)
        if run is not None:
            self._leave_out(run)
        if self._frontier.size != size or self._frontier.root() != verifier.open(note).root:
            raise Corrupt(_TOUCHED)
        self._line(_compact({"checkpoint": note}))
        text = statement(self._records, self._omitted, size, self._digest.digest())
        self._write(_compact({"statement": self._log.sign_text(text)}) + b"\n")
        return Exported(self._records, self._omitted, size)

    def _in_order(self, rows: Iterator[Row]) -> Iterator[Row]:
        for place, row in enumerate(rows, 1):
            if row.sequence != place:
                raise Corrupt(_TOUCHED)
            yield row

    def _give(self, row: Row, body: str) -> None:
        data = body.encode("utf-8", "surrogatepass")
        leaf = leaf_hash(data)
        if leaf != row.leaf or b"\n" in data:
            raise Corrupt(_TOUCHED)
        self._frontier = self._frontier.append(leaf)
        self._records += 1
        self._line(record_line(leaf, data))

    def _leave_out(self, run: Run) -> None:
        hashes = run.hashes()
        for height, root in zip(heights_of(run.start, run.size), hashes, strict=True):
            self._frontier = self._frontier.absorb(height, root)
        self._omitted += run.size - run.start
        said = {"omitted": [run.start + 1, run.size], "hashes": [b64encode(root).decode() for root in hashes]}
        self._line(_compact(said))

    def _line(self, line: bytes) -> None:
        line += b"\n"
        self._digest.update(line)
        self._write(line)


def record_line(leaf: bytes, body: bytes) -> bytes:
    """Give the line of one record; the bytes between ``RECORD`` and the last brace are what is hashed."""
    return b'{"leaf":"' + b64encode(leaf) + b'","record":' + body + b"}"


def _header(verifier: Verifier, selection: Selection, size: int) -> bytes:
    return _compact(
        {
            "leadglass_audit_export": FORMAT,
            "origin": verifier.origin,
            "key": verifier.to_text(),
            "size": size,
            "selection": selection.to_json(),
        }
    )


def _compact(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


_TOUCHED: Final = (
    "The audit log does not fit its signed head, so it cannot be exported as if it were whole. "
    "Run `leadglass audit verify` to see what was touched; keep the log's files as evidence."
)
