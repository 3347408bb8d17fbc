"""The query parameters of rendered resources and thumbnails (PS3.18 sections 8.3.5.1 and 10.4.1.2.4).

Rule: a parameter that is unknown, said twice or not well-formed is refused by
its name; nothing is guessed, and what was sent is not repeated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Final

from leadglass.dicom.render_model import IccProfile, Viewport, VoiFunction, Window
from leadglass.doors.dicomweb.parameters import once
from leadglass.errors import BadInput, Unsupported

LARGEST_SIDE: Final = 8192
"""Pixels of a viewport's side: twice the best display."""
THUMBNAIL: Final = Viewport(128, 128)
"""What a thumbnail fits into when nothing else is asked for."""
_USUAL_QUALITY: Final = 90
_SIDE: Final = re.compile(r"[0-9]{1,6}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,17}(?:\.[0-9]{0,17})?|\.[0-9]{1,17})(?:[eE][+-]?[0-9]{1,3})?")


class Annotation(StrEnum):
    """What the ``annotation`` parameter may ask for (PS3.18 section 8.3.5.1.1)."""

    PATIENT = "patient"
    TECHNIQUE = "technique"


@dataclass(frozen=True, slots=True)
class RenderQuery:
    """What a request says of the picture it wants.

    Parameters
    ----------
    viewport : Viewport or None
        Region and size.
    window : Window or None
        Instead of the image's own.
    quality : int
        Of JPEG.
    icc : IccProfile
        What becomes of color spaces.
    annotations : frozenset of Annotation
        What text is drawn.
    may_enlarge : bool
        Whether the picture is brought to the viewport's size where it is smaller.
    """

    viewport: Viewport | None = None
    window: Window | None = None
    quality: int = _USUAL_QUALITY
    icc: IccProfile = IccProfile.NO
    annotations: frozenset[Annotation] = frozenset()
    may_enlarge: bool = True


def parse_rendered(items: Iterable[tuple[str, str]]) -> RenderQuery:
    """Read the query of a rendered resource.

    Parameters
    ----------
    items : iterable of tuple of str
        Names and values, decoded, in order. ``accept`` is left to ``accept``.

    Raises
    ------
    BadInput
        Naming the parameter.
    """
    said = once(items, ("viewport", "window", "quality", "annotation", "iccprofile"))
    return RenderQuery(
        viewport=_viewport(said["viewport"]) if "viewport" in said else None,
        window=_window(said["window"]) if "window" in said else None,
        quality=_quality(said["quality"]) if "quality" in said else _USUAL_QUALITY,
        icc=_icc(said["iccprofile"]) if "iccprofile" in said else IccProfile.NO,
        annotations=_annotations(said["annotation"]) if "annotation" in said else frozenset(),
    )


def parse_thumbnail(items: Iterable[tuple[str, str]]) -> Viewport:
    """Read the query of a thumbnail: ``viewport`` with a size and no region; raises as ``parse_rendered``."""
    said = once(items, ("viewport",))
    if "viewport" not in said:
        return THUMBNAIL
    if said["viewport"].count(",") != 1:
        raise BadInput("viewport: that of a thumbnail is a width and a height: viewport=128,128")
    return _viewport(said["viewport"])


def parse_uri(given: Mapping[str, str]) -> tuple[RenderQuery, int | None]:
    """Read what WADO-URI says of a picture (PS3.18 section 9.1.2.2); raises as ``parse_rendered``.

    Parameters
    ----------
    given : mapping of str to str
        Parameters beside those that name the instance and the media type.

    Returns
    -------
    tuple of RenderQuery and int or None
        The picture, and the frame number where there is one.
    """
    if given.keys() & {"presentationUID", "presentationSeriesUID"}:
        raise Unsupported("Presentation states are not applied yet: leave presentationUID out.")
    if ("windowCenter" in given) != ("windowWidth" in given):
        raise BadInput("windowCenter: it goes with windowWidth, and the other way round.")
    window = _window(f"{given['windowCenter']},{given['windowWidth']}") if "windowCenter" in given else None
    query = RenderQuery(
        viewport=_uri_viewport(given),
        window=window,
        quality=_quality(given["imageQuality"]) if "imageQuality" in given else _USUAL_QUALITY,
        annotations=_annotations(given["annotation"]) if "annotation" in given else frozenset(),
        may_enlarge="rows" in given or "columns" in given,
    )
    return query, _whole("frameNumber", given["frameNumber"]) if "frameNumber" in given else None


def _uri_viewport(given: Mapping[str, str]) -> Viewport | None:
    """Read ``rows``, ``columns`` and ``region``: left, top, right and bottom in parts of the image."""
    if not given.keys() & {"rows", "columns", "region"}:
        return None
    height = _whole("rows", given["rows"]) if "rows" in given else LARGEST_SIDE
    width = _whole("columns", given["columns"]) if "columns" in given else LARGEST_SIDE
    if max(height, width) > LARGEST_SIDE:
        raise BadInput(f"rows: rows and columns are at most {LARGEST_SIDE}.")
    if "region" not in given:
        return Viewport(width, height)
    parts = given["region"].split(",")
    if len(parts) != 4 or not all(_DECIMAL.fullmatch(part) for part in parts):
        raise BadInput("region: left, top, right and bottom, from 0.0 to 1.0: region=0.0,0.0,0.5,0.5")
    left, top, right, bottom = (float(part) for part in parts)
    if not 0 <= left < right <= 1 or not 0 <= top < bottom <= 1:
        raise BadInput("region: left, top, right and bottom, from 0.0 to 1.0: region=0.0,0.0,0.5,0.5")
    return Viewport(width, height, left, top, right - left, bottom - top, is_relative=True)


def _whole(name: str, text: str) -> int:
    if not _SIDE.fullmatch(text) or not int(text):
        raise BadInput(f"{name}: a whole number from 1.")
    return int(text)


def _viewport(text: str) -> Viewport:
    """Read ``vw,vh`` or ``vw,vh,sx,sy,sw,sh``, of which the last four may be empty (PS3.18 section 8.3.5.1.3)."""
    parts = text.split(",")
    if len(parts) not in (2, 6):
        raise BadInput("viewport: 2 or 6 numbers: width,height or width,height,sx,sy,sw,sh")
    width, height = (_side(part) for part in parts[:2])
    if len(parts) == 2:
        return Viewport(width, height)
    x, y, region_width, region_height = (_decimal(part) if part else None for part in parts[2:])
    if (x is not None and x < 0) or (y is not None and y < 0):
        raise BadInput("viewport: sx and sy are not negative; the region begins within the image.")
    if region_width == 0 or region_height == 0:
        raise BadInput("viewport: sw and sh are not 0; negative ones mirror the region.")
    return Viewport(width, height, x or 0.0, y or 0.0, region_width, region_height)


def _side(text: str) -> int:
    side = int(text) if _SIDE.fullmatch(text) else 0
    if not 1 <= side <= LARGEST_SIDE:
        raise BadInput(f"viewport: width and height are whole numbers from 1 to {LARGEST_SIDE}.")
    return side


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise BadInput("viewport: sx, sy, sw and sh are decimal numbers.")
    return float(text)


def _window(text: str) -> Window:
    """Read ``center,width,function`` (PS3.18 section 8.3.5.1.4); without a function it is linear."""
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise BadInput("window: center,width,function, as in window=40,400,linear")
    if not all(_NUMBER.fullmatch(part) for part in parts[:2]):
        raise BadInput("window: center and width are numbers.")
    center, width = float(parts[0]), float(parts[1])
    name = parts[2].upper().replace("-", "_") if len(parts) == 3 else VoiFunction.LINEAR.value
    if name not in list(VoiFunction):
        raise BadInput("window: the function is linear, linear-exact or sigmoid.")
    function = VoiFunction(name)
    if not isfinite(center) or not isfinite(width) or width <= 0 or (function is VoiFunction.LINEAR and width < 1):
        raise BadInput("window: the width is greater than 0, and at least 1 where the function is linear.")
    return Window(center, width, function)


def _quality(text: str) -> int:
    quality = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= quality <= 100:
        raise BadInput("quality: a whole number from 1 to 100.")
    return quality


def _icc(text: str) -> IccProfile:
    if text not in list(IccProfile):
        raise BadInput(f"iccprofile: one of {', '.join(IccProfile)}")
    return IccProfile(text)


def _annotations(text: str) -> frozenset[Annotation]:
    parts = text.split(",")
    if len(parts) != len(set(parts)) or not set(parts) <= set(Annotation):
        raise BadInput("annotation: patient, technique, or both: annotation=patient,technique")
    return frozenset(Annotation(part) for part in parts)
