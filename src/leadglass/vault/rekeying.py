"""Wrapping anew, under another archive key, what the index holds wrapped.

Rule 1. Study keys and the keys of what is in quarantine change their wrapping
and nothing else: no object is touched. Rule 2. A key that does not open stops
everything; it is not carried over unread.
"""

from typing import TYPE_CHECKING, Final

from leadglass.crypto.wrap import ArchiveKey
from leadglass.vault.keys import Keys

if TYPE_CHECKING:
    import sqlite3

_ROWS: Final = 10_000
"""Rows held at one time: a few megabytes."""


def rewrap(connection: "sqlite3.Connection", old: ArchiveKey, new: ArchiveKey) -> None:
    """Wrap every key in an index anew, inside the transaction that is open.

    Parameters
    ----------
    connection : Connection
        Of the index, or of a copy.
    old, new : ArchiveKey
        The archive key now, and then.

    Raises
    ------
    Corrupt
        When a key does not open.
    """
    before, after = Keys(old), Keys(new)
    last = -1
    while rows := connection.execute(
        "SELECT id, study_uid, key FROM study WHERE id > ? ORDER BY id LIMIT ?", (last, _ROWS)
    ).fetchall():
        connection.executemany(
            "UPDATE study SET key = ? WHERE id = ?",
            [(after.rewrapped_study(before, wrapped, study_uid), row) for row, study_uid, wrapped in rows],
        )
        last = rows[-1][0]
    last = -1
    while rows := connection.execute(
        "SELECT number, object, sop_instance_uid, key FROM quarantine WHERE number > ? ORDER BY number LIMIT ?",
        (last, _ROWS),
    ).fetchall():
        connection.executemany(
            "UPDATE quarantine SET key = ? WHERE number = ?",
            [
                (after.quarantine.wrap(before.quarantine.unwrap(key, name + uid.encode()), name + uid.encode()), number)
                for number, name, uid, key in rows
            ],
        )
        last = rows[-1][0]
