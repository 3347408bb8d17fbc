"""The TLS door, judged by a program that is not ours: testssl.sh, against PS3.15 B.12 (BCP 195: RFC 8996, RFC 9325).

Every exception is named here and says why; any other finding above INFO fails.
"""

import contextlib
import json
import os
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Final, cast

import pytest

from tests.peers.leadglass import Leadglass, Record
from tests.peers.running import Credentials, find_program, run, wait_until
from tests.peers.scu import UNCOMPRESSED, VERIFICATION, Way, association
from tests.peers.tunnel import client_context

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
FINE: Final = frozenset({"OK", "INFO", "DEBUG"})

ACCEPTED: Final = {
    "cert_chain_of_trust": "the archive's own authority is in no public trust store, on purpose",
    "cert_revocation": "no list is published: a device is struck off by its fingerprint, at once",
    "engine_problem": "testssl.sh looks for OpenSSL engines on its own machine",
    "sessionresumption_ID": "not tried because a certificate is asked for: test_no_session_is_ever_resumed does",
    "sessionresumption_ticket": "as above",
    "secure_client_renego": "not tried because a certificate is asked for: test_no_client_renegotiates does",
    "BREACH": "an attack on HTTP, not tried for the same reason; nothing is compressed",
}


@pytest.fixture(scope="module")
def lead(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Leadglass, Credentials, int]]:
    """Serve an archive with one device."""
    archive = Leadglass(tmp_path_factory.mktemp("tls"))
    archive.do("init")
    station = archive.enroll("STATION")
    with archive.serve() as doors:
        yield archive, station, doors.tls[1]


@pytest.mark.skipif(not LONG, reason="testssl.sh takes half a minute of processor time: LEADGLASS_LONG=1 runs it.")
def test_testssl_finds_nothing(lead: tuple[Leadglass, Credentials, int], tmp_path: Path) -> None:
    program = find_program("testssl") or find_program("testssl.sh")
    if program is None:
        pytest.skip("testssl.sh is not installed (Debian: apt-get install testssl.sh).")
    archive, _, port = lead
    report = tmp_path / "testssl.json"
    said = run(
        [
            program, "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--nodns", "none",
            "--protocols", "--std", "--server-preference", "--fs" if "3.2" in _version(program) else "--pfs",
            "--server-defaults", "--vulnerable", "--jsonfile", report, "--sneaky", f"127.0.0.1:{port}",
        ],
        timeout=280,
    )  # fmt: skip
    assert report.is_file(), said.said[-3000:]
    findings = cast("list[Record]", json.loads(report.read_text()))
    assert len(findings) > 40, said.said[-3000:]
    above = {str(one["id"]): f"{one['severity']}: {one['finding']}" for one in findings if one["severity"] not in FINE}
    for name in list(above):
        if name.partition(" ")[0] in ACCEPTED:
            del above[name]
    assert above == {}
    by_name = {str(one["id"]): str(one["finding"]) for one in findings}
    assert by_name["TLS1"].startswith("not offered")
    assert by_name["TLS1_1"].startswith("not offered")
    assert by_name["TLS1_2"].startswith("offered")
    assert by_name["TLS1_3"].startswith("offered")
    assert "Traceback" not in archive.log.read_text()


def _version(program: Path) -> str:
    return run([program, "--version"], timeout=30).out


def _handshake(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), 10), server_hostname="127.0.0.1", session=session
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_ever_resumed(lead: tuple[Leadglass, Credentials, int], version: ssl.TLSVersion) -> None:
    _, station, port = lead
    context = client_context(station)
    context.minimum_version = context.maximum_version = version
    with _handshake(port, context) as first:
        first.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            first.recv(1)  # a ticket of TLS 1.3 would come now
        session = first.session
        assert not first.session_reused
    assert session is None or not session.has_ticket
    if session is not None:
        with _handshake(port, context, session) as second:
            assert not second.session_reused


def test_no_client_renegotiates(lead: tuple[Leadglass, Credentials, int]) -> None:
    _, station, port = lead
    openssl = find_program("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed.")
    connect = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-cert", station.certificate]
    said = run([*connect, "-key", station.key, "-CAfile", station.authority], stdin="R\nx\n", timeout=60)
    assert "Secure Renegotiation IS supported" in said.out
    assert "RENEGOTIATING" in said.err
    assert "no renegotiation" in said.err, said.said


@pytest.mark.parametrize(
    "cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"]
)
def test_no_cipher_without_forward_secrecy_and_authentication_is_accepted(
    lead: tuple[Leadglass, Credentials, int], cipher: str
) -> None:
    _, station, port = lead
    context = client_context(station)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _handshake(port, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_removed_device_does_not_come_back_by_an_earlier_session(
    lead: tuple[Leadglass, Credentials, int], version: ssl.TLSVersion
) -> None:
    archive, _, port = lead
    name = f"GONE{version.name[-1]}"
    gone = archive.enroll(name)
    context = client_context(gone)
    context.minimum_version = context.maximum_version = version
    with _handshake(port, context) as first:
        session = first.session
    way = Way(port, name, gone)
    with association(way, [(VERIFICATION, UNCOMPRESSED)]) as before:
        assert before.is_established
    archive.do("device", "remove", name)

    def is_out() -> bool:
        with association(way, [(VERIFICATION, UNCOMPRESSED)]) as again:
            return again.is_rejected or again.is_aborted

    wait_until(is_out, "the removed device is rejected")
    with _handshake(port, context, session) as second:
        assert not second.session_reused
