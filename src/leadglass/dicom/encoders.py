"""Encoders: one frame of samples to a compressed one, without loss. Runs in a worker process and nowhere else.

Rule: what was encoded is decoded again and compared before it is given; what
does not come back bit by bit is refused.
"""

from typing import Any, Final

import imagecodecs
import numpy as np

from leadglass.dicom import uids
from leadglass.dicom.codecs import Image, Samples, decode
from leadglass.dicom.shape import why_not_encoded
from leadglass.errors import Unsupported

_RLE_MOST: Final = 15
"""Segments of an RLE frame (PS3.5 section G.5)."""


def encode(transfer_syntax_uid: str, data: bytes, image: Image) -> bytes:
    """Encode one frame; padded to an even length (PS3.5 section A.4).

    Parameters
    ----------
    transfer_syntax_uid : str
        One of ``uids.ENCODED``.
    data : bytes
        Samples, Little Endian, color by pixel.
    image : Image
        What they are.

    Raises
    ------
    Unsupported
        When there is no encoder for such samples.
    """
    if why := why_not_encoded(image, transfer_syntax_uid):
        raise Unsupported(why)
    if len(data) != image.frame_bytes or image.frame_samples * image.allocated // 8 != len(data):
        raise Unsupported("Frames with subsampled chroma are not encoded here.")
    samples = np.frombuffer(data, dtype=image.dtype).reshape(
        (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, image.samples)
    )
    if transfer_syntax_uid != uids.RLE_LOSSLESS and _has_other_bits(samples, image):
        # A reader takes what is decoded for the sample, whatever Bits Stored says.
        raise Unsupported(
            "Bits that belong to no sample (an overlay, or a sign that is not continued) are kept by RLE only:"
            " ask for it, or for an uncompressed transfer syntax."
        )
    try:
        encoded = _encoded(transfer_syntax_uid, samples, image)
        same = decode(transfer_syntax_uid, encoded, image).data == data
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - an encoder's own error, of whatever type
        raise Unsupported(f"A frame cannot be encoded ({type(error).__name__}).") from None
    if not same:
        raise Unsupported("A frame cannot be encoded without loss in this transfer syntax.")
    return encoded + b"\0" if len(encoded) % 2 else encoded


def _encoded(transfer_syntax_uid: str, samples: Samples, image: Image) -> bytes:
    match transfer_syntax_uid:
        case uids.RLE_LOSSLESS:
            return _rle(samples, image)
        case uids.JPEG_LS_LOSSLESS:
            # The bits as they are: JPEG-LS knows no sign, and the data set says whether there is one.
            return bytes(imagecodecs.jpegls_encode(samples))
        case uids.JPEG_2000_LOSSLESS:
            made = imagecodecs.jpeg2k_encode(
                _signed(samples, image),
                level=0,
                codecformat="j2k",
                reversible=True,
                mct=False,  # so that Photometric Interpretation stays what it is
                bitspersample=image.stored,
                numthreads=1,
            )
            return bytes(made)
        case uids.HTJ2K_LOSSLESS:
            return bytes(imagecodecs.htj2k_encode(_signed(samples, image), reversible=True, rgb=False))
        case _:
            raise Unsupported("There is no encoder for this transfer syntax.")


def _signed(samples: Samples, image: Image) -> Samples:
    return samples.view(f"<i{image.allocated // 8}") if image.is_signed else samples


def _has_other_bits(samples: Samples, image: Image) -> bool:
    """Tell whether words hold more than their samples, continued by their sign (PS3.5 section 8.1.1)."""
    unused = image.allocated - image.stored
    words = _signed(samples, image)
    return image.high_bit is not None or not np.array_equal((words << unused) >> unused, words)


def _rle(samples: Samples, image: Image) -> bytes:
    """Encode RLE: byte planes, most significant first, sample by sample, each row by itself (PS3.5 Annex G)."""
    width = image.allocated // 8
    if width * image.samples > _RLE_MOST:
        raise Unsupported("Samples of so many bytes are not encoded as RLE.")
    planes = samples.reshape(image.rows, image.columns, image.samples).view(np.uint8)
    planes = planes.reshape(image.rows, image.columns, image.samples, width)
    segments: list[bytes] = []
    for sample in range(image.samples):
        for byte in reversed(range(width)):
            plane = np.ascontiguousarray(planes[:, :, sample, byte])
            packed: Any = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in plane)
            segments.append(packed + b"\0" if len(packed) % 2 else packed)
    places: list[int] = []
    place = 64
    for segment in segments:
        places.append(place)
        place += len(segment)
    head = [len(segments), *places, *[0] * (_RLE_MOST - len(places))]
    return b"".join((*(number.to_bytes(4, "little") for number in head), *segments))
