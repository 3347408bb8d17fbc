"""Who makes room at the door."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from leadglass.wire.admission import Admission

NOISY, CALLER = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def admission(**limits: int) -> Admission:
    values = {"pending": 4, "pending_per_address": 3, "associations": 3, "associations_per_address": 2}
    return Admission(**{**values, **limits})


def test_the_oldest_silent_connection_of_an_address_makes_room_for_its_next_one() -> None:
    door = admission()
    assert [door.arrive(NOISY, number) for number in (1, 2, 3, 4, 5)] == [None, None, None, 1, 2]
    assert door.pending == 3


def test_a_connection_that_speaks_outlives_the_silent_ones() -> None:
    door = admission()
    door.arrive(NOISY, 1)
    door.spoke(1)
    door.arrive(NOISY, 2)
    door.arrive(NOISY, 3)
    assert door.arrive(NOISY, 4) == 2


def test_when_all_is_full_the_noisiest_address_makes_room() -> None:
    door = admission()
    door.arrive(CALLER, 1)
    for number in (2, 3, 4):
        door.arrive(NOISY, number)
    assert door.arrive(ip_address("192.0.2.3"), 5) == 2


def test_connections_that_all_speak_make_room_oldest_first() -> None:
    door = admission()
    for number in (1, 2, 3):
        door.arrive(NOISY, number)
        door.spoke(number)
    assert door.arrive(NOISY, 4) == 1


def test_a_flood_that_speaks_does_not_wash_out_a_caller_who_is_about_to() -> None:
    door = admission(pending=8, pending_per_address=8)
    for number in range(1, 8):
        flooding = ip_address(f"192.0.2.{number + 10}")
        door.arrive(flooding, number)
        door.spoke(number)
    door.arrive(CALLER, 8)  # and its first byte is on the way
    assert door.arrive(ip_address("192.0.2.30"), 9) == 1


def test_an_address_that_had_an_association_makes_room_last() -> None:
    door = admission()
    door.welcome(CALLER)
    door.arrive(CALLER, 1)
    door.spoke(1)
    for number in range(2, 30):
        flooding = ip_address(f"192.0.2.{number + 10}")
        assert door.arrive(flooding, number) != 1
        door.spoke(number)


def test_a_welcome_address_makes_room_for_itself_and_before_those_that_speak_when_it_is_silent() -> None:
    door = admission()
    door.welcome(NOISY)
    assert [door.arrive(NOISY, number) for number in (1, 2, 3, 4)] == [None, None, None, 1]
    door.arrive(CALLER, 5)
    door.spoke(5)
    assert door.arrive(ip_address("192.0.2.3"), 6) == 2


def test_associations_are_limited_in_total_and_for_each_address() -> None:
    door = admission()
    assert door.associate(NOISY)
    assert door.associate(NOISY)
    assert not door.associate(NOISY)
    assert door.associate(CALLER)
    assert not door.associate(ip_address("192.0.2.3"))
    door.dissociate(NOISY)
    assert door.associate(CALLER)
    assert door.associations == 3


@given(st.lists(st.tuples(st.sampled_from(["arrive", "spoke", "leave"]), st.integers(0, 3), st.integers(0, 30))))
def test_the_counts_are_right_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    door = admission()
    inside: dict[int, int] = {}
    number = 100
    for step, who, which in steps:
        address = ip_address(who)
        if step == "arrive":
            number += 1
            evicted = door.arrive(address, number)
            if evicted is not None:
                del inside[evicted]
            inside[number] = who
        elif inside:
            chosen = sorted(inside)[which % len(inside)]
            if step == "spoke":
                door.spoke(chosen)
            else:
                del inside[chosen]
                door.leave(chosen)
        assert door.pending == len(inside) <= 4
        for each in set(inside.values()):
            assert list(inside.values()).count(each) <= 3
