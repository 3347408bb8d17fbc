"""Passphrases: what is good enough to lock an archive with, and how one becomes a key.

Rule 1. Who has the disk can guess offline for years: a passphrase has to be
long, and each guess has to cost memory (Argon2id, RFC 9106). Rule 2. The policy
is applied when a passphrase is set, never when one is tried. Rule 3. What the
operator typed is compared as a person sees it: Unicode's NFC (RFC 8265 4.2).
"""

import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from leadglass.crypto.keyfile import KEY
from leadglass.errors import BadInput, Misconfigured

LEAST: Final = 15
"""Characters of a passphrase: what NIST SP 800-63B asks of a secret that stands alone."""

MOST: Final = 1_024
"""Characters of a passphrase."""

_DIFFERENT: Final = 6
"""Different characters in it."""

_OWN: Final = 8
"""Characters that are left when words everybody tries are taken away."""

_COMMON: Final = (
    "passphrase", "password", "passwort", "kennwort", "geheim", "secret", "leadglass", "radiology", "radiologie",
    "hospital", "krankenhaus", "klinikum", "archive", "archiv", "dicom", "orthanc", "pacs", "medical", "administrator",
    "admin", "root", "user", "login", "welcome", "willkommen", "hallo", "hello", "changeme", "default", "letmein",
    "iloveyou", "trustno", "correcthorsebatterystaple", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl",
    "yxcvbnm", "zxcvbnm", "qwerty", "qwertz", "azerty", "asdf", "abcdefghijklmnopqrstuvwxyz", "abcdef", "abc",
    "monkey", "dragon", "master", "sunshine", "princess", "football", "baseball", "superman", "batman", "server",
    "backup", "schluessel", "system", "sicher", "secure", "security", "sommer", "summer", "winter", "spring",
)  # fmt: skip

_DIGITS: Final = re.compile(r"\d+")

_MOST_MEMORY: Final = 4 * 1024 * 1024
"""KiB of memory that a stored cost may ask for: more is a damaged or hostile file."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess costs.

    Parameters
    ----------
    memory_kib : int
        KiB of memory.
    passes : int
        How often it is gone through.
    lanes : int
        Parts that may be worked on at the same time.
    """

    memory_kib: int
    passes: int
    lanes: int

    def __post_init__(self) -> None:
        if not (
            8 * self.lanes <= self.memory_kib <= _MOST_MEMORY and 1 <= self.passes <= 100 and 1 <= self.lanes <= 64
        ):
            raise Misconfigured("The cost of a passphrase is out of bounds. Restore the file it stands in.")


COST: Final = Cost(memory_kib=256 * 1024, passes=3, lanes=4)
"""256 MiB, three passes, four lanes: four times the memory of RFC 9106's second
recommendation, 0.6 s on two shared cores, once for each command."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How a passphrase becomes a key, as it is stored beside what it opens.

    Parameters
    ----------
    salt : bytes
        16 random bytes.
    cost : Cost
        What it takes.
    """

    salt: bytes
    cost: Cost

    @classmethod
    def new(cls, cost: Cost = COST) -> "Stretch":
        """Make one with a new salt."""
        return cls(secrets.token_bytes(16), cost)

    def key(self, passphrase: str) -> bytes:
        """Give the 32-byte key. With several lanes not in two threads at one time: OpenSSL 4.0.3 hangs then.

        Raises
        ------
        Misconfigured
            When this machine has not the memory, or its cryptographic library no Argon2id.
        """
        try:
            return Argon2id(
                salt=self.salt,
                length=KEY,
                iterations=self.cost.passes,
                lanes=self.cost.lanes,
                memory_cost=self.cost.memory_kib,
            ).derive(normal(passphrase).encode())
        except MemoryError as error:
            raise Misconfigured(
                f"The passphrase needs {self.cost.memory_kib // 1024} MiB of memory to be tried. Make room."
            ) from error
        except UnsupportedAlgorithm as error:
            raise Misconfigured(
                "The installed cryptography library has no Argon2id. Install the wheel that its makers publish."
            ) from error


def normal(passphrase: str) -> str:
    """Give a passphrase as it is compared."""
    return unicodedata.normalize("NFC", passphrase)


def require_good(passphrase: str) -> str:
    """Refuse a passphrase that would be guessed; gives it in its normal form.

    Raises
    ------
    BadInput
        With what is wrong and what would be better; never with the passphrase.
    """
    text = normal(passphrase)
    if not text.strip():
        raise BadInput(f"A passphrase cannot be blank. {_ADVICE}")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise BadInput(f"A passphrase holds no control characters. {_ADVICE}")
    if len(text) > MOST:
        raise BadInput(f"A passphrase has at most {MOST:,} characters. {_ADVICE}")
    if len(text) < LEAST:
        raise BadInput(f"A passphrase has at least {LEAST} characters. {_ADVICE}")
    if len(set(text.casefold())) < _DIFFERENT or _repeats(text.casefold()):
        raise BadInput(f"This passphrase only repeats itself. {_ADVICE}")
    if len(_without_common(text)) < _OWN:
        raise BadInput(f"This passphrase is made of what everybody tries first. {_ADVICE}")
    return text


_ADVICE: Final = "Take six or more words that have nothing to do with each other, drawn by dice and not by you."


def _repeats(text: str) -> bool:
    """Say whether a text is one short part again and again."""
    return any(
        text == (text[:length] * (len(text) // length + 1))[: len(text)] for length in range(1, len(text) // 2 + 1)
    )


def _without_common(text: str) -> str:
    """Give what is left of a passphrase without common words, numbers and ornament."""
    plain = text.casefold().translate(str.maketrans("013457@$!", "oleastasi"))
    rests: list[str] = []
    for each in (text.casefold(), plain):
        for word in _COMMON:
            each = each.replace(word, "").replace(word[::-1], "")
        each = _DIGITS.sub("", each)
        rests.append("".join(c for c in each if c.isalnum()))
    return min(rests, key=len)
