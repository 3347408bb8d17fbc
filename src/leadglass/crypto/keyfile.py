"""Key files: one secret of 32 bytes as a line of text, in a file that is its owner's alone.

Rule 1. A file that others could have read, that is a link, a pipe or a device,
or that belongs to somebody else is refused, never repaired. Rule 2. A mistyped
or cut line is told from another key: it carries a checksum. Rule 3. A key file
is never overwritten by a new one, and what is forgotten is overwritten first.
"""

import hmac
import os
import secrets
import stat
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from leadglass.errors import Misconfigured
from leadglass.system import sync_folder

KEY: Final = 32
"""Bytes of a secret."""

ARCHIVE: Final = "leadglass-archive-key-1"
"""The word for an archive key itself, as the first version kept it."""

UNLOCKING: Final = "leadglass-unlocking-key-1"
"""The word for a secret that opens the archive key."""

LONGEST: Final = 4_096
"""Bytes of a key file that are looked at."""


@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """A secret as it was written, and what the writing says that it is.

    Parameters
    ----------
    secret : bytes
        32 bytes.
    word : str
        ``ARCHIVE`` or ``UNLOCKING``.
    """

    secret: bytes
    word: str


def new_key() -> bytes:
    """Make a random key."""
    return secrets.token_bytes(KEY)


def to_text(secret: bytes, word: str = UNLOCKING) -> str:
    """Give the line that stands for a secret, without its end."""
    return f"{word} {b64encode(secret).decode()} {_checksum(secret)}"


def from_text(text: str, name: str) -> Written:
    """Read the line that stands for a secret.

    Parameters
    ----------
    text : str
        The line, with white space around it or not.
    name : str
        Where it comes from, for the message.

    Raises
    ------
    Misconfigured
        When it is damaged or no key. What it says is never shown.
    """
    match text.split():
        case [word, encoded, checksum] if word in (ARCHIVE, UNLOCKING):
            try:
                secret = b64decode(encoded, validate=True)
            except (NotBase64, ValueError):
                secret = b""
            if (
                len(secret) == KEY
                and b64encode(secret).decode() == encoded
                and hmac.compare_digest(_checksum(secret).encode(), checksum.encode())
            ):
                return Written(secret, word)
        case _:
            pass
    raise Misconfigured(
        f"{name} is damaged, or holds no key of Leadglass: it should be one line that begins with "
        f"{UNLOCKING!r}. Put it back from where you keep its copy."
    )


def read(path: Path, *, credential: bool = False) -> Written:
    """Read a key file.

    Parameters
    ----------
    path : Path
        The file.
    credential : bool
        Whether the service manager put it there: it then vouches for who may
        read it, and shows an access list as the group's rights.

    Raises
    ------
    Misconfigured
        When it is not there, may be read by others, or is damaged.
    """
    return from_text(read_private(path, "The key file", credential=credential).decode("ascii", "replace"), f"{path}")


def read_private(path: Path, what: str, *, credential: bool = False, most: int = LONGEST) -> bytes:
    """Read a small file that holds a secret.

    Raises
    ------
    Misconfigured
        When it is not there, not a file, somebody else's, or may be read by others.
    """
    follow = 0 if credential else os.O_NOFOLLOW
    try:
        # A pipe must not keep us waiting before it is seen to be one.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
    except FileNotFoundError:
        raise Misconfigured(f"{what} {path} is missing. Restore it from your backup, or mount where it lies.") from None
    except OSError as error:
        link = f"{path} is a symbolic link. Put the file itself there." if path.is_symlink() else ""
        raise Misconfigured(
            link or f"{what} {path} cannot be read: {error.strerror}. Run as the user it belongs to."
        ) from error
    try:
        require_own(path, os.fstat(descriptor), others=0o007 if credential else 0o077)
        return os.read(descriptor, most)
    except OSError as error:
        raise Misconfigured(f"{what} {path} cannot be read: {error.strerror}. Check the disk.") from error
    finally:
        os.close(descriptor)


def require_own(path: Path, status: os.stat_result, *, others: int = 0o077) -> None:
    """Refuse a secret that is no file, that others may use or that somebody else owns.

    Raises
    ------
    Misconfigured
        With what mends it.
    """
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise Misconfigured(f"{path} is not a file. Put the file itself there.")
    if mode & others:
        raise Misconfigured(
            f"{path} can be used by others (mode {mode:04o}). See who may have read it, then: chmod 0600 {path}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise Misconfigured(f"{path} belongs to another user. Run as that user, or give it to this one with chown.")


def create(path: Path, secret: bytes, word: str = UNLOCKING) -> None:
    """Write a new key file, mode 0600, on stable storage; never over a file that is there.

    Raises
    ------
    Misconfigured
        When it is there already or cannot be made.
    """
    write_new(path, f"{to_text(secret, word)}\n".encode("ascii"))


def write_new(path: Path, data: bytes) -> None:
    """Write a secret to a new file, mode 0600, on stable storage.

    Raises
    ------
    Misconfigured
        When it is there already or cannot be made.
    """
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(path.parent)
    except FileExistsError as error:
        raise Misconfigured(f"{path} is there already; it is not replaced. Name a file that is not there.") from error
    except OSError as error:
        raise Misconfigured(f"{path} cannot be made: {error.strerror}. Name a place this user may write to.") from error


def replace(draft: Path, path: Path) -> None:
    """Put a draft in the place of a file, in one step, on stable storage.

    Raises
    ------
    Misconfigured
    """
    try:
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be replaced: {error.strerror}. Check its folder.") from error


def overwrite(path: Path) -> None:
    """Overwrite a secret in its place and remove the file; what cannot be done is left undone.

    On flash and on file systems that copy on write an old copy may outlive
    this: what was once there in the clear is only safely gone with the disk.
    """
    with suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _scrub(file)
        finally:
            os.close(file)
        path.unlink()
        sync_folder(path.parent)


def replace_and_forget(draft: Path, path: Path) -> None:
    """Put a draft in the place of a secret, and overwrite the old one once the new one is there.

    Raises
    ------
    Misconfigured
    """
    old = -1
    with suppress(OSError):
        old = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        replace(draft, path)
        if old >= 0:
            with suppress(OSError):
                _scrub(old)
    finally:
        if old >= 0:
            os.close(old)


def _scrub(file: int) -> None:
    os.pwrite(file, secrets.token_bytes(max(1, os.fstat(file).st_size)), 0)
    os.fsync(file)


def _checksum(secret: bytes) -> str:
    """Tell a mistyped or cut key file from another archive's key."""
    return sha256(b"leadglass archive key" + secret).hexdigest()[:8]
