"""What goes between the authority and a device: its request (PKCS #10), and its key with its certificate (PKCS #12).

Rule 1. Of a request nothing counts but its key: who the device is we know already.
Rule 2. A key that the TLS profile would not speak with is refused here, where the
person who made it reads why.
"""

import re
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import PrivateFormat, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates

from leadglass.crypto.ca import Issued
from leadglass.errors import BadInput

LONGEST: Final = 16 * 1024
"""Bytes of a request: one with an RSA key of 4,096 bits has 1.8 kB."""

LEAST_RSA: Final = 2_048
MOST_RSA: Final = 8_192
"""Bits: below is refused by the profile (level 2), above each handshake would cost us tens of milliseconds."""

_BLOCK: Final = re.compile(
    r"-----BEGIN (NEW )?CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----"
)


def read_request(text: str) -> x509.CertificateSigningRequest:
    """Read a certificate signing request that a person pasted (PEM).

    Raises
    ------
    BadInput
        When it is none, is not signed by its own key, or that key is of another kind than the profile speaks with.
    """
    if "PRIVATE KEY" in text[: 2 * LONGEST]:
        raise BadInput(
            "That is a private key. It must not leave the device: paste the request (CSR), make a new key on "
            "the device, and destroy this one."
        )
    found = _BLOCK.search(text) if len(text) <= LONGEST else None
    if found is None:
        raise BadInput(
            "That is no certificate request. Paste the whole text of the file, from "
            "-----BEGIN CERTIFICATE REQUEST----- to -----END CERTIFICATE REQUEST-----."
        )
    try:
        request = x509.load_pem_x509_csr(found[0].encode("ascii"))
        is_sound = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise BadInput("The certificate request cannot be read. Make it anew on the device.") from None
    if not is_sound:
        raise BadInput("The certificate request is not signed by its own key. Make it anew on the device.")
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            return request
        case rsa.RSAPublicKey() if LEAST_RSA <= key.key_size <= MOST_RSA:
            return request
        case _:
            raise BadInput(
                f"The device made a key that is not used here. Have it make one on P-256 or P-384, or RSA with "
                f"{LEAST_RSA} to {MOST_RSA} bits."
            )


def pkcs12(issued: Issued, authority_pem: bytes, name: str, password: str) -> bytes:
    """Put a key, its certificate and the authority's into one PKCS #12 file.

    AES-256 and SHA-256 (RFC 8018), which OpenSSL 1.1, Java 8u301 and Windows
    Server 2019 and what came after them read. The older way (RC2, 3DES) is not
    offered: who steals such a file opens it.

    Parameters
    ----------
    issued : Issued
        With its private key.
    authority_pem : bytes
        The authority's certificate.
    name : str
        What the file's reader shows.
    password : str
        What it is sealed under.
    """
    key = load_pem_private_key(issued.key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput("There is no private key to hand out: the device made it itself.")
    sealing = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(50_000)
        .key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(password.encode("utf-8"))
    )
    return serialize_key_and_certificates(
        name.encode("utf-8"),
        key,
        x509.load_pem_x509_certificate(issued.certificate_pem),
        [x509.load_pem_x509_certificate(authority_pem)],
        sealing,
    )
