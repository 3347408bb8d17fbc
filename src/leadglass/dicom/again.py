"""Again: a stream that can only be read forward as a ``ReadAt``, begun anew to go back."""

from collections.abc import Callable
from typing import Protocol


class Forward(Protocol):
    """Bytes, block by block, from the beginning."""

    def next(self) -> bytes:
        """Give the next bytes; none at the end."""
        ...


class Again:
    """What is too large to be held: read forward, begin anew to go back.

    Parameters
    ----------
    begin : callable
        Gives the stream from its beginning, the same bytes each time.
    size : int
        Its length in bytes.
    """

    __slots__ = ("_base", "_begin", "_block", "_stream", "size")

    def __init__(self, begin: Callable[[], Forward], size: int) -> None:
        self._begin = begin
        self.size = size
        """Length in bytes."""
        self._restart()

    def _restart(self) -> None:
        self._stream = self._begin()
        self._base = 0
        self._block = b""

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        if offset < self._base:
            self._restart()
        parts: list[bytes] = []
        end = min(offset + length, self.size)
        while offset < end:
            if offset < self._base + len(self._block):
                part = self._block[offset - self._base : end - self._base]
                parts.append(part)
                offset += len(part)
                continue
            self._base += len(self._block)
            self._block = self._stream.next()
            if not self._block:
                break
        return b"".join(parts)
