"""Matching: what a query asks and whether attributes answer it (PS3.4 sections C.2.2.2 and C.4.1).

Rule: one reading of a key, here and in ``keys``; a back room may narrow by SQL
first, but what it gives has passed ``Query.matches``.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, cast

from leadglass.dicom import dictionary, fuzzy, tags
from leadglass.dicom.keys import (
    DateTimeRange,
    Effort,
    Empty,
    Fuzzy,
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
from leadglass.dicom.words import Words
from leadglass.errors import BadInput

__all__ = [
    "NO_MATCH",
    "DateTimeRange",
    "Empty",
    "Fuzzy",
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
    "Words",
    "asks_nothing",
    "holds",
    "level_of",
    "query_from_identifier",
]

_WILD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""VRs in which ``*`` and ``?`` are wild (C.2.2.2.4)."""
_LONGEST: Final = {
    "AE": 2 * 16, "CS": 2 * 16, "DA": 64, "DT": 128, "LO": 2 * 64, "LT": 2 * 10_240, "PN": 2 * (3 * 64 + 8),
    "SH": 2 * 16, "ST": 2 * 1_024, "TM": 64, "UI": 2 * 64,
}  # fmt: skip
"""Characters of one value of a key by its VR: twice what PS3.5 section 6.2 allows, since what is stored may be longer.

A person name counts with its three component groups and their delimiters.
"""
_LONGEST_OTHER: Final = 2 * 1_024
"""The same of any other VR."""
_MOST_VALUES: Final = 100_000
"""Values of one key: a UID list of a large study."""
_MOST_KEYS: Final = 1_000
"""Keys of one identifier, those in sequences included; clients ask for some dozens."""
_MOST_PATTERNS: Final = 32
"""Values of one key that is a person name or has wild cards."""
_ALL_PATTERNS: Final = 100
"""The same of all keys of an identifier."""
_ALL_CHARACTERS: Final = 32_768
"""Characters of all these values."""
_EMPTY_VALUE: Final = '""'
_STARS: Final = re.compile(r"\*{2,}")
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


NO_MATCH: Final[Attributes] = {}
"""What a search gives for a row that was looked at and is no match: whoever asks may stop there. No match is empty."""


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
        Keys of a level below, which is where anything unknown stands, or of a VR
        that cannot be matched: not looked at, not returned.
    whole : frozenset of str
        Sequences whose items are answered whole, whatever was asked of them.
    is_all : bool
        Whether an answer holds everything that is known at the level and above.
    words : tuple of Words
        What people typed; all of them have to hold.
    """

    level: Level
    root: Root
    keys: dict[str, Key]
    vrs: dict[str, str] = field(default_factory=dict[str, str])
    combined: tuple[DateTimeRange, ...] = ()
    ignored: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    is_all: bool = False
    words: tuple[Words, ...] = ()
    narrowing: tuple[tuple[str, Key], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "narrowing", tuple((tag, key) for tag, key in self.keys.items() if not asks_nothing(key))
        )

    def matches(self, attributes: Attributes) -> bool:
        """Say whether attributes (those of the level and of all above) answer the question.

        Takes bounded time: what ``keys.Effort`` does not reach does not match.
        """
        effort = Effort()
        return (
            all(holds(key, attributes.get(tag), effort) for tag, key in self.narrowing)
            and all(pair.holds(attributes, effort) for pair in self.combined)
            and all(words.holds(attributes) for words in self.words)
        )

    def project(self, attributes: Attributes) -> Attributes:
        """Give what an answer holds: unique keys of the level and above, and what was asked (empty when absent)."""
        answer = _project(self.keys, self.vrs, attributes)
        if self.is_all:
            answer |= {tag: each for tag, each in attributes.items() if "BulkDataURI" not in each}
        for tag in self.whole & attributes.keys():
            answer[tag] = attributes[tag]
        return answer

    def describe_keys(self) -> str:
        """Give the keywords that were asked, without values, for the audit log: those that narrow first."""
        narrowing = {tag for tag, key in self.keys.items() if not asks_nothing(key)}
        for pair in self.combined:
            narrowing |= {pair.date_tag, pair.time_tag}
        narrowing |= {tags.key(tag) for words in self.words for tag in words.tags}
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


@dataclass(slots=True)
class _Reading:
    """One identifier being read: what was negotiated, and what its keys come to so far."""

    empty_value: bool
    fuzzy: bool = False
    keys: int = 0
    patterns: int = 0
    characters: int = 0

    def count_key(self) -> None:
        self.keys += 1
        if self.keys > _MOST_KEYS:
            raise BadInput(f"More than {_MOST_KEYS:,} keys. Ask for fewer attributes.")

    def count_patterns(self, tag: int, count: int, characters: int) -> None:
        """Count the values of a key that is compared by pattern."""
        keyword = dictionary.keyword(tag)
        if count > _MOST_PATTERNS:
            raise BadInput(f"{keyword} has {count} patterns, more than {_MOST_PATTERNS}.")
        self.patterns += count
        self.characters += characters
        if self.patterns > _ALL_PATTERNS:
            raise BadInput(f"{keyword}: more than {_ALL_PATTERNS} patterns in all keys.")
        if self.characters > _ALL_CHARACTERS:
            raise BadInput(f"{keyword}: over {_ALL_CHARACTERS:,} characters of patterns in all.")


def query_from_identifier(
    identifier: Attributes,
    *,
    root: Root,
    relational: bool,
    combined_date_time: bool = False,
    empty_value: bool = False,
    fuzzy_names: bool = False,
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
    fuzzy_names : bool
        Whether person names without wild cards are matched as somebody
        remembers them (PS3.4 section C.2.2.2.1.1).

    Raises
    ------
    BadInput
        When it breaks the rules of PS3.4 sections C.4.1.2 and C.4.1.3, or has
        more or longer keys than are compared here.
    """
    level = _level(identifier, root)
    reading = _Reading(empty_value, fuzzy_names)
    keys: dict[str, Key] = {}
    vrs: dict[str, str] = {}
    ignored: set[str] = set()
    for name, element in identifier.items():
        tag = int(name, 16)
        if tag in _NOT_KEYS or tags.is_group_length(tag):
            continue
        if is_below(tag, level):
            reading.count_key()
            ignored.add(name)  # as if it had zero length, whatever it says, and without an answer (PS3.4 C.2.2.1.3)
            continue
        key = Universal() if tag in _ALWAYS_UNIVERSAL else _key(tag, element, reading)
        if key is None:
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


def _key(tag: int, element: JsonElement, reading: _Reading) -> Key | None:
    """Read one key; None when its VR cannot be matched."""
    reading.count_key()
    vr = element["vr"]
    if vr == "SQ":
        return _sequence_key(tag, element, reading)
    values = values_of(element)
    known = _vr(tag)
    if known != vr and is_text(known) and is_text(vr):
        vr, values = known, _reread(known, values)
    if not values:  # several empty ones (a lone backslash) ask as little as none: it opens nothing that none does not
        return Universal() if "InlineBinary" not in element and "BulkDataURI" not in element else None
    if vr in BINARY:
        return None
    if reading.empty_value and values == [_EMPTY_VALUE]:
        return Empty()
    if len(values) > _MOST_VALUES:
        raise BadInput(f"{dictionary.keyword(tag)} has more than {_MOST_VALUES:,} values.")
    if vr == "PN":
        return _name_key(tag, values, reading)
    if (vr in NUMBERS and vr != "AT") or vr in ("DS", "IS"):
        return Universal() if values == ["*"] else Number(tuple(values))
    return _text_key(tag, vr, [str(value).strip(" ") for value in values], reading)


def _reread(vr: str, values: list[Any]) -> list[Any]:
    """Give values that came with another VR than the dictionary's as values of that one."""
    if vr in ("DS", "IS"):
        return [(decimal if vr == "DS" else integer)(v) if isinstance(v, str) else v for v in values]
    if vr == "PN":
        return [person_name(v) if isinstance(v, str) else v for v in values]
    return [" ".join(cast("dict[str, str]", v).values()) if isinstance(v, dict) else v for v in values]


def _check_length(tag: int, vr: str, length: int) -> None:
    longest = _LONGEST.get(vr, _LONGEST_OTHER)
    if length > longest:
        raise BadInput(f"{dictionary.keyword(tag)} is longer than {longest:,} characters.")


def _collapse(pattern: str) -> str:
    """Make several ``*`` in a row one: they mean the same."""
    return _STARS.sub("*", pattern)


def _text_key(tag: int, vr: str, texts: list[str], reading: _Reading) -> Key:
    if reading.empty_value and texts == [_EMPTY_VALUE]:
        return Empty()
    if all(text and not text.strip("*") for text in texts):
        return Universal()
    _check_length(tag, vr, max(map(len, texts)))
    if vr in ("DA", "TM", "DT"):
        return _range_key(tag, vr, texts)
    if vr == "UI":
        return UidList(tuple(dict.fromkeys(text.strip("\0") for text in texts)))
    if vr in _WILD_VRS and any("*" in text or "?" in text for text in texts):
        reading.count_patterns(tag, len(texts), sum(map(len, texts)))
        return Wild(tuple(map(_collapse, texts)))
    return Single(tuple(texts))


def _name_key(tag: int, values: list[Any], reading: _Reading) -> Key:
    patterns: list[tuple[str, ...]] = []
    remembered: list[tuple[str, ...]] = []
    characters = 0
    for value in values:
        groups = cast("dict[str, str]", value) if isinstance(value, dict) else {"Alphabetic": str(value)}
        pattern = tuple(groups.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic"))
        if reading.empty_value and pattern == (_EMPTY_VALUE, "", ""):
            return Empty()
        if not "".join(pattern).strip("*"):
            return Universal()
        _check_length(tag, "PN", sum(map(len, pattern)))
        characters += sum(map(len, pattern))
        tidy = tuple(tidy_name(_collapse(group)) for group in pattern)
        patterns.append(tidy[:1] if not any(tidy[1:]) else tidy)
        remembered.append(() if any(wild in "".join(tidy) for wild in "*?") else tuple(fuzzy.words(*tidy)))
    reading.count_patterns(tag, len(patterns), characters)
    if reading.fuzzy and all(remembered):
        return Fuzzy(tuple(remembered))
    return Name(tuple(patterns))


_AS_IN: Final = {
    "DA": "20260131, or 20260101-20260131",
    "DT": "20260131083000, or 202601-202602",
    "TM": "0830, or 0800-1200",
}
"""How what has ranges is written."""


def _range_key(tag: int, vr: str, texts: list[str]) -> Key:
    """Read a date, a time, or a range of them."""
    wrong = BadInput(f"{dictionary.keyword(tag)} is neither a {vr} value nor a range of two. Write {_AS_IN[vr]}.")
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


def _sequence_key(tag: int, element: JsonElement, reading: _Reading) -> Key:
    items = values_of(element)
    if len(items) > 1:
        raise BadInput(f"{dictionary.keyword(tag)} has several items; a sequence key has one (PS3.4 C.2.2.2.6).")
    inner: dict[str, Key] = {}
    for item in cast("list[Attributes]", items):
        for name, each in item.items():
            key = _key(int(name, 16), each, reading)
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
