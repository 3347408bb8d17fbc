"""Model: what a report counts, and what the press would have counted."""

from collections.abc import Generator
from pathlib import Path

import pytest

from leadglass.survey.findings import Exposure, Severity
from leadglass.survey.report import model
from leadglass.survey.report.model import UNASSIGNED, Grade, Place, Press, Report
from leadglass.survey.report.page import page
from leadglass.survey.standing import Standing
from tests.survey.followed import followed, found
from tests.survey.report.reported import HOSTILE, second_run


@pytest.fixture
def report(tmp_path: Path) -> Generator[Report]:
    """Give the report of a second run."""
    with second_run(tmp_path) as (_, made):
        yield made


def test_each_finding_stands_against_what_was_known(report: Report) -> None:
    assert {str(each.finding.address): (each.change, each.was_closed) for each in report.items} == {
        "192.0.2.10": ("unchanged", False),
        "192.0.2.11": ("updated", False),
        "192.0.2.12": ("unchanged", False),
        "192.0.2.15": ("new", True),
        "192.0.2.16": ("new", False),
        "192.0.2.17": ("new", False),
    }
    assert [str(each.finding.address) for each in report.absent] == ["192.0.2.13"]
    assert [str(each.finding.address) for each in report.unlooked] == ["192.0.2.14"]


def test_hosts_are_counted_by_the_highest_that_was_proved_and_not_inferred(report: Report) -> None:
    assert report.ladder == {
        Exposure.E0: 0, Exposure.E1: 1, Exposure.E2: 0, Exposure.E3: 3, Exposure.E4: 1, Exposure.E5: 0,
    }  # fmt: skip


def test_the_press_would_have_counted_hosts_not_findings(report: Report) -> None:
    assert report.press == Press(answering=4, taking=3, queried=3, readable=1, shares=1)


def test_what_a_run_changed_keeps_new_back_and_gone_apart(report: Report) -> None:
    tally = report.tally
    assert (tally.new, tally.back, tally.gone, tally.still) == (2, 1, 1, 3)
    assert [(each.tally.new, each.tally.gone) for each in report.trend] == [(1, 0), (5, 1), (2, 1)]
    assert report.standings[Standing.ACCEPTED] == 1
    assert report.standings[Standing.REGRESSED] == 1


def test_units_are_good_bad_or_ugly(report: Report) -> None:
    assert {each.name: each.grade for each in report.units} == {HOSTILE: Grade.UGLY, UNASSIGNED: Grade.UGLY}
    assert report.severities[Severity.CRITICAL] >= 1


def test_a_unit_where_strangers_are_turned_away_is_good(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([found(exposure=Exposure.E1)])
    assert [each.grade for each in kept.report(run).units] == [Grade.GOOD]
    kept.state.close()


def test_countries_and_organisations_stand_like_units_where_they_are_known(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([found(), found("192.0.2.11", exposure=Exposure.E1), found("192.0.2.12")])
    known = {"192.0.2.10": Place("Germany", "A"), "192.0.2.11": Place("Germany", "B")}
    report = model.build(
        kept.state, kept.register, run, (), made=run.started, version="0", places=lambda at: known.get(str(at), Place())
    )
    assert [(each.name, each.hosts, each.grade) for each in report.countries] == [("Germany", 2, Grade.BAD)]
    assert [(each.name, each.grade) for each in report.organisations] == [("A", Grade.BAD), ("B", Grade.GOOD)]
    assert "Germany" in page(report)
    kept.state.close()
