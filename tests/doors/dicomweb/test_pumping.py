import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import cast
from weakref import ref

import pytest
from starlette.responses import Response, StreamingResponse

from leadglass.dicom.room import Room
from leadglass.doors.dicomweb import pumping
from leadglass.doors.dicomweb.pumping import STEP, Blocks, Holding, Pause, Prepared, respond
from leadglass.doors.threads import Pool, Threads
from leadglass.errors import Busy, Corrupt, NotHere


def _with_threads(work: Callable[[Threads], object], ahead: Room | None = None) -> None:
    with Pool(4, "core") as pool:
        asyncio.run(work(Threads(pool, ahead)))  # pyright: ignore[reportArgumentType]


class Source:
    """Blocks that remember in which thread they were made and whether they were let go of."""

    def __init__(self, count: int, *, fails_at: int = -1, pause: float = 0.0) -> None:
        self.made = 0
        self.is_closed = False
        self.threads: set[str] = set()
        self._count = count
        self._fails_at = fails_at
        self._pause = pause

    def blocks(self) -> Blocks:
        try:
            for number in range(self._count):
                self.threads.add(threading.current_thread().name)
                if number == self._fails_at:
                    raise Corrupt("A stored object fails its authentication.")
                if self._pause:
                    yield Pause(self._pause)
                self.made += 1
                yield bytes([number % 256]) * STEP
        finally:
            self.is_closed = True


def test_a_short_answer_is_whole_and_its_length_known() -> None:
    async def work(threads: Threads) -> None:
        def blocks() -> Blocks:
            yield b"one "
            yield Pause(0.0)
            yield b"two"

        response = await respond(threads, lambda: Prepared("text/plain", blocks()))
        assert type(response) is Response
        assert (response.body, response.headers["content-length"]) == (b"one two", "7")

    _with_threads(work)


def test_a_long_answer_is_streamed_in_order_and_made_only_a_little_ahead() -> None:
    async def work(threads: Threads) -> None:
        source = Source(6)
        response = await respond(threads, lambda: Prepared("x/y", source.blocks(), length=6 * STEP))
        assert isinstance(response, StreamingResponse)
        assert response.headers["content-length"] == str(6 * STEP)
        taken = 0
        async for block in response.body_iterator:
            assert isinstance(block, bytes)
            assert block[0] == taken
            await asyncio.sleep(0.02)
            taken += 1
            assert source.made <= taken + 1, "no more than one step ahead"
        assert taken == 6
        assert source.is_closed
        assert all(name.startswith("core") for name in source.threads), "never in the loop's thread"

    _with_threads(work)


def test_who_takes_it_fast_is_given_more_in_one_go_until_he_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pumping, "monotonic", lambda: now)

    async def work(threads: Threads) -> None:
        nonlocal now
        source = Source(60)
        response = await respond(threads, lambda: Prepared("x/y", source.blocks(), length=60 * STEP))
        assert isinstance(response, StreamingResponse)
        ahead: list[int] = []
        async for _ in response.body_iterator:
            await asyncio.sleep(0.01)  # what comes next is made meanwhile
            now += 0.001 if len(ahead) < 40 else 0.1
            ahead.append(source.made - len(ahead) - 1)
        assert len(ahead) == 60
        assert max(ahead[:8]) == 1, "what a system keeps for who takes nothing is no proof"
        assert max(ahead) == 7, "four are sent, and four are made"
        assert max(ahead[-8:]) == 1

    _with_threads(work)


def test_of_all_who_take_it_fast_no_more_are_given_larger_steps_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who was fast and then takes nothing keeps what was made ahead for it: of all together that is bounded."""
    monkeypatch.setattr(pumping, "monotonic", lambda: 0.0)
    ahead = Room(10 * STEP)

    async def work(threads: Threads) -> None:
        async def begin() -> tuple[Source, AsyncGenerator[bytes]]:
            source = Source(90)
            response = await respond(threads, lambda: Prepared("x/y", source.blocks(), length=90 * STEP))
            assert isinstance(response, StreamingResponse)
            return source, cast("AsyncGenerator[bytes]", response.body_iterator)

        async def most_ahead(source: Source, body: AsyncGenerator[bytes], count: int) -> int:
            most, before = 0, source.made - 1
            for taken in range(count):
                await anext(body)
                await asyncio.sleep(0.01)  # what comes next is made meanwhile
                most = max(most, source.made - before - taken)
            return most

        first, stalled = await begin()
        assert await most_ahead(first, stalled, 30) > 4
        held = ahead.held
        assert 0 < held <= 10 * STEP
        second, body = await begin()
        assert await most_ahead(second, body, 30) <= 2, "there is no room for another one"
        assert ahead.held == held
        await stalled.aclose()
        assert ahead.held == 0
        assert await most_ahead(second, body, 30) > 4, "there is again"
        async for _ in body:
            pass
        assert ahead.held == 0

    _with_threads(work, ahead)


def test_who_becomes_slow_gives_back_the_room_for_larger_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pumping, "monotonic", lambda: now)
    ahead = Room(10 * STEP)

    async def work(threads: Threads) -> None:
        nonlocal now
        source = Source(60)
        response = await respond(threads, lambda: Prepared("x/y", source.blocks(), length=60 * STEP))
        assert isinstance(response, StreamingResponse)
        held: list[int] = []
        async for _ in response.body_iterator:
            now += 0.001 if len(held) < 30 else 0.1
            held.append(ahead.held)
        assert held[0] == held[-1] == 0
        assert max(held) > 0

    _with_threads(work, ahead)


def test_what_goes_wrong_at_first_is_an_error_and_later_breaks_the_answer_off() -> None:
    async def work(threads: Threads) -> None:
        early = Source(3, fails_at=0)
        with pytest.raises(Corrupt):
            await respond(threads, lambda: Prepared("x/y", early.blocks()))
        assert early.is_closed

        def refuse() -> Prepared:
            raise NotHere("There is nothing of that name here.")

        with pytest.raises(NotHere):
            await respond(threads, refuse)
        late = Source(9, fails_at=3)
        response = await respond(threads, lambda: Prepared("x/y", late.blocks()))
        assert isinstance(response, StreamingResponse)
        taken: list[int] = []

        async def take() -> None:
            async for block in response.body_iterator:
                taken.append(len(block))  # noqa: PERF401 - what was taken before it broke

        with pytest.raises(Corrupt):
            await take()
        assert taken == [STEP] * 3
        assert late.is_closed

    _with_threads(work)


class Large(bytearray):
    """Something that would better not stay in memory."""


@pytest.mark.parametrize("fails_at", [0, 5])
def test_what_a_broken_off_answer_had_made_goes_with_its_error(fails_at: int) -> None:
    made: list[ref[Large]] = []

    def blocks() -> Blocks:
        large = Large(STEP)
        made.append(ref(large))
        for number in range(9):
            if number == fails_at:
                raise Busy("Too much is held.")
            yield memoryview(large)

    async def take(threads: Threads) -> None:
        with suppress(Busy):
            response = await respond(threads, lambda: Prepared("x/y", blocks()))
            assert isinstance(response, StreamingResponse)
            async for _ in response.body_iterator:
                pass
            raise AssertionError

    async def work(threads: Threads) -> None:
        await take(threads)
        async with asyncio.timeout(20):  # the thread lets go of its job a moment after the answer is here
            while made[0]() is not None:  # noqa: ASYNC110 - nobody tells when that is
                await asyncio.sleep(0.01)

    gc.disable()
    try:
        _with_threads(work)
    finally:
        gc.enable()


def test_whoever_goes_away_leaves_nothing_open() -> None:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        await asyncio.sleep(0.01)

    async def work(threads: Threads) -> None:
        for pause in (0.0, 30.0):
            source = Source(1000, pause=pause)
            response = await respond(threads, lambda source=source: Prepared("x/y", source.blocks()))
            sending = asyncio.create_task(response({"type": "http"}, receive, send))  # pyright: ignore[reportArgumentType]
            await asyncio.sleep(0.2)
            sending.cancel()
            await asyncio.wait([sending])
            assert source.is_closed
            assert source.made < 900

    _with_threads(work)


def test_a_pause_holds_no_thread() -> None:
    async def work(threads: Threads) -> None:
        sources = [Source(2, pause=0.05) for _ in range(16)]

        async def take(source: Source) -> int:
            response = await respond(threads, lambda: Prepared("x/y", source.blocks()))
            assert isinstance(response, StreamingResponse)
            return sum([len(block) async for block in response.body_iterator])

        # Sixteen at a time with four threads, and each of them waits twice.
        assert await asyncio.gather(*map(take, sources)) == [2 * STEP] * 16

    _with_threads(work)


def test_large_blocks_leave_in_pieces_and_no_more_of_them_are_held_than_there_is_memory_for() -> None:
    holding = Holding(3 * STEP)
    block = bytes(2 * STEP) + b"end"
    assert b"".join(holding.pieces(block)) == block
    assert list(holding.pieces(b"small")) == [b"small"]
    slow = holding.pieces(block)
    next(slow)
    with pytest.raises(Busy):
        next(holding.pieces(block))
    assert list(holding.pieces(b"small")) == [b"small"]
    slow.close()
    large = holding.pieces(bytes(9 * STEP))
    assert len(next(large)) == STEP, "one that is larger than all may hold is held alone"
    assert sum(map(len, large)) == 8 * STEP
    assert b"".join(holding.pieces(block)) == block


def test_one_large_block_is_sent_in_pieces() -> None:
    def blocks() -> Blocks:
        yield bytes(9 * STEP)

    async def work(threads: Threads) -> None:
        response = await respond(threads, lambda: Prepared("a/b", blocks()))
        assert isinstance(response, StreamingResponse)
        sizes = [len(block) async for block in response.body_iterator]
        assert sizes == [STEP] * 9

    _with_threads(work)
