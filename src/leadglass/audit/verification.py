"""Verification: every record is hashed again, and the first one that is wrong is named.

Rule. Nothing in the database is believed for what it says of itself: the rows
are hashed anew, each record is held against what the next one says of the tree
before it, and the tree against every signed head.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from leadglass.audit.checkpoint import Checkpoint, Verifier
from leadglass.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from leadglass.audit.record import decode
from leadglass.crypto.database import driver
from leadglass.errors import Corrupt

LONGEST_UNSIGNED: Final = 1_280
"""Records that may follow a signed head without another: an interval and one batch.
More means that heads were taken out."""

TOLD_EVERY: Final = 1_000
"""Records after which who waits is told how far it is."""

_LEAST: Final = -(1 << 63)
"""The smallest number that a row can have."""

_ROWS: Final = "SELECT sequence, leaf, body FROM record WHERE sequence >= ? ORDER BY sequence"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong.

    Parameters
    ----------
    sequence : int
        The number of the record.
    what : str
        What is wrong with it, to follow ``Record N``.
    """

    sequence: int
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found.

    Parameters
    ----------
    records : int
        Records that were found right, from the first on.
    checkpoints : int
        Places with a signed head that they fit.
    signed : int
        Number of the last record that a signed head covers.
    root : bytes
        Merkle tree hash over the records that were found right.
    fault : Fault, optional
        The first thing that is wrong.
    warnings : tuple of str
        What weakens the proof without contradicting it.
    """

    records: int
    checkpoints: int
    signed: int
    root: bytes
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None


@dataclass(slots=True)
class _Walk:
    """A walk over the records, as far as it has come."""

    frontier: Frontier
    checkpoints: int = 0
    signed: int = 0
    told: Callable[[int], None] = lambda _: None


def verify(
    connection: "driver.Connection",
    verifier: Verifier,
    outside: str | None,
    trusted: Iterable[str],
    progress: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Check a whole log, in one snapshot.

    Parameters
    ----------
    connection : Connection
        The log's database.
    verifier : Verifier
        The log's public key.
    outside : str, optional
        The signed head that was found beside the database.
    trusted : iterable of str
        Signed heads that were kept elsewhere.
    progress : callable
        Told now and then how many records were checked.

    Raises
    ------
    Corrupt
        When one of ``trusted`` is no head of this log.
    """
    witnessed = [verifier.open(note) for note in trusted]
    warnings: tuple[str, ...] = ()
    walk = _Walk(Frontier(), told=progress)
    connection.execute("BEGIN")
    try:
        if outside is None:
            if connection.execute("SELECT 1 FROM checkpoint").fetchone():
                warnings = ("The copy of the newest signed head beside the log is missing.",)
        else:
            try:
                witnessed.append(verifier.open(outside))
            except Corrupt:
                warnings = ("The copy of the newest signed head beside the log was changed.",)
        fault = _walk_all(connection, verifier, witnessed, walk)
    finally:
        connection.execute("ROLLBACK")
    frontier = walk.frontier
    return Verification(frontier.size, walk.checkpoints, walk.signed, frontier.root(), fault, warnings)


def check_tail(
    connection: "driver.Connection", head: Frontier, verifier: Verifier, outside: str | None
) -> Fault | None:
    """Check what follows the last signed head: quick, so that it can be done at every start."""
    row = connection.execute("SELECT size, peaks, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    walk = _Walk(Frontier())
    if row is not None:
        try:
            signed = verifier.open(str(row[2]))
            walk.frontier = Frontier.from_bytes(row[0], row[1])
        except (Corrupt, ValueError):
            return Fault(row[0], "carries a head that this log's key did not sign")
        if signed.size != row[0] or signed.root != walk.frontier.root():
            return Fault(row[0], "does not fit its signed head")
        walk.signed = signed.size
    if (fault := _walk_on(connection, walk, {})) is not None:
        return fault
    if (fault := _compare_head(walk.frontier, head)) is not None:
        return fault
    if outside is not None:
        try:
            size = verifier.open(outside).size
        except Corrupt:
            return None  # `verify` warns of it; whoever may write there could as well delete it
        if size > head.size:
            return _cut_off(head.size, size)
    return None


def _walk_all(
    connection: "driver.Connection", verifier: Verifier, witnessed: list[Checkpoint], walk: _Walk
) -> Fault | None:
    heads: dict[int, list[Checkpoint]] = {}
    for size, note in connection.execute("SELECT size, note FROM checkpoint ORDER BY size"):
        try:
            checkpoint = verifier.open(str(note))
        except Corrupt:
            return Fault(size, "carries a head that this log's key did not sign")
        if checkpoint.size != size:
            return Fault(size, f"carries the head that was signed at record {checkpoint.size}")
        heads.setdefault(size, []).append(checkpoint)
    for checkpoint in witnessed:
        heads.setdefault(checkpoint.size, []).append(checkpoint)
    if any(checkpoint.root != EMPTY_ROOT for checkpoint in heads.pop(0, [])):
        return Fault(1, "does not fit the head that was signed before it")
    if (fault := _walk_on(connection, walk, heads)) is not None:
        return fault
    head = read_head(connection)
    later = max((size for size in heads if size > walk.frontier.size), default=0)
    if later:
        return _cut_off(walk.frontier.size, later)
    if head is None:
        return Fault(walk.frontier.size, "is not the end that the log had: where it ended was taken out")
    return _compare_head(walk.frontier, head)


def _walk_on(connection: "driver.Connection", walk: _Walk, heads: dict[int, list[Checkpoint]]) -> Fault | None:
    """Walk from where ``walk`` is to the end."""
    for sequence, leaf, body in _rows(connection, walk.frontier.size):
        place = walk.frontier.size + 1
        if not place % TOLD_EVERY:
            walk.told(place)
        if sequence != place:
            return Fault(place, "is missing") if sequence > place else Fault(sequence, "was put in")
        if (fault := _check_record(walk, place, leaf, body)) is not None:
            return fault
        grown = walk.frontier.append(leaf)
        for checkpoint in heads.get(place, ()):
            if checkpoint.root != grown.root():
                return Fault(
                    walk.signed + 1,
                    f"or one after it, up to {place}, was changed and all that follows made to fit: "
                    f"the tree differs from the head that was signed at record {place}",
                )
        if place in heads:
            walk.checkpoints += 1
            walk.signed = place
        if place - walk.signed > LONGEST_UNSIGNED:
            return Fault(walk.signed + 1, f"to {place} are covered by no signed head: heads were taken out")
        walk.frontier = grown
    return None


def read_head(connection: "driver.Connection") -> Frontier | None:
    """Read where the log says that it ends; None when it says nothing that makes sense."""
    row = connection.execute("SELECT size, peaks FROM head").fetchone()
    try:
        return None if row is None else Frontier.from_bytes(row[0], row[1])
    except ValueError:
        return None


def _rows(connection: "driver.Connection", after: int) -> Iterator[tuple[int, bytes, str]]:
    # A row numbered 0 or less was put in; a walk from the start has to meet it.
    yield from connection.execute(_ROWS, (after + 1 if after else _LEAST,))


def _check_record(walk: _Walk, place: int, leaf: bytes, body: str) -> Fault | None:
    """Check one record by itself, and against what it says of those before it."""
    if leaf_hash(body.encode("utf-8", "surrogatepass")) != leaf:
        return Fault(place, "was changed")
    try:
        record = decode(body)
    except Corrupt:
        return Fault(place, "cannot be read")
    if record.sequence != place:
        return Fault(place, f"is not itself: what stands in its place was written as record {record.sequence}")
    if record.before != b64encode(walk.frontier.root()).decode():
        # All before it fit each other. If the last one of them is signed, this one is wrong; else that one.
        wrong = place if walk.signed >= place - 1 else place - 1
        return Fault(wrong, f"was changed and its hash with it: record {place} and the records before it disagree")
    return None


def _compare_head(walked: Frontier, head: Frontier) -> Fault | None:
    if walked == head:
        return None
    if walked.size < head.size:
        return _cut_off(walked.size, head.size)
    if walked.size > head.size:
        return Fault(head.size + 1, "was put in behind the end of the log")
    return Fault(walked.size, "was changed and its hash with it: the end of the log does not fit it")


def _cut_off(kept: int, size: int) -> Fault:
    return Fault(kept + 1, f"is missing: the log was cut off after record {kept}, and once had {size}")
