"""The sealed database of people: its tables, one connection that writes and one that reads.

Rule 1. What an account may not be, the schema itself refuses: a password is the
result of Argon2id over 16 random bytes and never blank, a role is one of ours,
a session has an end. Rule 2. Of a secret that only has to be recognised, only
the hash is kept. Rule 3. Every answer comes from the database, not from memory:
what one process changes, the others see at once.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.crypto.database import SealedReaders, driver, translating
from leadglass.identity.store import LentStore
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role
from leadglass.system import utc_now

PEOPLE_FILE: Final = "people.db"
"""The database's name; its key is derived by ``people database``."""

_ROLES: Final = ", ".join(f"'{role.value}'" for role in Role)

_SCHEMA: Final = (
    f"""CREATE TABLE IF NOT EXISTS person (
        name TEXT PRIMARY KEY NOT NULL CHECK (length(name) BETWEEN 1 AND 64 AND name = lower(name)),
        role TEXT NOT NULL CHECK (role IN ({_ROLES})),
        scope TEXT NOT NULL,
        is_locked INTEGER NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
        origin TEXT NOT NULL DEFAULT '',
        epoch INTEGER NOT NULL DEFAULT 1,
        made TEXT NOT NULL CHECK (made <> '')
    ) STRICT""",
    # No row: no password opens the account. A row without a real hash cannot be.
    """CREATE TABLE IF NOT EXISTS password (
        name TEXT PRIMARY KEY NOT NULL REFERENCES person ON DELETE CASCADE,
        salt BLOB NOT NULL CHECK (length(salt) = 16),
        hash BLOB NOT NULL CHECK (length(hash) = 32 AND hash <> zeroblob(32)),
        memory_kib INTEGER NOT NULL CHECK (memory_kib >= 8192),
        passes INTEGER NOT NULL CHECK (passes >= 1),
        lanes INTEGER NOT NULL CHECK (lanes = 1),
        made TEXT NOT NULL CHECK (made <> '')
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS totp (
        name TEXT PRIMARY KEY NOT NULL REFERENCES person ON DELETE CASCADE,
        secret BLOB NOT NULL CHECK (length(secret) >= 20),
        is_confirmed INTEGER NOT NULL DEFAULT 0 CHECK (is_confirmed IN (0, 1)),
        last_step INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS recovery (
        hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
        name TEXT NOT NULL REFERENCES person ON DELETE CASCADE
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS link (
        hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
        name TEXT NOT NULL REFERENCES person ON DELETE CASCADE,
        purpose TEXT NOT NULL CHECK (purpose IN ('set-up', 'sign-in')),
        until TEXT NOT NULL CHECK (until <> '')
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS session (
        id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 32),
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        name TEXT NOT NULL REFERENCES person ON DELETE CASCADE,
        made TEXT NOT NULL CHECK (made <> ''),
        seen TEXT NOT NULL CHECK (seen <> ''),
        until TEXT NOT NULL CHECK (until <> ''),
        peer TEXT NOT NULL,
        agent TEXT NOT NULL,
        evidence TEXT NOT NULL CHECK (evidence <> '')
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS session_of ON session (name)",
    # Where somebody signed in well before: what others get wrong elsewhere does not hold them up there.
    """CREATE TABLE IF NOT EXISTS known_network (
        name TEXT NOT NULL REFERENCES person ON DELETE CASCADE,
        network TEXT NOT NULL,
        seen TEXT NOT NULL CHECK (seen <> ''),
        PRIMARY KEY (name, network)
    ) STRICT""",
    # Kept when the account is removed: it is to be reviewed all the same.
    """CREATE TABLE IF NOT EXISTS glass (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL CHECK (name <> ''),
        field TEXT NOT NULL CHECK (field IN ('study', 'patient')),
        value TEXT NOT NULL CHECK (value <> ''),
        reason TEXT NOT NULL CHECK (length(trim(reason)) >= 8),
        made TEXT NOT NULL CHECK (made <> ''),
        until TEXT NOT NULL CHECK (until <> ''),
        peer TEXT NOT NULL,
        reviewed TEXT,
        reviewer TEXT CHECK (reviewer IS NULL OR reviewer <> 'person:' || name),
        note TEXT NOT NULL DEFAULT '',
        CHECK ((reviewed IS NULL) = (reviewer IS NULL))
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS glass_of ON glass (name, until)",
)


class PeopleStore(LentStore):
    """The database of people, opened. Safe for threads.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes are recorded.
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
        try:
            self._readers = SealedReaders(path, key, kept=4)
        except BaseException:
            super().close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._readers.close()
        super().close()

    @contextmanager
    def reading(self) -> Generator["driver.Connection"]:
        """Give a connection that only reads, for as short as possible; writers do not hold it up.

        Raises
        ------
        Busy, Corrupt, Misconfigured
        """
        with translating(self._path.name), self._readers.reading() as connection:
            yield connection

    def record(
        self,
        caller: Caller,
        outcome: Outcome,
        action: str,
        reason: str,
        *,
        study_uid: str = "",
        detail: Mapping[str, str | int] | None = None,
    ) -> None:
        """Put on record what somebody did or was refused."""
        self.audit.append(Event.of(caller, outcome, action, reason, door=self.door, study_uid=study_uid, detail=detail))
