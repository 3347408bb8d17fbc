"""Rights in words: what a person at a browser may do here, and on which studies.

Rule: said is what this door does for somebody, and where the rest is done; not what a role is called.
"""

from typing import Final

from leadglass.doors.pages.scopes import spoken
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, Grant
from leadglass.policy.roles import IMAGE_ACTIONS

_DONE_HERE: Final = (
    (Action.FIND, "search"),
    (Action.GET, "read"),
    (Action.STORE, "store"),
    (Action.DELETE, "delete"),
)

_ROLE: Final = "the role "
"""How the reason of a role's grant begins; any other is said, because it ends or was asked for."""


def rights_of(caller: Caller) -> list[str]:
    """Say what a caller may do, a sentence a right, without naming patients."""
    said = [sentence for grant in caller.grants for sentence in _sentences(grant)]
    if not any(grant.actions & IMAGE_ACTIONS for grant in caller.grants):
        said.append("You see no images with this account.")
    return said


def sees_everything(caller: Caller) -> bool:
    """Say whether a caller may read every study as it is."""
    return any(Action.GET in g.actions and frozenset() in g.scope.clauses and g.view.is_full for g in caller.grants)


def _sentences(grant: Grant) -> list[str]:
    said: list[str] = []
    done = [word for action, word in _DONE_HERE if action in grant.actions]
    if done and grant.scope.is_nothing:
        said.append("No study is opened for you yet. Ask whoever runs this archive to name those that you need.")
    elif done:
        verbs = " and ".join(filter(None, (", ".join(done[:-1]), done[-1])))
        masked = "" if grant.view.is_full else ", without what identifies patients"
        why = "" if grant.reason.startswith(_ROLE) else f" ({grant.reason})"
        said.append(f"{verbs.capitalize()}: {spoken(grant.scope)}{masked}{why}.")
    if Action.MANAGE in grant.actions:
        said.append("Look after accounts, programs, devices and settings.")
    if Action.AUDIT in grant.actions:
        said.append("Read the audit log, and review what others opened in an emergency.")
    return said
