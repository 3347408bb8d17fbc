"""TLS, as the survey speaks it: whatever the other side has is listened to, and nothing is trusted.

Rule 1. A certificate that proves nothing is no reason to look away; what is sent over
such a connection is nothing that anybody may not read. Rule 2. Of a certificate only
numbers and yes or no are kept: no name that stands in it.
"""

import ssl
import warnings
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from leadglass.survey.gate import Closed, Line

_MOST: Final = 1 << 16

_FLIGHT: Final = 6 + 5 + 4 + 48 + 1 + 16
"""Bytes of a client's last flight in TLS 1.3 at most: ChangeCipherSpec, and a Finished with SHA-384 (RFC 8446 4.4.4).

Where it is longer there is an empty Certificate in it: the server asked for one, in a
message that is encrypted and that Python's ``ssl`` does not tell of.
"""

_MODERN: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:@SECLEVEL=1"
_WEAK: Final = "ALL:COMPLEMENTOFALL:!ECDHE+AESGCM:!DHE+AESGCM:!ECDHE+CHACHA20:!DHE+CHACHA20:!AESCCM:@SECLEVEL=0"


def lenient_context() -> ssl.SSLContext:
    """Give a client's context that takes any certificate and any version this machine's OpenSSL still speaks."""
    return _context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.MAXIMUM_SUPPORTED, "ALL:@SECLEVEL=0")


def modern_context() -> ssl.SSLContext:
    """Give one that proposes what PS3.15 B.12 asks for: TLS 1.2 with AEAD and forward secrecy, and TLS 1.3."""
    return _context(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED, _MODERN)


def old_context() -> ssl.SSLContext:
    """Give one that proposes nothing newer than TLS 1.1."""
    return _context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")


def weak_context() -> ssl.SSLContext:
    """Give one that proposes TLS 1.2 with nothing but suites that RFC 9325 4.2 does not recommend."""
    return _context(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, _WEAK)


def _context(least: ssl.TLSVersion, most: ssl.TLSVersion, suites: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # to see an old version one has to offer it
        context.minimum_version = least
        context.maximum_version = most
    context.set_ciphers(suites)
    return context


def wants_certificate(error: BaseException | None) -> bool:
    """Say whether TLS failed as it does where a client certificate is asked for and none is shown.

    In TLS 1.3 the alert says so; before, a server that says ``handshake failure``
    may mean that or that nothing is in common (see ``Shake.asks_certificate``).
    """
    return isinstance(error, ssl.SSLError) and (error.reason or "").upper().replace(" ", "_").endswith(
        "CERTIFICATE_REQUIRED"
    )


@dataclass(slots=True)
class Shake:
    """What one handshake showed.

    Parameters
    ----------
    is_tls : bool
        Whether TLS was answered at all, if only by an alert.
    is_agreed : bool
        Whether version and suite were agreed on, whatever came after.
    is_whole : bool
        Whether it came to its end.
    asks_certificate : bool
        Whether a client certificate was asked for.
    needs_certificate : bool
        Whether it ended because none was shown.
    version, suite : str
        As OpenSSL names them.
    certificate : bytes
        The server's, DER.
    """

    is_tls: bool = False
    is_agreed: bool = False
    is_whole: bool = False
    asks_certificate: bool = False
    needs_certificate: bool = False
    version: str = ""
    suite: str = ""
    certificate: bytes = b""


async def shake(line: Line, context: ssl.SSLContext, name: str = "", *, listen: float = 1.0) -> Shake:
    """Do one handshake over a line in the clear, and give what it showed, however it ends.

    Parameters
    ----------
    line : Line
        Open, nothing said on it yet.
    context : ssl.SSLContext
        What is proposed.
    name : str
        For Server Name Indication.
    listen : float
        Seconds to wait, after the end of a TLS 1.3 handshake, for the alert of a server that wants a certificate.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context.wrap_bio(incoming, outgoing, server_hostname=name or None)
    seen = bytearray()
    shown = Shake()
    try:
        while not shown.is_whole:
            try:
                secured.do_handshake()
                shown.is_whole = True
            except ssl.SSLWantReadError:
                await _flush(line, outgoing)
                _feed(incoming, seen, await line.some(_MOST))
        agreed = secured.cipher()
        shown.is_tls = shown.is_agreed = True
        shown.version, shown.suite = secured.version() or "", agreed[0] if agreed else ""
        shown.certificate = secured.getpeercert(binary_form=True) or b""
        flight = await _flush(line, outgoing)
        if shown.version == "TLSv1.3":
            shown.asks_certificate = flight > _FLIGHT
            await _listen(line, secured, incoming, seen, listen)
    except ssl.SSLError as error:
        shown.needs_certificate = wants_certificate(error) or (shown.is_whole and shown.asks_certificate)
        reason = error.reason or ""
        is_other = not seen or "WRONG_VERSION_NUMBER" in reason or "HTTP" in reason
        shown.is_tls = shown.is_whole or not is_other
    except Closed as error:
        # closed at once, where silence is what one waits for: its alert may have been lost on the way
        is_silence = isinstance(error.__cause__, TimeoutError)
        shown.needs_certificate = shown.is_whole and shown.asks_certificate and not is_silence
    if shown.version != "TLSv1.3":
        _read(bytes(seen), shown)
    if not shown.is_whole and shown.asks_certificate:
        shown.needs_certificate = True
    return shown


async def _flush(line: Line, outgoing: ssl.MemoryBIO) -> int:
    said = outgoing.read()
    if said:
        await line.send(said, "TLS handshake")
    return len(said)


def _feed(incoming: ssl.MemoryBIO, seen: bytearray, data: bytes) -> None:
    if not data:
        incoming.write_eof()
        return
    if len(seen) + len(data) > _MOST:
        raise Closed("The peer sends more than a handshake has.")
    seen += data
    incoming.write(data)


async def _listen(line: Line, secured: ssl.SSLObject, incoming: ssl.MemoryBIO, seen: bytearray, seconds: float) -> None:
    for _ in range(4):
        try:
            secured.read(1)
            return
        except ssl.SSLWantReadError:
            _feed(incoming, seen, await line.some(_MOST, seconds))


def _read(seen: bytes, shown: Shake) -> None:
    """Read the messages of TLS 1.2 and older that come in the clear (RFC 5246 7.4)."""
    messages = bytearray()
    at = 0
    while at + 5 <= len(seen):
        kind, length = seen[at], int.from_bytes(seen[at + 3 : at + 5], "big")
        shown.is_tls = shown.is_tls or (kind in {21, 22} and seen[at + 1] == 3)
        if kind != 22:
            break
        messages += seen[at + 5 : at + 5 + length]
        at += 5 + length
    at = 0
    while at + 4 <= len(messages):
        kind, length = messages[at], int.from_bytes(messages[at + 1 : at + 4], "big")
        body = bytes(messages[at + 4 : at + 4 + length])
        if len(body) < length:
            return
        match kind:
            case 2:
                shown.is_agreed = True
                shown.version = _VERSIONS.get(body[:2], "")
            case 11:
                shown.certificate = body[6 : 6 + int.from_bytes(body[3:6], "big")]
            case 13:
                shown.asks_certificate = True
            case _:
                pass
        at += 4 + length


_VERSIONS: Final = {b"\3\0": "SSLv3", b"\3\1": "TLSv1", b"\3\2": "TLSv1.1", b"\3\3": "TLSv1.2"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate is like, without a word that stands in it.

    Parameters
    ----------
    days_left : int
        Until it ends; negative once it has.
    days_valid : int
        From its first to its last day.
    key : str
        Kind and bits of its key.
    is_self_signed : bool
        Whether it is its own authority.
    is_sha1 : bool
        Whether it is signed with SHA-1 or MD5.
    names_host : bool
        Whether it has the name or address we came by.
    """

    days_left: int
    days_valid: int
    key: str
    is_self_signed: bool
    is_sha1: bool
    names_host: bool


def read_certificate(der: bytes, now: datetime, names: tuple[str, ...]) -> Certificate | None:
    """Give what a certificate is like; None where it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers and the like: what others print is not ours to tell
        return _certificate(der, now, names)


def _certificate(der: bytes, now: datetime, names: tuple[str, ...]) -> Certificate | None:
    try:
        read = x509.load_der_x509_certificate(der)
        key = read.public_key()
        algorithm = read.signature_hash_algorithm
        return Certificate(
            days_left=(read.not_valid_after_utc - now).days,
            days_valid=(read.not_valid_after_utc - read.not_valid_before_utc).days,
            key=f"RSA {key.key_size}"
            if isinstance(key, rsa.RSAPublicKey)
            else f"EC {key.key_size}"
            if isinstance(key, ec.EllipticCurvePublicKey)
            else "another",
            is_self_signed=read.issuer == read.subject,
            is_sha1=isinstance(algorithm, SHA1 | MD5),
            names_host=_names(read, names),
        )
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return None


def _names(certificate: x509.Certificate, names: tuple[str, ...]) -> bool:
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    addresses = {str(each) for each in said.get_values_for_type(x509.IPAddress)}
    hosts = [each.lower() for each in said.get_values_for_type(x509.DNSName)]
    for name in names:
        if _is_address(name):
            if name in addresses:
                return True
        elif name.lower() in hosts or f"*.{name.lower().partition('.')[2]}" in hosts:
            return True
    return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
