"""Standing: the state machine of a finding, whatever happens in whatever order."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import Conflict
from leadglass.survey import standing as rules
from leadglass.survey.standing import CLOSED, TO_RETEST, Schedule, Standing

TODAY = date(2026, 3, 1)

_BY_PEOPLE: dict[str, Callable[[Standing], Standing]] = {
    "told": rules.told,
    "fixed": rules.fixed,
    "accept": lambda each: rules.accepted(each, TODAY + timedelta(days=30), TODAY),
}
_BY_RUNS: dict[str, Callable[[Standing], Standing]] = {"seen": rules.seen, "missed": rules.missed}


@given(st.lists(st.sampled_from([*_BY_PEOPLE, *_BY_RUNS])))
def test_whatever_happens_only_a_run_closes_and_only_a_run_brings_back(happened: list[str]) -> None:
    standing = Standing.OPEN
    for what in happened:
        before = standing
        try:
            standing = (_BY_PEOPLE | _BY_RUNS)[what](before)
        except Conflict:
            assert what in _BY_PEOPLE
            continue
        if standing in CLOSED and before not in CLOSED:
            assert what == "missed"
        if standing is Standing.REGRESSED and before is not Standing.REGRESSED:
            assert what == "seen"
            assert before in CLOSED
        if what == "missed":
            assert standing in CLOSED
        if what == "seen":
            assert standing not in CLOSED | {Standing.FIXED_UNVERIFIED}


@pytest.mark.parametrize("standing", Standing)
def test_a_run_that_says_the_same_twice_moves_once(standing: Standing) -> None:
    for move in _BY_RUNS.values():
        assert move(move(standing)) is move(standing)


def test_the_way_of_a_finding_that_is_told_fixed_and_back() -> None:
    way = [Standing.OPEN]
    for move in (rules.told, rules.fixed, rules.missed, rules.seen, rules.told, rules.fixed, rules.seen):
        way.append(move(way[-1]))
    assert way == [
        "open",
        "told",
        "fixed-unverified",
        "fixed-verified",
        "regressed",
        "told",
        "fixed-unverified",
        "told",
    ]


def test_what_goes_by_itself_is_gone_and_not_said_to_be_fixed() -> None:
    assert rules.missed(Standing.OPEN) is Standing.GONE
    assert rules.missed(Standing.ACCEPTED) is Standing.GONE
    assert rules.seen(Standing.GONE) is Standing.REGRESSED


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_risk_is_accepted_until_a_day_to_come_at_most_a_year_ahead(days: int) -> None:
    with pytest.raises(Conflict):
        rules.accepted(Standing.OPEN, TODAY + timedelta(days=days), TODAY)


def test_an_acceptance_holds_on_its_last_day_and_not_on_the_next() -> None:
    assert rules.expired(Standing.ACCEPTED, TODAY, TODAY) is Standing.ACCEPTED
    assert rules.expired(Standing.ACCEPTED, TODAY, TODAY + timedelta(days=1)) is Standing.OPEN
    assert rules.expired(Standing.TOLD, None, TODAY) is Standing.TOLD


def test_it_is_looked_at_again_after_7_30_and_60_days_and_then_half_yearly() -> None:
    looked, dues = TODAY, list[int]()
    for _ in range(6):
        due = Schedule(TODAY, looked).due(Standing.TOLD)
        assert due is not None
        dues.append((due - TODAY).days)
        looked = due
    assert dues == [7, 30, 60, 60 + 182, 60 + 364, 60 + 546]


def test_what_is_said_to_be_fixed_is_looked_at_at_once() -> None:
    assert Schedule(TODAY, TODAY - timedelta(days=3)).due(Standing.FIXED_UNVERIFIED) == TODAY


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 3_000), st.sampled_from(sorted(TO_RETEST)))
def test_the_next_look_is_after_the_last_one(since: date, later: int, standing: Standing) -> None:
    looked = since + timedelta(days=later)
    due = Schedule(since, looked).due(standing)
    assert due is not None
    if standing is not Standing.FIXED_UNVERIFIED:
        assert timedelta(0) < due - looked <= timedelta(days=rules.HALF_A_YEAR)


@pytest.mark.parametrize("standing", [Standing.ACCEPTED, *sorted(CLOSED)])
def test_what_is_closed_or_accepted_is_never_due(standing: Standing) -> None:
    assert Schedule(TODAY, TODAY).due(standing) is None
