"""One's own tokens: what a person's scripts prove themselves with, worth no more than the person.

Rule 1. What one may do is what it was made for **and** what its owner may do now,
without what the owner opened in an emergency; it does nothing of an administrator's. Rule 2. Whose
account is locked, reset or removed has none that count. Rule 3. Only a digest is
kept; a token is shown once, and ends. Rule 4. The first use from an address is on
record before it counts. Rule 5. They have a table of their own: a version of
Leadglass that does not know owners does not know these tokens either, and takes
none of them for a program's.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.crypto.database import transaction, translating
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity import token_text
from leadglass.identity.people import People
from leadglass.identity.person import Person
from leadglass.identity.token_store import LEAST_LIFE, LONGEST_LIFE, MEETING, MEETINGS, REMEMBERED, TokenStore
from leadglass.identity.tokens import TokenRefused, Tokens, Why, spoken
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.narrowing import narrowed
from leadglass.policy.roles import Role, grants_of
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import parse_scope, write_scope
from leadglass.system import utc_now

MOST_TOKENS: Final = 20
"""Tokens of one person that count."""

LONGEST_LABEL: Final = 40

NEVER: Final = frozenset({Action.MANAGE, Action.VERIFY})
"""What no script of a person does: what it made would outlive its owner's account."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS own_token (
        id TEXT PRIMARY KEY NOT NULL,
        owner TEXT NOT NULL CHECK (owner <> ''),
        epoch INTEGER NOT NULL,
        account_made TEXT NOT NULL CHECK (account_made <> ''),
        label TEXT NOT NULL CHECK (label <> ''),
        role TEXT NOT NULL CHECK (role <> ''),
        scope TEXT NOT NULL CHECK (scope <> ''),
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        made TEXT NOT NULL CHECK (made <> ''),
        until TEXT NOT NULL CHECK (until <> ''),
        ended TEXT,
        used TEXT
    ) STRICT""",
    "CREATE UNIQUE INDEX IF NOT EXISTS own_token_that_counts ON own_token (owner, label) WHERE ended IS NULL",
)

_COLUMNS: Final = (
    "SELECT id, owner, epoch, account_made, label, role, scope, made, until, ended, used, digest FROM own_token"
)


@dataclass(frozen=True, slots=True)
class OwnToken:
    """One token of a person, as it is listed. What proves it is not here.

    Parameters
    ----------
    id : str
        Random, to tell it in the audit log.
    owner : str
        Whose it is.
    epoch : int
        How often the owner's account had been reset when it was made.
    account_made : str
        When that account was made: another of the same name is somebody else.
    label : str
        What the owner calls it.
    role : Role
        What it was made for.
    scope : Scope
        On which studies.
    made, until : datetime
        From when until when it counts (UTC).
    ended : datetime, optional
        When it was revoked.
    used : datetime, optional
        When it was last used, to some minutes.
    """

    id: str
    owner: str
    epoch: int
    account_made: str
    label: str
    role: Role
    scope: Scope
    made: datetime
    until: datetime
    ended: datetime | None = None
    used: datetime | None = None

    @property
    def name(self) -> str:
        """What the audit log calls it: ``j.doe/nightly``."""
        return f"{self.owner}/{self.label}"

    def counts(self, now: datetime) -> bool:
        """Say whether it has not ended by itself; whether its owner's account is open is another question."""
        return self.ended is None and now < self.until


@dataclass(frozen=True, slots=True)
class OwnCreated:
    """A new token with its text, which is nowhere else."""

    token: OwnToken
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A token and an address, met: the caller they are, while neither tokens nor people change."""

    caller: Caller
    until: datetime
    versions: tuple[int, int]


class OwnTokens(TokenStore):
    """The tokens of an archive's people.

    Parameters
    ----------
    path : Path
        The sealed database; that of the tokens of programs.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes, and first uses, are recorded.
    people : People
        Whose they are.
    longest : timedelta
        How long a token may live.
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
        self,
        path: Path,
        key: bytes,
        audit: AuditLog,
        people: People,
        *,
        longest: timedelta = LONGEST_LIFE,
        door: str = "cli",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(path, key, _SCHEMA, clock, table="own_token", audit=audit, longest=longest, door=door)
        self._people = people
        self._met: dict[tuple[bytes, str], _Meeting] = {}

    # --- asking ---------------------------------------------------------------------

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller of a token from memory, as of now; None does not mean no: ask ``caller``."""
        try:
            digest = token_text.digest(text)
        except BadInput:
            return None
        meeting = self._met.get((digest, peer))
        if meeting is None or self.now >= meeting.until or meeting.versions != self._versions():
            return None
        self._used[meeting.caller.evidence.split()[1]] = self.now
        return meeting.caller

    def caller(self, text: str, peer: str) -> Caller | None:
        """Give the caller that a token proves; None when it is no person's.

        Raises
        ------
        TokenRefused
            When it is one that does not count. It is not on record yet.
        Busy, Full, Corrupt, Misconfigured
            When it could not be put on record: then it does not count.
        """
        try:
            digest = token_text.digest(text)
        except BadInput:
            return None
        versions = self._versions()  # before looking: what changes meanwhile is looked at anew
        token = self._find("digest = ?", digest)
        if token is None:
            return None
        now = self.now
        grants = self._grants(token, peer, now)
        before = self._met.get((digest, peer))
        if before is not None and now < before.until and before.caller.grants == grants:
            caller, until = before.caller, before.until
        else:
            caller, until = self._meet(token, peer, grants), min(now + MEETING, token.until)
        if len(self._met) >= MEETINGS:
            self._met = {}
        self._met[(digest, peer)] = _Meeting(caller, until, versions)
        self._used[token.id] = now
        return caller

    def mine(self, caller: Caller) -> "list[OwnToken]":
        """Give the caller's own tokens that have not ended, by label."""
        if caller.kind is not CallerKind.PERSON:
            return []
        now = self.now
        return [token for token in self._list("owner = ?", caller.name) if token.counts(now)]

    def everybodys(self, caller: Caller) -> "list[OwnToken]":
        """Give the tokens of all people, those that ended too; for who manages.

        Raises
        ------
        Denied
        """
        said = {"list": "tokens of people"}
        decide_on_record(self._audit.append, caller, Action.MANAGE, door=self._door, detail=said, yes=False)
        return self._list("TRUE")

    def rights(self, token: OwnToken) -> tuple[Grant, ...]:
        """Give what a token may do now; nothing when it, or its owner's account, is closed."""
        person = self._owner(token)
        if person is None or not token.counts(self.now):
            return ()
        return rights_within(token.role, token.scope, person)

    def named(self, name: str) -> OwnToken:
        """Give the token that the audit log calls ``j.doe/nightly``.

        Raises
        ------
        NotHere
        """
        owner, _, label = name.partition("/")
        token = self._find("ended IS NULL AND owner = ? AND label = ?", owner, label)
        if token is None:
            raise NotHere("No person's token is called so. See: leadglass token list")
        return token

    # --- changing -------------------------------------------------------------------

    def create(self, caller: Caller, label: str, role: Role, scope: Scope, ttl: timedelta) -> OwnCreated:
        """Make a token for the caller's own scripts.

        Parameters
        ----------
        caller : Caller
            Whose it is: a person, who has just been proven anew.
        label : str
            What it is for, in a word.
        role : Role
            What it may do, of what its owner may.
        scope : Scope
            On which studies, of those its owner may see.
        ttl : timedelta
            How long it counts.

        Raises
        ------
        Denied
            When the caller is no person of ours.
        BadInput
        Conflict
            When there is one of this label, or as many as there may be.
        """
        if caller.kind is not CallerKind.PERSON:
            raise Denied("Only a person has tokens of their own.")
        person = self._people.get(caller.name)
        if person.origin:
            raise BadInput("Your account is proven by a provider; ask whoever runs this archive for a program's token.")
        _check_label(label)
        if not LEAST_LIFE <= ttl <= self._longest:
            raise BadInput(f"A token counts for {spoken(LEAST_LIFE)} to {spoken(self._longest)}.")
        if not rights_within(role, scope, person):
            raise BadInput("Your account may do nothing of what this token is for. Choose something else.")
        now = self.now.replace(microsecond=0)
        made = person.made.isoformat()
        token = OwnToken(token_hex(4), person.name, person.epoch, made, label, role, scope, now, now + ttl)
        secret = token_text.make()
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute(
                "UPDATE own_token SET ended = until WHERE ended IS NULL AND until <= ?", (_at(now),)
            )
            self._connection.execute("DELETE FROM own_token WHERE until < ?", (_at(now - REMEMBERED),))
            labels = self._connection.execute(
                "SELECT label FROM own_token WHERE owner = ? AND ended IS NULL", (person.name,)
            ).fetchall()
            if (label,) in labels:
                raise Conflict("You have a token of this name. Choose another, or revoke that one.")
            if len(labels) >= MOST_TOKENS:
                raise Conflict(f"You have {MOST_TOKENS} tokens. Revoke one that is not needed.")
            # Inside the transaction: what is not on record is not made.
            self._record(caller, "made a token for a script", token, until=_at(token.until), role=role.value)
            self._connection.execute(
                "INSERT INTO own_token (id, owner, epoch, account_made, label, role, scope, digest, made, until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    token.id,
                    token.owner,
                    token.epoch,
                    token.account_made,
                    label,
                    role.value,
                    json.dumps(write_scope(scope)),
                    token_text.digest(secret),
                    _at(token.made),
                    _at(token.until),
                ),
            )
        return OwnCreated(token, secret)

    def revoke(self, caller: Caller, id: str) -> OwnToken:  # noqa: A002 - what it is
        """End a token, at once and for good: one's own, or anybody's for who manages.

        Raises
        ------
        NotHere
        Denied
        """
        token = self._find("id = ? AND ended IS NULL", id)
        is_own = token is not None and caller.kind is CallerKind.PERSON and token.owner == caller.name
        if token is not None and is_own:
            self._record(caller, "revoked an own token", token)
        else:
            said = {"change": "revoke token", "id": id[:64], "token": "" if token is None else token.name}
            is_there = token is not None
            decide_on_record(self._audit.append, caller, Action.MANAGE, door=self._door, detail=said, yes=is_there)
        if token is None:
            raise NotHere("There is no such token.")
        ended = self.now.replace(microsecond=0)
        with self._lock, transaction(self._connection, self._path.name):
            self._connection.execute(
                "UPDATE own_token SET ended = ? WHERE id = ? AND ended IS NULL", (_at(ended), token.id)
            )
        return replace(token, ended=ended)

    # --- within ---------------------------------------------------------------------

    def _versions(self) -> tuple[int, int]:
        with self._looking() as (version, _):
            return version, self._people.changes

    def _owner(self, token: OwnToken) -> Person | None:
        """Give the owner, as long as the account is the one that made the token, and open."""
        person = self._people.find(token.owner)
        if person is None or person.is_locked or person.origin:
            return None
        is_same = (person.epoch, person.made.isoformat()) == (token.epoch, token.account_made)
        return person if is_same else None

    def _grants(self, token: OwnToken, peer: str, now: datetime) -> tuple[Grant, ...]:
        if not token.counts(now):
            why = Why.REVOKED if token.ended is not None and token.ended < token.until else Why.EXPIRED
            raise TokenRefused(
                f"The token {token.name} ({token.id}) was shown from {peer}; it does not count any more.", why
            )
        person = self._owner(token)
        if person is None:
            raise TokenRefused(
                f"The token {token.name} ({token.id}) was shown from {peer}; the account of {token.owner} is locked, "
                "was reset, or is gone.",
                Why.OWNER,
            )
        return rights_within(token.role, token.scope, person)

    def _meet(self, token: OwnToken, peer: str, grants: tuple[Grant, ...]) -> Caller:
        """Put the first use from an address on record, and give the caller."""
        caller = Caller(CallerKind.TOKEN, token.name, grants, peer, f"token {token.id}")
        reason = f"the token {token.name} is a script's of {token.owner}, until {token.until:%Y-%m-%d %H:%M} UTC"
        detail = {"evidence": caller.evidence, "role": token.role.value, "owner": token.owner}
        self._audit.append(Event.of(caller, Outcome.PERMITTED, "signin", reason, door=self._door, detail=detail))
        return caller

    def _record(self, caller: Caller, what: str, token: OwnToken, **more: str) -> None:
        detail: dict[str, str | int] = {"token": token.name, "id": token.id, **more}
        reason = f"{caller.name} {what}"
        self._audit.append(Event.of(caller, Outcome.DONE, "account", reason, door=self._door, detail=detail))

    def _find(self, where: str, *values: str | bytes) -> OwnToken | None:
        with self._lock, translating(self._path.name):
            row = self._connection.execute(f"{_COLUMNS} WHERE {where}", values).fetchone()
        return None if row is None else _token(row)

    def _list(self, where: str, *values: str) -> "list[OwnToken]":
        with self._lock, translating(self._path.name):
            rows = self._connection.execute(f"{_COLUMNS} WHERE {where} ORDER BY owner, label, made", values).fetchall()
        return [_token(row) for row in rows]


class Bearable:
    """Every token of ours: those of programs, and those of people.

    Parameters
    ----------
    programs : Tokens
        Those of programs.
    own : OwnTokens
        Those of people.
    """

    def __init__(self, programs: Tokens, own: OwnTokens) -> None:
        self._programs = programs
        self._own = own

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller of a token from memory; None: ask ``caller``."""
        return self._programs.known(text, peer) or self._own.known(text, peer)

    def caller(self, text: str, peer: str) -> Caller:
        """Give the caller that a token proves; raises as that of ``Tokens`` and ``OwnTokens``."""
        return self._own.caller(text, peer) or self._programs.caller(text, peer)


def rights_within(role: Role, scope: Scope, owner: Person) -> tuple[Grant, ...]:
    """Give what something made for ``role`` on ``scope`` may do of what its owner may."""
    given = grants_of(role, scope)
    left = narrowed(given, grants_of(owner.role, owner.scope), never=NEVER)
    return tuple(grant for grant in left if not grant.scope.is_nothing)


_Row = tuple[str, str, int, str, str, str, str, str, str, str | None, str | None, bytes]


def _token(row: _Row) -> OwnToken:
    id_, owner, epoch, account_made, label, role, scope, made, until, ended, used, _ = row
    return OwnToken(
        id=id_,
        owner=owner,
        epoch=epoch,
        account_made=account_made,
        label=label,
        role=Role(role),
        scope=parse_scope(json.loads(scope)),
        made=datetime.fromisoformat(made),
        until=datetime.fromisoformat(until),
        ended=None if ended is None else datetime.fromisoformat(ended),
        used=None if used is None else datetime.fromisoformat(used),
    )


def _at(moment: datetime) -> str:
    """Write a time: all of them alike, in UTC, so that they compare as text."""
    return moment.isoformat()


def _check_label(label: str) -> None:
    if not 0 < len(label) <= LONGEST_LABEL or not label.isprintable() or label != label.strip() or "/" in label:
        raise BadInput(f"A token's name has 1 to {LONGEST_LABEL} plain characters and no slash, as in “nightly”.")
