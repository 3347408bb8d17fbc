"""Pools and hops: what is waited for, and what is not when the archive stops."""

import asyncio
import gc
from collections.abc import Generator
from contextlib import suppress
from threading import Event
from weakref import ref

import pytest

from leadglass.doors.threads import Pool, Threads
from leadglass.errors import Busy


@pytest.fixture
def stuck() -> Generator[Event]:
    """Give what a thread may wait for until the test is over."""
    event = Event()
    yield event
    event.set()


class Large:
    """Something that would better not stay in memory."""


@pytest.fixture
def uncollected() -> Generator[None]:
    """Let nobody look for garbage: what goes away does so because nobody has it any more."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_what_a_failed_hop_had_made_goes_with_its_error() -> None:
    made: list[ref[Large]] = []

    def fail() -> None:
        large = Large()
        made.append(ref(large))
        raise Busy("No.")

    async def ask(threads: Threads) -> str:
        try:
            await threads.run(fail)
        except Busy as error:
            return error.message
        return ""

    async def go() -> None:
        threads = Threads(pool)
        assert await ask(threads) == "No."
        await threads.run(max, 1, 2)  # the thread is done with the first
        assert [each() for each in made] == [None]

    with Pool(1, "test") as pool:
        asyncio.run(go())


@pytest.mark.usefixtures("uncollected")
def test_a_thread_that_waits_keeps_nothing_of_a_job_that_nobody_wanted_any_more(stuck: Event) -> None:
    with Pool(1, "test") as pool:
        running = pool.submit(stuck.wait, 20)
        large = Large()
        there = ref(large)
        dropped = pool.submit(isinstance, large, Large)
        dropped.cancel()
        del large, dropped
        stuck.set()
        running.result(20)
        while pool.counts[1:] != (0, 0):
            pass
        assert there() is None


def test_a_hop_gives_what_the_function_gives_or_raises() -> None:
    def fail() -> None:
        raise Busy("No.")

    async def go() -> int:
        threads = Threads(pool)
        with pytest.raises(Busy, match="No"):
            await threads.run(fail)
        return await threads.run(max, 3, 7)

    with Pool(1, "test") as pool:
        assert asyncio.run(go()) == 7


def test_a_cancelled_caller_waits_for_its_hop(stuck: Event) -> None:
    begun = Event()

    def work() -> None:
        begun.set()
        stuck.wait(20)

    async def go() -> None:
        asked = asyncio.ensure_future(Threads(pool).run(work))
        await asyncio.to_thread(begun.wait, 20)
        for _ in range(3):
            asked.cancel()
            await asyncio.sleep(0)
        assert not asked.done()
        stuck.set()
        with suppress(asyncio.CancelledError):
            await asked
        assert asked.cancelled()

    with Pool(1, "test") as pool:
        asyncio.run(go())


def test_a_closed_pool_drops_what_has_not_begun_and_counts_what_does_not_end(stuck: Event) -> None:
    pool = Pool(1, "test")
    begun = Event()

    def work() -> None:
        begun.set()
        stuck.wait(20)

    running = pool.submit(work)
    waiting = pool.submit(max, 1, 2)
    assert begun.wait(20)
    assert pool.close(0.0) == 1
    assert waiting.cancelled()
    assert not running.done()
    with pytest.raises(RuntimeError):
        pool.submit(max, 1, 2)
    stuck.set()
    assert pool.close(20.0) == 0
    assert running.done()


def test_after_a_closed_pool_a_hop_is_busy() -> None:
    pool = Pool(1, "test")
    pool.close(20.0)
    with pytest.raises(Busy):
        asyncio.run(Threads(pool).run(max, 1, 2))


def test_given_up_hops_keep_nobody_waiting(stuck: Event) -> None:
    """The loop ends although a thread never does."""
    pool = Pool(1, "test")
    begun = Event()

    def work() -> None:
        begun.set()
        stuck.wait(60)

    async def go() -> bool:
        threads = Threads(pool)
        asked = asyncio.ensure_future(threads.run(work))
        await asyncio.to_thread(begun.wait, 20)
        asked.cancel()
        await asyncio.sleep(0)
        assert threads.give_up() == 1
        with suppress(asyncio.CancelledError):
            await asked
        return threads.give_up() == 0

    assert asyncio.run(go())
    assert not stuck.is_set()
    assert pool.close(0.0) == 1
