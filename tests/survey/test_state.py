"""What a folder knows of its surveys: what is done stays done in whatever order, and a broken list begins nothing."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.survey.engine import Outcome, Target
from leadglass.survey.state import State, Status
from tests.survey.visiting import scope


def _targets(count: int) -> Iterator[Target]:
    return (Target(ip_address(f"127.0.{number >> 8}.{number & 255}"), 104) for number in range(count))


def _outcome(number: int, *, is_open: bool = False) -> Outcome:
    return Outcome(Target(ip_address(f"127.0.0.{number}"), 104, number=number), is_open, ())


@given(st.permutations(range(40)), st.lists(st.integers(1, 7), min_size=40, max_size=40), st.integers(0, 40))
def test_what_is_left_is_what_was_not_done_in_whatever_order_and_company(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], sizes: list[int], cut: int
) -> None:
    with State(tmp_path_factory.mktemp("survey"), writes=True) as state:
        run = state.begin_with(scope(), "targets", _targets(40))
        assert run is not None
        coming, done = order[:cut], set[int]()
        for size in sizes:
            some, coming = coming[:size], coming[size:]
            state.done(run.id, *(_outcome(number, is_open=number % 2 == 0) for number in some), connections=len(some))
            done |= set(some)
            assert {each.number for each in state.left(run.id, state.given(run.id))} == set(range(40)) - done
        now = state.run(run.id)
        assert (now.done, now.connections) == (cut, cut)
        assert now.open == sum(number % 2 == 0 for number in done)


def test_a_list_that_breaks_in_the_middle_begins_no_run_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadglass.survey.state._AT_ONCE", 7)

    def broken() -> Iterator[Target]:
        yield from _targets(40)
        raise BadInput("Line 41 is none of masscan's list.")

    with State(tmp_path, writes=True) as state:
        with pytest.raises(BadInput, match="Line 41"):
            state.begin_with(scope(), "targets", broken())
        assert state.runs() == []
        assert state.connection.execute("SELECT count(*) FROM given").fetchone() == (0,)
        assert state.begin_with(scope(), "targets", []) is None
        assert state.runs() == []


def test_a_list_is_kept_in_its_order_until_its_run_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.survey.state._AT_ONCE", 7)
    with State(tmp_path, writes=True) as state:
        run = state.begin_with(scope(), "targets", _targets(40))
        assert run is not None
        assert run.targets == 40
        assert [each.address for each in state.given(run.id)] == [each.address for each in _targets(40)]
        state.end(run.id, stopped=True)
        assert len(list(state.given(run.id))) == 40
        state.end(run.id, stopped=False)
        assert state.run(run.id).status is Status.DONE
        assert list(state.given(run.id)) == []
