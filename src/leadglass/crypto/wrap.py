"""The archive key, the keys derived from it, and the wrapping of one key by another.

Rule 1. The archive key is used for nothing but deriving: each use has its own
key, told apart by a label. Rule 2. A wrapped key says what it belongs to: with
other associated data it does not open. Rule 3. Where the archive key comes from
is not known here (``envelope``, ``sources``).
"""

import secrets
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leadglass.crypto import keyfile
from leadglass.crypto.keyfile import KEY, new_key
from leadglass.errors import Corrupt, Misconfigured

__all__ = ["KEY", "ArchiveKey", "KeyWrap", "derive", "new_key"]

_NONCE: Final = 12
_VERSION: Final = b"\x01"


def derive(secret: bytes, label: str) -> bytes:
    """Give the 32-byte key for one use of a secret (HKDF-SHA-256, RFC 5869)."""
    return HKDF(SHA256(), KEY, None, b"leadglass/1/" + label.encode()).derive(secret)


class KeyWrap:
    """Wraps keys with AES-256-GCM-SIV (RFC 8452), which forgives even a repeated nonce.

    Parameters
    ----------
    key : bytes
        32 bytes, the key that wraps.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCMSIV(key)

    def wrap(self, key: bytes, belongs_to: bytes) -> bytes:
        """Seal ``key``; it opens only with the same ``belongs_to``."""
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, key, _VERSION + belongs_to)

    def unwrap(self, wrapped: bytes, belongs_to: bytes) -> bytes:
        """Open a wrapped key.

        Raises
        ------
        Corrupt
            When it was changed, belongs to something else, or another key wrapped it.
        """
        nonce = wrapped[1 : 1 + _NONCE]
        if wrapped[:1] == _VERSION and len(nonce) == _NONCE:
            try:
                return self._aead.decrypt(nonce, wrapped[1 + _NONCE :], _VERSION + belongs_to)
            except (InvalidTag, ValueError):
                pass
        raise Corrupt("A stored key does not open with the key above it. Restore the index from a backup.")


class ArchiveKey:
    """The one secret that opens an archive.

    Parameters
    ----------
    secret : bytes
        32 random bytes.
    """

    __slots__ = ("_secret", "_wrap")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY:
            raise Misconfigured(f"An archive key has {KEY} bytes.")
        self._secret = secret
        self._wrap = KeyWrap(self.derive("key wrapping"))

    @classmethod
    def new(cls) -> Self:
        """Make a random one."""
        return cls(new_key())

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key and its file, as an archive of the first version has it; raises ``Misconfigured``."""
        secret = new_key()
        keyfile.create(path, secret, keyfile.ARCHIVE)
        return cls(secret)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file of an archive of the first version; raises ``Misconfigured``."""
        written = keyfile.read(path)
        if written.word != keyfile.ARCHIVE:
            raise Misconfigured(f"{path} holds no archive key, but one that opens it.")
        return cls(written.secret)

    @property
    def id(self) -> str:
        """What tells this key from others and says nothing of it: 16 hexadecimal digits."""
        return self.derive("key id")[:8].hex()

    def derive(self, label: str) -> bytes:
        """Give the 32-byte key for one use (HKDF-SHA-256, RFC 5869)."""
        return derive(self._secret, label)

    def password(self, label: str) -> bytes:
        """Give a key for one use as printable characters, for formats that want a password."""
        return b64encode(self.derive(label))

    def sealed_by(self, wrap: KeyWrap, belongs_to: bytes) -> bytes:
        """Give the archive key itself, wrapped."""
        return wrap.wrap(self._secret, belongs_to)

    def recovery_words(self, write: Callable[[bytes], str]) -> str:
        """Give the archive key itself, as ``write`` writes secrets: for the operator's copy and nothing else."""
        return write(self._secret)

    def wrap(self, key: bytes, belongs_to: bytes) -> bytes:
        """Wrap a key directly under the archive key."""
        return self._wrap.wrap(key, belongs_to)

    def unwrap(self, wrapped: bytes, belongs_to: bytes) -> bytes:
        """Open a key that ``wrap`` sealed; raises ``Corrupt``."""
        return self._wrap.unwrap(wrapped, belongs_to)
