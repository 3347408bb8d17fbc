"""Listing: every attribute of an instance as rows of a table, items of sequences indented.

Rule 1. Rows, depth and characters are bounded, whatever a data set holds; where
something is left out, the list says so. Rule 2. What a value of many bytes is, is
said by its length.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from leadglass.dicom import dictionary
from leadglass.dicom.model import Attributes, JsonElement, bulk_location
from leadglass.doors.pages.study.reading import clean, said

MOST_ROWS: Final = 3_000
DEEPEST: Final = 12
_LONGEST: Final = 512
_MOST_VALUES: Final = 32
_MOST_SOUGHT: Final = 50_000
"""Elements that are looked at for what somebody searches."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute.

    Parameters
    ----------
    tag : str
        As people write it: ``(0010,0020)``.
    name : str
        Its name in the Standard; of a private one, whose it is.
    keyword : str
        Its keyword, where it has one.
    vr, value : str
        What it holds.
    depth : int
        In how many sequences it is.
    is_private : bool
        Whether it is none of the Standard's.
    item : int
        Where it opens an item of a sequence: which, counted from 1.
    """

    tag: str
    name: str
    keyword: str
    vr: str
    value: str
    depth: int
    is_private: bool = False
    item: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows, and whether there are more than are shown."""

    rows: tuple[Row, ...]
    is_cut: bool


def listed(attributes: Attributes, sought: str = "") -> Listed:
    """Give the rows of a data set.

    Parameters
    ----------
    attributes : Attributes
        The data set.
    sought : str
        What rows are to hold, in any of their columns, in either case; empty for all.
    """
    rows = _rows(attributes, 0)
    if sought:
        wanted = sought.casefold()
        rows = (row for row in islice(rows, _MOST_SOUGHT) if not row.item and _holds(row, wanted))
    found = tuple(islice(rows, MOST_ROWS + 1))
    return Listed(found[:MOST_ROWS], len(found) > MOST_ROWS)


def _holds(row: Row, wanted: str) -> bool:
    plain = row.tag.strip("()").replace(",", "")
    return any(wanted in each.casefold() for each in (row.tag, plain, row.name, row.keyword, row.value))


def _rows(attributes: Attributes, depth: int) -> Iterator[Row]:
    creators: dict[tuple[int, int], str] = {}
    for key in sorted(attributes):
        element, tag = attributes[key], int(key, 16)
        group, number = tag >> 16, tag & 0xFFFF
        is_private = bool(group & 1)
        if is_private and 0x10 <= number <= 0xFF:
            creators[group, number] = _joined(element)
        name, keyword = _named(tag, creators)
        shown = f"({key[:4]},{key[4:]})".lower()
        vr = clean(element["vr"], 4)
        if vr != "SQ":
            yield Row(shown, name, keyword, vr, _value(element), depth, is_private)
            continue
        items = cast("list[object]", element.get("Value", []))
        yield Row(shown, name, keyword, vr, str(len(items)), depth, is_private)
        for place, item in enumerate(items, 1):
            if not isinstance(item, dict):
                continue
            yield Row(shown, name, keyword, "", "", depth + 1, is_private, place)
            if depth + 1 < DEEPEST:
                yield from _rows(cast("Attributes", item), depth + 1)


def _named(tag: int, creators: dict[tuple[int, int], str]) -> tuple[str, str]:
    """Give name and keyword of a tag; of a private one, whose it is."""
    group, number = tag >> 16, tag & 0xFFFF
    if group & 1:
        if number <= 0xFF:
            return "Private Creator", ""
        return creators.get((group, number >> 8), ""), ""
    found = dictionary.entry(tag)
    return (found[2], found[4]) if found is not None else ("", "")


def _value(element: JsonElement) -> str:
    if "BulkDataURI" in element:
        located = bulk_location(element["BulkDataURI"])
        return f"[{located[1]:,} bytes]" if located else "[bytes]"
    if "InlineBinary" in element:
        try:
            data = base64.b64decode(element["InlineBinary"])
        except binascii.Error:
            return "[bytes]"
        return data.hex(" ") if len(data) <= 16 else f"[{len(data):,} bytes]"
    return _joined(element)


def _joined(element: JsonElement) -> str:
    found: object = element.get("Value", [])
    values = cast("list[object]", found) if isinstance(found, list) else [found]
    shown = " \\ ".join(said(value, _LONGEST, lines=True) for value in values[:_MOST_VALUES])
    more = len(values) - _MOST_VALUES
    text = clean(shown, _LONGEST, lines=True) + (f" … [{more:,} more values]" if more > 0 else "")
    if element["vr"] == "UI" and len(values) == 1 and isinstance(values[0], str):
        name = dictionary.uid_name(values[0])
        return text if name == values[0] else f"{text} ({name})"
    return text
