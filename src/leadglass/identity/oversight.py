"""Oversight: when what lets people in was last used, for who looks after the archive.

Rule: no secret is read, and of a link neither its note nor its studies.
"""

from datetime import datetime
from pathlib import Path

from leadglass.crypto.database import open_sealed, translating
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.share import Share
from leadglass.identity.share_store import COLUMNS, ShareStore, share_of
from leadglass.identity.store import from_stored


def last_seen(store: PeopleStore) -> dict[str, datetime]:
    """Say when somebody was last signed in with each account; of months ago nothing is kept."""
    query = (
        "SELECT name, max(seen) FROM (SELECT name, seen FROM session UNION ALL SELECT name, seen FROM known_network)"
        " GROUP BY name"
    )
    with store.reading() as connection:
        return {name: from_stored(seen) for name, seen in connection.execute(query)}


def passkeys(path: Path, key: bytes) -> dict[str, int]:
    """Say how many passkeys each account has; nothing where nobody ever had one.

    Raises
    ------
    Misconfigured, Busy, Corrupt
    """
    if not path.exists():
        return {}
    connection = open_sealed(path, key)
    try:
        with translating(path.name):
            rows = connection.execute("SELECT person, count(*) FROM passkey GROUP BY person").fetchall()
    finally:
        connection.close()
    return dict(rows)


def open_links(store: ShareStore, now: datetime) -> list[Share]:
    """Give the links that count at a time."""
    with store.reading() as connection:
        rows = connection.execute(f"{COLUMNS} WHERE ended IS NULL ORDER BY until DESC LIMIT 1000").fetchall()
    return [share for share in map(share_of, rows) if share.counts(now)]
