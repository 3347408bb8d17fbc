"""A data set between the socket and its consumer: every byte once and in order, and never more objects than bytes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.wire.errors import AssociationAborted
from leadglass.wire.stream import DataStream

ROOM = 64_000
"""bytes that may wait before the socket is stopped, here"""


class Gauge:
    """Counts what waits, as a link does for its socket."""

    def __init__(self) -> None:
        self.waiting = 0
        self.room = asyncio.Event()
        self.room.set()

    def __call__(self, change: int) -> bool:
        self.waiting += change
        if self.waiting > ROOM:
            self.room.clear()
        elif self.waiting <= ROOM // 2:
            self.room.set()
        return not self.room.is_set()


async def feed(stream: DataStream, gauge: Gauge, fragments: list[bytes]) -> None:
    """Put fragments as a socket does: not while it is stopped."""
    for number, fragment in enumerate(fragments, 1):
        await gauge.room.wait()
        stream.put(fragment, last=number == len(fragments))
        if not number % 3:
            await asyncio.sleep(0)


sizes = st.one_of(st.integers(0, 3), st.integers(0, 40_000), st.sampled_from([16_383, 16_384, 16_385]))


@given(st.lists(sizes, min_size=1, max_size=40), st.lists(st.integers(0, 200_000), min_size=1, max_size=5))
def test_every_byte_comes_once_and_in_order_however_it_is_cut_and_asked_for(
    lengths: list[int], asks: list[int]
) -> None:
    """0 asks for the next block, anything else gathers so many bytes."""
    fragments = [bytes([number % 251]) * length for number, length in enumerate(lengths)]

    async def scene() -> bytes:
        gauge = Gauge()
        stream = DataStream(gauge)
        feeding = asyncio.create_task(feed(stream, gauge, fragments))
        got = bytearray()
        for turn in range(10_000):
            ask = asks[turn % len(asks)]
            if ask:
                blocks, is_more = await stream.gather(ask)
                got += b"".join(blocks)
                if not is_more:
                    break
            else:
                block = await anext(stream, None)
                if block is None:
                    break
                got += block
        await feeding
        assert gauge.waiting == 0
        return bytes(got)

    assert asyncio.run(asyncio.wait_for(scene(), 60)) == b"".join(fragments)


def test_who_gathers_is_woken_when_enough_is_here_and_not_before() -> None:
    async def scene() -> None:
        stream = DataStream(Gauge())
        waiting = asyncio.create_task(stream.gather(30_000))
        for _ in range(2):
            stream.put(bytes(10_000), last=False)
            await asyncio.sleep(0.01)
            assert not waiting.done()
        stream.put(bytes(10_000), last=False)
        blocks, is_more = await waiting
        assert (sum(map(len, blocks)), is_more) == (30_000, True)

    asyncio.run(scene())


def test_who_asks_for_more_than_is_let_in_gets_what_there_is() -> None:
    async def scene() -> None:
        gauge = Gauge()
        stream = DataStream(gauge)
        waiting = asyncio.create_task(stream.gather(10 * ROOM))
        await asyncio.sleep(0)
        while gauge.room.is_set():
            stream.put(bytes(20_000), last=False)
        blocks, is_more = await asyncio.wait_for(waiting, 10)
        assert (sum(map(len, blocks)), is_more) == (80_000, True)
        assert gauge.room.is_set()

    asyncio.run(scene())


def test_a_million_fragments_of_a_byte_are_not_a_million_objects() -> None:
    async def scene() -> None:
        stream = DataStream(lambda _: False)
        for _ in range(1_000_000):
            stream.put(b"x", last=False)
        blocks, _ = await stream.gather(1_000_000)
        assert len(blocks) < 100
        assert b"".join(blocks) == b"x" * 1_000_000

    asyncio.run(scene())


def test_what_was_gathered_in_part_when_the_association_ended_is_not_given_as_a_whole() -> None:
    async def scene() -> None:
        stream = DataStream(Gauge())
        stream.put(bytes(10_000), last=False)
        waiting = asyncio.create_task(stream.gather(30_000))
        await asyncio.sleep(0)
        stream.fail("the peer closed the connection")
        with pytest.raises(AssociationAborted, match="incomplete"):
            await waiting

    asyncio.run(scene())
