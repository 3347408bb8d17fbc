"""Why a TLS handshake failed, in a few words for the audit log and the operator.

Rule: what a peer sent never gets into the words; they come from a table.
"""

import ssl
from collections.abc import Mapping
from typing import Final

_VERIFY: Final[Mapping[int, str]] = {
    9: "the certificate is not yet valid",
    10: "the certificate has expired",
    18: "the certificate was not issued by our authority (self-signed)",
    19: "the certificate was not issued by our authority",
    20: "the certificate was not issued by our authority",
    21: "the certificate was not issued by our authority",
    23: "the certificate was revoked",
    26: "the certificate is not for this use",
    62: "the certificate is for another host name",
    64: "the certificate is for another address",
}

_REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no client certificate"),
    ("CERTIFICATE_REQUIRED", "the peer asks for a certificate of ours"),
    ("UNSUPPORTED_PROTOCOL", "TLS older than version 1.2"),
    ("VERSION_TOO_LOW", "TLS older than version 1.2"),
    ("PROTOCOL_VERSION", "no TLS version in common"),
    ("NO_SHARED_CIPHER", "no cipher suite in common"),
    ("HANDSHAKE_FAILURE", "the peer found nothing in common or no certificate it accepts"),
    ("UNKNOWN_CA", "the other side does not trust the certificate's authority"),
    ("BAD_CERTIFICATE", "the other side does not accept the certificate"),
    ("CERTIFICATE_EXPIRED", "the other side finds the certificate expired"),
    ("CERTIFICATE_UNKNOWN", "the other side does not accept the certificate"),
    ("HTTP_REQUEST", "the peer speaks HTTP without TLS"),
    ("WRONG_VERSION_NUMBER", "the peer does not speak TLS"),
    ("UNEXPECTED_EOF", "the peer closed the connection during the handshake"),
    ("NO_SUITABLE_SIGNATURE", "no signature algorithm in common"),
    ("NO_SUITABLE_KEY_SHARE", "no key exchange in common"),
)


def handshake_failure(error: BaseException) -> str:
    """Say why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {_VERIFY.get(error.verify_code, 'the certificate cannot be verified')}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").upper().replace(" ", "_")
        for name, text in _REASONS:
            if name in reason:
                return f"TLS: {text}"
        return "TLS: the handshake failed"
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "TLS: the handshake took too long"
    return "TLS: the peer closed the connection during the handshake"
