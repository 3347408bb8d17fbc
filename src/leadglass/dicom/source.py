"""Where bytes of a data set come from: anything that can be read at an offset."""

from collections.abc import Sequence
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


class Blocks:
    """Blocks in memory, one after the other, as one ``ReadAt``; none is copied but for what is asked for."""

    __slots__ = ("_blocks", "size")

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self._blocks = blocks
        self.size = sum(map(len, blocks))
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        parts: list[bytes] = []
        for block in self._blocks:
            if length <= 0:
                break
            if offset < len(block):
                part = block[offset : offset + length]
                parts.append(part)
                length -= len(part)
                offset = 0
            else:
                offset -= len(block)
        return parts[0] if len(parts) == 1 else b"".join(parts)
