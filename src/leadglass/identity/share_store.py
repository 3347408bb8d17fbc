"""The sealed database of links: shares, and who has one open.

Rule 1. Of secrets and codes only the hash is kept, and that of a code needs the
link's secret to be compared: who reads the database can guess at neither. Rule 2.
The schema itself keeps a link from having no end, or more than some studies.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leadglass.audit.log import AuditLog
from leadglass.identity.share import Share, ShareKind, ShareLock
from leadglass.identity.store import LentStore, from_stored, to_stored
from leadglass.system import utc_now

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

SHARES_FILE: Final = "shares.db"
"""The database's name; its key is derived by ``shares database``."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS share (
        id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 16),
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        kind TEXT NOT NULL CHECK (kind IN ('give', 'receive')),
        issuer TEXT NOT NULL CHECK (issuer <> ''),
        made TEXT NOT NULL CHECK (made <> ''),
        until TEXT NOT NULL CHECK (until <> ''),
        note TEXT NOT NULL,
        studies TEXT NOT NULL CHECK ((kind = 'give') = (studies <> '')),
        is_masked INTEGER NOT NULL CHECK (is_masked IN (0, 1)),
        may_download INTEGER NOT NULL CHECK (may_download IN (0, 1)),
        lock TEXT NOT NULL CHECK (lock IN ('none', 'pin', 'once')),
        code BLOB CHECK (code IS NULL OR length(code) = 32),
        wrong INTEGER NOT NULL DEFAULT 0,
        wait_until TEXT NOT NULL DEFAULT '',
        most_files INTEGER NOT NULL,
        most_octets INTEGER NOT NULL,
        files INTEGER NOT NULL DEFAULT 0,
        octets INTEGER NOT NULL DEFAULT 0,
        ended TEXT,
        why_ended TEXT NOT NULL DEFAULT '',
        opened TEXT,
        CHECK (lock <> 'pin' OR code IS NOT NULL)
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS share_of ON share (issuer)",
    """CREATE TABLE IF NOT EXISTS visit (
        id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 32),
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        share TEXT NOT NULL REFERENCES share ON DELETE CASCADE,
        made TEXT NOT NULL CHECK (made <> ''),
        seen TEXT NOT NULL CHECK (seen <> ''),
        until TEXT NOT NULL CHECK (until <> ''),
        peer TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS visit_of ON visit (share)",
)

COLUMNS: Final = (
    "SELECT id, kind, issuer, made, until, note, studies, is_masked, may_download, lock, code IS NOT NULL, wrong,"
    " most_files, most_octets, files, octets, ended, why_ended, opened FROM share"
)


class ShareStore(LentStore):
    """The database of links, opened. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database; made when it is not there.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes and openings are recorded.
    door : str
        For the records.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(
        self, path: Path, key: bytes, audit: AuditLog, *, door: str = "cli", clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(path, key, _SCHEMA, clock, audit, door)

    @contextmanager
    def reading(self) -> "Generator[driver.Connection]":
        """Give a connection that only reads, for as short as possible."""
        with self._looking() as (_, connection):
            yield connection


Row = tuple[
    str, str, str, str, str, str, str, int, int, str, int, int, int, int, int, int, str | None, str, str | None
]  # fmt: skip


def share_of(row: Row) -> Share:
    """Read a row of ``COLUMNS``."""
    (
        id_, kind, issuer, made, until, note, studies, is_masked, may_download, lock, has_code, wrong,
        most_files, most_octets, files, octets, ended, why_ended, opened,
    ) = row  # fmt: skip
    return Share(
        id=id_,
        kind=ShareKind(kind),
        issuer=issuer,
        made=from_stored(made),
        until=from_stored(until),
        note=note,
        studies=tuple(studies.split()),
        is_masked=bool(is_masked),
        may_download=bool(may_download),
        lock=ShareLock(lock),
        has_code=bool(has_code),
        wrong=wrong,
        most_files=most_files,
        most_octets=most_octets,
        files=files,
        octets=octets,
        ended=None if ended is None else from_stored(ended),
        why_ended=why_ended,
        opened=None if opened is None else from_stored(opened),
    )


def find(connection: "driver.Connection", id: str) -> Share | None:  # noqa: A002 - what it is
    """Give a link, or None when there is none of this id."""
    row = connection.execute(f"{COLUMNS} WHERE id = ?", (id,)).fetchone()
    return None if row is None else share_of(row)


def add(connection: "driver.Connection", share: Share, hashed: bytes, code: bytes | None) -> None:
    """Keep a new link."""
    connection.execute(
        "INSERT INTO share (id, hash, kind, issuer, made, until, note, studies, is_masked, may_download, lock, code,"
        " most_files, most_octets) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            share.id,
            hashed,
            share.kind.value,
            share.issuer,
            to_stored(share.made),
            to_stored(share.until),
            share.note,
            "\n".join(share.studies),
            int(share.is_masked),
            int(share.may_download),
            share.lock.value,
            code,
            share.most_files,
            share.most_octets,
        ),
    )


def end(connection: "driver.Connection", id: str, why: str, now: datetime) -> None:  # noqa: A002 - what it is
    """End a link and whatever it has open."""
    connection.execute(
        "UPDATE share SET ended = ?, why_ended = ?, code = CASE lock WHEN 'pin' THEN code END"
        " WHERE id = ? AND ended IS NULL",
        (to_stored(now), why, id),
    )
    connection.execute("DELETE FROM visit WHERE share = ?", (id,))
