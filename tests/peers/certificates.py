"""Certificates as an operator may bring them: of any authority, key and time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def write_certificate(
    path: Path, *, bits: int = 0, days: float = 100, since: float = 1, names: tuple[str, ...] = ("localhost",)
) -> Path:
    """Write a self-signed certificate and its key into one PEM file of mode 0600.

    Parameters
    ----------
    path : Path
        The file.
    bits : int
        Of an RSA key; 0: an EC key.
    days, since : float
        Days ahead that it ends, and days ago that it began.
    names : tuple of str
        Host names it is for.
    """
    key = rsa.generate_private_key(65_537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=since))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    path.touch(mode=0o600)
    path.write_bytes(pem)
    return path
