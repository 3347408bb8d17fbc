"""Token text: how an API token is written, and what is kept of it.

Rule 1. A token is 256 random bits; only its digest is kept, and no digest needs to
be stretched of what nobody can guess. Rule 2. It begins with ``lg_`` and ends with
a checksum: secret scanners find it, and a slip of the hand is told apart from a
token that is not known.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final

from leadglass.errors import BadInput

PREFIX: Final = "lg_"
PATTERN: Final = r"lg_[0-9A-Za-z]{49}"
"""For secret scanners."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OCTETS: Final = 32
_RANDOM: Final = 43
"""Characters that hold 256 bits in base 62."""
_CHECK: Final = 6
"""Characters that hold 32 bits in base 62."""

_FORM: Final = re.compile(PATTERN, re.ASCII)


def make() -> str:
    """Give a new token."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(_OCTETS)), _RANDOM)
    return body + _check(body)


def looks_like_ours(text: str) -> bool:
    """Say whether a bearer token claims to be one of this archive's."""
    return text.startswith(PREFIX)


def digest(text: str) -> bytes:
    """Give what is kept of a token: its SHA-256.

    Raises
    ------
    BadInput
        When the text is no token: a character is wrong, missing or too much.
    """
    if _FORM.fullmatch(text) is None or not secrets.compare_digest(_check(text[:-_CHECK]), text[-_CHECK:]):
        raise BadInput("That is not a whole token: a character of it is wrong or missing. Copy it anew.")
    return hashlib.sha256(text.encode("ascii")).digest()


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK)


def _base62(number: int, width: int) -> str:
    written = ""
    for _ in range(width):
        number, rest = divmod(number, 62)
        written = _ALPHABET[rest] + written
    return written
