"""A plot with both axes logarithmic, as SVG: enough to see what grows."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 420, 60, 250, 20, 45
_COLOURS = ("#0b6e99", "#c1440e", "#2e7d32", "#7b3fa0", "#8a6d00", "#444444", "#b0006d", "#006064")


def log_log(lines: Mapping[str, Sequence[float]], across: Sequence[int], *, x: str, y: str) -> str:
    """Give the SVG.

    Parameters
    ----------
    lines : mapping
        Values by name, one for each of ``across``.
    across : sequence of int
        Where the values are, from the smallest.
    x, y : str
        What the axes say.
    """
    every = [value for values in lines.values() for value in values if value > 0]
    low, high = floor(log10(min(every))), ceil(log10(max(every)))
    first, last = log10(across[0]), log10(across[-1])
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(count: float, value: float) -> tuple[float, float]:
        right = (log10(count) - first) / ((last - first) or 1)
        up = (log10(value) - low) / ((high - low) or 1)
        return _LEFT + right * wide, _TOP + (1 - up) * tall

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for power in range(low, high + 1):
        left, height = at(across[0], 10.0**power)
        parts.append(f'<path d="M{left:.0f} {height:.1f}h{wide}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 8:.0f}" y="{height + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for count in across:
        middle, height = at(count, 10.0**low)
        parts.append(f'<text x="{middle:.1f}" y="{height + 18:.1f}" text-anchor="middle">{count:,}</text>')
    parts.append(f'<text x="{_LEFT + wide / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{x}</text>')
    half = f"{_TOP + tall / 2:.0f}"
    parts.append(f'<text x="14" y="{half}" text-anchor="middle" transform="rotate(-90 14 {half})">{y}</text>')
    labels = _apart([(at(across[-1], max(values[-1], 10.0**low))[1], name) for name, values in lines.items()])
    for number, (name, values) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [at(count, max(value, 10.0**low)) for count, value in zip(across, values, strict=True)]
        path = " ".join(f"{right:.1f},{height:.1f}" for right, height in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{right:.1f}" cy="{height:.1f}" r="3" fill="{colour}"/>' for right, height in points]
        parts.append(
            f'<text x="{_LEFT + wide + 12}" y="{labels[name] + 4:.1f}" fill="{colour}">{name} ({values[-1]:.2f})</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _apart(wanted: list[tuple[float, str]]) -> dict[str, float]:
    """Move labels down until none lies on another."""
    placed: dict[str, float] = {}
    lowest = float("-inf")
    for height, name in sorted(wanted):
        lowest = max(height, lowest + 15)
        placed[name] = lowest
    return placed
