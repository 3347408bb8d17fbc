"""The script of a re-test: open, told, fixed, back, with a server that is really closed and opened again.

After each step it is told exactly where each finding stands and what SARIF says of it against what was known before.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from leadglass.survey.report.sarif import FINGERPRINT
from leadglass.survey.scope import today
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import free_port, is_listening, wait_until
from tests.survey.loopback import write_scope
from tests.survey.nginx import nginx

ARCHIVE = ("dicom-answers", "dicom-services", "dicom-identity", "dicom-version")
LISTING = "directory-listing"


class Script:
    """The command line, and what it says of a scope."""

    def __init__(self, scope: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._scope = scope
        self._capsys = capsys
        self.prints: dict[str, str] = {}
        """The fingerprint of each finding: it never changes."""

    def __call__(self, command: str, *arguments: str | Path) -> tuple[int, str]:
        """Run a command of ``survey``; gives its exit code and what it printed."""
        self._capsys.readouterr()
        code = run(["survey", command, str(self._scope), *map(str, arguments)], App)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out

    def stands(self) -> Mapping[str, str]:
        """Give where each finding stands."""
        _, said = self("register", "--all", "--json")
        return {each["check"]: each["standing"] for each in json.loads(said)}

    def baseline(self) -> Mapping[str, str]:
        """Give what SARIF says of each finding of the newest run, suppressed ones in brackets."""
        code, said = self("report", "--format", "sarif", "--out", "-")
        assert code == 0
        found: dict[str, str] = {}
        for each in json.loads(said)["runs"][0]["results"]:
            state = str(each["baselineState"])
            check = str(each["ruleId"])
            found[check] = f"({state})" if each.get("suppressions") else state
            assert (
                self.prints.setdefault(check, each["partialFingerprints"][FINGERPRINT])
                == (each["partialFingerprints"][FINGERPRINT])
            )
        return found

    def tally(self) -> tuple[int, int, int, int]:
        """Give how many were new, back, gone and still there in the newest run."""
        _, said = self("trend", "--json")
        last = json.loads(said)[-1]
        return last["new"], last["back"], last["gone"], last["still"]


def _all(state: str) -> dict[str, str]:
    return dict.fromkeys(ARCHIVE, state)


def test_open_told_fixed_and_back_are_told_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dcmtk: Dcmtk
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    files.chmod(0o755)
    (files / "1.dcm").write_bytes(bytes(200))
    (files / "list.txt").write_text("x")
    port, scope = free_port(), tmp_path / "clinic.toml"
    where = f"127.0.0.1:{port}"
    with ExitStack() as stack:
        listing = stack.enter_context(nginx(tmp_path / "nginx", f"location / {{ root {files}; autoindex on; }}"))
        write_scope(scope, (port, listing))
        do = Script(scope, capsys)

        with dcmtk.storescp(tmp_path / "received", port=port):
            assert do("run")[0] == 0
            assert do.stands() == {**_all("open"), LISTING: "open"}
            assert do.baseline() == {**_all("new"), LISTING: "new"}
            assert do.tally() == (5, 0, 0, 0)

            assert do("told", where)[0] == 0
            assert do.stands() == {**_all("told"), LISTING: "open"}
            assert do("run")[0] == 0
            assert do.stands() == {**_all("told"), LISTING: "open"}
            assert do.baseline() == {**_all("unchanged"), LISTING: "unchanged"}
            assert do.tally() == (0, 0, 0, 5)

            assert do("fixed", where)[0] == 0  # says somebody; it is not so
            assert do.stands() == {**_all("fixed-unverified"), LISTING: "open"}
            assert do("retest", "--due")[0] == 1
            assert do.stands() == {**_all("told"), LISTING: "open"}
            assert do.baseline() == _all("unchanged")  # there alone was looked

        wait_until(lambda: not is_listening(port), "it is closed")
        assert do("fixed", where)[0] == 0
        (files / "1.dcm").unlink()
        assert do("run")[0] == 0
        assert do.stands() == {**_all("fixed-verified"), LISTING: "open"}
        assert do.baseline() == {**_all("absent"), LISTING: "updated"}  # names that look like DICOM are gone from it
        assert do.tally() == (0, 0, 4, 1)

        assert do("run")[0] == 0
        assert do.stands() == {**_all("fixed-verified"), LISTING: "open"}
        assert do.baseline() == {LISTING: "unchanged"}
        assert do.tally() == (0, 0, 0, 1)

        until = (today() + timedelta(days=30)).isoformat()
        accepted = ("accept", f"127.0.0.1:{listing}", "--until", until, "--reason", "a mirror of public files")
        assert do(*accepted)[0] == 0
        with dcmtk.storescp(tmp_path / "received", port=port):
            assert do("run")[0] == 0
        assert do.stands() == {**_all("regressed"), LISTING: "accepted"}
        assert do.baseline() == {**_all("new"), LISTING: "(unchanged)"}
        assert do.tally() == (0, 4, 0, 1)

        assert do("retest")[0] == 0  # it is closed again, and nobody said so
        assert do.stands() == {**_all("fixed-verified"), LISTING: "accepted"}
        assert do.baseline() == _all("absent")
        assert do.tally() == (0, 0, 4, 0)
    steps = json.loads(do("register", "--history", where, "--json")[1])
    assert len(steps) == len(ARCHIVE)
    for each in steps:
        assert [step["became"] for step in each["steps"]] == [
            "open",
            "told",
            "fixed-unverified",
            "told",
            "fixed-unverified",
            "fixed-verified",
            "regressed",
            "fixed-verified",
        ]
