"""Leading: from an address of the viewer to what its page is to be told, or to where the study is shown better.

Rule 1. The viewer is given a few parameters that name images, and no others: what
would name other sources, settings or tokens is taken off before the page is sent.
Rule 2. A study is led elsewhere only where the viewer can show nothing of it; what
is unknown is left to the viewer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlencode

from leadglass.dicom.model import Attributes
from leadglass.doors.pages.study.kinds import Kind, kind_of
from leadglass.doors.pages.study.reading import values

MODES: Final = ("viewer", "segmentation", "microscopy")
"""What the viewer can be opened as; each is a path of its own."""

STUDIES: Final = "StudyInstanceUIDs"

_MOST: Final = 8
"""Studies in one address: more are no comparison any more."""

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LISTS: Final = frozenset({STUDIES, "SeriesInstanceUIDs"})
_ONE: Final = frozenset({"initialSeriesInstanceUID", "initialSOPInstanceUID"})
_KNOWN: Final = {name.lower(): name for name in (*_LISTS, *_ONE)}

_IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"

_SHOWN: Final = frozenset({Kind.IMAGE})
_CURVES: Final = "1.2.840.10008.5.1.4.1.1.9.1."
"""Electrocardiograms, which the viewer draws."""
_VIDEOS: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.{each}.1" for each in (1, 2, 4))
_SLIDES: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_NEEDS_IMAGES: Final = ("1.2.840.10008.5.1.4.1.1.66.", "1.2.840.10008.5.1.4.1.1.30")
"""Segmentations, parametric maps and the like: shown on the images that they are of, and not alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an address asks the viewer for.

    Parameters
    ----------
    studies : tuple of str
        Study Instance UIDs.
    query : str
        The query string with what is known, as this archive writes it.
    is_plain : bool
        Whether the address was that already.
    """

    studies: tuple[str, ...]
    query: str
    is_plain: bool


def wanted(pairs: Iterable[tuple[str, str]]) -> Wanted | None:
    """Read the parameters of an address; None when it names no study.

    Parameters
    ----------
    pairs : iterable of (str, str)
        As they stand in it.
    """
    given = list(pairs)
    kept: dict[str, str] = {}
    for name, value in given:
        known = _KNOWN.get(name.lower())
        uids = list(dict.fromkeys(filter(None, value.split(","))))
        if known is None or known in kept or not uids or not all(map(_is_uid, uids)):
            continue
        if len(uids) > (_MOST if known in _LISTS else 1):
            continue
        kept[known] = ",".join(uids)
    if STUDIES not in kept:
        return None
    query = urlencode(kept, safe=",")
    return Wanted(tuple(kept[STUDIES].split(",")), query, given == list(kept.items()))


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Where(Enum):
    """Where studies are shown best."""

    VIEWER = "viewer"
    MICROSCOPY = "microscopy"
    ELSEWHERE = "elsewhere"


def where(studies: Iterable[Attributes]) -> Where:
    """Say where studies are shown, by the classes of what is in them.

    Parameters
    ----------
    studies : iterable of Attributes
        With SOP Classes in Study.
    """
    classes = [each for study in studies for each in _classes(study)]
    if not classes:
        return Where.VIEWER
    seen = [each for each in classes if _is_seen(each)]
    if not seen:
        return Where.ELSEWHERE
    return Where.MICROSCOPY if all(each == _SLIDES for each in seen) else Where.VIEWER


def _classes(study: Attributes) -> list[str]:
    return [str(value) for value in values(study, "SOPClassesInStudy")]


def _is_seen(sop_class: str) -> bool:
    if sop_class in _VIDEOS or sop_class.startswith(_NEEDS_IMAGES):
        return False
    return sop_class.startswith(_CURVES) or kind_of(sop_class, _IMPLICIT_LITTLE) in _SHOWN
