"""Turns: never more than there is room for, nobody forgotten, and what was begun goes first."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.turns import Turns


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_whoever_gives_up_there_is_room_for_the_others_and_no_more(room: int, coming: list[tuple[bool, bool]]) -> None:
    inside = most = served = 0

    async def comes(turns: Turns, *, is_new: bool) -> None:
        nonlocal inside, most, served
        await turns.enter(is_new=is_new)
        try:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            served += 1
        finally:
            inside -= 1
            turns.leave()

    async def scene() -> None:
        turns = Turns(room)
        tasks = [(asyncio.create_task(comes(turns, is_new=is_new)), stays) for is_new, stays in coming]
        for number, (task, stays) in enumerate(tasks):
            if number % 3 == 0:
                await asyncio.sleep(0)
            if not stays:
                task.cancel()  # before its turn, just as it comes, or inside
        async with asyncio.timeout(30):
            await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
            for _ in range(room):  # all of it is free again
                await turns.enter(is_new=True)

    asyncio.run(scene())
    assert most <= room
    assert served >= sum(stays for _, stays in coming)


def test_what_was_begun_goes_before_what_came_earlier() -> None:
    order: list[str] = []

    async def comes(turns: Turns, name: str) -> None:
        await turns.enter(is_new=name.startswith("new"))
        order.append(name)
        turns.leave()

    async def scene() -> None:
        turns = Turns(1)
        await turns.enter(is_new=True)
        tasks = [asyncio.create_task(comes(turns, name)) for name in ("new 1", "new 2", "begun 1", "begun 2")]
        await asyncio.sleep(0)
        turns.leave()
        await asyncio.gather(*tasks)

    asyncio.run(scene())
    assert order == ["begun 1", "begun 2", "new 1", "new 2"]
