"""The survey's follow-up by the command line: a finding from open to closed and back, with what is written of it."""

import json
import socket
import stat
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from tests.doors.cli.clihouse import Ended
from tests.survey.loopback import write_scope

Say = Callable[..., Ended]

CANARY = "CANARY7731"
"""What the archive says of itself, and nobody may keep."""


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Give the command line, without an archive."""

    def said(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = run(["survey", *map(str, arguments)], App)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    return said


@contextmanager
def _archive(port: int) -> Generator[None]:
    """Let anybody in, as an open archive does, until it is closed."""
    from pynetdicom import AE  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    from pynetdicom.sop_class import Verification  # pyright: ignore[reportMissingTypeStubs, reportAttributeAccessIssue, reportUnknownVariableType]

    entity = AE("OPEN")
    entity.implementation_version_name = CANARY
    entity.add_supported_context(Verification)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    server = entity.start_server(("127.0.0.1", port), block=False)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    try:
        yield
    finally:
        server.shutdown()  # pyright: ignore[reportOptionalMemberAccess, reportUnknownMemberType]


@contextmanager
def _echo() -> Generator[int]:
    """Listen where nothing medical is, so that the line is known to be up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listening.accept()
                except OSError:
                    return
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _standings(say: Say, scope: Path) -> dict[str, str]:
    return {each["check"]: each["standing"] for each in say("register", scope, "--all", "--json").json}


def test_a_finding_from_open_over_told_and_fixed_to_back(tmp_path: Path, say: Say) -> None:
    from leadglass.survey.scope import today

    scope, port = tmp_path / "clinic.toml", _free()
    check = "dicom-answers"
    with _echo() as other:
        write_scope(scope, (port, other))
        for early in ("register", "trend"):
            assert say(early, scope).code != 0
        with _archive(port):
            assert say("run", scope, "--json").code == 0
            assert _standings(say, scope)[check] == "open"
            assert say("assign", scope, "127.0.0.0/8", "--unit", "Radiology", "--owner", "R. IT").code == 0
            out = tmp_path / "letter.txt"
            assert say("letter", scope, "--owner", "R. IT", "--out", out).code == 0
            assert f"127.0.0.1:{port}" in out.read_text()
            assert f"{port}" not in out.read_text().splitlines()[0]
            assert stat.S_IMODE(out.stat().st_mode) == 0o600
            written = say("letter", scope, "--owner", "R. IT", "--out", out, "--language", "tlh")
            assert "no texts in 'tlh'" in written.err
            (owed,) = say("reminders", scope, "--due", "--json").json
            assert (owed["owner"], owed["still"], owed["told_first"]) == ("R. IT", 0, None)
            assert owed["untold"] > 0
            assert say("told", scope, "--owner", "R. IT", "--by", "a nurse").code == 0
            assert _standings(say, scope)[check] == "told"
            assert say("reminders", scope, "--due", "--json").json == []
            (owed,) = say("reminders", scope, "--json").json
            assert (owed["untold"], owed["told_first"]) == (0, today().isoformat())
            assert "0 letters to be written." in say("reminders", scope).err
            assert say("retest", scope, "--due").code == 0  # nothing is due on the day it was told
            assert say("retest", scope).code == 1  # still there
            assert _standings(say, scope)[check] == "told"
        assert say("fixed", scope, f"127.0.0.1:{port}").code == 0
        assert _standings(say, scope)[check] == "fixed-unverified"
        ended = say("retest", scope, "--due", "--json")  # what is said to be fixed is due at once
        assert ended.code == 0, ended
        assert ended.json["gone"] >= 1
        assert _standings(say, scope)[check] == "fixed-verified"
        assert say("register", scope, "--json").json == []
        with _archive(port):
            assert say("run", scope).code == 0
        assert _standings(say, scope)[check] == "regressed"
        assert say("accept", scope, "127.0.0.1", "--until", "2001-01-01", "--reason", "no").code != 0
    trend = say("trend", scope, "--json").json
    assert [(each["source"], each["new"] > 0, each["gone"] > 0, each["back"] > 0) for each in trend] == [
        ("scope", True, False, False),
        ("retest", False, False, False),
        ("retest", False, True, False),
        ("scope", False, False, True),
    ]
    history = say("register", scope, "--history", f"127.0.0.1:{port}", "--json").json
    steps = next(each["steps"] for each in history if each["check"] == check)
    assert [each["became"] for each in steps] == ["open", "told", "fixed-unverified", "fixed-verified", "regressed"]
    for form, begins in {"html": "<!doctype html>", "json": "{", "csv": '"id"', "sarif": "{"}.items():
        out = tmp_path / f"report.{form}"
        assert say("report", scope, "--format", form, "--out", out).code == 0
        assert out.read_text().startswith(begins)
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert say("report", scope, "--format", form, "--out", "-").out.startswith(begins)
    first = json.loads(say("report", scope, "--format", "sarif", "--run", "3", "--out", "-").out)
    assert {each["baselineState"] for each in first["runs"][0]["results"]} == {"absent"}
    assert say("report", scope, "--run", "9", "--out", "-").code != 0
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
    for each in tmp_path.rglob("*"):
        assert not each.is_file() or CANARY.encode() not in each.read_bytes(), each


def test_nothing_is_made_where_nothing_was_surveyed(tmp_path: Path, say: Say) -> None:
    for words in (["register"], ["trend"], ["report", "--out", "-"], ["told", "192.0.2.1"], ["fixed", "192.0.2.1"]):
        ended = say(words[0], tmp_path / "typo.toml", *words[1:])
        assert ended.code != 0
        assert "No survey was made yet" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("network", ["nonsense", "192.0.2.1/24", "'; DROP TABLE entry"])
def test_an_asset_is_an_address_or_a_network(tmp_path: Path, say: Say, network: str) -> None:
    assert say("assign", tmp_path / "clinic.toml", network, "--unit", "x").code == 2
