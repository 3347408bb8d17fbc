"""The sealed database of the self-check: results, what was accepted, and marks of what was last done when.

Rule 1. It can be lost without loss to the archive: the checks are made anew. Rule 2.
What the running server knows alone lies here for the command line beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from leadglass.crypto.database import transaction, translating
from leadglass.exposure.facts import Marked, Opened, Running, Stranger
from leadglass.exposure.finding import Severity
from leadglass.exposure.report import Acceptance, Report
from leadglass.identity.store import SealedStore
from leadglass.system import utc_now

EXPOSURE_FILE: Final = "exposure.db"
"""The database's name; its key is derived by ``exposure database``."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS result (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS accepted (
        finding TEXT PRIMARY KEY NOT NULL CHECK (finding <> ''),
        severity TEXT NOT NULL,
        until TEXT NOT NULL,
        reason TEXT NOT NULL CHECK (length(trim(reason)) >= 8),
        by TEXT NOT NULL CHECK (by <> ''),
        made TEXT NOT NULL,
        said TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS mark (
        what TEXT PRIMARY KEY NOT NULL,
        made TEXT NOT NULL,
        faults INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS server (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL) STRICT",
)


class Mark(StrEnum):
    """What is marked when it was done."""

    BACKUP = "backup"
    """A backup ended well. For whatever makes backups."""
    VERIFIED = "verified"
    """The audit log was verified."""
    CHECKED = "checked"
    """Everything stored was re-read."""


@dataclass(frozen=True, slots=True)
class ServerNote:
    """What the running server says of itself.

    Parameters
    ----------
    running : Running
        What runs.
    doors : tuple of Opened
        What it opened.
    strangers : tuple of Stranger
        Who sent proxy fields to it and is no trusted proxy.
    """

    running: Running
    doors: tuple[Opened, ...] = ()
    strangers: tuple[Stranger, ...] = ()


class ExposureStore(SealedStore):
    """The database, opened. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database; made when it is not there.
    key : bytes
        32 bytes: its key.
    keep : int
        Results that are kept.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(self, path: Path, key: bytes, *, keep: int = 400, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(path, key, _SCHEMA, clock)
        self._keep = keep

    # --- results ----------------------------------------------------------------

    def add(self, report: Report) -> Report:
        """Keep a result, and forget those that are too old; gives it with its number."""
        with self._lock, transaction(self._connection, self._path.name):
            inserted = self._connection.execute("INSERT INTO result (body) VALUES (?)", (msgspec.json.encode(report),))
            number = inserted.lastrowid or 0
            self._connection.execute("DELETE FROM result WHERE number <= ?", (number - self._keep,))
        return replace(report, number=number)

    def newest(self, count: int) -> list[Report]:
        """Give the newest results, newest first; what another version wrote and cannot be read is left out."""
        query = "SELECT number, body FROM result ORDER BY number DESC LIMIT ?"
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(query, (count,)).fetchall()
        reports: list[Report] = []
        for number, body in rows:
            try:
                reports.append(replace(msgspec.json.decode(body, type=Report), number=number))
            except msgspec.MsgspecError:
                continue
        return reports

    # --- what was accepted --------------------------------------------------------

    def accepted(self) -> tuple[Acceptance, ...]:
        """Give every acceptance, those that ended too."""
        with self._lock, translating(self._path.name):
            rows = self._connection.execute("SELECT * FROM accepted ORDER BY finding").fetchall()
        return tuple(
            Acceptance(
                key, Severity(severity), date.fromisoformat(until), reason, by, datetime.fromisoformat(made), said
            )
            for key, severity, until, reason, by, made, said in rows
        )

    def accept(self, acceptance: Acceptance) -> None:
        """Keep an acceptance, in place of an earlier one of the same finding."""
        values = (
            acceptance.key,
            acceptance.severity.value,
            acceptance.until.isoformat(),
            acceptance.reason,
            acceptance.by,
            acceptance.made.isoformat(),
            acceptance.said,
        )
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute("INSERT OR REPLACE INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def withdraw(self, key: str) -> bool:
        """Forget an acceptance; says whether there was one."""
        with self._lock, transaction(self._connection, self._path.name):
            return self._connection.execute("DELETE FROM accepted WHERE finding = ?", (key,)).rowcount > 0

    # --- marks, and the server ------------------------------------------------------

    def mark(self, what: Mark, faults: int = 0) -> None:
        """Note that something was done now."""
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute(
                "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", (what.value, self.now.isoformat(), faults)
            )

    def marked(self, what: Mark) -> Marked | None:
        """Say when something was last done."""
        query = "SELECT made, faults FROM mark WHERE what = ?"
        with self._lock, translating(self._path.name):
            row = self._connection.execute(query, (what.value,)).fetchone()
        return None if row is None else Marked(datetime.fromisoformat(row[0]).astimezone(UTC), row[1])

    def note_server(self, note: ServerNote | None) -> None:
        """Keep what the server says of itself; None: it ended."""
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute("DELETE FROM server")
            if note is not None:
                self._connection.execute("INSERT INTO server VALUES (1, ?)", (msgspec.json.encode(note),))

    def server(self) -> ServerNote | None:
        """Give what the last server said of itself, whether it still runs or was killed."""
        with self._lock, translating(self._path.name):
            row = self._connection.execute("SELECT body FROM server").fetchone()
        if row is None:
            return None
        try:
            return msgspec.json.decode(row[0], type=ServerNote)
        except msgspec.MsgspecError:
            return None
