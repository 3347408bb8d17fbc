"""``leadglass import``: every file has a fate, and no file decides over another's."""

import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pydicom.uid import UID

from tests.doors.cli.clihouse import Cli, file_of, image, uid, write_study


def test_a_folder_goes_in_and_a_second_time_it_is_already_there(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    first = cli.do("import", "--json", tmp_path / "in").json
    assert (first["stored"], first["already_there"], first["refused"]) == (6, 0, 0)
    assert first["studies"] == [uid(1)]
    second = cli.do("import", "--json", tmp_path / "in").json
    assert (second["stored"], second["already_there"]) == (0, 6)


def test_a_bad_file_is_named_with_its_reason_and_stops_nothing(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    good = (tmp_path / "in/1-1-1").read_bytes()
    (tmp_path / "in/0-empty").write_bytes(b"")
    (tmp_path / "in/0-text").write_text("read me")
    (tmp_path / "in/9-cut").write_bytes(good[:-8])
    ended = cli("import", "--json", tmp_path / "in")
    assert ended.code == 3
    assert ended.json["stored"] == 6
    named = {Path(each["path"]).name: each["reason"] for each in ended.json["not_taken"]}
    assert named.keys() == {"0-empty", "0-text", "9-cut"}
    assert all(named.values())


def test_a_private_class_goes_in_when_the_operator_lists_it(cli: Cli, tmp_path: Path) -> None:
    private = "1.3.46.670589.2.5.1.1"
    (tmp_path / "private").write_bytes(file_of(image(SOPClassUID=UID(private))))
    ended = cli("import", "--json", tmp_path / "private")
    assert ended.code == 1
    assert "ingest.private_sop_classes" in ended.json["not_taken"][0]["reason"]
    (cli.data / "leadglass.toml").write_text(f'[ingest]\nprivate_sop_classes = ["{private}"]\n')
    assert cli.do("import", "--json", tmp_path / "private").json["stored"] == 1


def test_the_table_says_what_became_of_them_and_why(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    (tmp_path / "in/README").write_text("read me")
    (tmp_path / "in/.hidden").touch()
    ended = cli("import", tmp_path / "in")
    lines = {line.split()[0]: line for line in ended.out.splitlines()}
    assert lines["stored"].split()[1] == "6"
    assert lines["refused"].split()[1] == "1"
    assert lines["skipped"].split()[1] == "1"
    assert "not a DICOM file" in ended.out
    assert "README" not in ended.out
    assert "README" in cli("import", "--verbose", tmp_path / "in").out


def test_nothing_good_is_exit_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("read me")
    assert cli("import", tmp_path / "x").code == 1
    assert cli("import", tmp_path / "missing").code == 1
    (tmp_path / "empty").mkdir()
    assert cli("import", tmp_path / "empty").code == 1


def test_other_content_under_the_same_uid_is_a_conflict_and_can_be_resolved(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(file_of(image()))
    (tmp_path / "b").write_bytes(file_of(image(PixelData=bytes(16))))
    cli.do("import", tmp_path / "a")
    ended = cli("import", "--json", tmp_path / "b")
    assert ended.code == 1
    assert ended.json["in_conflict"] == 1
    (kept,) = cli.do("quarantine", "list", "--json").json
    assert kept["sop_instance_uid"] == uid(1, 1, 1)
    assert "PixelData" in kept["reason"]
    cli.do("quarantine", "discard", str(kept["number"]))
    assert cli.do("quarantine", "list", "--json").json == []
    assert cli("quarantine", "discard", str(kept["number"])).code == 1


def test_an_accepted_conflict_changes_places(cli: Cli, tmp_path: Path) -> None:
    for name, pixels in (("a", bytes(range(16))), ("b", bytes(16))):
        (tmp_path / name).write_bytes(file_of(image(PixelData=pixels)))
        cli("import", tmp_path / name)
    (kept,) = cli.do("quarantine", "list", "--json").json
    cli.do("quarantine", "accept", str(kept["number"]))
    cli.do("export", "--study", uid(1), "--out", tmp_path / "out")
    assert (tmp_path / "out/DICOM/ST000001/SE000001/IM000001").read_bytes().endswith(bytes(16))
    assert len(cli.do("quarantine", "list", "--json").json) == 1


def test_a_zip_and_a_file_and_a_folder_in_one_command(cli: Cli, tmp_path: Path) -> None:
    paths = write_study(tmp_path / "zip", study=1)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for path in paths:
            file.write(path, f"some/where/{path.name}")
        file.writestr("README", "read me")
    write_study(tmp_path / "folder", study=2)
    (single, *_) = write_study(tmp_path / "single", study=3)
    ended = cli("import", "--json", tmp_path / "x.zip", tmp_path / "folder", single)
    assert ended.code == 3
    assert ended.json["stored"] == 13
    (refused,) = ended.json["not_taken"]
    assert refused["path"].endswith("x.zip!README")


def test_what_the_file_meta_says_otherwise_is_flagged_and_the_data_set_counts(cli: Cli, tmp_path: Path) -> None:
    content = file_of(image())
    other = content.replace(uid(1, 1, 1).encode(), uid(1, 1, 2).encode(), 1)
    assert other != content
    (tmp_path / "x").write_bytes(other)
    summary = cli.do("import", "--json", tmp_path / "x").json
    assert any("file meta information" in each["warning"] for each in summary["warnings"])
    cli.do("export", "--study", uid(1), "--out", tmp_path / "out")
    assert uid(1, 1, 1).encode() in (tmp_path / "out/DICOM/ST000001/SE000001/IM000001").read_bytes()


def test_a_media_directory_under_any_name_is_told_as_such(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    cli.do("import", tmp_path / "in")
    cli.do("export", "--study", uid(1), "--out", tmp_path / "out")
    (tmp_path / "out/DICOMDIR").rename(tmp_path / "out/directory.dcm")
    summary = cli.do("import", "--json", tmp_path / "out").json
    assert (summary["already_there"], summary["skipped"]) == (6, 1)
    assert summary["not_taken"][0]["reason"] == "media directory"


def test_a_name_cannot_command_the_terminal(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "\x1b]0;owned\x07\x9b31m\udce4").write_text("no image")
    for arguments in (("import", "--verbose", folder), ("import", "--json", folder)):
        ended = cli(*arguments)
        assert "owned" in ended.out
        assert not set("\x1b\x07\x9b") & set(ended.out + ended.err)


def test_the_record_names_studies_and_no_files(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "Doe^John")
    (tmp_path / "Doe^John/README").write_text("read me")
    cli("import", tmp_path / "Doe^John")
    said = cli.do("audit", "show", "--json").out
    assert uid(1) in said
    assert "Doe" not in said
    assert "Phantom" not in said


def test_one_thread_or_many_store_the_same(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in", instances=20)
    assert cli.do("import", "--json", "--threads", "16", tmp_path / "in").json["stored"] == 40
    assert cli.do("import", "--json", "--threads", "1", tmp_path / "in").json["already_there"] == 40
    assert cli.do("fsck", "--json").json["instances"] == 40


def test_an_unknown_transfer_syntax_is_kept_or_refused_with_a_reason(cli: Cli, tmp_path: Path) -> None:
    content = file_of(image())
    syntax, other = b"1.2.840.10008.1.2.1\0", b"1.2.999.10008.1.2.1\0"
    (tmp_path / "x").write_bytes(content.replace(syntax, other, 1))
    ended = cli("import", "--json", tmp_path / "x")
    assert ended.json["stored"] or ended.json["not_taken"][0]["reason"]
    assert UID(other.decode().strip("\0"))


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in", instances=30)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "leadglass", "import", "--data", str(cli.data), str(tmp_path / "in")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                block = os.read(ours, 4096)
            except OSError:
                break
            if not block:
                break
            said += block
        out = process.stdout.read() if process.stdout else b""
    os.close(ours)
    assert process.returncode == 0
    assert b"Importing" in said
    assert b"60/60" in said
    assert b"left" in said
    assert b"stored" in out


def test_import_asks_for_something_to_import(cli: Cli) -> None:
    assert cli("import").code == 2


@pytest.mark.parametrize("threads", ["0", "17", "x"])
def test_a_senseless_number_of_threads_is_wrong_usage(cli: Cli, tmp_path: Path, threads: str) -> None:
    assert cli("import", "--threads", threads, tmp_path).code == 2
