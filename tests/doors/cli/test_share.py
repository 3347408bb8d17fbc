"""``leadglass share``, as a script uses it."""

import re
from pathlib import Path

import pytest

from tests.doors.cli.clihouse import Cli, uid, write_study


@pytest.fixture(autouse=True)
def study(cli: Cli, tmp_path: Path) -> str:
    cli.do("import", *write_study(tmp_path / "in", series=1, instances=1))
    return uid(1)


def test_only_the_link_is_on_stdout_and_its_secret_is_in_the_fragment(cli: Cli) -> None:
    made = cli.do("share", "create", "--study", uid(1), "--pin")
    link = made.out.strip()
    found = re.fullmatch(r"https://[^/]+/s/([0-9a-f]{16})#([\w-]{43})", link)
    assert found
    number = re.search(r"phone for example: ([0-9]{6})$", made.err, re.MULTILINE)
    assert number
    assert found[2] not in made.err
    assert number[1] not in made.out
    listed = cli.do("share", "list", "--json")
    assert found[2] not in listed.out
    (share,) = listed.json
    assert (share["id"], share["studies"], share["asks_for"]) == (found[1], [uid(1)], "pin")
    assert share["counts"]


def test_what_is_asked_for_is_made(cli: Cli) -> None:
    made = cli.do("share", "create", "--study", uid(1), "--view", "masked", "--view-only", "--once", "--expires", "2d",
                  "--note", "for the patient", "--json")  # fmt: skip
    said = made.json
    assert (said["view"], said["download"], said["asks_for"]) == ("masked", False, "once")
    assert len(said["code"]) == 6
    assert "#" in said["link"]
    assert made.err == ""


def test_a_link_without_a_number_says_so(cli: Cli) -> None:
    assert "--pin" in cli.do("share", "create", "--study", uid(1)).err


def test_a_study_that_is_not_here_is_not_shared(cli: Cli) -> None:
    refused = cli("share", "create", "--study", uid(1), "--study", "1.2.3")
    assert refused.code == 1
    assert refused.out == ""
    assert cli.do("share", "list", "--all", "--json").json == []


def test_what_is_revoked_is_listed_only_on_request(cli: Cli) -> None:
    id_ = cli.do("share", "create", "--study", uid(1), "--json").json["id"]
    assert id_ in cli.do("share", "revoke", id_).out
    assert cli.do("share", "list", "--json").json == []
    (share,) = cli.do("share", "list", "--all", "--json").json
    assert share["why_ended"] == "revoked"
    assert "(ended)" in cli.do("share", "list", "--all").out
    assert cli("share", "revoke", "0123456789abcdef").code == 1


def test_a_link_to_receive_has_a_name_and_its_limits(cli: Cli) -> None:
    said = cli.do("share", "receive", "--note", "Practice B", "--files", "10", "--gib", "1", "--json").json
    assert (said["way"], said["note"], said["studies"]) == ("receive", "Practice B", [])
    assert "receives, 0 of 10 files" in cli.do("share", "list").out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--study", "nonsense"),
        ("--study", uid(1), "--view", "some"),
        ("--study", uid(1), "--expires", "soon"),
        ("--study", uid(1), "--pin", "--once"),
    ],
)
def test_wrong_usage_makes_no_link(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("share", "create", *arguments).code == 2


@pytest.mark.parametrize("life", ["91d", "1m"])
def test_a_life_out_of_bounds_is_refused(cli: Cli, life: str) -> None:
    refused = cli("share", "create", "--study", uid(1), "--expires", life)
    assert refused.code == 1
    assert "90 days" in refused.err


def test_what_a_link_may_is_explained(cli: Cli) -> None:
    id_ = cli.do("share", "create", "--study", uid(1), "--view-only", "--json").json["id"]

    def explains(action: str, study: str) -> bool:
        return cli("policy", "explain", "--caller", f"link:{id_}", "--action", action, "--study", study).code == 0

    assert explains("look", uid(1))
    assert explains("find", uid(1))
    assert not explains("get", uid(1))
    assert not explains("look", "1.2.3")
    cli.do("share", "revoke", id_)
    assert not explains("look", uid(1))
    assert cli("policy", "explain", "--caller", "link:nothing", "--action", "look").code == 1
