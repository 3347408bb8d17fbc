"""What was given to whom lately, kept over a restart in a sealed database of its own.

Rule 1. Studies and patients stand in it as keyed marks, never by name. Rule 2.
It is written by the server, some seconds late; other processes read it, and
leave word of a release. Rule 3. Losing it costs counts, never images: a file
that does not open is put aside and begun anew, and its owner is told.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Self

import msgspec

from leadglass.crypto.database import driver, open_with, transaction, translating
from leadglass.errors import Corrupt, Misconfigured
from leadglass.policy.brakes import DAY, Meter, Usage

BRAKES_FILE: Final = "brakes.db"

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS usage (caller TEXT PRIMARY KEY, saved REAL NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS release (id INTEGER PRIMARY KEY AUTOINCREMENT, caller TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS salt (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), value BLOB NOT NULL)",
)


class SavedGauge(msgspec.Struct, frozen=True, array_like=True):
    """A gauge, with seconds before the moment it was saved (negative: after)."""

    meter: str
    window: float
    parts: list[tuple[float, int]]
    told_slow: float | None
    told_stop: float | None
    refused: int


class SavedUsage(msgspec.Struct, frozen=True, array_like=True):
    """What one caller was given, likewise."""

    gauges: list[SavedGauge]
    known: dict[str, list[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Saved:
    """One caller's usage as it was saved.

    Parameters
    ----------
    caller : str
        As the audit log names it.
    at : float
        When, in seconds of the calendar (UTC).
    usage : SavedUsage
        What.
    """

    caller: str
    at: float
    usage: SavedUsage


class BrakeStore:
    """The database. Safe for threads.

    Parameters
    ----------
    path : Path
        Where it is.
    key : bytes
        32 bytes: its key.

    Raises
    ------
    Misconfigured, Busy, Full
        When it can neither be opened nor be begun anew.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._name = path.name
        self._lock = Lock()
        self.is_anew = False
        """Whether there was one that did not open."""
        try:
            self._connection = self._open(path, key)
        except (Corrupt, Misconfigured):
            if not path.exists():
                raise
            _put_aside(path)
            self._connection = self._open(path, key)
            self.is_anew = True

    def _open(self, path: Path, key: bytes) -> "driver.Connection":
        connection = open_with(path, key, _SCHEMA)
        try:
            with translating(path.name):
                connection.execute("INSERT OR IGNORE INTO salt VALUES (1, ?)", (secrets.token_bytes(32),))
                row = connection.execute("SELECT value FROM salt").fetchone()
        except BaseException:
            connection.close()
            raise
        self.salt = bytes(row[0])
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def load(self) -> list[Saved]:
        """Give what was saved; what cannot be read is left out."""
        with self._lock, translating(self._name):
            rows = self._connection.execute("SELECT caller, saved, body FROM usage ORDER BY caller").fetchall()
        saved: list[Saved] = []
        for caller, at, body in rows:
            with suppress(msgspec.DecodeError):
                saved.append(Saved(str(caller), float(at), msgspec.msgpack.decode(bytes(body), type=SavedUsage)))
        return saved

    def save(self, usages: Mapping[str, SavedUsage | None], at: float) -> None:
        """Save what some callers were given; None: nothing counts any more.

        Raises
        ------
        Busy, Full, Corrupt
        """
        rows = [(caller, at, msgspec.msgpack.encode(usage)) for caller, usage in usages.items() if usage is not None]
        gone = [(caller,) for caller, usage in usages.items() if usage is None]
        with self._lock, transaction(self._connection, self._name):
            self._connection.executemany("INSERT OR REPLACE INTO usage VALUES (?, ?, ?)", rows)
            self._connection.executemany("DELETE FROM usage WHERE caller = ?", gone)

    def release(self, caller: str) -> None:
        """Forget what a caller was given, and leave word for a server that runs.

        Raises
        ------
        Busy, Full, Corrupt
        """
        with self._lock, transaction(self._connection, self._name):
            self._connection.execute("DELETE FROM usage WHERE caller = ?", (caller,))
            self._connection.execute("INSERT INTO release (caller) VALUES (?)", (caller,))

    def take_releases(self) -> list[str]:
        """Give, once, the callers for whom there is word of a release.

        Raises
        ------
        Busy, Full, Corrupt
        """
        with self._lock, translating(self._name):
            rows = self._connection.execute("SELECT id, caller FROM release ORDER BY id").fetchall()
            if rows:
                self._connection.execute("DELETE FROM release WHERE id <= ?", (rows[-1][0],))
        return [str(caller) for _, caller in rows]


def pack(usage: Usage, now: float) -> SavedUsage:
    """Make what is saved of a usage."""
    return SavedUsage(
        gauges=[
            SavedGauge(
                meter.value,
                window,
                [(now - ends, count) for ends, count in gauge.parts],
                None if gauge.told_slow is None else now - gauge.told_slow,
                None if gauge.told_stop is None else now - gauge.told_stop,
                gauge.refused,
            )
            for (meter, window), gauge in usage.gauges.items()
        ],
        known={meter.value: [(mark, now - at) for mark, at in known.items()] for meter, known in usage.known.items()},
    )


def unpack(saved: Saved, usage: Usage, now: float, wall: float) -> None:
    """Put what was saved into a fresh usage.

    Parameters
    ----------
    saved : Saved
        As saved.
    usage : Usage
        With today's limits; what they do not speak of any more is left out.
    now : float
        The time on the usage's clock.
    wall : float
        The same time in seconds of the calendar. A calendar that went back
        counts as if no time had passed.
    """
    then = now - min(max(0.0, wall - saved.at), 2 * DAY)
    meters = {meter.value: meter for meter in Meter}
    for each in saved.usage.gauges:
        meter = meters.get(each.meter)
        gauge = usage.gauges.get((meter, each.window)) if meter is not None else None
        if gauge is None:
            continue
        gauge.parts.extend((then - age, count) for age, count in each.parts)
        gauge.used = sum(count for _, count in gauge.parts)
        gauge.told_slow = None if each.told_slow is None else then - each.told_slow
        gauge.told_stop = None if each.told_stop is None else then - each.told_stop
        gauge.refused = each.refused
    for word, marks in saved.usage.known.items():
        if word in meters:
            usage.known[meters[word]] = {mark: then - age for mark, age in marks}


def _put_aside(path: Path) -> None:
    """Remove a database that does not open, and what stands beside it."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
