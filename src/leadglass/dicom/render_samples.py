"""From a frame's bytes to its stored values: decoded, in the right order, with their sign. Runs in a render worker.

Rule: what is declared is compared with the bytes that are there before memory is taken for it.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leadglass.dicom import uids
from leadglass.dicom.codecs import Image, decode
from leadglass.dicom.render_model import Pixels, Sort
from leadglass.errors import BadInput, Unsupported

Array = NDArray[Any]

_HALVED: Final = ("YBR_FULL_422", "YBR_PARTIAL_422")
_GRAY_OR_INDEX: Final = 1


class Samples:
    """The samples of one frame.

    Parameters
    ----------
    raw : ndarray
        Rows x columns (x 3): unsigned words as they are stored, or floating point values.
    pixels : Pixels
        What they are.
    photometric : str
        What color model they are in; a decoder may have changed it.
    is_whole : bool
        Whether a decoder gave whole values, which no other bits lie beside.
    """

    __slots__ = ("is_whole", "photometric", "pixels", "raw")

    def __init__(self, raw: Array, pixels: Pixels, photometric: str, *, is_whole: bool) -> None:
        self.raw = raw
        self.pixels = pixels
        self.photometric = photometric
        self.is_whole = is_whole

    def values(self, words: Array | None = None) -> Array:
        """Give the stored values of words (those of the frame when not given): the bits from High Bit down, signed."""
        raw = self.raw if words is None else words
        pixels = self.pixels
        if raw.dtype.kind == "f" or pixels.allocated == 1:
            return raw
        container = raw.dtype.itemsize * 8
        high_bit = pixels.stored - 1 if self.is_whole else pixels.high_bit
        if pixels.is_signed:
            signed = raw.view(raw.dtype.str.replace("u", "i"))
            up, down = container - 1 - high_bit, container - pixels.stored
            return signed if not down else (signed << up) >> down
        down = high_bit + 1 - pixels.stored
        shifted = raw >> down if down else raw
        return shifted if pixels.stored + down == container else shifted & ((1 << pixels.stored) - 1)


def samples_of(data: bytes, bit_offset: int, pixels: Pixels) -> Samples:
    """Decode one frame.

    Raises
    ------
    BadInput
        When it is damaged or is not what the attributes say.
    Unsupported
        When there is no decoder for it.
    """
    if uids.is_encapsulated(pixels.transfer_syntax_uid) and pixels.sort is Sort.INTEGER:
        return _encapsulated(data, pixels)
    if pixels.sort is not Sort.INTEGER:
        kind = "f4" if pixels.sort is Sort.FLOAT else "f8"
        order = ">" if pixels.word > 1 else "<"
        return Samples(_shaped(_words(data, order + kind, pixels), pixels), pixels, pixels.photometric, is_whole=True)
    if pixels.allocated == 1:
        packed = np.frombuffer(_turned(data, 2 if pixels.word > 1 else 1), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little")
        bits = bits[bit_offset : bit_offset + pixels.frame_samples]
        if bits.size < pixels.frame_samples:
            raise _too_short()
        return Samples(_shaped(bits, pixels), pixels, pixels.photometric, is_whole=True)
    if pixels.photometric in _HALVED and pixels.samples == 3:
        return Samples(
            _full(_turned(data, pixels.word)[bit_offset // 8 :], pixels), pixels, pixels.photometric, is_whole=False
        )
    if pixels.allocated == 8:
        words = _words(_turned(data, pixels.word)[bit_offset // 8 :], "u1", pixels)
    else:
        words = _words(data, f"{'>' if pixels.word > 1 else '<'}u{pixels.allocated // 8}", pixels)
    return Samples(_shaped(words, pixels), pixels, pixels.photometric, is_whole=False)


def _encapsulated(data: bytes, pixels: Pixels) -> Samples:
    if pixels.transfer_syntax_uid in uids.VIDEO:
        raise Unsupported("The image is a video: its frames cannot be rendered here. Retrieve it as it is.")
    image = Image(
        rows=pixels.rows,
        columns=pixels.columns,
        samples=pixels.samples,
        allocated=pixels.allocated,
        stored=pixels.stored,
        is_signed=pixels.is_signed,
        photometric=pixels.photometric,
    )
    frame = decode(pixels.transfer_syntax_uid, data, image)
    if frame.is_as_stored and pixels.photometric in _HALVED and pixels.samples == 3:
        return Samples(_full(frame.data, pixels), pixels, frame.photometric, is_whole=False)
    words = np.frombuffer(frame.data, dtype=image.dtype)
    if words.size < pixels.frame_samples:
        raise _too_short()
    words = words[: pixels.frame_samples]
    if frame.is_as_stored:
        return Samples(_shaped(words, pixels), pixels, frame.photometric, is_whole=False)
    shape = (pixels.rows, pixels.columns) + ((3,) if pixels.samples == 3 else ())
    is_whole = pixels.transfer_syntax_uid != uids.RLE_LOSSLESS
    if frame.says_signed:  # then the pixels are, and Pixel Representation is wrong
        pixels = replace(pixels, is_signed=True)
    return Samples(words.reshape(shape), pixels, frame.photometric, is_whole=is_whole)


def _words(data: bytes, dtype: str, pixels: Pixels) -> Array:
    wanted = pixels.frame_samples * np.dtype(dtype).itemsize
    if len(data) < wanted:
        raise _too_short()
    words = np.frombuffer(data, dtype=dtype, count=pixels.frame_samples)
    return words.astype(words.dtype.newbyteorder("<")) if dtype.startswith(">") else words


def _shaped(words: Array, pixels: Pixels) -> Array:
    """Give rows x columns (x samples), whatever Planar Configuration says (PS3.3 C.7.6.3.1.3)."""
    if pixels.samples == _GRAY_OR_INDEX:
        return words.reshape(pixels.rows, pixels.columns)
    if pixels.planar == 1:
        return np.moveaxis(words.reshape(pixels.samples, pixels.rows, pixels.columns), 0, -1)
    return words.reshape(pixels.rows, pixels.columns, pixels.samples)


def _full(data: bytes, pixels: Pixels) -> Array:
    """Give each pixel its chrominance: Y Y Cb Cr for every two pixels of a row (PS3.3 C.7.6.3.1.2)."""
    if pixels.allocated != 8 or pixels.columns % 2:
        raise Unsupported("Pixels with shared chrominance are rendered with 8 bits and an even number of columns only.")
    pairs = pixels.rows * pixels.columns // 2
    if len(data) < pairs * 4:
        raise _too_short()
    quads = np.frombuffer(data, dtype=np.uint8, count=pairs * 4).reshape(pairs, 4)
    full = np.empty((pairs, 2, 3), dtype=np.uint8)
    full[:, :, 0] = quads[:, :2]
    full[:, :, 1] = quads[:, 2:3]
    full[:, :, 2] = quads[:, 3:4]
    return full.reshape(pixels.rows, pixels.columns, 3)


def _turned(data: bytes, word: int) -> bytes:
    """Turn the bytes of each 16-bit word round, where single bytes lie in words of Big Endian."""
    if word != 2:
        return data
    padded = data if len(data) % 2 == 0 else data + b"\0"
    return np.frombuffer(padded, dtype=">u2").astype("<u2").tobytes()


def _too_short() -> BadInput:
    return BadInput("A frame is shorter than its attributes say.")
