"""Overview: the accounts with what an administrator has to see of them, and nothing that proves any.

Rule: who may not manage hears no, on record, and not which accounts there are.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from leadglass.audit.decision import decide_on_record
from leadglass.identity.accounts import Accounts
from leadglass.identity.person import Person
from leadglass.identity.sessions import Session
from leadglass.identity.store import from_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.scope_words import write_scope


@dataclass(frozen=True, slots=True)
class Overseen:
    """One account as an administrator sees it.

    Parameters
    ----------
    person : Person
        The account.
    sessions : tuple of Session
        Where it is signed in, the last used first.
    signed_in : datetime, optional
        When somebody last signed in with it (UTC); None: never, or not within ``sessions.KNOWN_FOR``.
    """

    person: Person
    sessions: tuple[Session, ...]
    signed_in: datetime | None

    @property
    def stamp(self) -> str:
        """What changes when the account is changed: a form that was shown before is out of date then."""
        person = self.person
        said = (person.role.value, *write_scope(person.scope), str(person.is_locked), str(person.epoch))
        return sha256("\n".join((*said, person.made.isoformat(), person.origin)).encode()).hexdigest()[:16]


class Overview:
    """The accounts of an archive, for those who manage them.

    Parameters
    ----------
    accounts : Accounts
        What there is of people.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def require(self, caller: Caller) -> None:
        """See that somebody manages, before a form is shown.

        Raises
        ------
        Denied
        """
        self._decide(caller, {"show": "form"})

    def everybody(self, caller: Caller) -> list[Overseen]:
        """Give all accounts, by name.

        Raises
        ------
        Denied
        """
        self._decide(caller, {"list": "accounts"})
        signed_in, sessions = self._signed_in(), self._accounts.sessions.by_name()
        return [
            Overseen(person, tuple(sessions.get(person.name, ())), signed_in.get(person.name))
            for person in self._accounts.people.list()
        ]

    def one(self, caller: Caller, name: str) -> Overseen:
        """Give one account.

        Raises
        ------
        Denied, NotHere
        """
        self._decide(caller, {"show": "account", "account": name[:64]})
        person = self._accounts.people.get(name)
        return Overseen(person, tuple(self._accounts.sessions.list(person.name)), self._signed_in().get(person.name))

    def _decide(self, caller: Caller, detail: dict[str, str | int]) -> None:
        store = self._accounts.store
        decide_on_record(store.audit.append, caller, Action.MANAGE, door=store.door, detail=detail, yes=False)

    def _signed_in(self) -> dict[str, datetime]:
        with self._accounts.store.reading() as connection:
            rows = connection.execute("SELECT name, max(seen) FROM known_network GROUP BY name").fetchall()
        return {name: from_stored(seen) for name, seen in rows}
