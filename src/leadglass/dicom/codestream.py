"""Code streams: what the first bytes of a compressed frame say of it, without decoding it.

Rule: only the beginning is read, and every length in it is checked against what is
there. What is said here is what a decoder would have to find, no more.
"""

from dataclasses import dataclass
from typing import Final

from leadglass.dicom import tags, uids
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import BadInput

HEAD: Final = 64 << 10
"""Bytes that are looked at: headers of real frames are below 4 KiB, with a colour profile seldom longer."""

_JPEG_PROCESSES: Final = {0xC0: uids.JPEG_BASELINE, 0xC1: uids.JPEG_EXTENDED, 0xC3: uids.JPEG_LOSSLESS}


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed frame is.

    Parameters
    ----------
    transfer_syntax_uid : str
        The one for instances with such frames.
    rows, columns, samples, precision : int
        Size, components, and bits of a sample.
    is_signed : bool
        Whether samples are two's complement.
    photometric : str
        Photometric Interpretation, where there are three components.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    precision: int
    is_signed: bool = False
    photometric: str = "RGB"

    def description(self, frames: int) -> Attributes:
        """Give the Image Pixel Description Macro's attributes (PS3.3 C.7.6.3.1) for so many frames."""
        numbers = {
            tags.SamplesPerPixel: self.samples,
            tags.Rows: self.rows,
            tags.Columns: self.columns,
            tags.BitsAllocated: 8 if self.precision <= 8 else 16,
            tags.BitsStored: self.precision,
            tags.HighBit: self.precision - 1,
            tags.PixelRepresentation: int(self.is_signed),
        }
        if self.samples > 1:
            numbers[tags.PlanarConfiguration] = 0
        described: Attributes = {tags.key(tag): JsonElement(vr="US", Value=[number]) for tag, number in numbers.items()}
        photometric = self.photometric if self.samples == 3 else "MONOCHROME2"
        described[tags.key(tags.PhotometricInterpretation)] = JsonElement(vr="CS", Value=[photometric])
        if frames > 1:
            described[tags.key(tags.NumberOfFrames)] = JsonElement(vr="IS", Value=[frames])
        return described


def look(head: bytes) -> Codestream:
    """Say what a frame is by its beginning.

    Raises
    ------
    BadInput
        When it is no JPEG, JPEG-LS or JPEG 2000 code stream.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(head)
    if head.startswith(b"\xff\x4f\xff\x51"):
        return _jpeg_2000(head)
    if head[4:8] == b"jP  ":
        raise BadInput("A frame is a JP2 file. The pixel data has to be the code stream alone (PS3.5 section A.4.4).")
    raise BadInput("A frame does not begin as a code stream that is known here. Say its transfer-syntax.")


def _segments(head: bytes, position: int) -> list[tuple[int, bytes]]:
    """Give the marker segments up to the first scan or tile, with what of them is there."""
    found: list[tuple[int, bytes]] = []
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        length = int.from_bytes(head[position + 2 : position + 4], "big")
        found.append((marker, head[position + 4 : position + 2 + length]))
        if length < 2 or marker in (0xDA, 0x90):
            break
        position += 2 + length
    return found


def _jpeg(head: bytes) -> Codestream:
    """Read the frame header (ITU-T T.81 B.2.2, T.87 C.2.2)."""
    segments = _segments(head, 2)
    frame = next(((m, b) for m, b in segments if m in _JPEG_PROCESSES or m == 0xF7), None)
    scan = next((body for marker, body in segments if marker == 0xDA), b"")
    if frame is None or not _is_whole(frame[1], 5, 6, 3) or not _is_whole(scan, 0, 4, 2):
        raise BadInput("A frame is JPEG of a process that is not taken, or its header is cut off.")
    marker, body = frame
    selection = scan[2 * scan[0] + 1]  # predictor of lossless JPEG; of JPEG-LS how much a sample may be off
    if marker == 0xF7:
        syntax = uids.JPEG_LS_NEAR_LOSSLESS if selection else uids.JPEG_LS_LOSSLESS
    elif marker == 0xC3:
        syntax = uids.JPEG_LOSSLESS_SV1 if selection == 1 else uids.JPEG_LOSSLESS
    else:
        syntax = uids.UID(_JPEG_PROCESSES[marker])
    adobe = next((b for m, b in segments if m == 0xEE and b.startswith(b"Adobe") and len(b) >= 12), None)
    names = bytes(body[6 + 3 * index] for index in range(body[5]))
    is_rgb = adobe[11] == 0 if adobe is not None else names == b"RGB" or marker in (0xC3, 0xF7)
    is_halved = len(body) > 7 and body[7] >> 4 == 2
    return Codestream(
        transfer_syntax_uid=syntax,
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        samples=body[5],
        precision=body[0],
        photometric="RGB" if is_rgb else "YBR_FULL_422" if is_halved else "YBR_FULL",
    )


def _is_whole(body: bytes, count: int, fixed: int, each: int) -> bool:
    """Say whether a segment is as long as its number of components, at ``count``, makes it."""
    return len(body) > count and len(body) >= fixed + each * body[count]


def _jpeg_2000(head: bytes) -> Codestream:
    """Read SIZ and COD (ITU-T T.800 A.5.1, A.6.1; T.814 for high throughput)."""
    segments = dict(reversed(_segments(head, 2)))
    siz, cod = segments.get(0x51, b""), segments.get(0x52, b"")
    if len(siz) < 37 or len(cod) < 10:
        raise BadInput("The header of a JPEG 2000 code stream is cut off.")
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (2, 6, 10, 14))
    is_reversible = cod[9] == 1
    if 0x50 in segments:
        syntax = uids.HTJ2K_LOSSLESS if is_reversible else uids.HTJ2K
    else:
        syntax = uids.JPEG_2000_LOSSLESS if is_reversible else uids.JPEG_2000
    transformed = "YBR_RCT" if is_reversible else "YBR_ICT"
    return Codestream(
        transfer_syntax_uid=syntax,
        rows=bottom - top,
        columns=right - left,
        samples=int.from_bytes(siz[34:36], "big"),
        precision=(siz[36] & 0x7F) + 1,
        is_signed=bool(siz[36] & 0x80),
        photometric=transformed if cod[4] else "RGB",
    )
