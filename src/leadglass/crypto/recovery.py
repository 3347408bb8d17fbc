"""Recovery copies of the archive key: a file under a passphrase, or lines to print and lock away.

Rule 1. A recovery copy opens the archive whatever became of its key file,
passphrase or credential, until the archive key itself is rotated. Rule 2. On
paper every line is checked by itself, and letters that look alike are the same:
a person types it in. Rule 3. It names the archive key it is of.
"""

from base64 import b32decode, b32encode
from binascii import Error as NotBase32
from hashlib import sha256
from typing import Final

from leadglass.crypto.envelope import Envelope, Life, Lock, Source, WrongKey, parse
from leadglass.crypto.passphrase import COST, Cost, Stretch
from leadglass.crypto.wrap import KEY, ArchiveKey
from leadglass.errors import BadInput

_TITLE: Final = "Leadglass recovery copy 1"
_RFC: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's alphabet: no I, L, O, U."""

_LINES: Final = 4
_OCTETS: Final = KEY // _LINES
_CHECK: Final = 3
_LINE: Final = 13 + _CHECK


def to_paper(key: ArchiveKey, said: str) -> str:
    """Write the archive key as lines to print.

    Parameters
    ----------
    key : ArchiveKey
        The key.
    said : str
        What else to write above it: of which archive, and when.
    """
    lines = key.recovery_words(_to_lines)
    return f"{_TITLE}\narchive key {key.id}\n{said}\n\n{lines}\n"


def from_paper(text: str) -> ArchiveKey:
    """Read what ``to_paper`` wrote, or its four lines alone, as a person types them.

    Raises
    ------
    BadInput
        Naming the line that is mistyped.
    """
    lines = [line.split(":", 1)[1] for line in text.splitlines() if line.strip()[:1] in tuple("1234") and ":" in line]
    if len(lines) != _LINES:
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("Leadglass", "archive"))]
    if len(lines) != _LINES:
        raise BadInput(f"A recovery copy has {_LINES} lines of four groups. Type them in as they stand on the paper.")
    return ArchiveKey(b"".join(_from_line(number, line) for number, line in enumerate(lines, 1)))


def to_file(key: ArchiveKey, passphrase: str, now: str, cost: Cost = COST) -> bytes:
    """Write the archive key under a passphrase of its own."""
    stretch = Stretch.new(cost)
    lock = Lock(Source.PASSPHRASE, stretch=stretch)
    return Envelope.seal(key, stretch.key(passphrase), lock, Life("", "", now)).to_bytes()


def from_file(data: bytes, passphrase: str) -> ArchiveKey:
    """Read what ``to_file`` wrote; raises ``WrongKey``, ``Corrupt``, ``BadInput``."""
    envelope = parse(data)
    if envelope.lock.stretch is None:
        raise BadInput("This is no recovery copy but an archive's own wrapped key. Name what key export wrote.")
    secret = envelope.lock.stretch.key(passphrase)
    if not envelope.is_opened_by(secret):
        raise WrongKey("That is not the passphrase of this recovery copy. Try another; the copy itself may be good.")
    return envelope.open(secret)


def is_file(data: bytes) -> bool:
    """Say whether this is what ``to_file`` wrote, and not paper."""
    return data.lstrip()[:1] == b"{"


def _to_lines(secret: bytes) -> str:
    lines: list[str] = []
    for number in range(_LINES):
        octets = secret[number * _OCTETS : (number + 1) * _OCTETS]
        text = _encoded(octets) + _check(number + 1, octets)
        lines.append(f"{number + 1}:  " + " ".join(text[i : i + 4] for i in range(0, _LINE, 4)))
    return "\n".join(lines)


def _from_line(number: int, line: str) -> bytes:
    text = "".join(line.upper().split()).replace("-", "").translate(str.maketrans("ILO", "110"))
    wrong = BadInput(f"Line {number} of the recovery copy is mistyped. Compare it with the paper.")
    if len(text) != _LINE or any(c not in _CROCKFORD for c in text):
        raise wrong
    try:
        octets = b32decode(text[:-_CHECK].translate(str.maketrans(_CROCKFORD, _RFC)) + "===")
    except NotBase32:
        raise wrong from None
    if _encoded(octets) + _check(number, octets) != text:
        raise wrong
    return octets


def _encoded(octets: bytes) -> str:
    return b32encode(octets).decode().rstrip("=").translate(str.maketrans(_RFC, _CROCKFORD))


def _check(number: int, octets: bytes) -> str:
    return _encoded(sha256(b"leadglass recovery" + bytes([number]) + octets).digest())[:_CHECK]
