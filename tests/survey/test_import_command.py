"""``survey import`` end to end: over what a file lists, inside the scope only, and again after a stop."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.survey import scope
from leadglass.survey.engine import Target
from leadglass.survey.scope import address_of
from leadglass.survey.state import State, folder_of
from tests.peers.running import free_port
from tests.survey.nginx import nginx

CANARY = "CANARYIMPORT"


@pytest.fixture
def scope_file(tmp_path: Path) -> Path:
    """Write a scope of loopback that is in force."""
    today = datetime.now(UTC).date()
    path = tmp_path / "clinic.toml"
    path.write_text(
        '[survey]\nowner = "a clinic"\ncontact = "its technician"\nauthorised_by = "its director"\n'
        f"valid_from = {today - timedelta(days=1)}\nvalid_until = {today + timedelta(days=1)}\n"
        '[scope]\nnetworks = ["127.0.0.0/24"]\n[rate]\nconnections_per_second = 1000.0\nseconds_between = 0.0\n'
    )
    return path


def _files(folder: Path) -> Path:
    files = folder / "files"
    files.mkdir()
    (files / f"{CANARY}.dcm").write_bytes(bytes(128) + b"DICM")
    return files


def test_what_a_file_lists_is_looked_at_and_nothing_else(
    scope_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with nginx(tmp_path / "nginx", f"root {_files(tmp_path)}; autoindex on;") as port:
        found = tmp_path / "found.json"
        hosts = [
            {"ip": ip, "ports": [{"port": port}], "note": CANARY} for ip in ("127.0.0.1", "192.0.2.1", "127.0.0.1")
        ]
        found.write_text("[\n" + ",\n".join(json.dumps(each) for each in hosts) + "\n]")
        assert run(["survey", "import", str(scope_file), str(found), "--json"], App) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["run"]["source"], told["run"]["targets"], told["run"]["done"]) == ("targets", 1, 1)
    assert [(each["check"], each["exposure"]) for each in told["findings"]] == [("directory-listing", "E4")]
    assert "1 outside of the scope, 1 named twice" in said.err
    written = b"".join(path.read_bytes() for path in folder_of(scope_file).iterdir())
    assert CANARY.encode() not in written
    assert b"192.0.2.1" not in written
    assert CANARY not in said.out + said.err
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder_of(scope_file).iterdir()} == {0o600}


@pytest.mark.parametrize("command", [["run"], ["import"], ["retest"]])
def test_what_others_in_this_process_make_is_theirs_to_share(command: list[str], scope_file: Path) -> None:
    """A survey's files are its owner's alone; the mask for that goes with it, however it ends."""
    narrow = scope_file.read_text().replace('"127.0.0.0/24"]', f'"127.0.0.1/32"]\nports = [{free_port()}]')
    scope_file.write_text(narrow)
    before = os.umask(0o022)
    try:
        run(["survey", *command, str(scope_file), *(["nowhere"] if command == ["import"] else [])], App)
        (scope_file.parent / "after").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((scope_file.parent / "after").stat().st_mode) == 0o644


def test_an_import_that_was_stopped_goes_on_with_its_own_targets(
    scope_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with nginx(tmp_path / "nginx", f"root {_files(tmp_path)}; autoindex on;") as port:
        with State(folder_of(scope_file), writes=True) as state:
            begun = state.begin(scope.load(scope_file), "targets", 0)
            state.give(begun.id, [Target(address_of("127.0.0.1"), port)])
            state.end(begun.id, 0, stopped=True)
        assert run(["survey", "run", str(scope_file), "--resume", "--json"], App) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run"]["id"], told["run"]["done"]) == (begun.id, 1)
    assert [each["check"] for each in told["findings"]] == ["directory-listing"]


def test_a_file_without_a_target_in_the_scope_begins_no_run(
    scope_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list").write_text("#masscan\nopen tcp 104 192.0.2.1 1\n")
    assert run(["survey", "import", str(scope_file), str(tmp_path / "list")], App) != 0
    assert "no endpoint of the scope" in capsys.readouterr().err
    with State(folder_of(scope_file)) as state:
        assert state.runs() == []
