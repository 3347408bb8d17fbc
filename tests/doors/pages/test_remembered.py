"""Searches that no address names."""

from leadglass.doors.pages.remembered import Remembered


def test_a_search_is_its_sessions_own() -> None:
    kept: Remembered[str] = Remembered()
    word = kept.keep("jane", "patient 4711")
    assert "4711" not in word
    assert kept.get("jane", word) == "patient 4711"
    assert kept.get("john", word) is None
    assert kept.get("jane", "something else") is None


def test_the_oldest_makes_room() -> None:
    kept: Remembered[int] = Remembered(most_of_one=2, most_sessions=2)
    first, second = kept.keep("jane", 1), kept.keep("jane", 2)
    assert kept.get("jane", first) == 1, "what is looked at is young again"
    third = kept.keep("jane", 3)
    assert [kept.get("jane", word) for word in (first, second, third)] == [1, None, 3]
    kept.keep("john", 4)
    assert kept.get("jane", third) == 3
    kept.keep("jim", 5)
    assert kept.get("jane", third) == 3
    kept.keep("joan", 6)
    kept.keep("jack", 7)
    assert kept.get("jane", third) is None
