"""Handshakes over real sockets: ours with ours, with OpenSSL's own client, and with DCMTK."""

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from shutil import which
from threading import Thread

import pytest

from leadglass.crypto.ca import Authority, fingerprint
from leadglass.crypto.tls import client_context, server_context
from leadglass.errors import Misconfigured

needs_dcmtk = pytest.mark.skipif(which("echoscu") is None, reason="DCMTK is not installed (apt-get install dcmtk)")


@dataclass(frozen=True)
class Files:
    """A little house: an authority, the archive's certificate, a device's."""

    folder: Path
    authority: Path
    server: Path
    device: Path
    device_key: Path
    device_certificate: Path


def house(folder: Path) -> Files:
    folder.mkdir(exist_ok=True)
    authority = Authority.create(folder / "ca.pem", folder / "ca.key")
    server = authority.ensure_server_certificate(folder / "server.pem", ["localhost", "127.0.0.1"])
    issued = authority.issue_device("CT1", names=["127.0.0.1"])
    device, key, certificate = folder / "device.pem", folder / "key.pem", folder / "cert.pem"
    for path, data in ((device, issued.key_pem + issued.certificate_pem), (key, issued.key_pem)):
        path.write_bytes(data)
        path.chmod(0o600)
    certificate.write_bytes(issued.certificate_pem)
    return Files(folder, folder / "ca.pem", server, device, key, certificate)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return house(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return house(tmp_path_factory.mktemp("theirs"))


@dataclass(frozen=True)
class Seen:
    """What the listener came to know of one connection: its version and peer, or why there was none."""

    version: str = ""
    cipher: str = ""
    peer: str = ""
    error: str = ""


@contextmanager
def listening(context: ssl.SSLContext) -> Generator[tuple[int, "Queue[Seen]"]]:
    """Accept TLS connections, one after the other; each that stands is sent two bytes."""
    seen: Queue[Seen] = Queue()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            plain.settimeout(20)
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    der = connection.getpeercert(binary_form=True)
                    cipher = connection.cipher()
                    connection.sendall(b"ok")
                    with suppress(OSError):
                        connection.recv(1)
                    seen.put(Seen(connection.version() or "", cipher[0] if cipher else "", fingerprint(der or b"")))
            except OSError as error:  # ssl.SSLError is one
                plain.close()
                seen.put(Seen(error=str(error)))

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def connect(context: ssl.SSLContext, port: int, name: str = "127.0.0.1") -> str:
    """Connect and read the two bytes; the TLS version, or raise."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        assert connection.recv(2) == b"ok"
        return connection.version() or ""


def openssl(port: int, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Try OpenSSL's client, whose own policy is turned off, so that ours is what refuses."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief", "-quiet", *map(str, arguments)]
    return subprocess.run(command, input=b"x", capture_output=True, timeout=30, check=False)


def test_the_two_profiles_meet_on_tls_1_3_and_know_each_other(ours: Files) -> None:
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        assert connect(client_context(ours.device, ours.authority), port) == "TLSv1.3"
        der = ssl.PEM_cert_to_DER_cert(ours.device_certificate.read_text())
        assert seen.get(timeout=20).peer == fingerprint(der)


def test_tls_1_2_gets_a_forward_secret_aead_suite(ours: Files) -> None:
    old = client_context(ours.device, ours.authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        assert connect(old, port) == "TLSv1.2"
        cipher = seen.get(timeout=20).cipher
        assert cipher.startswith("ECDHE-ECDSA-")
        assert "GCM" in cipher or "CHACHA20" in cipher


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_shows_no_certificate_is_refused(ours: Files, version: ssl.TLSVersion) -> None:
    bare = ssl.create_default_context(cafile=str(ours.authority))
    bare.maximum_version = version
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError, or the connection is gone
            connect(bare, port)
        assert "did not return a certificate" in seen.get(timeout=20).error


def test_who_shows_a_certificate_of_another_authority_is_refused(ours: Files, theirs: Files) -> None:
    foreign = client_context(theirs.device, ours.authority)
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        with pytest.raises(OSError):  # noqa: PT011
            connect(foreign, port)
        assert "certificate verify failed" in seen.get(timeout=20).error


def test_our_client_refuses_a_server_of_another_authority(ours: Files, theirs: Files) -> None:
    with (
        listening(server_context(theirs.server, ours.authority)) as (port, _),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connect(client_context(ours.device, ours.authority), port)


def test_our_client_checks_the_name_when_it_is_told_to(ours: Files) -> None:
    with listening(server_context(ours.server, ours.authority)) as (port, _):
        strict = client_context(ours.device, ours.authority, check_hostname=True)
        assert connect(strict, port, "localhost") == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(strict, port, "elsewhere.example")


def test_the_public_authorities_are_not_trusted(ours: Files) -> None:
    for context in (server_context(ours.server, ours.authority), client_context(ours.device, ours.authority)):
        assert len(context.get_ca_certs()) == 1
        assert context.verify_mode is ssl.CERT_REQUIRED


def test_nothing_is_resumed(ours: Files) -> None:
    client = client_context(ours.device, ours.authority)
    for maximum in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        client.maximum_version = maximum
        with listening(server_context(ours.server, ours.authority)) as (port, _):
            for _ in range(2):
                with (
                    socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
                    client.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
                ):
                    connection.recv(2)
                    assert not connection.session_reused
                    assert connection.session is None or not connection.session.has_ticket


@pytest.mark.parametrize(
    "arguments",
    [
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "NULL:aNULL:@SECLEVEL=0"),
    ],
)
def test_old_versions_and_weak_suites_are_refused(ours: Files, arguments: tuple[str, ...]) -> None:
    shown = ("-cert", ours.device_certificate, "-key", ours.device_key, "-CAfile", ours.authority)
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        assert openssl(port, *shown, *arguments).stdout != b"ok"
        assert seen.get(timeout=20).error


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssls_client_gets_in_with_a_devices_certificate_and_not_without(ours: Files, version: str) -> None:
    shown = ("-cert", ours.device_certificate, "-key", ours.device_key, "-CAfile", ours.authority)
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        assert openssl(port, version, *shown).stdout == b"ok"
        assert not seen.get(timeout=20).error
        assert openssl(port, version, "-CAfile", ours.authority).stdout != b"ok"
        assert "did not return a certificate" in seen.get(timeout=20).error


def test_renewing_the_certificate_counts_for_new_connections(tmp_path: Path) -> None:
    files = house(tmp_path / "house")
    context = server_context(files.server, files.authority)
    authority = Authority.load(files.authority, files.folder / "ca.key")
    client = client_context(files.device, files.authority, check_hostname=True)
    with listening(context) as (port, _):
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(client, port, "pacs.example")
        authority.ensure_server_certificate(files.server, ["pacs.example"])
        context.load_cert_chain(files.server)
        assert connect(client, port, "pacs.example")


def test_a_key_that_others_may_use_does_not_start_tls(tmp_path: Path) -> None:
    files = house(tmp_path / "house")
    files.server.chmod(0o644)
    for make in (server_context, client_context):
        with pytest.raises(Misconfigured, match="chmod 0600"):
            make(files.server, files.authority)


def test_missing_or_damaged_files_do_not_start_tls(tmp_path: Path) -> None:
    files = house(tmp_path / "house")
    with pytest.raises(Misconfigured):
        server_context(files.server, tmp_path / "nowhere.pem")
    with pytest.raises(Misconfigured):
        server_context(tmp_path / "nowhere.pem", files.authority)
    files.server.write_text("damaged")
    with pytest.raises(Misconfigured):
        server_context(files.server, files.authority)


# --- DCMTK ----------------------------------------------------------------------


def echoscu(port: int, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = ["echoscu", "-v", "-to", "5", "-ta", "5", *map(str, arguments), "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


@needs_dcmtk
def test_dcmtk_as_client_passes_the_handshake(ours: Files) -> None:
    """The listener does not speak DICOM: what counts is that TLS stood, and whom it saw."""
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        echoscu(port, "+tls", ours.device_key, ours.device_certificate, "+cf", ours.authority)
        told = seen.get(timeout=20)
        assert not told.error
        assert told.peer == fingerprint(ssl.PEM_cert_to_DER_cert(ours.device_certificate.read_text()))
        assert told.version in {"TLSv1.2", "TLSv1.3"}


@needs_dcmtk
def test_dcmtk_without_or_with_a_foreign_certificate_is_refused(ours: Files, theirs: Files) -> None:
    with listening(server_context(ours.server, ours.authority)) as (port, seen):
        assert echoscu(port, "+tla", "+cf", ours.authority).returncode != 0
        assert "did not return a certificate" in seen.get(timeout=20).error
        foreign = echoscu(port, "+tls", theirs.device_key, theirs.device_certificate, "+cf", ours.authority)
        assert foreign.returncode != 0
        assert "certificate verify failed" in seen.get(timeout=20).error


@needs_dcmtk
def test_our_client_connects_to_dcmtk_with_an_enrolled_certificate(ours: Files, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = ["storescp", "+tls", ours.device_key, ours.device_certificate, "+cf", ours.authority, "-rc", str(port)]
    with subprocess.Popen(
        list(map(str, command)),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    ) as storescp:
        try:
            client = client_context(ours.server, ours.authority)
            deadline = time.monotonic() + 20
            while True:
                try:
                    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            with plain, client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                der = connection.getpeercert(binary_form=True)
                assert fingerprint(der or b"") == fingerprint(
                    ssl.PEM_cert_to_DER_cert(ours.device_certificate.read_text())
                )
                assert connection.version() in {"TLSv1.2", "TLSv1.3"}
        finally:
            storescp.kill()
