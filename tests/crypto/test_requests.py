"""Requests and bundles: of a request only its key counts, and a PKCS #12 file opens by its password alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from leadglass.crypto.ca import Authority
from leadglass.crypto.requests import LONGEST, pkcs12, read_request
from leadglass.errors import BadInput

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("ca")
    return Authority.create(folder / "ca.pem", folder / "ca.key", now=NOW)


def request_of(key: CertificateIssuerPrivateKeyTypes) -> str:
    """Make a request that claims to be an authority of another name."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Evil")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA 2048"],
)  # fmt: skip
def test_a_request_gives_its_key_and_nothing_else_to_the_certificate(
    authority: Authority, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> None:
    issued = authority.sign_device("CT1", read_request(request_of(key)), names=["10.1.2.3"], now=NOW)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    assert issued.key_pem == b""
    assert certificate.subject.rfc4514_string() == "CN=CT1"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    assert certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))


def test_text_around_a_request_does_not_matter_and_its_signature_does() -> None:
    text = request_of(ec.generate_private_key(ec.SECP256R1()))
    read_request(f"Certificate Request:\n  Data: x\n{text}\nthe end")
    lines = text.splitlines()
    lines[-2] = lines[-2][::-1].replace("=", "A")[: len(lines[-2])]
    with pytest.raises(BadInput):
        read_request("\n".join(lines))


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())],
    ids=["Ed25519", "secp256k1"],
)
def test_a_key_that_the_profile_does_not_speak_with_is_refused(key: CertificateIssuerPrivateKeyTypes) -> None:
    with pytest.raises(BadInput, match="P-256"):
        read_request(request_of(key))


@given(st.text(max_size=400) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_whatever_is_pasted_is_a_request_or_bad_input(text: str) -> None:
    for each in (text, f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----"):
        with pytest.raises(BadInput):
            read_request(each)


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(BadInput):
        read_request(request_of(ec.generate_private_key(ec.SECP256R1())) + " " * LONGEST)


def test_a_bundle_opens_by_its_password_and_holds_key_certificate_and_authority(authority: Authority) -> None:
    issued = authority.issue_device("CT1", now=NOW)
    data = pkcs12(issued, authority.certificate_pem, "CT1", "pass-word")
    read = load_pkcs12(data, b"pass-word")
    assert read.cert is not None
    assert read.cert.certificate.public_bytes(Encoding.PEM) == issued.certificate_pem
    assert [each.certificate.public_bytes(Encoding.PEM) for each in read.additional_certs] == [
        authority.certificate_pem
    ]
    with pytest.raises(ValueError, match=r"."):
        load_pkcs12(data, b"pass-wore")
