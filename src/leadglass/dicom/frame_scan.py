"""Frame scan: find the frames of a data set that was read.

Rule: from the surest source to the least: Extended Offset Table, Basic Offset
Table, one fragment for each frame, the codec's own start markers. A table that
does not agree with the fragments is left aside with a warning.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from leadglass.dicom import tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.reader import PixelElement, Reading
from leadglass.dicom.source import ReadAt

_JPEG = (b"\xff\xd8\xff",)
_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")

Warn = Callable[[str], None]


def first_value(attributes: Attributes, tag: int) -> Any:
    """Give the first value of an element; None when it is absent or empty."""
    values = attributes.get(tags.key(tag), {"vr": ""}).get("Value")
    return values[0] if values else None


def _integer(attributes: Attributes, tag: int) -> int | None:
    value = first_value(attributes, tag)
    return value if isinstance(value, int) else None


def find_frames(source: ReadAt, reading: Reading, transfer_syntax_uid: str, limits: Limits) -> FrameTable | None:
    """Find the frames of a data set.

    Parameters
    ----------
    source : ReadAt
        The (inflated) data set.
    reading : Reading
        What was read of it; warnings are added.
    transfer_syntax_uid : str
        How it is encoded.
    limits : Limits
        What it may cost.

    Returns
    -------
    FrameTable or None
        None when there is no pixel data, or its frames cannot be told apart.
    """
    pixels = reading.pixels
    if pixels is None:
        return None
    warn = reading.warnings.append
    count = _number_of_frames(reading.attributes, warn)
    if count is None:
        return None
    is_inflated = transfer_syntax_uid in uids.DEFLATED
    if pixels.fragments is None:
        return _native(reading.attributes, pixels, count, warn, is_inflated=is_inflated)
    fragments = pixels.fragments
    if not fragments:
        warn("the pixel data has no fragments: frames cannot be shown")
        return None
    if transfer_syntax_uid in uids.VIDEO:
        return FrameTable(count, Layout.STREAM, spans=tuple(fragments))
    if count > limits.elements:
        warn("the number of frames is out of range: frames cannot be shown")
        return None
    return (
        _by_extended_table(source, reading, fragments, count)
        or _by_basic_table(source, pixels, fragments, count, warn)
        or _by_count(fragments, count)
        or _by_markers(source, fragments, count, transfer_syntax_uid, warn)
    )


def _number_of_frames(attributes: Attributes, warn: Warn) -> int | None:
    value = first_value(attributes, tags.NumberOfFrames)
    if value is None:
        return 1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value == 0:
        warn("Number of Frames is 0, taken as 1")
        return 1
    if not isinstance(value, int) or not 0 < value < 1 << 31:
        warn("Number of Frames is not a positive number: frames cannot be shown")
        return None
    return value


def _native(
    attributes: Attributes, pixels: PixelElement, count: int, warn: Warn, *, is_inflated: bool
) -> FrameTable | None:
    rows, columns = _integer(attributes, tags.Rows), _integer(attributes, tags.Columns)
    samples = _integer(attributes, tags.SamplesPerPixel) or 1
    allocated = _integer(attributes, tags.BitsAllocated)
    match pixels.tag:
        case tags.FloatPixelData:
            allocated = 32
        case tags.DoubleFloatPixelData:
            allocated = 64
        case _:
            if (_integer(attributes, tags.BitsStored) or 0) > (allocated or 0):
                warn("Bits Stored is larger than Bits Allocated: frames cannot be shown")
                return None
    if not rows or not columns or allocated is None or not (allocated == 1 or allocated % 8 == 0) or not allocated:
        warn("Rows, Columns or Bits Allocated are missing or impossible: frames cannot be shown")
        return None
    frame_bits = rows * columns * samples * allocated
    if samples == 3 and first_value(attributes, tags.PhotometricInterpretation) in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        frame_bits = frame_bits // 3 * 2
    needed = -(-frame_bits * count // 8)
    if needed > pixels.length:
        warn("the pixel data is shorter than its attributes say: frames cannot be shown")
        return None
    if pixels.length > needed + 1:
        warn("the pixel data is longer than its attributes say")
    return FrameTable(count, Layout.NATIVE, is_inflated, pixels.offset, frame_bits)


def _starts(fragments: list[tuple[int, int]]) -> dict[int, int]:
    """Give the index of each fragment by its place in an offset table: counted from the first fragment's item tag."""
    origin = fragments[0][0]
    return {offset - origin: index for index, (offset, _) in enumerate(fragments)}


def _integers(raw: bytes, width: int) -> list[int]:
    return [int.from_bytes(raw[at : at + width], "little") for at in range(0, len(raw) - width + 1, width)]


def _by_extended_table(
    source: ReadAt, reading: Reading, fragments: list[tuple[int, int]], count: int
) -> FrameTable | None:
    """Use (7FE0,0001) and (7FE0,0002): each frame is one fragment, or the beginning of it (PS3.3 C.7.6.3.1.8)."""
    tables: list[list[int]] = []
    for tag in (tags.ExtendedOffsetTable, tags.ExtendedOffsetTableLengths):
        located = reading.located.get(tag)
        if located is None or located[1] != 8 * count:
            if tags.key(tag) in reading.attributes:
                reading.warnings.append("the Extended Offset Table does not fit the number of frames: left aside")
            return None
        tables.append(_integers(source.read_at(*located), 8))
    starts = _starts(fragments)
    spans: list[tuple[int, int]] = []
    for place, length in zip(*tables, strict=True):
        index = starts.get(place)
        if index is None or length > fragments[index][1]:
            reading.warnings.append("the Extended Offset Table does not agree with the fragments: left aside")
            return None
        spans.append((fragments[index][0], length))
    if any(after[0] <= before[0] for before, after in pairwise(spans)):
        reading.warnings.append("the Extended Offset Table is not in ascending order: left aside")
        return None
    return FrameTable(count, Layout.FRAGMENTS, spans=tuple(spans), firsts=tuple(range(count)))


def _by_basic_table(
    source: ReadAt, pixels: PixelElement, fragments: list[tuple[int, int]], count: int, warn: Warn
) -> FrameTable | None:
    """Use the Basic Offset Table: 32-bit places of each frame's first fragment (PS3.5 section A.4)."""
    offset, length = pixels.offset_table
    if not length:
        return None
    starts = _starts(fragments)
    if length == 4 * count:
        firsts = [starts.get(place) for place in _integers(source.read_at(offset, length), 4)]
        ordered = [first for first in firsts if first is not None]
        if len(ordered) == count and ordered[0] == 0 and ordered == sorted(set(ordered)):
            return FrameTable(count, Layout.FRAGMENTS, spans=tuple(fragments), firsts=tuple(ordered))
    warn("the Basic Offset Table does not agree with the fragments: left aside")
    return None


def _by_count(fragments: list[tuple[int, int]], count: int) -> FrameTable | None:
    if count == 1:
        return FrameTable(1, Layout.FRAGMENTS, spans=tuple(fragments), firsts=(0,))
    if len(fragments) == count:
        return FrameTable(count, Layout.FRAGMENTS, spans=tuple(fragments), firsts=tuple(range(count)))
    return None


def _by_markers(
    source: ReadAt, fragments: list[tuple[int, int]], count: int, transfer_syntax_uid: str, warn: Warn
) -> FrameTable | None:
    """Begin a frame at each fragment that begins like a code stream; used when that gives the right number."""
    if len(fragments) > count:
        match transfer_syntax_uid.removeprefix("1.2.840.10008.1.2.4."):
            case "90" | "91" | "92" | "93" | "201" | "202" | "203":
                markers = _JPEG_2000
            case "110" | "111" | "112":
                markers = _JPEG_XL
            case _:
                markers = _JPEG
        firsts = [i for i, (offset, _) in enumerate(fragments) if source.read_at(offset, 12).startswith(markers)]
        if len(firsts) == count and firsts[0] == 0:
            return FrameTable(count, Layout.FRAGMENTS, spans=tuple(fragments), firsts=tuple(firsts))
    warn("the fragments do not fit the number of frames and no offset table helps: frames cannot be shown")
    return None
