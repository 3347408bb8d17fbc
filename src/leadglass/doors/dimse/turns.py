"""Turns: whom it is decided about now, so that nobody's crowd stands before everybody else.

Rule: decisions are taken in the order in which they were asked for, but at one
time only a few about one address, and never so many that no thread is left for
those who are in already.
"""

from asyncio import Semaphore
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from leadglass.identity.peers import IpAddress


@dataclass(slots=True)
class _Queue:
    """Those of one address."""

    turns: Semaphore
    there: int = 0


class Turns:
    """Hands out turns.

    Parameters
    ----------
    together : int
        Decisions at one time.
    of_one_address : int
        How many of these are about one address.
    """

    def __init__(self, *, together: int, of_one_address: int) -> None:
        self._all = Semaphore(together)
        self._of_one_address = of_one_address
        self._queues: dict[IpAddress, _Queue] = {}

    @property
    def addresses(self) -> int:
        """Addresses about which something is or is to be decided."""
        return len(self._queues)

    @asynccontextmanager
    async def take(self, address: IpAddress) -> AsyncGenerator[None]:
        """Wait for a turn and hold it inside the block."""
        queue = self._queues.get(address)
        if queue is None:
            queue = self._queues[address] = _Queue(Semaphore(self._of_one_address))
        queue.there += 1
        try:
            async with queue.turns, self._all:
                yield
        finally:
            queue.there -= 1
            if not queue.there:
                del self._queues[address]
