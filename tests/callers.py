"""Callers for tests: the only place outside ``identity`` that makes them."""

from dataclasses import replace

from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit, decide
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


def device(
    ae: str,
    *actions: Action,
    scope: Scope | None = None,
    view: View | None = None,
    peer: str = "127.0.0.1",
    reason: str = "",
) -> Caller:
    """Make a device that may do ``actions`` on ``scope``: on every study unless told otherwise."""
    scope = Scope.everything() if scope is None else scope
    grant = Grant(frozenset(actions), scope, view or View.full(), reason or f"test grant of {ae}")
    return Caller(CallerKind.DEVICE, ae, (grant,) if actions else (), peer, "made by a test")


def unbraked(caller: Caller) -> Caller:
    """Give the same caller without brakes: nobody waits because a test asks for much."""
    return replace(caller, grants=tuple(replace(grant, bulk=True) for grant in caller.grants))


def everything() -> Caller:
    """Make a command line caller who may do everything."""
    grant = Grant(frozenset(Action), Scope.everything(), View.full(), "test grant of everything")
    return Caller(CallerKind.COMMAND_LINE, "tester", (grant,), "local", "made by a test")


def permit(action: Action, *, scope: Scope | None = None, facts: StudyFacts | None = None) -> Permit:
    """Make a permit for ``action`` on ``scope``, by the way that permits are made."""
    return decide(device("TESTER", action, scope=scope), action, facts)
