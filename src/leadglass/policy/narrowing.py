"""Narrowing: what is left of rights when others bound them.

Rule: the result covers what both cover and nothing else; a property test proves it.
"""

from collections.abc import Iterable

from leadglass.policy.action import Action
from leadglass.policy.caller import Grant


def narrowed(
    grants: Iterable[Grant], bounds: Iterable[Grant], *, never: frozenset[Action] = frozenset()
) -> tuple[Grant, ...]:
    """Give what of some grants lies within others too.

    Parameters
    ----------
    grants : iterable of Grant
        What was given.
    bounds : iterable of Grant
        What it may come to at most.
    never : frozenset of Action
        What is left out in any case.
    """
    bounding = tuple(bounds)
    left = (
        Grant(
            actions=(one.actions & other.actions) - never,
            scope=one.scope & other.scope,
            view=one.view & other.view,
            reason=f"{one.reason}, within {other.reason}",
            bulk=one.bulk and other.bulk,
        )
        for one in grants
        for other in bounding
    )
    return tuple(grant for grant in left if grant.actions)
