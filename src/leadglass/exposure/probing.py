"""Probing: what a TLS door agrees to, by shaking hands with it in memory, and the certificate that it shows.

Rule: the very context that the listener uses is asked, by clients that offer one thing
each; no connection is made, so nothing of it is refused, recorded or held up.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from leadglass.exposure.facts import Handshake, Secured, ShownCertificate

_ROUNDS: Final = 12
"""Turns of a handshake; it takes four."""


def _version(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    context.minimum_version = version
    context.maximum_version = version


def _tls13(context: ssl.SSLContext) -> None:
    _version(context, ssl.TLSVersion.TLSv1_3)


def _tls12(context: ssl.SSLContext) -> None:
    _version(context, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+AESGCM")


def _oldest(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    _version(context, ssl.TLSVersion.MINIMUM_SUPPORTED)


def _cbc(context: ssl.SSLContext) -> None:
    _version(context, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM:@SECLEVEL=0")


def _no_forward_secrecy(context: ssl.SSLContext) -> None:
    _version(context, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("kRSA:@SECLEVEL=0")


def _nobody(context: ssl.SSLContext) -> None:
    _version(context, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("aNULL:eNULL:@SECLEVEL=0")


GOOD: Final = (("TLS 1.3", _tls13), ("TLS 1.2 with ECDHE and AES-GCM", _tls12))
"""What PS3.15 B.12 (RFC 9325) wants to work."""

WEAK: Final = (
    ("the oldest version that OpenSSL knows", _oldest),
    ("TLS 1.2 with CBC ciphers", _cbc),
    ("TLS 1.2 without forward secrecy", _no_forward_secrecy),
    ("TLS 1.2 without authentication or encryption", _nobody),
)
"""What it wants to be refused."""


def probe(
    door: str,
    context: ssl.SSLContext,
    *,
    client: Callable[[ssl.SSLContext], None] | None = None,
    chain: int = 0,
    own_issuer: bytes = b"",
    reached_as: tuple[str, ...] = (),
) -> Secured:
    """Shake hands with a door in every way that is looked at.

    Parameters
    ----------
    door : str
        Its word.
    context : ssl.SSLContext
        The listener's.
    client : callable, optional
        Has a client's context show a certificate that the door takes, where it wants one.
    chain : int
        Certificates that it shows besides its own, as far as that is known.
    own_issuer : bytes
        The archive's own authority (DER), to tell whose certificate is shown.
    reached_as : tuple of str
        Names that people reach the door by.
    """
    version, suite, shown = _shake(context, _client(None, client))
    bare = _shake(context, _client(None, None)) if client is not None else (version, suite, shown)
    return Secured(
        door=door,
        preferred=Handshake("everything", version, suite),
        good=_tried(context, GOOD, client),
        weak=_tried(context, WEAK, client),
        certificate=certificate_of(shown, own_issuer, chain) if shown else None,
        wants_client_certificate=client is not None and not bare[0],
        reached_as=reached_as,
    )


def certificate_of(der: bytes, own_issuer: bytes = b"", chain: int = 0) -> ShownCertificate | None:
    """Read a certificate (DER); None when it cannot be read."""
    try:
        read = x509.load_der_x509_certificate(der)
        key = read.public_key()
        hashed = read.signature_hash_algorithm
        return ShownCertificate(
            subject=read.subject.rfc4514_string(),
            issuer=read.issuer.rfc4514_string(),
            names=_names(read),
            not_before=read.not_valid_before_utc,
            not_after=read.not_valid_after_utc,
            key=_kind(key),
            bits=_bits(key),
            signed_with=hashed.name if hashed is not None else "",
            is_ours=bool(own_issuer) and _is_issued_by(read, own_issuer),
            chain=chain,
        )
    except ValueError:
        return None


def certificate_in(path: Path, own_issuer: bytes = b"") -> ShownCertificate | None:
    """Read the first certificate of a PEM file; None when there is none that can be read."""
    try:
        read = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return certificate_of(_der(read[0]), own_issuer, len(read) - 1) if read else None


def chain_in(path: Path) -> int:
    """Count the certificates in a PEM file besides the first."""
    try:
        return max(0, len(x509.load_pem_x509_certificates(path.read_bytes())) - 1)
    except (OSError, ValueError):
        return 0


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _tried(
    context: ssl.SSLContext,
    ways: tuple[tuple[str, Callable[[ssl.SSLContext], None]], ...],
    client: Callable[[ssl.SSLContext], None] | None,
) -> tuple[Handshake, ...]:
    made: list[Handshake] = []
    for offered, settle in ways:
        try:
            version, suite, _ = _shake(context, _client(settle, client))
        except ssl.SSLError:
            version, suite = "", ""  # this machine's OpenSSL cannot even offer it
        made.append(Handshake(offered, version, suite))
    return tuple(made)


def _client(
    settle: Callable[[ssl.SSLContext], None] | None, identify: Callable[[ssl.SSLContext], None] | None
) -> ssl.SSLContext:
    """Make a client that believes everybody: what it is shown is what is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settle is not None:
        settle(context)
    if identify is not None:
        identify(context)
    return context


def _shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str, bytes]:
    """Give the version, the suite and the certificate shown; nothing when there is no agreement."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    done = {id(asks): False, id(answers): False}
    for _ in range(_ROUNDS):
        for side in (asks, answers):
            if done[id(side)]:
                continue
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return "", "", b""
            done[id(side)] = True
        if all(done.values()):
            suite = asks.cipher()
            return asks.version() or "", suite[0] if suite else "", asks.getpeercert(binary_form=True) or b""
    return "", "", b""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    return (*hosts, *(str(address) for address in names.get_values_for_type(x509.IPAddress)))


def _kind(key: object) -> str:
    match key:
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "EC"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _bits(key: object) -> int:
    match key:
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            return key.key_size
        case ed25519.Ed25519PublicKey():
            return 256
        case ed448.Ed448PublicKey():
            return 448
        case _:
            return 0


def _is_issued_by(certificate: x509.Certificate, issuer: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(issuer))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not ours
        return False
    return True
