"""Permit: proof of a yes, and the only place that says it.

Rule 1. Only ``decide`` makes a Permit: the constructor demands a seal that this
module keeps to itself, at run time and for the type checker. Rule 2. Every
method that touches images or their index demands a Permit. Rule 3. A grant that
is not there is a no; so is a scope that covers nothing.
"""

from typing import Final, NoReturn, final

from leadglass.errors import Denied
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, Grant
from leadglass.policy.facts import StudyFacts
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


@final
class _Seal:
    """The thing that only this module has."""


_SEAL: Final = _Seal()


@final
class Permit:
    """Proof that ``caller`` may do ``action`` on the studies in ``scope``.

    Attributes
    ----------
    caller : Caller
        Who asked.
    action : Action
        What was asked.
    scope : Scope
        The studies the yes is about. A back room applies it to whatever it
        touches, so that a study outside is simply not here.
    reason : str
        Which grants said yes.
    """

    __slots__ = ("_grants", "action", "caller", "reason", "scope")

    caller: Caller
    action: Action
    scope: Scope
    reason: str
    _grants: tuple[Grant, ...]

    def __init__(self, seal: _Seal, caller: Caller, action: Action, grants: tuple[Grant, ...]) -> None:
        if seal is not _SEAL:
            raise TypeError("A Permit is made by policy.permit.decide and nowhere else.")
        scope = Scope.nothing()
        for grant in grants:
            scope |= grant.scope
        fix = super().__setattr__
        fix("caller", caller)
        fix("action", action)
        fix("scope", scope)
        fix("reason", "; ".join(dict.fromkeys(grant.reason for grant in grants)))
        fix("_grants", grants)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: what was decided stays as it was decided."""
        raise AttributeError("A Permit does not change.")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse, likewise."""
        raise AttributeError("A Permit does not change.")

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: bytes from elsewhere are no proof."""
        raise TypeError("A Permit is not copied; it is decided anew.")

    def view_of(self, facts: StudyFacts) -> View:
        """Give what may leave of one study: where several grants cover it, the one that masks least.

        Raises
        ------
        Denied
            When no grant covers the study.
        """
        views = [grant.view for grant in self._grants if grant.scope.covers(facts)]
        if not views:
            raise Denied("The study is outside of what was granted.")
        return min(views, key=lambda view: len(view.masked))

    @property
    def is_always_full(self) -> bool:
        """Whether no grant masks anything, so that no view needs to be applied."""
        return all(grant.view.is_full for grant in self._grants)

    @property
    def has_one_view(self) -> bool:
        """Whether what is seen of a study is the same whatever its facts are."""
        return all(grant.view == self._grants[0].view for grant in self._grants)

    def still_shows(self, then: StudyFacts, now: StudyFacts) -> bool:
        """Say whether what was to leave of a study, as its facts were then, may leave as they are now.

        Where less is masked now, more stays masked than has to be.

        Raises
        ------
        Denied
            When no grant covers the study any more.
        """
        return self.has_one_view or self.view_of(now).masked <= self.view_of(then).masked

    def __repr__(self) -> str:
        """Show who, what and why; never studies."""
        return f"Permit({self.caller}, {self.action}, because {self.reason})"


def entry(caller: Caller) -> Action:
    """Say by which right what a caller sends comes in: ``SUBMIT`` for who may that and not store, else ``STORE``.

    This is no permission, but what to ask ``decide`` for.
    """
    granted = {action for grant in caller.grants if not grant.scope.is_nothing for action in grant.actions}
    return Action.SUBMIT if Action.SUBMIT in granted and Action.STORE not in granted else Action.STORE


def looking(caller: Caller) -> Action:
    """Say by which right a caller sees pictures: ``LOOK`` for who may that and not get, else ``GET``.

    This is no permission, but what to ask ``decide`` for.
    """
    granted = {action for grant in caller.grants if not grant.scope.is_nothing for action in grant.actions}
    return Action.LOOK if Action.LOOK in granted and Action.GET not in granted else Action.GET


def decide(caller: Caller, action: Action, facts: StudyFacts | None = None) -> Permit:
    """Say yes with a Permit, or raise.

    Parameters
    ----------
    caller : Caller
        Who asks.
    action : Action
        What is asked.
    facts : StudyFacts, optional
        The study it is about, where it is about one. Then the yes is for this
        study: a grant that does not cover it does not count.

    Raises
    ------
    Denied
        With a reason for the audit log. Doors do not pass the reason on.
    """
    granted = tuple(g for g in caller.grants if action in g.actions and not g.scope.is_nothing)
    if not granted:
        raise Denied(f"{caller} is not granted {action}.")
    if facts is not None:
        granted = tuple(g for g in granted if g.scope.covers(facts))
        if not granted:
            raise Denied(f"{caller} is granted {action}, but not for this study.")
    return Permit(_SEAL, caller, action, granted)
