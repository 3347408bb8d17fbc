"""Budget: bytes of answers that were made and wait to be sent, of all callers together.

Rule: what one caller has waiting is never all that there is room for; who asks for
more than there is room for is told to ask again, and nothing of his is kept.
"""

from collections import Counter
from threading import Lock
from typing import Final

from leadglass.errors import Busy

FREE: Final = 512 << 10
"""Bytes of one answer that are not counted: nobody's ordinary question is refused because others ask for much."""


class Budget:
    """Room for answers. Safe for threads.

    Parameters
    ----------
    most : int
        Bytes of all together.
    of_one : int
        Bytes of one caller.
    """

    __slots__ = ("_lock", "_most", "_of", "_of_one")

    def __init__(self, most: int, of_one: int) -> None:
        self._lock = Lock()
        self._most = most
        self._of_one = of_one
        self._of: Counter[str] = Counter()

    def answer(self, who: str) -> "Room":
        """Give the room of one answer, to be closed when it was sent."""
        return Room(self, who)

    def take(self, who: str, octets: int) -> None:
        """Count bytes of a caller; raises ``Busy`` when there is no room for them."""
        with self._lock:
            if self._of.total() + octets > self._most or self._of[who] + octets > self._of_one:
                if not self._of[who]:
                    del self._of[who]
                raise Busy("Too many large answers are still being made or sent. Ask for less, or again later.")
            self._of[who] += octets

    def give(self, who: str, octets: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._of[who] -= octets
            if self._of[who] <= 0:
                del self._of[who]


class Room:
    """What one answer takes of a budget."""

    __slots__ = ("_budget", "_taken", "_who", "octets")

    def __init__(self, budget: Budget, who: str) -> None:
        self._budget = budget
        self._who = who
        self._taken = 0
        self.octets = 0

    def add(self, octets: int) -> None:
        """Make room for more of it; raises ``Busy``."""
        self.octets += octets
        wanted = max(0, self.octets - FREE) - self._taken
        if wanted > 0:
            self._budget.take(self._who, wanted)
            self._taken += wanted

    def close(self) -> None:
        """Give all of it back."""
        if self._taken:
            self._budget.give(self._who, self._taken)
        self._taken = self.octets = 0
