"""One-time links: what lets somebody in who has no password yet.

Rule 1. Only the hash of its secret is kept, it counts once, and it ends. Rule 2. A
new link to an account ends the older ones. How a link is written, so that nobody
else gets to see its secret, is the doors' (``doors.links``).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from leadglass.audit.decision import decide_on_record
from leadglass.errors import BadInput, Denied
from leadglass.identity import people as accounts
from leadglass.identity import secret_text
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.person import Person
from leadglass.identity.store import from_stored, to_stored
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller

if TYPE_CHECKING:
    from leadglass.crypto.database import driver

SET_UP_LIFE: Final = timedelta(hours=72)
"""How long a set-up link counts: over a weekend."""

SIGN_IN_LIFE: Final = timedelta(hours=12)
"""How long the link of a demo counts."""


class Purpose(StrEnum):
    """What a link is for."""

    SET_UP = "set-up"
    """Choosing a password."""
    SIGN_IN = "sign-in"
    """Being signed in."""


@dataclass(frozen=True, slots=True)
class Link:
    """A new link, which is nowhere else.

    Parameters
    ----------
    name : str
        The account it opens.
    purpose : Purpose
        What it is for.
    until : datetime
        When it ends (UTC).
    secret : str
        What proves it.
    """

    name: str
    purpose: Purpose
    until: datetime
    secret: str = field(repr=False)


class OneTime:
    """The one-time links of an archive.

    Parameters
    ----------
    store : PeopleStore
        Where they are kept.
    """

    def __init__(self, store: PeopleStore) -> None:
        self._store = store

    def make(self, caller: Caller, person: Person, purpose: Purpose, *, life: timedelta | None = None) -> Link:
        """Make a link; older ones to the account end.

        Parameters
        ----------
        caller : Caller
            Who asks; needs ``MANAGE``.

        Raises
        ------
        Denied
        BadInput
            When somebody else vouches for the account: who is let go there must not come in here by a password.
        """
        if person.origin:
            raise BadInput(f"{person.name} signs in by a provider, and has no link or password here.")
        life = life or (SET_UP_LIFE if purpose is Purpose.SET_UP else SIGN_IN_LIFE)
        link = Link(person.name, purpose, self._store.now + life, secret_text.make())
        said: dict[str, str | int] = {
            "change": f"{purpose} link",
            "account": person.name,
            "until": to_stored(link.until)[:16],
        }
        decide_on_record(self._store.audit.append, caller, Action.MANAGE, door=self._store.door, detail=said)
        with self._store.writing() as connection:
            connection.execute("DELETE FROM link WHERE name = ?", (person.name,))
            connection.execute(
                "INSERT INTO link VALUES (?, ?, ?, ?)",
                (_digest(link.secret), person.name, purpose.value, to_stored(link.until)),
            )
        return link

    def whose(self, secret: str, purpose: Purpose) -> Person | None:
        """Give the account that a link opens now, or None; the link is not used up."""
        with self._store.reading() as connection:
            return self._whose(connection, secret, purpose)

    def redeem(self, connection: "driver.Connection", secret: str, purpose: Purpose) -> Person:
        """Use a link up, in a transaction of who asks.

        Raises
        ------
        Denied
            When it opens nothing: unknown, used, over, or the account is locked.
        """
        person = self._whose(connection, secret, purpose)
        if person is None:
            raise Denied("The link is unknown, was used already, or is over.")
        connection.execute("DELETE FROM link WHERE hash = ?", (_digest(secret),))
        return person

    def _whose(self, connection: "driver.Connection", secret: str, purpose: Purpose) -> Person | None:
        row = connection.execute(
            "SELECT name, until FROM link WHERE hash = ? AND purpose = ?", (_digest(secret), purpose.value)
        ).fetchone()
        if row is None or from_stored(row[1]) <= self._store.now:
            return None
        person = accounts.find(connection, row[0])
        return None if person is None or person.is_locked else person


def _digest(secret: str) -> bytes:
    return secret_text.digest("link", secret)
