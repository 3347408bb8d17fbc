"""A plot of what grows, as SVG: what things cost at each size, and below it how many times the first size's cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 900
_LEFT, _PLOT, _TALL, _TOP, _GAP, _BOTTOM = 60, 560, 300, 34, 62, 64
_COLOURS: Final = ("#0b6e99", "#c1440e", "#2e7d32", "#7b3fa0", "#8a6d00", "#444444", "#b0006d", "#006064")
_LABEL: Final = 16
"""Height of a line of text."""

At = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Parameters
    ----------
    title : str
        What its values are, with their unit.
    lines : mapping
        Values by name, one for each size.
    is_log : bool
        Whether its axis is logarithmic; otherwise it begins at 0.
    band : tuple of float, optional
        From where to where to shade.
    band_says : str
        What is written there.
    """

    title: str
    lines: Mapping[str, Sequence[float]]
    is_log: bool = False
    band: tuple[float, float] | None = None
    band_says: str = ""


def two_panels(upper: Panel, lower: Panel, across: Sequence[int], *, x: str, below: str) -> str:
    """Give the SVG of two panels, one below the other, with the same lines.

    Parameters
    ----------
    upper, lower : Panel
        What they show.
    across : sequence of int
        Where the values are, from the smallest.
    x, below : str
        What the axis says, and a line below everything.
    """
    high = _TOP + 2 * _TALL + _GAP + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {high}" font-family="sans-serif"',
        ' font-size="12">',
        f'<rect width="{_WIDTH}" height="{high}" fill="#ffffff"/>',
        *_panel(upper, across, _TOP),
        *_panel(lower, across, _TOP + _TALL + _GAP),
        f'<text x="{_LEFT + _PLOT / 2:.0f}" y="{high - 28}" text-anchor="middle">{escape(x)} (logarithmic)</text>',
        f'<text x="{_LEFT}" y="{high - 8}" font-size="11" fill="#555555">{escape(below)}</text>',
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _panel(panel: Panel, across: Sequence[int], top: int) -> list[str]:
    place, ticks = _axis(panel, top)
    first, last = log10(across[0]), log10(across[-1])

    def along(count: float) -> float:
        return _LEFT + (log10(count) - first) / ((last - first) or 1) * _PLOT

    scale = "logarithmic" if panel.is_log else "from 0"
    parts = [f'<text x="{_LEFT}" y="{top - 12}" font-weight="bold">{escape(panel.title)} ({scale})</text>']
    if panel.band is not None:
        low, high = place(panel.band[0]), place(panel.band[1])
        parts.append(f'<rect x="{_LEFT}" y="{high:.1f}" width="{_PLOT}" height="{low - high:.1f}" fill="#e8f3e8"/>')
        parts.append(f'<text x="{_LEFT + 6}" y="{high + 13:.1f}" fill="#2e7d32">{escape(panel.band_says)}</text>')
    for tick in ticks:
        parts.append(f'<path d="M{_LEFT} {place(tick):.1f}h{_PLOT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{place(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for count in across:
        parts.append(f'<path d="M{along(count):.1f} {top}v{_TALL}" stroke="#eeeeee"/>')
        parts.append(f'<text x="{along(count):.1f}" y="{top + _TALL + 18}" text-anchor="middle">{count:,}</text>')
    beside = _apart([(place(values[-1]), name) for name, values in panel.lines.items()], top + _TALL)
    for number, (name, values) in enumerate(panel.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(along(count), place(value)) for count, value in zip(across, values, strict=True)]
        path = " ".join(f"{right:.1f},{height:.1f}" for right, height in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{right:.1f}" cy="{height:.1f}" r="3" fill="{colour}"/>' for right, height in points]
        right, height = points[-1]
        label = beside[name]
        parts.append(
            f'<path d="M{right + 4:.1f} {height:.1f}L{right + 14:.1f} {label:.1f}" stroke="{colour}" fill="none"/>'
        )
        said = f"{name}: {values[-1]:,.2f}"
        parts.append(f'<text x="{right + 18:.1f}" y="{label + 4:.1f}" fill="{colour}">{escape(said)}</text>')
    return parts


def _axis(panel: Panel, top: int) -> tuple[At, list[float]]:
    """Give where a value stands, and the values that are written at the axis."""
    every = [value for values in panel.lines.values() for value in values if value > 0]
    if panel.is_log:
        low, high = floor(log10(min(every))), ceil(log10(max(every)))
        span = (high - low) or 1
        ticks = [10.0**power for power in range(low, low + span + 1)]
        return lambda value: top + (1 - (log10(max(value, 10.0**low)) - low) / span) * _TALL, ticks
    reach = max(1.5, *every)
    step = next((step for step in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0) if reach / step <= 8), reach / 8)
    count = ceil(reach / step)
    return lambda value: top + (1 - value / (count * step)) * _TALL, [step * number for number in range(count + 1)]


def _apart(wanted: list[tuple[float, str]], bottom: float) -> dict[str, float]:
    """Move labels until none lies on another and none below the panel."""
    placed: dict[str, float] = {}
    lowest = float("-inf")
    for height, name in sorted(wanted):
        lowest = max(height, lowest + _LABEL)
        placed[name] = lowest
    highest = bottom
    for name in reversed(placed):
        placed[name] = highest = min(placed[name], highest)
        highest -= _LABEL
    return placed
