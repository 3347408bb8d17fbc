"""Codecs: one compressed frame to an array of samples. Runs in a worker process and nowhere else.

Rule: what a frame's own header says is compared with the data set's attributes
before a decoder allocates anything.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from leadglass.dicom import uids
from leadglass.dicom.shape import Shape
from leadglass.errors import BadInput, Unsupported

Samples = NDArray[Any]

_RLE_SLACK: Final = 256
"""Bytes that an RLE segment may run over: two longest runs."""


@dataclass(frozen=True, slots=True)
class Image(Shape):
    """The shape of the data set's frames, where codecs work with it."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame that is not compressed by an image codec (PS3.3 C.7.6.3.1.2 for YBR_FULL_422)."""
        bits = self.frame_samples * self.allocated
        is_halved = self.samples == 3 and self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")
        return -(-(bits // 3 * 2 if is_halved else bits) // 8)

    @property
    def frame_samples(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples

    @property
    def dtype(self) -> str:
        """Little Endian samples of ``allocated`` bits; one bit is held in a byte until it is packed."""
        return f"<u{max(self.allocated, 8) // 8}"


@dataclass(frozen=True, slots=True)
class _Header:
    """What a code stream says of itself."""

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool = False
    is_lossless: bool = False
    is_ycbcr: bool | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    Parameters
    ----------
    data : bytes
        Samples, Little Endian, color by pixel; samples of one bit as bytes of 0 and 1.
    photometric : str
        The Photometric Interpretation they are in.
    is_as_stored : bool
        Whether Planar Configuration and chroma subsampling are still those of the data set.
    says_signed : bool
        Whether the code stream says that samples are signed, whatever Pixel Representation says.
    """

    data: bytes
    photometric: str
    is_as_stored: bool = False
    says_signed: bool = False


def decode(transfer_syntax_uid: str, data: bytes, image: Image) -> Frame:
    """Decode one frame.

    Raises
    ------
    BadInput
        When the frame is damaged or is not what the attributes say.
    Unsupported
        When there is no decoder for it.
    """
    try:
        if transfer_syntax_uid == uids.DEFLATED_IMAGE_FRAME:
            return Frame(_native(_inflated(data, image.frame_bytes), image), image.photometric, is_as_stored=True)
        if transfer_syntax_uid == uids.ENCAPSULATED_UNCOMPRESSED:
            return Frame(_native(data, image), image.photometric, is_as_stored=True)
        samples, photometric, header = _decode(transfer_syntax_uid, data, image)
        says_signed = header is not None and header.is_signed
        return Frame(_fitted(samples, image, header).tobytes(), photometric, says_signed=says_signed)
    except (BadInput, Unsupported, MemoryError):
        raise
    except ImportError:
        raise Unsupported("The decoder for this transfer syntax cannot be loaded.") from None
    except Exception as error:  # noqa: BLE001 - a decoder's own error, of whatever type
        raise BadInput(f"A frame cannot be decoded ({type(error).__name__}): damaged.") from None


def _decode(transfer_syntax_uid: str, data: bytes, image: Image) -> tuple[Samples, str, _Header | None]:
    if transfer_syntax_uid in uids.JPEG_FAMILY:
        return _jpeg(data, image)
    if transfer_syntax_uid in uids.JPEG_LS_FAMILY:
        header = _checked(_jpeg_header(data), image)
        if b"\xff\xd9" not in data:
            # CharLS runs on for seconds in search of an end that is not there.
            raise BadInput("A JPEG-LS frame has no end marker: cut off.")
        return imagecodecs.jpegls_decode(data), image.photometric, header
    if transfer_syntax_uid in uids.JPEG_2000_FAMILY or transfer_syntax_uid in uids.HTJ2K_FAMILY:
        return _jpeg_2000(data, image)
    if transfer_syntax_uid in uids.JPEG_XL_FAMILY:
        samples = imagecodecs.jpegxl_decode(data, numthreads=1)
        is_color_model = image.photometric.startswith("YBR") or image.photometric == "XYB"
        return samples, "RGB" if is_color_model else image.photometric, None
    if transfer_syntax_uid == uids.RLE_LOSSLESS:
        return _rle(data, image), image.photometric, None
    raise Unsupported("There is no decoder for this transfer syntax.")


def _checked(header: _Header, image: Image) -> _Header:
    """See that a code stream is what the attributes say, before memory is taken for it."""
    if (header.rows, header.columns, header.components) != (image.rows, image.columns, image.samples):
        raise BadInput("A frame is not of the size that Rows, Columns and Samples per Pixel say.")
    if header.precision > max(image.allocated, 8):
        raise BadInput("A frame has more bits than Bits Allocated.")
    return header


def _fitted(samples: Samples, image: Image, header: _Header | None) -> Samples:
    """Give samples in the type of the data set, with the sign where it belongs."""
    if samples.size != image.frame_samples:
        raise BadInput("A frame is not of the size that Rows, Columns and Samples per Pixel say.")
    if samples.dtype.kind == "f":
        raise BadInput("A frame holds floating point samples, which Pixel Data cannot.")
    if samples.dtype.itemsize * 8 > max(image.allocated, 8) and int(samples.max(initial=0)) >> image.allocated:
        raise BadInput("A frame has more bits than Bits Allocated.")
    if image.is_signed and header is not None and samples.dtype.kind == "u":
        bits = min(image.stored, header.precision)
        sign = 1 << (bits - 1)
        samples = ((samples.astype(np.int64) & (2 * sign - 1)) ^ sign) - sign
    return np.ascontiguousarray(samples).astype(image.dtype, casting="unsafe")


def _jpeg(data: bytes, image: Image) -> tuple[Samples, str, _Header]:
    header = _checked(_jpeg_header(data), image)
    is_ycbcr = header.is_ycbcr if header.is_ycbcr is not None else image.photometric != "RGB"
    if header.components == 3 and is_ycbcr and not header.is_lossless:
        return imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="RGB"), "RGB", header
    if header.components == 3:
        kept = "RGB" if not header.is_lossless and image.photometric.startswith("YBR") else image.photometric
        return imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"), kept, header
    return imagecodecs.jpeg8_decode(data), image.photometric, header


def _jpeg_header(data: bytes) -> _Header:
    """Read markers up to the frame header (ITU-T T.81 Annex B, T.87 Annex C)."""
    position, is_jfif, transform = 2, False, None
    if not data.startswith(b"\xff\xd8"):
        raise BadInput("A frame does not begin as a JPEG stream.")
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return _jpeg_frame_header(marker, body, transform, is_jfif=is_jfif)
        if marker == 0xE0 and body.startswith(b"JFIF\0"):
            is_jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            transform = body[11]
        elif marker == 0xDA:
            break
        position += 2 + length
    raise BadInput("A frame has no JPEG frame header.")


def _jpeg_frame_header(marker: int, body: bytes, transform: int | None, *, is_jfif: bool) -> _Header:
    if len(body) < 6 + 3 * (body[5] if len(body) > 5 else 1):
        raise BadInput("A JPEG frame header is cut off.")
    names = bytes(body[6 + 3 * index] for index in range(body[5]))
    # What the markers say, else what the components are called, else what the data set says (None).
    is_ycbcr = True if is_jfif else transform == 1 if transform is not None else False if names == b"RGB" else None
    return _Header(
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        components=body[5],
        precision=body[0],
        is_lossless=marker in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7),
        is_ycbcr=is_ycbcr,
    )


def _jpeg_2000(data: bytes, image: Image) -> tuple[Samples, str, _Header]:
    header = _checked(_jpeg_2000_header(data), image)
    # OpenJPEG for HTJ2K too: OpenJPH lets values beyond the range wrap around (white specks in black).
    samples = imagecodecs.jpeg2k_decode(data, numthreads=1)
    photometric = "RGB" if image.photometric in ("YBR_ICT", "YBR_RCT") else image.photometric
    return samples, photometric, header


def _jpeg_2000_header(data: bytes) -> _Header:
    """Read the SIZ marker segment (ITU-T T.800 A.5.1), also behind the boxes of a JP2 file."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 64 << 10)
    siz = data[start + 6 : start + 6 + 38]
    if start < 0 or len(siz) < 38:
        raise BadInput("A frame does not begin as a JPEG 2000 code stream.")
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (2, 6, 10, 14))
    depth = data[start + 6 + 36]
    return _Header(
        rows=bottom - top,
        columns=right - left,
        components=int.from_bytes(siz[34:36], "big"),
        precision=(depth & 0x7F) + 1,
        is_signed=bool(depth & 0x80),
    )


def _rle(data: bytes, image: Image) -> Samples:
    """Decode RLE: byte planes, most significant first, sample by sample (PS3.5 Annex G)."""
    width = max(image.allocated, 8) // 8
    segments = int.from_bytes(data[:4], "little")
    if len(data) < 64 or segments != width * image.samples or segments > 15:
        raise BadInput("An RLE frame does not have as many segments as its samples have bytes.")
    starts = [int.from_bytes(data[4 + 4 * index : 8 + 4 * index], "little") for index in range(segments)]
    if starts[0] < 64 or sorted(starts) != starts or starts[-1] >= len(data):
        raise BadInput("An RLE frame has segments outside of itself.")
    size = image.rows * image.columns
    if image.allocated == 1:
        return _bits(_unpacked(data[starts[0] :], -(-size // 8)), image)
    samples = np.zeros((size, image.samples), dtype=image.dtype)
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True)):
        sample, byte = divmod(index, width)
        plane = np.frombuffer(_unpacked(data[start:end], size), dtype=np.uint8)
        samples[:, sample] |= plane.astype(image.dtype) << (8 * (width - 1 - byte))
    return samples


def _unpacked(data: bytes, size: int) -> bytes:
    """Undo PackBits into ``size`` bytes; a decoder is given little room for more, whatever the data says."""
    plane = bytes(imagecodecs.packbits_decode(data, out=size + _RLE_SLACK))
    if len(plane) < size:
        raise BadInput("An RLE segment is shorter than the frame: damaged.")
    return plane[:size]


def _inflated(data: bytes, size: int) -> bytes:
    """Inflate one frame (PS3.5 section A.4.13), into ``size`` bytes at most."""
    inflater = zlib.decompressobj(-15)
    return inflater.decompress(data, size + 2)


def _bits(data: bytes, image: Image) -> Samples:
    """Give samples of one bit, first in the lowest bit (PS3.5 section 8.1.1), as bytes of 0 and 1."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    if bits.size < image.frame_samples:
        raise BadInput("A frame is shorter than Rows and Columns say.")
    return bits[: image.frame_samples]


def _native(data: bytes, image: Image) -> bytes:
    """Give a frame that was not compressed by an image codec as it is: its attributes stay true."""
    size = image.frame_bytes
    if len(data) < size:
        raise BadInput("A frame is shorter than its attributes say.")
    return _bits(data, image).tobytes() if image.allocated == 1 else data[:size]


def packed_bits(frames: bytes) -> bytes:
    """Pack bytes of 0 and 1 into bits, across frames (PS3.5 section 8.1.1)."""
    return np.packbits(np.frombuffer(frames, dtype=np.uint8), bitorder="little").tobytes()
