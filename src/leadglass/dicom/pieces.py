"""Pieces: bytes in memory, bytes of a source, and zeros, one after the other, as one ``ReadAt``.

Rule: nothing of the source is in memory but what is being read, and what is in
memory already is not copied.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from leadglass.dicom.source import ReadAt
from leadglass.dicom.values import swapped

_LARGE: Final = 64 << 10
"""Bytes from which on a piece in memory is left as it is; smaller ones that follow each other become one."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A value of the source, with the bytes of each whole word reversed."""

    offset: int
    length: int
    word: int

    def read(self, source: ReadAt, offset: int, length: int) -> bytes:
        """Give some of it: whole words are read and turned."""
        before = offset % self.word
        end = min(self.length, offset + length + -(offset + length) % self.word)
        turned = swapped(source.read_at(self.offset + offset - before, end - offset + before), self.word)
        return turned[before : before + length]


@dataclass(frozen=True, slots=True)
class Zeros:
    """So many bytes of zero."""

    length: int


Piece = bytes | memoryview | tuple[int, int] | Turned | Zeros
"""Bytes, or offset and length of bytes that are copied from a source as they are, or turned, or zeros."""


class Pieces:
    """What is put together of pieces.

    Parameters
    ----------
    pieces : sequence of Piece
        One after the other.
    source : ReadAt
        What they speak of; it stays open for as long as this is read.
    """

    __slots__ = ("_pieces", "_source", "_starts", "kept", "size")

    def __init__(self, pieces: Sequence[Piece], source: ReadAt) -> None:
        self._pieces: list[Piece] = []
        self._source = source
        gathered: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, bytes) and len(piece) < _LARGE:
                gathered.append(piece)
                continue
            self._pieces += [b"".join(gathered), piece]
            gathered = []
        self._pieces.append(b"".join(gathered))
        self._starts = [0, *accumulate(map(_length, self._pieces))]
        self.size = self._starts[-1]
        """Length in bytes."""
        self.kept = sum(len(piece) for piece in self._pieces if isinstance(piece, bytes | memoryview))
        """Bytes of it that are in memory."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        index = bisect_right(self._starts, offset) - 1
        while offset < end:
            start, until = self._starts[index], min(end, self._starts[index + 1])
            if until > offset:
                parts.append(self._part(self._pieces[index], offset - start, until - offset))
            offset = until
            index += 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _part(self, piece: Piece, offset: int, length: int) -> bytes:
        if isinstance(piece, bytes | memoryview):
            return bytes(piece[offset : offset + length])
        if isinstance(piece, Zeros):
            return bytes(length)
        if isinstance(piece, Turned):
            return piece.read(self._source, offset, length)
        return self._source.read_at(piece[0] + offset, length)


def _length(piece: Piece) -> int:
    if isinstance(piece, bytes | memoryview):
        return len(piece)
    return piece[1] if isinstance(piece, tuple) else piece.length
