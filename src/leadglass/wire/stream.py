"""A data set on its way from the socket to its consumer.

Rule: what waits here is counted, and the count stops the socket (``Gauge``);
nothing holds a whole instance. A stream that is no longer wanted swallows the
rest.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from leadglass.errors import BadInput
from leadglass.wire.errors import AssociationAborted
from leadglass.wire.messages import Command

_LARGE: Final = 16_384
"""bytes of a block that is given alone; smaller ones are joined with what waits behind them"""


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context both sides agreed on.

    Attributes
    ----------
    as_scu, as_scp : bool
        The roles *this* side may play in it (PS3.7 D.3.3.4).
    """

    id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scu: bool
    as_scp: bool


class DataStream:
    """The blocks of one data set, in order; an asynchronous iterator for one consumer.

    Parameters
    ----------
    changed : callable
        Told how many bytes were added to (or, negative, taken from) what waits.
    """

    __slots__ = ("_blocks", "_changed", "_discarding", "_ended", "_failure", "_size", "_waiter")

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._blocks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._discarding = False
        self._failure: str | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- the socket's side -------------------------------------------------

    def put(self, block: bytes, *, last: bool) -> None:
        """Add a fragment."""
        if block and not self._discarding:
            self._blocks.append(block)
            self._size += len(block)
            self._changed(len(block))
        if last:
            self._ended = True
        self._wake()

    def fail(self, how: str) -> None:
        """Say that the rest will not come."""
        if not self._ended and self._failure is None:
            self._failure = how
            self._wake()

    # --- the consumer's side -----------------------------------------------

    def __aiter__(self) -> "DataStream":
        return self

    async def __anext__(self) -> bytes:
        """Give what has arrived since the last time; large blocks one by one, because joining them copies them.

        Raises
        ------
        AssociationAborted
            When the association ended before the data set did.
        """
        while not self._blocks:
            if self._discarding:
                raise AssociationAborted("The rest of the data set was let go of; read it before the next request.")
            if self._failure is not None:
                raise AssociationAborted(f"The data set is incomplete: {self._failure}.")
            if self._ended:
                raise StopAsyncIteration
            await self._wait()
        if len(self._blocks[0]) >= _LARGE or len(self._blocks) == 1:
            block = self._blocks.popleft()
        else:
            block = b"".join(self._blocks)
            self._blocks.clear()
        self._size -= len(block)
        self._changed(-len(block))
        return block

    @property
    def complete(self) -> bool:
        """Whether the last fragment has arrived."""
        return self._ended

    def abandon(self) -> None:
        """Let go of what waits here and of what still comes."""
        self._discarding = True
        self._blocks.clear()
        size, self._size = self._size, 0
        if size:
            self._changed(-size)

    async def discard(self) -> None:
        """Swallow the rest, so that the next message can come.

        Raises
        ------
        AssociationAborted
            When the association ended before the data set did.
        """
        self.abandon()
        while not self._ended:
            if self._failure is not None:
                raise AssociationAborted(f"The data set is incomplete: {self._failure}.")
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A command and, when one follows, its data set in the transfer syntax of its context."""

    context: AcceptedContext
    command: Command
    data: DataStream | None = None

    async def read(self, limit: int) -> bytes:
        """Read a whole small data set, such as an identifier; empty when there is none.

        Raises
        ------
        BadInput
            When it has more than ``limit`` bytes; the rest is swallowed.
        AssociationAborted
            When the association ended in the middle.
        """
        if self.data is None:
            return b""
        blocks: list[bytes] = []
        size = 0
        async for block in self.data:
            size += len(block)
            if size > limit:
                await self.data.discard()
                raise BadInput(f"The data set of the message has more than {limit} bytes; ask for less at once.")
            blocks.append(block)
        return b"".join(blocks)

    async def discard(self) -> None:
        """Swallow what is left of the data set."""
        if self.data is not None:
            await self.data.discard()
