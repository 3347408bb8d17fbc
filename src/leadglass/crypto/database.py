"""Opening a database that is sealed with SQLCipher, the same way for every part that has one.

Rule 1. A sealed database is opened here and nowhere else, so that no part can
forget the key, the durability or the file mode. Rule 2. A committed transaction
is on stable storage (WAL with ``synchronous = FULL``). Rule 3. Nothing of it is
written in plaintext: temporary tables stay in memory, deleted rows are
overwritten.

``driver`` is sqlcipher3. It is a copy of the standard library's ``sqlite3``
with the same types, so the type checker is shown that one.
"""

import os
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from leadglass.errors import BadInput, Busy, Corrupt, Full, LeadglassError, Misconfigured

if TYPE_CHECKING:
    driver = sqlite3
else:
    from sqlcipher3 import dbapi2 as driver

KEY_LENGTH: Final = 32
"""Bytes of a database key."""

BUSY_TIMEOUT: Final = 10_000
"""Milliseconds to wait for another process's transaction: a batch takes
milliseconds, a checkpoint of a large log a second or two."""

CACHE: Final = 16_384
"""KiB of pages a connection keeps decrypted."""


def open_sealed(path: Path, key: bytes, *, create: bool = False) -> "driver.Connection":
    """Open a sealed database, in autocommit mode: transactions are begun by hand.

    The connection may be handed from thread to thread, never used by two at once.

    Parameters
    ----------
    path : Path
        The database file. Its mode is 0600.
    key : bytes
        32 bytes; no passphrase, so no key stretching is done.
    create : bool
        Whether to make the file when it is not there.

    Raises
    ------
    Misconfigured
        When the file is not there, may be read by others, or the key does not open it.
    Busy, Full
    """
    if len(key) != KEY_LENGTH:
        raise BadInput(f"A database key has {KEY_LENGTH} bytes.")
    _prepare_file(path, create=create)
    with translating(path.name):
        connection = driver.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT / 1000, cached_statements=256
        )
    try:
        connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to stderr
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        with translating(path.name):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            for pragma in (
                f"busy_timeout = {BUSY_TIMEOUT}",
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "secure_delete = ON",
                "temp_store = MEMORY",
                "trusted_schema = OFF",
                f"cache_size = -{CACHE}",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def open_with(path: Path, key: bytes, schema: Iterable[str]) -> "driver.Connection":
    """Open a sealed database, made when it is not there, and see that its tables are; raises as ``open_sealed``."""
    connection = open_sealed(path, key, create=True)
    try:
        with translating(path.name):
            for statement in schema:
                connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: "driver.Connection", name: str) -> Generator[None]:
    """Hold the one writing transaction there is; it is on stable storage when the block ends well, else undone.

    Raises
    ------
    Busy, Full, Corrupt, Misconfigured
        As ``translating``, whose ``name`` this is.
    """
    with translating(name):
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(driver.Error):  # what went wrong before is what the caller has to hear
                    connection.execute("ROLLBACK")
            raise


class SealedReaders:
    """Connections to a sealed database that only read. Safe for threads.

    Parameters
    ----------
    path, key, create
        As for ``open_sealed``. The first connection is made, and so checked, at once.
    kept : int
        Connections that stay open while nobody uses them. There are never more
        than the threads that ask; those above this number are closed after use.

    Raises
    ------
    Misconfigured, Busy, Full
    """

    __slots__ = ("_idle", "_is_closed", "_kept", "_key", "_lock", "_path", "_watch", "_watching")

    def __init__(self, path: Path, key: bytes, *, create: bool = False, kept: int = 8) -> None:
        self._path = path
        self._key = key
        self._kept = kept
        self._lock = Lock()
        self._is_closed = False
        self._idle: list[driver.Connection] = []
        self._idle.append(self._open(create=create))
        self._watching = Lock()
        self._watch: driver.Connection | None = None

    def version(self) -> int:
        """Give a number that changes whenever anything is committed, whoever does it; it waits for nobody who writes.

        What was read after a number was given, and is remembered under it, is
        what would be read now for as long as that number is given.

        Raises
        ------
        Misconfigured, Busy, Full
            When it cannot be said; ``Busy`` once it is closed, for what watches anew begins to count anew.
        """
        with self._watching:
            if self._is_closed:
                raise Busy(f"The database {self._path.name} is closed. Try again later.")
            if self._watch is None:
                self._watch = self._open()
            return self._watch.execute("PRAGMA data_version").fetchone()[0]

    @contextmanager
    def reading(self) -> Generator["driver.Connection"]:
        """Give a connection in a read transaction of its own, for as short as possible.

        Raises
        ------
        Misconfigured, Busy, Full
            When there is none to be had.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._open()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.close()  # whatever it was in the middle of
            raise
        with self._lock:
            if not self._is_closed and len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses; the others are closed after use."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _open(self, *, create: bool = False) -> "driver.Connection":
        connection = open_sealed(self._path, self._key, create=create)
        connection.execute("PRAGMA query_only = ON")
        return connection


@contextmanager
def translating(name: str) -> Generator[None]:
    """Turn what the driver raises into the kinds of ``errors``.

    Parameters
    ----------
    name : str
        What to call the database in the message, for instance its file name.

    Raises
    ------
    Busy
        Another process holds the lock.
    Full
        The disk is full.
    Misconfigured
        The key does not open it, or the file cannot be opened.
    Corrupt
        What is stored fails its check.
    """
    try:
        yield
    except driver.Error as error:
        translated = _translate(name, getattr(error, "sqlite_errorcode", 0))
        if translated is None:
            raise
        raise translated from error


def _translate(name: str, code: int) -> LeadglassError | None:
    """Find the kind by SQLite's primary result code."""
    match code & 0xFF:
        case driver.SQLITE_BUSY | driver.SQLITE_LOCKED:
            return Busy(f"The database {name} is locked by another process. Try again.")
        case driver.SQLITE_FULL:
            return Full(f"The database {name} cannot grow: the disk is full. Make room.")
        case driver.SQLITE_NOTADB:
            return Misconfigured(
                f"The database {name} does not open with this archive key. Put back the key file that belongs to this "
                "data folder, or restore the database from a backup if it is damaged."
            )
        case driver.SQLITE_CANTOPEN:
            return Misconfigured(
                f"The database {name} cannot be opened. Check that its folder exists and who may write to it."
            )
        case driver.SQLITE_READONLY | driver.SQLITE_PERM:
            return Misconfigured(f"The database {name} cannot be written. Check the owner and mode of the data folder.")
        case driver.SQLITE_CORRUPT:
            return Corrupt(f"The database {name} is damaged. Restore it from a backup.")
        case driver.SQLITE_IOERR:
            return Corrupt(f"The database {name} could not be read or written: the disk reports an error. Check it.")
        case _:
            return None


def _prepare_file(path: Path, *, create: bool) -> None:
    """Make the file with mode 0600 if it may be made; refuse one that others may read."""
    if create and not path.exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Misconfigured(f"The database {path.name} cannot be made in its folder: {error.strerror}.") from error
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Misconfigured(
            f"The database {path.name} is not there. Check the data folder, or initialise it first."
        ) from error
    if mode & 0o077:
        raise Misconfigured(f"The database {path.name} may be read by others. Set its mode to 0600.")
