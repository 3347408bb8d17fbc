"""What the pages of people work with."""

from dataclasses import dataclass

from leadglass.doors.threads import Threads
from leadglass.identity.accounts import Accounts
from leadglass.identity.signin import SignIn


@dataclass(frozen=True, slots=True)
class Entrance:
    """Another way to sign in, offered beside the password.

    Parameters
    ----------
    label : str
        What its button says.
    path : str
        Where it leads: a path of this archive, which is asked for with GET.
    """

    label: str
    path: str


@dataclass(frozen=True, slots=True)
class PeopleDesk:
    """What the pages of people work with, made by the composition root.

    Parameters
    ----------
    accounts : Accounts
        What there is of people.
    sign_in : SignIn
        Lets them in.
    threads : Threads
        Where passwords are hashed: threads of their own, so that a flood of
        sign-ins takes none from who is in.
    entrances : tuple of Entrance
        Other ways to sign in.
    has_passkeys : bool
        Whether passkeys are known here.
    """

    accounts: Accounts
    sign_in: SignIn
    threads: Threads
    entrances: tuple[Entrance, ...] = ()
    has_passkeys: bool = False
