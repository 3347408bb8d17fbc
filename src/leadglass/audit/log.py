"""AuditLog: what was decided, on record before the act, in a form that shows if it was touched.

Rule 1. ``append`` returns when the record is on stable storage, or raises and
then the act must not happen: no record, no access. Rule 2. Records are added at
the end and nowhere else; each carries the tree hash of all before it, and tree
heads are signed at intervals. Rule 3. Nothing is written on top of an end that
does not fit the last signed head. Rule 4. Several threads and several processes
may append: threads that wait share one commit, processes take turns, and where
the log ends is read anew inside each transaction.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from math import inf
from pathlib import Path
from threading import Condition, Lock
from threading import Event as Signal
from time import monotonic
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leadglass.audit.checkpoint import Signer, Verifier
from leadglass.audit.event import Event, Outcome
from leadglass.audit.merkle import Frontier, leaf_hash
from leadglass.audit.reading import DOOR, IS_TO_LOOK_AT, PEER, Reader, Selection
from leadglass.audit.record import Fields, Record, decode, encode, fields_of
from leadglass.audit.verification import LONGEST_UNSIGNED, Verification, check_tail, read_head, verify
from leadglass.crypto.database import driver, open_sealed, open_with, translating
from leadglass.errors import Busy, Corrupt, LeadglassError
from leadglass.system import utc_now

CHECKPOINT_EVERY: Final = 1_024
"""Records between two signed heads: re-hashing so many at a start takes milliseconds."""

MAX_BATCH: Final = LONGEST_UNSIGNED - CHECKPOINT_EVERY
"""Records in one commit."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS record (
        sequence INTEGER PRIMARY KEY,
        leaf BLOB NOT NULL,
        body TEXT NOT NULL,
        time TEXT GENERATED ALWAYS AS (iif(json_valid(body), body ->> '$.time', NULL)) VIRTUAL,
        outcome TEXT GENERATED ALWAYS AS (iif(json_valid(body), body ->> '$.outcome', NULL)) VIRTUAL,
        action TEXT GENERATED ALWAYS AS (iif(json_valid(body), body ->> '$.action', NULL)) VIRTUAL,
        caller TEXT GENERATED ALWAYS AS (iif(json_valid(body), body ->> '$.caller', NULL)) VIRTUAL,
        study_uid TEXT GENERATED ALWAYS AS (iif(json_valid(body), body ->> '$.study_uid', NULL)) VIRTUAL
    )""",
    "CREATE INDEX IF NOT EXISTS record_of_study ON record (study_uid) WHERE study_uid IS NOT NULL",
    # What a search looks at, without the bodies, in the order of the log: it grows at its end alone.
    f"CREATE INDEX IF NOT EXISTS record_sought ON record (sequence, time, outcome, action, {DOOR})",
    "CREATE INDEX IF NOT EXISTS record_of_time ON record (time)",
    f"CREATE INDEX IF NOT EXISTS record_of_caller ON record (caller, sequence, time, outcome, action, {PEER}, {DOOR})",
    f"CREATE INDEX IF NOT EXISTS record_of_peer ON record ({PEER}, sequence, time, outcome, action, {DOOR})",
    f"""CREATE INDEX IF NOT EXISTS record_to_look_at ON record (sequence, time, outcome, action, caller, {PEER}, {DOOR})
        WHERE {IS_TO_LOOK_AT}""",
    """CREATE TABLE IF NOT EXISTS head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        size INTEGER NOT NULL,
        peaks BLOB NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS checkpoint (size INTEGER PRIMARY KEY, peaks BLOB NOT NULL, note TEXT NOT NULL)",
    # Only into an empty log: the head of one that has records is not made anew, so that its loss shows.
    """INSERT INTO head (id, size, peaks) SELECT 1, 0, x''
        WHERE NOT EXISTS (SELECT 1 FROM head UNION ALL SELECT 1 FROM record UNION ALL SELECT 1 FROM checkpoint)""",
)


@dataclass(slots=True)
class _Ticket:
    """One caller's record on its way in."""

    fields: Fields
    wake: Signal = field(default_factory=Signal)
    sequence: int = 0
    error: LeadglassError | None = None


class AuditLog:
    """The log of one archive.

    Parameters
    ----------
    path : Path
        The sealed database. The newest signed head is also kept beside it, as
        ``.checkpoint``, for the operator to copy elsewhere: only a copy kept
        elsewhere can show that the whole log was put back to an earlier state.
    key : bytes
        32 bytes: the database key.
    signing_key : bytes
        32 bytes: the Ed25519 private key that signs heads.
    checkpoint_every : int
        Records between two signed heads, at most ``CHECKPOINT_EVERY``.
    checkpoint_seconds : float
        A record written so many seconds after the last signed head is signed
        for at once; so is the first one that a process writes.
    clock : callable
        The time now, with its zone.

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the log cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        signing_key: bytes,
        *,
        checkpoint_every: int = CHECKPOINT_EVERY,
        checkpoint_seconds: float = 300.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.path = path
        self._key = key
        self._signer = Signer(_origin_of(signing_key), signing_key)
        self._every = min(checkpoint_every, CHECKPOINT_EVERY)
        self._seconds = checkpoint_seconds
        self._signed_at = -inf
        self._clock = clock
        self._lock = Lock()
        self._idle = Condition(self._lock)
        self._waiting: list[_Ticket] = []
        self._committing = False
        self._closed = False
        self._tail_is_sound = False
        self._appended = False
        self._connection = open_with(path, key, _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def verifier(self) -> Verifier:
        """The public key that signed heads are checked with."""
        return self._signer.verifier

    @property
    def checkpoint_path(self) -> Path:
        """Where the newest signed head is kept outside of the database."""
        return self.path.with_suffix(".checkpoint")

    # --- writing --------------------------------------------------------------

    def append(self, event: Event) -> int:
        """Put an event on record.

        The first of several threads that wait commits for all of them; alone,
        a caller commits for itself at once.

        Returns
        -------
        int
            The record's number, once the record is on stable storage.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When it could not be written. Then what it is about must not happen.
        """
        ticket = _Ticket(fields_of(event))
        with self._lock:
            if self._closed:
                raise Busy(_CLOSED)
            self._waiting.append(ticket)
            leads = not self._committing
            self._committing = True
        if not leads:
            ticket.wake.wait()  # either the record is in, or it is our turn to lead
        if not ticket.sequence and ticket.error is None:
            self._lead()
        if ticket.error is not None:
            raise type(ticket.error)(ticket.error.message) from ticket.error
        return ticket.sequence

    def _lead(self) -> None:
        """Commit for everybody who waits by now, and hand on to one of those who came meanwhile."""
        with self._lock:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        try:
            self._commit(batch)
        except LeadglassError as error:
            for ticket in batch:
                ticket.error = error
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].wake.set()
                else:
                    self._committing = False
                    self._idle.notify_all()
            for ticket in batch:
                if not ticket.sequence and ticket.error is None:  # we were interrupted (Ctrl-C, out of memory)
                    ticket.error = Busy("The audit log was interrupted while it wrote.")
                ticket.wake.set()

    def _commit(self, batch: list[_Ticket]) -> None:
        """Write a batch in one transaction."""
        if self._closed:
            raise Busy(_CLOSED)
        numbers: list[int] = []
        note: str | None = None
        with self._transaction():
            frontier = self._head()
            for ticket in batch:
                body = encode(ticket.fields, frontier.size + 1, self._clock(), frontier.root())
                leaf = leaf_hash(body.encode())
                frontier = frontier.append(leaf)
                numbers.append(frontier.size)
                self._connection.execute(
                    "INSERT INTO record (sequence, leaf, body) VALUES (?, ?, ?)", (frontier.size, leaf, body)
                )
            self._connection.execute("UPDATE head SET size = ?, peaks = ?", (frontier.size, frontier.to_bytes()))
            if frontier.size - self._signed_size() >= self._every or monotonic() - self._signed_at >= self._seconds:
                note = self._sign(frontier)
        for ticket, number in zip(batch, numbers, strict=True):
            ticket.sequence = number
        self._appended = True
        if note is not None:
            self._signed_at = monotonic()
            self._keep_outside(note)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection, self.path.name)

    def _head(self) -> Frontier:
        """Read where the log ends; before the first record of this process, check that it is sound."""
        frontier = read_head(self._connection)
        if frontier is None:
            raise Corrupt(_TOUCHED)
        if not self._tail_is_sound:
            fault = check_tail(self._connection, frontier, self.verifier, self._outside_note())
            if fault is not None:
                raise Corrupt(f"{_TOUCHED} Record {fault.sequence} {fault.what}.")
            self._tail_is_sound = True
        return frontier

    def _signed_size(self) -> int:
        return self._connection.execute("SELECT coalesce(max(size), 0) FROM checkpoint").fetchone()[0]

    def _sign(self, frontier: Frontier) -> str:
        """Sign a head, inside the transaction that it ends."""
        note = self._signer.sign(frontier.size, frontier.root())
        self._connection.execute(
            "INSERT INTO checkpoint (size, peaks, note) VALUES (?, ?, ?)", (frontier.size, frontier.to_bytes(), note)
        )
        return note

    def checkpoint(self) -> str:
        """Sign the head as it is now, and give the signed note.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
        """
        self._begin_alone()
        try:
            return self._checkpoint()
        finally:
            self._end_alone()

    def _checkpoint(self) -> str:
        with self._transaction():
            frontier = self._head()
            row = self._connection.execute("SELECT note FROM checkpoint WHERE size = ?", (frontier.size,)).fetchone()
            note = self._sign(frontier) if row is None else str(row[0])
        self._keep_outside(note)
        return note

    def close(self) -> None:
        """Sign the head if this process added to the log, and close. A second time does nothing."""
        with self._lock:
            if self._closed:
                return
        self._begin_alone()
        try:
            if self._closed:
                return
            self._closed = True
            try:
                if self._appended:
                    self._checkpoint()
            finally:
                self._connection.close()
        finally:
            self._end_alone()

    def _begin_alone(self) -> None:
        """Wait until no thread is committing, and keep others from it."""
        with self._lock:
            while self._committing:
                self._idle.wait()
            if self._closed:
                raise Busy(_CLOSED)
            self._committing = True

    def _end_alone(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].wake.set()
            else:
                self._committing = False
                self._idle.notify_all()

    def _keep_outside(self, note: str) -> None:
        """Keep the newest signed head beside the database.

        The record is in, so a failure here is not raised: the log is complete
        without the copy, and ``verify`` warns when it is not there.
        """
        with suppress(OSError):
            self._replace_outside(note)

    def _replace_outside(self, note: str) -> None:
        held = self._outside_note()
        if held is not None:
            try:
                if self.verifier.open(held).size >= self.verifier.open(note).size:
                    return
            except Corrupt:
                return  # somebody wrote to it: `verify` has to see that
        draft = self.checkpoint_path.with_suffix(".draft")
        descriptor = _open_alone(draft)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            file.truncate()  # a killed process may have left something
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(self.checkpoint_path)

    def _outside_note(self) -> str | None:
        try:
            return self.checkpoint_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    # --- reading --------------------------------------------------------------

    def records(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        action: str | None = None,
        outcome: Outcome | None = None,
        caller: str | None = None,
        study_uid: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Give records that meet every condition, newest last.

        Parameters
        ----------
        since, until : datetime, optional
            From the first on, and before the second; with their zone.
        action : str, optional
            The action's word.
        outcome : Outcome, optional
            How it ended.
        caller : str, optional
            As in the log (``device:CT1``), or only the name (``CT1``).
        study_uid : str, optional
            Study Instance UID.
        limit : int, optional
            Only the newest so many.

        Raises
        ------
        Corrupt, Busy, Misconfigured
        """
        where, values = Selection(since, until, action, outcome, caller, study_uid).condition()
        query = f"SELECT body FROM record WHERE {where} ORDER BY sequence DESC LIMIT :limit"  # noqa: S608 - ours only
        connection = open_sealed(self.path, self._key)
        try:
            with translating(self.path.name):
                rows = connection.execute(query, values | {"limit": -1 if limit is None else limit})
                bodies = [str(row[0]) for row in rows]
        finally:
            connection.close()
        return [decode(body) for body in reversed(bodies)]

    def reader(self) -> Reader:
        """Open a reader of the log as it lies there, for one thread; raises as ``records``."""
        return Reader(self.path, self._key)

    def sign_text(self, text: str) -> str:
        """Sign a text about the log that is no head of it, such as an export's end."""
        return self._signer.sign_text(text)

    def verify(self, *trusted: str, progress: Callable[[int], None] = lambda _: None) -> Verification:
        """Re-hash every record and compare with what was signed.

        Parameters
        ----------
        *trusted : str
            Signed heads that were kept elsewhere: the log has to contain each.
        progress : callable
            Told now and then how many records were checked.

        Raises
        ------
        Corrupt
            When ``trusted`` is no head of this log, or the database cannot be read at all.
        Busy, Misconfigured
        """
        connection = open_sealed(self.path, self._key)
        try:
            with translating(self.path.name):
                return verify(connection, self.verifier, self._outside_note(), trusted, progress)
        finally:
            connection.close()


_CLOSED: Final = "The audit log is closed: the archive is ending."

_TOUCHED: Final = (
    "The audit log does not fit its last signed head, so nothing is written on top of it and nothing is permitted. "
    "Run `leadglass audit verify` to see what was touched; to go on, keep the log's files aside as evidence and "
    "restore them from a backup or start a new log."
)


class _Transaction:
    """``BEGIN IMMEDIATE`` to ``COMMIT``, or ``ROLLBACK``; whatever the driver raises comes out as one of our kinds."""

    __slots__ = ("_connection", "_name")

    def __init__(self, connection: "driver.Connection", name: str) -> None:
        self._connection = connection
        self._name = name

    def __enter__(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            try:
                self._execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            return
        self._roll_back()
        if isinstance(error, driver.Error):
            self._translate(error)

    def _execute(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except driver.Error as error:
            self._translate(error)

    def _translate(self, error: "driver.Error") -> None:
        try:
            with translating(self._name):
                raise error
        except driver.Error:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            raise Corrupt(f"The audit log cannot be written ({name}). Check the disk, and the data folder.") from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(driver.Error):  # what went wrong before is what the caller has to hear
                self._connection.execute("ROLLBACK")


def _open_alone(path: Path) -> int:
    """Open a file that one process at a time writes and renames; the next one to come makes it anew."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _origin_of(signing_key: bytes) -> str:
    """Name the log after its public key, so that no two logs share a name."""
    public = Ed25519PrivateKey.from_private_bytes(signing_key).public_key().public_bytes_raw()
    return f"leadglass/audit/{sha256(public).hexdigest()[:16]}"
