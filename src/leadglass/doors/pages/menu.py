"""The menu: where somebody may go, by what the caller may do.

Rule: an entry is shown to whoever has an action that it is for; whether a request
is permitted is decided when it comes, never here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Parameters
    ----------
    path : str
        Where it leads. What lies below it belongs to it.
    label : str
        What it is called: an English text that is translated when it is shown.
    actions : frozenset of Action
        For whom: whoever has one of them.
    people_only : bool
        Whether it is for people with an account alone.
    """

    path: str
    label: str
    actions: frozenset[Action]
    people_only: bool = False


ENTRIES: Final = (
    Entry("/studies", "Studies", frozenset({Action.FIND})),
    Entry("/upload", "Upload", frozenset({Action.STORE})),
    Entry("/shares", "Sharing", frozenset({Action.EXPORT, Action.RESOLVE, Action.MANAGE}), people_only=True),
    Entry("/quarantine", "Quarantine", frozenset({Action.RESOLVE})),
    Entry("/devices", "Devices", frozenset({Action.MANAGE})),
    Entry("/people", "People", frozenset({Action.MANAGE})),
    Entry("/tokens", "Programs", frozenset({Action.MANAGE})),
    Entry("/survey", "Survey", frozenset({Action.MANAGE, Action.AUDIT}), people_only=True),
    Entry("/audit", "Audit log", frozenset({Action.AUDIT})),
    Entry("/system", "System", frozenset({Action.MANAGE})),
)
"""In their order. An entry whose path has no route is not shown (``Menu``)."""


class Menu:
    """The entries of this door.

    Parameters
    ----------
    paths : iterable of str
        Every path that has a route; what leads nowhere is not shown.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        there = set(paths)
        self._entries = tuple(entry for entry in ENTRIES if entry.path in there)

    def of(self, caller: Caller) -> tuple[Entry, ...]:
        """Give the entries for a caller; a share link has none."""
        if caller.kind is CallerKind.LINK:
            return ()
        actions = {action for grant in caller.grants for action in grant.actions}
        is_person = caller.kind is CallerKind.PERSON
        return tuple(e for e in self._entries if e.actions & actions and (is_person or not e.people_only))


def may(caller: Caller, action: Action) -> bool:
    """Say whether a caller has an action at all, for what is offered on a page."""
    return any(action in grant.actions for grant in caller.grants)
