"""Pumping: a body made block by block in threads, sent as it is made.

Rule 1. The first blocks are there before the answer begins: what goes wrong with
them is still told by a status. What goes wrong later breaks the connection off:
a body that ends as it should is whole. Rule 2. A thread is held while bytes are
made, never while they are sent or waited for; the next are made meanwhile.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final, ParamSpec, Protocol, TypeVar

from starlette.responses import Response

from leadglass.dicom.room import Room
from leadglass.doors.web.stream import Stream
from leadglass.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")

STEP: Final = 1 << 20
"""Bytes that are made in one go: a hop to a thread costs as much as copying some hundred KiB."""
_LARGEST_STEP: Final = 4 << 20
"""Bytes that are made in one go for who takes them fast, as long as there is room for them."""
_LARGER: Final = 2 * (_LARGEST_STEP - STEP)
"""Bytes that a stream of the largest steps holds more than others: a step that is sent, and the one that is made."""
_STEADY: Final = 8 << 20
"""Bytes that somebody took fast before steps grow; what the system keeps for who takes nothing is less."""
_FAST: Final = 100 << 20
"""Bytes a second that are fast."""
_MOST_HELD: Final = 1 << 30
"""Bytes that are held for slow readers."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to wait before the next block, as the brakes want it."""

    seconds: float


Piece = bytes | memoryview
"""Some bytes of a body."""

Blocks = Generator[Piece | Pause]
"""Bytes of a body; made in threads, one call at a time."""


def nothing() -> Blocks:
    """Give the body of an answer that has none."""
    yield from ()


class Holding:
    """Counts what was made anew and waits, whole, for slow readers, of all requests together. Safe for threads.

    Parameters
    ----------
    most : int
        Bytes. One that is larger is held when it is the only one.
    """

    __slots__ = ("_held", "_lock", "_most")

    def __init__(self, most: int = _MOST_HELD) -> None:
        self._lock = Lock()
        self._most = most
        self._held = 0

    def pieces(self, block: bytes) -> Generator[bytes]:
        """Give a block as it is where it is small, else in pieces, counted until all are taken or it is closed.

        Raises
        ------
        Busy
            When too much is held.
        """
        size = len(block)
        if size <= STEP:
            yield block
            return
        with self._lock:
            if self._held and self._held + size > self._most:
                raise Busy("Too many large images that were made for others are still being sent. Ask again later.")
            self._held += size
        try:
            for start in range(0, size, STEP):
                yield block[start : start + STEP]
        finally:
            with self._lock:
                self._held -= size


class Runs(Protocol):
    """Where blocking calls are made: ``Threads``, or turns at them."""

    @property
    def ahead(self) -> Room:
        """For what is made ahead for who takes it fast, of all together."""
        ...

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a thread and give what it gives."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer that is ready to be sent.

    Parameters
    ----------
    media_type : str
        Content-Type.
    blocks : generator of bytes and Pause
        The body.
    length : int, optional
        Its bytes, where that is known before.
    status : int
        The status code.
    headers : mapping of str to str
        Further headers.
    """

    media_type: str
    blocks: Blocks
    length: int | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class _Step:
    """What one call made."""

    blocks: list[Piece]
    pause: float
    is_last: bool


def _step(blocks: Blocks, most: int = STEP) -> _Step:
    made: list[Piece] = []
    size = 0
    for block in blocks:
        if isinstance(block, Pause):
            if block.seconds > 0:
                return _Step(made, block.seconds, is_last=False)
            continue
        made.append(block)
        size += len(block)
        if size >= most:
            return _Step(made, 0.0, is_last=False)
    return _Step(made, 0.0, is_last=True)


def _begin(prepare: Callable[[], Prepared]) -> tuple[Prepared, _Step]:
    prepared = prepare()
    try:
        return prepared, _step(prepared.blocks)
    except BaseException:
        prepared.blocks.close()
        raise


async def respond(threads: Runs, prepare: Callable[[], Prepared]) -> Response:
    """Prepare an answer in a thread and give it: whole when it is short, else as a stream.

    Parameters
    ----------
    threads : Runs
        Where ``prepare`` and the blocks run.
    prepare : callable
        Blocking; decides, and gives what is to be sent.

    Raises
    ------
    LeadglassError
        What ``prepare`` or the first blocks raise.
    """
    prepared, first = await threads.run(_begin, prepare)
    headers = {**prepared.headers, "Content-Type": prepared.media_type}
    if first.is_last:
        body = first.blocks[0] if len(first.blocks) == 1 else b"".join(first.blocks)
        return Response(body, prepared.status, headers)
    if prepared.length is not None:
        headers["Content-Length"] = str(prepared.length)
    return Stream(_pump(threads, prepared.blocks, first), prepared.blocks.close, headers, prepared.status)


async def _pump(threads: Runs, blocks: Blocks, first: _Step) -> AsyncGenerator[Piece]:
    step, most = first, STEP
    taken = 0
    is_larger = False
    following: asyncio.Task[_Step] | None = None
    try:
        while True:
            if not step.is_last:
                following = asyncio.create_task(_after(threads, blocks, step.pause, most))
            step.blocks.reverse()
            began, sent = monotonic(), 0
            while step.blocks:
                for piece in _pieces(step.blocks.pop()):  # what is sent is let go of
                    yield piece
                    sent += len(piece)
            is_fast = sent > _FAST * (monotonic() - began)
            taken = taken + sent if is_fast else 0
            if is_larger and most == STEP:  # the last large step is sent by now
                threads.ahead.change(-_LARGER)
                is_larger = False
            if taken >= _STEADY:
                is_larger = is_larger or threads.ahead.take(_LARGER)
            most = _LARGEST_STEP if is_larger and taken >= _STEADY else STEP
            if following is None:
                return
            step = await following
            following = None
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
            following = None  # it knows its error, and the error knows this frame
        if is_larger:
            threads.ahead.change(-_LARGER)
        await threads.run(blocks.close)


def _pieces(block: Piece) -> Iterator[Piece]:
    """Give a block as it is, or in pieces where it is large.

    One of 512 MiB would lie in the connection's buffers, over and over, and keep the loop from everybody else while
    it is encrypted.
    """
    if len(block) <= STEP:
        yield block
        return
    for start in range(0, len(block), STEP):
        yield block[start : start + STEP]


async def _after(threads: Runs, blocks: Blocks, pause: float, most: int) -> _Step:
    if pause:
        await asyncio.sleep(pause)
    return await threads.run(_step, blocks, most)
