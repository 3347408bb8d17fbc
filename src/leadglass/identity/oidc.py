"""Single sign-on: an OpenID provider vouches for somebody, who becomes an account and a session here.

Rule 1. The code flow with PKCE, state and nonce, and nothing else (OpenID Connect
Core 3.1; RFC 9700); what was begun in one browser ends in the same one, once, within
minutes. Rule 2. Somebody is known by issuer and subject, never by a name or an
e-mail address, which providers let people change. Rule 3. Who is in no group that
the operator named is nobody; rights are those of the provider at each sign-in.
Rule 4. The true reason of a refusal goes on record; who asked hears one sentence.
"""

import hmac
import unicodedata
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Final, cast

from leadglass.audit.event import Event, Outcome
from leadglass.audit.refusals import Refusals
from leadglass.errors import BadInput, Busy, Conflict, Denied
from leadglass.identity import secret_text
from leadglass.identity.oidc_claims import Expected, NotProven, UnknownKey, verify
from leadglass.identity.oidc_mapping import Standing
from leadglass.identity.oidc_provider import OidcSettings, Provider
from leadglass.identity.outbound import Json, Unusable, text_of
from leadglass.identity.people import People
from leadglass.identity.person import Person, parse_name
from leadglass.identity.places import network_of
from leadglass.identity.sessions import OpenedSession, Sessions
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Scope
from leadglass.policy.view import View
from leadglass.system import utc_now

REFUSED: Final = "The sign-in provider did not vouch for you, or you have no role here. Ask who manages the archive."
"""What everybody hears who is not let in."""

LIFE: Final = timedelta(minutes=10)
"""How long somebody may take at the provider."""

MOST: Final = 1_000
"""Sign-ins that are begun at one time; the oldest makes room."""

MOST_OF_NETWORK: Final = 100
"""The same from one network, which so can only crowd itself out."""

_LONGEST_CODE: Final = 4_096
_MOST_GROUPS: Final = 2_000


@dataclass(frozen=True, slots=True, repr=False)
class Begun:
    """A sign-in that is begun.

    Parameters
    ----------
    url : str
        Where the browser goes.
    secret : str
        What the browser keeps, as a cookie, until it comes back.
    """

    url: str
    secret: str


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """With what a browser came back (RFC 6749 4.1.2, RFC 9207); hostile until proven otherwise."""

    state: str
    code: str = ""
    issuer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class _Pending:
    secret: bytes
    nonce: str
    verifier: str
    network: str
    until: datetime


@dataclass(frozen=True, slots=True)
class _Vouched:
    """Who the provider says it is."""

    subject: str
    called: str
    groups: frozenset[str]
    standing: Standing | None = field(default=None)


class SignOn:
    """Lets people in for whom a provider vouches. Safe for threads; blocks while the provider is asked.

    Parameters
    ----------
    settings : OidcSettings
        What the operator said of the provider.
    provider : Provider
        It.
    people, sessions : People, Sessions
        Where accounts and sessions are kept.
    refusals : Refusals
        Where those are recorded who are not let in.
    door : str
        For the records.
    clock : callable
        The time now (UTC).
    """

    def __init__(
        self,
        settings: OidcSettings,
        provider: Provider,
        people: People,
        sessions: Sessions,
        refusals: Refusals,
        *,
        door: str = "web",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._people = people
        self._sessions = sessions
        self._refusals = refusals
        self._door = door
        self._clock = clock
        self._lock = Lock()
        self._pending: OrderedDict[bytes, _Pending] = OrderedDict()

    @property
    def life(self) -> timedelta:
        """How long somebody may take at the provider."""
        return LIFE

    def begin(self, peer: str) -> Begun:
        """Begin a sign-in.

        Raises
        ------
        Busy
            When the provider is not reached.
        """
        state, secret, nonce, verifier = (secret_text.make() for _ in range(4))
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        try:
            url = self._provider.authorization_url(state=state, nonce=nonce, challenge=challenge)
        except Busy as error:
            self._record(peer, "provider", error.message)
            raise Busy("The sign-in provider cannot be reached. Try again, or sign in another way.") from error
        network, now = network_of(peer), self._clock()
        with self._lock:
            for digest in [each for each, pending in self._pending.items() if now >= pending.until]:
                del self._pending[digest]
            of_network = [each for each, pending in self._pending.items() if pending.network == network]
            if len(of_network) >= MOST_OF_NETWORK:
                del self._pending[of_network[0]]
            while len(self._pending) >= MOST:
                self._pending.popitem(last=False)
            self._pending[_digest(state)] = _Pending(_digest(secret), nonce, verifier, network, now + LIFE)
        return Begun(url, secret)

    def finish(self, secret: str, answer: Answer, peer: str, *, agent: str = "") -> OpenedSession:
        """End a sign-in that the same browser began: open a session.

        Parameters
        ----------
        secret : str
            What the browser kept; empty when it kept nothing.
        answer : Answer
            With what it came back.
        peer, agent : str
            From where, and with what as that says of itself.

        Raises
        ------
        Denied
            With one sentence, whatever the reason, which is on record.
        Busy
            When the provider is not reached.
        """
        try:
            pending = self._take(secret, answer)
            vouched = self._vouched(pending, answer)
            person = self._account(vouched, peer)
            return self._sessions.open(person, peer, f"OpenID provider {self._settings.issuer}", agent=agent)
        except (Unusable, Denied) as error:
            self._record(peer, "not vouched for", error.message)
            raise Denied(REFUSED) from error
        except Busy as error:
            self._record(peer, "provider", error.message)
            raise Busy("The sign-in provider cannot be reached. Try again, or sign in another way.") from error

    # --- step by step -------------------------------------------------------------

    def _take(self, secret: str, answer: Answer) -> _Pending:
        """Give what was begun; it counts once, whatever comes of it."""
        with self._lock:
            pending = self._pending.get(_digest(answer.state))
            if pending is None:
                raise NotProven("Somebody came back from the provider for a sign-in that was not begun, or is over.")
            if not hmac.compare_digest(pending.secret, _digest(secret)):
                # It stays: who has the state alone must not end somebody else's sign-in.
                raise NotProven("Somebody came back from the provider in another browser than the one that left.")
            del self._pending[_digest(answer.state)]
        if self._clock() >= pending.until:
            raise NotProven("Somebody came back from the provider too late.")
        return pending

    def _vouched(self, pending: _Pending, answer: Answer) -> _Vouched:
        """Exchange the code, and give who it is when everything is as it should be."""
        said, metadata = self._settings, self._provider.metadata()
        if (answer.issuer or metadata.says_issuer) and answer.issuer != said.issuer:
            raise NotProven("An answer came that names another provider, or none (RFC 9207).")
        if answer.error or not 0 < len(answer.code) <= _LONGEST_CODE:
            raise NotProven(f"The provider sent somebody back without a code: {_word(answer.error)}.")
        exchanged = self._provider.exchange(answer.code, pending.verifier)
        expected = Expected(said.issuer, said.client_id, pending.nonce, metadata.algorithms)
        try:
            claims = verify(exchanged.id_token, self._provider.keys(), expected, self._clock())
        except UnknownKey:
            claims = verify(exchanged.id_token, self._provider.keys(anew=True), expected, self._clock())
        subject = text_of(claims, "sub", 255)
        if not subject.isascii() or not subject.isprintable():
            raise NotProven("The ID token names somebody by what is no plain text (OpenID Connect Core 2).")
        more: Json = {}
        if _at(claims, said.groups_claim) is None or _at(claims, said.name_claim) is None:
            more = self._provider.userinfo(exchanged.access_token, subject)
        groups = _groups(_at(claims, said.groups_claim) or _at(more, said.groups_claim))
        called = _at(claims, said.name_claim) or _at(more, said.name_claim)
        return _Vouched(subject, called if isinstance(called, str) else "", groups, said.groups.standing(groups))

    def _account(self, vouched: _Vouched, peer: str) -> Person:
        """Give the account of somebody, made or changed to what the provider says now."""
        origin = f"{self._settings.issuer}#{vouched.subject}"
        provider = self._caller(peer)
        there = next((person for person in self._people.list() if person.origin == origin), None)
        standing = vouched.standing
        if standing is None:
            if there is not None:
                self._sessions.end_all(provider, there.name)
            who = "Somebody" if there is None else there.name
            named = f"{len(vouched.groups)} others" if vouched.groups else "none: see [oidc] groups_claim and scopes"
            raise NotProven(
                f"{who} (subject {vouched.subject}) is in none of the groups of [oidc] groups; "
                f"the provider names {named}."
            )
        if there is not None:
            return self._people.ensure(provider, there.name, standing.role, standing.scope, origin=origin)
        mark = sha256(origin.encode()).hexdigest()
        for name in (_name(vouched.called, mark), f"{_name(vouched.called, mark)[:50]}-{mark[:8]}"):
            try:
                return self._people.ensure(provider, name, standing.role, standing.scope, origin=origin)
            except Conflict:
                continue  # the name is somebody else's, who stays it
        raise NotProven("No name is free for somebody the provider vouches for.")

    def _caller(self, peer: str) -> Caller:
        """Give the provider as a caller: it makes and changes accounts that are its own."""
        reason = "the operator set it up to say who people are ([oidc])"
        grant = Grant(frozenset({Action.MANAGE}), Scope.everything(), View.full(), reason)
        return Caller(CallerKind.PROVIDER, self._settings.issuer, (grant,), peer, "ID token")

    def _record(self, peer: str, why: str, reason: str) -> None:
        event = Event(Outcome.REFUSED, "signin", peer=peer, door=self._door, reason=reason, detail={"why": why})
        self._refusals.add(event, why, reason[:64])


def _at(claims: Mapping[str, object], path: str) -> object:
    """Give a claim by its name, or by names with dots between; None when it is not there."""
    if path in claims:
        return claims[path]
    at: object = claims
    for name in path.split("."):
        at = cast(Mapping[str, object], at).get(name) if isinstance(at, dict) else None
    return at


def _groups(claim: object) -> frozenset[str]:
    listed = cast(list[object], claim) if isinstance(claim, list) else [claim]
    return frozenset(each for each in listed[:_MOST_GROUPS] if isinstance(each, str))


def _name(called: str, mark: str) -> str:
    """Give what an account may be called, near to what somebody is called at the provider."""
    plain = unicodedata.normalize("NFKD", called).encode("ascii", "ignore").decode().lower()
    kept = "".join(each if each.isalnum() or each in "._@+-" else "-" for each in plain)[:60].strip("._@+-")
    try:
        return parse_name(kept)
    except BadInput:
        return f"sso-{mark[:12]}"


def _word(text: str) -> str:
    return "".join(each for each in text[:64] if each.isascii() and (each.isalnum() or each in "_-")) or "nothing"


def _digest(secret: str) -> bytes:
    return secret_text.digest("sign-on", secret)
