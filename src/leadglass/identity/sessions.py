"""Sessions: somebody signed in, until that is over.

Rule 1. Only the hash of a session's secret is kept. Rule 2. A session ends when
nothing is asked for a while, at a time in any case, and at once when it is
revoked or its account is locked, reset or removed. Rule 3. It is bound to
nothing that changes by itself, such as an address; where it came from is shown
to whose it is. Rule 4. Rights are not the session's: they are those of the
account now.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Outcome
from leadglass.errors import Denied, NotHere
from leadglass.identity import people as accounts
from leadglass.identity import secret_text
from leadglass.identity.held import Held, Known
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.person import Person
from leadglass.identity.places import network_of
from leadglass.identity.store import from_stored, to_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

IDLE: Final = timedelta(minutes=30)
"""How long nothing may be asked: a reading room's break."""

LONGEST: Final = timedelta(hours=12)
"""How long a session lives whatever is asked: a shift."""

MOST_SESSIONS: Final = 20
"""Sessions of one account; the one that was idle longest makes room."""

KNOWN_FOR: Final = timedelta(days=90)
"""How long it is remembered where somebody signed in from."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session. What proves it is not here.

    Parameters
    ----------
    id : str
        Its public name, which joins the audit records.
    name : str
        Whose it is.
    made, seen, until : datetime
        When it was opened, last used, and when it ends in any case (UTC).
    peer : str
        From where it was opened.
    agent : str
        With what, as that said of itself: hostile.
    evidence : str
        What proved the identity.
    """

    id: str
    name: str
    made: datetime
    seen: datetime
    until: datetime
    peer: str
    agent: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session with its secret, which is nowhere else."""

    session: Session
    secret: str = field(repr=False)


class Sessions:
    """The sessions of one archive. Safe for threads.

    Parameters
    ----------
    store : PeopleStore
        Where they are kept.
    idle, longest : timedelta
        How long nothing may be asked, and how long one lives.
    """

    def __init__(self, store: PeopleStore, *, idle: timedelta = IDLE, longest: timedelta = LONGEST) -> None:
        self._store = store
        self._idle = idle
        self._longest = longest
        self._held = Held(store, "session", idle, lambda: store.changes, self._read)

    @property
    def longest(self) -> timedelta:
        """How long a session lives whatever is asked."""
        return self._longest

    @property
    def idle(self) -> timedelta:
        """How long nothing may be asked."""
        return self._idle

    # --- opening and asking -----------------------------------------------------

    def open(
        self, person: Person, peer: str, evidence: str, *, agent: str = "", password: bytes | None = None
    ) -> OpenedSession:
        """Open a session for somebody whose identity was proven, and put that on record.

        Parameters
        ----------
        person : Person
            Who.
        peer : str
            From which address.
        evidence : str
            What proved it, in words (no secret).
        agent : str
            With what, as that says of itself.
        password : bytes, optional
            What was kept of the password that was shown, where one was: it has to be so still.

        Raises
        ------
        Denied
            When the account is locked, or was changed meanwhile.
        Busy, Full, Corrupt, Misconfigured
        """
        now = self._store.now
        secret = secret_text.make()
        agent = "".join(c for c in agent[:256] if c.isprintable())
        session = Session(uuid4().hex, person.name, now, now, now + self._longest, peer, agent, evidence)
        with self._store.writing() as connection:
            current = accounts.find(connection, person.name)
            is_same = current is not None and (current.epoch, current.made) == (person.epoch, person.made)
            if current is None or current.is_locked or not is_same:
                raise Denied(f"The account {person.name} is locked, or was changed meanwhile.")
            if password is not None and not accounts.has_password(connection, person.name, password):
                raise Denied(f"The password of {person.name} was changed meanwhile.")
            caller = accounts.caller_of(connection, current, peer, evidence, session.id, now)
            # Inside the transaction: who is not on record is not signed in.
            self._store.record(
                caller,
                Outcome.PERMITTED,
                "signin",
                f"{person.name} proved to be it with {evidence}",
                detail={"evidence": evidence, "role": current.role.value},
            )
            self._make_room(connection, person.name)
            connection.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    session.id,
                    digest(secret),
                    session.name,
                    to_stored(now),
                    to_stored(now),
                    to_stored(session.until),
                    peer,
                    agent,
                    evidence,
                ),
            )
            connection.execute(
                "INSERT OR REPLACE INTO known_network VALUES (?, ?, ?)",
                (person.name, network_of(peer), to_stored(now)),
            )
            self._forget_old(connection)
        return OpenedSession(session, secret)

    def known(self, secret: str, peer: str) -> Caller | None:
        """Give the caller of a session from memory, as of now; None does not mean no: ask ``caller``."""
        return self._held.caller(digest(secret), peer)

    def caller(self, secret: str, peer: str, *, is_use: bool = True) -> Caller:
        """Give the caller that a session's secret proves, with the rights of now.

        Parameters
        ----------
        secret : str
            What was shown, hostile until proven otherwise.
        peer : str
            From which address.
        is_use : bool
            Whether somebody asks for something; if not, the session ends as if nobody had asked.

        Raises
        ------
        Denied
            When it proves nobody: unknown, over, or locked. It is not on record yet.
        Busy, Corrupt, Misconfigured
        """
        known = self._held.find(digest(secret))
        if known is None:
            raise Denied("The session is unknown or over. Sign in again.")
        session, person = known.what
        caller = known.met(peer)
        if caller is None:
            with self._store.reading() as connection:
                caller = accounts.caller_of(connection, person, peer, session.evidence, session.id, self._store.now)
            known.meet(peer, caller)
        if is_use:
            self._held.note(known)
        return caller

    def session_of(self, secret: str) -> Session | None:
        """Give the session of a secret, or None when there is none or it is over."""
        known = self._held.find(digest(secret))
        return None if known is None else known.what[0]

    def list(self, name: str) -> "Listed":
        """Give the sessions of an account that are not over, the last used first."""
        now = self._store.now
        with self._store.reading() as connection:
            rows = connection.execute(f"{_COLUMNS} WHERE name = ? ORDER BY seen DESC", (name,)).fetchall()
        return [each for each in map(_session, rows) if self._held.is_alive(each, now)]

    def by_name(self) -> dict[str, "Listed"]:
        """Give the sessions of all accounts that are not over, the last used of each first."""
        now = self._store.now
        with self._store.reading() as connection:
            rows = connection.execute(f"{_COLUMNS} ORDER BY seen DESC").fetchall()
        found: dict[str, Listed] = {}
        for each in map(_session, rows):
            if self._held.is_alive(each, now):
                found.setdefault(each.name, []).append(each)
        return found

    # --- ending -----------------------------------------------------------------

    def end(self, caller: Caller, id: str, *, why: str = "signed out") -> None:  # noqa: A002 - what it is
        """End one of the caller's own sessions, or anybody's for who manages.

        Raises
        ------
        NotHere
            When the caller has none of this id.
        Denied
        """
        with self._store.reading() as connection:
            row = connection.execute(f"{_COLUMNS} WHERE id = ?", (id,)).fetchone()
        session = None if row is None else _session(row)
        is_own = session is not None and caller.kind is CallerKind.PERSON and session.name == caller.name
        if caller.kind is CallerKind.PERSON and not is_own and not _manages(caller):
            raise NotHere("There is no such session.")
        if session is None:
            raise NotHere("There is no such session. See: leadglass user sessions")
        said = {"account": session.name, "session": session.id}
        if is_own:
            self._store.record(caller, Outcome.PERMITTED, "signout", why, detail=said)
        else:
            said["change"] = "end session"
            decide_on_record(self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said)
        with self._store.writing() as connection:
            connection.execute("DELETE FROM session WHERE id = ?", (id,))

    def end_own(self, caller: Caller, id: str) -> None:  # noqa: A002 - what it is
        """End one of the caller's own sessions.

        Raises
        ------
        NotHere
            When the caller has none of this id.
        """
        if all(each.id != id for each in self.list(caller.name)):
            raise NotHere("There is no such session.")
        self.end(caller, id)

    def end_of(self, caller: Caller, name: str, id: str) -> None:  # noqa: A002 - what it is
        """End one session of an account; for who manages.

        Raises
        ------
        Denied
        NotHere
            When the account has none of this id.
        """
        if _manages(caller) and all(each.id != id for each in self.list(name)):
            raise NotHere("There is no such session.")
        self.end(caller, id)

    def end_replaced(self, secret: str, peer: str) -> None:
        """End the session whose secret a browser held until it was given another one."""
        try:
            caller = self.caller(secret, peer)
        except Denied:
            return  # it was over
        self.end(caller, caller.session, why="signed in anew")

    def end_all(self, caller: Caller, name: str, *, but: str = "") -> int:
        """End the sessions of an account: the caller's own, or anybody's for who manages; gives how many.

        Parameters
        ----------
        but : str
            Id of one that goes on.

        Raises
        ------
        Denied
        """
        ending = [each.id for each in self.list(name) if each.id != but]
        said: dict[str, str | int] = {"account": name, "sessions": len(ending)}
        if caller.kind is CallerKind.PERSON and caller.name == name:
            self._store.record(caller, Outcome.PERMITTED, "signout", "ended its other sessions", detail=said)
        else:
            said["change"] = "end sessions"
            decide_on_record(self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said)
        with self._store.writing() as connection:
            connection.executemany("DELETE FROM session WHERE id = ?", [(each,) for each in ending])
        return len(ending)

    # --- within -------------------------------------------------------------------

    def _read(self, hashed: bytes, now: datetime) -> Known[tuple[Session, Person]] | None:
        with self._store.reading() as connection:
            row = connection.execute(f"{_COLUMNS} WHERE hash = ?", (hashed,)).fetchone()
            if row is None:
                return None
            session = _session(row)
            person = accounts.find(connection, session.name)
            ends = connection.execute(
                "SELECT min(until) FROM glass WHERE name = ? AND until > ?", (session.name, to_stored(now))
            ).fetchone()[0]
        if person is None or person.is_locked:
            return None
        fresh_until = session.until if ends is None else min(session.until, from_stored(ends))
        return Known(session.id, session.seen, session.until, fresh_until, (session, person))

    def _make_room(self, connection: "driver.Connection", name: str) -> None:
        connection.execute(
            "DELETE FROM session WHERE name = ? AND id NOT IN "
            "(SELECT id FROM session WHERE name = ? ORDER BY seen DESC LIMIT ?)",
            (name, name, MOST_SESSIONS - 1),
        )

    def _forget_old(self, connection: "driver.Connection") -> None:
        """Remove what is over: nobody asks for it any more."""
        now = self._store.now
        connection.execute(
            "DELETE FROM session WHERE until <= ? OR seen <= ?", (to_stored(now), to_stored(now - self._idle))
        )
        connection.execute("DELETE FROM known_network WHERE seen <= ?", (to_stored(now - KNOWN_FOR),))


Listed = list[Session]

_COLUMNS: Final = "SELECT id, name, made, seen, until, peer, agent, evidence FROM session"


def digest(secret: str) -> bytes:
    """Give what is kept of a secret: it is random and long, so that nothing has to be stretched."""
    return secret_text.digest("session", secret)


def csrf_of(secret: str) -> str:
    """Give what a form of this session has to carry: known to its pages, and to nobody who lacks the secret."""
    mac = hmac.digest(secret.encode("utf-8", "surrogatepass"), b"leadglass csrf", "sha256")
    return urlsafe_b64encode(mac[:24]).decode()


def is_csrf(secret: str, shown: str) -> bool:
    """Say whether a form carries what its session's pages carry."""
    return hmac.compare_digest(csrf_of(secret).encode(), shown.encode("utf-8", "surrogatepass"))


def _manages(caller: Caller) -> bool:
    return any(Action.MANAGE in grant.actions for grant in caller.grants)


_Row = tuple[str, str, str, str, str, str, str, str]


def _session(row: _Row) -> Session:
    id_, name, made, seen, until, peer, agent, evidence = row
    return Session(id_, name, from_stored(made), from_stored(seen), from_stored(until), peer, agent, evidence)
