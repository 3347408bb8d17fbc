"""Checkpoints: the log's tree head, signed, in a form that other tools can read and witness.

Rule 1. The text is three lines - origin, number of records, root in base64 -
as in C2SP tlog-checkpoint, signed with Ed25519 as a C2SP signed note. Rule 2. A
note is believed only when the signature of *this* log's key on it holds; notes
may carry further signatures, of witnesses, which are not looked at here.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from leadglass.audit.merkle import HASH_LENGTH
from leadglass.errors import BadInput, Corrupt

_ED25519: Final = b"\x01"
_MARK: Final = "— "  # em dash, space: begins a signature line
_MAX_NOTE: Final = 65_536
_NAME: Final = re.compile(r"[^\s+\x00-\x1f]{1,128}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head.

    Parameters
    ----------
    origin : str
        Which log: unique for each.
    size : int
        Number of records.
    root : bytes
        Merkle tree hash over them (32 bytes).
    """

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """Give the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@final
class Verifier:
    """The public half of a log's key: reads notes and checks their signature.

    Parameters
    ----------
    origin : str
        The log's name, which is its key's name too.
    key : Ed25519PublicKey
        The public key.
    """

    __slots__ = ("_key", "_key_id", "origin")

    def __init__(self, origin: str, key: Ed25519PublicKey) -> None:
        if not _NAME.fullmatch(origin):
            raise BadInput("A log's origin has 1 to 128 characters, without white space or plus sign.")
        self.origin = origin
        self._key = key
        self._key_id = sha256(origin.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]

    @property
    def key_id(self) -> bytes:
        """The four bytes that say which key a signature line is for."""
        return self._key_id

    def to_text(self) -> str:
        """Give the key as signed-note tools take it: ``origin+id+base64``."""
        public = b64encode(_ED25519 + self._key.public_bytes_raw()).decode()
        return f"{self.origin}+{self._key_id.hex()}+{public}"

    @classmethod
    def from_text(cls, text: str) -> "Verifier":
        """Read a key in that form.

        Raises
        ------
        BadInput
        """
        origin, _, rest = text.strip().partition("+")
        claimed, _, encoded = rest.partition("+")
        try:
            data = b64decode(encoded, validate=True)
        except BadBase64:
            data = b""
        if len(data) != 33 or data[:1] != _ED25519:
            raise BadInput("That is no Ed25519 key of a log; it reads name+id+base64.")
        verifier = cls(origin, Ed25519PublicKey.from_public_bytes(data[1:]))
        if verifier.key_id.hex() != claimed:
            raise BadInput("The log's key does not fit its id; copy the whole line.")
        return verifier

    def open(self, note: str) -> Checkpoint:
        """Read a signed checkpoint.

        Raises
        ------
        Corrupt
            When it is no checkpoint, of another log, or the signature does not hold.
        """
        text = self.check(note)
        lines = text.split("\n")
        if len(lines) < 4 or lines[0] != self.origin or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
            raise Corrupt("The checkpoint is not one of this log.")
        try:
            root = b64decode(lines[2], validate=True)
        except BadBase64:
            root = b""
        if len(root) != HASH_LENGTH:
            raise Corrupt("The checkpoint carries no tree hash.")
        return Checkpoint(lines[0], int(lines[1]), root)

    def check(self, note: str) -> str:
        """Give the text of a signed note, once this key's signature on it holds; raises ``Corrupt``."""
        text, separator, signatures = note.rpartition("\n\n")
        if len(note) > _MAX_NOTE or not separator or not signatures.endswith("\n"):
            raise Corrupt("The checkpoint is not a signed note.")
        text += "\n"
        for line in signatures[:-1].split("\n"):
            name, _, encoded = line.removeprefix(_MARK).partition(" ")
            if not line.startswith(_MARK) or name != self.origin:
                continue
            try:
                data = b64decode(encoded, validate=True)
            except BadBase64:
                continue
            if data[:4] != self._key_id:
                continue
            try:
                self._key.verify(data[4:], text.encode())
            except InvalidSignature:
                raise Corrupt("The checkpoint's signature does not hold.") from None
            return text
        raise Corrupt("The checkpoint is not signed with this log's key.")


@final
class Signer:
    """The private half of a log's key.

    Parameters
    ----------
    origin : str
        The log's name.
    seed : bytes
        32 secret bytes: the Ed25519 private key.
    """

    __slots__ = ("_key", "verifier")

    def __init__(self, origin: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise BadInput("An Ed25519 private key has 32 bytes.")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(origin, self._key.public_key())

    def sign(self, size: int, root: bytes) -> str:
        """Give the signed checkpoint of a tree head."""
        return self.sign_text(Checkpoint(self.verifier.origin, size, root).to_text())

    def sign_text(self, text: str) -> str:
        """Give a text that ends its last line as a signed note; its first line has to say what it is."""
        signature = b64encode(self.verifier.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n{_MARK}{self.verifier.origin} {signature}\n"
