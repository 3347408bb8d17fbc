"""``device test``: one C-ECHO from the command line, and why a lane is plaintext."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.doors.cli.clihouse import Cli
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import free_port

LATER = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


def lane(cli: Cli, ae_title: str, port: int) -> None:
    added = cli(
        "device", "add", ae_title, "--address", "127.0.0.1", "--plaintext", "--until", LATER, "--why", "no TLS yet",
        "--host", "127.0.0.1", "--port", str(port),
    )  # fmt: skip
    assert added.code == 0, added.err


def test_a_device_that_answers_ends_with_0_and_its_steps(cli: Cli, dcmtk: Dcmtk, tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "in") as received:
        lane(cli, "OLDUS", received.port)
        ended = cli("device", "test", "OLDUS")
    assert (ended.code, ended.out) == (0, "OLDUS answers.\n")
    assert "plaintext lane" in ended.err


def test_one_that_does_not_ends_with_1_and_what_to_do(cli: Cli) -> None:
    lane(cli, "OLDUS", free_port())
    ended = cli("device", "test", "OLDUS", "--json")
    assert ended.code == 1
    said = json.loads(ended.out)
    assert (said["answered"], said["steps"][0]["result"]) == (False, "failed")
    assert said["steps"][0]["advice"]
    assert cli("device", "test", "NOBODY").code == 1


def test_why_a_lane_is_plaintext_is_listed(cli: Cli) -> None:
    lane(cli, "OLDUS", 104)
    assert json.loads(cli("device", "list", "--json").out)[0]["why_plaintext"] == "no TLS yet"
    wrong = cli("device", "add", "CT1", "--address", "10.1.2.3", "--why", "no reason")
    assert wrong.code == 2
