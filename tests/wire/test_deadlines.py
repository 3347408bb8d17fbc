"""Deadlines over one timer."""

import asyncio
import time

from leadglass.wire.deadlines import Deadline, Deadlines


def test_each_deadline_passes_once_and_in_order_and_a_cleared_one_does_not() -> None:
    async def scene() -> list[Deadline]:
        passed: asyncio.Queue[Deadline] = asyncio.Queue()
        deadlines = Deadlines(asyncio.get_running_loop(), passed.put_nowait)
        deadlines.set(Deadline.WRITE, 0.06)
        deadlines.set(Deadline.ARTIM, 0.02)
        deadlines.set(Deadline.IDLE, 0.01)
        deadlines.clear(Deadline.IDLE)
        in_order = [await passed.get(), await passed.get()]
        await asyncio.sleep(0.1)
        assert passed.empty()
        return in_order

    assert asyncio.run(scene()) == [Deadline.ARTIM, Deadline.WRITE]


def test_a_deadline_that_is_pushed_on_does_not_pass() -> None:
    async def scene() -> list[Deadline]:
        passed: asyncio.Queue[Deadline] = asyncio.Queue()
        deadlines = Deadlines(asyncio.get_running_loop(), passed.put_nowait)
        for _ in range(10):
            deadlines.set(Deadline.IDLE, 5.0)
            await asyncio.sleep(0.005)
        assert Deadline.IDLE in deadlines
        assert passed.empty()
        deadlines.set(Deadline.IDLE, 0.001)
        first = await passed.get()
        assert Deadline.IDLE not in deadlines
        return [first]

    assert asyncio.run(scene()) == [Deadline.IDLE]


def test_closed_deadlines_never_pass() -> None:
    async def scene() -> list[Deadline]:
        passed: list[Deadline] = []
        deadlines = Deadlines(asyncio.get_running_loop(), passed.append)
        deadlines.set(Deadline.IDLE, 0.001)
        deadlines.close()
        await asyncio.sleep(0.02)
        return passed

    assert asyncio.run(scene()) == []


def test_what_a_busy_loop_is_late_for_passes_in_order_all_the_same() -> None:
    async def scene() -> list[Deadline]:
        passed: asyncio.Queue[Deadline] = asyncio.Queue()
        deadlines = Deadlines(asyncio.get_running_loop(), passed.put_nowait)
        deadlines.set(Deadline.WRITE, 0.002)
        deadlines.set(Deadline.ARTIM, 0.001)
        time.sleep(0.01)  # noqa: ASYNC251 - the loop is kept from its timers
        return [await passed.get(), await passed.get()]

    assert asyncio.run(scene()) == [Deadline.ARTIM, Deadline.WRITE]
