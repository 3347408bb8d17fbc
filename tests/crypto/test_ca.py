import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.crypto.ca import DEVICE_DAYS, RENEW_DAYS, SERVER_DAYS, Authority, fingerprint
from leadglass.errors import BadInput, Misconfigured

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)


def certificate_of(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_an_authority_comes_back_from_disk(authority: Authority, tmp_path: Path) -> None:
    again = Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)
    assert again.certificate_pem == authority.certificate_pem
    certificate_of(again.issue_device("CT1", now=NOW).certificate_pem).verify_directly_issued_by(
        certificate_of(authority.certificate_pem)
    )


def test_its_key_is_the_owners_alone_and_its_certificate_is_for_everybody(authority: Authority, tmp_path: Path) -> None:
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()
    assert authority.certificate_path == tmp_path / "ca.pem"


def test_creating_again_keeps_what_is_there_and_finishes_what_was_interrupted(
    authority: Authority, tmp_path: Path
) -> None:
    again = Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)
    assert again.certificate_pem == authority.certificate_pem
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.pem").unlink()
    Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)
    assert (tmp_path / "ca.key").read_bytes() == key


def test_a_key_that_others_may_use_is_refused_with_the_command_that_mends_it(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.key").chmod(0o640)
    with pytest.raises(Misconfigured, match=r"chmod 0600 .*ca\.key"):
        Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)


def test_a_missing_damaged_or_foreign_file_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Authority.create(other / "ca.pem", other / "ca.key", now=NOW)
    with pytest.raises(Misconfigured, match="do not belong together"):
        Authority.load(tmp_path / "ca.pem", other / "ca.key", now=NOW)
    with pytest.raises(Misconfigured, match="cannot be read"):
        Authority.load(tmp_path / "nowhere.pem", tmp_path / "ca.key", now=NOW)
    with pytest.raises(Misconfigured, match="cannot be read"):
        Authority.load(tmp_path / "ca.pem", tmp_path / "nowhere.key", now=NOW)
    (tmp_path / "ca.key").write_text("no key")
    with pytest.raises(Misconfigured, match="cannot be read"):
        Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(Misconfigured, match="cannot be read"):
        Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key", now=NOW)


def test_an_authority_that_has_ended_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ended on"):
        Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key", now=authority.not_after)


def test_an_authority_signs_for_end_entities_and_tls_only(authority: Authority) -> None:
    extensions = certificate_of(authority.certificate_pem).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }


def test_two_authorities_have_two_names(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "b.pem", tmp_path / "b.key", now=NOW)
    assert certificate_of(other.certificate_pem).subject != certificate_of(authority.certificate_pem).subject


def test_a_devices_certificate_says_whose_it_is_and_what_it_is_for(authority: Authority) -> None:
    issued = authority.issue_device("CT 1/A", names=["ct1.radiology.example", "10.1.2.3"], now=NOW)
    certificate = certificate_of(issued.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "CT 1/A"
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["dicom-ae:CT%201/A"]
    assert names.get_values_for_type(x509.DNSName) == ["ct1.radiology.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.1.2.3")]
    usage = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usage == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == NOW + timedelta(days=DEVICE_DAYS) == issued.not_after
    assert f"{certificate.serial_number:x}" == issued.serial
    key = load_pem_private_key(issued.key_pem, None)
    assert key.public_key() == certificate.public_key()


def test_a_certificates_life_ends_with_its_authoritys(authority: Authority) -> None:
    assert authority.issue_device("CT1", days=9_999, now=NOW).not_after == authority.not_after


def test_the_fingerprint_is_the_one_that_openssl_prints(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_device("CT1", now=NOW)
    (tmp_path / "cert.pem").write_bytes(issued.certificate_pem)
    done = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "cert.pem", "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().partition("=")[2].replace(":", "").lower() == issued.fingerprint
    assert len(issued.fingerprint) == 64


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_openssl_accepts_the_chain_strictly(tmp_path: Path, purpose: str) -> None:
    authority = Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key")
    (tmp_path / "cert.pem").write_bytes(authority.issue_device("CT1").certificate_pem)
    subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            tmp_path / "ca.pem",
            tmp_path / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )


def test_a_device_cannot_sign_certificates_in_the_authoritys_name(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca.pem", tmp_path / "ca.key")
    device = authority.issue_device("CT1")
    (tmp_path / "device.pem").write_bytes(device.certificate_pem)
    (tmp_path / "device.key").write_bytes(device.key_pem)
    (tmp_path / "device.key").chmod(0o600)
    sub = Authority(
        certificate_of(device.certificate_pem),
        load_pem_private_key(device.key_pem, None),  # pyright: ignore[reportArgumentType]
        tmp_path / "device.pem",
    )
    (tmp_path / "forged.pem").write_bytes(sub.issue_device("WS1").certificate_pem)
    done = subprocess.run(
        [
            "openssl",
            "verify",
            "-CAfile",
            tmp_path / "ca.pem",
            "-untrusted",
            tmp_path / "device.pem",
            tmp_path / "forged.pem",
        ],
        check=False,
        capture_output=True,
    )
    assert done.returncode != 0


# --- the archive's own certificate --------------------------------------------

NAMES = ["localhost", "127.0.0.1", "::1", "pacs.example", "0.0.0.0"]


def test_the_archives_certificate_names_its_hosts_and_nobody(authority: Authority, tmp_path: Path) -> None:
    path = authority.ensure_server_certificate(tmp_path / "server.pem", NAMES, now=NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    certificate = certificate_of(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "pacs.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert b"PRIVATE KEY" in path.read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"ca.pem", "ca.key", "server.pem"}  # no draft is left


def test_it_is_kept_while_it_is_good(authority: Authority, tmp_path: Path) -> None:
    path = authority.ensure_server_certificate(tmp_path / "server.pem", NAMES, now=NOW)
    before = path.read_bytes()
    later = NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS - 1)
    authority.ensure_server_certificate(path, list(reversed(NAMES)), now=later)
    assert path.read_bytes() == before


def test_it_is_renewed_when_its_end_is_near_or_names_changed_or_another_authority_signed(
    authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "server.pem"
    seen = {fingerprint(authority.ensure_server_certificate(path, NAMES, now=NOW).read_bytes())}
    later = NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS + 1)
    seen.add(fingerprint(authority.ensure_server_certificate(path, NAMES, now=later).read_bytes()))
    seen.add(fingerprint(authority.ensure_server_certificate(path, [*NAMES, "10.1.1.1"], now=later).read_bytes()))
    other = Authority.create(tmp_path / "b.pem", tmp_path / "b.key", now=NOW)
    seen.add(fingerprint(other.ensure_server_certificate(path, [*NAMES, "10.1.1.1"], now=later).read_bytes()))
    path.write_bytes(b"damaged")
    seen.add(fingerprint(authority.ensure_server_certificate(path, NAMES, now=later).read_bytes()))
    assert len(seen) == 5
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_archives_key_that_others_may_use_is_refused(authority: Authority, tmp_path: Path) -> None:
    path = authority.ensure_server_certificate(tmp_path / "server.pem", NAMES, now=NOW)
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 0600"):
        authority.ensure_server_certificate(path, NAMES, now=NOW)


@pytest.mark.parametrize("name", ["a b", "-x", "*.example", "exa\nmple", "x" * 64, "münchen.example", "10.0.0.0/8"])
def test_what_is_no_name_gets_no_certificate(authority: Authority, name: str) -> None:
    with pytest.raises(BadInput):
        authority.issue_device("CT1", names=[name], now=NOW)
