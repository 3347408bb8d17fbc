"""The archive's own certificate authority: who is a device is decided here, not by a public CA.

Rule 1. A private key is readable by its owner alone, or it is refused; the
archive's own are sealed besides (``pem``). Rule 2.
The authority signs end entities only (path length 0), for TLS and nothing else
(its extended key usage says so, and verifiers apply that to what it signed).
Rule 3. A certificate is recognised by its SHA-256 fingerprint, recorded when it
is issued; a signature of the authority alone opens no door.

All keys are on P-256: every TLS library that speaks TLS 1.2 with forward
secrecy has it (RFC 9325 4.2.1), DCMTK 3.6 included, and Ed25519 is missing from
many. RSA would serve only devices without elliptic curves, and those cannot
speak this profile either: they belong in the plaintext lane behind a gateway.
Name constraints are left out: host names and addresses in a hospital change
more often than a ten-year certificate, and a constraint on the ``dicom-ae:``
names that matter here cannot be expressed (RFC 5280 4.2.1.10 constrains the
host part of a URI, and these have none).
"""

import ipaddress
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Self, cast, final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.crypto import pem
from leadglass.errors import BadInput, Misconfigured

CA_DAYS: Final = 3_652
"""Days the authority lives: ten years, as long as a modality."""

DEVICE_DAYS: Final = 730
"""Days a device's certificate lives: two years; renewing one needs a visit to the device."""

SERVER_DAYS: Final = 397
"""Days the archive's own certificate lives: what clients accept at most; it renews itself."""

RENEW_DAYS: Final = 30
"""Days before its end at which the archive's own certificate is renewed."""

_BACKDATED: Final = timedelta(days=1)
"""Modalities' clocks are seldom right; a certificate must be valid for one that is behind."""

_USAGE: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
"""Both for everybody: a device is client when it sends and server when it receives by C-MOVE, and so is the archive."""

_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.IGNORECASE)


def fingerprint(certificate: bytes) -> str:
    """Give the SHA-256 fingerprint of a certificate (DER), in hexadecimal."""
    return sha256(certificate).hexdigest()


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was just issued, with its private key.

    Parameters
    ----------
    key_pem, certificate_pem : bytes
        The private key (PKCS #8; a device's is not encrypted, and none when the
        device made it) and the certificate.
    fingerprint : str
        SHA-256 of the certificate, hexadecimal.
    serial : str
        Its serial number, hexadecimal.
    not_after : datetime
        When it ends (UTC).
    """

    key_pem: bytes
    certificate_pem: bytes
    fingerprint: str
    serial: str
    not_after: datetime


@final
class Authority:
    """The certificate authority of one archive; made by ``create`` or ``load``."""

    __slots__ = ("_certificate", "_key", "certificate_path", "password")

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        certificate_path: Path,
        password: bytes | None = None,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self.certificate_path = certificate_path
        self.password = password
        """Seals the archive's own private keys: the authority's and the server's."""

    @classmethod
    def create(
        cls, certificate_path: Path, key_path: Path, *, password: bytes | None = None, now: datetime | None = None
    ) -> Self:
        """Make an authority, or finish one whose making was interrupted.

        Parameters
        ----------
        certificate_path, key_path : Path
            Where its certificate (public) and its key (mode 0600) go. What is
            there already is kept.
        password : bytes, optional
            Seals the key; without it the key is in the clear.
        now : datetime, optional
            The time.

        Raises
        ------
        Misconfigured
            When they cannot be written, or what is there does not fit together.
        """
        now = now or datetime.now(UTC)
        if not key_path.exists():
            write_private(key_path, pem.seal(ec.generate_private_key(ec.SECP256R1()), password))
        if not certificate_path.exists():
            key = _load_key(key_path, password)
            _write_public(certificate_path, _self_signed(key, now).public_bytes(Encoding.PEM))
        return cls.load(certificate_path, key_path, password=password, now=now)

    @classmethod
    def load(
        cls, certificate_path: Path, key_path: Path, *, password: bytes | None = None, now: datetime | None = None
    ) -> Self:
        """Load an authority.

        Raises
        ------
        Misconfigured
            When a file is missing, the key may be read by others or is not
            sealed as it should be, the two do not belong together, or the
            authority has expired.
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except (OSError, ValueError) as error:
            raise Misconfigured(
                f"The authority's certificate {certificate_path} cannot be read. Restore it from your backup."
            ) from error
        key = _load_key(key_path, password)
        if _public(key) != certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
            raise Misconfigured(
                f"{certificate_path.name} and {key_path.name} do not belong together. Restore both from one backup."
            )
        if certificate.not_valid_after_utc <= (now or datetime.now(UTC)):
            raise Misconfigured(
                f"The certificate authority {certificate_path} ended on {certificate.not_valid_after_utc:%Y-%m-%d}. "
                "Make a new one and enrol every device anew."
            )
        return cls(certificate, key, certificate_path, password)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, for devices."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def not_after(self) -> datetime:
        """When the authority ends."""
        return self._certificate.not_valid_after_utc

    def issue_device(
        self, ae_title: str, *, names: Iterable[str] = (), days: int = DEVICE_DAYS, now: datetime | None = None
    ) -> Issued:
        """Issue a device's certificate, bound to its AE title.

        Parameters
        ----------
        ae_title : str
            Becomes the common name, and a URI ``dicom-ae:`` among the alternative names.
        names : iterable of str
            Host names or addresses under which the device is reached.
        days : int
            How long it lives; never longer than the authority.
        now : datetime, optional
            The time.

        Raises
        ------
        BadInput
            When a name is neither a host name nor an address.
        """
        return self._issue(ae_title, _names_of_device(ae_title, names), days, now or datetime.now(UTC))

    def sign_device(
        self,
        ae_title: str,
        request: x509.CertificateSigningRequest,
        *,
        names: Iterable[str] = (),
        days: int = DEVICE_DAYS,
        now: datetime | None = None,
    ) -> Issued:
        """Issue a device's certificate over a key that the device made itself, and that we never see.

        Parameters
        ----------
        ae_title, names, days, now
            As for ``issue_device``: of the request only the key is taken, whatever it says besides.
        request : CertificateSigningRequest
            From ``requests.read_request``, which has looked at it.

        Raises
        ------
        BadInput
            When a name is neither a host name nor an address.
        """
        now = now or datetime.now(UTC)
        alternatives = _names_of_device(ae_title, names)
        return self._sign(cast("_Signable", request.public_key()), ae_title, alternatives, days, now, b"")

    def ensure_server_certificate(self, path: Path, names: Iterable[str], *, now: datetime | None = None) -> Path:
        """Give the archive's own certificate, issuing or renewing it when that is due.

        It is renewed when less than ``RENEW_DAYS`` are left, when ``names``
        changed, and when it is not this authority's.

        Parameters
        ----------
        path : Path
            One file with key (sealed like the authority's) and certificate, mode
            0600, so that they change together.
        names : iterable of str
            Host names and addresses it is for. Unspecified addresses
            (``0.0.0.0``, ``::``) name nobody and are left out.
        now : datetime, optional
            The time.

        Raises
        ------
        BadInput
            When a name is neither a host name nor an address.
        Misconfigured
            When the file may be read by others, or cannot be written.
        """
        now = now or datetime.now(UTC)
        wanted = [_general_name(name) for name in dict.fromkeys(names) if name not in {"", "0.0.0.0", "::"}]  # noqa: S104
        if path.exists() and self._still_good(path, wanted, now):
            return path
        issued = self._issue("Leadglass archive", wanted, SERVER_DAYS, now, self.password)
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        draft.unlink(missing_ok=True)
        write_private(draft, issued.key_pem + issued.certificate_pem)
        draft.replace(path)
        return path

    def _still_good(self, path: Path, wanted: list[x509.GeneralName], now: datetime) -> bool:
        require_private(path)
        try:
            key = _load_key(path, self.password)
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            certificate.verify_directly_issued_by(self._certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the answer is a new one
            return False
        is_its_key = _public(key) == certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return (
            is_its_key
            and set(names) == set(wanted)
            and certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
        )

    def _issue(
        self,
        common_name: str,
        alternatives: list[x509.GeneralName],
        days: int,
        now: datetime,
        password: bytes | None = None,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._sign(key.public_key(), common_name, alternatives, days, now, pem.seal(key, password))

    def _sign(
        self,
        public: "_Signable",
        common_name: str,
        alternatives: list[x509.GeneralName],
        days: int,
        now: datetime,
        key_pem: bytes,
    ) -> Issued:
        not_after = min(now + timedelta(days=days), self.not_after)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _BACKDATED, self._certificate.not_valid_before_utc))
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(_USAGE, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, SHA256())
        return Issued(
            key_pem,
            certificate.public_bytes(Encoding.PEM),
            fingerprint(certificate.public_bytes(Encoding.DER)),
            f"{certificate.serial_number:x}",
            certificate.not_valid_after_utc,
        )


_Signable = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
"""Keys that are signed: those of the profile (``requests``)."""


def _names_of_device(ae_title: str, names: Iterable[str]) -> list[x509.GeneralName]:
    return [
        x509.UniformResourceIdentifier(f"dicom-ae:{quote(ae_title)}"),
        *(_general_name(name) for name in dict.fromkeys(names)),
    ]


def write_private(path: Path, data: bytes) -> None:
    """Write a secret to a new file with mode 0600, durably.

    Raises
    ------
    Misconfigured
        When it is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be made: {error.strerror}.") from error
    _write_all(descriptor, path, data)


def require_private(path: Path) -> None:
    """Refuse a secret that others may use.

    Raises
    ------
    Misconfigured
        With the command that mends it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}. Restore it from your backup.") from error
    if mode & 0o077:
        raise Misconfigured(
            f"{path} can be used by others (mode {mode:04o}). See who may have read it, then: chmod 0600 {path}"
        )


def _write_public(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        _write_all(descriptor, draft, data)
        draft.replace(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be made: {error.strerror}.") from error


def _write_all(descriptor: int, path: Path, data: bytes) -> None:
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise Misconfigured(f"{path} cannot be written: {error.strerror}.") from error


def _load_key(path: Path, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    require_private(path)
    key = pem.load(path, password)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misconfigured(f"The key {path} is not one that Leadglass made. Restore it from your backup.")
    return key


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    # The suffix tells the authorities of two archives apart: verifiers look issuers up by name first.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Leadglass"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Leadglass archive CA {sha256(_public(key)).hexdigest()[:8]}"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(_USAGE, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.fullmatch(name):
        raise BadInput("A certificate is for host names (ASCII letters, digits, hyphens) and IP addresses only.")
    return x509.DNSName(name.lower())
