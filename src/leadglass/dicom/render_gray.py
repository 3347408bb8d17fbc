"""From stored values to gray: Modality LUT, VOI LUT, inversion (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2). In a worker.

Rule: the whole chain is one function of a stored value. Where there are more
pixels than possible values, it is worked out once for each value and looked up.
Padding is black, whatever the window, and never widens one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from leadglass.dicom.render_model import Gray, Lut, VoiFunction, Window
from leadglass.dicom.render_samples import Array, Samples

Floats = NDArray[np.float64]
Bytes8 = NDArray[np.uint8]

_LONGEST_DOMAIN: Final = 1 << 16
_WHITE: Final = 255.0
_ENOUGH: Final = 1 << 20
"""Values of a frame that are looked at for which of them are few."""


def lut_values(lut: Lut) -> Array:
    """Give a table's entries, as many as are really there and no more than it says.

    Tables of 8 bits are found as bytes and as words; which, its length tells.
    Empty when there are none.
    """
    words = len(lut.data) // 2
    if lut.bits <= 8 and words < lut.entries:
        return np.frombuffer(lut.data, dtype=np.uint8)[: lut.entries]
    return np.frombuffer(lut.data, dtype="<u2", count=words)[: lut.entries]


def look_up(lut: Lut, values: Array) -> Floats:
    """Map values through a table; what is below or above it gets its first or last entry (PS3.3 C.11.1.1.1)."""
    table = lut_values(lut).astype(np.float64)
    if not table.size:
        return values.astype(np.float64)
    places = np.clip(np.nan_to_num(values.astype(np.float64)) - lut.first, 0, table.size - 1)
    return table[places.astype(np.int64)]


def lut_top(lut: Lut) -> float:
    """Give the greatest value that a table can give: that of its bits, or of its entries where they are larger."""
    table = lut_values(lut)
    most = float(table.max()) if table.size else 0.0
    said = float((1 << min(max(lut.bits, 1), 16)) - 1)
    return max(most, said)


def windowed(window: Window, values: Floats) -> Floats:
    """Map values to 0 … 1 as a window says (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    match window.function:
        case VoiFunction.LINEAR:
            if width <= 1:
                return (values > center - 0.5).astype(np.float64)
            scaled = (values - (center - 0.5)) / (width - 1) + 0.5
        case VoiFunction.LINEAR_EXACT:
            scaled = (values - center) / width + 0.5
        case VoiFunction.SIGMOID:
            return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    return np.clip(scaled, 0.0, 1.0)


def _modality(gray: Gray, stored: Array) -> Floats:
    values = stored.astype(np.float64)
    if gray.modality is not None:
        return look_up(gray.modality, values)
    if gray.slope != 1.0 or gray.intercept != 0.0:
        values *= gray.slope
        values += gray.intercept
    return values


def _padded(gray: Gray, stored: Array) -> NDArray[np.bool_] | None:
    if gray.padding is None:
        return None
    low, high = gray.padding
    return (stored >= low) & (stored <= high)


def _presented(gray: Gray, wished: Window | None, span: tuple[float, float], stored: Array) -> Bytes8:
    """Give the gray of stored values."""
    values = _modality(gray, stored)
    window = wished if wished is not None else None if gray.voi is not None else gray.window
    if window is not None:
        shown = windowed(window, values)
    elif gray.voi is not None and wished is None and lut_values(gray.voi).size:
        shown = look_up(gray.voi, values) / lut_top(gray.voi)
    else:
        low, high = span
        width = high - low
        shown = np.clip((values - low) / width, 0.0, 1.0) if width > 0 else np.zeros(values.shape)
    if gray.is_inverted:
        shown = 1.0 - shown
    shown = np.nan_to_num(shown, nan=0.0)
    grays = (shown * _WHITE + 0.5).astype(np.uint8)
    padded = _padded(gray, stored)
    if padded is not None:
        grays[padded] = 0
    return grays


def span_of(samples: Samples, gray: Gray, leaves_out: float = 0.0) -> tuple[float, float]:
    """Give the least and greatest value after the Modality LUT, padding and what is no number left out.

    A picture of one value alone is black when that is 0 or less, else white.

    Parameters
    ----------
    samples : Samples
        The frame.
    gray : Gray
        How values become gray.
    leaves_out : float
        What part of the values does not count at either end.
    """
    if samples.pixels.allocated == 1:
        return 0.0, 1.0
    low, high = _span_of(samples, gray, leaves_out)
    return (min(low, 0.0), high) if low == high else (low, high)


def _span_of(samples: Samples, gray: Gray, leaves_out: float) -> tuple[float, float]:
    stored = samples.values()
    if gray.padding is not None:
        stored = stored[~((stored >= gray.padding[0]) & (stored <= gray.padding[1]))]
    if stored.dtype.kind == "f":
        stored = stored[np.isfinite(stored)]
    if not stored.size:
        return 0.0, 0.0
    ends = _ends(stored.ravel(), leaves_out)
    if gray.modality is not None:
        table = look_up(gray.modality, np.arange(float(ends[0]), float(ends[1]) + 1.0))
        return float(table.min()), float(table.max())
    low, high = sorted(_modality(gray, ends).tolist())
    return low, high


def _ends(stored: Array, leaves_out: float) -> Array:
    """Give the least and the greatest value but for those few that would make all others too dark or too light.

    The ground, which is the least value as a rule and may be most of a picture, tells nothing of what is bright.
    """
    ends = np.array([stored.min(), stored.max()])
    if not leaves_out:
        return ends
    some = stored[:: max(1, stored.size // _ENOUGH)]
    bright = some[some > ends[0]]
    if not bright.size:
        return ends
    inner = np.array([np.quantile(some, leaves_out), np.quantile(bright, 1.0 - leaves_out)])
    return inner if inner[0] < inner[1] else ends


def full_span(samples: Samples, gray: Gray) -> tuple[float, float]:
    """Give the range of values that the bits allow, after the Modality LUT."""
    pixels = samples.pixels
    low = -(1 << (pixels.stored - 1)) if pixels.is_signed else 0
    if gray.modality is not None:
        return 0.0, lut_top(gray.modality)
    ends = _modality(gray, np.array([low, low + (1 << pixels.stored) - 1]))
    first, last = sorted(ends.tolist())
    return first, last


def needs_span(gray: Gray, wished: Window | None) -> bool:
    """Say whether nothing but the pixels themselves tells what is black and what white."""
    has_table = gray.voi is not None and lut_values(gray.voi).size > 0
    return wished is None and gray.window is None and not has_table


def to_gray(samples: Samples, gray: Gray, wished: Window | None, span: tuple[float, float]) -> Bytes8:
    """Give the gray picture of a frame, as large as the frame.

    Parameters
    ----------
    samples : Samples
        The frame, of one sample per pixel.
    gray : Gray
        How values become gray.
    wished : Window or None
        The caller's window, instead of the data set's.
    span : tuple of float
        What is black and what white where neither has a window.
    """
    raw = samples.raw
    if raw.dtype.kind == "u" and raw.dtype.itemsize <= 2 and raw.size > 1 << (8 * raw.dtype.itemsize):
        domain = np.arange(min(_LONGEST_DOMAIN, 1 << (8 * raw.dtype.itemsize)), dtype=raw.dtype)
        return _presented(gray, wished, span, samples.values(domain))[raw]
    return _presented(gray, wished, span, samples.values())
