"""Looking: what an engine's silence proves, and what was known before a run."""

import asyncio
from collections.abc import Generator
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.survey.check import Check, Visit
from leadglass.survey.engine import Engine, Outcome, Target
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Gate
from leadglass.survey.journal import Journal
from leadglass.survey.looking import Change, compared, known_before, look_of
from leadglass.survey.scope import Level
from tests.survey.followed import QUERIES, STRANGERS, Followed, followed, found


@pytest.fixture
def kept(tmp_path: Path) -> Generator[Followed]:
    """Give an empty folder of surveys."""
    made = followed(tmp_path)
    yield made
    made.state.close()


def _check(name: str, what: str, needs_dicom: bool = False) -> Check:
    async def run(visit: Visit) -> None:
        visit.known.is_open = True
        if what == "breaks":
            raise Closed("The peer closed the connection.")
        if what == "odd":
            visit.known.is_odd = True

    return Check(
        name, "t", Level.IDENTIFY, "s", (), (), lambda known, _: not needs_dicom or known.dicom is not None, run
    )


def _look(tmp_path: Path, kept: Followed, *checks: Check, address: str = "192.0.2.10") -> Outcome:
    async def look() -> Outcome:
        with Journal(tmp_path / "journal", "run") as journal:
            engine = Engine(Gate(kept.scope, journal), checks, _never)
            return await engine.look(Target(ip_address(address), 104), checks)

    return asyncio.run(look())


async def _never(_: Outcome) -> None:
    raise AssertionError


def test_what_builds_on_a_check_that_broke_proves_nothing(tmp_path: Path, kept: Followed) -> None:
    outcome = _look(tmp_path, kept, _check("a", "breaks"), _check("b", "", needs_dicom=True), _check("c", ""))
    assert (outcome.not_tested, outcome.unproven) == (("a",), ("b",))


def test_what_comes_after_an_odd_end_proves_nothing(tmp_path: Path, kept: Followed) -> None:
    outcome = _look(tmp_path, kept, _check("a", "odd"), _check("b", ""), _check("c", "", needs_dicom=True))
    assert (outcome.not_tested, outcome.unproven) == ((), ("b", "c"))


def test_what_does_not_apply_where_all_went_well_is_looked_at(tmp_path: Path, kept: Followed) -> None:
    outcome = _look(tmp_path, kept, _check("a", ""), _check("b", "", needs_dicom=True))
    assert (outcome.not_tested, outcome.unproven, outcome.is_looked_at) == ((), (), True)


def test_what_is_outside_the_scope_is_not_looked_at(tmp_path: Path, kept: Followed) -> None:
    outcome = _look(tmp_path, kept, _check("a", ""), address="198.51.100.1")
    assert not outcome.is_looked_at


def test_a_closed_endpoint_is_kept_only_where_something_was_found_once(kept: Followed) -> None:
    kept.run([found()])
    run, _ = kept.run([], looked=[], shut=[("192.0.2.10", 104), ("192.0.2.11", 104)])
    assert kept.state.shut(run.id) == [("192.0.2.10", 104)]


def test_a_run_that_goes_on_has_made_the_checks_that_it_makes_before_and_after(kept: Followed) -> None:
    run, _ = kept.run([found()], stopped=True)
    kept.state.makes(run.id, [QUERIES, "another"])
    assert kept.state.checks_of(run.id) == [QUERIES]


def test_what_was_known_is_folded_over_every_run_before(kept: Followed) -> None:
    kept.run([found(), found("192.0.2.11"), found("192.0.2.12")])
    kept.run([], looked=[("192.0.2.11", 104)])  # looks at one alone, and it is gone
    run, _ = kept.run([found(proof={"status": 1}), found("192.0.2.11"), found("192.0.2.13")], looked=[])
    known = known_before(kept.state, run)
    assert known.run == 2
    changes, absent, unlooked = compared(kept.state.findings(run.id), known, look_of(kept.state, run))
    assert {str(finding.address): change for finding, change in changes} == {
        "192.0.2.10": Change.UPDATED,
        "192.0.2.11": Change.NEW,
        "192.0.2.13": Change.NEW,
    }
    assert absent == []
    assert [str(each.address) for each in unlooked] == ["192.0.2.12"]
    assert found("192.0.2.11").id in known.ever


def test_a_finding_that_got_less_is_updated(kept: Followed) -> None:
    kept.run([found(check=STRANGERS, exposure=Exposure.E2)])
    run, _ = kept.run([found(check=STRANGERS, exposure=Exposure.E1)])
    changes, _, _ = compared(kept.state.findings(run.id), known_before(kept.state, run), look_of(kept.state, run))
    assert [change for _, change in changes] == [Change.UPDATED]
