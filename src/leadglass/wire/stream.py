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
"""bytes from which on a fragment is a block of its own; smaller ones are joined as they come: an object for each of a
million fragments would cost far more memory than what they hold"""


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
        Told how many bytes were added to (or, negative, taken from) what waits;
        tells whether nothing more comes before some of it is taken.
    """

    __slots__ = ("_blocks", "_changed", "_discarding", "_ended", "_failure", "_is_full", "_size", "_waiter", "_wanted")

    def __init__(self, changed: Callable[[int], bool]) -> None:
        self._changed = changed
        self._is_full = False
        self._blocks: deque[bytes | bytearray] = deque()
        self._size = 0
        self._ended = False
        self._discarding = False
        self._failure: str | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 1
        """Bytes for which the consumer waits: to be woken for each fragment costs two turns of the event loop."""

    # --- the socket's side -------------------------------------------------

    def put(self, block: bytes, *, last: bool) -> None:
        """Add a fragment."""
        if block and not self._discarding:
            self._add(block)
            self._size += len(block)
            self._is_full = self._changed(len(block))
        if last:
            self._ended = True
        if last or self._is_full or self._size >= self._wanted:
            self._wake()

    def _add(self, block: bytes) -> None:
        newest = self._blocks[-1] if self._blocks else None
        if isinstance(newest, bytearray) and len(newest) < _LARGE:
            newest += block
        else:
            self._blocks.append(block if len(block) >= _LARGE else bytearray(block))

    def fail(self, how: str) -> None:
        """Say that the rest will not come."""
        if not self._ended and self._failure is None:
            self._failure = how
            self._wake()

    # --- the consumer's side -----------------------------------------------

    def __aiter__(self) -> "DataStream":
        return self

    async def __anext__(self) -> bytes:
        """Give the next block.

        Raises
        ------
        AssociationAborted
            When the association ended before the data set did.
        """
        await self._fill(1)
        if not self._blocks:
            raise StopAsyncIteration
        block = self._blocks.popleft()
        self._take(len(block))
        return bytes(block)  # which copies only what was joined

    async def gather(self, size: int) -> tuple[list[bytes | bytearray], bool]:
        """Wait until ``size`` bytes are here, the last of them, or as many as are let in; give them as they are.

        Returns
        -------
        list of bytes or bytearray
            The blocks.
        bool
            Whether more may come.

        Raises
        ------
        AssociationAborted
            When the association ended before the data set did.
        """
        await self._fill(size)
        blocks = list(self._blocks)
        self._blocks.clear()
        self._take(self._size)
        return blocks, not self._ended

    def _take(self, size: int) -> None:
        self._size -= size
        self._is_full = self._changed(-size)

    async def _fill(self, size: int) -> None:
        """Wait for ``gather``, and raise as it does."""
        self._wanted = size
        while self._size < size:
            if self._discarding:
                raise AssociationAborted("The rest of the data set was let go of; read it before the next request.")
            if self._failure is not None:
                raise AssociationAborted(f"The data set is incomplete: {self._failure}.")
            if self._ended or (self._is_full and self._blocks):
                return
            await self._wait()

    @property
    def complete(self) -> bool:
        """Whether the last fragment has arrived."""
        return self._ended

    def abandon(self) -> None:
        """Let go of what waits here and of what still comes."""
        self._discarding = True
        self._blocks.clear()
        if self._size:
            self._take(self._size)

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
