"""QIDO-RS query strings, read as a query (PS3.18 8.3.4 and 10.6.1).

Rule 1. Nothing is ignored: a parameter that is not known, not well-formed, given
twice, or about something that the resource does not have is an error that names
it. Rule 2. A message never holds a value. Rule 3. What a key means is said once,
in ``dicom.matching``, for this door as for DIMSE.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, cast
from urllib.parse import unquote_plus

from leadglass.archive.lists import Window
from leadglass.dicom import dictionary, tags
from leadglass.dicom.levels import Level, Root, is_below
from leadglass.dicom.matching import Key, Name, Query, SequenceKey, Universal, query_from_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.values import BINARY, NUMBERS, decimal, integer, person_name
from leadglass.errors import BadInput

MOST: Final = 5_000
"""Results of one response at most; more are asked for with an offset."""
DEFAULT: Final = 1_000
"""Results when no limit is asked for."""

_PARAMETERS: Final = 500
"""Parameters of one query."""
_LONGEST_NAME: Final = 256
_LARGEST: Final = 10**15
"""Of a limit or an offset."""
_DEEPEST: Final = 8
"""Sequences within sequences in one attribute's name."""

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*")
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH: Final = 64
_CONTROL: Final = frozenset(map(chr, range(0x20))) - {"\t"} | {"\x7f"}
_LISTED: Final = frozenset({"UI", "CS"})
"""VRs in whose values no comma can stand, so that it parts a list."""

_STUDY: Final = (
    tags.StudyDate,
    tags.StudyTime,
    tags.AccessionNumber,
    tags.ModalitiesInStudy,
    tags.ReferringPhysicianName,
    tags.PatientName,
    tags.PatientID,
    tags.PatientBirthDate,
    tags.PatientSex,
    tags.StudyInstanceUID,
    tags.StudyID,
    tags.NumberOfStudyRelatedSeries,
    tags.NumberOfStudyRelatedInstances,
)
"""What is always returned of a study (PS3.18 table 10.6.3-3)."""
_STUDY_IF_KNOWN: Final = (tags.TimezoneOffsetFromUTC, tags.InstanceAvailability)
_SERIES: Final = (
    tags.Modality,
    tags.SeriesInstanceUID,
    tags.SeriesNumber,
    tags.NumberOfSeriesRelatedInstances,
)
"""The same of a series (table 10.6.3-4)."""
_SERIES_IF_KNOWN: Final = (
    tags.TimezoneOffsetFromUTC,
    tags.SeriesDescription,
    tags.PerformedProcedureStepStartDate,
    tags.PerformedProcedureStepStartTime,
    tags.RequestAttributesSequence,
)
_INSTANCE: Final = (tags.SOPClassUID, tags.SOPInstanceUID, tags.InstanceNumber)
"""The same of an instance (table 10.6.3-5)."""
_INSTANCE_IF_KNOWN: Final = (
    tags.InstanceAvailability,
    tags.TimezoneOffsetFromUTC,
    tags.Rows,
    tags.Columns,
    tags.BitsAllocated,
    tags.NumberOfFrames,
)

_NOT_MATCHED: Final = frozenset(
    {
        tags.SpecificCharacterSet,
        tags.TimezoneOffsetFromUTC,
        tags.QueryRetrieveLevel,
        tags.RetrieveAETitle,
        tags.RetrieveURL,
        tags.InstanceAvailability,
    }
)
"""What the archive says of itself or of its answers."""


@dataclass(frozen=True, slots=True)
class Search:
    """A query string as read.

    Parameters
    ----------
    query : Query
        What is asked.
    window : Window
        Which part of the matches.
    if_known : frozenset of str
        Tags that are left out of an answer when they have no value.
    is_literal : bool
        Whether fuzzy matching was asked for and some name is matched literally.
    """

    query: Query
    window: Window
    if_known: frozenset[str]
    is_literal: bool


@dataclass(slots=True)
class _Asked:
    """What the parameters come to so far."""

    matches: dict[tuple[int, ...], JsonElement] = field(default_factory=dict[tuple[int, ...], JsonElement])
    included: set[tuple[int, ...]] = field(default_factory=set[tuple[int, ...]])
    is_all: bool = False
    options: dict[str, str] = field(default_factory=dict[str, str])


def parse(query_string: bytes, level: Level, path: Attributes) -> Search:
    """Read a query string.

    Parameters
    ----------
    query_string : bytes
        As it stands in the URL, after the question mark.
    level : Level
        What is searched for: studies, series or instances.
    path : Attributes
        Unique keys that the path fixes.

    Raises
    ------
    BadInput
        With the name of the parameter that is wrong.
    """
    asked = _Asked()
    for name, value in _fields(query_string):
        _read(asked, name, value, level, path)
    returned = _returned(level, tags.key(tags.StudyInstanceUID) in path, tags.key(tags.SeriesInstanceUID) in path)
    identifier: Attributes = {tags.key(tags.QueryRetrieveLevel): {"vr": "CS", "Value": [level.value]}}
    for places in sorted(asked.included):
        _put(identifier, places, {"vr": _vr(places[-1])}, is_asked=False)
    for places, element in asked.matches.items():
        _put(identifier, places, element, is_asked=True)
    identifier |= path
    query = query_from_identifier(
        identifier,
        root=Root.STUDY,
        relational=True,
        combined_date_time=True,  # PS3.18 8.3.4.1.1
        empty_value=_flag(asked, "emptyvaluematching"),
        fuzzy_names=_flag(asked, "fuzzymatching"),
    )
    whole = {tags.key(places[0]) for places in asked.included if len(places) == 1 and _vr(places[0]) == "SQ"}
    if level is not Level.STUDY:
        whole.add(tags.key(tags.RequestAttributesSequence))
    _flag(asked, "multiplevaluematching")
    matched = {tags.key(places[0]) for places in asked.matches}
    included = {tags.key(places[0]) for places in asked.included}
    return Search(
        replace(
            query,
            keys=dict(sorted((returned.keys | query.keys).items())),
            vrs=returned.vrs | query.vrs,
            is_all=asked.is_all,
            whole=frozenset(whole),
        ),
        Window(_number(asked, "offset", 0), min(MOST, _number(asked, "limit", DEFAULT))),
        (returned.if_known | included) - matched - returned.required,
        _flag(asked, "fuzzymatching") and _has_literal_name(query.keys),
    )


# --- parameters ---------------------------------------------------------------

_OPTIONS: Final = ("limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "charset")


def _fields(query_string: bytes) -> Iterable[tuple[str, str]]:
    """Give names and values, decoded."""
    try:
        pieces = [piece for piece in query_string.decode("utf-8").split("&") if piece]
    except UnicodeDecodeError:
        raise BadInput("The query is not in UTF-8. Escape its characters as UTF-8.") from None
    if len(pieces) > _PARAMETERS:
        raise BadInput(f"More than {_PARAMETERS} parameters. Ask for fewer attributes.")
    for piece in pieces:
        raw_name, _, raw_value = piece.partition("=")
        name = _plain(raw_name, "The name of a parameter")
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise BadInput("A parameter's name is no keyword and no tag. Write it as PatientID or 00100020.")
        yield name, _plain(raw_value, name)


def _plain(raw: str, what: str) -> str:
    if _BAD_ESCAPE.search(raw):
        raise BadInput(f"{what} holds a percent sign that begins no escape. Write it as %25.")
    try:
        text = unquote_plus(raw, errors="strict")
    except UnicodeDecodeError:
        raise BadInput(f"{what} is not in UTF-8.") from None
    if not _CONTROL.isdisjoint(text):
        raise BadInput(f"{what} holds a control character.")
    return text


def _read(asked: _Asked, name: str, value: str, level: Level, path: Attributes) -> None:
    if name == "includefield":
        _include(asked, value, level)
        return
    if name == "accept":
        return  # read by accept.accept_of
    if name in _OPTIONS:
        if name in asked.options:
            raise BadInput(f"{name} is given twice.")
        asked.options[name] = value
        if name == "charset" and value.lower() not in ("utf-8", "utf8", "*"):
            raise BadInput("charset: answers are in UTF-8 and in nothing else.")
        return
    places = _places(name, name)
    if places in asked.matches:
        raise BadInput(f"{name} is given twice.")
    if tags.key(places[0]) in path:
        raise BadInput(f"{name} is fixed by the path already. Leave one of them out.")
    _check_matched(name, places, level)
    if _vr(places[-1]) == "SQ" and not value.strip(" "):
        asked.included.add(places)  # universal matching of a sequence: it is given as it is (PS3.4 C.2.2.2.6)
        return
    if tags.is_group_length(places[-1]) or _vr(places[-1]) == "SQ":
        raise BadInput(f"{name} is a sequence or a group length. Name an attribute in it, with a dot between.")
    asked.matches[places] = _element(name, places[-1], value)


def _check_matched(name: str, places: tuple[int, ...], level: Level) -> None:
    """See that the resource has the attribute, and that it can be compared."""
    if places[0] in _NOT_MATCHED:
        raise BadInput(f"{name} cannot be matched: it says how answers are to be read, or how what is found is had.")
    if is_below(places[0], level):
        hint = " Ask for ModalitiesInStudy." if places[0] == tags.Modality else ""
        raise BadInput(f"{name} is not an attribute of what is searched for; it stands below.{hint}")
    if len(places) == 1 and _vr(places[0]) in BINARY:
        raise BadInput(f"{name} cannot be matched.")


def _include(asked: _Asked, value: str, level: Level) -> None:
    for name in filter(None, value.split(",")):
        if name == "all":
            asked.is_all = True
            continue
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise BadInput("includefield names something that is no keyword and no tag.")
        places = _places(name, f"includefield: {name}")
        if len(asked.included) >= _PARAMETERS:
            raise BadInput(f"includefield names more than {_PARAMETERS} attributes. Ask for all.")
        # What stands below is not answered (PS3.18 10.6.3.3), and no error: viewers ask for it.
        if not is_below(places[0], level) and places[0] not in (tags.QueryRetrieveLevel, tags.RetrieveURL):
            asked.included.add(places)


def _places(name: str, what: str) -> tuple[int, ...]:
    """Give the tags that a name leads through: sequences, then an attribute."""
    steps = name.split(".")
    if len(steps) > _DEEPEST:
        raise BadInput(f"{what} leads through more than {_DEEPEST} sequences.")
    places: list[int] = []
    for step in steps:
        tag = int(step, 16) if _TAG.fullmatch(step) else dictionary.tag_of(step)
        if tag is None or tag >> 16 <= tags.FILE_META_GROUP or tag >> 16 >= tags.ITEM_GROUP:
            raise BadInput(f"{what} is neither a parameter nor an attribute of the data dictionary.")
        places.append(tag)
    if any(_vr(tag) != "SQ" for tag in places[:-1]):
        raise BadInput(f"{what} leads through something that is no sequence.")
    return tuple(places)


def _put(into: Attributes, places: tuple[int, ...], element: JsonElement, *, is_asked: bool) -> None:
    """Put an element into an identifier; one that asks for a value replaces one that does not."""
    for tag in places[:-1]:
        sequence = into.setdefault(tags.key(tag), {"vr": "SQ"})
        items = cast("list[Attributes]", sequence.setdefault("Value", [{}]))
        into = items[0]
    if is_asked or tags.key(places[-1]) not in into:
        into[tags.key(places[-1])] = element


def _number(asked: _Asked, name: str, default: int) -> int:
    text = asked.options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise BadInput(f"{name} is not a whole number from 0.")
    return int(text)


def _flag(asked: _Asked, name: str) -> bool:
    match asked.options.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case _:
            raise BadInput(f"{name} is neither true nor false.")


# --- values -------------------------------------------------------------------


def _vr(tag: int) -> str:
    return dictionary.vr(tag).split(" ")[0]


def _element(name: str, tag: int, value: str) -> JsonElement:
    """Give a value as an element of an identifier."""
    vr = _vr(tag)
    text = value.strip(" ")
    if vr in BINARY:
        raise BadInput(f"{name} cannot be matched.")
    if not text:
        return {"vr": vr}
    pieces = re.split(r"[\\,]" if vr in _LISTED else r"\\", text)
    return JsonElement(vr=vr, Value=[_value(name, vr, piece) for piece in pieces])


def _value(name: str, vr: str, text: str) -> object:
    if text == '""':
        return {"Alphabetic": text} if vr == "PN" else text
    if vr == "UI":
        uid = text.strip(" ")
        if uid and uid != "*" and (len(uid) > _UID_LENGTH or not _UID.fullmatch(uid)):
            raise BadInput(f"{name} is not a UID, nor a list of UIDs.")
        return uid or None
    if vr == "PN":
        return person_name(text)
    if vr == "AT":
        if not _TAG.fullmatch(text.strip(" ")):
            raise BadInput(f"{name} is not a tag of eight hexadecimal digits.")
        return text.strip(" ").upper()
    if vr in ("DS", "IS") or vr in NUMBERS:
        if text.strip(" ") == "*":
            return "*"
        number = decimal(text) if vr in ("DS", "FL", "FD") else integer(text)
        if number is None or isinstance(number, str):
            raise BadInput(f"{name} is not a number.")
        return number
    return text


def _has_literal_name(keys: dict[str, Key]) -> bool:
    return any(
        isinstance(key, Name) or (isinstance(key, SequenceKey) and _has_literal_name(key.keys)) for key in keys.values()
    )


# --- what is returned ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Returned:
    """What answers hold whatever is asked: keys that ask for it, their VRs, and which of them only where known."""

    keys: dict[str, Key]
    vrs: dict[str, str]
    required: frozenset[str]
    if_known: frozenset[str]


@cache
def _returned(level: Level, has_study: bool, has_series: bool) -> _Returned:  # noqa: FBT001 - cached by position
    """Give what is returned of a level, and of those above that the path does not fix."""
    required: list[int] = []
    if_known: list[int] = []
    if level is Level.IMAGE:
        required += _INSTANCE
        if_known += _INSTANCE_IF_KNOWN
    if level is Level.SERIES or (level is Level.IMAGE and not has_series):
        required += _SERIES
        if_known += _SERIES_IF_KNOWN
    if level is Level.STUDY or not has_study:
        required += _STUDY
        if_known += _STUDY_IF_KNOWN
    everything = {tags.key(tag): tag for tag in (*required, *if_known)}
    return _Returned(
        {name: Universal() for name in everything},
        {name: _vr(tag) for name, tag in everything.items()},
        frozenset(map(tags.key, required)),
        frozenset(map(tags.key, if_known)),
    )


def keywords(level: Level) -> tuple[str, ...]:
    """Give the keywords that are returned of a level, for the conformance statement."""
    own = {
        Level.STUDY: _STUDY + _STUDY_IF_KNOWN,
        Level.SERIES: _SERIES + _SERIES_IF_KNOWN,
    }.get(level, _INSTANCE + _INSTANCE_IF_KNOWN)
    return tuple(sorted({dictionary.keyword(tag) for tag in (*own, tags.RetrieveURL)}))
