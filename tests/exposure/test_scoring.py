"""The score: anybody can follow it, and mending anything never lowers it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.exposure.finding import Finding, Fix, Group, Severity
from leadglass.exposure.scoring import CAPS, GRADES, POINTS, score


def found(check: str, severity: Severity, subject: str = "") -> Finding:
    return Finding(check, subject, severity, Group.NETWORK, "t", "s.", "m.", Fix("f."), ())


FINDINGS = st.lists(
    st.builds(found, st.sampled_from("abcdefgh"), st.sampled_from(Severity), st.sampled_from("123456789")), max_size=40
)


def test_nothing_found_is_a_hundred() -> None:
    assert score([]).points == 100
    assert score([]).grade == "A"


@pytest.mark.parametrize("severity", Severity)
def test_one_finding_costs_its_points_and_is_capped(severity: Severity) -> None:
    assert score([found("a", severity)]).points == min(100 - POINTS[severity], CAPS[severity])


def test_more_of_the_same_costs_a_point_each_and_four_at_most() -> None:
    several = [found("a", Severity.LOW, str(number)) for number in range(9)]
    assert [score(several[:count]).points for count in (1, 2, 3, 5, 9)] == [98, 97, 96, 94, 94]


@given(FINDINGS, st.data())
def test_mending_a_finding_never_lowers_the_score(findings: list[Finding], data: st.DataObject) -> None:
    if findings:
        mended = data.draw(st.integers(0, len(findings) - 1))
        left = findings[:mended] + findings[mended + 1 :]
        assert score(left).points >= score(findings).points


@given(FINDINGS, st.data())
def test_making_a_finding_less_bad_never_lowers_the_score(findings: list[Finding], data: st.DataObject) -> None:
    if findings:
        eased = data.draw(st.integers(0, len(findings) - 1))
        before = findings[eased]
        better = data.draw(st.sampled_from([each for each in Severity if before.severity.is_at_least(each)]))
        now = [*findings[:eased], found(before.check, better, before.subject), *findings[eased + 1 :]]
        assert score(now).points >= score(findings).points


@given(FINDINGS)
def test_the_order_of_findings_does_not_matter_and_the_score_stays_within_its_bounds(findings: list[Finding]) -> None:
    counted = score(findings)
    assert counted == score(reversed(findings))
    assert 0 <= counted.points <= 100
    assert counted.grade == next(grade for least, grade in GRADES if counted.points >= least)


@given(FINDINGS)
def test_who_has_something_critical_is_not_well_off(findings: list[Finding]) -> None:
    assert score([*findings, found("z", Severity.CRITICAL)]).grade == "F"
    assert score([*findings, found("z", Severity.HIGH)]).points <= CAPS[Severity.HIGH]
