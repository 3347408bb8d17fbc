"""``leadglass user``, ``breakglass`` and the first link of ``init``, as an operator uses them."""

import subprocess
import sys

import pytest

from tests.doors.cli.clihouse import Cli

GOOD = "violet tractor kneeling moss"


def _with_stdin(cli: Cli, text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "leadglass", *arguments, "--data", str(cli.data)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def _names(cli: Cli) -> list[str]:
    return [each["name"] for each in cli.do("user", "list", "--json").json]


def test_a_new_account_gets_a_link_alone_on_stdout(cli: Cli) -> None:
    made = cli.do("user", "add", "Jane.Doe", "--role", "radiologist")
    address, hash_, secret = made.out.strip().partition("#")
    assert (address, hash_) == ("https://127.0.0.1:8443/set-up", "#")
    assert len(secret) == 43
    assert secret not in made.err
    assert "every study" in made.err
    (jane,) = [each for each in cli.do("user", "list", "--json").json if each["name"] == "jane.doe"]
    assert (jane["role"], jane["password"], jane["locked"], jane["scope"]) == ("radiologist", False, False, ["all"])
    assert secret not in cli.do("audit", "show").out


def test_the_link_leads_to_where_the_settings_say(cli: Cli) -> None:
    (cli.data / "leadglass.toml").write_text('[listen]\nhttps = "10.1.2.3:443"\n', encoding="utf-8")
    assert cli.do("user", "add", "jane", "--role", "auditor").out.startswith("https://10.1.2.3:443/set-up#")
    settings = '[listen]\nhttps = "10.1.2.3:443"\n[web]\naddress = "https://pacs.example.org"\n'
    (cli.data / "leadglass.toml").write_text(settings, encoding="utf-8")
    assert cli.do("user", "add", "john", "--role", "auditor").out.startswith("https://pacs.example.org/set-up#")


def test_what_is_missing_and_what_there_is_to_choose_from_is_one_sentence(cli: Cli) -> None:
    done = cli("user", "add", "jane")
    assert done.code == 2
    assert "Choose from: admin, radiologist, technologist," in done.err


def test_a_password_comes_by_standard_input_and_a_bad_one_makes_no_account(cli: Cli) -> None:
    done = _with_stdin(cli, f"{GOOD}\n", "user", "add", "jane", "--role", "admin", "--password-stdin")
    assert done.returncode == 0, done.stderr
    assert GOOD not in done.stdout + done.stderr
    for bad in ("", "\n", "orthancorthanc\n", f"{GOOD}\nand a second line\n"):
        refused = _with_stdin(cli, bad, "user", "add", "john", "--role", "admin", "--password-stdin")
        assert refused.returncode == 1, refused
        assert refused.stderr.startswith("leadglass: ")
    assert "john" not in _names(cli)
    (jane,) = [each for each in cli.do("user", "list", "--json").json if each["name"] == "jane"]
    assert (jane["password"], jane["scope"]) == (True, None)


def test_accounts_are_locked_unlocked_reset_and_removed(cli: Cli) -> None:
    first = cli.do("user", "add", "jane", "--role", "technologist").out
    cli.do("user", "lock", "jane")
    assert "locked" in cli.do("user", "list").out
    again = cli.do("user", "reset", "jane")
    assert again.out.strip() != first.strip()
    assert "user unlock jane" in again.err
    cli.do("user", "unlock", "JANE")
    assert "0 sessions" in cli.do("user", "sign-out", "jane").out
    assert cli.do("user", "sessions", "jane", "--json").json == []
    cli.do("user", "remove", "jane")
    assert "jane" not in _names(cli)
    gone = cli("user", "lock", "jane")
    assert gone.code == 1
    assert "user list" in gone.err


def test_a_role_and_its_scope_are_said_anew_without_naming_patients(cli: Cli) -> None:
    made = cli.do("user", "add", "dr.roe", "--role", "referrer")
    assert "sees nothing" in made.err
    changed = cli.do(
        "user", "role", "dr.roe", "--role", "referrer", "--scope", "patient=4711", "--scope", "label=neuro"
    )
    assert "sees nothing" not in changed.err
    shown = changed.out + cli.do("user", "list").out + cli.do("audit", "show").out
    assert "4711" not in shown
    assert "one patient" in shown
    (roe,) = [each for each in cli.do("user", "list", "--json").json if each["name"] == "dr.roe"]
    assert roe["scope"] == ["label=neuro", "patient=4711"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "add", "jane"),
        ("user", "add", "jane", "--role", "owner"),
        ("user", "add", "ja ne", "--role", "admin"),
        ("user", "add", "jane", "--role", "referrer", "--scope", "everything"),
        ("user", "add", "jane", "--role", "referrer", "--scope", "patient="),
        ("user", "add", "jane", "--role", "referrer", "--scope", "all", "--scope", "patient=1"),
        ("user", "role", "jane"),
        ("breakglass", "review", "x"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_opened(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).code == 2


def test_who_is_there_already_is_not_made_twice(cli: Cli) -> None:
    cli.do("user", "add", "jane", "--role", "auditor")
    assert cli("user", "add", "JANE", "--role", "admin").code == 1


def test_nothing_waits_for_a_review_and_what_is_not_there_is_not_reviewed(cli: Cli) -> None:
    assert cli.do("breakglass", "list", "--json").json == []
    assert cli("breakglass", "review", "1").code == 1


def test_init_prints_the_link_of_the_first_administrator_once(cli: Cli) -> None:
    fresh = Cli(cli.data.parent / "fresh", cli.read)
    made = fresh.do("init")
    (link,) = [line for line in made.out.splitlines() if line.startswith("https://")]
    assert "/set-up#" in link
    assert [(each["name"], each["role"], each["password"]) for each in fresh.do("user", "list", "--json").json] == [
        ("admin", "admin", False)
    ]
    again = fresh.do("init")
    assert "https://" not in again.out
    other = Cli(cli.data.parent / "other", cli.read)
    assert "/set-up#" in other.do("init", "--json").json["set_up"]
