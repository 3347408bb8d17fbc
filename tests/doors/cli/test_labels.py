"""``leadglass label``: what an operator gives studies, and what a token may see by it."""

from pathlib import Path

from tests.doors.cli.clihouse import Cli, uid, write_study


def _two_studies(cli: Cli, folder: Path) -> None:
    write_study(folder / "in", study=1, series=1, instances=1)
    write_study(folder / "in", study=2, series=1, instances=1, ReferringPhysicianName="Doe^Jane")
    cli.do("import", folder / "in")


def _may_get(cli: Cli, token: str, study: int) -> bool:
    explained = cli(
        "policy", "explain", "--caller", f"token:{token}", "--action", "get", "--study", uid(study), "--json"
    )
    return bool(explained.json["allowed"])


def test_labels_are_given_listed_and_taken_away_and_tokens_follow(cli: Cli, tmp_path: Path) -> None:
    _two_studies(cli, tmp_path)
    cli.do("token", "create", "ward", "--role", "referrer", "--scope", "label=neurology")
    assert not _may_get(cli, "ward", 1)
    said = cli.do("label", "add", "neurology", "--study", uid(1), "--study", uid(2)).out
    assert said.strip() == "2 studies have the label now."
    again = cli.do("label", "add", "neurology", "--study", uid(1)).out
    assert again.strip() == "0 studies have the label now; 1 study stayed as before."
    assert cli.do("label", "add", "trial", "--study", uid(1)).out.strip() == "1 study has the label now."
    assert cli.do("label", "remove", "trial", "--study", uid(1)).out.strip() == "1 study has the label no more."
    assert cli.do("label", "list", "--json").json == [{"label": "neurology", "studies": 2}]
    assert _may_get(cli, "ward", 1)
    cli.do("label", "remove", "neurology", "--study", uid(1))
    assert not _may_get(cli, "ward", 1)
    assert _may_get(cli, "ward", 2)
    changes = [
        (record["detail"]["label"], record["detail"]["change"])
        for record in cli.do("audit", "show", "--json").json
        if record["action"] == "manage" and "label" in record["detail"]
    ]
    assert changes == [
        *[("neurology", "given")] * 3,
        ("trial", "given"),
        ("trial", "taken away"),
        ("neurology", "taken away"),
    ]


def test_a_referrer_sees_own_referrals_and_no_others(cli: Cli, tmp_path: Path) -> None:
    _two_studies(cli, tmp_path)
    cli.do("token", "create", "gp", "--role", "referrer", "--scope", "referrer=DOE^Jane")
    assert _may_get(cli, "gp", 2)
    assert not _may_get(cli, "gp", 1)


def test_what_is_no_label_or_not_here_is_refused_in_words(cli: Cli) -> None:
    missing = cli("label", "add", "neurology", "--study", uid(9))
    assert (missing.code, missing.err.strip()) == (1, "leadglass: There is no such study here.")
    for name in ("", "a\nb", "x" * 65):
        refused = cli("label", "add", name, "--study", uid(9))
        assert refused.code == 1
        assert "label" in refused.err
    assert cli("label", "add", "neurology").code == 2
    assert cli("label", "add", "neurology", "--study", "1..2").code == 2
    assert "label add" in cli.do("label", "list").err
