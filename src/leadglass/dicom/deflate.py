"""Deflate: a data set as a deflated one (PS3.5 section A.5), as a ``ReadAt``.

Rule: only what is small is held in memory, the rest is deflated anew when somebody
goes back.
"""

import zlib
from typing import Final

from leadglass.dicom.again import Again
from leadglass.dicom.source import Bytes, ReadAt

_BLOCK: Final = 256 << 10


class _Deflating:
    """The deflated bytes of a data set, block by block, from the beginning (PS3.5 section A.5)."""

    __slots__ = ("_deflater", "_given", "_is_over", "_offset", "_source")

    def __init__(self, source: ReadAt) -> None:
        self._source = source
        self._deflater = zlib.compressobj(wbits=-15)
        self._offset = 0
        self._given = 0
        self._is_over = False

    def next(self) -> bytes:
        """Give the next bytes; none at the end."""
        while not self._is_over:
            block = self._source.read_at(self._offset, _BLOCK)
            self._offset += len(block)
            if block:
                deflated = self._deflater.compress(block)
            else:
                self._is_over = True
                deflated = self._deflater.flush()
                deflated += b"\0" * ((self._given + len(deflated)) % 2)
            if deflated:
                self._given += len(deflated)
                return deflated
        return b""


def deflated(source: ReadAt, kept: int) -> ReadAt:
    """Deflate a data set.

    Parameters
    ----------
    source : ReadAt
        The data set, as elements.
    kept : int
        Bytes, deflated, up to which the result is held in memory.
    """
    stream = _Deflating(source)
    blocks: list[bytes] = []
    size = 0
    while block := stream.next():
        size += len(block)
        if size <= kept:
            blocks.append(block)
        else:
            blocks.clear()
    return Bytes(b"".join(blocks)) if size <= kept else Again(lambda: _Deflating(source), size)
