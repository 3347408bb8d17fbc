"""TLS as the survey speaks it, with servers of every strictness: what each would let in is told apart."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.survey.checks import dicom_answers, dicom_certificate, dicom_tls
from leadglass.survey.gate import Gate
from leadglass.survey.journal import Journal
from leadglass.survey.speech import tls
from leadglass.survey.speech.tls import Shake, read_certificate
from tests.peers.running import Credentials
from tests.survey.surroundings import listening
from tests.survey.visiting import scope, visit
from tests.wire.harness import Authority, Recorder, serving


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Give what a server shows."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority").issue("acceptor")


def server(
    credentials: Credentials,
    *,
    verify: ssl.VerifyMode = ssl.CERT_NONE,
    least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    most: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    suites: str = "",
) -> ssl.SSLContext:
    """Give a server's context."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(credentials.certificate, credentials.key)
    made.load_verify_locations(credentials.authority)
    made.verify_mode = verify
    made.minimum_version, made.maximum_version = least, most
    if suites:
        made.set_ciphers(suites)
    return made


def shaken(port: int, folder: Path, context: Callable[[], ssl.SSLContext] = tls.modern_context) -> Shake:
    """Shake hands once."""

    async def scene() -> Shake:
        with Journal(folder / "j", "a run") as journal:
            async with Gate(scope(), journal).connect(ip_address("127.0.0.1"), port, "a check") as line:
                return await tls.shake(line, context())

    return asyncio.run(scene())


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("verify", "asks", "needs"),
    [(ssl.CERT_NONE, False, False), (ssl.CERT_OPTIONAL, True, False), (ssl.CERT_REQUIRED, True, True)],
)
def test_whether_a_certificate_of_ours_is_asked_for_and_needed(
    credentials: Credentials, tmp_path: Path, most: ssl.TLSVersion, verify: ssl.VerifyMode, asks: bool, needs: bool
) -> None:
    with serving(Recorder(), tls=server(credentials, verify=verify, most=most)) as served:
        shown = shaken(served.port, tmp_path)
    assert shown.is_tls
    assert shown.version == ("TLSv1.2" if most is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
    assert (shown.asks_certificate, shown.needs_certificate) == (asks, needs)
    assert read_certificate(shown.certificate, datetime.now(UTC), ("127.0.0.1",)) is not None


def test_suites_without_forward_secrecy_are_seen(credentials: Credentials, tmp_path: Path) -> None:
    weak = server(credentials, most=ssl.TLSVersion.TLSv1_2, suites="ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")
    with serving(Recorder(), tls=weak) as served:
        assert not shaken(served.port, tmp_path).is_agreed
        assert shaken(served.port, tmp_path, tls.weak_context).is_agreed
        visited = visit(tmp_path, served.port, (dicom_answers.CHECK, dicom_tls.CHECK, dicom_certificate.CHECK))
    proof = visited.finding("dicom-tls").proof
    assert (proof["weak_suites"], proof["newest"]) == ("yes", "none of TLS 1.2 and 1.3")


def test_an_old_version_is_seen_and_what_is_behind_it_too(credentials: Credentials, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = server(credentials, least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1, suites="ALL:@SECLEVEL=0")
    with serving(Recorder(), tls=old) as served:
        visited = visit(tmp_path, served.port, (dicom_answers.CHECK, dicom_tls.CHECK))
    assert visited.rungs == {"dicom-answers": "E2", "dicom-tls": "E2"}
    proof = visited.finding("dicom-tls").proof
    assert (proof["old_versions"], proof["newest"]) == ("yes", "none of TLS 1.2 and 1.3")
    assert visited.finding("dicom-answers").transport == "tls"


def test_a_server_as_the_profile_wants_it_has_nothing_to_be_said_against(
    credentials: Credentials, tmp_path: Path
) -> None:
    strict = server(credentials, verify=ssl.CERT_REQUIRED, suites="ECDHE+AESGCM")
    with serving(Recorder(), tls=strict) as served:
        visited = visit(tmp_path, served.port, (dicom_answers.CHECK, dicom_tls.CHECK, dicom_certificate.CHECK))
    found = visited.finding("dicom-tls")
    assert found.exposure.name == "E1"
    assert found.proof["client_certificate"] == "needed"
    assert (found.proof["old_versions"], found.proof["weak_suites"]) == ("no", "no")
    assert "Yet" not in found.title


@given(st.binary(max_size=300))
@settings(max_examples=30)
def test_whatever_answers_a_handshake_nothing_is_raised(answer: bytes) -> None:
    shown = Shake()
    tls._read(answer, shown)  # pyright: ignore[reportPrivateUsage]
    tls._read(b"\x16\x03\x03" + len(answer).to_bytes(2, "big") + answer, shown)  # pyright: ignore[reportPrivateUsage]
    assert shown.version in {"", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"}


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x02xx", bytes(70_000)])
def test_what_is_no_tls_is_told_from_it_and_nothing_is_raised(tmp_path: Path, answer: bytes) -> None:
    def serve(line: Any) -> None:
        line.recv(4096)
        line.sendall(answer)

    with listening(serve) as port:
        shown = shaken(port, tmp_path)
    assert not shown.is_whole
    assert not shown.is_agreed


def test_of_a_certificate_only_numbers_and_yes_or_no_are_kept(credentials: Credentials) -> None:
    der = ssl.PEM_cert_to_DER_cert(credentials.certificate.read_text())
    now = datetime.now(UTC)
    made = read_certificate(der, now, ("127.0.0.1",))
    assert made is not None
    assert (made.key, made.names_host, made.is_self_signed, made.is_sha1) == ("EC 256", True, False, False)
    assert 0 <= made.days_left <= 2
    assert "acceptor" not in repr(made)
    other = read_certificate(der, now + timedelta(days=9), ("192.0.2.9", "pacs.example.org"))
    assert other is not None
    assert other.days_left < 0
    assert not other.names_host
    assert read_certificate(b"\x30\x03\x02\x01\x01", now, ()) is None
