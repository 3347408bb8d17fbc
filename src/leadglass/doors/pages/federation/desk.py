"""What the other ways to sign in work with."""

from dataclasses import dataclass

from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.threads import Threads
from leadglass.identity.oidc import SignOn
from leadglass.identity.passkeys import Passkeys


@dataclass(frozen=True, slots=True)
class FederationDesk:
    """What the other ways to sign in work with, made by the composition root.

    Parameters
    ----------
    people : PeopleDesk
        What the pages of people work with.
    threads : Threads
        Where a provider is waited for: threads of their own, so that one that
        hangs takes none from who is in.
    sign_on : SignOn, optional
        Lets in for whom a provider vouches.
    passkeys : Passkeys, optional
        Knows passkeys.
    """

    people: PeopleDesk
    threads: Threads
    sign_on: SignOn | None = None
    passkeys: Passkeys | None = None
