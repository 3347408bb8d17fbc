"""Signing in: a name, a password and a second factor become a session.

Rule 1. Whoever is not let in hears one answer in one time, whether the account
is not there, is locked, has no password or the password is wrong; the true reason
goes on record, without the name of an account that is not there (people type
passwords into the wrong field). Rule 2. Guessing gets slower (``lockout``) and
is bounded (``passwords``). Rule 3. What is proven lasts minutes until the second
factor is shown.
"""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.refusals import Refusals
from leadglass.crypto.passphrase import Cost, Stretch, normal
from leadglass.errors import BadInput, Busy, Denied, Throttled
from leadglass.identity import people as accounts
from leadglass.identity import secret_text
from leadglass.identity.lockout import Lockout
from leadglass.identity.onetime import OneTime, Purpose
from leadglass.identity.passwords import Hash, Passwords, require_good
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.person import Person, parse_name
from leadglass.identity.places import network_of
from leadglass.identity.sessions import OpenedSession, Sessions
from leadglass.identity.totp import SecondFactors
from leadglass.policy.caller import Caller

REFUSED: Final = "The name or the password is not right."
"""What everybody hears who is not let in."""

REFUSED_CODE: Final = "That code is not right, or was used already."

TICKET_LIFE: Final = timedelta(minutes=5)
"""How long a second factor may take."""

TICKET_TRIES: Final = 5

MOST_TICKETS: Final = 1_000

_ALERT_AT: Final = frozenset({10, 50, 200, 1_000})
"""Failures of one account, from one network or from all, at which the operator is told."""

_ALERT_OF_NETWORK_AT: Final = frozenset({200, 1_000, 5_000})
"""The same of one network, at whatever accounts: a hospital behind one address mistypes a lot."""


class Why(StrEnum):
    """The kinds of refusal; for the record, never for the stranger."""

    UNKNOWN = "unknown account"
    NO_PASSWORD = "account without a password"  # noqa: S105 - a word, not a secret
    PASSWORD = "wrong password"  # noqa: S105 - likewise
    LOCKED = "locked account"
    CODE = "wrong code"
    WAITING = "too many attempts"
    LINK = "unknown link"


@dataclass(frozen=True, slots=True)
class NeedsSecond:
    """The password was right, and a second factor is needed.

    Parameters
    ----------
    ticket : str
        Proves the first step; for some minutes.
    """

    ticket: str = field(repr=False)


@dataclass(slots=True)
class _Ticket:
    name: str
    epoch: int
    password: bytes
    until: datetime
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Proven:
    """Whose password it is, and which it was: when it is another by the time of the session, it proved nothing."""

    person: Person
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Found:
    person: Person | None
    hashed: Hash | None
    is_known_here: bool


class SignIn:
    """Lets people in. Safe for threads; blocks while a password is hashed.

    Parameters
    ----------
    store : PeopleStore
        Where accounts are kept.
    sessions : Sessions
        Where sessions are opened.
    factors : SecondFactors
        What knows second factors.
    links : OneTime
        What knows one-time links.
    passwords : Passwords
        What hashes.
    refusals : Refusals
        Where those are recorded who are not let in.
    lockout : Lockout
        What counts them.
    """

    def __init__(
        self,
        store: PeopleStore,
        sessions: Sessions,
        factors: SecondFactors,
        links: OneTime,
        passwords: Passwords,
        refusals: Refusals,
        lockout: Lockout,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._factors = factors
        self._links = links
        self._passwords = passwords
        self._refusals = refusals
        self._lockout = lockout
        self._lock = Lock()
        self._tickets: OrderedDict[bytes, _Ticket] = OrderedDict()

    # --- letting in -----------------------------------------------------------------

    def sign_in(self, name: str, password: str, peer: str, *, agent: str = "") -> OpenedSession | NeedsSecond:
        """Let somebody in by name and password.

        Parameters
        ----------
        name, password : str
            What was typed; hostile.
        peer : str
            From which address.
        agent : str
            With what, as that says of itself.

        Raises
        ------
        Denied
            When not, with what may be said.
        Throttled
            When it has to wait.
        Busy, Full, Corrupt, Misconfigured
        """
        proven = self._prove(name, password, peer)
        if proven.person.has_totp:
            return NeedsSecond(self._new_ticket(proven))
        return self._sessions.open(proven.person, peer, "a password", agent=agent, password=proven.password)

    def second(self, ticket: str, code: str, peer: str, *, agent: str = "") -> OpenedSession:
        """Let somebody in whose password was right, by a code of the authenticator app or a recovery code.

        Raises
        ------
        Denied
            When the code is none, or the ticket is over: then its message says to begin anew.
        Throttled, Busy, Full, Corrupt, Misconfigured
        """
        held = self._ticket(ticket)
        if held is None:
            raise Denied("That took too long. Sign in again.")
        network, counted = network_of(peer), f"{held.name}\nsecond"
        with self._attempt(counted, network, peer, held.name, is_known=False):
            shown = self._factors.check(held.name, code[:64])
            if shown is None:
                self._failed(counted, network, peer, Why.CODE, held.name)
                raise Denied(REFUSED_CODE)
            self._forget(ticket)
            self._lockout.succeeded(counted, network)
        person = self._find(held.name, network).person
        if person is None or person.epoch != held.epoch:
            raise Denied("The account was changed meanwhile. Sign in again.")
        return self._sessions.open(person, peer, f"a password and {shown}", agent=agent, password=held.password)

    def by_link(self, secret: str, peer: str, *, agent: str = "") -> OpenedSession:
        """Let somebody in by a one-time link; it is used up.

        Raises
        ------
        Denied
        """
        if self._links.whose(secret, Purpose.SIGN_IN) is None:  # strangers do not get to hold the one writer
            raise self._refuse_link(peer)
        with self._store.writing() as connection:
            person = self._links.redeem(connection, secret, Purpose.SIGN_IN)
        return self._sessions.open(person, peer, "a one-time link", agent=agent)

    def set_up(self, secret: str, password: str, peer: str, *, agent: str = "") -> OpenedSession:
        """Choose a password by a set-up link, and be signed in; the link is used up when the password is good.

        Raises
        ------
        Denied
        BadInput
            When the password is not good enough.
        """
        person = self._links.whose(secret, Purpose.SET_UP)
        if person is None:
            raise self._refuse_link(peer)
        hashed = self._passwords.hash(require_good(password, person.name), network_of(peer))
        evidence = "a set-up link"
        with self._store.writing() as connection:
            person = self._links.redeem(connection, secret, Purpose.SET_UP)
            caller = accounts.caller_of(connection, person, peer, evidence, None, self._store.now)
            self._store.record(caller, Outcome.DONE, "account", f"{person.name} chose a password by {evidence}")
            accounts.keep_password(connection, person.name, hashed, self._store.now)
            accounts.end_everything(connection, person.name)
        return self._sessions.open(person, peer, evidence, agent=agent)

    # --- one's own account ------------------------------------------------------------

    def confirm(self, caller: Caller, password: str) -> Person:
        """See that it is still the owner who is there, before something that matters.

        Raises
        ------
        Denied, Throttled, Busy
        """
        return self._prove(caller.name, password, caller.peer).person

    def change_password(self, caller: Caller, current: str, new: str) -> None:
        """Change one's own password; all other sessions, and links, end.

        Raises
        ------
        Denied
            When the current one is not right.
        BadInput
            When the new one is not good enough.
        Throttled, Busy
        """
        person = self.confirm(caller, current)
        new = require_good(new, person.name)
        if normal(current) == new:
            raise BadInput("The new password is the old one. Choose another.")
        hashed = self._passwords.hash(new, network_of(caller.peer))
        with self._store.writing() as connection:
            self._store.record(caller, Outcome.DONE, "account", f"{person.name} changed the password")
            accounts.keep_password(connection, person.name, hashed, self._store.now)
            accounts.end_everything(connection, person.name, but=caller.session)

    # --- within -----------------------------------------------------------------------

    def _prove(self, name: str, password: str, peer: str) -> _Proven:
        """Find the account whose name and password these are."""
        claimed = _claimed(name)
        network = network_of(peer)
        found = self._find(claimed, network)
        person = found.person
        said = "" if person is None else person.name
        with self._attempt(claimed, network, peer, said, is_known=found.is_known_here):
            is_right = self._passwords.matches(normal(password), found.hashed, network)
            if person is None:
                why = Why.UNKNOWN
            elif found.hashed is None:
                why = Why.NO_PASSWORD
            elif not is_right:
                why = Why.PASSWORD
            elif person.is_locked:
                why = Why.LOCKED
            else:
                self._lockout.succeeded(claimed, network)
                return _Proven(person, self._rehashed(person, password, found.hashed, network))
            self._failed(claimed, network, peer, why, said)
        raise Denied(REFUSED)

    def _find(self, name: str, network: str) -> _Found:
        with self._store.reading() as connection:
            person = accounts.find(connection, name)
            row = connection.execute(
                "SELECT salt, hash, memory_kib, passes, lanes FROM password WHERE name = ?", (name,)
            ).fetchone()
            known = connection.execute(
                "SELECT 1 FROM known_network WHERE name = ? AND network = ?", (name, network)
            ).fetchone()
        hashed = None if row is None else Hash(Stretch(bytes(row[0]), Cost(row[2], row[3], row[4])), bytes(row[1]))
        return _Found(person, hashed, is_known_here=known is not None)

    @contextmanager
    def _attempt(self, name: str, network: str, peer: str, said: str, *, is_known: bool) -> Generator[None]:
        """Look at an attempt inside of the block, unless it has to wait."""
        with self._lockout.attempt(name, network, is_known=is_known) as wait:
            if wait > 0:
                self._record(peer, Why.WAITING, said)
                raise Throttled("Too many attempts failed. Wait, then try again.", wait)
            yield

    def _failed(self, name: str, network: str, peer: str, why: Why, said: str) -> None:
        failures = self._lockout.failed(name, network)
        everywhere, of_network = self._lockout.everywhere(name), self._lockout.of_network(network)
        self._record(peer, why, said)
        whom = f"the account {said}" if said else "an account that is not there"
        if failures in _ALERT_AT:
            self._alert(peer, why, f"{failures} attempts to sign in to {whom} failed from {network}")
        elif everywhere in _ALERT_AT:
            self._alert(peer, why, f"{everywhere} attempts to sign in to {whom} failed, from several networks")
        elif of_network in _ALERT_OF_NETWORK_AT:
            self._alert(peer, why, f"{of_network} attempts to sign in failed from {network}, at several accounts")

    def _alert(self, peer: str, why: Why, what: str) -> None:
        reason = f"{what}; each next one has to wait"
        self._store.audit.append(
            Event(Outcome.ALERT, "signin", peer=peer, door=self._store.door, reason=reason, detail={"why": why})
        )

    def _refuse_link(self, peer: str) -> Denied:
        self._record(peer, Why.LINK, "")
        return Denied("The link is unknown, was used already, or is over. Ask for a new one.")

    def _record(self, peer: str, why: Why, said: str) -> None:
        detail: dict[str, str | int] = {"why": why.value}
        if said:
            detail["account"] = said
        reason = f"Nobody was signed in: {why}."
        event = Event(Outcome.REFUSED, "signin", peer=peer, door=self._store.door, reason=reason, detail=detail)
        self._refusals.add(event, why, said)

    def _rehashed(self, person: Person, password: str, hashed: Hash, network: str) -> bytes:
        """Bring a password to the cost of today, now that it is known; gives the hash that is kept of it."""
        if not self._passwords.is_outdated(hashed):
            return hashed.value
        with suppress(Busy):  # another time
            fresh = self._passwords.hash(normal(password), network)
            with self._store.writing() as connection:
                # It took a while: a password that was changed meanwhile does not come back.
                if accounts.has_password(connection, person.name, hashed.value):
                    accounts.keep_password(connection, person.name, fresh, self._store.now)
                    return fresh.value
        return hashed.value

    # --- between the two steps ----------------------------------------------------------

    def _new_ticket(self, proven: _Proven) -> str:
        ticket = secret_text.make()
        held = _Ticket(proven.person.name, proven.person.epoch, proven.password, self._store.now + TICKET_LIFE)
        with self._lock:
            self._tickets[_digest(ticket)] = held
            while len(self._tickets) > MOST_TICKETS:
                self._tickets.popitem(last=False)
        return ticket

    def _ticket(self, ticket: str) -> _Ticket | None:
        with self._lock:
            held = self._tickets.get(_digest(ticket))
            if held is None:
                return None
            held.tries += 1
            if held.tries > TICKET_TRIES or self._store.now >= held.until:
                del self._tickets[_digest(ticket)]
                return None
            return held

    def _forget(self, ticket: str) -> None:
        with self._lock:
            self._tickets.pop(_digest(ticket), None)


def _claimed(name: str) -> str:
    """Give what is counted under: the name, or for what no account can be called one word for all."""
    try:
        return parse_name(name[:256])
    except BadInput:
        return "?"


def _digest(ticket: str) -> bytes:
    return secret_text.digest("ticket", ticket)
