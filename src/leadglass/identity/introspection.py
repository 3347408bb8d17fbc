"""Tokens of another authorization server, which is asked what they are worth (RFC 7662).

Rule 1. A token counts only while that server says so, for the audience the operator
named, with an end; what it may is what the operator wrote for its scopes, and
nothing is guessed from their names. Rule 2. An answer is kept for a minute at most.
Rule 3. A flood of made-up tokens neither reaches that server nor holds our threads.
Rule 4. Nobody manages this archive by somebody else's token.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import BoundedSemaphore, Lock
from typing import Final, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.errors import BadInput, Busy, Denied, Misconfigured, Throttled
from leadglass.identity import token_text
from leadglass.identity.oidc_mapping import RoleMapping, Standing
from leadglass.identity.outbound import Json, Outbound, Unusable, require_https, text_of, words_of
from leadglass.identity.places import network_of
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import NEEDS_NO_IMAGES, grants_of, own_scope
from leadglass.policy.scope import Field, Scope
from leadglass.policy.scope_words import parse_scope, write_scope
from leadglass.system import utc_now

KEEP: Final = timedelta(seconds=60)
"""How long an answer is kept: so long a token that was revoked there goes on here."""

KEEP_NO: Final = timedelta(seconds=20)

PATIENT: Final = "{patient}"
"""Stands in a scope for the Patient ID that the token names."""

MOST_WRONG: Final = 30
"""Tokens that count for nothing, of one network in a minute, until it is not asked about more of them."""

_MINUTE: Final = timedelta(minutes=1)
_MEETING: Final = timedelta(hours=1)
_KEPT: Final = 4_096
_AT_ONCE: Final = 4
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class IntrospectionSettings:
    """What the operator said of the other server.

    Parameters
    ----------
    endpoint : str
        Its introspection endpoint.
    client_id, client_secret : str
        How the archive proves itself there.
    audience : str
        Whom a token has to be for.
    issuer : str
        Who has to have made it; empty: the endpoint is trusted to know.
    scopes : RoleMapping
        Which scopes are which roles.
    patient_claim : str
        Which member of the answer is the Patient ID; empty: none.
    """

    endpoint: str
    client_id: str
    client_secret: str = field(repr=False)
    audience: str
    issuer: str = ""
    scopes: RoleMapping = field(default_factory=RoleMapping)
    patient_claim: str = ""


@dataclass(frozen=True, slots=True)
class _Worth:
    """What a token is worth, as it was said: nothing, or whose it is and what it may."""

    until: datetime
    refused: str = ""
    name: str = ""
    subject: str = ""
    standing: Standing | None = None


@dataclass(slots=True)
class _Meeting:
    """One token at one address: the session that joins its records."""

    session: str
    until: datetime


class Introspection:
    """Knows what tokens of another server are worth. Safe for threads.

    Parameters
    ----------
    settings : IntrospectionSettings
        What the operator said of it.
    outbound : Outbound
        What asks it.
    audit : AuditLog
        Where first uses are recorded.
    door : str
        For the records.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured
        When the settings cannot work.
    """

    def __init__(
        self,
        settings: IntrospectionSettings,
        outbound: Outbound,
        audit: AuditLog,
        *,
        door: str = "web",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._host = require_https(settings.endpoint)
        if not settings.audience or not settings.client_id or not settings.client_secret:
            raise Misconfigured(
                "[introspection] needs client_id, client_secret_file and audience: a token for somebody else must not "
                "count here. Correct leadglass.toml."
            )
        for line in settings.scopes.lines:
            if line.standing.role in NEEDS_NO_IMAGES:
                raise Misconfigured(
                    f"[introspection] scopes: {line.group} is to be {line.standing.role}. Tokens of others do not "
                    "manage this archive; make one of its own: leadglass token create"
                )
        self._settings = settings
        self._outbound = outbound
        self._audit = audit
        self._door = door
        self._clock = clock
        self._lock = Lock()
        self._places = BoundedSemaphore(_AT_ONCE)
        self._worth: OrderedDict[bytes, _Worth] = OrderedDict()
        self._met: OrderedDict[tuple[bytes, str], _Meeting] = OrderedDict()
        self._wrong: OrderedDict[str, list[datetime]] = OrderedDict()

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller of a token that was asked about within the minute; None: ask ``caller``."""
        digest, now = _digest(text), self._clock()
        with self._lock:
            worth, meeting = self._worth.get(digest), self._met.get((digest, peer))
        if worth is None or worth.refused or now >= worth.until or meeting is None or now >= meeting.until:
            return None
        return self._caller(worth, peer, meeting.session)

    def caller(self, text: str, peer: str) -> Caller:
        """Give the caller that a token proves.

        Raises
        ------
        Denied
            When it proves nobody. It is not on record yet.
        Throttled
            When too many of the peer's network proved nobody.
        Busy, Full, Corrupt, Misconfigured
            When it cannot be said now: then it does not count.
        """
        digest = _digest(text)
        worth = self._find(digest, text, peer)
        if worth.refused:
            raise Denied(f"A token was shown from {peer}. {worth.refused}")
        return self._meet(digest, worth, peer)

    def _find(self, digest: bytes, text: str, peer: str) -> _Worth:
        now, network = self._clock(), network_of(peer)
        with self._lock:
            worth = self._worth.get(digest)
            if worth is not None and now < worth.until:
                return worth
            wrong = [when for when in self._wrong.get(network, ()) if now - when < _MINUTE]
            if len(wrong) >= MOST_WRONG:
                raise Throttled("Too many tokens of your network counted for nothing.", _MINUTE.total_seconds())
        if not self._places.acquire(timeout=1.0):
            raise Busy("The authorization server is being asked about many tokens. Try again.")
        try:
            worth = self._ask(text)
        finally:
            self._places.release()
        with self._lock:
            _keep(self._worth, digest, worth)
            if worth.refused:
                _keep(self._wrong, network, [*wrong, now])
        return worth

    def _ask(self, text: str) -> _Worth:
        said = self._settings
        basic = (quote(said.client_id, safe=""), quote(said.client_secret, safe=""))
        form = {"token": text, "token_type_hint": "access_token"}
        try:
            status, answer = self._outbound.post(said.endpoint, form, basic=basic)
        except Unusable as error:
            raise Busy(error.message) from error
        if status != 200:
            raise Busy(f"{self._host} does not say what tokens are worth (status {status}).")
        now = self._clock()
        refused = self._refusal(answer, now)
        if refused:
            return _Worth(now + KEEP_NO, refused)
        client, subject = text_of(answer, "client_id", 256), text_of(answer, "sub", 256)
        name = _plain(client if not subject or subject == client else f"{client}/{subject}")
        standing = self._standing(answer)
        if standing is None or not name:
            return _Worth(now + KEEP_NO, "None of its scopes is in [introspection] scopes, or it names no client.")
        until = min(now + KEEP, datetime.fromtimestamp(_time(answer, "exp") or 0, UTC))
        return _Worth(until, "", name, _plain(subject or client), standing)

    def _refusal(self, answer: Json, now: datetime) -> str:
        """Say why a token counts for nothing; empty when it does."""
        said = self._settings
        if answer.get("active") is not True:
            return f"{self._host} says that it is not active."
        if said.audience not in words_of(answer, "aud"):
            return "It is for another audience than [introspection] audience."
        if said.issuer and answer.get("iss") != said.issuer:
            return "It was made by another issuer than [introspection] issuer."
        until, since = _time(answer, "exp"), _time(answer, "nbf")
        if until is None or until <= now.timestamp():
            return "It has no end, or has expired."
        if since is not None and since > now.timestamp() + 60:
            return "It does not count yet."
        kind = text_of(answer, "token_type", 32)
        return (
            "It is bound to a key (DPoP), which is not checked here."
            if kind.lower() == "dpop" or "cnf" in answer
            else ""
        )

    def _standing(self, answer: Json) -> Standing | None:
        """Give what its scopes are here; a scope that needs a patient is nothing without one."""
        standing = self._settings.scopes.standing(text_of(answer, "scope", 16_384).split())
        if standing is None or standing.scope is None:
            return standing
        patient = text_of(answer, self._settings.patient_claim, 64) if self._settings.patient_claim else ""
        words: list[str] = []
        for word in write_scope(standing.scope):
            name, _, value = word.partition("=")
            if name.partition("@")[0] != Field.PATIENT or value != PATIENT:
                words.append(word)
            elif patient and patient != PATIENT:
                words.append(f"{name}={patient}")
        try:
            return Standing(standing.role, parse_scope(words))
        except BadInput:
            return Standing(standing.role, Scope.nothing())

    def _meet(self, digest: bytes, worth: _Worth, peer: str) -> Caller:
        """Put the first use from an address on record, and join what is done within the hour."""
        now = self._clock()
        with self._lock:
            meeting = self._met.get((digest, peer))
        if meeting is not None and now < meeting.until:
            return self._caller(worth, peer, meeting.session)
        meeting = _Meeting(uuid4().hex, now + _MEETING)
        caller = self._caller(worth, peer, meeting.session)
        reason = f"{self._host} says whose the token is"
        detail = {"evidence": caller.evidence}
        self._audit.append(Event.of(caller, Outcome.PERMITTED, "signin", reason, door=self._door, detail=detail))
        with self._lock:
            _keep(self._met, (digest, peer), meeting)
        return caller

    def _caller(self, worth: _Worth, peer: str, session: str) -> Caller:
        standing = worth.standing
        grants = () if standing is None else grants_of(standing.role, standing.scope or own_scope(standing.role))
        evidence = f"token of {self._host}, subject {worth.subject}"
        return Caller(CallerKind.CLIENT, worth.name, grants, peer, evidence, session)


class TokenBook(Protocol):
    """Who knows tokens of ours (``Tokens``, ``Bearable``)."""

    def known(self, text: str, peer: str) -> Caller | None: ...  # noqa: D102
    def caller(self, text: str, peer: str) -> Caller: ...  # noqa: D102


class Bearers:
    """Every kind of bearer token: the archive's own by their form, all others by asking.

    Parameters
    ----------
    own : TokenBook
        Those of the archive.
    others : Introspection
        Who asks about others.
    """

    def __init__(self, own: TokenBook, others: Introspection) -> None:
        self._own = own
        self._others = others

    def known(self, text: str, peer: str) -> Caller | None:
        """Give the caller of a token from memory; None: ask ``caller``."""
        return (self._own if token_text.looks_like_ours(text) else self._others).known(text, peer)

    def caller(self, text: str, peer: str) -> Caller:
        """Give the caller that a token proves; raises as that of ``Tokens`` and ``Introspection``."""
        return (self._own if token_text.looks_like_ours(text) else self._others).caller(text, peer)


K = TypeVar("K")
V = TypeVar("V")


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    """Remember something, and forget the oldest."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _time(answer: Json, name: str) -> float | None:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e11:
        return None
    return float(value)


def _plain(text: str) -> str:
    return "".join(each for each in text if each.isascii() and each.isprintable() and each != " ")[:_LONGEST_NAME]


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
