"""Messages out of fragments and fragments out of messages (PS3.8 Annex E.2, PS3.7 6.3), without I/O.

Rule: the fragments of one message follow each other on one presentation context,
first all of the command set, then all of the data set; anything else is a
violation. A command set is gathered up to a limit, a data set never is.
"""

from collections import deque
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from leadglass.wire import command_set
from leadglass.wire.errors import AbortReason, ProtocolViolation
from leadglass.wire.messages import Command
from leadglass.wire.pdu import PDV, PDV_OVERHEAD, pdata_header


@dataclass(frozen=True, slots=True)
class CommandPart:
    """A whole command set has arrived."""

    context_id: int
    command: Command
    has_data_set: bool


@dataclass(frozen=True, slots=True)
class DataPart:
    """A fragment of the data set of the last command."""

    fragment: bytes
    is_last: bool


class Assembler:
    """Puts PDVs together.

    Parameters
    ----------
    context_ids : collection of int
        The accepted presentation contexts.
    command_limit : int
        bytes of the longest command set.
    """

    __slots__ = ("_command", "_command_limit", "_context_id", "_context_ids", "_in_data")

    def __init__(self, context_ids: Collection[int], command_limit: int) -> None:
        self._context_ids = context_ids
        self._command_limit = command_limit
        self._command = bytearray()
        self._context_id: int | None = None
        self._in_data = False

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id is not None

    def feed(self, pdv: PDV) -> CommandPart | DataPart | None:
        """Take the next PDV; give what is complete with it.

        Raises
        ------
        ProtocolViolation
            When it is not the fragment that has to come next, or completes a command set that is none.
        """
        if self._context_id is None:
            if pdv.context_id not in self._context_ids:
                raise ProtocolViolation("A PDV's presentation context was not accepted.")
        elif pdv.context_id != self._context_id:
            raise ProtocolViolation("A message changed its presentation context half-way.")
        if pdv.is_command is self._in_data:
            raise ProtocolViolation(
                "A command fragment came inside of a data set."
                if self._in_data
                else "A data set fragment came without its command.",
                AbortReason.UNEXPECTED_PDU_PARAMETER,
            )
        if self._in_data:
            if pdv.is_last:
                self._in_data = False
                self._context_id = None
            return DataPart(pdv.fragment, pdv.is_last)
        return self._feed_command(pdv)

    def _feed_command(self, pdv: PDV) -> CommandPart | None:
        if len(self._command) + len(pdv.fragment) > self._command_limit:
            raise ProtocolViolation("A command set is longer than allowed.")
        if not pdv.is_last:
            self._context_id = pdv.context_id
            self._command += pdv.fragment
            return None
        raw = bytes(self._command) + pdv.fragment if self._command else pdv.fragment
        self._command.clear()
        command, has_data_set = command_set.decode(raw)
        self._in_data = has_data_set
        self._context_id = pdv.context_id if has_data_set else None
        return CommandPart(pdv.context_id, command, has_data_set)


def fragment_size(peer_max: int, most: int) -> int:
    """Tell how many bytes of a message go in one PDU: even, because values are (PS3.8 E.2).

    Parameters
    ----------
    peer_max : int
        bytes the peer takes in a P-DATA-TF; 0 is no limit (PS3.8 D.1).
    most : int
        bytes we put in one PDU at most.
    """
    size = min(peer_max, most) if peer_max else most
    return max(2, (size - PDV_OVERHEAD) & ~1)


class Fragmenter:
    """Cuts one part of a message (command set or data set) into P-DATA-TF PDUs without copying it.

    It always keeps the newest bytes back, because only ``finish`` knows which fragment is the last.
    """

    __slots__ = ("_command", "_context_id", "_pending", "_pending_size", "_size")

    def __init__(self, context_id: int, size: int, *, command: bool) -> None:
        self._context_id = context_id
        self._size = size
        self._command = command
        self._pending: deque[memoryview] = deque()
        self._pending_size = 0

    def feed(self, block: bytes | memoryview, into: list[bytes | memoryview]) -> int:
        """Take a block, put the PDUs that are full into ``into``; give the bytes put there."""
        self._pending.append(memoryview(block))
        self._pending_size += len(block)
        written = 0
        while self._pending_size > self._size:
            written += self._emit(self._size, last=False, into=into)
        return written

    def finish(self, into: list[bytes | memoryview]) -> int:
        """Put the last PDU into ``into``; give the bytes put there."""
        return self._emit(self._pending_size, last=True, into=into)

    def _emit(self, length: int, *, last: bool, into: list[bytes | memoryview]) -> int:
        header = pdata_header(self._context_id, command=self._command, last=last, length=length)
        into.append(header)
        self._pending_size -= length
        left = length
        while left:
            piece = self._pending.popleft()
            if len(piece) > left:
                self._pending.appendleft(piece[left:])
                piece = piece[:left]
            into.append(piece)
            left -= len(piece)
        return len(header) + length


def fragments(context_id: int, size: int, command: bytes, data: bytes, *, into: list[bytes | memoryview]) -> None:
    """Cut a whole message, command set and data set, into PDUs of at most ``size`` bytes of it."""
    for block, is_command in ((command, True), (data, False)):
        fragmenter = Fragmenter(context_id, size, command=is_command)
        fragmenter.feed(block, into)
        fragmenter.finish(into)


async def blocks(data: memoryview, size: int) -> AsyncGenerator[memoryview, None]:
    """Give a data set in blocks of ``size`` bytes; an empty one as one empty block."""
    for start in range(0, max(len(data), 1), size):
        yield data[start : start + size]
