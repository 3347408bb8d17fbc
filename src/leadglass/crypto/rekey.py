"""A copy of a sealed database under another key, made beside it and checked before it counts.

Rule 1. The database itself is only read. Rule 2. The copy is disposable until
somebody puts it in the database's place: it has no journal, and is brought to
stable storage once, at its end. Rule 3. It is read back whole under the new key
before it is handed over.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from leadglass.crypto.database import open_sealed, translating
from leadglass.errors import Busy, Corrupt, Full, Misconfigured

if TYPE_CHECKING:
    import sqlite3 as driver
else:
    from sqlcipher3 import dbapi2 as driver

BESIDES = ("-wal", "-shm", "-journal")
"""What a database may have beside it."""


def copy_under(
    path: Path,
    draft: Path,
    old: bytes,
    new: bytes,
    change: "Callable[[driver.Connection], None] | None" = None,
) -> None:
    """Make ``draft``: the database at ``path`` under the key ``new``, with ``change`` done to it.

    Nobody else may have the database open.

    Raises
    ------
    Busy
        When somebody has it open.
    Full, Corrupt, Misconfigured
        When it cannot be read, or the copy cannot be made or does not read back.
    """
    with closing(open_sealed(path, old)) as connection, translating(path.name):
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy or any(_size(path.with_name(path.name + each)) for each in ("-wal", "-journal")):
        raise Busy(f"The database {path.name} is in use. Stop every other command on this archive, and try again.")
    remove(draft)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        shutil.copyfile(path, draft)
    except OSError as error:
        remove(draft)
        raise Full(f"There is no room for a copy of {path.name}: {error.strerror}. Make room.") from error
    with translating(draft.name), closing(driver.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute(f"PRAGMA key = \"x'{old.hex()}'\"")
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        connection.execute(f"PRAGMA rekey = \"x'{new.hex()}'\"").fetchall()
        if change is not None:
            connection.execute("BEGIN")
            change(connection)
            connection.execute("COMMIT")
    _check(path, draft, new)
    with draft.open("rb") as file:
        os.fsync(file.fileno())


def _check(path: Path, draft: Path, new: bytes) -> None:
    """Read every page of a copy under its new key."""
    if draft.stat().st_size < path.stat().st_size:
        raise Corrupt(f"The copy of {path.name} is not whole. Check the disk.")
    with translating(draft.name), closing(driver.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute(f"PRAGMA key = \"x'{new.hex()}'\"")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        faults = connection.execute("PRAGMA cipher_integrity_check").fetchall()
        said = connection.execute("PRAGMA quick_check(1)").fetchone()
    for each in BESIDES:  # a copy in WAL mode leaves an empty one where it was only read
        draft.with_name(draft.name + each).unlink(missing_ok=True)
    if faults or said is None or said[0] != "ok":
        raise Corrupt(f"The database {path.name} is damaged and was not changed. Restore it from a backup.")


def remove(draft: Path) -> None:
    """Remove a draft and what stands beside it."""
    for each in ("", *BESIDES):
        draft.with_name(draft.name + each).unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> None:
    """Put a draft in its database's place; done when there is no draft.

    Raises
    ------
    Misconfigured
    """
    if not draft.exists():
        return
    try:
        # They belong to the database that goes; its log was emptied before it was copied.
        for each in BESIDES:
            path.with_name(path.name + each).unlink(missing_ok=True)
        draft.replace(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be replaced: {error.strerror}. Check the data folder.") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
