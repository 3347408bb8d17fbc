"""Charts: what a report draws, as SVG in the page itself.

Rule 1. Every figure stands as text beside what is drawn of it. Rule 2. Colours are the
page's classes, for light, dark and paper. Rule 3. What is new is drawn upwards and what
is gone downwards: the two are never one bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

_ROW: Final = 26
_LABEL: Final = 222
_BARS: Final = 460
_WIDTH: Final = 640
_MOST_POINTS: Final = 24
"""Runs in a trend; older ones are left out, and the page says so."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Parameters
    ----------
    label : str
        Beside it.
    value : int
        How long.
    colour : str
        A class of the page: ``e0`` … ``e5``, ``critical`` … ``info``.
    """

    label: str
    value: int
    colour: str


def bars(title: str, values: Sequence[Bar]) -> Markup:
    """Draw horizontal bars."""
    most = max((each.value for each in values), default=0) or 1
    room = _BARS - _LABEL - 60
    rows: list[Markup] = []
    for number, each in enumerate(values):
        top = number * _ROW
        long = round(room * each.value / most) if each.value else 0
        if each.value:
            long = max(long, 3)
        rows.append(
            Markup(
                '<text x="{label}" y="{y}" text-anchor="end">{name}</text>'
                '<rect class="{colour}" x="{x}" y="{top}" width="{long}" height="16" rx="2"/>'
                '<text class="figure" x="{end}" y="{y}">{value}</text>'
            ).format(
                label=_LABEL - 10,
                y=top + 16,
                name=each.label,
                colour=each.colour,
                x=_LABEL,
                top=top + 3,
                long=long,
                end=_LABEL + long + 8,
                value=f"{each.value:,}",
            )
        )
    return _svg(title, _BARS, len(values) * _ROW + 4, Markup().join(rows))


@dataclass(frozen=True, slots=True)
class Moment:
    """One run in a trend.

    Parameters
    ----------
    label : str
        The day.
    new, back, gone : int
        What was found for the first time, again, and no more.
    """

    label: str
    new: int
    back: int
    gone: int


def trend(title: str, moments: Sequence[Moment]) -> Markup:
    """Draw what is new and back upwards, and what is gone downwards, a column a run."""
    shown = moments[-_MOST_POINTS:]
    up = max((each.new + each.back for each in shown), default=0)
    down = max((each.gone for each in shown), default=0)
    scale = 120 / max(up, down, 1)
    middle = 22 + round(up * scale)
    height = middle + round(down * scale) + 44
    step = min(90, (_WIDTH - 20) // max(len(shown), 1))
    drawn = [Markup('<line class="axis" x1="0" y1="{y}" x2="{x}" y2="{y}"/>').format(y=middle, x=_WIDTH)]
    for number, each in enumerate(shown):
        left, wide = 10 + number * step, max(6, step - 14)
        new, back, gone = (round(value * scale) for value in (each.new, each.back, each.gone))
        drawn.append(
            Markup(
                '<rect class="new" x="{left}" y="{new_top}" width="{wide}" height="{new}"/>'
                '<rect class="back" x="{left}" y="{back_top}" width="{wide}" height="{back}"/>'
                '<rect class="gone" x="{left}" y="{middle}" width="{wide}" height="{gone}"/>'
            ).format(
                left=left,
                wide=wide,
                new_top=middle - new,
                new=new,
                back_top=middle - new - back,
                back=back,
                middle=middle,
                gone=gone,
            )
        )
        centre = left + wide // 2
        for value, y in ((each.new + each.back, middle - new - back - 6), (each.gone, middle + gone + 15)):
            if value:
                drawn.append(
                    Markup('<text class="figure" x="{x}" y="{y}" text-anchor="middle">{value}</text>').format(
                        x=centre, y=y, value=value
                    )
                )
        if number in {0, len(shown) - 1} or len(shown) <= _WIDTH // 90:
            anchor = "start" if number == 0 else "end" if number == len(shown) - 1 and number else "middle"
            x = left if number == 0 else left + wide if anchor == "end" else centre
            drawn.append(
                Markup('<text x="{x}" y="{y}" text-anchor="{anchor}">{label}</text>').format(
                    x=x, y=height - 6, anchor=anchor, label=each.label
                )
            )
    return _svg(title, _WIDTH, height, Markup().join(drawn))


def _svg(title: str, width: int, height: int, inside: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{inside}</svg>').format(
        width=width, height=height, title=escape(title), inside=inside
    )
