"""Stores: one sealed database of identities, and a look at whether somebody changed it.

Rule: one connection writes, under one lock. Whether something changed is asked on
another one, so that nobody who asks waits for somebody who writes.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock
from typing import Self

from leadglass.audit.log import AuditLog
from leadglass.crypto.database import driver, open_with, transaction, translating


class SealedStore:
    """What the stores of identities share. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database; made when it is not there.
    key : bytes
        32 bytes: its key.
    schema : iterable of str
        Statements that see to it that its tables are there.
    clock : callable
        The time now.

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(self, path: Path, key: bytes, schema: Iterable[str], clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._lock = RLock()
        self._connection = open_with(path, key, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @property
    def now(self) -> datetime:
        """The time it is (UTC)."""
        return self._clock().astimezone(UTC)


class WatchedStore(SealedStore):
    """A store of which it is asked at every request whether it is still as it was."""

    def __init__(self, path: Path, key: bytes, schema: Iterable[str], clock: Callable[[], datetime]) -> None:
        super().__init__(path, key, schema, clock)
        self._watching = Lock()
        try:
            self._watch = open_with(path, key, ())
        except BaseException:
            super().close()
            raise

    def close(self) -> None:
        """Close the database."""
        with self._watching:
            self._watch.close()
        super().close()

    @contextmanager
    def _looking(self) -> Generator["tuple[int, driver.Connection]"]:
        """Give a number that changes whenever anything does, whoever does it, and a connection to look at what."""
        with self._watching, translating(self._path.name):
            yield self._watch.execute("PRAGMA data_version").fetchone()[0], self._watch


class LentStore(WatchedStore):
    """A store that several parts work on: it lends them its connections, and says where to record.

    Parameters
    ----------
    path, key, schema, clock
        As of ``SealedStore``.
    audit : AuditLog
        Where changes are recorded.
    door : str
        For the records.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        schema: Iterable[str],
        clock: Callable[[], datetime],
        audit: AuditLog,
        door: str,
    ) -> None:
        super().__init__(path, key, schema, clock)
        self.audit = audit
        self.door = door

    @property
    def changes(self) -> int:
        """A number that changes whenever anything does, whoever does it."""
        with self._looking() as (version, _):
            return version

    @contextmanager
    def writing(self) -> Generator["driver.Connection"]:
        """Hold the one writing transaction there is; it is on stable storage when the block ends well, else undone.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
        """
        with self._lock, transaction(self._connection, self._path.name):
            yield self._connection


def to_stored(moment: datetime) -> str:
    """Write a time so that it sorts as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def from_stored(text: str) -> datetime:
    """Read a time that ``to_stored`` wrote."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
