"""``leadglass token``, as a script uses it."""

import pytest

from leadglass.identity import token_text
from tests.doors.cli.clihouse import Cli


def test_only_the_token_is_on_stdout(cli: Cli) -> None:
    made = cli.do("token", "create", "viewer", "--role", "service")
    secret = made.out.removesuffix("\n")
    assert token_text.digest(secret)
    assert secret not in made.err
    assert "every study" in made.err


def test_what_is_listed_proves_nobody(cli: Cli) -> None:
    secret = cli.do("token", "create", "viewer", "--role", "referrer", "--scope", "patient=4711").out.strip()
    listed = cli.do("token", "list", "--json")
    assert secret[3:20] not in listed.out
    (token,) = listed.json
    assert (token["name"], token["role"], token["scope"], token["counts"]) == (
        "viewer",
        "referrer",
        ["patient=4711"],
        True,
    )
    shown = cli.do("token", "list").out
    assert "4711" not in shown
    assert "one patient" in shown


def test_a_token_with_bulk_is_listed_with_its_reason(cli: Cli) -> None:
    made = cli.do("token", "create", "nightly", "--role", "researcher", "--bulk", "export of trial 7")
    assert "No brakes" in made.err
    cli.do("token", "create", "viewer", "--role", "service")
    listed = {each["name"]: each["bulk"] for each in cli.do("token", "list", "--json").json}
    assert listed == {"nightly": "export of trial 7", "viewer": None}
    assert "No brakes" not in cli.do("token", "create", "viewer-2", "--role", "service").err


def test_a_referrer_without_a_scope_is_told_to_see_nothing(cli: Cli) -> None:
    assert "sees nothing" in cli.do("token", "create", "gp", "--role", "referrer").err
    assert "sees nothing" not in cli.do("token", "create", "gp-2", "--role", "referrer", "--scope", "label=gp").err


def test_a_revoked_token_is_listed_only_on_request(cli: Cli) -> None:
    cli.do("token", "create", "viewer", "--role", "service")
    cli.do("token", "revoke", "viewer")
    assert cli.do("token", "list", "--json").json == []
    assert "(revoked)" in cli.do("token", "list", "--all").out
    again = cli("token", "revoke", "viewer")
    assert again.code == 1
    assert "token list" in again.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("viewer",),
        ("viewer", "--role", "king"),
        ("viewer", "--role", "service", "--ttl", "soon"),
        ("viewer", "--role", "service", "--ttl", "-1h"),
        ("viewer", "--role", "service", "--scope", "patient"),
        ("viewer", "--role", "service", "--scope", "all", "--scope", "patient=1"),
    ],
)
def test_wrong_usage_makes_no_token(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("token", "create", *arguments).code == 2


def test_tokens_survive_a_new_archive_key(cli: Cli) -> None:
    cli.do("token", "create", "viewer", "--role", "service")
    cli.do("key", "rotate")
    assert [token["name"] for token in cli.do("token", "list", "--json").json] == ["viewer"]
    cli.do("token", "revoke", "viewer")


def test_an_end_too_far_away_is_refused_with_the_setting_that_says_so(cli: Cli) -> None:
    (cli.data / "leadglass.toml").write_text("[tokens]\nlongest_days = 7\n")
    refused = cli("token", "create", "viewer", "--role", "service", "--ttl", "8d")
    assert (refused.code, refused.out) == (1, "")
    assert "longest_days" in refused.err
    cli.do("token", "create", "viewer", "--role", "service", "--ttl", "7d")
