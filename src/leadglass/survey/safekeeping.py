"""Safekeeping: the folder of a survey is its owner's alone, and what lies in it is what was written.

Rule: what somebody else put there, what is damaged and what a newer version wrote is
refused in words, and nothing of it is changed.
"""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from leadglass.errors import Busy, Misconfigured

_VERSION: Final = 1
"""Of the tables: what a newer version wrote is not read by this one."""


def require_own(folder: Path) -> None:
    """Refuse a folder that somebody else could put something into; raises ``Misconfigured``, ``OSError``."""
    found = folder.stat()
    if found.st_uid not in {os.geteuid(), 0} or stat.S_IMODE(found.st_mode) & 0o022:
        raise Misconfigured(
            f"The folder {folder} belongs to somebody else, or others may write into it: what is kept of a survey is "
            "its owner's alone. Make the survey as its owner, or: chmod go-w"
        )


def prepare(connection: sqlite3.Connection, folder: Path, schema: str, *, writes: bool) -> None:
    """Make the tables that are not there yet; raises ``Busy``, or ``Misconfigured`` where they cannot be used."""
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise Misconfigured(
                f"What is kept in {folder} was written by a newer version of Leadglass. Use that version, or move the "
                "folder away."
            )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(schema)
        if writes and version < _VERSION:
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise Busy(f"Something else writes in {folder}. Try again in a moment.") from error
        raise Misconfigured(f"The folder {folder} of the survey cannot be used ({error}).") from error
    except sqlite3.DatabaseError as error:
        raise damaged() from error


def damaged() -> Misconfigured:
    """Give what to say where what is kept is not what was written."""
    return Misconfigured(
        "The survey's database is damaged: it is not what was written. Put a copy in its place, or move its folder "
        "away and survey again."
    )
