"""Shape: what a data set says of its frames, checked, as a codec worker is told it.

Rule: nothing is decoded of which this says that it is impossible or too large.
"""

from dataclasses import dataclass
from typing import Final

from leadglass.dicom import tags, uids
from leadglass.dicom.frame_scan import first_value
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput

_ALLOCATED: Final = (1, 8, 16, 32, 64)
_ENCODED: Final = (8, 16, 32)
"""Bits Allocated of what is encoded."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a data set says of its frames; ``codecs.Image`` is it where codecs may be imported.

    Parameters
    ----------
    rows, columns, samples : int
        Of one frame.
    allocated, stored : int
        Bits of a sample.
    is_signed : bool
        Pixel Representation 1.
    photometric : str
        Photometric Interpretation as stored.
    high_bit : int, optional
        High Bit, where it is another than one less than Bits Stored.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    is_signed: bool
    photometric: str
    high_bit: int | None = None

    @property
    def decoded_bytes(self) -> int:
        """Bytes of one frame, decoded."""
        return -(-self.rows * self.columns * self.samples * self.allocated // 8)


def shape_of(attributes: Attributes) -> Shape:
    """Give the shape of a data set's frames (PS3.3 C.7.6.3).

    Raises
    ------
    BadInput
        When it is missing or impossible.
    """

    def number(tag: int, default: int = 0) -> int:
        value = first_value(attributes, tag)
        return value if isinstance(value, int) else default

    allocated = number(tags.BitsAllocated)
    stored = number(tags.BitsStored, allocated)
    high_bit = number(tags.HighBit, stored - 1)
    shape = Shape(
        rows=number(tags.Rows),
        columns=number(tags.Columns),
        samples=number(tags.SamplesPerPixel, 1),
        allocated=allocated,
        stored=stored,
        is_signed=number(tags.PixelRepresentation) == 1,
        photometric=str(first_value(attributes, tags.PhotometricInterpretation) or ""),
        # One that cannot be is what nobody reads.
        high_bit=high_bit if stored <= high_bit < allocated else None,
    )
    if shape.rows < 1 or shape.columns < 1 or shape.samples < 1 or shape.allocated not in _ALLOCATED:
        raise BadInput("Rows, Columns or Bits Allocated are missing or impossible: the image cannot be decoded.")
    if not 1 <= shape.stored <= shape.allocated:
        raise BadInput("Bits Stored does not fit into Bits Allocated: the image cannot be decoded.")
    return shape


def is_by_plane(attributes: Attributes) -> bool:
    """Say whether Planar Configuration is 1: samples lie plane by plane (PS3.3 C.7.6.3.1.3)."""
    return first_value(attributes, tags.PlanarConfiguration) == 1


def why_not_encoded(shape: Shape, transfer_syntax_uid: str) -> str:
    """Say why there is no encoder for frames of a shape; empty where there may be one."""
    if shape.allocated not in _ENCODED or shape.samples not in (1, 3):
        return "Frames of this kind are not encoded here: ask for an uncompressed transfer syntax."
    if shape.allocated == max(_ENCODED) and transfer_syntax_uid != uids.RLE_LOSSLESS:
        return "Samples of 32 bits are encoded as RLE only."
    return ""
