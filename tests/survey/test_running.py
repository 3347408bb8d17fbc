"""A run from its scope to its end, and what is left of it where it does not come there."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.survey.checks import dicom_answers
from leadglass.survey.engine import Outcome, Target
from leadglass.survey.running import survey
from leadglass.survey.scope import Rate
from leadglass.survey.state import State, Status
from tests.peers.running import free_port
from tests.survey.visiting import scope

CLOSED = 40


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give a folder of surveys."""
    with State(tmp_path / "clinic.survey", writes=True) as opened:
        yield opened


def test_a_run_that_breaks_off_is_not_done_keeps_what_it_heard_and_goes_on(state: State) -> None:
    within = replace(scope(), rate=Rate(500, 0, hosts_at_once=2))
    port = free_port()
    run = state.begin_with(within, "targets", [Target(ip_address(f"127.0.0.{n + 1}"), port) for n in range(CLOSED)])
    assert run is not None

    def breaks(_: Outcome) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        survey(within, state, run, state.given(run.id), [dicom_answers.CHECK], breaks)
    broken = state.run(run.id)
    assert broken.status is Status.STOPPED
    assert 0 < broken.done < CLOSED
    assert state.was_heard(run.id)

    seen: list[Outcome] = []
    assert survey(within, state, broken, state.given(run.id), [dicom_answers.CHECK], seen.append)
    whole = state.run(run.id)
    assert (whole.status, whole.done, len(seen)) == (Status.DONE, CLOSED, CLOSED - broken.done)
    assert CLOSED <= whole.connections <= CLOSED + 2  # two were under way when it broke off


def test_what_was_looked_at_is_kept_before_anybody_is_told(state: State) -> None:
    within = replace(scope(), rate=Rate(500, 0, hosts_at_once=2))
    run = state.begin_with(within, "targets", [Target(ip_address("127.0.0.1"), free_port())])
    assert run is not None
    kept: list[int] = []
    assert survey(
        within, state, run, state.given(run.id), [dicom_answers.CHECK], lambda _: kept.append(state.run(run.id).done)
    )
    assert kept == [1]
