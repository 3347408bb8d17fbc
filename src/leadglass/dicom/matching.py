"""Matching: what a query asks and whether attributes answer it (PS3.4 sections C.2.2.2 and C.4.1).

Rule: one reading of a key, here and in ``keys``; a back room may narrow by SQL
first, but what it gives has passed ``Query.matches``.
"""

from dataclasses import dataclass, field
from typing import Any, Final, cast

from leadglass.dicom import dictionary, tags
from leadglass.dicom.keys import (
    DateTimeRange,
    Empty,
    Key,
    Name,
    Number,
    Range,
    SequenceKey,
    Single,
    UidList,
    Universal,
    Wild,
    asks_nothing,
    holds,
    parse_moment,
    tidy_name,
    values_of,
)
from leadglass.dicom.levels import UNIQUE_KEY, Level, Root, is_below, level_of, levels, levels_down_to
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.moments import Interval
from leadglass.dicom.values import BINARY, NUMBERS, decimal, integer, person_name
from leadglass.dicom.vocabulary import is_text
from leadglass.errors import BadInput

__all__ = [
    "DateTimeRange",
    "Empty",
    "Key",
    "Level",
    "Name",
    "Number",
    "Query",
    "Range",
    "Root",
    "SequenceKey",
    "Single",
    "UidList",
    "Universal",
    "Wild",
    "asks_nothing",
    "holds",
    "level_of",
    "query_from_identifier",
]

_WILD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""VRs in which ``*`` and ``?`` are wild (C.2.2.2.4)."""
_LONGEST_KEY: Final = 1024
"""Characters of one matching key; the longest text VR one would match by has 64 for each component group."""
_MOST_VALUES: Final = 100_000
"""Values of one key: a UID list of a large study."""
_EMPTY_VALUE: Final = '""'
_NOT_KEYS: Final = frozenset({tags.SpecificCharacterSet, tags.QueryRetrieveLevel, tags.TimezoneOffsetFromUTC})
_ALWAYS_UNIVERSAL: Final = frozenset({tags.RetrieveAETitle, tags.InstanceAvailability})
"""Said by the archive of itself, so never matched against."""
_PAIRS: Final = (
    (tags.StudyDate, tags.StudyTime),
    (tags.SeriesDate, tags.SeriesTime),
    (tags.AcquisitionDate, tags.AcquisitionTime),
    (tags.ContentDate, tags.ContentTime),
    (tags.PatientBirthDate, tags.PatientBirthTime),
    (tags.PerformedProcedureStepStartDate, tags.PerformedProcedureStepStartTime),
)


@dataclass(frozen=True, slots=True)
class Query:
    """A question at one level.

    Parameters
    ----------
    level : Level
        What is looked for.
    root : Root
        The information model.
    keys : dict of str to Key
        By tag (eight hexadecimal digits): what was asked, universal keys too,
        and the unique keys of the level and of those above.
    vrs : dict of str to str
        VR of each key, for answers where the attribute is absent.
    combined : tuple of DateTimeRange
        Date and time keys that were read as one; their tags are universal in ``keys``.
    ignored : frozenset of str
        Keys of a level below, or of a VR that cannot be matched: not looked at, not returned.
    """

    level: Level
    root: Root
    keys: dict[str, Key]
    vrs: dict[str, str] = field(default_factory=dict[str, str])
    combined: tuple[DateTimeRange, ...] = ()
    ignored: frozenset[str] = frozenset()

    def matches(self, attributes: Attributes) -> bool:
        """Say whether attributes (those of the level and of all above) answer the question."""
        return all(holds(key, attributes.get(tag)) for tag, key in self.keys.items()) and all(
            pair.holds(attributes) for pair in self.combined
        )

    def project(self, attributes: Attributes) -> Attributes:
        """Give what an answer holds: unique keys of the level and above, and what was asked (empty when absent)."""
        return _project(self.keys, self.vrs, attributes)

    def describe_keys(self) -> str:
        """Give the keywords that were asked, without values, for the audit log: those that narrow first."""
        narrowing = {tag for tag, key in self.keys.items() if not asks_nothing(key)}
        for pair in self.combined:
            narrowing |= {pair.date_tag, pair.time_tag}
        asked = [dictionary.keyword(int(tag, 16)) for tag in sorted(narrowing)]
        return ", ".join(asked) if asked else "none"


def _project(keys: dict[str, Key], vrs: dict[str, str], attributes: Attributes) -> Attributes:
    answer: Attributes = {}
    for tag in sorted(keys):
        element = attributes.get(tag)
        if element is None or "BulkDataURI" in element:
            answer[tag] = {"vr": vrs.get(tag) or (element or {"vr": ""})["vr"] or _vr(int(tag, 16))}
            continue
        inner = keys[tag]
        if isinstance(inner, SequenceKey) and inner.keys and element["vr"] == "SQ":
            items = [_project(inner.keys, {}, cast("Attributes", item)) for item in values_of(element)]
            answer[tag] = JsonElement(vr="SQ", Value=items) if items else JsonElement(vr="SQ")
        else:
            answer[tag] = element
    return answer


def _vr(tag: int) -> str:
    return dictionary.vr(tag).split(" ")[0]


def query_from_identifier(
    identifier: Attributes,
    *,
    root: Root,
    relational: bool,
    combined_date_time: bool = False,
    empty_value: bool = False,
) -> Query:
    """Read a C-FIND identifier as a query.

    Parameters
    ----------
    identifier : Attributes
        As ``decode_identifier`` gives it.
    root : Root
        The information model of the SOP class.
    relational, combined_date_time, empty_value : bool
        What was negotiated (PS3.4 section C.5.1.1).

    Raises
    ------
    BadInput
        When it breaks the rules of PS3.4 sections C.4.1.2 and C.4.1.3.
    """
    level = _level(identifier, root)
    keys: dict[str, Key] = {}
    vrs: dict[str, str] = {}
    ignored: set[str] = set()
    for name, element in identifier.items():
        tag = int(name, 16)
        if tag in _NOT_KEYS or tags.is_group_length(tag):
            continue
        key = Universal() if tag in _ALWAYS_UNIVERSAL else _key(tag, element, empty_value=empty_value)
        if key is None or is_below(tag, level):
            ignored.add(name)
            continue
        keys[name] = key
        vrs[name] = element["vr"]
    if not relational:
        _check_hierarchy(keys, root, level)
    for each in levels_down_to(root, level):
        unique = tags.key(UNIQUE_KEY[each])
        keys.setdefault(unique, Universal())
        vrs.setdefault(unique, "LO" if each is Level.PATIENT else "UI")
    combined = tuple(_combine(keys)) if combined_date_time else ()
    for pair in combined:
        keys[pair.date_tag] = keys[pair.time_tag] = Universal()
    return Query(level, root, dict(sorted(keys.items())), vrs, combined, frozenset(ignored))


def _level(identifier: Attributes, root: Root) -> Level:
    values = values_of(identifier.get(tags.key(tags.QueryRetrieveLevel)))
    allowed = levels(root)
    if len(values) != 1 or values[0] not in allowed:
        raise BadInput(f"Query/Retrieve Level must be one of {', '.join(allowed)} in this information model.")
    return Level(values[0])


def _check_hierarchy(keys: dict[str, Key], root: Root, level: Level) -> None:
    """See that each level above is fixed by its unique key: one value, not wild (C.4.1.2.1)."""
    for above in levels_down_to(root, level)[:-1]:
        match keys.get(tags.key(UNIQUE_KEY[above])):
            case Single((_,)) | UidList((_,)):
                continue
            case _:
                raise BadInput(
                    f"{dictionary.keyword(UNIQUE_KEY[above])} must have exactly one value in a query at the {level} "
                    "level, unless relational queries were negotiated."
                )


def _key(tag: int, element: JsonElement, *, empty_value: bool) -> Key | None:
    """Read one key; None when its VR cannot be matched."""
    vr = element["vr"]
    if vr == "SQ":
        return _sequence_key(tag, element, empty_value=empty_value)
    values = values_of(element)
    known = _vr(tag)
    if known != vr and is_text(known) and is_text(vr):
        vr, values = known, _reread(known, values)
    if not values:
        return Universal() if "InlineBinary" not in element and "BulkDataURI" not in element else None
    if vr in BINARY:
        return None
    if len(values) > _MOST_VALUES:
        raise BadInput(f"{dictionary.keyword(tag)} has more than {_MOST_VALUES} values.")
    if vr == "PN":
        return _name_key(tag, values, empty_value=empty_value)
    if (vr in NUMBERS and vr != "AT") or vr in ("DS", "IS"):
        return Universal() if values == ["*"] else Number(tuple(values))
    return _text_key(tag, vr, [str(value).strip(" ") for value in values], empty_value=empty_value)


def _reread(vr: str, values: list[Any]) -> list[Any]:
    """Give values that came with another VR than the dictionary's as values of that one."""
    if vr in ("DS", "IS"):
        return [(decimal if vr == "DS" else integer)(v) if isinstance(v, str) else v for v in values]
    if vr == "PN":
        return [person_name(v) if isinstance(v, str) else v for v in values]
    return [" ".join(cast("dict[str, str]", v).values()) if isinstance(v, dict) else v for v in values]


def _text_key(tag: int, vr: str, texts: list[str], *, empty_value: bool) -> Key:
    if max(map(len, texts)) > _LONGEST_KEY:
        raise BadInput(f"{dictionary.keyword(tag)} is longer than {_LONGEST_KEY} characters.")
    if empty_value and texts == [_EMPTY_VALUE]:
        return Empty()
    if all(text and not text.strip("*") for text in texts):
        return Universal()
    if vr in ("DA", "TM", "DT"):
        return _range_key(tag, vr, texts)
    if vr == "UI":
        return UidList(tuple(dict.fromkeys(text.strip("\0") for text in texts)))
    if vr in _WILD_VRS and any("*" in text or "?" in text for text in texts):
        return Wild(tuple(texts))
    return Single(tuple(texts))


def _name_key(tag: int, values: list[Any], *, empty_value: bool) -> Key:
    patterns: list[tuple[str, ...]] = []
    for value in values:
        groups = cast("dict[str, str]", value) if isinstance(value, dict) else {"Alphabetic": str(value)}
        pattern = tuple(groups.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic"))
        if max(map(len, pattern)) > _LONGEST_KEY:
            raise BadInput(f"{dictionary.keyword(tag)} is longer than {_LONGEST_KEY} characters.")
        if empty_value and pattern == (_EMPTY_VALUE, "", ""):
            return Empty()
        if not "".join(pattern).strip("*"):
            return Universal()
        tidy = tuple(tidy_name(group) for group in pattern)
        patterns.append(tidy[:1] if not any(tidy[1:]) else tidy)
    return Name(tuple(patterns))


def _range_key(tag: int, vr: str, texts: list[str]) -> Key:
    """Read a date, a time, or a range of them."""
    wrong = BadInput(f"{dictionary.keyword(tag)} is neither a {vr} value nor a range of two.")
    if len(texts) != 1:
        raise BadInput(f"{dictionary.keyword(tag)} has several values; ask for a range.")
    text = texts[0]
    if parse_moment(vr, text) is not None:
        return Range(vr, text, text)
    if text.strip("-") == "":
        return Universal()
    for place in (at for at, character in enumerate(text) if character == "-"):
        low, high = text[:place].strip(" "), text[place + 1 :].strip(" ")
        if all(not bound or parse_moment(vr, bound) is not None for bound in (low, high)):
            return Range(vr, low, high)
    raise wrong


def _sequence_key(tag: int, element: JsonElement, *, empty_value: bool) -> Key:
    items = values_of(element)
    if len(items) > 1:
        raise BadInput(f"{dictionary.keyword(tag)} has several items; a sequence key has one (PS3.4 C.2.2.2.6).")
    inner: dict[str, Key] = {}
    for item in cast("list[Attributes]", items):
        for name, each in item.items():
            key = _key(int(name, 16), each, empty_value=empty_value)
            if key is not None and int(name, 16) not in _NOT_KEYS:
                inner[name] = key
    return SequenceKey(inner)


def _combine(keys: dict[str, Key]) -> "list[DateTimeRange]":
    combined: list[DateTimeRange] = []
    for date, time in _PAIRS:
        match keys.get(tags.key(date)), keys.get(tags.key(time)):
            case Range() as days, Range() as times:
                low = _moment(days.low, times.low)
                high = _moment(days.high, times.high)
                combined.append(DateTimeRange(tags.key(date), tags.key(time), low, high))
            case _:
                continue
    return combined


def _moment(date: str, time: str) -> Interval | None:
    """Give one bound of a combined range: the day, narrowed to the time where there is one."""
    day = parse_moment("DA", date) if date else None
    if day is None:
        return None
    part = parse_moment("TM", time) if time else None
    return day if part is None else (day[0] + part[0], day[0] + part[1])
