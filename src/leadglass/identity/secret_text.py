"""Secrets that are only to be recognised: links, sessions, tickets, sign-ons, recovery codes.

Rule 1. A secret made here is 256 random bits, so that its digest needs no stretching;
a recovery code, which is typed by hand, has 60 of its own, and lies sealed.
Rule 2. Only the digest is kept, and it says what the secret is for: what was made
for one purpose proves nothing for another.
"""

from hashlib import sha256
from secrets import token_urlsafe
from typing import Final

_OCTETS: Final = 32


def make() -> str:
    """Give a new secret: 43 characters that may stand in a URL."""
    return token_urlsafe(_OCTETS)


def digest(purpose: str, secret: str) -> bytes:
    """Give what is kept of a secret: 32 bytes.

    Parameters
    ----------
    purpose : str
        What it is for.
    secret : str
        What was made, or shown: hostile until it is found by its digest.
    """
    return sha256(f"leadglass {purpose}\0{secret}".encode("utf-8", "surrogatepass")).digest()
