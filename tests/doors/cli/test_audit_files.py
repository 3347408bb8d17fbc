"""The audit log outside of the archive: export it, carry it away, verify it there."""

import json
import stat
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.doors.cli.main import run
from tests.doors.cli.clihouse import Cli, uid, write_study


@pytest.fixture
def exported(cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """Give an export of a log with a study in it, and the public key."""
    cli.do("import", write_study(tmp_path / "study")[0].parent)
    out, key = tmp_path / "audit.jsonl", tmp_path / "audit.pub"
    cli.do("audit", "export", "--out", out)
    cli.do("audit", "key", "--out", key)
    return out, key


def elsewhere(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Run a command where there is no archive."""
    capsys.readouterr()
    code = run([*map(str, arguments), "--data", "/nowhere"], App)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_an_export_is_verified_where_there_is_no_archive(
    cli: Cli, exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = exported
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    code, said = elsewhere(capsys, "audit", "verify", out, "--key", key, "--json")
    assert code == 0
    found = json.loads(said)
    assert found["ok"]
    assert found["records"] == found["size"]
    head = cli.data / "audit.checkpoint"
    assert elsewhere(capsys, "audit", "verify", out, "--key", key.read_text().strip(), "--checkpoint", head)[0] == 0


def test_a_tampered_export_is_exit_one_and_names_the_record(
    exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out, key = exported
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:2] + lines[3:]))
    code, said = elsewhere(capsys, "audit", "verify", out, "--key", key)
    assert code == 1
    assert "Record 2 is missing" in said


def test_an_export_from_before_a_head_kept_elsewhere_is_exit_one(
    cli: Cli, exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, key = exported
    kept = tmp_path / "kept"
    kept.mkdir()
    cli.do("audit", "show")
    (kept / "1.checkpoint").write_bytes((cli.data / "audit.checkpoint").read_bytes())
    code, said = elsewhere(capsys, "audit", "verify", out, "--key", key, "--checkpoint", kept)
    assert code == 1
    assert "the log was put back" in said
    assert cli("audit", "verify", "--checkpoint", kept).code == 0
    (kept / "1.checkpoint").unlink()
    code, said = elsewhere(capsys, "audit", "verify", out, "--key", key, "--checkpoint", kept)
    assert code == 1
    assert "holds no signed head" in said


def test_what_is_needed_is_said(cli: Cli, exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, key = exported
    assert elsewhere(capsys, "audit", "verify", out)[0] == 2
    assert cli("audit", "verify", "--key", key).code == 2
    assert elsewhere(capsys, "audit", "verify", out, "--key", "nonsense")[0] == 1
    assert elsewhere(capsys, "audit", "verify", key, "--key", key)[0] == 1
    ended = cli("audit", "export", "--out", out)
    assert ended.code == 1
    assert "nothing is overwritten" in ended.err
    ended = cli("audit", "export", "--out", "/proc/nowhere")
    assert ended.code == 1
    assert "--out" in ended.err


def test_a_part_says_what_it_covers(
    cli: Cli, exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    part = tmp_path / "part.jsonl"
    cli.do("audit", "export", "--study", uid(1), "--out", part)
    code, said = elsewhere(capsys, "audit", "verify", part, "--key", exported[1])
    assert code == 0
    assert "were not exported and are not covered" in said
    assert f"study={uid(1)}" in said


@pytest.mark.parametrize(("form", "begins"), [("dicom-xml", "<?xml"), ("fhir", '{"resourceType":"AuditEvent"')])
def test_other_formats_give_one_record_a_line(cli: Cli, form: str, begins: str) -> None:
    ended = cli.do("audit", "export", "--format", form, "--action", "init", "--out", "-")
    lines = ended.out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(begins)


def test_exporting_is_on_record_with_what_was_asked(cli: Cli, exported: tuple[Path, Path]) -> None:
    cli.do("audit", "export", "--format", "fhir", "--caller", "CT1", "--out", "-")
    asked = [record["detail"] for record in cli.do("audit", "show", "--action", "audit", "--json").json]
    assert {"asked": "export", "format": "leadglass"} in asked
    assert {"asked": "export", "format": "fhir", "caller": "CT1"} in asked


def test_without_a_collector_its_state_says_so(cli: Cli) -> None:
    assert "No collector is set up" in cli.do("audit", "collector").out
    assert cli.do("audit", "collector", "--json").json["collector"] is None
