"""Turns: whose it is now, so that nobody's crowd stands before everybody else.

Rule: turns are given in the order in which they were asked for, but at one time only
so many in all, and fewer to any one.
"""

from asyncio import Semaphore
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Queue:
    """Those of one."""

    turns: Semaphore
    there: int = 0


class Turns(Generic[K]):
    """Hands out turns.

    Parameters
    ----------
    together : int
        Turns at one time.
    of_one : int
        How many of these may be of one and the same.
    """

    def __init__(self, *, together: int, of_one: int) -> None:
        self._all = Semaphore(together)
        self._of_one = of_one
        self._queues: dict[K, _Queue] = {}

    @property
    def waiting(self) -> int:
        """How many there are who have a turn or wait for one."""
        return len(self._queues)

    @asynccontextmanager
    async def take(self, who: K) -> AsyncGenerator[None]:
        """Wait for a turn and hold it inside the block."""
        queue = self._queues.get(who)
        if queue is None:
            queue = self._queues[who] = _Queue(Semaphore(self._of_one))
        queue.there += 1
        try:
            async with queue.turns, self._all:
                yield
        finally:
            queue.there -= 1
            if not queue.there:
                del self._queues[who]
