"""Keys: the matching types of PS3.4 section C.2.2.2, each with its one reading.

Rule 1. A key asks about one attribute; ``holds`` says whether an element answers
it. A multi-valued element answers when any of its values does. Rule 2. Both
sides may be hostile: comparing takes time in proportion to the text, of each
text only a beginning is compared, and of one row only so much.
"""

from dataclasses import dataclass, field
from typing import Any, Final, assert_never
from unicodedata import normalize

from leadglass.dicom import fuzzy, moments
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.moments import Interval

_TEXT_COMPARED: Final = 10_240
"""Characters of one stored text that are compared with wild cards: the most that an LT may have (PS3.5 section 6.2)."""

_NAME_COMPARED: Final = 1_024
"""Characters of one component group that are compared: sixteen times the most that it may have."""

_COMPONENTS: Final = 5
"""Components of a component group (PS3.5 section 6.2.1.1)."""

_ROW: Final = 1_000_000
"""Characters compared for one row, summed over keys, patterns and values: less than a second's work."""

_EACH: Final = 16
"""What one comparison costs besides its characters, in characters."""


class Effort:
    """What one row may still cost; what it does not reach is not looked at, and does not match.

    Parameters
    ----------
    most : int
        Characters.
    """

    __slots__ = ("left",)

    def __init__(self, most: int = _ROW) -> None:
        self.left = most

    def reaches(self, characters: int) -> bool:
        """Spend a comparison of so many characters; False when there is not enough left."""
        self.left -= characters + _EACH
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Universal:
    """Matches everything; asks for the attribute's value (C.2.2.2.3)."""


@dataclass(frozen=True, slots=True)
class Single:
    """One of some values, literally (C.2.2.2.1); several where the key had several."""

    values: tuple[str, ...]
    among: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "among", frozenset(self.values))


@dataclass(frozen=True, slots=True)
class Wild:
    """A pattern with ``*`` and ``?`` (C.2.2.2.4); several where the key had several."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A person name, with or without wild cards (VR PN): one of several patterns, each by component group.

    A pattern of one group is compared with every group of the name, whatever
    script it is in; one of several groups is compared group by group, an empty
    one asking nothing. Case, and trailing empty components, do not count.
    """

    patterns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A person name as somebody remembers it: one of several, each by its words (``dicom.fuzzy``)."""

    names: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of VR DS, IS, FL, FD, SS, … equal in value, whatever its spelling."""

    values: tuple[float | int | str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """From ``low`` to ``high``, both included; empty means open (C.2.2.2.5). As written in the key.

    A single date or time is a range from itself to itself: ``1030`` is any
    moment in that minute.

    Parameters
    ----------
    vr : str
        DA, TM or DT.
    low, high : str
        The bounds.
    """

    vr: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class UidList:
    """One of some UIDs (C.2.2.2.2)."""

    values: tuple[str, ...]
    among: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "among", frozenset(self.values))


@dataclass(frozen=True, slots=True)
class Empty:
    """Matches only what has no value (empty value matching)."""


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """An item in which all inner keys match (C.2.2.2.6)."""

    keys: "dict[str, Key]"


Key = Universal | Single | Wild | Name | Fuzzy | Number | Range | UidList | Empty | SequenceKey
"""What a key asks of one attribute."""


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """A date key and its time key read as one range (combined date-time matching, C.2.2.2.5)."""

    date_tag: str
    time_tag: str
    low: Interval | None
    high: Interval | None

    def holds(self, attributes: Attributes, effort: Effort) -> bool:
        """Say whether date and time together are in the range; a missing time is any time of the day."""
        times = [moments.parse_time(str(time)) for time in values_of(attributes.get(self.time_tag))]
        for date in values_of(attributes.get(self.date_tag)):
            day = moments.parse_date(str(date))
            if day is None:
                continue
            if not effort.reaches(len(times)):
                return False
            for time in times or [None]:
                moment = day if time is None else (day[0] + time[0], day[0] + time[1])
                if _overlaps(moment, self.low, self.high):
                    return True
        return False


def values_of(element: JsonElement | None) -> list[Any]:
    """Give the values of an element that are there; none when it is absent or empty."""
    return [] if element is None else [value for value in element.get("Value", []) if value is not None]


def holds(key: Key, element: JsonElement | None, effort: Effort) -> bool:
    """Say whether an element (None: absent) answers a key, as far as the effort reaches."""
    match key:
        case Universal():
            return True
        case Empty():
            return _is_empty(element)
        case Single() | UidList():
            return any(_plain(value) in key.among for value in values_of(element))
        case Wild(patterns):
            return any(_is_any_like(_plain(value), patterns, effort) for value in values_of(element))
        case Name(patterns):
            return any(_is_any_name(_groups(value), patterns, effort) for value in values_of(element))
        case Fuzzy(names):
            return any(_is_any_near(_groups(value), names, effort) for value in values_of(element))
        case Number(wanted):
            return any(
                effort.reaches(len(wanted)) and any(_is_same_number(value, number) for number in wanted)
                for value in values_of(element)
            )
        case Range():
            return any(_is_in_range(key, str(value)) for value in values_of(element))
        case SequenceKey(inner):
            return _holds_in_sequence(inner, element, effort)
        case _:
            assert_never(key)


def asks_nothing(key: Key) -> bool:
    """Say whether a key matches everything: universal, or a sequence of such."""
    match key:
        case Universal():
            return True
        case SequenceKey(inner):
            return all(asks_nothing(each) for each in inner.values())
        case _:
            return False


def _holds_in_sequence(inner: dict[str, Key], element: JsonElement | None, effort: Effort) -> bool:
    asked = {tag: key for tag, key in inner.items() if not asks_nothing(key)}
    if not asked:
        return True
    items: list[Attributes] = [item for item in values_of(element) if isinstance(item, dict)]
    if not items:
        return all(isinstance(key, Empty) for key in asked.values())
    return any(
        effort.reaches(0) and all(holds(key, item.get(tag), effort) for tag, key in asked.items()) for item in items
    )


def _is_empty(element: JsonElement | None) -> bool:
    if element is None:
        return True
    return not values_of(element) and "BulkDataURI" not in element and "InlineBinary" not in element


def _plain(value: object) -> str:
    """Give a value as literal text; trailing and leading spaces do not count."""
    return value.strip(" ") if isinstance(value, str) else str(value)


def _is_same_number(value: object, wanted: float | str) -> bool:
    if isinstance(value, str) or isinstance(wanted, str):
        return _plain(value) == _plain(wanted)
    return value == wanted


def _is_any_like(value: str, patterns: tuple[str, ...], effort: Effort) -> bool:
    text = value[:_TEXT_COMPARED]
    return any(effort.reaches(len(text)) and is_like(text, pattern) for pattern in patterns)


def is_like(text: str, pattern: str) -> bool:
    """Say whether ``text`` fits a pattern in which ``*`` stands for any characters and ``?`` for one.

    What stands between two ``*`` is found where it is first and never looked
    for again, so each character of the text is passed once.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return len(text) == len(first) and _fits_at(text, 0, first)
    last = rest.pop()
    if len(text) < len(first) + len(last) or not _fits_at(text, 0, first):
        return False
    end = len(text) - len(last)
    if not _fits_at(text, end, last):
        return False
    place = len(first)
    for part in rest:
        place = _find(text, part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def _fits_at(text: str, place: int, part: str) -> bool:
    if "?" not in part:
        return text.startswith(part, place)
    return len(text) - place >= len(part) and all(
        wanted in ("?", found) for found, wanted in zip(text[place : place + len(part)], part, strict=True)
    )


def _find(text: str, part: str, start: int, end: int) -> int:
    """Find a part, which may have ``?`` in it, in one pass.

    All its beginnings are followed at once, one bit each: the bit of a
    beginning moves on while the text goes on like the part (the method is known
    as shift-and).
    """
    if "?" not in part:
        return text.find(part, start, end)
    anything = 0
    fits: dict[str, int] = {}
    for place, wanted in enumerate(part):
        if wanted == "?":
            anything |= 1 << place
        else:
            fits[wanted] = fits.get(wanted, 0) | 1 << place
    whole = 1 << (len(part) - 1)
    begun = 0
    for place in range(start, end):
        begun = (begun << 1 | 1) & (fits.get(text[place], 0) | anything)
        if begun & whole:
            return place - len(part) + 1
    return -1


_GROUP_NAMES = ("Alphabetic", "Ideographic", "Phonetic")


def _groups(value: object) -> tuple[str, ...]:
    """Give the three component groups of a name in the JSON model, each as far as it is compared."""
    if isinstance(value, dict):
        named: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]
        return tuple(tidy_name(str(named.get(name, ""))[:_NAME_COMPARED]) for name in _GROUP_NAMES)
    return (tidy_name(str(value)[:_NAME_COMPARED]), "", "")


def tidy_name(group: str) -> str:
    """Give a component group without what does not count: trailing empty components, spaces around components."""
    return "^".join(component.strip(" ") for component in group.split("^")).rstrip("^")


def _is_any_name(groups: tuple[str, ...], patterns: tuple[tuple[str, ...], ...], effort: Effort) -> bool:
    cost = 4 * sum(map(len, groups))  # twice folded, each with and without empty components
    return any(effort.reaches(cost) and _name_is_like(groups, pattern) for pattern in patterns)


def _is_any_near(groups: tuple[str, ...], names: tuple[tuple[str, ...], ...], effort: Effort) -> bool:
    named = fuzzy.words(*groups)
    letters = sum(map(len, named))
    return any(
        effort.reaches(sum(len(word) * letters for word in wanted)) and fuzzy.is_like(named, wanted) for wanted in names
    )


def _name_is_like(groups: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if len(pattern) == 1:
        return any(_group_is_like(group, pattern[0]) for group in groups if group)
    return all(_group_is_like(group, part) for group, part in zip(groups, pattern, strict=False) if part)


def _group_is_like(group: str, pattern: str) -> bool:
    """Compare one component group, without regard to case.

    Both foldings are tried: full case folding makes one letter two (ß), which
    ``?`` would not fit. Empty components are written out as far as the pattern
    has any and a name may have them, so that ``Doe^*`` finds ``Doe``.
    """
    delimiters = min(pattern.count("^"), _COMPONENTS - 1)
    padded = group + "^" * max(0, delimiters - group.count("^"))
    texts = {group, padded}
    if pattern.isascii() and group.isascii():
        return any(is_like(text.lower(), pattern.lower()) for text in texts)
    for fold in (str.casefold, str.lower):
        wanted = fold(normalize("NFC", pattern))
        if any(is_like(fold(normalize("NFC", text)), wanted) for text in texts):
            return True
    return False


def parse_moment(vr: str, text: str) -> Interval | None:
    """Give the interval of a DA, TM or DT value."""
    match vr:
        case "DA":
            return moments.parse_date(text)
        case "TM":
            return moments.parse_time(text)
        case _:
            return moments.parse_date_time(text)


def _overlaps(moment: Interval, low: Interval | None, high: Interval | None) -> bool:
    return (low is None or moment[1] >= low[0]) and (high is None or moment[0] <= high[1])


def _is_in_range(key: Range, value: str) -> bool:
    moment = parse_moment(key.vr, value)
    if moment is None:
        return False
    low = parse_moment(key.vr, key.low) if key.low else None
    high = parse_moment(key.vr, key.high) if key.high else None
    return _overlaps(moment, low, high)
