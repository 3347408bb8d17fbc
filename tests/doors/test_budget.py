import pytest

from leadglass.doors.budget import FREE, Budget
from leadglass.errors import Busy


def test_what_all_answers_take_is_bounded_and_one_caller_never_has_all_of_it() -> None:
    budget = Budget(most=100, of_one=60)
    mine, yours = budget.answer("me"), budget.answer("you")
    mine.add(FREE + 60)
    with pytest.raises(Busy, match="Ask for less"):
        budget.answer("me").add(FREE + 1)
    yours.add(FREE + 40)
    with pytest.raises(Busy):
        budget.answer("them").add(FREE + 1)


def test_what_was_sent_makes_room_again() -> None:
    budget = Budget(most=100, of_one=100)
    room = budget.answer("me")
    for _ in range(100):
        room.add(1 + FREE // 100)
    room.close()
    room.close()
    budget.answer("you").add(FREE + 100)


def test_a_short_answer_is_never_refused() -> None:
    budget = Budget(most=100, of_one=100)
    budget.answer("them").add(FREE + 100)
    budget.answer("them").add(FREE)
    budget.answer("me").add(FREE)
