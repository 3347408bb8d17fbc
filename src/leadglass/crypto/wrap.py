"""The archive key, the keys derived from it, and the wrapping of one key by another.

Rule 1. The archive key is used for nothing but deriving: each use has its own
key, told apart by a label. Rule 2. A wrapped key says what it belongs to: with
other associated data it does not open. Rule 3. The key file is readable by its
owner alone, or it is refused.
"""

import hmac
import os
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leadglass.errors import Corrupt, Misconfigured

KEY: Final = 32
"""Bytes of every key here."""

_NONCE: Final = 12
_VERSION: Final = b"\x01"
_WORDS: Final = "leadglass-archive-key-1"


def new_key() -> bytes:
    """Make a random key."""
    return secrets.token_bytes(KEY)


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
    def create(cls, path: Path) -> Self:
        """Make a new key and its file, mode 0600, on stable storage; never over a file that is there.

        Raises
        ------
        Misconfigured
            When the file is there already or cannot be made.
        """
        secret = new_key()
        line = f"{_WORDS} {b64encode(secret).decode()} {_checksum(secret)}\n"
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with open(file, "wb") as stream:  # noqa: PTH123 - a descriptor
                stream.write(line.encode("ascii"))
                stream.flush()
                os.fsync(stream.fileno())
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError as error:
            raise Misconfigured("There is an archive key already; it is not replaced.") from error
        except OSError as error:
            raise Misconfigured(f"The archive key file cannot be made: {error.strerror}.") from error
        return cls(secret)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file.

        Raises
        ------
        Misconfigured
            When it is not there, may be read by others, or is damaged.
        """
        try:
            with path.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                text = stream.read(4096)
        except OSError as error:
            raise Misconfigured(
                f"The archive key file cannot be read: {error.strerror}. Put it back from where you keep its copy."
            ) from error
        if mode & 0o077:
            raise Misconfigured("The archive key file may be read by others. Set its mode to 0600.")
        match text.decode("ascii", "replace").split():
            case [words, encoded, checksum] if words == _WORDS:
                try:
                    secret = b64decode(encoded, validate=True)
                except NotBase64:
                    secret = b""
                if len(secret) == KEY and hmac.compare_digest(_checksum(secret), checksum):
                    return cls(secret)
            case _:
                pass
        raise Misconfigured("The archive key file is damaged. Put it back from where you keep its copy.")

    def derive(self, label: str) -> bytes:
        """Give the 32-byte key for one use (HKDF-SHA-256, RFC 5869)."""
        return HKDF(SHA256(), KEY, None, b"leadglass/1/" + label.encode()).derive(self._secret)

    def wrap(self, key: bytes, belongs_to: bytes) -> bytes:
        """Wrap a key directly under the archive key."""
        return self._wrap.wrap(key, belongs_to)

    def unwrap(self, wrapped: bytes, belongs_to: bytes) -> bytes:
        """Open a key that ``wrap`` sealed; raises ``Corrupt``."""
        return self._wrap.unwrap(wrapped, belongs_to)


def _checksum(secret: bytes) -> str:
    """Tell a mistyped or cut key file from another archive's key."""
    return sha256(b"leadglass archive key" + secret).hexdigest()[:8]
