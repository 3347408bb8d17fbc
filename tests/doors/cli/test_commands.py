"""Commands: help, exit codes, and what is said to people and to programs."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from leadglass.app import App
from leadglass.doors.cli.main import leadglass, run
from leadglass.errors import Kind, LeadglassError, Throttled
from tests.doors.cli.clihouse import Cli, cli_on, file_of, image, uid


def _commands(group: click.Group, context: click.Context, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, context, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(_commands(leadglass, click.Context(leadglass)))

WITHOUT_AN_ARCHIVE = {"demo", "survey"}
"""What needs none."""


def _tomorrow() -> str:
    return (datetime.now(UTC).date() + timedelta(days=1)).isoformat()


# --- help and usage -------------------------------------------------------------


def test_these_commands_exist() -> None:
    assert {" ".join(path) for path in COMMANDS} == {
        "demo", "init", "serve", "import", "export",
        "device add", "device enroll", "device list", "device test", "device remove",
        "delete", "quarantine list", "quarantine accept", "quarantine discard", "fsck", "audit show", "audit verify",
        "audit export", "audit key", "audit collector", "exposure history", "exposure accept", "exposure withdraw",
        "policy explain", "token create", "token list", "token revoke", "survey init", "survey run", "survey status",
        "survey report", "survey trend", "survey letter", "survey reminders", "survey register", "survey told",
        "survey fixed", "survey accept",
        "survey assign", "survey retest",
        "survey import", "survey config",
        "share create", "share receive", "share list", "share revoke",
        "user add", "user list", "user lock", "user unlock", "user role", "user reset", "user remove", "user sessions",
        "user sign-out", "breakglass list", "breakglass review", "label add", "label list", "label remove",
        "brakes show", "brakes release", "commitment list",
        "key show", "key new", "key move", "key passphrase", "key rotate", "key export", "key import",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"], App) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: leadglass {' '.join(path)}")
    assert "--data DIR" in said or path[0] in WITHOUT_AN_ARCHIVE


def test_help_does_not_make_the_application(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"], lambda: pytest.fail("it was made")) == 0
    assert run(["--version"], lambda: pytest.fail("it was made")) == 0
    assert "leadglass 0." in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["device"],
        ["import"],
        ["device", "add", "CT1"],
        ["device", "add", "MUCH TOO LONG AE TITLE", "--address", "10.1.2.3"],
        ["device", "add", "CT1", "--address", "nowhere"],
        ["device", "add", "CT1", "--address", "0.0.0.0/0"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--allow", "everything"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--allow", "delete"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--plaintext"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--until", "2027-01-01"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--plaintext", "--until", "soon"],
        ["device", "add", "CT1", "--address", "10.1.2.3", "--host", "10.1.2.3"],
        ["device", "enroll", "CT1"],
        ["audit", "show", "--since", "yesterday"],
        ["audit", "show", "--outcome", "nonsense"],
        ["audit", "show", "--study", "not a uid"],
        ["policy", "explain", "--caller", "device:CT1"],
        ["policy", "explain", "--caller", "device:CT1", "--action", "nonsense"],
        ["delete", "--study", "not a uid", "--yes"],
        ["quarantine", "accept", "x"],
        ["serve", "--http", "8443"],
        ["serve", "--http", "127.0.0.1:1104", "--dicom", "127.0.0.1:1104"],
        ["serve", "--dicom-tls", "foo"],
        ["serve", "--dicom", "127.0.0.1:99999"],
        ["serve", "--dicom-tls", "127.0.0.1:1104", "--dicom", "127.0.0.1:1104"],
        ["serve", "--ae", "MUCH TOO LONG AE TITLE"],
        ["export", "--query", "StudyDate=2004-01-19", "--out", "out"],
        ["export", "--query", "Foo=bar", "--out", "out"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_two_with_a_sentence(arguments: list[str], cli: Cli) -> None:
    ended = cli(*arguments)
    assert ended.code == 2, ended
    assert ended.err.startswith("leadglass: ") or "Usage:" in ended.err + ended.out
    assert ended.out == "" or "Usage:" in ended.out


@pytest.mark.parametrize("arguments", [[], ["device"], ["audit"]], ids=" ".join)
def test_a_command_without_what_it_needs_shows_its_help_plainly(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, App) == 2
    said = capsys.readouterr()
    assert said.out.startswith("Usage: leadglass")
    assert said.err == ""


def test_a_query_that_cannot_be_asked_says_how_to_write_it(cli: Cli, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert "unknown attribute" in cli("export", "--query", "Foo=bar", *out).err
    assert "20040101-20041231" in cli("export", "--query", "StudyDate=2004-01-19", *out).err
    for dates in ("20040119", "20040101-", "-20041231", "20040101-20041231"):
        assert cli("export", "--query", f"StudyDate={dates}", *out).code == 1, "understood, and nothing matches"


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "cannot be written to: Read-only"), (errno.EACCES, "cannot be written to"), (errno.ENOSPC, "full")],
)
def test_a_destination_that_cannot_be_written_to_is_named(
    number: int, said: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "x").write_bytes(file_of(image()))
    cli.do("import", tmp_path / "x")
    monkeypatch.setattr("leadglass.doors.cli.exporting._write", fail)
    for name in ("out", "out.zip"):
        ended = cli("export", "--study", uid(1), "--out", tmp_path / name)
        assert ended.code == 1
        assert said in ended.err
        assert str(tmp_path / name) in ended.err
        assert "--out" in ended.err


def test_a_folder_that_files_cannot_be_made_in_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(file_of(image()))
    cli.do("import", tmp_path / "x")
    for name in ("/proc/leadglass", "/proc/leadglass.zip", "/proc/self/deep/er"):
        ended = cli("export", "--study", uid(1), "--out", name)
        assert ended.code == 1
        assert "--out" in ended.err
        assert "defect" not in ended.err


def test_what_was_typed_wrongly_is_named(cli: Cli, tmp_path: Path) -> None:
    ended = cli("import", tmp_path / "nowhere")
    assert ended.code == 1
    assert f"{tmp_path / 'nowhere'} cannot be read" in ended.out


@pytest.mark.parametrize(
    "path", [path for path in COMMANDS if path[0] not in {"init", "serve"} | WITHOUT_AN_ARCHIVE], ids=" ".join
)
def test_without_an_archive_every_command_says_how_to_make_one(
    path: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {
        "device add": ["CT1", "--address", "10.1.2.3"],
        "device enroll": ["CT1", "--out", str(tmp_path / "ct1")],
        "device test": ["CT1"],
        "device remove": ["CT1"],
        "import": [str(tmp_path)],
        "export": ["--study", "1.2.3", "--out", str(tmp_path / "out")],
        "audit export": ["--out", str(tmp_path / "out")],
        "delete": ["--study", "1.2.3", "--yes"],
        "quarantine accept": ["1"],
        "quarantine discard": ["1"],
        "policy explain": ["--caller", "cli", "--action", "find"],
        "brakes release": ["CT1"],
        "user add": ["jane", "--role", "auditor"],
        "user lock": ["jane"],
        "user unlock": ["jane"],
        "user role": ["jane", "--role", "auditor"],
        "user reset": ["jane"],
        "user remove": ["jane"],
        "user sessions": ["jane"],
        "user sign-out": ["jane"],
        "breakglass review": ["1"],
        "label add": ["neurology", "--study", "1.2"],
        "label remove": ["neurology", "--study", "1.2"],
        "token create": ["viewer", "--role", "service"],
        "token revoke": ["viewer"],
        "exposure accept": ["key-beside", "--until", _tomorrow(), "--reason", "a new disk is on its way"],
        "exposure withdraw": ["key-beside"],
        "share create": ["--study", "1.2.3"],
        "share receive": ["--note", "Practice B"],
        "share revoke": ["0123456789abcdef"],
        "key move": ["--to", "passphrase"],
        "key export": ["--out", str(tmp_path / "out")],
        "key import": [str(tmp_path / "copy")],
    }
    if path == ("key", "new"):
        return  # a secret belongs to no archive yet
    ended = cli_on(tmp_path / "data", capsys)(*path, *needed.get(" ".join(path), []))
    assert ended.code == 1
    assert "leadglass init" in ended.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", LeadglassError.__subclasses__(), ids=lambda kind: kind.kind.value)
def test_every_kind_of_error_is_one_sentence_and_exit_one(
    kind: type[LeadglassError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert {each.kind for each in LeadglassError.__subclasses__()} == set(Kind)

    def fail() -> App:
        said = "What was wrong. What to do."
        raise Throttled(said, 1.0) if kind is Throttled else kind(said)

    assert run(["fsck"], fail) == 1
    captured = capsys.readouterr()
    assert captured.err == "leadglass: What was wrong. What to do.\n"
    assert captured.out == ""


def test_a_defect_is_a_sentence_too_and_shows_no_text_of_the_exception(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEADGLASS_DEBUG", raising=False)

    def fail() -> App:
        raise ZeroDivisionError("Doe^John")

    assert run(["fsck"], fail) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "Doe" not in said
    assert "Traceback" not in said


def test_the_folder_can_be_named_by_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADGLASS_DATA", str(tmp_path / "data"))
    assert run(["init"], App) == 0
    assert (tmp_path / "data/ca.pem").is_file()
    assert run(["init", "--json"], App) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(said)["initialised"] is False


def test_the_folder_can_be_named_before_the_command_and_what_stands_after_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADGLASS_DATA", str(tmp_path / "environment"))
    assert run(["--data", str(tmp_path / "before"), "init"], App) == 0
    assert run(["--data", str(tmp_path / "before"), "device", "list"], App) == 0
    assert run(["--data", str(tmp_path / "before"), "init", "--data", str(tmp_path / "after")], App) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


# --- devices --------------------------------------------------------------------


def test_a_device_is_added_enrolled_listed_and_removed(cli: Cli, tmp_path: Path) -> None:
    cli.do("device", "add", "CT1", "--address", "10.1.2.3", "--address", "fd00::/64", "--allow", "echo,store")
    cli.do("device", "enroll", "CT1", "--out", tmp_path / "ct1")
    assert sorted(path.name for path in (tmp_path / "ct1").iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert stat.S_IMODE((tmp_path / "ct1/key.pem").stat().st_mode) == 0o600
    assert (tmp_path / "ct1/ca.pem").read_bytes() == (cli.data / "ca.pem").read_bytes()
    (device,) = cli.do("device", "list", "--json").json
    assert device["ae"] == "CT1"
    assert device["addresses"] == ["10.1.2.3/32", "fd00::/64"]
    assert device["allow"] == ["echo", "store"]
    assert device["fingerprint"]
    assert "CT1" in cli.do("device", "list").out
    assert cli("device", "add", "CT1", "--address", "10.1.2.4").code == 1
    cli.do("device", "add", "CT1", "--address", "10.1.2.4", "--replace")
    assert cli.do("device", "list", "--json").json[0]["fingerprint"] == device["fingerprint"]
    cli.do("device", "remove", "CT1")
    assert cli.do("device", "list", "--json").json == []
    assert cli("device", "remove", "CT1").code == 1


def test_changing_a_device_says_that_its_certificate_stays(cli: Cli, tmp_path: Path) -> None:
    assert "device enroll" in cli.do("device", "add", "CT1", "--address", "10.1.2.3").err
    assert "device enroll" in cli.do("device", "add", "CT1", "--address", "10.1.2.4", "--replace").err
    cli.do("device", "enroll", "CT1", "--out", tmp_path / "ct1")
    said = cli.do("device", "add", "CT1", "--address", "10.1.2.5", "--replace").err
    assert "stays valid until" in said
    assert "enroll" not in said


def test_a_device_whose_peers_are_turned_away_is_told_so(cli: Cli) -> None:
    assert "allowed_public_networks" in cli.do("device", "add", "A", "--address", "8.8.8.8").err
    assert "allowed_public_networks" not in cli.do("device", "add", "B", "--address", "10.1.2.0/24").err
    (cli.data / "leadglass.toml").write_text("[network]\nallowed_public_networks = ['8.8.8.0/24']")
    assert "allowed_public_networks" not in cli.do("device", "add", "C", "--address", "8.8.8.8").err


def test_an_explanation_says_what_keeps_a_device_out_all_the_same(cli: Cli, tmp_path: Path) -> None:
    cli.do("device", "add", "CT1", "--address", "10.1.2.3")
    ask = ("policy", "explain", "--caller", "device:CT1", "--action")
    assert "neither a valid certificate nor" in cli.do(*ask, "store").out
    assert "neither" not in cli(*ask, "find").out
    cli.do("device", "enroll", "CT1", "--out", tmp_path / "ct1")
    assert cli.do(*ask, "store", "--json").json["note"] is None
    cli.do("device", "add", "CT1", "--address", "8.8.8.8", "--replace")
    assert "allowed_public_networks" in cli.do(*ask, "store", "--json").json["note"]
    assert cli.do("policy", "explain", "--caller", "cli", "--action", "find", "--json").json["note"] is None


def test_credentials_are_not_written_over(cli: Cli, tmp_path: Path) -> None:
    cli.do("device", "add", "CT1", "--address", "10.1.2.3")
    cli.do("device", "enroll", "CT1", "--out", tmp_path / "ct1")
    before = (tmp_path / "ct1/key.pem").read_bytes()
    assert cli("device", "enroll", "CT1", "--out", tmp_path / "ct1").code == 1
    assert (tmp_path / "ct1/key.pem").read_bytes() == before


def test_a_plaintext_lane_has_an_end_and_warns(cli: Cli) -> None:
    ended = cli.do(
        "device", "add", "OLD", "--address", "10.1.2.9", "--allow", "store", "--plaintext", "--until", _tomorrow()
    )
    assert "without encryption" in ended.err
    (device,) = cli.do("device", "list", "--json").json
    assert (device["plaintext"], device["until"]) == (True, _tomorrow())
    past = cli("device", "add", "OLDER", "--address", "10.1.2.8", "--plaintext", "--until", "2020-01-01")
    assert past.code == 1


# --- audit and policy -------------------------------------------------------------


def test_the_log_can_be_asked_and_verified(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(file_of(image()))
    cli.do("import", tmp_path / "x")
    about = cli.do("audit", "show", "--json", "--study", uid(1)).json
    assert [record["action"] for record in about] == ["store", "store"]
    assert cli.do("audit", "show", "--json", "--outcome", "refused").json == []
    assert len(cli.do("audit", "show", "--json", "--limit", "1").json) == 1
    assert cli.do("audit", "show", "--json", "--since", "1h", "--action", "init").json
    assert not cli.do("audit", "show", "--json", "--since", "2099-01-01").json
    assert "init" in cli.do("audit", "show").out
    found = cli.do("audit", "verify", "--json").json
    assert found["ok"]
    assert found["records"] == len(cli.do("audit", "show", "--json").json) - 1


def test_reading_the_log_is_on_record(cli: Cli) -> None:
    cli.do("audit", "show")
    (record,) = cli.do("audit", "show", "--json", "--action", "audit", "--limit", "1").json
    assert record["outcome"] == "permitted"
    assert record["caller"].startswith("cli:")


def test_a_head_kept_elsewhere_shows_a_log_that_was_put_back(cli: Cli, tmp_path: Path) -> None:
    earlier = {name: (cli.data / name).read_bytes() for name in ("audit.db", "audit.checkpoint")}
    cli.do("device", "add", "CT1", "--address", "10.1.2.3")
    kept = tmp_path / "kept"
    kept.write_bytes((cli.data / "audit.checkpoint").read_bytes())
    cli.do("audit", "verify", "--against", kept)
    for name, content in earlier.items():
        (cli.data / name).write_bytes(content)
    cli.do("audit", "verify")
    assert cli("audit", "verify", "--against", kept).code == 1


def test_a_touched_copy_of_the_signed_head_is_exit_one(cli: Cli) -> None:
    copy = cli.data / "audit.checkpoint"
    kept = copy.read_bytes()
    copy.write_bytes(kept.replace(b"\n", b"x\n", 1))
    changed = cli("audit", "verify")
    assert (changed.code, "was changed" in changed.out) == (1, True)
    assert cli("audit", "verify", "--json").json["ok"] is False
    copy.unlink()
    missing = cli("audit", "verify")
    assert (missing.code, "is missing" in missing.out) == (1, True)
    copy.write_bytes(kept)
    cli.do("audit", "verify")
    copy.unlink()
    cli.do("device", "add", "CT1", "--address", "10.1.2.3")
    cli.do("audit", "verify")


def test_a_question_nothing_matches_is_answered(cli: Cli) -> None:
    ended = cli.do("audit", "show", "--action", "webhook")
    assert ended.out == ""
    assert "Nothing matches" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "show", "--action", "stor"], "'store'"),
        (["audit", "show", "--limit", "x"], "Invalid value for '--limit': 'x' is not a whole number."),
        (["audit", "verify", "log.jsonl", "--key", "no-such.pub"], "neither a file nor"),
        (["device", "add", "CT1", "--address", "10.1.2.3", "--allow", "worklist"], "not served yet"),
        (["device", "enroll", "CT1", "--out", "not/mounted/ct1"], "does not exist"),
    ],
)
def test_what_was_mistyped_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.jsonl").touch()
    cli.do("device", "add", "CT1", "--address", "10.1.2.3")
    ended = cli(*arguments)
    assert ended.code in (1, 2)
    assert said in ended.err
    assert "Errno" not in ended.err
    assert not (tmp_path / "not").exists()


def test_a_wrong_number_does_not_stop_the_others(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(file_of(image()))
    cli.do("import", tmp_path / "x")
    for column in (3, 5):
        (tmp_path / "y").write_bytes(file_of(image(Columns=column, PixelData=bytes(4 * column))))
        assert cli("import", tmp_path / "y").code == 1
    numbers = [str(each["number"]) for each in cli.do("quarantine", "list", "--json").json]
    assert len(numbers) == 2
    ended = cli("quarantine", "discard", "98", *numbers, "99")
    assert ended.code == 3
    assert "98: " in ended.err
    assert "99: " in ended.err
    assert cli.do("quarantine", "list", "--json").json == []
    assert cli("quarantine", "discard", "98", "99").code == 1


def test_a_decision_is_explained(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(file_of(image()))
    cli.do("import", tmp_path / "x")
    cli.do("device", "add", "CT1", "--address", "10.1.2.3", "--allow", "store")
    ask = ("policy", "explain", "--caller", "device:CT1", "--study", uid(1), "--action")
    yes, no = cli(*ask, "store"), cli(*ask, "find")
    assert (yes.code, no.code) == (0, 1)
    assert yes.out.startswith("yes: ")
    assert no.out.startswith("no: ")
    assert cli("policy", "explain", "--caller", "device:CT2", "--action", "find").code == 1
    assert cli("policy", "explain", "--caller", "CT1", "--action", "store", "--study", "1.2.3").code == 1
    said = cli("policy", "explain", "--caller", "cli", "--action", "delete", "--json")
    assert said.json["allowed"] is True


def test_fsck_of_an_empty_archive_is_well(cli: Cli) -> None:
    assert "all is well" in cli.do("fsck").out
    assert cli.do("quarantine", "list").out == ""
