"""Mutual TLS: who gets in, and what the operator is told about who does not."""

import socket
import ssl
from pathlib import Path

import pytest

from leadglass.wire.errors import AssociationAborted, ConnectionFailed
from leadglass.wire.tls import tls_failure
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.wire.harness import SHORT, Authority, Recorder, client_context, running, server_context, serving
from tests.wire.test_server import ECHO, REQUEST, echo, encode


@pytest.fixture
def hospital(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "hospital")


def test_a_device_with_its_certificate_is_known_by_it(hospital: Authority, dcmtk: Dcmtk) -> None:
    recorder = Recorder()
    device = hospital.issue("CT1")
    with serving(recorder, tls=server_context(hospital.issue("server"))) as served:
        ran = dcmtk("echoscu", *tls_options(device), "127.0.0.1", str(served.port))
        assert ran.code == 0, ran.said
        assert running(echo(served.port, tls=client_context(device, device.authority))) == 0
    for peer, _ in recorder.requested:
        assert peer.tls
        assert peer.certificate == ssl.PEM_cert_to_DER_cert(device.certificate.read_text())
        assert peer.tls_version in ("TLSv1.2", "TLSv1.3")
    assert len(recorder.requested) == 2
    assert recorder.failed == []


def test_without_a_certificate_nobody_is_heard_and_the_reason_is_told(hospital: Authority) -> None:
    recorder = Recorder()
    server = hospital.issue("server")
    with serving(recorder, SHORT, tls=server_context(server)) as served:
        with pytest.raises((ConnectionFailed, AssociationAborted), match="asks for a certificate"):
            running(echo(served.port, tls=client_context(None, server.authority)))
        assert recorder.reasons() == ["TLS: no client certificate"]
    assert recorder.requested == []


def test_a_certificate_of_another_authority_is_told_apart(hospital: Authority, tmp_path: Path) -> None:
    recorder = Recorder()
    server = hospital.issue("server")
    stranger = Authority(tmp_path, "elsewhere").issue("CT1")
    with serving(recorder, SHORT, tls=server_context(server)) as served:
        with pytest.raises((ConnectionFailed, AssociationAborted)):
            running(echo(served.port, tls=client_context(stranger, server.authority)))
        assert recorder.reasons() == ["TLS: the certificate was not issued by our authority"]


def test_a_peer_that_does_not_trust_us_is_told_apart(hospital: Authority, tmp_path: Path) -> None:
    recorder = Recorder()
    stranger = Authority(tmp_path, "elsewhere").issue("CT1")
    with serving(recorder, SHORT, tls=server_context(hospital.issue("server"))) as served:
        with pytest.raises(ConnectionFailed, match="not issued by our authority"):
            running(echo(served.port, tls=client_context(stranger, stranger.authority)))
        assert "does not trust" in recorder.reasons()[0]


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (encode(REQUEST) + ECHO, "plain DICOM on the port for TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "the peer does not speak TLS"),
        (b"\x16\x03\x01\x00\x05hello", "TLS: "),
        (b"\x16", "TLS: the handshake took too long"),
    ],
    ids=["plain DICOM", "HTTP", "a record that is none", "silence in the middle"],
)
def test_what_is_no_handshake_is_named(hospital: Authority, bytes_: bytes, reason: str) -> None:
    recorder = Recorder()
    with (
        serving(recorder, SHORT, tls=server_context(hospital.issue("server"))) as served,
        socket.create_connection(("127.0.0.1", served.port), 10) as peer,
    ):
        peer.sendall(bytes_)
        assert recorder.reasons()[0].startswith(reason)
    assert recorder.requested == []


def test_a_handshake_that_stops_ends_with_the_connection(hospital: Authority) -> None:
    recorder = Recorder()
    with serving(recorder, SHORT, tls=server_context(hospital.issue("server"))) as served:
        with socket.create_connection(("127.0.0.1", served.port), 10) as peer:
            peer.sendall(b"\x16\x03\x01")
        assert recorder.reasons() == ["TLS: the peer closed the connection during the handshake"]


def test_old_tls_is_refused_and_named(hospital: Authority) -> None:
    recorder = Recorder()
    device = hospital.issue("CT1")
    context = client_context(device, device.authority)
    # A ClientHello that offers nothing newer than TLS 1.1, written by hand: our own OpenSSL no longer sends one.
    hello = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"
    record = b"\x16\x03\x01" + (len(hello) + 4).to_bytes(2, "big") + b"\x01" + len(hello).to_bytes(3, "big") + hello
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with (
        serving(recorder, SHORT, tls=server_context(hospital.issue("server"))) as served,
        socket.create_connection(("127.0.0.1", served.port), 10) as peer,
    ):
        peer.sendall(record)
        assert recorder.reasons() == ["TLS: TLS older than version 1.2"]
        assert peer.recv(100)[0] == 0x15, "the alert that says why"


def test_no_word_of_the_peer_gets_into_a_reason() -> None:
    error = ssl.SSLError(1, "[SSL: SOMETHING] DOE^JANE")
    error.reason = "SOMETHING_NEW"
    assert tls_failure(error) == "TLS: the handshake failed"
