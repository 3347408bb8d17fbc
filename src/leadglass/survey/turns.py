"""Turns: who waits to open a connection, in two rows: hosts that were begun with go before those that were not.

Rule: what was begun is brought to its end first. So few endpoints are in the middle of
something at a time, and little is asked again after a crash.
"""

import asyncio
from collections import deque


class Turns:
    """Lets in so many at a time.

    Parameters
    ----------
    room : int
        How many.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._begun: deque[asyncio.Future[None]] = deque()
        self._new: deque[asyncio.Future[None]] = deque()

    async def enter(self, *, is_new: bool) -> None:
        """Wait to be let in; whoever was, leaves."""
        if self._room:
            self._room -= 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._new if is_new else self._begun).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self.leave()  # was let in, and does not come any more
            raise

    def leave(self) -> None:
        """Let in the next."""
        for row in (self._begun, self._new):
            while row:
                waiting = row.popleft()
                if not waiting.done():
                    waiting.set_result(None)
                    return
        self._room += 1
