"""Accounts: everything that has to do with people, opened together over one database."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.passphrase import Cost
from leadglass.identity.breakglass import BreakGlass
from leadglass.identity.lockout import Lockout
from leadglass.identity.onetime import OneTime
from leadglass.identity.passwords import COST, Passwords
from leadglass.identity.people import People
from leadglass.identity.people_store import PeopleStore
from leadglass.identity.sessions import IDLE, LONGEST, Sessions
from leadglass.identity.signin import SignIn
from leadglass.identity.totp import SecondFactors
from leadglass.system import utc_now


@dataclass(frozen=True, slots=True)
class Accounts:
    """What there is of people.

    Parameters
    ----------
    store : PeopleStore
        Where all of it is kept.
    people : People
        The accounts.
    sessions : Sessions
        Who is signed in.
    factors : SecondFactors
        Authenticator apps and recovery codes.
    links : OneTime
        Set-up and one-time links.
    glass : BreakGlass
        What was opened in an emergency.
    passwords : Passwords
        What hashes.
    """

    store: PeopleStore
    people: People
    sessions: Sessions
    factors: SecondFactors
    links: OneTime
    glass: BreakGlass
    passwords: Passwords

    def sign_in(self, refusals: Refusals, *, clock: Callable[[], float] = monotonic) -> SignIn:
        """Make what lets people in, for a server.

        Parameters
        ----------
        refusals : Refusals
            Where those are recorded who are not let in.
        clock : callable
            Monotonic seconds.
        """
        return SignIn(
            self.store, self.sessions, self.factors, self.links, self.passwords, refusals, Lockout(clock=clock)
        )


@contextmanager
def open_accounts(
    path: Path,
    key: bytes,
    audit: AuditLog,
    *,
    door: str = "cli",
    idle: timedelta = IDLE,
    longest: timedelta = LONGEST,
    cost: Cost = COST,
    clock: Callable[[], datetime] = utc_now,
) -> Generator[Accounts]:
    """Open what there is of people.

    Parameters
    ----------
    path : Path
        The sealed database; made when it is not there.
    key : bytes
        32 bytes: its key.
    audit : AuditLog
        Where changes are recorded.
    door : str
        For the records.
    idle, longest : timedelta
        Of sessions.
    cost : Cost
        What a guess at a password costs.
    clock : callable
        The time now (UTC).

    Raises
    ------
    Misconfigured, Busy, Full, Corrupt
    """
    with PeopleStore(path, key, audit, door=door, clock=clock) as store:
        passwords = Passwords(cost)
        yield Accounts(
            store=store,
            people=People(store, passwords),
            sessions=Sessions(store, idle=idle, longest=longest),
            factors=SecondFactors(store),
            links=OneTime(store),
            glass=BreakGlass(store),
            passwords=passwords,
        )
