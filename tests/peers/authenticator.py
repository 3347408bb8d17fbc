"""A security key in software (CTAP2 as a browser shows it), which a test may have lie in any field."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

Json = dict[str, object]

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
"""Flags of authenticator data (WebAuthn 6.1)."""


def b64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def unb64(text: object) -> bytes:
    assert isinstance(text, str)
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One key, for one account.

    Parameters
    ----------
    origin, rp_id : str
        What the browser would say of the page.
    flags : int
        What it claims of the person.
    """

    origin: str
    rp_id: str
    flags: int = UP | UV
    count: int = 0
    id: bytes = field(default_factory=lambda: token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    handle: bytes = b""

    def register(self, options: Json) -> str:
        """Make the credential; gives what the browser sends."""
        self.handle = unb64(cast(Json, options["user"])["id"])
        numbers = self.key.public_key().public_numbers()
        cose = _cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
        data = self._data(self.flags | AT) + bytes(16) + len(self.id).to_bytes(2) + self.id + cose
        attestation = _cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {"clientDataJSON": b64(self._client("webauthn.create", options)), "attestationObject": b64(attestation)}
        )

    def sign_in(self, options: Json, *, handle: bytes | None = None) -> str:
        """Sign the challenge; gives what the browser sends."""
        data, client = self._data(self.flags), self._client("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(signature),
                "userHandle": b64(self.handle if handle is None else handle),
            }
        )

    def _answer(self, response: Json) -> str:
        return json.dumps({"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "response": response})

    def _client(self, kind: str, options: Json) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)


def _cbor(value: object) -> bytes:
    """Write the few kinds of CBOR (RFC 8949) that are needed."""
    match value:
        case int() if value >= 0:
            return _head(0, value)
        case int():
            return _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value)) + value.encode()
        case dict():
            pairs = cast(dict[object, object], value).items()
            return _head(5, len(pairs)) + b"".join(_cbor(name) + _cbor(each) for name, each in pairs)
        case _:
            raise TypeError(type(value))


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    size, width = (24, 1) if number < 256 else (25, 2)
    return bytes([kind << 5 | size]) + number.to_bytes(width)
