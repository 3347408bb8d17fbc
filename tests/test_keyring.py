"""The archive key moved, rotated and brought back, by real commands and processes that are killed on the way."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.crypto import keyfile, pem
from leadglass.crypto.database import open_sealed
from leadglass.crypto.envelope import WrongKey
from leadglass.crypto.passphrase import Cost
from leadglass.crypto.sources import CREDENTIAL, CREDENTIALS, VARIABLE, Given, Passphrases
from leadglass.crypto.wrap import ArchiveKey
from leadglass.errors import Busy, Corrupt, LeadglassError, Misconfigured
from leadglass.folder import Folder
from leadglass.keyring import Keyring, Source, Target
from leadglass.parts import sealed
from tests.doors.cli.clihouse import write_study
from tests.keys import archive_key
from tests.peers.leadglass import Leadglass
from tests.peers.running import Ran, run

SMALL = Cost(memory_kib=64, passes=1, lanes=1)
PHRASE = "kiln walrus tundra quince orbit"
OTHER = "velvet magnet oyster plinth gorse"


def _tree(folder: Path) -> dict[str, str]:
    """Give what is in a folder, byte for byte; what SQLite keeps for readers is nothing."""
    return {
        each.relative_to(folder).as_posix(): sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.rglob("*"))
        if each.is_file() and not each.name.endswith(("-shm", "-wal"))
    }


def _told(_done: int, _total: int) -> None:
    """Nobody looks."""


def _app(variable: str | None = None, phrase: str | None = None) -> App:
    made = Given(variable)
    if phrase is not None:
        made.passphrases = Passphrases(lambda _what: phrase, is_given=True)
    return App(made, cost=SMALL)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an archive with studies and something in quarantine."""
    folder = tmp_path_factory.mktemp("stocked")
    archive = Leadglass(folder)
    archive.do("init")
    for study in (1, 2, 3):
        write_study(folder / "in", study, series=1, instances=2)
    archive.do("import", folder / "in")
    write_study(folder / "again", 1, series=1, instances=1, PatientID="ANOTHER")
    assert archive.cli("import", folder / "again").code in (1, 3)
    return archive.data


@pytest.fixture
def data(stocked: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(stocked, copy)
    return copy


def _require_sound(data: Path, app: App | None = None) -> None:
    """Every object opens and is what it was, everything in quarantine too, and the record is whole."""
    with (app or _app()).open(data) as archive:
        report = archive.archive.fsck(archive.caller, _told)
        assert report.faults == ()
        assert report.instances == 6
        assert len(archive.archive.quarantined(archive.caller)) == 1
        assert archive.audit.verify().fault is None
    assert not list(data.rglob("*.next*"))


# --- rotating ---------------------------------------------------------------------


def test_rotating_changes_every_key_and_no_object(data: Path, tmp_path: Path) -> None:
    before, objects = archive_key(data), _tree(data / "objects")
    shutil.copytree(data, tmp_path / "backup")
    files = {each: each.read_bytes() for each in (*data.glob("*.db"), *(data / "keys").iterdir())}
    facts = _app().keys(data).rotate(_told)
    after = archive_key(data)
    assert facts.id == after.id != before.id
    assert facts.rotated
    assert _tree(data / "objects") == objects
    for path, content in files.items():
        assert path.read_bytes() != content, path
    for name in ("index", "audit", "identity"):
        with pytest.raises(Misconfigured):
            open_sealed(data / f"{name}.db", before.derive(f"{name} database"))
    with pytest.raises(Misconfigured):
        pem.load(data / "keys/ca.pem", before.password("certificate keys"))
    _require_sound(data)
    _require_sound(tmp_path / "backup")  # with the key from before, which it has
    assert archive_key(tmp_path / "backup").id == before.id


def test_a_rotation_is_on_record_before_and_after(data: Path) -> None:
    before = archive_key(data).id
    _app().keys(data).rotate(_told)
    with _app().open(data) as archive:
        said = [record.event for record in archive.audit.records(action="key")]
    assert [(event.outcome.value, event.detail["key"]) for event in said[-2:]] == [
        ("permitted", before),
        ("done", archive_key(data).id),
    ]


def test_no_key_is_rotated_while_a_server_runs_or_a_command_reads(tmp_path: Path, stocked: Path) -> None:
    archive = Leadglass(tmp_path)
    shutil.copytree(stocked, archive.data)
    with archive.serve():
        refused = archive.cli("key", "rotate")
        assert refused.code == 1
        assert "Stop it first" in refused.err
        moved = archive.cli("key", "move", "--to", "file", "--file", tmp_path / "elsewhere.key")
        assert moved.code == 0, moved.said  # beside the server
        assert archive.cli("fsck").code == 0
    with App(Given()).open(archive.data), pytest.raises(Busy):
        _app().keys(archive.data).rotate(_told)
    with Folder(archive.data).alone(), pytest.raises(Busy, match="rotated"), App(Given()).open(archive.data):
        pass
    assert archive.cli("key", "rotate").code == 0
    assert archive.cli("fsck").code == 0


def _keyring(data: Path, at: Callable[[str], None]) -> Keyring:
    folder = Folder(data)
    return Keyring(folder, Given(), lambda: sealed(folder), cost=SMALL, at=at)


def _steps(data: Path, tmp_path: Path) -> list[str]:
    copy = tmp_path / "dry"
    shutil.copytree(data, copy)
    seen: list[str] = []
    _keyring(copy, seen.append).rotate(_told)
    shutil.rmtree(copy)
    return seen


_KILLED = """
import os, signal, sys
from pathlib import Path
from leadglass.crypto.sources import Given
from leadglass.folder import Folder
from leadglass.keyring import Keyring
from leadglass.parts import sealed
folder, left = Folder(Path(sys.argv[1])), [int(sys.argv[2])]
def at(step):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
keyring = Keyring(folder, Given(), lambda: sealed(folder), at=at)
with folder.alone(), folder.changing_key():
    keyring.rotate(lambda done, total: None)
"""


def test_a_rotation_killed_at_any_step_is_finished_or_undone_by_the_next_command(data: Path, tmp_path: Path) -> None:
    steps = _steps(data, tmp_path)
    assert {"commit", "committed", "done", "key file in place"} <= set(steps)
    old = archive_key(data).id
    for number, step in enumerate(steps):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(data, copy)
        done = run([sys.executable, "-c", _KILLED, copy, str(number)])
        assert done.code == -signal.SIGKILL, f"{step}: {done.said}"
        _require_sound(copy)
        is_new = number > steps.index("commit")
        assert (archive_key(copy).id != old) is is_new, step
        shutil.rmtree(copy)


@pytest.mark.parametrize("seed", range(60 if os.environ.get("LEADGLASS_LONG") else 2))
def test_a_rotation_killed_at_a_random_moment_loses_nothing(seed: int, data: Path) -> None:
    objects = _tree(data / "objects")
    with subprocess.Popen(
        [sys.executable, "-m", "leadglass", "key", "rotate", "--data", str(data)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(random.Random(seed).uniform(0.2, 1.2))
        process.kill()
    _require_sound(data)
    assert _tree(data / "objects") == objects


def test_a_failed_rotation_changes_nothing(data: Path) -> None:
    def fail(step: str) -> None:
        if step == "commit":
            raise Corrupt("planted")

    before = _tree(data)
    with pytest.raises(Corrupt, match="planted"):
        _keyring(data, fail).rotate(_told)
    assert _tree(data) == before


def test_an_index_with_a_key_that_does_not_open_is_not_carried_over(data: Path) -> None:
    connection = open_sealed(data / "index.db", archive_key(data).derive("index database"))
    connection.execute("UPDATE study SET key = zeroblob(length(key)) WHERE id = (SELECT max(id) FROM study)")
    connection.close()
    before = _tree(data)
    with pytest.raises(Corrupt):
        _keyring(data, lambda _step: None).rotate(_told)
    assert _tree(data) == before


# --- moving: sources x commands -----------------------------------------------------


def _as_file(data: Path, tmp: Path) -> dict[str, str]:
    del data, tmp
    return {}


def _as_file_elsewhere(data: Path, tmp: Path) -> dict[str, str]:
    _app().keys(data).move(Target(Source.FILE, tmp / "elsewhere.key"))
    return {}


def _as_passphrase(data: Path, tmp: Path) -> dict[str, str]:
    _app().keys(data).move(Target(Source.PASSPHRASE, passphrase=PHRASE))
    (tmp / "phrase").touch(mode=0o600)
    (tmp / "phrase").write_text(PHRASE + "\n")
    return {"--passphrase-file": str(tmp / "phrase")}


def _as_environment(data: Path, tmp: Path) -> dict[str, str]:
    keyfile.create(tmp / "secret", keyfile.new_key())
    _app().keys(data).move(Target(Source.ENVIRONMENT, tmp / "secret"))
    return {VARIABLE: (tmp / "secret").read_text().strip()}


def _as_credential(data: Path, tmp: Path) -> dict[str, str]:
    (tmp / "credentials").mkdir()
    keyfile.create(tmp / "credentials" / CREDENTIAL, keyfile.new_key())
    _app().keys(data).move(Target(Source.CREDENTIAL, tmp / "credentials" / CREDENTIAL))
    (tmp / "credentials" / CREDENTIAL).chmod(0o400)
    return {CREDENTIALS: str(tmp / "credentials")}


SOURCES = {
    "file": _as_file,
    "file elsewhere": _as_file_elsewhere,
    "passphrase": _as_passphrase,
    "environment": _as_environment,
    "credential": _as_credential,
}


def _command(data: Path, handed: dict[str, str], *arguments: str | Path) -> Ran:
    options = [part for name, value in handed.items() if name.startswith("--") for part in (name, value)]
    environment = {name: value for name, value in handed.items() if not name.startswith("--")}
    return run([sys.executable, "-m", "leadglass", *arguments, "--data", data, *options], env=environment)


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_opens_for_every_command_and_nothing_else_does(source: str, data: Path, tmp_path: Path) -> None:
    handed = SOURCES[source](data, tmp_path)
    assert (data / "keys/archive.key").exists() is (source == "file")
    for arguments in (["key", "rotate"], ["fsck"]):
        ended = _command(data, handed, *arguments)
        assert ended.code == 0, ended.said
        for secret in handed.values():
            assert secret.startswith("/") or secret not in ended.said
    if source in ("passphrase", "environment", "credential"):
        before = _tree(data)
        ended = _command(data, {}, "fsck")
        assert ended.code == 1
        assert ended.err.startswith("leadglass: The key of this archive")
        assert _tree(data) == before
    if source == "file":
        ended = _command(data, {VARIABLE: keyfile.to_text(keyfile.new_key())}, "fsck")
        assert ended.code == 1
        assert VARIABLE in ended.err


@pytest.mark.parametrize("source", SOURCES)
def test_a_missing_or_wrong_secret_is_named_and_changes_nothing(source: str, data: Path, tmp_path: Path) -> None:
    handed = SOURCES[source](data, tmp_path)
    wrong = keyfile.new_key()
    match source:
        case "passphrase":
            (tmp_path / "phrase").write_text(OTHER)
        case "environment":
            handed[VARIABLE] = keyfile.to_text(wrong)
        case _:
            path = {
                "file": data / "keys/archive.key",
                "file elsewhere": tmp_path / "elsewhere.key",
                "credential": tmp_path / "credentials" / CREDENTIAL,
            }[source]
            path.unlink()
            missing = _command(data, handed, "fsck")
            assert (missing.code, str(path) in missing.err) == (1, True), missing.said
            keyfile.create(path, wrong)
    before = _tree(data)
    for arguments in (["key", "rotate"], ["serve", "--dicom-tls", "127.0.0.1:0"]):
        ended = _command(data, handed, *arguments)
        assert ended.code == 1, ended.said
        assert "Nothing was changed" in ended.err
        assert "Traceback" not in ended.said
        assert keyfile.to_text(wrong).split()[1] not in ended.said
    assert _tree(data) == before


def test_the_secret_is_out_of_the_environment_before_any_child_could_inherit_it() -> None:
    environment = {VARIABLE: keyfile.to_text(b"s" * 32), "PATH": "/bin"}
    made = Given.taken_from(environment)
    assert environment == {"PATH": "/bin"}
    assert made.of_variable() == b"s" * 32
    assert "LEADGLASS" not in repr(made)


def test_a_server_keeps_its_memory_to_itself(tmp_path: Path, stocked: Path) -> None:
    archive = Leadglass(tmp_path)
    shutil.copytree(stocked, archive.data)
    with archive.serve() as doors:
        limits = Path(f"/proc/{doors.pid}/limits").read_text()
    assert any(line.split()[:5] == ["Max", "core", "file", "size", "0"] for line in limits.splitlines())


# --- partial copies, tampering, older archives ----------------------------------------


@pytest.mark.parametrize("name", ["index.db", "audit.db", "identity.db", "keys/archive.wrapped", "objects"])
def test_of_a_partial_copy_nothing_is_made_anew(name: str, data: Path) -> None:
    if (data / name).is_dir():
        shutil.rmtree(data / name)
    else:
        (data / name).unlink()
    before = _tree(data)
    assert not _app().initialise(data)
    with pytest.raises(Misconfigured, match=name), _app().open(data):
        pass
    ended = _command(data, {}, "serve", "--dicom-tls", "127.0.0.1:0")
    assert ended.code == 1, ended.said
    assert name in ended.err
    assert _tree(data) == before


def test_no_key_is_made_over_what_an_interrupted_init_seems_to_have_left(data: Path) -> None:
    (data / "leadglass.format").rename(data / "leadglass.init")
    shutil.rmtree(data / "keys")
    before = _tree(data)
    ended = _command(data, {}, "init")
    assert ended.code == 1
    assert "No new key is made over it" in ended.err
    assert _tree(data) == before


def test_a_damaged_database_is_told_from_a_wrong_key(data: Path) -> None:
    (data / "identity.db").write_bytes(b"x" * 8192)
    ended = _command(data, {}, "fsck")
    assert ended.code == 1
    assert "identity.db" in ended.err


def test_an_archive_of_the_first_version_is_taken_over_and_its_keys_are_sealed(tmp_path: Path, data: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(data, old)
    key = archive_key(old)
    for name, label in (("ca.pem", "certificate keys"), ("audit.pem", "audit signing key")):
        made = pem.load(old / "keys" / name, key.password(label))
        (old / "keys" / name).write_bytes(pem.seal(made, None))
    (old / "keys/archive.wrapped").unlink()
    (old / "keys/archive.key").unlink()
    key.recovery_words(lambda secret: keyfile.create(old / "keys/archive.key", secret, keyfile.ARCHIVE) or "")
    _require_sound(old)
    assert archive_key(old).id == key.id
    assert pem.is_sealed((old / "keys/ca.pem").read_bytes())
    assert pem.is_sealed((old / "keys/audit.pem").read_bytes())
    _app().keys(old).rotate(_told)
    _require_sound(old)


def test_another_first_versions_key_is_not_taken_over(data: Path) -> None:
    (data / "keys/archive.wrapped").unlink()
    (data / "keys/archive.key").unlink()
    ArchiveKey.create(data / "keys/archive.key")
    before = _tree(data)
    with pytest.raises(Misconfigured, match="does not open"), _app().open(data):
        pass
    assert _tree(data) == before


def test_a_recovery_copy_brings_back_what_a_lost_passphrase_took(data: Path, tmp_path: Path) -> None:
    _app().keys(data).move(Target(Source.PASSPHRASE, passphrase=PHRASE))
    _app(phrase=PHRASE).keys(data).export(tmp_path / "copy", OTHER)
    paper = tmp_path / "paper"
    paper.touch(mode=0o600)
    paper.write_text(_app(phrase=PHRASE).keys(data).export(None))
    with pytest.raises(WrongKey), _app(phrase="not it, but long enough").open(data):
        pass
    with pytest.raises(WrongKey, match="not the passphrase of this recovery copy"):
        _app().keys(data).restore(tmp_path / "copy", lambda: "of another copy, perhaps", Target(Source.FILE))
    _app().keys(data).restore(tmp_path / "copy", lambda: OTHER, Target(Source.FILE))
    _require_sound(data)
    (data / "keys/archive.wrapped").write_bytes(b"{damaged")
    (data / "keys/archive.key").unlink()
    _app().keys(data).restore(paper, lambda: pytest.fail("paper has none"), Target(Source.FILE, tmp_path / "new.key"))
    _require_sound(data)
    _app().keys(data).rotate(_told)
    with pytest.raises(LeadglassError, match="before a rotation"):
        _app().keys(data).restore(paper, str, Target(Source.FILE))


def test_the_settings_and_the_archive_have_to_agree(data: Path) -> None:
    (data / "leadglass.toml").write_text("[key]\nsource = 'passphrase'\n")
    with pytest.raises(Misconfigured, match="leadglass key move"), _app().open(data):
        pass
    (data / "leadglass.toml").write_text("[key]\nsource = 'file'\n")
    _require_sound(data)


def test_a_new_archive_is_made_as_the_settings_say(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "leadglass.toml").write_text("[key]\nsource = 'passphrase'\n")
    (tmp_path / "phrase").touch(mode=0o600)
    (tmp_path / "phrase").write_text(PHRASE)
    archive = Leadglass(tmp_path)
    with archive.serve("--passphrase-file", str(tmp_path / "phrase")):
        assert not (data / "keys/archive.key").exists()
    assert archive.cli("fsck").code == 1
    assert archive.cli("fsck", "--passphrase-file", tmp_path / "phrase").code == 0


@pytest.fixture(autouse=True)
def _no_secrets_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
