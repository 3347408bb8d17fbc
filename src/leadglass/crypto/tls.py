"""TLS: one profile, for DICOM's servers and clients and for the web's server, and nothing to choose.

Rule 1. PS3.15 B.12 (BCP 195: RFC 8996 and RFC 9325) without downgrading: TLS 1.2
at least, 1.3 preferred; ephemeral elliptic curves and AEAD ciphers only. Rule 2.
For DICOM both
sides show a certificate of the archive's own authority, or there is no
connection; no public authority is trusted. A browser shows none: who it is comes after. Rule 3. Nothing is resumed and
nothing renegotiated: each connection proves itself. (Of the web door a session of
TLS 1.2 may be, within one process: it proves nobody, each request does.)
"""

import ssl
from pathlib import Path
from typing import Final

from leadglass.crypto.ca import require_private
from leadglass.errors import Misconfigured

CIPHERS: Final = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2, in OpenSSL's words; its five suites for TLS 1.3 are all AEAD with
ephemeral keys. Level 2 also refuses SHA-1 signatures and keys below 112 bits."""

_OPTIONS: Final = (
    ssl.OP_NO_COMPRESSION
    | ssl.OP_NO_RENEGOTIATION
    | ssl.OP_NO_TICKET
    | ssl.OP_CIPHER_SERVER_PREFERENCE
    | ssl.OP_SINGLE_ECDH_USE
)


def server_context(certificate: Path, authority: Path, *, password: bytes | None = None) -> ssl.SSLContext:
    """Make the context for listeners.

    Parameters
    ----------
    certificate : Path
        The archive's certificate and key in one PEM file, mode 0600. After it
        was renewed, ``context.load_cert_chain(certificate, password=…)`` makes it
        count for new connections.
    authority : Path
        The certificate (PEM) of the authority that signed the devices'.
    password : bytes, optional
        What the key is sealed under.

    Raises
    ------
    Misconfigured
        When a file is missing, not private, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    return _harden(context, certificate, authority, password)


def web_server_context(certificate: Path, key: Path | None = None, *, password: bytes | None = None) -> ssl.SSLContext:
    """Make the context for the web door: the same profile, and no certificate is asked for.

    Parameters
    ----------
    certificate : Path
        The certificate, chain included.
    key : Path, optional
        Its key; by default it is in the certificate's file. Mode 0600.
    password : bytes, optional
        What the key is sealed under.

    Raises
    ------
    Misconfigured
        When a file is missing, not private, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    _settle(context)
    context.set_alpn_protocols(["http/1.1"])
    load_web_certificate(context, certificate, key, password=password)
    return context


def load_web_certificate(
    context: ssl.SSLContext, certificate: Path, key: Path | None = None, *, password: bytes | None = None
) -> None:
    """Have new connections shown a certificate; parameters and errors are those of ``web_server_context``."""
    require_private(key or certificate)
    try:
        context.load_cert_chain(certificate, key, password=password or b"")
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured(
            f"TLS cannot start: {certificate} or its key is missing, damaged, or the two do not belong together. "
            "Restore them, or correct [web] certificate and key in leadglass.toml."
        ) from error


def client_context(
    certificate: Path, authority: Path, *, password: bytes | None = None, check_hostname: bool = False
) -> ssl.SSLContext:
    """Make the context for connections that the archive opens (C-MOVE, forwarding).

    Parameters
    ----------
    certificate, authority, password
        As for ``server_context``.
    check_hostname : bool
        Whether the peer's certificate has to name the host. Off by default:
        devices have addresses, not names, and the caller compares the peer's
        fingerprint with the enrolled one instead, which is stricter.

    Raises
    ------
    Misconfigured
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname
    return _harden(context, certificate, authority, password)


def _settle(context: ssl.SSLContext) -> None:
    """Set the profile of PS3.15 B.12."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.set_ciphers(CIPHERS)
    context.options |= _OPTIONS


def _harden(context: ssl.SSLContext, certificate: Path, authority: Path, password: bytes | None) -> ssl.SSLContext:
    _settle(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_TRUSTED_FIRST
    require_private(certificate)
    try:
        # Without a password of ours OpenSSL would ask at the terminal for one.
        context.load_cert_chain(certificate, password=password or b"")
        context.load_verify_locations(cafile=authority)
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured(
            f"TLS cannot start: {certificate.name} or {authority.name} is missing or damaged. "
            "Restore them from your backup."
        ) from error
    return context
