"""Native pixel data: its frames, each from its first bit, words as Little Endian, in pieces of bounded size.

Rule: whoever gives frames that were not compressed takes them from here, so that
an image is the same through every door.
"""

from collections.abc import Iterator
from typing import Final

from leadglass.dicom import tags, uids
from leadglass.dicom.frame_scan import first_value
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.model import Attributes
from leadglass.dicom.pieces import Turned
from leadglass.dicom.source import ReadAt
from leadglass.dicom.values import WORD
from leadglass.errors import BadInput

_PIECE: Final = 1 << 20
"""Bytes that are given at once."""
_SHIFTED: Final = 64 << 10
"""Bytes that are shifted at once: Python's lock is held for as long as one shift takes."""
_IN_WORDS: Final = (16, 32, 64)
"""Bits Allocated of samples that are whole words."""


class Words:
    """A value whose words are turned; as a ``ReadAt``, its first byte at 0.

    Parameters
    ----------
    source : ReadAt
        The (inflated) data set.
    start, size : int
        Where the value lies.
    word : int
        Bytes of a word; 1 where none is turned.
    """

    __slots__ = ("_source", "_turned", "size")

    def __init__(self, source: ReadAt, start: int, size: int, word: int) -> None:
        self._source = source
        self._turned = Turned(start, size, word)
        self.size = size
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        return self._turned.read(self._source, offset, length)


def pixel_word(vr: str, allocated: int) -> int:
    """Give the bytes of a word of native pixel data in Big Endian.

    Samples of 8 bits lie in the words of OW. Samples of 32 bits are turned as a
    whole: see ADR 0035.

    Parameters
    ----------
    vr : str
        That of the pixel data.
    allocated : int
        Bits Allocated.
    """
    return allocated // 8 if allocated in _IN_WORDS else WORD.get(vr, 1)


def pixel_word_of(attributes: Attributes, transfer_syntax_uid: str) -> int:
    """Give the bytes of a word of a data set's native pixel data that have to be turned; 1 when none have."""
    if transfer_syntax_uid != uids.EXPLICIT_VR_BIG_ENDIAN:
        return 1
    for tag in (tags.PixelData, tags.FloatPixelData, tags.DoubleFloatPixelData):
        element = attributes.get(tags.key(tag))
        if element is not None:
            allocated = first_value(attributes, tags.BitsAllocated)
            return pixel_word(element["vr"], allocated if isinstance(allocated, int) else 0)
    return 1


def lies_as_it_leaves(table: FrameTable, word: int) -> bool:
    """Tell whether frames are whole bytes that need no turning."""
    return word == 1 and not table.frame_bits % 8


def native_frame(source: ReadAt, table: FrameTable, index: int, word: int) -> Iterator[bytes]:
    """Give the bytes of a native frame, in pieces.

    Parameters
    ----------
    source : ReadAt
        The (inflated) data set.
    table : FrameTable
        Where its frames are.
    index : int
        Which, counted from 0.
    word : int
        Bytes of a word that have to be turned; 1 when none have.

    Raises
    ------
    BadInput
        When the pixel data is shorter than its frames.
    """
    [(offset, length)] = table.parts(index)
    first, bits = table.bit_offset(index), table.frame_bits
    begin = offset - table.start
    # A frame of bytes may begin and end inside a word, and the last word may be padded.
    words = Words(source, table.start, -(-(begin + length) // word) * word, word)
    size = -(-bits // 8)
    step = _SHIFTED if first else _PIECE
    for start in range(0, size, step):
        wanted = min(step, size - start)
        rest = bits - 8 * start
        # Where a frame begins inside a byte, each of its bytes lies in two.
        needed = min(wanted + 1, length - start) if first else wanted
        piece = words.read_at(begin + start, needed)
        if len(piece) < needed:
            raise BadInput("The pixel data is shorter than its frames: damaged.")
        if first:
            kept = (1 << min(rest, 8 * wanted)) - 1
            piece = (int.from_bytes(piece, "little") >> first & kept).to_bytes(wanted, "little")
        elif rest < 8 * wanted:
            piece = piece[:-1] + bytes((piece[-1] & (1 << rest % 8) - 1,))
        yield piece
