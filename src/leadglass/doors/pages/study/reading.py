"""Reading: attributes as people read them, by keyword, cut to a bound.

Rule 1. What a data set says is never trusted to be short, printable or of the
kind that it should be. Rule 2. Nothing is made up: what is not there is empty.
"""

import re
from functools import cache
from math import isfinite
from typing import Final, cast

from leadglass.dicom import dictionary
from leadglass.dicom.model import Attributes, JsonElement

LONGEST: Final = 200
"""Characters of one value, where nothing else is said."""
_MOST_VALUES: Final = 16
_KEPT: Final = frozenset("\u200c\u200d")
"""Joiners, without which some scripts cannot be written; other invisible characters turn text around or hide it."""
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{2})([0-9]{2})")
_AGE: Final = re.compile(r"0*([0-9]{1,3})([DWMY])")
_UNITS: Final = {"D": "days", "W": "weeks", "M": "months", "Y": "years"}
_SEXES: Final = {"M": "male", "F": "female", "O": "other"}


@cache
def key_of(keyword: str) -> str:
    """Give the tag of a keyword as the JSON model writes it; raises ``KeyError``."""
    tag = dictionary.tag_of(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def clean(text: str, longest: int = LONGEST, *, lines: bool = False) -> str:
    """Give a text without what does not print, cut where it is too long.

    Parameters
    ----------
    text : str
        Whatever a data set holds.
    longest : int
        Characters at most; one more says that there was more.
    lines : bool
        Whether ends of lines are kept.
    """
    cut = text[: longest + 1]
    if lines:
        cut = cut.replace("\r\n", "\n").replace("\r", "\n")
    shown = "".join(c if c.isprintable() or c in _KEPT or (lines and c == "\n") else " " for c in cut).strip()
    return shown if len(text) <= longest else shown[:longest].rstrip() + "…"


def element_of(attributes: Attributes, keyword: str) -> JsonElement:
    """Give an element, an empty one where there is none."""
    return attributes.get(key_of(keyword), JsonElement(vr=""))


def values(attributes: Attributes, keyword: str) -> list[object]:
    """Give the values of an attribute; none when it is absent."""
    found: object = element_of(attributes, keyword).get("Value", [])
    return cast("list[object]", found) if isinstance(found, list) else []


def said(value: object, longest: int = LONGEST, *, lines: bool = False) -> str:
    """Give one value as text: a name as it is spoken, a number without what is not known of it."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return person(cast("dict[str, object]", value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return clean(str(value), longest, lines=lines)


def texts(attributes: Attributes, keyword: str) -> list[str]:
    """Give the values of an attribute as texts."""
    return [said(value) for value in values(attributes, keyword)[:_MOST_VALUES]]


def text(attributes: Attributes, keyword: str) -> str:
    """Give the values of an attribute as one text."""
    return ", ".join(filter(None, texts(attributes, keyword)))


def first(attributes: Attributes, keyword: str, longest: int = LONGEST) -> str:
    """Give the first value of an attribute as text."""
    found = values(attributes, keyword)
    return said(found[0], longest) if found else ""


def number(attributes: Attributes, keyword: str) -> float | None:
    """Give the first value of an attribute as a finite number; None when it is none."""
    found = values(attributes, keyword)
    try:
        read = float(found[0]) if found and isinstance(found[0], str | int | float) else None
    except (ValueError, OverflowError):
        return None
    return read if read is not None and isfinite(read) else None


def items(attributes: Attributes, keyword: str) -> list[Attributes]:
    """Give the items of a sequence; none when it is absent or no sequence."""
    return [cast("Attributes", each) for each in values(attributes, keyword) if isinstance(each, dict)]


def item(attributes: Attributes, keyword: str) -> Attributes:
    """Give the first item of a sequence, empty where there is none."""
    found = items(attributes, keyword)
    return found[0] if found else {}


def person(name: dict[str, object]) -> str:
    """Give a person's name: ``Family, Given Middle``, and as it is written where it is from (PS3.5 section 6.2.1)."""
    alphabetic, ideographic = (clean(str(name.get(group) or "")) for group in ("Alphabetic", "Ideographic"))
    family, _, rest = alphabetic.partition("^")
    parts = [part.strip() for part in rest.split("^") if part.strip()]
    spoken = ", ".join(filter(None, (family.strip(), " ".join(parts))))
    written = ideographic.replace("^", " ").strip()
    return f"{spoken} ({written})" if spoken and written else spoken or written


def date(value: str) -> str:
    """Give a DA or the date of a DT as ``2026-11-22``; what is none as it is."""
    found = _DATE.match(value)
    return f"{found[1]}-{found[2]}-{found[3]}" if found else value


def time(value: str) -> str:
    """Give a TM as ``14:05``; what is none as it is."""
    found = _TIME.match(value)
    return f"{found[1]}:{found[2]}" if found else value


def dated(value: str, vr: str) -> str:
    """Give a value of DA, TM or DT as people write it, and any other as it is."""
    match vr:
        case "DA":
            return date(value)
        case "TM":
            return time(value)
        case "DT":
            return " ".join(filter(None, (date(value), time(value[8:]))))
        case _:
            return value


def moment(attributes: Attributes, what: str) -> str:
    """Give a date and its time: ``Study``, ``Series``, ``Content``."""
    day, at = first(attributes, f"{what}Date"), first(attributes, f"{what}Time")
    return " ".join(filter(None, (date(day), time(at) if day else "")))


def age(attributes: Attributes) -> tuple[str, str]:
    """Give the patient's age as a number and its unit, in English; both empty when it is not said."""
    found = _AGE.fullmatch(first(attributes, "PatientAge"))
    return (found[1], _UNITS[found[2]]) if found else ("", "")


def sex(attributes: Attributes) -> str:
    """Give the patient's sex as an English word; what is none of the Standard's as it is."""
    value = first(attributes, "PatientSex", 16)
    return _SEXES.get(value, value)


def meaning(attributes: Attributes, keyword: str) -> str:
    """Give what the first code of a sequence means: its meaning, else its value."""
    for code in items(attributes, keyword)[:1]:
        return first(code, "CodeMeaning") or next(
            filter(None, (first(code, name) for name in ("CodeValue", "LongCodeValue", "URNCodeValue"))), ""
        )
    return ""
