"""The archive as it starts: the matrix of refusals with real servers, and what a good start looks like.

Each refusal has to be exit 1 (2 for wrong usage), one sentence that says what to do, and no open door.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.crypto import keyfile
from leadglass.crypto.ca import Authority
from leadglass.crypto.database import open_sealed
from leadglass.doors.cli.application import Ready, Wanted
from leadglass.identity.device import Device
from leadglass.parts import CERTIFICATE_KEYS
from leadglass.startup import parse_endpoint
from tests.keys import archive_key
from tests.peers.scu import UNCOMPRESSED, VERIFICATION, Way, association

Prepare = Callable[[Path], object]
"""What is done to a good data folder before it is served."""

OFF_LOOPBACK = "10.255.255.254:0"
"""Not an address of this machine: whoever gets as far as binding it has not refused before."""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


def _command(data: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "leadglass", "serve", "--json", "--data", str(data), *arguments]


def _serve(data: Path, *arguments: str) -> Ended:
    """Run a server that has to refuse."""
    done = subprocess.run(_command(data, *arguments), capture_output=True, text=True, timeout=60, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def _serving(data: Path, *arguments: str) -> Generator[tuple["subprocess.Popen[str]", list[dict[str, str]]]]:
    """Run a server that has to start; gives its process and what it announced."""
    with subprocess.Popen(
        _command(data, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said: list[dict[str, str]] = []
        try:
            while not said or said[-1]["ready"] != "all":
                line = process.stdout.readline()
                if not line:
                    assert process.stderr is not None
                    pytest.fail(f"it did not start: {process.stderr.read()}")
                said.append(json.loads(line))
            yield process, said
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an initialised data folder with nobody enrolled."""
    data = tmp_path_factory.mktemp("template") / "data"
    App().initialise(data)
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(template, copy)
    return copy


def _settings(text: str) -> Prepare:
    return lambda data: (data / "leadglass.toml").write_text(text)


def _mode(name: str, mode: int) -> Prepare:
    return lambda data: (data / name).chmod(mode)


def _web_key_of_all(data: Path) -> None:
    key = data / "web.pem"
    key.write_bytes(b"?")
    key.chmod(0o644)
    (data / "leadglass.toml").write_text(f"[web]\ncertificate = '{key}'\n")


def _enrol(data: Path) -> None:
    with App().open(data) as opened:
        opened.devices.add(opened.caller, Device.parse("CT1", ["127.0.0.1"]))
        opened.devices.enrol(opened.caller, "CT1", data.parent / "ct1")


def _enrolled_without_certificate(data: Path) -> None:
    with App().open(data) as opened:
        opened.devices.add(opened.caller, Device.parse("CT1", ["127.0.0.1"]))


def _with_ended_lane(data: Path) -> None:
    with App().open(data) as opened:
        tomorrow = opened.devices.today.fromordinal(opened.devices.today.toordinal() + 1)
        lane = Device.parse("OLD", ["127.0.0.1"], plaintext=True, until=tomorrow)
        opened.devices.add(opened.caller, lane)
    _sql(data, "identity.db", "identity database", "UPDATE device SET until = '2020-01-01'")


def _with_ended_certificate(data: Path) -> None:
    _enrol(data)
    _sql(
        data,
        "identity.db",
        "identity database",
        "UPDATE certificate SET not_after = '2020-01-01T00:00:00+00:00'",
    )


def _sql(data: Path, name: str, label: str, statement: str) -> None:
    """Change a sealed database behind the archive's back, as who holds the key can."""
    connection = open_sealed(data / name, archive_key(data).derive(label))
    try:
        connection.execute(statement)
    finally:
        connection.close()


def _audit_put_back(data: Path) -> None:
    """Put an earlier audit log in the place of today's."""
    earlier = (data / "audit.db").read_bytes()
    _enrol(data)
    (data / "audit.db").write_bytes(earlier)


def _audit_head_touched(data: Path) -> None:
    _sql(data, "audit.db", "audit database", "UPDATE head SET size = size - 1")


def _audit_signature_touched(data: Path) -> None:
    _sql(data, "audit.db", "audit database", "UPDATE checkpoint SET note = replace(note, 'leadglass', 'leadgIass')")


def _expired_authority(data: Path) -> None:
    for name in ("ca.pem", "keys/ca.pem"):
        (data / name).unlink()
    password = archive_key(data).password(CERTIFICATE_KEYS)
    Authority.create(data / "ca.pem", data / "keys/ca.pem", password=password, now=datetime(2010, 1, 1, tzinfo=UTC))


def _key_of_another_archive(data: Path) -> None:
    (data / "keys/archive.key").unlink()
    keyfile.create(data / "keys/archive.key", keyfile.new_key())


def _removed(name: str) -> Prepare:
    return lambda data: (data / name).unlink()


def _overwritten(name: str, content: bytes) -> Prepare:
    def overwrite(data: Path) -> None:
        path = data / name
        mode = path.stat().st_mode
        path.write_bytes(content)
        path.chmod(mode)

    return overwrite


def _authority_of_another_archive(data: Path) -> None:
    other = data.parent / "other"
    App().initialise(other)
    shutil.copy(other / "ca.pem", data / "ca.pem")


def _nothing(_data: Path) -> None: ...


Case = tuple[Prepare, tuple[str, ...], int, str]

MATRIX: dict[str, Case] = {
    # who is let in
    "TLS off loopback, nobody enrolled": (_nothing, ("--dicom-tls", OFF_LOOPBACK), 1, "device enroll"),
    "TLS off loopback, a device without certificate": (
        _enrolled_without_certificate, ("--dicom-tls", OFF_LOOPBACK), 1, "device enroll"),
    "TLS off loopback, a certificate that has ended": (
        _with_ended_certificate, ("--dicom-tls", OFF_LOOPBACK), 1, "device enroll"),
    "TLS off loopback by the settings": (
        _settings(f"[listen]\ndicom_tls = '{OFF_LOOPBACK}'"), (), 1, "device enroll"),
    "plaintext off loopback, no lane": (_enrol, ("--dicom", OFF_LOOPBACK), 1, "--plaintext --until"),
    "plaintext off loopback, a lane that has ended": (
        _with_ended_lane, ("--dicom", OFF_LOOPBACK), 1, "--plaintext --until"),
    # the internet
    "every IPv4 address, nobody enrolled": (_nothing, ("--dicom-tls", "0.0.0.0:0"), 1, "leadglass"),
    "every IPv6 address, nobody enrolled": (_nothing, ("--dicom-tls", "[::]:0"), 1, "leadglass"),
    "every address in plaintext, no lane": (_enrol, ("--dicom", "0.0.0.0:0"), 1, "leadglass"),
    "a public IPv4 address": (_enrol, ("--dicom-tls", "8.8.8.8:0"), 1, "unsafe_listen_on_public_address"),
    "a public IPv6 address": (_enrol, ("--dicom-tls", "[2606:4700::1]:0"), 1, "unsafe_listen_on_public_address"),
    "everybody's IPv4 network allowed": (
        _settings("[network]\nallowed_public_networks = ['0.0.0.0/0']"), (), 1, "everybody"),
    "everybody's IPv6 network allowed": (
        _settings("[network]\nallowed_public_networks = ['::/0']"), (), 1, "everybody"),
    "half of everybody allowed": (
        _settings("[network]\nallowed_public_networks = ['0.0.0.0/1']"), (), 1, "everybody"),
    # settings
    "an unknown key": (_settings("[network]\nallow_public = true"), (), 1, "nobody knows the key"),
    "a value of another type": (_settings("[wire]\nidle = 'long'"), (), 1, "must be a number"),
    "a value out of bounds": (_settings("[wire]\nassociations = 0"), (), 1, "must be from"),
    "settings that are no TOML": (_settings("?"), (), 1, "not TOML"),
    "a bad AE title": (_nothing, ("--ae", "MUCH TOO LONG AE TITLE"), 2, "AE title"),
    "a bad AE title by the settings": (_settings("ae_title = 'BACK\\\\SLASH'"), (), 1, "AE title"),
    "a bad address by the settings": (_settings("[listen]\ndicom_tls = '2762'"), (), 1, "HOST:PORT"),
    "an address that is none": (_nothing, ("--dicom-tls", "2762"), 2, "HOST:PORT"),
    "a port that is none": (_nothing, ("--dicom-tls", "127.0.0.1:99999"), 2, "HOST:PORT"),
    "no door at all": (_nothing, ("--dicom-tls", ""), 1, "No door"),
    "no door at all by the settings": (_settings("[listen]\ndicom_tls = ''"), (), 1, "No door"),
    "a host that nobody knows": (_nothing, ("--dicom-tls", "no-such-host.invalid:0"), 1, "not a name"),
    "an address of another machine": (_enrol, ("--dicom-tls", OFF_LOOPBACK), 1, "not an address of this machine"),
    "the web on every address, nobody enrolled": (_nothing, ("--http", "0.0.0.0:0"), 1, "leadglass token create"),
    "the web off loopback, devices enrolled only": (_enrol, ("--http", OFF_LOOPBACK), 1, "leadglass user add"),
    "the web on a public address": (_nothing, ("--http", "8.8.8.8:0"), 1, "unsafe_listen_on_public_address"),
    "the web on a port that DICOM has": (
        _settings("[listen]\nhttps = '127.0.0.1:1104'\ndicom = '127.0.0.1:1104'"), (), 1, "share"),
    "a web certificate that is not there": (
        _settings("[web]\ncertificate = '/nowhere.pem'"), ("--http", "127.0.0.1:0"), 1, "nowhere.pem"),
    "a web certificate's key that others may read": (
        _web_key_of_all, ("--http", "127.0.0.1:0"), 1, "chmod 0600"),
    "every proxy trusted": (
        _settings("[web]\ntrusted_proxies = ['0.0.0.0/0']"), ("--http", "127.0.0.1:0"), 1, "everybody"),
    "every origin allowed": (_settings("[web]\nallowed_origins = ['*']"), ("--http", "127.0.0.1:0"), 1, "origin"),
    "a web name that is none": (_settings("[web]\nnames = ['*']"), ("--http", "127.0.0.1:0"), 1, "[web] names"),
    # keys and files
    "a key that others may read": (_mode("keys/archive.key", 0o640), (), 1, "chmod 0600"),
    "an authority's key that others may read": (_mode("keys/ca.pem", 0o604), (), 1, "chmod 0600"),
    "a signing key that others may read": (_mode("keys/audit.pem", 0o644), (), 1, "chmod 0600"),
    "a folder of keys that others may enter": (_mode("keys", 0o755), (), 1, "chmod 0700"),
    "a data folder that others may enter": (_mode("", 0o755), (), 1, "chmod 0700"),
    "no archive key": (_removed("keys/archive.key"), (), 1, "archive.key is missing"),
    "the key of another archive": (_key_of_another_archive, (), 1, "not the one of this archive"),
    "a damaged archive key": (_overwritten("keys/archive.key", b"?"), (), 1, "damaged"),
    "no authority": (_removed("ca.pem"), (), 1, "ca.pem is missing"),
    "no key of the authority": (_removed("keys/ca.pem"), (), 1, "backup"),
    "the authority of another archive": (_authority_of_another_archive, (), 1, "do not belong together"),
    "an authority that has ended": (_expired_authority, (), 1, "enrol every device anew"),
    "no signing key": (_removed("keys/audit.pem"), (), 1, "backup"),
    "a damaged signing key": (_overwritten("keys/audit.pem", b"?"), (), 1, "backup"),
    "a damaged index": (_overwritten("index.db", b"x" * 8192), (), 1, "index.db"),
    "a damaged audit log": (_overwritten("audit.db", b"x" * 8192), (), 1, "audit.db"),
    "an audit log put back to an earlier state": (_audit_put_back, (), 1, "audit verify"),
    "an audit log whose end was changed": (_audit_head_touched, (), 1, "audit verify"),
    "an audit log whose signature was changed": (_audit_signature_touched, (), 1, "audit verify"),
    "another version's folder": (_overwritten("leadglass.format", b"format 9"), (), 1, "another version"),
}  # fmt: skip


@pytest.mark.parametrize("case", MATRIX)
def test_an_unsafe_start_is_refused_with_what_to_do(case: str, data: Path) -> None:
    prepare, arguments, code, sentence = MATRIX[case]
    prepare(data)
    ended = _serve(data, "--dicom-tls", "127.0.0.1:0", *arguments) if arguments else _serve(data)
    assert ended.code == code, ended
    assert sentence in ended.err
    assert ended.err.startswith("leadglass: ")
    assert "Traceback" not in ended.err
    assert "ready" not in ended.out


def test_a_port_in_use_is_refused(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = _serve(data, "--dicom-tls", f"127.0.0.1:{taken.getsockname()[1]}")
    assert ended.code == 1
    assert "in use" in ended.err


def test_two_doors_on_one_port_are_refused(data: Path) -> None:
    ended = _serve(data, "--dicom-tls", "127.0.0.1:29911", "--dicom", "127.0.0.1:29911")
    assert ended.code == 2
    assert "share" in ended.err
    (data / "leadglass.toml").write_text("[listen]\ndicom = '127.0.0.1:29911'")
    ended = _serve(data, "--dicom-tls", "127.0.0.1:29911")
    assert ended.code == 1
    assert "share" in ended.err


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    ended = _serve(tmp_path)
    assert ended.code == 1
    assert "not empty" in ended.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    ended = _serve(Path("/proc/leadglass"))
    assert ended.code == 1
    assert "Name a folder" in ended.err


def test_a_good_start_announces_its_doors_and_ends_cleanly(tmp_path: Path) -> None:
    data = tmp_path / "new"
    with _serving(data, "--dicom-tls", "127.0.0.1:0", "--dicom", "[::1]:0") as (process, said):
        assert [line["ready"] for line in said] == ["dicom-tls", "dicom", "all"]
        for line in said[:-1]:
            endpoint = parse_endpoint(line["address"])
            assert endpoint.port
            with socket.create_connection((endpoint.host, endpoint.port), timeout=5):
                pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with App().open(data) as opened:
        actions = [record.event.action for record in opened.audit.records() if record.event.door == "system"]
        # The self-check of each start comes when it is done, which may be after the end of so short a run.
        assert [each for each in actions if each != "exposure"] == ["init", "start", "stop"]
        assert opened.audit.verify().ok


STUCK = """
import threading
from leadglass import __main__, serving
from leadglass.archive.archive import Archive

def echo(*_):
    print('{"ready": "stuck"}', flush=True)
    threading.Event().wait()

serving._GRACE = serving._LAST = 0.1
Archive.echo = echo
__main__.main()
"""
"""A server in which a C-ECHO never comes back from the archive."""


def test_a_thread_that_never_ends_does_not_keep_the_server_from_ending(data: Path) -> None:
    with App().open(data) as opened:
        tomorrow = opened.devices.today.fromordinal(opened.devices.today.toordinal() + 1)
        lane = Device.parse("CT1", ["127.0.0.1"], ["echo"], plaintext=True, until=tomorrow)
        opened.devices.add(opened.caller, lane)
    command = [sys.executable, "-c", STUCK, *_command(data, "--dicom-tls", "127.0.0.1:0", "--dicom", "127.0.0.1:0")[3:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = {"ready": ""}
            while said["ready"] != "dicom":
                said = json.loads(process.stdout.readline())
            way = Way(parse_endpoint(said["address"]).port, "CT1")
            with association(way, [(VERIFICATION, UNCOMPRESSED)]) as assoc, ThreadPoolExecutor(1) as client:
                assert assoc.is_established
                asked = client.submit(assoc.send_c_echo)
                while said["ready"] != "stuck":
                    said = json.loads(process.stdout.readline())
                process.terminate()
                assert process.wait(60) == 0
                assert "Status" not in asked.result(60)
        finally:
            process.kill()
    with App().open(data) as opened:
        actions = [record.event.action for record in opened.audit.records() if record.event.door == "system"]
        assert actions[-1] == "stop"
        assert opened.audit.verify().ok


def test_ctrl_c_ends_it_cleanly_too(data: Path) -> None:
    with _serving(data, "--dicom-tls", "127.0.0.1:0") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_second_server_on_the_folder_is_refused_and_commands_beside_it_work(data: Path) -> None:
    with _serving(data, "--dicom-tls", "127.0.0.1:0"):
        ended = _serve(data, "--dicom-tls", "127.0.0.1:0")
        assert ended.code == 1
        assert "Another server" in ended.err
        _enrol(data)
        with App().open(data) as opened:
            assert [device.ae_title for device in opened.devices.list()] == ["CT1"]
            assert opened.audit.verify().ok


def test_a_killed_server_does_not_block_the_next(data: Path) -> None:
    with _serving(data, "--dicom-tls", "127.0.0.1:0") as (process, _):
        process.kill()
        process.wait(30)
    with _serving(data, "--dicom-tls", "127.0.0.1:0"):
        pass


def test_a_danger_is_shown_and_put_on_record_at_every_start(data: Path) -> None:
    _enrol(data)
    (data / "leadglass.toml").write_text("[network]\nunsafe_listen_on_public_address = true")
    for starts in (1, 2):
        with _serving(data, "--dicom-tls", "0.0.0.0:0") as (process, _):
            process.terminate()
            assert process.stderr is not None
            assert "unsafe_listen_on_public_address is on" in process.stderr.read()
        with App().open(data) as opened:
            alerts = [r for r in opened.audit.records(action="start") if "unsafe_listen" in r.event.reason]
            assert len(alerts) == starts


def test_nothing_of_the_data_folder_can_be_read_by_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = os.umask(0)
    try:
        with _serving(data, "--dicom-tls", "127.0.0.1:0"):
            pass
    finally:
        os.umask(before)
    assert data.stat().st_mode & 0o077 == 0
    for path in data.rglob("*"):
        if path.name != "ca.pem" or path.parent != data:
            assert path.stat().st_mode & 0o022 == 0, path
    for path in (data / "keys", *(data / "keys").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_file_of_the_archive_holds_a_clear_name(tmp_path: Path) -> None:
    from leadglass.doors.cli.demo import prepare

    made = prepare(App(), tmp_path, tmp_path / "data")
    for path in made.data.rglob("*"):
        if path.is_file():
            assert b"Phantom" not in path.read_bytes(), path


def test_the_application_can_serve_in_this_process(data: Path) -> None:
    seen: list[Ready] = []

    def ready(doors: tuple[Ready, ...]) -> None:
        seen.extend(doors)
        os.kill(os.getpid(), signal.SIGTERM)

    App().serve(data, Wanted(dicom_tls="127.0.0.1:0"), ready, pytest.fail)
    assert [each.door for each in seen] == ["dicom-tls"]
