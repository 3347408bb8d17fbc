"""Turns at the desk: in order, few of one address, some threads left."""

import asyncio
from ipaddress import IPv4Address

from leadglass.doors.turns import Turns

CROWD, OTHER, THIRD = (IPv4Address(f"10.0.0.{last}") for last in (1, 2, 3))


async def at_the_desk(
    turns: Turns[IPv4Address], address: IPv4Address, name: str, seen: list[str], leave: asyncio.Event
) -> None:
    async with turns.take(address):
        seen.append(name)
        await leave.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_crowd_of_one_address_leaves_room_for_others_and_all_get_their_turn() -> None:
    async def scene() -> None:
        turns, seen, leave = Turns[IPv4Address](together=3, of_one=2), list[str](), asyncio.Event()
        tasks = [asyncio.create_task(at_the_desk(turns, CROWD, f"crowd {n}", seen, leave)) for n in range(5)]
        await settle()
        assert seen == ["crowd 0", "crowd 1"]
        tasks += [asyncio.create_task(at_the_desk(turns, each, str(each), seen, leave)) for each in (OTHER, THIRD)]
        await settle()
        assert seen == ["crowd 0", "crowd 1", str(OTHER)]
        leave.set()
        await asyncio.gather(*tasks)
        assert seen[3:] == [str(THIRD), "crowd 2", "crowd 3", "crowd 4"]
        assert turns.waiting == 0

    asyncio.run(scene())


def test_who_goes_while_waiting_takes_no_turn_along() -> None:
    async def scene() -> None:
        turns, seen, leave = Turns[IPv4Address](together=1, of_one=1), list[str](), asyncio.Event()
        first, gone, last = (asyncio.create_task(at_the_desk(turns, CROWD, n, seen, leave)) for n in ("1", "2", "3"))
        await settle()
        gone.cancel()
        await settle()
        leave.set()
        await asyncio.gather(first, last)
        assert gone.cancelled()
        assert seen == ["1", "3"]
        assert turns.waiting == 0

    asyncio.run(scene())
