"""Frames: where each frame's bytes are in a stored data set.

Rule: an offset table is used only when it agrees with the fragments that are
really there. Where frames cannot be told apart there is no table, and a warning
says why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from leadglass.errors import Corrupt, NotHere, Unsupported


class Layout(Enum):
    """How frames lie in the pixel data element."""

    NATIVE = 0
    """One after the other, without gaps."""
    FRAGMENTS = 1
    """Encapsulated; each frame is one or more fragments."""
    STREAM = 2
    """Encapsulated; all frames are one bit stream (MPEG)."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Where each frame is; offsets count from the first byte of the (inflated) data set.

    Parameters
    ----------
    number_of_frames : int
        How many frames there are, at least one.
    layout : Layout
        How they lie.
    is_inflated : bool
        Whether offsets are in the data set after inflation (PS3.5 section A.5):
        a reader has to inflate up to them.
    start : int
        Native: offset of the first frame.
    frame_bits : int
        Native: bits of one frame.
    spans : tuple of tuple of int
        Encapsulated: offset and length of each fragment, in order.
    firsts : tuple of int
        Encapsulated: index of each frame's first fragment.
    """

    number_of_frames: int
    layout: Layout
    is_inflated: bool = False
    start: int = 0
    frame_bits: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    firsts: tuple[int, ...] = ()

    def parts(self, frame_index: int) -> list[tuple[int, int]]:
        """Give offset and length of each part of one frame, in order; the frame is their concatenation.

        Parameters
        ----------
        frame_index : int
            Counted from 0.

        Raises
        ------
        NotHere
            When there is no such frame.
        Unsupported
            For a frame other than the first of a video: its frames are one bit
            stream, which is given as frame 0.
        """
        if not 0 <= frame_index < self.number_of_frames:
            raise NotHere(f"There is no frame {frame_index + 1}; the instance has {self.number_of_frames}.")
        match self.layout:
            case Layout.NATIVE:
                first = frame_index * self.frame_bits // 8
                end = -(-(frame_index + 1) * self.frame_bits // 8)
                return [(self.start + first, end - first)]
            case Layout.FRAGMENTS:
                last = frame_index + 1
                end = self.firsts[last] if last < len(self.firsts) else len(self.spans)
                return list(self.spans[self.firsts[frame_index] : end])
            case Layout.STREAM:
                if frame_index:
                    raise Unsupported("The frames of a video are one stream; ask for the first.")
                return list(self.spans)

    def count_of(self, frame_index: int) -> int:
        """Give how many parts a frame has, of which there may be half a million, without making them; as ``parts``."""
        match self.layout:
            case Layout.NATIVE:
                return 1
            case Layout.FRAGMENTS:
                last = frame_index + 1
                end = self.firsts[last] if last < len(self.firsts) else len(self.spans)
                return end - self.firsts[frame_index]
            case Layout.STREAM:
                return len(self.spans)

    def bit_offset(self, frame_index: int) -> int:
        """Give the bits to skip in the first byte: not 0 only where pixels of one bit are packed across frames."""
        return frame_index * self.frame_bits % 8

    def to_bytes(self) -> bytes:
        """Give a compact form for the index: variable-length integers, some four bytes for each fragment."""
        numbers = [1, self.layout.value, int(self.is_inflated), self.number_of_frames, self.start, self.frame_bits]
        numbers.append(len(self.spans))
        place = 0
        for offset, length in self.spans:
            gap = offset - place
            numbers += (gap << 1 if gap >= 0 else -gap << 1 | 1, length)
            place = offset + length
        numbers.append(len(self.firsts))
        numbers += (after - before for before, after in pairwise((0, *self.firsts)))
        return _pack(numbers)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FrameTable":
        """Read the compact form.

        Raises
        ------
        Corrupt
            When it is not one.
        """
        numbers = _unpack(data)
        try:
            if next(numbers) != 1:
                raise Corrupt("A frame table is of an unknown version; re-index the instance.")
            layout = Layout(next(numbers))
            is_inflated, count, start, frame_bits = [
                next(numbers) for _ in range(4)
            ]  # no generator: it would hide the end
            spans: list[tuple[int, int]] = []
            place = 0
            for _ in range(_checked(next(numbers), data)):
                gap = next(numbers)
                offset = place + (-(gap >> 1) if gap & 1 else gap >> 1)
                spans.append((offset, next(numbers)))
                place = sum(spans[-1])
            firsts: list[int] = []
            first = 0
            for _ in range(_checked(next(numbers), data)):
                first += next(numbers)
                firsts.append(first)
        except (StopIteration, ValueError):
            raise Corrupt("A frame table is damaged; re-index the instance.") from None
        return cls(count, layout, bool(is_inflated), start, frame_bits, tuple(spans), tuple(firsts))


def _checked(count: int, data: bytes) -> int:
    if count > len(data):
        raise ValueError
    return count


def _pack(numbers: list[int]) -> bytes:
    packed = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            packed.append(rest & 0x7F | 0x80)
            rest >>= 7
        packed.append(rest)
    return bytes(packed)


def _unpack(data: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield number
            number, shift = 0, 0
