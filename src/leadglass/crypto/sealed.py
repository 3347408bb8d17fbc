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
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.errors import BadInput, Corrupt

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
"""Chunks read or written with one system call at most: 1 MiB."""


def sealed_size(size: int) -> int:
    """Give the bytes on disk of an object of ``size`` bytes."""
    return _HEADER + size + TAG * max(1, -(-size // CHUNK))


def _nonce(number: int, *, last: bool) -> bytes:
    return (number << 8 | last).to_bytes(12, "big")


def _check(key: bytes, identity: bytes) -> None:
    if len(key) != 32 or len(identity) != IDENTITY:
        raise BadInput("A sealed object needs a key of 32 bytes and an identity of 16.")


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
    """

    __slots__ = ("_aead", "_file", "_header", "_number", "_rest", "_size")

    def __init__(self, file: int, key: bytes, identity: bytes) -> None:
        _check(key, identity)
        self._file = file
        self._aead = AESGCM(key)
        self._header = _MAGIC + identity
        self._rest = bytearray()
        self._number = 0
        self._size = 0

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """Take the next bytes.

        Raises
        ------
        OSError
            When the disk is full or fails: the caller knows which disk it is.
        """
        self._rest += block
        # A chunk is sealed only when it is known not to be the last.
        if len(self._rest) <= CHUNK:
            return
        whole = (len(self._rest) - 1) // CHUNK
        with memoryview(self._rest) as plain:
            for start in range(0, whole, _GATHER):
                self._put([plain[i * CHUNK : (i + 1) * CHUNK] for i in range(start, min(whole, start + _GATHER))])
        del self._rest[: whole * CHUNK]

    def finish(self) -> int:
        """Seal the last chunk and give the object's size in bytes; nothing may be written afterwards."""
        with memoryview(self._rest) as plain:
            self._put([plain], last=True)
        self._rest.clear()
        return self._size

    def _put(self, chunks: list[memoryview], *, last: bool = False) -> None:
        sealed: list[bytes] = [] if self._number else [self._header]
        for chunk in chunks:
            sealed.append(self._aead.encrypt(_nonce(self._number, last=last), chunk, self._header))
            self._number += 1
            self._size += len(chunk)
        _write_all(self._file, sealed)


class SealedReader:
    """Reads a sealed object at any offset: a ``ReadAt``. Safe for several threads.

    Opening authenticates the last chunk, and with it the size.

    Parameters
    ----------
    file : int
        Descriptor open for reading. The reader closes it.
    key, identity : bytes
        As for the writer.

    Raises
    ------
    Corrupt
        When it is not this object, or was cut or grown.
    """

    __slots__ = ("_aead", "_cached", "_chunks", "_file", "_header", "_size")

    def __init__(self, file: int, key: bytes, identity: bytes) -> None:
        self._file = file
        try:
            _check(key, identity)
            self._aead = AESGCM(key)
            self._header = _MAGIC + identity
            self._chunks, self._size = self._measure()
            self._cached = (self._chunks - 1, self._open(self._chunks - 1, 1))
        except BaseException:
            os.close(file)
            raise

    def _measure(self) -> tuple[int, int]:
        """Give the number of chunks and the size that the file's length and header claim."""
        on_disk = os.fstat(self._file).st_size
        if _read_all(self._file, _HEADER, 0) != self._header or on_disk < _HEADER + TAG:
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
        number, plain = self._cached
        if first == last:
            if number != first:
                plain = self._open(first, 1)
                self._cached = (first, plain)
            return plain[offset - first * CHUNK : end - first * CHUNK]
        parts = [self._open(i, min(_GATHER, last + 1 - i)) for i in range(first, last + 1, _GATHER)]
        plain = parts[0] if len(parts) == 1 else b"".join(parts)
        skip = offset - first * CHUNK
        return plain if not skip and len(plain) == end - offset else plain[skip : skip + end - offset]

    def _open(self, first: int, count: int) -> bytes:
        """Read and authenticate ``count`` chunks from number ``first``."""
        sealed = memoryview(_read_all(self._file, count * _SEALED, _HEADER + first * _SEALED))
        plain: list[bytes] = []
        try:
            for i in range(count):
                number = first + i
                chunk = sealed[i * _SEALED : (i + 1) * _SEALED]
                plain.append(self._aead.decrypt(_nonce(number, last=number == self._chunks - 1), chunk, self._header))
        except (InvalidTag, ValueError) as error:
            raise _damaged() from error
        return plain[0] if count == 1 else b"".join(plain)

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


def _write_all(file: int, parts: list[bytes]) -> None:
    """Write all of ``parts``, however often the system takes only some.

    Raises
    ------
    OSError
        What the system says; the caller knows which disk it is.
    """
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
