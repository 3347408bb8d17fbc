"""Turns at what is slow: some at a time, and never all of them one caller's.

Rule: a turn is held while a thread works, not while bytes are sent or waited for.
"""

from asyncio import Semaphore
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from leadglass.doors.dicomweb.pumping import Runs

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Queue:
    """One caller's calls."""

    turns: Semaphore
    there: int = 0


class Turns:
    """Hands out turns.

    Parameters
    ----------
    threads : Runs
        Where calls are made.
    together : int
        Calls at one time, at least 2; one caller has one less at most.
    """

    def __init__(self, threads: Runs, together: int) -> None:
        self._threads = threads
        self._all = Semaphore(max(together, 2))
        self._each = max(together, 2) - 1
        self._queues: dict[str, _Queue] = {}

    def of(self, who: str) -> "CallerTurns":
        """Give the turns of one caller."""
        return CallerTurns(self, who)

    async def run(self, who: str, call: Callable[[], T]) -> T:
        """Wait for a turn of ``who`` and make a call in a thread."""
        queue = self._queues.get(who)
        if queue is None:
            queue = self._queues[who] = _Queue(Semaphore(self._each))
        queue.there += 1
        try:
            async with queue.turns, self._all:
                return await self._threads.run(call)
        finally:
            queue.there -= 1
            if not queue.there:
                del self._queues[who]


class CallerTurns:
    """The turns of one caller: calls are made in threads, in turn."""

    __slots__ = ("_turns", "_who")

    def __init__(self, turns: Turns, who: str) -> None:
        self._turns = turns
        self._who = who

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a thread, in turn, and give what it gives."""
        return await self._turns.run(self._who, lambda: function(*args, **kwargs))
