"""Where bytes of a data set come from: anything that can be read at an offset."""

from typing import Protocol


class ReadAt(Protocol):
    """A data set, or a file, of known size that can be read at any offset."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``; fewer only at the end."""
        ...


class Bytes:
    """Bytes in memory as a ``ReadAt``."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        return bytes(self._data[offset : offset + length])
