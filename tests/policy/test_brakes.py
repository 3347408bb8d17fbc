"""The decision of the brakes: what is new is counted, over any window no more is given than its limit."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.policy.brakes import DEFAULTS, HOUR, MINUTE, Brake, Meter, Usage, Verdict, brakes_of
from leadglass.policy.caller import CallerKind

LISTED = Meter.LISTED
SMALL = (Brake(LISTED, 60.0, 4, 8), Brake(LISTED, 600.0, 10, 20))
"""Limits within a minute and within ten."""

ROOM = 1_000


def usage(*brakes: Brake, most_delay: float = 2.0) -> Usage:
    return Usage(brakes or SMALL, most_delay)


def give(used: Usage, marks: range, now: float, room: int = ROOM) -> list[Verdict]:
    return [used.charge_new(LISTED, (mark,), now, room=room) for mark in marks]


steps = st.lists(
    st.tuples(st.floats(0, 120), st.sets(st.integers(0, 60), min_size=1, max_size=6)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 50))
def test_over_no_window_more_new_ones_are_given_than_its_limit(
    asked: list[tuple[float, set[int]]], memory: int
) -> None:
    used = usage()
    given_at: list[tuple[float, int]] = []
    seen: dict[int, float] = {}
    now = 0.0
    for passed, marks in asked:
        now += passed
        new = {mark for mark in marks if mark not in seen or now - seen[mark] >= 600.0}
        verdict = used.charge_new(LISTED, marks, now, room=memory - used.remembered)
        if verdict.refused is None:
            given_at.append((now, len(new)))
            seen |= dict.fromkeys(new, now)
        for brake in SMALL:
            assert sum(count for at, count in given_at if now - at < brake.window) <= brake.stop
        assert used.remembered <= memory


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_refusal_is_always_for_a_limit_that_would_be_passed(asked: list[tuple[float, set[int]]]) -> None:
    used = usage()
    counted: list[tuple[float, int]] = []
    now = 0.0
    for passed, marks in asked:
        now += passed
        used.readings(now)  # lets go of what is over
        new = marks - used.known.get(LISTED, {}).keys()
        verdict = used.charge_new(LISTED, marks, now, room=ROOM)
        if verdict.refused is None:
            counted.append((now, len(new)))
        else:
            brake = verdict.refused.brake
            late = brake.window * 61 / 60
            assert sum(count for at, count in counted if now - at <= late) + len(marks) > brake.stop


@settings(max_examples=60, deadline=None)
@given(steps)
def test_who_waits_as_long_as_he_is_told_is_given_something_again(asked: list[tuple[float, set[int]]]) -> None:
    used = usage()
    now = 0.0
    for passed, marks in asked:
        now += passed
        used.charge_new(LISTED, marks, now, room=ROOM)
    refusal = None
    for mark in range(1_000, 1_100):
        verdict = used.charge_new(LISTED, (mark,), now, room=ROOM)
        if verdict.refused is not None:
            refusal = verdict.refused
            break
    assert refusal is not None
    # Each limit may be the one in the way once the other has let go.
    for _ in SMALL:
        now += refusal.free_in
        verdict = used.charge_new(LISTED, (2_000,), now, room=ROOM)
        if verdict.refused is None:
            return
        refusal = verdict.refused
    raise AssertionError("Nothing was given after the time that was told.")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=60),
    st.integers(0, 60),
)
def test_where_there_is_room_nobody_is_slowed_refused_or_told_of(
    asked: list[tuple[float, int, int]], slow: int
) -> None:
    used = usage(Brake(Meter.OCTETS, 60.0, slow, 80), Brake(Meter.STUDIES, 60.0, 3, 4))
    now = 0.0
    for passed, study, octets in asked:
        now += passed
        had_room = used.has_room(octets, study, now)
        verdicts = (
            used.would_refuse(Meter.OCTETS, octets, now),
            used.charge_new(Meter.STUDIES, (study,), now, room=ROOM),
            used.charge(Meter.OCTETS, octets, now),
        )
        if had_room:
            assert verdicts == (Verdict(), Verdict(), Verdict())


def test_a_study_that_was_not_given_before_has_no_room_by_itself() -> None:
    used = usage(Brake(Meter.OCTETS, 60.0, 100, 100), Brake(Meter.STUDIES, 60.0, 3, 4))
    assert not used.has_room(1, 7, 0.0)
    used.charge_new(Meter.STUDIES, (7,), 0.0, room=ROOM)
    assert used.has_room(100, 7, 1.0)
    assert not used.has_room(101, 7, 1.0)


def test_what_was_given_once_is_not_counted_again() -> None:
    used = usage()
    give(used, range(8), 0.0)
    assert used.charge_new(LISTED, (99,), 1.0, room=ROOM).refused is not None
    assert all(verdict == Verdict() for verdict in give(used, range(8), 1.0))


def test_a_wish_is_counted_whole_or_not_at_all() -> None:
    used = usage()
    assert used.charge_new(LISTED, range(9), 0.0, room=ROOM).refused is not None
    assert used.charge_new(LISTED, range(8), 0.0, room=ROOM).refused is None


def test_a_wish_larger_than_the_limit_is_never_told_to_come_back() -> None:
    refused = usage().charge_new(LISTED, range(9), 0.0, room=ROOM).refused
    assert refused is not None
    assert refused.free_in == float("inf")


def test_above_the_first_threshold_the_caller_waits_and_never_longer_than_allowed() -> None:
    used = usage(most_delay=0.5)
    verdicts = give(used, range(8), 0.0)
    assert [verdict.delay for verdict in verdicts[:4]] == [0, 0, 0, 0]
    assert all(0 < verdict.delay <= 0.5 for verdict in verdicts[4:])


def test_lines_at_one_time_wait_for_each_other() -> None:
    used = usage(most_delay=1_000.0)
    delays = [verdict.delay for verdict in give(used, range(8), 0.0)]
    assert delays[4:] == [15.0, 30.0, 45.0, 60.0]


def test_slowing_and_stopping_are_each_told_once_an_hour_with_what_came_between() -> None:
    used = usage(Brake(Meter.QUERIES, MINUTE, 2, 4))
    told = [
        (now, each.used, each.refused, verdict.refused is not None)
        for now in range(0, 3 * 3_600, 5)
        for verdict in (used.charge(Meter.QUERIES, 1, float(now)),)
        for each in verdict.tell
    ]
    slow = [now for now, _, _, is_stop in told if not is_stop]
    stop = [(now, refused) for now, _, refused, is_stop in told if is_stop]
    assert len(slow) == 3
    assert len(stop) == 3
    assert stop[0][1] == 1
    assert stop[1][1] > 100


def test_when_memory_ends_more_is_counted_and_never_less() -> None:
    used = usage()
    give(used, range(3), 0.0, room=0)
    verdicts = give(used, range(3), 0.0, room=0)
    assert used.gauges[LISTED, 60.0].used == 6
    assert all(verdict.refused is None for verdict in verdicts)
    assert give(used, range(3), 0.0, room=0)[-1].refused is not None


def test_a_clock_that_goes_back_frees_nothing() -> None:
    used = usage()
    give(used, range(8), 100.0)
    assert used.charge_new(LISTED, (99,), -1_000.0, room=ROOM).refused is not None


def test_a_caller_without_limits_is_not_slowed() -> None:
    used = Usage((), 2.0)
    assert used.charge(Meter.QUERIES, 10**9, 0.0) == Verdict()


@pytest.mark.parametrize("kind", CallerKind)
def test_every_kind_of_caller_has_limits_or_is_the_operator(kind: CallerKind) -> None:
    brakes = DEFAULTS[kind]
    assert bool(brakes) is (kind is not CallerKind.COMMAND_LINE)
    assert {brake.meter for brake in brakes} == (set(Meter) if brakes else set())
    assert all(0 < brake.slow < brake.stop for brake in brakes)


def test_a_busy_day_of_reading_is_neither_slowed_nor_told_of() -> None:
    """Ten hours: 10 patients an hour, 20 priors listed and 10 studies of 300 MB fetched for each, lists every 10 s."""
    used = Usage(DEFAULTS[CallerKind.DEVICE], 2.0)
    verdicts: list[Verdict] = []
    for hour in range(10):
        verdicts += [used.charge(Meter.QUERIES, 4, hour * HOUR + second) for second in range(0, 3_600, 10)]
        now = hour * HOUR + HOUR
        verdicts.append(used.charge_new(LISTED, range(hour * 300, hour * 300 + 300), now, room=100_000))
        verdicts.append(used.charge_new(Meter.STUDIES, range(hour * 100, hour * 100 + 100), now, room=100_000))
        verdicts += [used.charge(Meter.OCTETS, 300_000_000, now) for _ in range(100)]
    assert set(verdicts) == {Verdict()}


def test_the_share_from_which_a_caller_is_slowed_is_the_operators() -> None:
    made = brakes_of(
        queries_per_minute=100,
        listed_per_hour=100,
        listed_per_day=100,
        studies_per_hour=100,
        studies_per_day=100,
        gib_per_hour=100,
        gib_per_day=100,
        slow_from_percent=100,
    )
    assert all(brake.slow == brake.stop for brake in made)
    used = Usage((replace(made[0], window=60.0),), 2.0)
    assert {used.charge(Meter.QUERIES, 1, 0.0).delay for _ in range(100)} == {0.0}
