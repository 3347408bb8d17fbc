"""TLS of the web door: the profile of PS3.15 B.12, our own certificate or the operator's, and nothing weaker."""

import json
import os
import socket
import ssl
import warnings
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import pytest
from cryptography import x509

from leadglass.crypto.ca import Authority
from tests.peers.leadglass import Leadglass
from tests.peers.running import find_program, run
from tests.peers.web import Web, serving

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
FINE: Final = frozenset({"OK", "INFO", "DEBUG"})
ACCEPTED: Final = {
    "cert_chain_of_trust": "the archive's own authority is in no public trust store, on purpose",
    "cert_revocation": "no list is published: a certificate that is renewed replaces the one before",
    "engine_problem": "testssl.sh looks for OpenSSL engines on its own machine",
}
"""Every finding that is accepted, and why."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    with serving(tmp_path_factory.mktemp("tls"), settings="[web]\nnames = ['archive.example.org']\n") as running:
        yield running


def _client(web: Web) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(web.authority))


def _shake(web: Web, context: ssl.SSLContext, name: str = "127.0.0.1") -> ssl.SSLSocket:
    plain = socket.create_connection(web.address, 30)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "archive.example.org"])
def test_the_certificate_is_for_every_name_the_door_is_reached_by(name: str, web: Web) -> None:
    with _shake(web, _client(web), name) as connection:
        assert connection.version() == "TLSv1.3"


def test_it_speaks_http_1_1_and_says_so(web: Web) -> None:
    context = _client(web)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with _shake(web, context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_who_trusts_other_authorities_does_not_connect(web: Web) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(web, ssl.create_default_context())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(version: ssl.TLSVersion, web: Web) -> None:
    context = _client(web)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, OSError)):
        _shake(web, context)


WEAK = ["AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8", "NULL-SHA256", "eNULL", "aNULL", "PSK"]  # fmt: skip


@pytest.mark.parametrize("cipher", WEAK)
def test_weak_suites_are_refused(cipher: str, web: Web) -> None:
    context = _client(web)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    except ssl.SSLError:
        pytest.skip(f"OpenSSL here does not know {cipher}.")
    with pytest.raises((ssl.SSLError, OSError)):
        _shake(web, context)


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_tls_1_2_with_the_suites_of_the_profile_is_served(cipher: str, web: Web) -> None:
    context = _client(web)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with _shake(web, context) as connection:
        assert connection.version() == "TLSv1.2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_ticket_is_handed_out(version: ssl.TLSVersion, web: Web) -> None:
    context = _client(web)
    context.minimum_version = context.maximum_version = version
    with _shake(web, context) as connection:
        connection.settimeout(0.3)
        with suppress(TimeoutError):
            connection.recv(1)  # a ticket of TLS 1.3 would come now
        session = connection.session
    assert session is None or not session.has_ticket


@pytest.mark.skipif(not LONG, reason="testssl.sh takes half a minute of processor time: LEADGLASS_LONG=1 runs it.")
def test_testssl_finds_nothing(web: Web, tmp_path: Path) -> None:
    program = find_program("testssl") or find_program("testssl.sh")
    if program is None:
        pytest.skip("testssl.sh is not installed (Debian: apt-get install testssl.sh).")
    report = tmp_path / "testssl.json"
    said = run(
        [program, "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--nodns", "none", "--protocols",
         "--std", "--server-preference", "--server-defaults", "--headers", "--vulnerable", "--jsonfile", report,
         f"127.0.0.1:{web.address[1]}/healthz"],
        timeout=280,
    )  # fmt: skip
    assert report.is_file(), said.said[-3000:]
    findings = cast("list[dict[str, str]]", json.loads(report.read_text()))
    assert len(findings) > 40, said.said[-3000:]
    above = {one["id"]: f"{one['severity']}: {one['finding']}" for one in findings if one["severity"] not in FINE}
    assert {name: text for name, text in above.items() if name.partition(" ")[0] not in ACCEPTED} == {}
    assert "Traceback" not in web.leadglass.log.read_text()


def test_http_without_tls_hears_nothing(web: Web) -> None:
    with socket.create_connection(web.address, 30) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ConnectionError):
            assert plain.recv(1000) == b""


def test_a_certificate_of_ones_own_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    leadglass = Leadglass(tmp_path)
    leadglass.do("init")
    (leadglass.data / "leadglass.toml").write_text("[web]\ncertificate = '/nowhere/web.pem'\n", encoding="utf-8")
    refused = leadglass.cli("serve", "--http", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0")
    assert refused.code == 1
    assert "[web] certificate" in refused.err
    assert "/nowhere/web.pem" in refused.err


def test_the_operators_own_certificate_is_shown(tmp_path: Path) -> None:
    own = Authority.create(tmp_path / "own-ca.pem", tmp_path / "own-ca.key")
    issued = own.issue_device("WEB", names=["archive.example.org"], days=10, now=datetime.now(UTC))
    certificate, key = tmp_path / "web.pem", tmp_path / "web.key"
    certificate.write_bytes(issued.certificate_pem)
    key.write_bytes(issued.key_pem)
    key.chmod(0o600)
    settings = f"[web]\nnames = ['archive.example.org']\ncertificate = '{certificate}'\nkey = '{key}'\n"
    with serving(tmp_path / "archive", settings=settings) as web:
        context = ssl.create_default_context(cafile=str(tmp_path / "own-ca.pem"))
        with _shake(web, context, "archive.example.org") as connection:
            shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
        assert shown.subject.rfc4514_string() == "CN=WEB"
        with pytest.raises(ssl.SSLCertVerificationError):
            _shake(web, ssl.create_default_context(cafile=str(web.authority)))
