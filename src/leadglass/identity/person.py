"""Person: one account, and what it may be called.

Rule: a name is plain ASCII in lower case, so that no two accounts look alike.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadglass.errors import BadInput
from leadglass.policy.roles import Role
from leadglass.policy.scope import Scope

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Person:
    """One account.

    Parameters
    ----------
    name : str
        What it is called.
    role : Role
        What kind of work it is for.
    scope : Scope
        On which studies.
    made : datetime
        When it was made (UTC).
    is_locked : bool
        Whether it is shut until an administrator opens it again.
    origin : str
        Who proves the identity elsewhere (an OpenID provider); empty: we do.
    epoch : int
        Changes when the account is reset: what proved it before counts no more.
    has_password, has_totp : bool
        What proves the identity here.
    """

    name: str
    role: Role
    scope: Scope
    made: datetime
    is_locked: bool = False
    origin: str = ""
    epoch: int = 1
    has_password: bool = False
    has_totp: bool = False


def parse_name(text: str) -> str:
    """Read the name of an account; upper and lower case do not differ.

    Raises
    ------
    BadInput
    """
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise BadInput(
            "The name of an account has 1 to 64 letters (a to z), digits and . _ - @ + between them, as in j.doe."
        )
    return name
