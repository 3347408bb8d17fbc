"""Sources: the files that an import was pointed at, or a ZIP that was sent, one after the other.

Rule 1. Names found inside folders, archives and directories of media are only
ever shown to the user who asked: none is followed out of where it was found.
Rule 2. Nothing is unpacked to disk: what comes out of a ZIP goes straight to
where it is sealed. Rule 3. What cannot be read is named with its reason, and
the walk goes on.
"""

import os
import stat
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Protocol, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from leadglass.errors import BadInput

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""How files are opened: a named pipe that took a file's place must not hold up the import."""

_PAGE: Final = 4096
"""Bytes read at least."""

BLOCK: Final = 1024 * 1024
"""Bytes moved at one time."""

_HEAD: Final = 4 * BLOCK
"""Bytes of a ZIP member's beginning that may be looked at before it is streamed."""

_ZIP_DIRECTORY: Final = 256 * BLOCK
"""Bytes of the largest ZIP directory read where the operator says what is read: some three million names."""

SENT_ZIP_DIRECTORY: Final = 16 * BLOCK
"""The same of a ZIP that somebody sent: some 150,000 names. Read, it takes seven times that of memory."""

_ZIP64_END: Final = 76
"""Bytes of the record of ZIP64 that stands before the last one, with what says where it is (APPNOTE 4.3.14, 4.3.15)."""

_RATIO: Final = 250
"""A member that inflates further than this is no image; the format's limit is 1,032, and black frames stay below."""

_RATIO_FREE: Final = 64 * BLOCK
"""Bytes a member may inflate to whatever its ratio."""

_NOISE: Final = frozenset({"thumbs.db", "desktop.ini", "__macosx", "lost+found", "$recycle.bin"})


class Skip(StrEnum):
    """Why something found was passed over without a word against it."""

    HIDDEN = "hidden or system file"
    MEDIA_DIRECTORY = "media directory"
    LINK = "symbolic link"
    SPECIAL = "not a regular file"


class Stream(Protocol):
    """An opened source: its beginning can be looked at, then it is read once from an offset on."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        ...

    def blocks(self, offset: int) -> Iterator[bytes]:
        """Give everything from ``offset`` on, a block at a time; call once, last."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A file to take in."""

    name: str
    size: int
    opener: "_Opener"

    def open(self) -> AbstractContextManager[Stream]:
        """Open it for reading.

        Raises
        ------
        BadInput, OSError
            When it cannot be read; the context manager also raises.
        """
        return self.opener.open()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something passed over."""

    name: str
    why: Skip


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that cannot even be opened."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unlooked:
    """A file that nobody has looked into yet: it may be a ZIP."""

    path: Path


Source = Found | Skipped | Unreadable


class _Opener(Protocol):
    def open(self) -> AbstractContextManager[Stream]: ...


# --- files --------------------------------------------------------------------


class _FileStream:
    """A regular file."""

    __slots__ = ("_descriptor", "size")

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput("It is not a regular file.")
        self._descriptor = descriptor
        self.size = status.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def blocks(self, offset: int) -> Iterator[bytes]:
        # No more room than the file needs: a MiB for each small one would cost more than reading it.
        while block := os.pread(self._descriptor, min(BLOCK, max(_PAGE, self.size - offset)), offset):
            yield block
            offset += len(block)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    @contextmanager
    def open(self) -> Generator[Stream]:
        descriptor = os.open(self.path, _READ)
        try:
            yield _FileStream(descriptor)
        finally:
            os.close(descriptor)


def walk(paths: Iterable[Path]) -> Iterator[Source]:
    """Give every file at and below ``paths`` and in ZIPs there, and what was passed over."""
    for source in roam(paths):
        looked = look(source) if isinstance(source, Unlooked) else source
        if isinstance(looked, Found | Skipped | Unreadable):
            yield looked
        else:
            yield from looked


def roam(paths: Iterable[Path]) -> Iterator[Source | Unlooked]:
    """Give what ``walk`` gives, without opening a file: whoever takes one looks into it."""
    for path in paths:
        yield from _given(path)


def _given(path: Path) -> Iterator[Source | Unlooked]:
    """Look at a path the user named: a link is followed here, and nowhere else."""
    try:
        status = path.stat()
    except OSError as error:
        # The table names reasons, not files: what was typed wrongly is named in the reason.
        yield Unreadable(str(path), f"{path} cannot be read ({error.strerror})")
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _folder(path)
    elif path.name.casefold() == "dicomdir":
        yield from _folder(path.parent)
    else:
        yield Unlooked(path)


def _folder(folder: Path) -> Iterator[Source | Unlooked]:
    """Go through a folder, in order of names; folders below come after its files."""
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Unreadable(str(here), f"cannot be read ({error.strerror})")
            continue
        folders: list[Path] = []
        for entry in entries:
            path = here / entry.name
            if entry.name.startswith(".") or entry.name.casefold() in _NOISE:
                yield Skipped(str(path), Skip.HIDDEN)
            elif entry.is_symlink():
                yield Skipped(str(path), Skip.LINK)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif not entry.is_file(follow_symlinks=False):
                yield Skipped(str(path), Skip.SPECIAL)
            elif entry.name.casefold() == "dicomdir":
                yield Skipped(str(path), Skip.MEDIA_DIRECTORY)
            else:
                yield Unlooked(path)
        pending.extend(reversed(folders))


def look(file: Unlooked) -> Source | Iterator[Source]:
    """Give the file, or what is in it when it is a ZIP."""
    path = file.path
    try:
        descriptor = os.open(path, _READ)
        try:
            size = os.fstat(descriptor).st_size
            signature = os.read(descriptor, 4)
        finally:
            os.close(descriptor)
    except OSError as error:
        return Unreadable(str(path), f"cannot be read ({error.strerror})")
    return _zip(path) if is_zip(signature) else Found(str(path), size, _File(path))


# --- ZIP ----------------------------------------------------------------------


def is_zip(beginning: bytes) -> bool:
    """Say whether a file that begins so is a ZIP (APPNOTE 4.3.6); the first four bytes tell."""
    return beginning[:4] in (b"PK\x03\x04", b"PK\x05\x06")


_DAMAGE: Final = (
    BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip
"""What zipfile raises for a damaged or forged ZIP."""


class _MemberStream:
    """A member of a ZIP, read once from its beginning; what was looked at stays in memory until then."""

    __slots__ = ("_allowed", "_given", "_head", "_member", "size")

    def __init__(self, member: "_Readable", info: ZipInfo) -> None:
        self._member = member
        self._head = b""
        self._given = 0
        self._allowed = max(_RATIO_FREE, info.compress_size * _RATIO)
        self.size = info.file_size

    def _more(self, length: int) -> bytes:
        try:
            block = self._member.read(length)
        except _DAMAGE as error:
            raise BadInput("It is damaged inside the ZIP.") from error
        self._given += len(block)
        if self._given > self._allowed:
            raise BadInput(f"It inflates more than {_RATIO} times inside the ZIP, as no image does.")
        return block

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if end > _HEAD:
            raise BadInput("Its header is too long to be looked at inside a ZIP. Unpack it first.")
        while len(self._head) < end and (block := self._more(end - len(self._head))):
            self._head += block
        return self._head[offset:end]

    def blocks(self, offset: int) -> Iterator[bytes]:
        head, self._head = self._head, b""
        if len(head) > offset:
            yield head[offset:]
        skip = max(0, offset - len(head))
        while block := self._more(BLOCK):
            if skip < len(block):
                yield block[skip:]
            skip = max(0, skip - len(block))


class _Readable(Protocol):
    def read(self, n: int = -1, /) -> bytes: ...


class _SharedZip:
    """A ZIP that stays open until the walk has left it and its last member was read."""

    __slots__ = ("_holders", "_lock", "_whole", "file")

    def __init__(self, file: ZipFile, whole: BinaryIO) -> None:
        self.file = file
        self._whole = whole
        self._holders = 1
        self._lock = Lock()

    def hold(self) -> Self:
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            last = not self._holders
        if last:
            self.file.close()
            self._whole.close()


@dataclass(frozen=True, slots=True)
class _Member:
    zip: _SharedZip
    info: ZipInfo

    @contextmanager
    def open(self) -> Generator[Stream]:
        try:
            if self.info.flag_bits & 0x1:
                raise BadInput("It is encrypted inside the ZIP. Unpack it first.")
            # LZMA can ask for gigabytes of memory in its first bytes.
            if self.info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise BadInput("It is compressed in an unusual way inside the ZIP. Unpack it first.")
            try:
                member = self.zip.file.open(self.info)
            except _DAMAGE as error:
                raise BadInput("It is damaged inside the ZIP.") from error
            with member:
                yield _MemberStream(member, self.info)
        finally:
            self.zip.release()


def _zip(path: Path) -> Iterator[Source]:
    """Give the members of a ZIP on the disk."""
    try:
        file = path.open("rb")
    except OSError as error:
        yield Unreadable(str(path), f"cannot be read ({error.strerror})")
        return
    yield from members(str(path), file)


def members(name: str, file: BinaryIO, *, most_directory: int = _ZIP_DIRECTORY) -> Iterator[Source]:
    """Give the members of a ZIP.

    Parameters
    ----------
    name : str
        What to call it: a member is shown as ``name!member``.
    file : BinaryIO
        The whole of it, for reading anywhere; closed when the last member was read.
    most_directory : int
        Bytes of its directory at most.
    """
    try:
        size = _check_directory(file, most_directory)
        shared = _SharedZip(ZipFile(file), file)
    except (BadInput, *_DAMAGE) as error:
        file.close()
        reason = error.message if isinstance(error, BadInput) else "It is not a ZIP that can be read."
        yield Unreadable(name, reason)
        return
    try:
        inside = [info for info in shared.file.infolist() if not info.is_dir()]
        if sum(info.compress_size for info in inside) > size:
            yield Unreadable(name, "Its members overlap, as in a ZIP bomb.")
            return
        for info in inside:
            yield _member(name, shared, info)
    finally:
        shared.release()


def _member(whole: str, shared: _SharedZip, info: ZipInfo) -> Source:
    name = f"{whole}!{info.filename}"
    parts = info.filename.split("/")
    if any(part.startswith(".") or part.casefold() in _NOISE for part in parts):
        return Skipped(name, Skip.HIDDEN)
    if stat.S_ISLNK(info.external_attr >> 16):
        return Skipped(name, Skip.LINK)
    if parts[-1].casefold() == "dicomdir":
        return Skipped(name, Skip.MEDIA_DIRECTORY)
    return Found(name, info.file_size, _Member(shared.hold(), info))


def _check_directory(file: BinaryIO, most: int) -> int:
    """Refuse a ZIP whose directory alone would fill the memory (APPNOTE 4.3.16); gives the size of the whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_557 - _ZIP64_END))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise BadInput("It is not a whole ZIP.")
    declared = struct.unpack_from("<I", tail, at + 12)[0]
    if tail[max(0, at - 20) :].startswith(b"PK\x06\x07"):
        # What ZIP64 says counts, whatever the old record says beside it; zipfile looks for it here and nowhere else.
        if not tail[max(0, at - _ZIP64_END) :].startswith(b"PK\x06\x06"):
            raise BadInput("Its list of members is not where it should be.")
        declared = struct.unpack_from("<Q", tail, at - _ZIP64_END + 40)[0]
    if declared > most:
        raise BadInput("Its list of members is too long. Unpack it first.")
    return size
