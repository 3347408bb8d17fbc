"""Probing: what a TLS door agrees to is found by shaking hands with it."""

import ssl
from pathlib import Path

import pytest

from leadglass.crypto import tls
from leadglass.crypto.ca import Authority
from leadglass.exposure import probing
from tests.peers.certificates import write_certificate


def _der(authority: Authority) -> bytes:
    return ssl.PEM_cert_to_DER_cert(authority.certificate_pem.decode())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key")


def test_our_web_door_is_as_the_profile_wants(tmp_path: Path, authority: Authority) -> None:
    own = authority.ensure_server_certificate(tmp_path / "own.pem", ["pacs.example.org", "127.0.0.1"])
    seen = probing.probe("https", tls.web_server_context(own), own_issuer=_der(authority))
    assert seen.preferred.version == "TLSv1.3"
    assert all(each.is_agreed for each in seen.good)
    assert [each.offered for each in seen.weak if each.is_agreed] == []
    shown = seen.certificate
    assert shown is not None
    assert (shown.key, shown.bits, shown.is_ours, shown.signed_with) == ("EC", 256, True, "sha256")
    assert {"pacs.example.org", "127.0.0.1"} <= set(shown.names)


def test_our_dicom_door_is_too_and_turns_away_who_shows_no_certificate(tmp_path: Path, authority: Authority) -> None:
    own = authority.ensure_server_certificate(tmp_path / "own.pem", ["localhost"])
    context = tls.server_context(own, tmp_path / "ca.pem")
    seen = probing.probe("dicom-tls", context, client=lambda made: made.load_cert_chain(own))
    assert seen.preferred.version == "TLSv1.3"
    assert all(each.is_agreed for each in seen.good)
    assert not any(each.is_agreed for each in seen.weak)
    assert seen.wants_client_certificate


def test_a_door_that_wants_no_certificate_is_found_out(tmp_path: Path, authority: Authority) -> None:
    own = authority.ensure_server_certificate(tmp_path / "own.pem", ["localhost"])
    context = tls.server_context(own, tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_NONE
    seen = probing.probe("dicom-tls", context, client=lambda made: made.load_cert_chain(own))
    assert not seen.wants_client_certificate


def test_weak_ciphers_are_found_out(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(write_certificate(tmp_path / "weak.pem", bits=2048))
    seen = probing.probe("https", context)
    agreed = {each.offered for each in seen.weak if each.is_agreed}
    assert {"TLS 1.2 with CBC ciphers", "TLS 1.2 without forward secrecy"} <= agreed
    assert seen.certificate is not None
    assert (seen.certificate.key, seen.certificate.bits, seen.certificate.is_ours) == ("RSA", 2048, False)


def test_a_door_without_tls_1_3_is_found_out(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(write_certificate(tmp_path / "old.pem"))
    seen = probing.probe("https", context)
    assert seen.preferred.version == "TLSv1.2"
    assert [each.offered for each in seen.good if not each.is_agreed] == ["TLS 1.3"]


def test_a_certificate_that_ends_and_a_short_key_are_read_from_their_file(tmp_path: Path) -> None:
    shown = probing.certificate_in(write_certificate(tmp_path / "short.pem", bits=1024, days=1))
    assert shown is not None
    assert (shown.key, shown.bits) == ("RSA", 1024)


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(content)
    assert probing.certificate_in(path) is None
    assert probing.certificate_of(content) is None
    assert probing.chain_in(path) == 0
