"""What the system page works with."""

from collections.abc import Callable
from dataclasses import dataclass

from leadglass.exposure.facts import Facts
from leadglass.exposure.selfcheck import SelfCheck


@dataclass(frozen=True, slots=True)
class SystemDesk:
    """What the system page works with, made by the composition root.

    Parameters
    ----------
    check : SelfCheck
        The self-check.
    facts : callable
        Gives the facts, at most some seconds old.
    """

    check: SelfCheck
    facts: Callable[[], Facts]
