"""Lock-out: guessing gets slower, and nobody can shut somebody else out for long.

Rule 1. What fails is counted per account and network: a few are free, then each
next attempt waits twice as long, up to a quarter of an hour. Elsewhere the owner
signs in as ever. Rule 2. Guesses at one account from many networks slow down
unknown networks only, by half a minute at most; those the owner signed in from
before are not held up. Rule 3. An attempt that has to wait is not looked at, so it
neither counts nor tells anything. Rule 4. An account that is not there is
counted like one that is. Rule 5. Memory is bounded; what is forgotten first is
what was quiet longest. Rule 6. What is being looked at counts as if it had failed:
who guesses many at a time gets no more of them than who guesses one by one.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Final

FREE: Final = 4
"""Failures that cost nothing: who mistypes is no attacker."""

FIRST: Final = 2.0
"""Seconds to wait after the next one; then twice as long each time."""

LONGEST: Final = 900.0
"""Seconds to wait at most from one network: 96 guesses a day."""

FREE_ELSEWHERE: Final = 40
"""Failures at one account from anywhere before unknown networks wait."""

LONGEST_ELSEWHERE: Final = 30.0
"""Seconds that unknown networks wait at most for what others do."""

FREE_OF_NETWORK: Final = 100
"""Failures of one network at any accounts before it waits: a hospital may be behind one address."""

LONGEST_OF_NETWORK: Final = 60.0
"""Seconds that a network waits at most for what is tried at other accounts from it."""

FORGET_AFTER: Final = 3_600.0
"""Seconds after which failures are forgotten when none is added."""

MOST: Final = 20_000
"""What is remembered at a time."""

_IN_TURN: Final = 1.0
"""Seconds to wait for an attempt that is being looked at."""


@dataclass(slots=True)
class _Count:
    failures: int = 0
    last: float = 0.0


class Lockout:
    """Counts what failed, and says how long to wait. Safe for threads.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    most : int
        What is remembered at a time.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._lock = Lock()
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._looked_at: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def attempt(self, name: str, network: str, *, is_known: bool) -> Generator[float]:
        """Give the seconds until an attempt is looked at; if 0, it is being looked at until the block ends.

        What came of it is said inside of the block, by ``failed`` or ``succeeded``.
        """
        keys = _keys(name, network)
        with self._lock:
            wait = self._wait(name, network, is_known=is_known)
            if not wait:
                self._looked_at.update(keys)
        try:
            yield wait
        finally:
            if not wait:
                with self._lock:
                    self._looked_at.subtract(keys)
                    for key in keys:
                        if not self._looked_at[key]:
                            del self._looked_at[key]

    def wait(self, name: str, network: str, *, is_known: bool) -> float:
        """Give the seconds until an attempt is looked at; 0: now.

        Parameters
        ----------
        name : str
            The account that is claimed.
        network : str
            From where.
        is_known : bool
            Whether the account was signed in to from there before.
        """
        with self._lock:
            return self._wait(name, network, is_known=is_known)

    def everywhere(self, name: str) -> int:
        """Say how many failures there are of an account, from all networks."""
        with self._lock:
            return self._failures((name, ""), self._clock())

    def of_network(self, network: str) -> int:
        """Say how many failures there are from a network, at all accounts."""
        with self._lock:
            return self._failures(("", network), self._clock())

    def _wait(self, name: str, network: str, *, is_known: bool) -> float:
        now = self._clock()
        waits = [self._left((name, network), now, FREE, LONGEST)]
        if not is_known:
            waits.append(self._left((name, ""), now, FREE_ELSEWHERE, LONGEST_ELSEWHERE))
            waits.append(self._left(("", network), now, FREE_OF_NETWORK, LONGEST_OF_NETWORK))
        return max(waits)

    def failed(self, name: str, network: str) -> int:
        """Count a failure; gives how many there are of this account and network."""
        now = self._clock()
        with self._lock:
            for key in _keys(name, network):
                count = self._counts.setdefault(key, _Count())
                if now - count.last >= FORGET_AFTER:
                    count.failures = 0
                count.failures += 1
                count.last = now
                self._counts.move_to_end(key)
            while len(self._counts) > self._most:
                self._counts.popitem(last=False)
            return self._counts[name, network].failures

    def succeeded(self, name: str, network: str) -> None:
        """Forget what failed here: its owner is here. What is tried elsewhere still counts elsewhere."""
        with self._lock:
            self._counts.pop((name, network), None)

    def _failures(self, key: tuple[str, str], now: float) -> int:
        count = self._counts.get(key)
        return 0 if count is None or now - count.last >= FORGET_AFTER else count.failures

    def _left(self, key: tuple[str, str], now: float, free: int, longest: float) -> float:
        failures, looked_at = self._failures(key, now), self._looked_at[key]
        in_turn = _IN_TURN if looked_at and failures + looked_at > free else 0.0
        if failures <= free:
            return in_turn
        delay = min(longest, FIRST * 2.0 ** min(failures - free - 1, 30))
        return max(in_turn, self._counts[key].last + delay - now)


def _keys(name: str, network: str) -> tuple[tuple[str, str], ...]:
    return (name, ""), ("", network), (name, network)
