"""Report: a structured report as nested text (PS3.3 A.35, C.17.3).

Rule 1. Whatever is missing is passed over, and what is there is shown: reports of
real devices lack what the Standard demands. Rule 2. Depth and length are bounded;
where something is left out, the page says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.dicom.model import Attributes
from leadglass.doors.pages.study import reading

DEEPEST: Final = 12
_MOST: Final = 2_000
_LONGEST: Final = 20_000
"""Characters of one text."""

Here = Mapping[str, InstanceRecord]
"""The instances of the study, by UID."""


@dataclass(frozen=True, slots=True)
class Item:
    """One content item.

    Parameters
    ----------
    name : str
        What it is about: the meaning of its concept name.
    value : str
        What it says.
    children : tuple of Item
        What belongs to it.
    is_container : bool
        Whether it only holds others.
    refers_to : str
        Where what it refers to is shown; empty where it refers to nothing that is here.
    """

    name: str
    value: str
    children: "tuple[Item, ...]"
    is_container: bool = False
    refers_to: str = ""


@dataclass(slots=True)
class _Reading:
    """How much was read, and where instances are."""

    here: Here
    count: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Parameters
    ----------
    title : str
        What it is called.
    moment, completion, verification, observers : str
        When it was made, whether it is complete, whether and by whom it was verified.
    items : tuple of Item
        What it says.
    is_cut : bool
        Whether there is more than is shown.
    """

    title: str
    moment: str
    completion: str
    verification: str
    observers: str
    items: tuple[Item, ...]
    is_cut: bool


def report_of(attributes: Attributes, here: Here) -> Report:
    """Read a report.

    Parameters
    ----------
    attributes : Attributes
        Its metadata, as the caller may see it.
    here : mapping of str to InstanceRecord
        What may be referred to.
    """
    state = _Reading(here)
    items = _children(attributes, state, 0)
    observers = [
        reading.first(each, "VerifyingObserverName") for each in reading.items(attributes, "VerifyingObserverSequence")
    ]
    return Report(
        title=reading.meaning(attributes, "ConceptNameCodeSequence"),
        moment=reading.moment(attributes, "Content"),
        completion=reading.first(attributes, "CompletionFlag", 16).capitalize(),
        verification=reading.first(attributes, "VerificationFlag", 16).capitalize(),
        observers="; ".join(filter(None, observers[:8])),
        items=items,
        is_cut=state.is_cut,
    )


def _children(attributes: Attributes, state: _Reading, depth: int) -> tuple[Item, ...]:
    found: list[Item] = []
    for each in reading.items(attributes, "ContentSequence"):
        state.count += 1
        if state.count > _MOST or depth >= DEEPEST:
            state.is_cut = True
            break
        found.append(_item(each, state, depth))
    return tuple(found)


def _item(item: Attributes, state: _Reading, depth: int) -> Item:
    name, kind = reading.meaning(item, "ConceptNameCodeSequence"), reading.first(item, "ValueType", 16)
    refers_to, value = "", _value(item, kind)
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        value, refers_to = _reference(item, state.here)
    return Item(name, value, _children(item, state, depth + 1), is_container=kind == "CONTAINER", refers_to=refers_to)


_PLAIN: Final = {"TEXT": "TextValue", "PNAME": "PersonName", "UIDREF": "UID"}


def _value(item: Attributes, kind: str) -> str:
    match kind:
        case "NUM":
            return _measured(item)
        case "CODE":
            return reading.meaning(item, "ConceptCodeSequence")
        case "DATE":
            return reading.date(reading.first(item, "Date"))
        case "TIME":
            return reading.time(reading.first(item, "Time"))
        case "DATETIME":
            return reading.dated(reading.first(item, "DateTime"), "DT")
        case "SCOORD" | "SCOORD3D":
            shape = reading.first(item, "GraphicType", 16).lower()
            return f"{shape} ({len(reading.values(item, 'GraphicData'))} numbers)" if shape else ""
        case "TCOORD":
            return reading.first(item, "TemporalRangeType", 16).lower()
        case _ if kind in _PLAIN:
            found = reading.values(item, _PLAIN[kind])
            return reading.said(found[0], _LONGEST, lines=True) if found else ""
        case _:
            return ""


def _measured(item: Attributes) -> str:
    """Give a measurement with its unit; where there is none, why not."""
    for measured in reading.items(item, "MeasuredValueSequence")[:1]:
        number = reading.first(measured, "NumericValue", 64)
        unit = reading.item(measured, "MeasurementUnitsCodeSequence")
        code, meaning = reading.first(unit, "CodeValue", 40), reading.first(unit, "CodeMeaning", 80)
        is_plain = reading.first(unit, "CodingSchemeDesignator", 16) == "UCUM" and code != "1" and "{" not in code
        shown = code if is_plain else "" if meaning in ("no units", "unity") else meaning or code
        if number:
            return f"{number} {shown}".strip()
    return reading.meaning(item, "NumericValueQualifierCodeSequence")


def _reference(item: Attributes, here: Here) -> tuple[str, str]:
    """Give what is referred to in words, and where it is shown."""
    for each in reading.items(item, "ReferencedSOPSequence")[:1]:
        uid = reading.first(each, "ReferencedSOPInstanceUID", 64)
        frames = reading.text(each, "ReferencedFrameNumber")
        record = here.get(uid)
        frame = reading.first(each, "ReferencedFrameNumber", 8)
        at = f"/look/{record.study_uid}/{record.series_uid}/{uid}" if record is not None else ""
        if at and frame.isascii() and frame.isdecimal():
            at += f"?frame={frame}"
        return (f"{uid} ({frames})" if frames else uid), at
    return "", ""


def referred(attributes: Attributes, here: Here, most: int) -> list[InstanceRecord]:
    """Give the instances of the study that a data set refers to anywhere, in their order, each once."""
    found: dict[str, InstanceRecord] = {}
    _walk(attributes, here, found, most, 0)
    return list(found.values())


def _walk(attributes: Attributes, here: Here, found: dict[str, InstanceRecord], most: int, depth: int) -> None:
    uid = reading.first(attributes, "ReferencedSOPInstanceUID", 64)
    if uid in here:
        found.setdefault(uid, here[uid])
    if depth >= DEEPEST:
        return
    for element in attributes.values():
        if element["vr"] != "SQ":
            continue
        for item in element.get("Value", []):
            if len(found) >= most:
                return
            if isinstance(item, dict):
                _walk(item, here, found, most, depth + 1)  # pyright: ignore[reportUnknownArgumentType] - an item
