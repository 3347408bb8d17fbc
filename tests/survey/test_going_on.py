"""A run goes on under the scope that it was begun with: under another one its targets would be others."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.errors import Misconfigured
from leadglass.survey import scope as scopes
from leadglass.survey.engine import Target
from leadglass.survey.scope import Address, Level, Rate, SurveyScope, Vantage, today
from leadglass.survey.state import SWEEP, State, folder_of
from tests.peers.running import free_port
from tests.survey.visiting import scope

NOWHERE = Target(ip_address("127.0.0.1"), 1)


def _begun(folder: Path, source: str, under: SurveyScope) -> State:
    state = State(folder / "clinic.survey", writes=True)
    made = state.begin_with(under, source, [NOWHERE]) if source != SWEEP else state.begin(under, source, 1)
    assert made is not None
    state.end(made.id, stopped=True)
    return state


@pytest.mark.parametrize(
    "other",
    [
        replace(scope(), networks=(ip_network("127.0.0.0/25"),)),
        replace(scope(), exclude=(ip_network("127.0.0.9/32"),)),
        replace(scope(), hosts={"pacs.example": (ip_address("127.0.0.5"),)}),
        replace(scope(), ports=(104, 105)),
        replace(scope(), level=Level.OPT_IN),
        replace(scope(), vantage=Vantage.PARTNER),
    ],
    ids=["networks", "exclude", "names", "ports", "level", "vantage"],
)
def test_a_sweep_goes_on_only_where_it_would_be_the_same_sweep(tmp_path: Path, other: SurveyScope) -> None:
    with _begun(tmp_path, SWEEP, scope()) as state:
        begun = state.unfinished()
        assert begun is not None
        with pytest.raises(Misconfigured, match="Begin a new run"):
            state.require_same(begun, other)
        state.require_same(begun, replace(scope(), rate=Rate(1, 5, 1), owner="somebody else"))


def test_a_list_goes_on_where_less_is_allowed_by_now_and_not_where_one_goes_further(tmp_path: Path) -> None:
    with _begun(tmp_path, "targets", scope()) as state:
        begun = state.unfinished()
        assert begun is not None
        state.require_same(begun, replace(scope(), exclude=(ip_network("127.0.0.9/32"),)))
        with pytest.raises(Misconfigured):
            state.require_same(begun, replace(scope(), level=Level.OPT_IN))


def test_a_name_that_points_elsewhere_by_now_is_told_to_who_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Iterable[Address]] = {"pacs.example": (ip_address("10.77.0.5"),)}

    def look_up(name: str) -> Iterable[Address]:
        return found[name]

    monkeypatch.setattr(scopes.load, "__kwdefaults__", {"look_up": look_up})
    file = tmp_path / "clinic.toml"
    file.write_text(
        f'[survey]\nowner = "a"\ncontact = "b"\nauthorised_by = "c"\nvalid_from = {today()}\nvalid_until = {today()}\n'
        f'[scope]\nhosts = ["pacs.example"]\nexclude = ["10.77.0.0/24"]\nports = [{free_port()}]\n'
    )
    with State(folder_of(file), writes=True) as state:
        state.end(state.begin(scopes.load(file), SWEEP, 1).id, stopped=True)
    found["pacs.example"] = (ip_address("10.77.0.6"),)
    assert run(["survey", "run", str(file), "--resume"], App) != 0
    assert "what its names point at" in capsys.readouterr().err
    found["pacs.example"] = (ip_address("10.77.0.5"),)
    assert run(["survey", "run", str(file), "--resume"], App) == 0
