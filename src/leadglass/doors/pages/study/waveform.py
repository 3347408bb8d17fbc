"""Waveform: some seconds of curves as lines to draw (PS3.3 C.10.9).

Rule 1. Only what is drawn is read, whatever the recording's length. Rule 2. A line
has no more points than a screen can show: of what falls on one place, its least
and its greatest value. Rule 3. What is not understood is said, never guessed.
"""

import base64
import binascii
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from leadglass.dicom.model import Attributes, bulk_location
from leadglass.doors.pages.study import reading

SECONDS: Final = 10.0
"""Of one page."""
WIDTH: Final = 1000
HEIGHT: Final = 100
"""Of one line's drawing, in units of its own."""
_MOST_GROUPS: Final = 8
_MOST_CHANNELS: Final = 64
_MOST_BYTES: Final = 16 << 20
"""Bytes that are read for one group."""
_Kind = Literal["b", "B", "h", "H", "i", "I"]
_TYPES: Final[dict[tuple[int, str], _Kind]] = {
    (8, "SB"): "b", (8, "UB"): "B", (16, "SS"): "h", (16, "US"): "H", (32, "SL"): "i", (32, "UL"): "I",
}  # fmt: skip
"""Types of samples (PS3.3 C.10.9.1.5), as the standard library names them; companded ones are not drawn."""

ReadBytes = Callable[[int, int], bytes]
"""Gives bytes of the data set: where, and how many."""


@dataclass(frozen=True, slots=True)
class Line:
    """One channel.

    Parameters
    ----------
    name, unit : str
        What was measured, and in what.
    path : str
        What to draw, as SVG writes it, in a box of ``WIDTH`` and ``HEIGHT``.
    low, high : str
        The values at its lower and upper edge.
    """

    name: str
    unit: str
    path: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Curves:
    """One multiplex group.

    Parameters
    ----------
    label : str
        What it is called.
    rate : float
        Samples in a second.
    start, seconds, whole : float
        Where what is drawn begins, how long it is, and how long the recording; seconds.
    lines : tuple of Line
        The channels.
    problem : str
        Why nothing is drawn; an English text, empty when it is.
    """

    label: str
    rate: float
    start: float
    seconds: float
    whole: float
    lines: tuple[Line, ...]
    problem: str = ""

    @property
    def has_more(self) -> bool:
        """Whether the recording goes on."""
        return self.start + self.seconds < self.whole - 0.001


def curves_of(attributes: Attributes, start: float, read: ReadBytes, *, is_big_endian: bool) -> list[Curves]:
    """Read the groups of an instance.

    Parameters
    ----------
    attributes : Attributes
        Its metadata.
    start : float
        Seconds from the beginning.
    read : callable
        Gives bytes of the data set.
    is_big_endian : bool
        Whether what is read is; what metadata holds never is.
    """
    groups = reading.items(attributes, "WaveformSequence")[:_MOST_GROUPS]
    return [_group(each, max(start, 0.0), read, is_big_endian=is_big_endian) for each in groups]


def _group(group: Attributes, start: float, read: ReadBytes, *, is_big_endian: bool) -> Curves:
    label = reading.first(group, "MultiplexGroupLabel") or reading.first(group, "WaveformOriginality").lower()
    rate = reading.number(group, "SamplingFrequency") or 0.0
    channels = int(reading.number(group, "NumberOfWaveformChannels") or 0)
    samples = int(reading.number(group, "NumberOfWaveformSamples") or 0)
    bits = int(reading.number(group, "WaveformBitsAllocated") or 0)
    kind = _TYPES.get((bits, reading.first(group, "WaveformSampleInterpretation", 4)))
    if not 0 < rate <= 1e7 or samples <= 0 or not 0 < channels <= 10_000:
        return Curves(label, 0.0, 0.0, 0.0, 0.0, (), "The curves cannot be drawn: what describes them is missing.")
    whole = samples / rate
    if kind is None:
        return Curves(label, rate, 0.0, 0.0, whole, (), "Samples of this kind are not drawn; sound, for instance.")
    first = min(int(start * rate), samples - 1)
    frame = channels * bits // 8
    count = min(int(SECONDS * rate) or 1, samples - first, max(_MOST_BYTES // frame, 1))
    data = _bytes(group, first * frame, count * frame, read)
    taken: array[int] = array(kind)
    taken.frombytes(data[: len(data) // frame * frame])
    is_bulk = "BulkDataURI" in reading.element_of(group, "WaveformData")
    if (is_big_endian and is_bulk and bits == 16) != (sys.byteorder == "big"):
        taken.byteswap()
    shown = len(taken) // channels
    if not shown:
        return Curves(label, rate, 0.0, 0.0, whole, (), "The curves are not here: the recording is empty or cut off.")
    padding = _padding(group, kind)
    definitions = reading.items(group, "ChannelDefinitionSequence")
    drawn = [
        definitions[channel] if channel < len(definitions) else {} for channel in range(min(channels, _MOST_CHANNELS))
    ]
    parts = [taken[channel::channels] for channel in range(len(drawn))]
    ends = [_ends(part, padding) for part in parts]
    if len({_scale(each) for each in drawn}) == 1:  # one scale: heights can be compared
        ends = [(min(low for low, _ in ends), max(high for _, high in ends))] * len(ends)
    lines = [
        _line(part, definition, number, padding, *end)
        for number, (part, definition, end) in enumerate(zip(parts, drawn, ends, strict=True), 1)
    ]
    return Curves(label, rate, first / rate, shown / rate, whole, tuple(lines))


def _bytes(group: Attributes, offset: int, length: int, read: ReadBytes) -> bytes:
    element = reading.element_of(group, "WaveformData")
    if "InlineBinary" in element:
        try:
            return base64.b64decode(element["InlineBinary"])[offset : offset + length]
        except binascii.Error:
            return b""
    located = bulk_location(element.get("BulkDataURI", ""))
    if located is None:
        return b""
    place, size = located
    return read(place + offset, min(length, size - offset)) if offset < size else b""


def _padding(group: Attributes, kind: _Kind) -> int | None:
    element = reading.element_of(group, "WaveformPaddingValue")
    try:
        data = base64.b64decode(element.get("InlineBinary", ""))
    except binascii.Error:
        return None
    value: array[int] = array(kind)
    if not data or len(data) % value.itemsize:
        return None
    value.frombytes(data[: value.itemsize])
    if sys.byteorder == "big":
        value.byteswap()
    return value[0]


def _scale(definition: Attributes) -> tuple[float, float, str]:
    """Give what a sample is worth, what 0 stands for, and in which unit (PS3.3 C.10.9.1.4)."""
    unit = reading.first(reading.item(definition, "ChannelSensitivityUnitsSequence"), "CodeValue", 20)
    worth = reading.number(definition, "ChannelSensitivity")
    correction = reading.number(definition, "ChannelSensitivityCorrectionFactor")
    scale = (1.0 if worth is None else worth) * (1.0 if correction is None else correction)
    return scale, reading.number(definition, "ChannelBaseline") or 0.0, unit


def _ends(samples: "array[int]", padding: int | None) -> tuple[int, int]:
    there = [value for value in samples if value != padding] if padding is not None else samples
    return (min(there), max(there)) if there else (0, 0)


def _line(samples: "array[int]", definition: Attributes, number: int, padding: int | None, low: int, high: int) -> Line:
    name = reading.meaning(definition, "ChannelSourceSequence") or reading.first(definition, "ChannelLabel")
    scale, base, unit = _scale(definition)
    return Line(
        name=name.removeprefix("Lead ") or str(number),
        unit=unit,
        path=_path(samples, low, high, padding),
        low=f"{low * scale + base:.4g}",
        high=f"{high * scale + base:.4g}",
    )


def _path(samples: "array[int]", low: int, high: int, padding: int | None) -> str:
    """Draw a line: between two places of the drawing from the least to the greatest value there."""
    span, count = (high - low) or 1, len(samples)
    margin = HEIGHT * 0.05
    tall = HEIGHT - 2 * margin

    def y(value: int) -> float:
        return HEIGHT / 2 if high == low else margin + (high - value) / span * tall

    parts: list[str] = []
    is_down = False
    step = max(count // WIDTH, 1)
    for begin in range(0, count, step):
        piece = [value for value in samples[begin : begin + step] if value != padding]
        if not piece:
            is_down = False
            continue
        x = begin * WIDTH / max(count - 1, 1)
        for value in dict.fromkeys((piece[0], min(piece), max(piece), piece[-1])):
            parts.append(f"{'L' if is_down else 'M'}{x:.1f} {y(value):.1f}")
            is_down = True
    return "".join(parts)
