"""The envelope: the archive key, wrapped, and where the secret that opens it comes from.

It is one small file of JSON, ``keys/archive.wrapped``. Everything in it is
authenticated together with the wrapped key. It carries no secret in the clear,
and who has it alone has nothing.

Rule 1. A wrong secret, a damaged file and a file that somebody changed are told
apart before any database is opened. Rule 2. Replacing the file is the one step
that makes a change of the key count; ``pending`` names what is still to follow.
Rule 3. Its numbers are checked before they cost anything.
"""

import hmac
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from leadglass.crypto.passphrase import Cost, Stretch
from leadglass.crypto.wrap import ArchiveKey, KeyWrap, derive
from leadglass.errors import Corrupt, Misconfigured

_FORMAT: Final = "leadglass wrapped archive key 1"

LONGEST: Final = 65_536
"""Bytes of an envelope."""


class Source(StrEnum):
    """Where the secret that opens the archive key comes from."""

    FILE = "file"
    """A key file: in the data folder, or elsewhere."""
    PASSPHRASE = "passphrase"  # noqa: S105 - the word
    """A passphrase, by Argon2id."""
    ENVIRONMENT = "environment"
    """The environment variable LEADGLASS_ARCHIVE_KEY."""
    CREDENTIAL = "credential"
    """The service manager's credential ``leadglass.archive.key``."""


class WrongKey(Misconfigured):
    """The secret is well formed, and not the one that opens this archive key."""


@dataclass(frozen=True, slots=True)
class Lock:
    """How an archive key is locked up.

    Parameters
    ----------
    source : Source
        Where the secret comes from.
    path : str
        The key file, absolute; empty for the one in the data folder.
    stretch : Stretch, optional
        How a passphrase becomes the secret; for ``PASSPHRASE`` alone.
    """

    source: Source
    path: str = ""
    stretch: Stretch | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """When what happened, in ISO 8601 (UTC).

    Parameters
    ----------
    made : str
        When the archive got its first key.
    rotated : str
        When it got this one by a rotation; empty for the first.
    locked : str
        When this lock was made.
    """

    made: str
    rotated: str
    locked: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A wrapped archive key.

    Parameters
    ----------
    key_id : str
        The archive key's ``id``.
    lock : Lock
        How it is locked up.
    life : Life
        When what happened.
    pending : tuple of str
        Drafts in the data folder that are to take their files' places.
    check : bytes
        Tells the right secret from others.
    wrapped : bytes
        The archive key.
    """

    key_id: str
    lock: Lock
    life: Life
    pending: tuple[str, ...]
    check: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)

    @classmethod
    def seal(cls, key: ArchiveKey, secret: bytes, lock: Lock, life: Life, pending: tuple[str, ...] = ()) -> "Envelope":
        """Wrap an archive key under a secret of 32 bytes."""
        bare = cls(key.id, lock, life, pending, _check(secret), b"")
        wrapped = key.sealed_by(_wrap(secret), bare._said())
        return cls(key.id, lock, life, pending, bare.check, wrapped)

    def is_opened_by(self, secret: bytes) -> bool:
        """Say whether this is the secret."""
        return hmac.compare_digest(self.check, _check(secret))

    def open(self, secret: bytes) -> ArchiveKey:
        """Give the archive key.

        Raises
        ------
        WrongKey
            When it is another secret.
        Corrupt
            When it is the secret, and the envelope was changed.
        """
        if not self.is_opened_by(secret):
            raise WrongKey(f"That is not the key of this archive (it has the archive key {self.key_id}).")
        try:
            key = ArchiveKey(_wrap(secret).unwrap(self.wrapped, self._said()))
        except (Corrupt, Misconfigured):
            key = None
        if key is None or key.id != self.key_id:
            raise Corrupt("The wrapped archive key was changed. Restore keys/archive.wrapped from your backup.")
        return key

    def _said(self) -> bytes:
        """Give everything but the wrapped key, in one form: what is authenticated with it."""
        return json.dumps(self._fields(), sort_keys=True, separators=(",", ":")).encode()

    def _fields(self) -> dict[str, object]:
        stretch = self.lock.stretch
        fields: dict[str, object] = {
            "format": _FORMAT,
            "key_id": self.key_id,
            "source": self.lock.source.value,
            "path": self.lock.path,
            "made": self.life.made,
            "rotated": self.life.rotated,
            "locked": self.life.locked,
            "pending": list(self.pending),
            "check": self.check.hex(),
        }
        if stretch is not None:
            cost = stretch.cost
            fields["argon2id"] = {
                "salt": stretch.salt.hex(),
                "memory_kib": cost.memory_kib,
                "passes": cost.passes,
                "lanes": cost.lanes,
            }
        return fields

    def to_bytes(self) -> bytes:
        """Write it."""
        fields = self._fields() | {"wrapped": b64encode(self.wrapped).decode()}
        return (json.dumps(fields | {"checksum": _checksum(fields)}, indent=2) + "\n").encode()


def parse(data: bytes) -> Envelope:
    """Read an envelope.

    Raises
    ------
    Corrupt
        When it is damaged.
    Misconfigured
        When another version of Leadglass wrote it.
    """
    damaged = Corrupt("keys/archive.wrapped is damaged. Restore it from your backup, or use: leadglass key import")
    try:
        found = msgspec.json.decode(data, type=_Written)
        fields = msgspec.json.decode(data, type=dict[str, object])
        checksum = fields.pop("checksum", "")
        if found.format != _FORMAT:
            raise Misconfigured("keys/archive.wrapped was written by another version of Leadglass. Use that version.")
        if checksum != _checksum(fields):
            raise damaged
        stretch = None
        if found.argon2id is not None:
            cost = Cost(found.argon2id.memory_kib, found.argon2id.passes, found.argon2id.lanes)
            stretch = Stretch(bytes.fromhex(found.argon2id.salt), cost)
        source = Source(found.source)
        envelope = Envelope(
            found.key_id,
            Lock(source, found.path, stretch),
            Life(found.made, found.rotated, found.locked),
            tuple(found.pending),
            bytes.fromhex(found.check),
            b64decode(found.wrapped, validate=True),
        )
    except (msgspec.MsgspecError, UnicodeError, RecursionError, NotBase64, ValueError) as error:
        raise damaged from error
    has_stretch = envelope.lock.stretch is not None
    if has_stretch is not (source is Source.PASSPHRASE) or (envelope.lock.path and source is not Source.FILE):
        raise damaged
    return envelope


class _Argon2id(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    salt: Annotated[str, msgspec.Meta(min_length=32, max_length=128)]
    memory_kib: int
    passes: int
    lanes: int


class _Written(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: str
    key_id: str
    source: str
    path: str
    made: str
    rotated: str
    locked: str
    pending: list[str]
    check: str
    wrapped: str
    checksum: str
    argon2id: _Argon2id | None = None


def _checksum(fields: Mapping[str, object]) -> str:
    """Tell damage from a wrong key; against changes made on purpose there is the wrapped key's own tag."""
    return sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _wrap(secret: bytes) -> KeyWrap:
    return KeyWrap(derive(secret, "unlocking the archive key"))


def _check(secret: bytes) -> bytes:
    return derive(secret, "check of the unlocking key")[:16]
