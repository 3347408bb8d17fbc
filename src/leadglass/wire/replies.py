"""The responses to a request of ours, in the order they came."""

import asyncio
from collections import deque

from leadglass.wire.errors import AssociationAborted
from leadglass.wire.stream import Message


class Replies:
    """Waits for the responses to one request.

    Attributes
    ----------
    failure : str, optional
        How the association ended, when it did before the last response.
    abandoned : bool
        Nobody waits any more; what still comes is swallowed.
    """

    __slots__ = ("abandoned", "failure", "messages", "waiter")

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.waiter: asyncio.Future[None] | None = None
        self.failure: str | None = None
        self.abandoned = False

    def wake(self) -> None:
        """Let the waiter look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self, seconds: float) -> Message:
        """Wait for the next response.

        Raises
        ------
        TimeoutError
            When none came within ``seconds``.
        AssociationAborted
            When none will come any more.
        """
        while not self.messages:
            if self.failure is not None:
                raise AssociationAborted(f"No answer: {self.failure}.")
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self.waiter
            finally:
                self.waiter = None
        return self.messages.popleft()
