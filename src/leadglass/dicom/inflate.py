"""Inflate: a deflated data set (PS3.5 section A.5) as a ``ReadAt``, bounded.

Rule: how large it becomes is counted, block by block, before anything is read
from it; only what is small is held in memory, the rest is inflated anew when
somebody goes back.
"""

import zlib
from typing import Final

from leadglass.dicom import uids
from leadglass.dicom.again import Again
from leadglass.dicom.limits import Limits
from leadglass.dicom.source import Bytes, ReadAt
from leadglass.errors import BadInput

_BLOCK: Final = 256 << 10
_RAW: Final = -15
_ZLIB: Final = 15


class _Stream:
    """The inflated bytes, block by block, from the beginning."""

    __slots__ = ("_inflater", "_offset", "_pending", "_source")

    def __init__(self, source: ReadAt, window_bits: int) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(window_bits)
        self._offset = 0
        self._pending = b""

    def next(self) -> bytes:
        """Give the next bytes; none at the end.

        Raises
        ------
        BadInput
            When the stream is damaged or cut off.
        """
        while not self._inflater.eof:
            if not self._pending:
                self._pending = self._source.read_at(self._offset, _BLOCK)
                self._offset += len(self._pending)
            try:
                block = self._inflater.decompress(self._pending, _BLOCK)
            except zlib.error:
                raise BadInput("The deflated data set is damaged.") from None
            if not block and not self._pending and not self._inflater.eof:
                raise BadInput("The deflated data set is cut off.")
            self._pending = self._inflater.unconsumed_tail
            if block:
                return block
        return b""


def inflate(source: ReadAt, limits: Limits) -> ReadAt:
    """Give the inflated data set.

    Raises
    ------
    BadInput
        When it is damaged, cut off, or becomes larger than the limits allow.
    """
    window_bits = _RAW
    head = source.read_at(0, 2)
    if len(head) == 2 and head[0] & 0x0F == 8 and head[0] >> 4 <= 7 and int.from_bytes(head, "big") % 31 == 0:
        # Some writers put the header of RFC 1950 first; a raw stream can look the same, so try it raw first.
        try:
            _Stream(source, _RAW).next()
        except BadInput:
            window_bits = _ZLIB
    stream = _Stream(source, window_bits)
    kept: list[bytes] = []
    size = 0
    while block := stream.next():
        size += len(block)
        if size > limits.inflated_bytes:
            raise BadInput(f"The deflated data set becomes larger than {limits.inflated_bytes >> 20} MiB.")
        if size <= limits.inflation_free:
            kept.append(block)
        else:
            kept.clear()
            if size > limits.inflation_ratio * source.size:
                raise BadInput(f"The deflated data set grows more than {limits.inflation_ratio} times when inflated.")
    if size <= limits.inflation_free:
        return Bytes(b"".join(kept))
    return Again(lambda: _Stream(source, window_bits), size)


def plain(source: ReadAt, transfer_syntax_uid: str, limits: Limits) -> ReadAt:
    """Give the data set as elements: inflated where its transfer syntax is deflated, itself otherwise."""
    return inflate(source, limits) if transfer_syntax_uid in uids.DEFLATED else source
