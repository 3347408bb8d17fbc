"""What a picture is made from: values that cross from the archive's process to a render worker and nothing else.

Rule: shapes, tables and numbers that presenting needs, and text only where the
caller asked for it to be drawn: no other attribute of a patient goes to a worker.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.errors import BadInput

WISH: Final = "wish"
"""What a worker calls a fault of the wish, not of the image."""


class WishFault(BadInput):
    """What was asked for does not fit this image, or is more than is done; the image is sound."""


class PictureFormat(StrEnum):
    """What a picture is encoded as; the values are media types."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    GIF = "image/gif"


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056), PS3.3 C.11.2.1.3; the values are the Standard's."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


class IccProfile(StrEnum):
    """The ``iccprofile`` query parameter (PS3.18 8.3.5.1.5)."""

    NO = "no"
    YES = "yes"
    SRGB = "srgb"
    ADOBE_RGB = "adobergb"
    ROMM_RGB = "rommrgb"


class Sort(StrEnum):
    """What pixel data holds."""

    INTEGER = "integer"
    """Pixel Data (7FE0,0010)."""
    FLOAT = "float"
    """Float Pixel Data (7FE0,0008)."""
    DOUBLE = "double"
    """Double Float Pixel Data (7FE0,0009)."""


class Span(StrEnum):
    """What is black and what white where no window and no table says it."""

    OWN = "own"
    """The least and the greatest value that is there."""
    FROM_ZERO = "from zero"
    """0 and the greatest value that is there."""
    FULL = "full"
    """The least and the greatest value that the bits allow."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """What the data set says of its frames (PS3.3 C.7.6.3).

    Parameters
    ----------
    transfer_syntax_uid : str
        How they are encoded.
    rows, columns, samples : int
        Of one frame.
    allocated, stored, high_bit : int
        Bits of a sample.
    is_signed : bool
        Pixel Representation 1.
    photometric : str
        Photometric Interpretation.
    planar : int
        Planar Configuration.
    sort : Sort
        Which of the three elements holds them.
    word : int
        Bytes of a word that has to be turned round; 1 when there is none.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    is_signed: bool
    photometric: str
    planar: int = 0
    sort: Sort = Sort.INTEGER
    word: int = 1

    @property
    def frame_samples(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples


@dataclass(frozen=True, slots=True)
class Lut:
    """A lookup table (PS3.3 C.11.1.1.1).

    Parameters
    ----------
    entries : int
        How many it says it has.
    first : int
        The input value of the first entry.
    bits : int
        Bits of an entry.
    data : bytes
        Little Endian; 16-bit words, or bytes where there are no more.
    is_segmented : bool
        A segmented palette (PS3.3 C.7.9.2).
    """

    entries: int
    first: int
    bits: int
    data: bytes
    is_segmented: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A window (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR


@dataclass(frozen=True, slots=True)
class Gray:
    """How stored values of one frame become gray (PS3.3 C.11.1, C.11.2, C.11.6).

    Parameters
    ----------
    slope, intercept : float
        Rescale, where there is no Modality LUT.
    modality : Lut or None
        Modality LUT.
    window : Window or None
        The first usable one; what the caller asked for goes before it.
    voi : Lut or None
        VOI LUT; goes before a window of the data set.
    padding : tuple of float or None
        Least and greatest stored value that stand for no pixel.
    is_inverted : bool
        Least values are white.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    window: Window | None = None
    voi: Lut | None = None
    padding: tuple[float, float] | None = None
    is_inverted: bool = False


@dataclass(frozen=True, slots=True)
class Palette:
    """Palette Color Lookup Tables (PS3.3 C.7.6.3.1.5)."""

    red: Lut
    green: Lut
    blue: Lut


@dataclass(frozen=True, slots=True)
class FramePart:
    """One frame on its way to a worker.

    Parameters
    ----------
    length : int
        Its bytes, which follow the job.
    bit_offset : int
        Bits to skip, once bytes are in their order.
    gray : Gray
        How it becomes gray.
    """

    length: int
    bit_offset: int = 0
    gray: Gray = Gray()


@dataclass(frozen=True, slots=True)
class Viewport:
    """The ``viewport`` query parameter (PS3.18 8.3.5.1.3).

    Parameters
    ----------
    width, height : int
        The picture fits into them and keeps its shape.
    x, y : float
        The upper left of the region to show, in pixels of the image.
    region_width, region_height : float or None
        The region's; negative ones mirror it. None: up to the edge.
    is_relative : bool
        The region is in parts of the image's width and height, 0 to 1 (WADO-URI).
    """

    width: int
    height: int
    x: float = 0.0
    y: float = 0.0
    region_width: float | None = None
    region_height: float | None = None
    is_relative: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants to see.

    Parameters
    ----------
    format : PictureFormat
        What to encode to.
    viewport : Viewport or None
        Region and size; None: as large as the image.
    window : Window or None
        Instead of the data set's own presentation of gray.
    quality : int
        Of JPEG, 1 to 100.
    icc : IccProfile
        What becomes of color spaces.
    is_thumbnail : bool
        Never enlarge.
    leaves_out : float
        Where no window and no table tells what is black and what white: what part
        of the values, at either end, does not count for it. 0: every value counts.
    """

    format: PictureFormat = PictureFormat.JPEG
    viewport: Viewport | None = None
    window: Window | None = None
    quality: int = 90
    icc: IccProfile = IccProfile.NO
    is_thumbnail: bool = False
    leaves_out: float = 0.0


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One picture to make.

    Parameters
    ----------
    pixels : Pixels
        What the frames are.
    frames : tuple of FramePart
        One, or several for a cine.
    wish : Wish
        What to make of them.
    palette : Palette or None
        For PALETTE COLOR.
    aspect : float
        Height of a pixel divided by its width.
    span : Span
        What is black and what white without a window.
    icc_profile : bytes
        The data set's own, empty when it has none.
    lines : tuple of str
        Text to draw.
    delays : tuple of int
        Milliseconds that each frame of a cine is shown.
    """

    pixels: Pixels
    frames: tuple[FramePart, ...]
    wish: Wish
    palette: Palette | None = None
    aspect: float = 1.0
    span: Span = Span.OWN
    icc_profile: bytes = b""
    lines: tuple[str, ...] = ()
    delays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RenderAnswer:
    """What a worker says before the encoded picture.

    Parameters
    ----------
    width, height : int
        Of the picture.
    fault, message : str
        Kind and words of what went wrong; empty when nothing did.
    """

    width: int = 0
    height: int = 0
    fault: str = ""
    message: str = ""
