"""From stored values to RGB of 8 bits: palettes and color models (PS3.3 C.7.6.3.1.2, C.7.9). In a render worker."""

from typing import Final

import numpy as np

from leadglass.dicom.render_gray import Bytes8, lut_values
from leadglass.dicom.render_model import Lut, Palette
from leadglass.dicom.render_samples import Array, Samples
from leadglass.errors import BadInput, Unsupported

_RGB: Final = frozenset({"RGB", "YBR_RCT", "YBR_ICT", "XYB"})
"""Models that decoders give as RGB."""
_LONGEST_TABLE: Final = 1 << 16


def to_rgb(samples: Samples, palette: Palette | None) -> Bytes8:
    """Give the color picture of a frame, as large as the frame.

    Raises
    ------
    BadInput
        When the palette is damaged.
    Unsupported
        For color models that are retired or unknown.
    """
    match samples.photometric:
        case "PALETTE COLOR":
            return _by_palette(samples, palette)
        case photometric if photometric in _RGB:
            return _eight_bits(samples)
        case "YBR_FULL" | "YBR_FULL_422":
            return _from_ybr(_eight_bits(samples))
        case "YBR_PARTIAL_422" | "YBR_PARTIAL_420":
            return _from_partial(_eight_bits(samples))
        case _:
            raise Unsupported("The image is of a color model (Photometric Interpretation) that cannot be rendered.")


def _eight_bits(samples: Samples) -> Bytes8:
    if samples.raw.ndim != 3:
        raise BadInput("Samples per Pixel does not fit the Photometric Interpretation.")
    values, stored = samples.values(), samples.pixels.stored
    if samples.pixels.is_signed or values.dtype.kind != "u":
        raise Unsupported("A color image of signed or floating point samples cannot be rendered.")
    if stored == 8 and values.dtype == np.uint8:
        return values
    scale = 255.0 / ((1 << stored) - 1)
    return (values * scale + 0.5).astype(np.uint8)


def _from_ybr(ybr: Bytes8) -> Bytes8:
    """Convert YBR_FULL to RGB (PS3.3 C.7.6.3.1.2)."""
    y, cb, cr = (ybr[..., each].astype(np.float32) for each in range(3))
    cb -= 128
    cr -= 128
    rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), axis=-1)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def _from_partial(ybr: Bytes8) -> Bytes8:
    """Convert YBR_PARTIAL (black is 16, white 235) to RGB (PS3.3 C.7.6.3.1.2, retired)."""
    y, cb, cr = (ybr[..., each].astype(np.float32) for each in range(3))
    y = (y - 16) * 1.164383
    cb -= 128
    cr -= 128
    rgb = np.stack((y + 1.596027 * cr, y - 0.391762 * cb - 0.812968 * cr, y + 2.017232 * cb), axis=-1)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def _by_palette(samples: Samples, palette: Palette | None) -> Bytes8:
    if palette is None or samples.raw.ndim != 2:
        raise BadInput("The image is PALETTE COLOR and has no palette, or several samples per pixel.")
    tables = [_entries(lut) for lut in (palette.red, palette.green, palette.blue)]
    shortest = min(table.size for table in tables)
    if not shortest:
        raise BadInput("The palette has no entries.")
    is_deep = any(lut.bits > 8 for lut in (palette.red, palette.green, palette.blue)) and any(
        int(table.max()) > 255 for table in tables
    )
    colors = np.stack([(table[:shortest] >> 8 if is_deep else table[:shortest]) for table in tables], axis=-1)
    places = np.clip(samples.values().astype(np.int64) - palette.red.first, 0, shortest - 1)
    return colors.astype(np.uint8)[places]


def _entries(lut: Lut) -> Array:
    if not lut.is_segmented:
        return lut_values(lut)
    width = 1 if lut.bits <= 8 else 2
    words = np.frombuffer(lut.data, dtype=f"<u{width}", count=len(lut.data) // width)
    return _Segments(words.tolist(), width, min(lut.entries, _LONGEST_TABLE)).expanded()


class _Segments:
    """A segmented palette (PS3.3 C.7.9.2) being expanded into ``most`` entries at most."""

    __slots__ = ("_most", "_out", "_starts", "_width", "_words")

    def __init__(self, words: list[int], width: int, most: int) -> None:
        self._words = words
        self._width = width
        self._most = most
        self._out: list[int] = []
        self._starts: set[int] = set()

    def expanded(self) -> Array:
        place = 0
        while place + 1 < len(self._words) and len(self._out) < self._most:
            after = self._indirect(place) if self._words[place] == 2 else self._direct(place)
            self._starts.add(place)
            place = after
        return np.array(self._out[: self._most], dtype=np.uint16)

    def _direct(self, place: int) -> int:
        """Expand a discrete or linear segment and give the place of the next."""
        words, out, room = self._words, self._out, self._most - len(self._out)
        kind, length = words[place], words[place + 1]
        match kind:
            case 0:
                out.extend(words[place + 2 : place + 2 + length][:room])
                return place + 2 + length
            case 1:
                if not out or place + 2 >= len(words):
                    raise BadInput("A segmented palette begins with a linear segment, or ends within one.")
                ends = np.linspace(out[-1], words[place + 2], length + 1)[1:]
                out.extend(np.rint(ends).astype(int).tolist()[:room])
                return place + 3
            case _:
                raise BadInput("A segmented palette has a segment of an unknown kind.")

    def _indirect(self, place: int) -> int:
        """Expand earlier segments again; none of them may be indirect, so that this ends."""
        size = 4 // self._width
        raw = self._words[place + 2 : place + 2 + size]
        if len(raw) < size:
            raise BadInput("A segmented palette ends within an indirect segment.")
        offset = sum(word << (8 * self._width * index) for index, word in enumerate(raw))
        # Bytes by the Standard; some writers count words.
        at = offset // self._width if offset // self._width in self._starts else offset
        for _ in range(self._words[place + 1]):
            if at not in self._starts or self._words[at] == 2:
                raise BadInput("An indirect segment of a palette points to no earlier segment.")
            at = self._direct(at)
        return place + 2 + size
