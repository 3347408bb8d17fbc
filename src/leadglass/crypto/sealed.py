"""Sealed objects: chunked AES-256-GCM with random access, written as the bytes arrive.

Layout: a header of 24 bytes (magic, version, identity), then chunks of 64 KiB
of plaintext, each followed by its 16-byte tag; the last chunk is shorter or
equal, and empty only when the whole object is. The nonce of a chunk is its
number and a flag that says whether it is the last (the STREAM construction of
Hoang, Reyhanitabar, Rogaway and Vizár); the header is authenticated with every
chunk.

Rule 1. A key seals one object and no other, so counters are nonces that never
repeat. Rule 2. What is cut, grown, swapped, reordered or moved from another
object fails its authentication: ``Corrupt``, never wrong bytes. Rule 3. Bytes
reach the disk only sealed.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.errors import BadInput, Corrupt, NotAtHand

CHUNK: Final = 65_536
"""Bytes of plaintext in a chunk: a frame of 512 x 512 x 16 bit touches nine, and
a header parse seldom more than one."""

TAG: Final = 16
IDENTITY: Final = 16
"""Bytes of an object's identity."""

_MAGIC: Final = b"LGLASS\x00\x01"
_HEADER: Final = len(_MAGIC) + IDENTITY
_SEALED: Final = CHUNK + TAG
_GATHER: Final = 16
"""Chunks read with one system call at most: 1 MiB."""
_WHOLE: Final = 9 * CHUNK
_OUT: Final = _HEADER + 9 * _SEALED
"""Bytes written with one system call at most: a CT slice of 512 x 512 is whole in them."""


def sealed_size(size: int) -> int:
    """Give the bytes on disk of an object of ``size`` bytes."""
    return _HEADER + size + TAG * max(1, -(-size // CHUNK))


def _nonce(number: int, *, last: bool) -> bytes:
    return (number << 8 | last).to_bytes(12, "big")


def _check(key: bytes, identity: bytes) -> None:
    if len(key) != 32 or len(identity) != IDENTITY:
        raise BadInput("A sealed object needs a key of 32 bytes and an identity of 16.")


class Scratch:
    """Memory to seal into, kept for the next object. Safe for threads.

    Fresh memory costs a page fault for each 4 KiB of it, which is dearer than sealing them.

    Parameters
    ----------
    most : int
        Pieces of half a MiB that are kept while nobody uses them.
    """

    __slots__ = ("_free", "_most")

    def __init__(self, most: int = 16) -> None:
        self._free: list[bytearray] = []
        self._most = most

    def take(self) -> bytearray:
        """Give a piece that nobody else has."""
        try:
            return self._free.pop()
        except IndexError:
            return bytearray(_OUT)

    def give(self, piece: bytearray) -> None:
        """Give a piece back; what it holds is sealed, so it is not wiped."""
        if len(self._free) < self._most:
            self._free.append(piece)


class SealedWriter:
    """Seals one object into a file as its bytes arrive. Not for use by two threads at once.

    Parameters
    ----------
    file : int
        Descriptor of an empty file, open for writing. The caller syncs and closes it.
    key : bytes
        32 bytes, random, used for no other object.
    identity : bytes
        16 bytes, the object's name.
    scratch : Scratch, optional
        Where to seal into; writers that share one share its memory in turn.
    """

    __slots__ = ("_aead", "_file", "_filled", "_header", "_held", "_number", "_out", "_rest", "_scratch", "_size")

    def __init__(self, file: int, key: bytes, identity: bytes, scratch: Scratch | None = None) -> None:
        _check(key, identity)
        self._file = file
        self._aead = AESGCM(key)
        self._header = _MAGIC + identity
        self._scratch = scratch or Scratch()
        self._out: memoryview | None = None
        """What is sealed and not written yet is before ``_filled``."""
        self._filled = 0
        self._rest = bytearray()
        """1 to ``CHUNK`` bytes: a chunk is sealed only when it is known not to be the last."""
        self._held: tuple[bytes, ...] = ()
        """What was written first, until it is known whether that was all: then it is sealed and written in one go."""
        self._number = 0
        self._size = 0

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        OSError
            When the disk is full or fails: the caller knows which disk it is.
        """
        size = sum(map(len, blocks))
        if not self._held:
            if len(self._rest) + size <= CHUNK:
                for block in blocks:
                    self._rest += block
                return
            if not self._number and not self._rest and size <= _WHOLE:
                self._held = blocks
                return
        with self._sealing():
            self._take_all(blocks)

    def finish(self) -> int:
        """Seal the last chunk and give the object's size in bytes; nothing may be written afterwards.

        Raises
        ------
        OSError
            As ``write``.
        """
        with self._sealing():
            self._take_all(())
            self._seal(self._rest, last=True)
        self._rest = bytearray()
        return self._size

    @contextmanager
    def _sealing(self) -> Generator[None]:
        """Have a piece of scratch, and write what is in it at the end."""
        piece = self._scratch.take()
        try:
            with memoryview(piece) as self._out:
                yield
                self._flush()
        finally:
            self._out = None
            self._filled = 0
            self._scratch.give(piece)

    def _take_all(self, blocks: tuple[bytes, ...]) -> None:
        """Take what is held, then what comes."""
        held, self._held = self._held, ()
        for block in held + blocks:
            with memoryview(block) as plain:
                self._take(plain)

    def _take(self, plain: memoryview) -> None:
        """Seal whole chunks where they stand; only what spans two blocks is copied."""
        start, size = 0, len(plain)
        if self._rest:
            start = min(CHUNK - len(self._rest), size)
            self._rest += plain[:start]
            if start == size:
                return
            self._seal(self._rest)
            self._rest.clear()
        while size - start > CHUNK:
            self._seal(plain[start : start + CHUNK])
            start += CHUNK
        self._rest += plain[start:]

    def _seal(self, chunk: bytearray | memoryview, *, last: bool = False) -> None:
        out = self._out
        assert out is not None  # noqa: S101 - only called while there is one
        if not self._number:
            out[:_HEADER] = self._header
            self._filled = _HEADER
        end = self._filled + len(chunk) + TAG
        if end > _OUT:
            self._flush()
            end = len(chunk) + TAG
        self._aead.encrypt_into(_nonce(self._number, last=last), chunk, self._header, out[self._filled : end])
        self._filled = end
        self._number += 1
        self._size += len(chunk)

    def _flush(self) -> None:
        """Write what is sealed, however often the system takes only some."""
        if self._out is not None and self._filled:
            left = self._out[: self._filled]
            self._filled = 0
            while left:
                left = left[os.write(self._file, left) :]


class SealedReader:
    """Reads a sealed object at any offset: a ``ReadAt``. Safe for several threads.

    Opening authenticates the last chunk, and with it the size.

    Parameters
    ----------
    file : int
        Descriptor open for reading. The reader closes it.
    key, identity : bytes
        As for the writer.
    at_hand : bool
        Whether nothing may be waited for: then opening and reading raise
        ``NotAtHand`` where the bytes are not in memory.

    Raises
    ------
    Corrupt
        When it is not this object, or was cut or grown.
    """

    __slots__ = ("_aead", "_cached", "_chunks", "_file", "_header", "_read", "_size")

    def __init__(self, file: int, key: bytes, identity: bytes, *, at_hand: bool = False) -> None:
        self._file = file
        self._read = _read_at_hand if at_hand else _read_all
        try:
            _check(key, identity)
            self._aead = AESGCM(key)
            self._header = _MAGIC + identity
            self._chunks, self._size = self._measure()
            self._cached = (self._chunks - 1, self._open(self._chunks - 1))
        except BaseException:
            os.close(file)
            raise

    def _measure(self) -> tuple[int, int]:
        """Give the number of chunks and the size that the file's length and header claim."""
        on_disk = os.fstat(self._file).st_size
        if self._read(self._file, _HEADER, 0) != self._header or on_disk < _HEADER + TAG:
            raise Corrupt("A stored object is not the one its name says. Restore it from a backup.")
        chunks = -(-(on_disk - _HEADER) // _SEALED)
        size = on_disk - _HEADER - chunks * TAG
        if chunks > 1 and size <= (chunks - 1) * CHUNK:
            raise _damaged()
        return chunks, size

    @property
    def size(self) -> int:
        """Length of the object in bytes."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``; fewer only at the end.

        Raises
        ------
        Corrupt
            When what is on disk fails its authentication.
        """
        end = min(offset + length, self._size)
        if offset < 0 or end <= offset:
            return b""
        first, last = offset // CHUNK, (end - 1) // CHUNK
        if first == last:
            number, plain = self._cached
            if number != first:
                plain = self._open(first)
                self._cached = (first, plain)
            return plain[offset - first * CHUNK : end - first * CHUNK]
        return bytes(self._view(offset, end))

    def view_at(self, offset: int, length: int) -> memoryview:
        """Give the same bytes in memory of their own, for who only hands them on; raises as ``read_at``."""
        end = min(offset + length, self._size)
        if offset < 0 or end <= offset or offset // CHUNK == (end - 1) // CHUNK:
            return memoryview(self.read_at(offset, length))
        return self._view(offset, end)

    def _view(self, offset: int, end: int) -> memoryview:
        """Open the chunks that hold the bytes from ``offset`` to ``end``, each to where it belongs."""
        first, last = offset // CHUNK, (end - 1) // CHUNK
        start, stop = first * CHUNK, last + 1
        plain = memoryview(bytearray(min(stop * CHUNK, self._size) - start))
        number, known = self._cached
        if number == last:  # that of the end was opened with the object
            plain[last * CHUNK - start :] = known
            stop = last
        for begin in range(first, stop, _GATHER):
            self._open_into(plain[begin * CHUNK - start :], begin, min(_GATHER, stop - begin))
        return plain[offset - start : end - start]

    def _open_into(self, plain: memoryview, first: int, count: int) -> None:
        """Read and authenticate ``count`` chunks from number ``first``, to the beginning of ``plain``."""
        sealed = self._sealed(first, count)
        try:
            for i in range(count):
                chunk = sealed[i * _SEALED : (i + 1) * _SEALED]
                room = plain[i * CHUNK : i * CHUNK + len(chunk) - TAG]
                self._aead.decrypt_into(self._nonce(first + i), chunk, self._header, room)
        except (InvalidTag, ValueError) as error:
            raise _damaged() from error

    def _open(self, number: int) -> bytes:
        """Read and authenticate one chunk."""
        try:
            return self._aead.decrypt(self._nonce(number), self._sealed(number, 1), self._header)
        except (InvalidTag, ValueError) as error:
            raise _damaged() from error

    def _nonce(self, number: int) -> bytes:
        return _nonce(number, last=number == self._chunks - 1)

    def _sealed(self, first: int, count: int) -> memoryview:
        length = count * _SEALED
        if first + count == self._chunks:
            length -= self._chunks * CHUNK - self._size
        return memoryview(self._read(self._file, length, _HEADER + first * _SEALED))

    def close(self) -> None:
        """Close the file; harmless when done twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _damaged() -> Corrupt:
    return Corrupt("A stored object fails its authentication: it was damaged or changed. Restore it from a backup.")


def _read_all(file: int, length: int, offset: int) -> bytes:
    """Read until ``length`` bytes or the end: one call may give less."""
    try:
        data = os.pread(file, length, offset)
        while 0 < len(data) < length and (more := os.pread(file, length - len(data), offset + len(data))):
            data += more
    except OSError as error:
        raise Corrupt(f"A stored object cannot be read: {error.strerror}. Check the disk.") from error
    return data


def _read_at_hand(file: int, length: int, offset: int) -> memoryview:
    """Read what the system has in memory; raises ``NotAtHand`` where that is not all, or cannot be told."""
    if sys.platform != "linux":
        raise NotAtHand
    data = bytearray(length)
    try:
        count = os.preadv(file, [data], offset, os.RWF_NOWAIT)
    except OSError as error:  # a file system that cannot tell says so in one of several ways
        raise NotAtHand from error
    if count < length and offset + count < os.fstat(file).st_size:
        raise NotAtHand
    return memoryview(data)[:count]
