"""Pace: when work that failed is tried again, and when it is given up.

Rule: each pause is twice the one before, up to a longest one, and there is an end.
"""

from dataclasses import dataclass
from typing import Final

_DOUBLINGS: Final = 40
"""Doublings after which any pause is longer than any bound."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the archive is.

    Parameters
    ----------
    first : float
        Seconds before the second attempt.
    most : float
        Seconds between two attempts at most.
    patience : float
        Seconds after which no more is tried.
    """

    first: float = 30.0
    most: float = 3_600.0
    patience: float = 259_200.0

    def pause(self, attempts: int) -> float:
        """Give the seconds from the beginning of an attempt to the next, after so many attempts were begun."""
        return min(self.most, self.first * 2.0 ** min(max(attempts - 1, 0), _DOUBLINGS))
