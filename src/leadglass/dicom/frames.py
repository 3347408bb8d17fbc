"""Frames: where each frame's bytes are in a stored data set.

Rule: an offset table is used only when it agrees with the fragments that are
really there.
"""

from dataclasses import dataclass
from enum import Enum


class Layout(Enum):
    """How frames lie in the pixel data element."""

    NATIVE = 0
    """One after the other, ``length`` bits each."""
    FRAGMENTS = 1
    """Encapsulated; each frame is one or more whole fragments."""
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
    """

    number_of_frames: int
    layout: Layout
    is_inflated: bool = False

    def parts(self, frame_index: int) -> list[tuple[int, int]]:
        """Give offset and length of each part of one frame, in order; the frame is their concatenation.

        Raises
        ------
        NotHere
            When there is no such frame.
        """
        raise NotImplementedError(frame_index)

    def bit_offset(self, frame_index: int) -> int:
        """Give the bits to skip in the first byte: not 0 only where pixels of one bit are packed across frames."""
        raise NotImplementedError(frame_index)

    def to_bytes(self) -> bytes:
        """Give a compact form for the index."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> "FrameTable":
        """Read the compact form; raises ``Corrupt``."""
        raise NotImplementedError(data)
