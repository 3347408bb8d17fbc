"""Queue: what is still to be done, in a sealed database that outlives the process.

Rule 1. When ``add`` returns, the job is on stable storage; only then may anybody
be told that it will be done. Rule 2. An attempt is counted before it is made, so
that one that takes the process down with it does not do so again at once. Rule
3. Ids only: no name, no Patient ID; what was worked on is forgotten when a job
is over. Rule 4. An owner has so many open jobs and no more.
"""

import hashlib
import zlib
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Final, Self

from leadglass.crypto.database import driver, open_with, transaction, translating
from leadglass.errors import Busy, Conflict, NotHere

JOBS_FILE: Final = "jobs.db"
"""The sealed database, in the data folder."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS job (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        asked REAL NOT NULL,
        attempts INTEGER NOT NULL,
        due REAL NOT NULL,
        until REAL NOT NULL,
        closed REAL,
        note TEXT NOT NULL,
        mark BLOB NOT NULL,
        work BLOB NOT NULL,
        outcome BLOB NOT NULL,
        UNIQUE (kind, owner, name)
    )""",
    """CREATE TABLE IF NOT EXISTS cursor (
        name TEXT NOT NULL PRIMARY KEY,
        place TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS job_due ON job (kind, due) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS job_closed ON job (closed) WHERE closed IS NOT NULL",
)

_COLUMNS: Final = "number, kind, owner, name, state, asked, attempts, due, until, closed, note"

NOTE_LENGTH: Final = 200
"""Characters of a note that are kept."""

KEPT: Final = 30 * 86_400.0
"""Seconds for which closed jobs are listed."""

MOST_KEPT: Final = 10_000
"""Closed jobs that are listed; the oldest go first. About 3 MB."""

_LARGEST: Final = 1 << 28
"""Bytes of work once unpacked: far beyond what any service takes in."""


class JobKind(StrEnum):
    """What a job is about."""

    COMMITMENT = "commitment"


class JobState(StrEnum):
    """How far a job is."""

    OPEN = "open"
    DONE = "done"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Job:
    """One job, without what is to be worked on.

    Parameters
    ----------
    number : int
        The queue's own key.
    kind : JobKind
        What it is about.
    owner : str
        Who asked: a device's AE title.
    name : str
        What the owner calls it: a Transaction UID.
    state : JobState
        How far it is.
    asked : float
        When, in seconds since 1970.
    attempts : int
        How often it was begun.
    due : float
        When it is to be tried next.
    until : float
        When it is given up.
    closed : float or None
        When it was over.
    note : str
        Why the last attempt failed; no patient data.
    """

    number: int
    kind: JobKind
    owner: str
    name: str
    state: JobState
    asked: float
    attempts: int
    due: float
    until: float
    closed: float | None
    note: str


class Queue:
    """The jobs of one archive. Safe for threads; other processes may look on.

    Parameters
    ----------
    path : Path
        The sealed database; made when it is not there.
    key : bytes
        32 bytes: its key.

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._lock = Lock()
        self._connection = open_with(path, key, _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; harmless when done twice."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _reading(self) -> Generator[None]:
        with self._lock, translating("jobs"):
            try:
                yield
            except driver.ProgrammingError:
                raise Busy("The archive is stopping. Ask again later.") from None

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Hold the one transaction there is; it is on stable storage when the block ends well."""
        with self._reading(), transaction(self._connection, "jobs"):
            yield

    # --- places in a sequence -------------------------------------------------

    def place(self, name: str) -> str | None:
        """Give how far somebody has come in a sequence; None for who is new. Raises ``Busy``, ``Full``, ``Corrupt``."""
        with self._reading():
            row = self._connection.execute("SELECT place FROM cursor WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def come_to(self, name: str, place: str) -> None:
        """Keep how far somebody has come, durably; raises as ``place``."""
        with self._writing():
            self._connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, place))

    # --- putting in -----------------------------------------------------------

    def add(
        self, kind: JobKind, owner: str, name: str, work: bytes, mark: bytes, *, now: float, until: float, most: int
    ) -> bool:
        """Put a job in, durably; one of the same name that is over makes room for it.

        Parameters
        ----------
        kind, owner, name
            What it is called.
        work : bytes
            What is to be worked on, ids only.
        mark : bytes
            What makes two requests of one name the same one.
        now, until : float
            When it was asked, and when it is given up.
        most : int
            Open jobs of this kind an owner may have.

        Returns
        -------
        bool
            Whether it is new: False when the very same is open already.

        Raises
        ------
        Conflict
            When another one of this name is open.
        Busy
            When the owner has too many open, or the database is locked.
        Full, Corrupt
        """
        digest = hashlib.sha256(mark).digest()
        with self._writing():
            same = self._connection.execute(
                "SELECT mark FROM job WHERE kind = ? AND owner = ? AND name = ? AND state = 'open'", (kind, owner, name)
            ).fetchone()
            if same is not None:
                if same[0] == digest:
                    return False
                raise Conflict("Another request of this name is open.")
            (count,) = self._connection.execute(
                "SELECT count(*) FROM job WHERE kind = ? AND owner = ? AND state = 'open'", (kind, owner)
            ).fetchone()
            if count >= most:
                raise Busy(f"{most} requests are open. Ask again when some are answered.")
            self._connection.execute(
                "INSERT OR REPLACE INTO job"
                " (kind, owner, name, state, asked, attempts, due, until, note, mark, work, outcome)"
                " VALUES (?, ?, ?, 'open', ?, 0, ?, ?, '', ?, ?, x'')",
                (kind, owner, name, now, now, until, digest, zlib.compress(work)),
            )
        return True

    # --- working --------------------------------------------------------------

    def due(self, kind: JobKind, now: float, without: Collection[str] = ()) -> tuple[dict[str, int], float | None]:
        """Give the number of each owner's job that is due longest, and when the next other one is due.

        Parameters
        ----------
        kind : JobKind
            Which kind.
        now : float
            Seconds since 1970.
        without : collection of str
            Owners that are left out.
        """
        heads: dict[str, int] = {}
        later: float | None = None
        with self._reading():
            for number, owner, due in self._connection.execute(
                "SELECT number, owner, due FROM job WHERE kind = ? AND state = 'open' ORDER BY due, number", (kind,)
            ):
                if owner in without or owner in heads:
                    continue
                if due > now:
                    later = due if later is None else later
                    continue
                heads[owner] = number
        return heads, later

    def begin(self, number: int, now: float, pause: float) -> Job:
        """Count an attempt at an open job, durably; it is due again after ``pause`` whatever becomes of this attempt.

        Raises
        ------
        NotHere
            When it is not open any more.
        """
        with self._writing():
            self._connection.execute(
                "UPDATE job SET attempts = attempts + 1, due = ? WHERE number = ? AND state = 'open'",
                (now + pause, number),
            )
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM job WHERE number = ? AND state = 'open'",  # noqa: S608 - a constant
                (number,),
            ).fetchone()
        if row is None:
            raise NotHere("There is no such open job.")
        return _job(row)

    def get(self, number: int) -> Job:
        """Give one job; raises ``NotHere``."""
        with self._reading():
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM job WHERE number = ?",  # noqa: S608 - a constant
                (number,),
            ).fetchone()
        if row is None:
            raise NotHere("There is no such job.")
        return _job(row)

    def work(self, number: int) -> tuple[bytes, bytes]:
        """Give what is to be worked on, and what came of it so far; raises ``NotHere``."""
        with self._reading():
            row = self._connection.execute("SELECT work, outcome FROM job WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise NotHere("There is no such job.")
        return _unpacked(row[0]), _unpacked(row[1])

    def note(self, number: int, note: str, outcome: bytes | None = None) -> None:
        """Write down why it is not done yet, or what came of it so far."""
        with self._writing():
            self._connection.execute("UPDATE job SET note = ? WHERE number = ?", (note[:NOTE_LENGTH], number))
            if outcome is not None:
                self._connection.execute(
                    "UPDATE job SET outcome = ? WHERE number = ?", (zlib.compress(outcome), number)
                )

    def hasten(self, kind: JobKind, owner: str, now: float) -> int:
        """Make an owner's open jobs due now; gives how many."""
        with self._writing():
            changed = self._connection.execute(
                "UPDATE job SET due = ? WHERE kind = ? AND owner = ? AND state = 'open' AND due > ?",
                (now, kind, owner, now),
            )
            return changed.rowcount

    def close_job(self, number: int, state: JobState, note: str, now: float) -> None:
        """End a job and forget what it was about."""
        with self._writing():
            self._connection.execute(
                "UPDATE job SET state = ?, note = ?, closed = ?, work = x'', outcome = x'' WHERE number = ?",
                (state, note[:NOTE_LENGTH], now, number),
            )

    # --- looking --------------------------------------------------------------

    def list(self, kind: JobKind, *, closed: bool = False) -> list[Job]:
        """Give the jobs of a kind that are not done, or all that are remembered, oldest first."""
        wanted = "" if closed else " AND state != 'done'"
        with self._reading():
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM job WHERE kind = ?{wanted} ORDER BY asked, number",  # noqa: S608 - constants
                (kind,),
            ).fetchall()
        return [_job(row) for row in rows]

    def sweep(self, now: float) -> None:
        """Forget jobs that were over long ago."""
        with self._writing():
            self._connection.execute("DELETE FROM job WHERE closed < ?", (now - KEPT,))
            self._connection.execute(
                "DELETE FROM job WHERE closed IS NOT NULL AND number NOT IN"
                " (SELECT number FROM job WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?)",
                (MOST_KEPT,),
            )


_Row = tuple[int, str, str, str, str, float, int, float, float, float | None, str]


def _job(row: _Row) -> Job:
    number, kind, owner, name, state, asked, attempts, due, until, closed, note = row
    return Job(number, JobKind(kind), owner, name, JobState(state), asked, attempts, due, until, closed, note)


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, _LARGEST) if packed else b""
