"""Private keys as PEM files, sealed under a password that is derived from the archive key.

Rule 1. A private key of the archive is never on the disk in the clear: PKCS #8,
encrypted, whose password is 32 random bytes and needs no stretching. Rule 2. A
file that should be sealed and is not is refused: somebody put it there.
"""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from leadglass.crypto.keyfile import read_private
from leadglass.errors import Misconfigured

LONGEST: Final = 65_536
"""Bytes of a PEM file."""

_SEALED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_SEALED_END: Final = b"-----END ENCRYPTED PRIVATE KEY-----\n"
_OPEN: Final = b"-----BEGIN PRIVATE KEY-----"
_OPEN_END: Final = b"-----END PRIVATE KEY-----\n"


def seal(key: PrivateKeyTypes, password: bytes | None) -> bytes:
    """Write a private key; with no password in the clear, for who is to keep it elsewhere."""
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def load(path: Path, password: bytes | None) -> PrivateKeyTypes:
    """Read a private key.

    Raises
    ------
    Misconfigured
        When it is not there, may be read by others, is damaged, or is sealed
        under another password or not at all.
    """
    data = read_private(path, "The key", most=LONGEST)
    try:
        return load_pem_private_key(data, password)
    except (ValueError, TypeError) as error:
        raise Misconfigured(
            f"The key {path} cannot be read: it is damaged, or of another archive. Restore it from your backup."
        ) from error


def resealed(data: bytes, old: bytes | None, new: bytes, name: str) -> bytes:
    """Give a PEM file whose private key is sealed under another password; what follows the key stays.

    Parameters
    ----------
    data : bytes
        A private key, and perhaps certificates after it.
    old : bytes or None
        Its password now.
    new : bytes
        Its password then.
    name : str
        The file's, for the message.

    Raises
    ------
    Misconfigured
        When it does not open.
    """
    begin, end = (_OPEN, _OPEN_END) if old is None else (_SEALED, _SEALED_END)
    head, mark, rest = data.partition(end)
    wrong = Misconfigured(f"The key {name} cannot be read: it is damaged, or of another archive. Restore it.")
    if not head.startswith(begin) or not mark:
        raise wrong
    try:
        return seal(load_pem_private_key(head + mark, old), new) + rest
    except (ValueError, TypeError) as error:
        raise wrong from error


def is_sealed(data: bytes) -> bool:
    """Say whether the private key in a file is sealed."""
    return data.startswith(_SEALED)
