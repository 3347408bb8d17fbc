"""Roles: what a person or program of a kind may do. The one table.

Rule 1. An administrator manages and an auditor reads the log; neither has an
action that touches images, so neither can be made to show any. Rule 2. A role
without a scope covers what its kind of work needs: for a referrer that is
nothing. Rule 3. Whatever is not in the table is refused.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.errors import BadInput
from leadglass.policy.action import Action
from leadglass.policy.caller import Grant
from leadglass.policy.masking import without_identity
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


class Role(StrEnum):
    """What kind of work somebody does. The value is the word used on the command line."""

    ADMIN = "admin"
    """Manages devices, accounts and settings; sees no images."""
    RADIOLOGIST = "radiologist"
    """Reads, and adds findings."""
    TECHNOLOGIST = "technologist"
    """Makes images, and puts right what went wrong with them."""
    REFERRER = "referrer"
    """Sees the studies that a scope names."""
    RESEARCHER = "researcher"
    """Sees studies without who they are of."""
    AUDITOR = "auditor"
    """Reads the audit log; sees no images."""
    SERVICE = "service"
    """A program."""


IMAGE_ACTIONS: Final = frozenset(Action) - {Action.MANAGE, Action.AUDIT, Action.VERIFY}
"""What touches images or their index for somebody."""


@dataclass(frozen=True, slots=True)
class _Right:
    """What a role has.

    Parameters
    ----------
    actions : frozenset of Action
        What it may do.
    own_scope : Scope
        On which studies, when nothing is said.
    masked : bool
        Whether who the studies are of is kept from it.
    break_glass : bool
        Whether it may open a study outside of its scope in an emergency.
    """

    actions: frozenset[Action]
    own_scope: Scope = Scope.everything()  # noqa: RUF009 - a frozen value
    masked: bool = False
    break_glass: bool = False


_TABLE: Final[dict[Role, _Right]] = {
    Role.ADMIN: _Right(frozenset({Action.MANAGE, Action.VERIFY})),
    Role.RADIOLOGIST: _Right(
        frozenset({Action.ECHO, Action.FIND, Action.GET, Action.STORE, Action.EXPORT, Action.WORKLIST}),
        break_glass=True,
    ),
    Role.TECHNOLOGIST: _Right(
        # Wrong side, wrong patient, sent twice: who makes the images takes them out again.
        frozenset(
            {
                Action.ECHO,
                Action.FIND,
                Action.GET,
                Action.STORE,
                Action.COMMIT,
                Action.WORKLIST,
                Action.RESOLVE,
                Action.DELETE,
            }
        ),
        break_glass=True,
    ),
    Role.REFERRER: _Right(frozenset({Action.FIND, Action.GET}), Scope.nothing(), break_glass=True),
    Role.RESEARCHER: _Right(frozenset({Action.FIND, Action.GET}), masked=True),
    Role.AUDITOR: _Right(frozenset({Action.AUDIT})),
    Role.SERVICE: _Right(
        # Not MOVE, EXPORT or DELETE: what a lost secret may do is bounded.
        frozenset({Action.ECHO, Action.FIND, Action.GET, Action.STORE, Action.COMMIT, Action.WORKLIST})
    ),
}

NEEDS_NO_IMAGES: Final = frozenset(role for role, right in _TABLE.items() if not right.actions & IMAGE_ACTIONS)
"""Roles that a scope says nothing about."""


def parse_role(word: str) -> Role:
    """Read a role.

    Raises
    ------
    BadInput
        With the roles there are.
    """
    try:
        return Role(word.strip().lower())
    except ValueError:
        raise BadInput(f"A role is one of {', '.join(Role)}.") from None


def own_scope(role: Role) -> Scope:
    """Give the studies that a role covers when nothing is said."""
    return _TABLE[role].own_scope


def may_break_glass(role: Role) -> bool:
    """Say whether a role may open a study outside of its scope in an emergency."""
    return _TABLE[role].break_glass


def grants_of(role: Role, scope: Scope | None = None) -> tuple[Grant, ...]:
    """Give the rights of a role.

    Parameters
    ----------
    role : Role
        The role.
    scope : Scope, optional
        On which studies; by default what the role covers by itself.
    """
    right = _TABLE[role]
    scope = right.own_scope if scope is None else scope
    if role in NEEDS_NO_IMAGES:
        scope = Scope.everything()  # what they do is about no study
    view = without_identity() if right.masked else View.full()
    return (Grant(right.actions, scope, view, _reason(role, scope, view)),)


def _reason(role: Role, scope: Scope, view: View) -> str:
    if role in NEEDS_NO_IMAGES:
        return f"the role {role}"
    seen = "" if view.is_full else ", with what identifies patients masked"
    return f"the role {role} on {scope.explain()}{seen}"
