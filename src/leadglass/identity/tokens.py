"""Tokens: what programs prove themselves with; sealed at rest, every change on record.

Rule 1. Only a digest of a token is kept; it is shown once. Rule 2. Every token
ends: at its time, or when it is revoked, which counts at once, in a running server
too. Rule 3. A token is asked about without touching the disk: what is known is
kept in memory, and read anew when the database has changed. Rule 4. The first use
of a token from an address is on record before it counts.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Final

from leadglass.audit.decision import decide_on_record, failing_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.record import escape
from leadglass.crypto.database import transaction, translating
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity import token_text
from leadglass.identity.token_store import LEAST_LIFE, LONGEST_LIFE, MEETING, MEETINGS, REMEMBERED, TokenStore
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import Role, grants_of
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import parse_scope, write_scope
from leadglass.system import utc_now

TOKENS_FILE: Final = "tokens.db"

LONGEST_NAME: Final = 64

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL CHECK (name <> ''),
        role TEXT NOT NULL CHECK (role <> ''),
        scope TEXT,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        made TEXT NOT NULL,
        made_by TEXT NOT NULL,
        until TEXT NOT NULL CHECK (until <> ''),
        ended TEXT,
        used TEXT
    )""",
    # The schema itself keeps two tokens that count from sharing a name.
    "CREATE UNIQUE INDEX IF NOT EXISTS token_that_counts ON token (name) WHERE ended IS NULL",
    # Which tokens no brakes apply to, and why; a table of its own, so that stores made before it go on as they are.
    """CREATE TABLE IF NOT EXISTS bulk (
        token TEXT PRIMARY KEY,
        reason TEXT NOT NULL CHECK (reason <> '')
    )""",
)

_COLUMNS: Final = (
    "SELECT id, name, role, scope, made, made_by, until, ended, used, digest,"
    " coalesce((SELECT reason FROM bulk WHERE token = id), '') FROM token"
)

LONGEST_REASON: Final = 200
"""Characters of the reason why a token is granted bulk: a sentence."""


class Why(StrEnum):
    """The kinds of refusal; for the record, never for the stranger."""

    NO_TOKEN = "no token"  # noqa: S105 - a word, not a secret
    UNKNOWN = "unknown token"
    REVOKED = "revoked token"
    EXPIRED = "expired token"
    OWNER = "token of a closed account"


class TokenRefused(Denied):
    """A bearer token proves nobody. The message is for the log; the stranger hears nothing of it.

    Parameters
    ----------
    message : str
        The true reason.
    why : Why
        Its kind.
    """

    def __init__(self, message: str, why: Why) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, slots=True)
class Token:
    """One token, as it is listed. What proves it is not here.

    Parameters
    ----------
    id : str
        Random, to tell it in the audit log from one that bore the same name before.
    name : str
        Which program it is for.
    role : Role
        What it may.
    scope : Scope, optional
        On which studies; None: as the role has it.
    made, until : datetime
        From when until when it counts (UTC).
    made_by : str
        Who made it.
    ended : datetime, optional
        When it was revoked, or ran out and was replaced.
    used : datetime, optional
        When it was last used, to some minutes.
    bulk : str
        Why no brakes apply to it; empty where they do.
    """

    id: str
    name: str
    role: Role
    scope: Scope | None
    made: datetime
    made_by: str
    until: datetime
    ended: datetime | None = None
    used: datetime | None = None
    bulk: str = ""

    def counts(self, now: datetime) -> bool:
        """Say whether it proves anybody at a time."""
        return self.ended is None and now < self.until


@dataclass(frozen=True, slots=True)
class Created:
    """A new token with its text, which is nowhere else."""

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A token and an address, met: the caller they are, until the record has to be made anew."""

    caller: Caller
    until: datetime


class Tokens(TokenStore):
    """The tokens of one archive.

    Parameters
    ----------
    path : Path
        The sealed database.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes, and first uses, are recorded.
    longest : timedelta
        How long a token may live.
    door : str
        For the records: where programs show tokens. What the command line changes is recorded as its.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
        When the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        audit: AuditLog,
        *,
        longest: timedelta = LONGEST_LIFE,
        door: str = "web",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(path, key, _SCHEMA, clock, table="token", audit=audit, longest=longest, door=door)
        self._version = -1
        self._known: Mapping[bytes, Token] = {}
        self._met: dict[tuple[bytes, str], _Meeting] = {}

    # --- asking ---------------------------------------------------------------

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller that a token was found to be within the hour, without waiting for anything but memory.

        None does not mean no: ask ``caller``, which may have to write a record.

        Raises
        ------
        Busy, Corrupt, Misconfigured
        """
        try:
            digest = token_text.digest(text)
        except BadInput:
            return None
        now = self.now
        token = self._current().get(digest)
        meeting = self._met.get((digest, peer))
        if token is None or meeting is None or not token.counts(now) or now >= meeting.until:
            return None
        self._used[token.id] = now
        return meeting.caller

    def caller(self, text: str, peer: str) -> Caller:
        """Give the caller that a token proves.

        Parameters
        ----------
        text : str
            What was shown, hostile until proven otherwise.
        peer : str
            From which IP address.

        Raises
        ------
        TokenRefused
            When it proves nobody. It is not on record yet.
        Busy, Full, Corrupt, Misconfigured
            When it could not be put on record: then it does not count.
        """
        caller = self.known(text, peer)
        return self._meet(text, peer) if caller is None else caller

    def list(self) -> list[Token]:
        """Give all tokens by name, those that ended too."""
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(f"{_COLUMNS} ORDER BY name, made").fetchall()
        return [_token(row) for row in rows]

    def find(self, name: str) -> Token | None:
        """Give the token of a name that is not revoked (it may have run out), or None."""
        with self._lock, translating(self._path.name):
            row = self._connection.execute(f"{_COLUMNS} WHERE name = ? AND ended IS NULL", (name,)).fetchone()
        return None if row is None else _token(row)

    def _current(self) -> Mapping[bytes, Token]:
        """Give the tokens that are not revoked, by digest, as of now."""
        with self._looking() as (version, watch):
            if version != self._version:
                rows = watch.execute(f"{_COLUMNS} WHERE ended IS NULL").fetchall()
                known = {bytes(row[9]): _token(row) for row in rows}
                if known.keys() != self._known.keys():
                    self._met = {key: met for key, met in self._met.items() if key[0] in known}
                self._known, self._version = known, version
            return self._known

    def _meet(self, text: str, peer: str) -> Caller:
        """Find out whose token it is, and put its first use from an address on record."""
        try:
            digest = token_text.digest(text)
        except BadInput as error:
            raise TokenRefused(f"What was shown from {peer} is no token: {error.message}", Why.NO_TOKEN) from error
        token = self._current().get(digest)
        now = self.now
        if token is None or not token.counts(now):
            raise self._refusal(digest, peer)
        evidence = f"token {token.id}"
        grants = tuple(replace(grant, bulk=bool(token.bulk)) for grant in grants_of(token.role, token.scope))
        caller = Caller(CallerKind.TOKEN, token.name, grants, peer, evidence)
        reason = f"the token {token.name} is a {token.role}'s, until {token.until:%Y-%m-%d %H:%M} UTC"
        detail = {"evidence": evidence, "role": token.role.value}
        self._audit.append(Event.of(caller, Outcome.PERMITTED, "signin", reason, door=self._door, detail=detail))
        if len(self._met) >= MEETINGS:
            self._met = {}
        self._met[(digest, peer)] = _Meeting(caller, min(now + MEETING, token.until))
        self._used[token.id] = now
        return caller

    def _refusal(self, digest: bytes, peer: str) -> TokenRefused:
        """Say what is wrong with a token that is written as it should be."""
        with self._lock, translating(self._path.name):
            row = self._connection.execute(f"{_COLUMNS} WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return TokenRefused(
                f"A token that this archive does not know was shown from {peer}. "
                "If it was made here, it ended more than a year ago, or in another data folder.",
                Why.UNKNOWN,
            )
        token = _token(row)
        if token.ended is not None and token.ended < token.until:
            return TokenRefused(
                f"The token {token.name} ({token.id}) was shown from {peer}; it was revoked on "
                f"{token.ended:%Y-%m-%d}. Find out who still holds it.",
                Why.REVOKED,
            )
        return TokenRefused(
            f"The token {token.name} ({token.id}) was shown from {peer}; it ended on {token.until:%Y-%m-%d %H:%M} UTC. "
            "Make a new one: leadglass token create",
            Why.EXPIRED,
        )

    # --- changing -------------------------------------------------------------

    def create(
        self, caller: Caller, name: str, role: Role, scope: Scope | None, ttl: timedelta, *, bulk: str = ""
    ) -> Created:
        """Make a token.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.
        name : str
            Which program it is for; no other token that counts has it.
        role : Role
            What it may.
        scope : Scope, optional
            On which studies; None: as the role has it.
        ttl : timedelta
            How long it counts.
        bulk : str
            Why no brakes are to apply to it, naming no patient; empty: they do.

        Raises
        ------
        Denied, BadInput
        Conflict
            When another token that counts has the name.
        """
        _check_name(name)
        bulk = bulk.strip()
        if len(bulk) > LONGEST_REASON or not bulk.isprintable():
            raise BadInput(f"Give the reason for bulk in one line of at most {LONGEST_REASON} characters.")
        if not LEAST_LIFE <= ttl <= self._longest:
            raise BadInput(
                f"A token of this archive counts for {spoken(LEAST_LIFE)} to {spoken(self._longest)}. Give --ttl "
                "within that, or change [tokens] longest_days in leadglass.toml."
            )
        now = self.now.replace(microsecond=0)
        token = Token(token_hex(4), name, role, scope, now, str(caller), now + ttl, bulk=bulk)
        secret = token_text.make()
        said = "as the role has it" if scope is None else scope.explain()
        detail = {"role": role.value, "scope": said, "until": token.until.isoformat()}
        if bulk:
            detail["bulk"] = bulk
        with self._changing(caller, "create token", token, **detail):
            before = self.find(name)
            if before is not None and before.counts(self.now):
                raise Conflict(
                    f"There is a token {escape(name)} already. Choose another name, or: leadglass token revoke"
                )
            self._connection.execute("UPDATE token SET ended = until WHERE name = ? AND ended IS NULL", (name,))
            # All times are written alike, in UTC, so they compare as text.
            self._connection.execute("DELETE FROM token WHERE until < ?", ((now - REMEMBERED).isoformat(),))
            self._connection.execute("DELETE FROM bulk WHERE token NOT IN (SELECT id FROM token)")
            self._connection.execute(
                "INSERT INTO token (id, name, role, scope, digest, made, made_by, until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    token.id,
                    name,
                    role.value,
                    None if scope is None else json.dumps(write_scope(scope)),
                    token_text.digest(secret),
                    token.made.isoformat(),
                    token.made_by,
                    token.until.isoformat(),
                ),
            )
            if bulk:
                self._connection.execute("INSERT INTO bulk VALUES (?, ?)", (token.id, bulk))
        return Created(token, secret)

    def revoke(self, caller: Caller, name: str) -> Token:
        """End a token, at once and for good.

        Raises
        ------
        Denied, NotHere
        """
        said = {"change": "revoke token", "token": name[:LONGEST_NAME]}
        door = self._door_of(caller)
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=door, detail=said, yes=False)
        token = self.find(name)
        if token is None:
            raise NotHere(f"There is no token {escape(name[:LONGEST_NAME])}. See: leadglass token list")
        with self._changing(caller, "revoke token", token):
            ended = self.now.replace(microsecond=0).isoformat()
            self._connection.execute("UPDATE token SET ended = ? WHERE id = ? AND ended IS NULL", (ended, token.id))
        return token

    def _door_of(self, caller: Caller) -> str:
        return "cli" if caller.kind is CallerKind.COMMAND_LINE else self._door

    @contextmanager
    def _changing(self, caller: Caller, change: str, token: Token, **detail: str) -> Generator[None]:
        """Decide, record, then change in one transaction; what fails is recorded too."""
        said, door = {"change": change, "token": token.name, "id": token.id, **detail}, self._door_of(caller)
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=door, detail=said)
        failing = failing_on_record(self._audit.append, caller, Action.MANAGE, door=door, detail=said)
        with self._lock, failing, transaction(self._connection, self._path.name):
            yield


_Row = tuple[str, str, str, str | None, str, str, str, str | None, str | None, bytes, str]


def _token(row: _Row) -> Token:
    id_, name, role, scope, made, made_by, until, ended, used, _, bulk = row
    return Token(
        id=id_,
        name=name,
        role=Role(role),
        scope=None if scope is None else parse_scope(json.loads(scope)),
        made=datetime.fromisoformat(made),
        made_by=made_by,
        until=datetime.fromisoformat(until),
        ended=None if ended is None else datetime.fromisoformat(ended),
        used=None if used is None else datetime.fromisoformat(used),
        bulk=bulk,
    )


def _check_name(name: str) -> None:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise BadInput(f"A token's name has 1 to {LONGEST_NAME} characters that can be printed, as in “viewer-2”.")
    if "/" in name:  # those of people are told by it (``own_tokens``)
        raise BadInput("A program's token has no slash in its name: the tokens of people have. Choose another name.")


def spoken(life: timedelta) -> str:
    """Say a duration in days or minutes."""
    count, unit = (life.days, "day") if life.days else (life.seconds // 60, "minute")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
