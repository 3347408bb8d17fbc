"""Narrowing: what SQL can say of a query, before ``Query.matches`` judges.

Rule: what is said here holds for every true match; a key that cannot be said
so is not said. Values are bound, never text.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import Final, LiteralString

from leadglass.dicom import tags
from leadglass.dicom.matching import (
    Fuzzy,
    Key,
    Level,
    Name,
    Number,
    Query,
    Range,
    Single,
    UidList,
    Universal,
    Wild,
    asks_nothing,
)
from leadglass.dicom.words import PADDING, beginning_of, fold
from leadglass.vault.index.sql import Sql, all_of, any_of, one_of

_LARGEST: Final = 1 << 63
_HIGHEST: Final = "\U0010ffff"
_WILD: Final = "*?"
_DATE: Final = len("YYYYMMDD")
_AFTER_DAY: Final = "~"
"""Sorted after every time of a day."""
_DAY: Final = 86_400_000_000
"""Microseconds."""

_Columns = Mapping[str, LiteralString]

_STUDY_TEXTS: Final[_Columns] = {
    tags.key(tags.PatientID): "study.patient_id_form",
    tags.key(tags.AccessionNumber): "study.accession_number",
    tags.key(tags.StudyID): "study.study_code",
}
_STUDY_DATES: Final[_Columns] = {
    tags.key(tags.StudyDate): "study.study_date",
    tags.key(tags.PatientBirthDate): "study.patient_birth_date",
}
_STUDY_UIDS: Final[_Columns] = {tags.key(tags.StudyInstanceUID): "study.study_uid"}
_MODALITY: Final = tags.key(tags.Modality)
_SERIES_UIDS: Final[_Columns] = {tags.key(tags.SeriesInstanceUID): "series.series_uid"}
_INSTANCE_UIDS: Final[_Columns] = {
    tags.key(tags.SOPInstanceUID): "instance.sop_instance_uid",
    tags.key(tags.SOPClassUID): "instance.sop_class_uid",
}
_PATIENT_NAME: Final = tags.key(tags.PatientName)
_MODALITIES: Final = tags.key(tags.ModalitiesInStudy)
_INSTANCE_NUMBER: Final = tags.key(tags.InstanceNumber)
STUDY_DATE: Final = tags.key(tags.StudyDate)
_NOTHING: Final = Universal()
_UNIQUE: Final = (tags.key(tags.SeriesInstanceUID), tags.key(tags.SOPInstanceUID))
_EXACT_UIDS: Final = frozenset({*_STUDY_UIDS, *_SERIES_UIDS, *_INSTANCE_UIDS})


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Conditions by the table they are about; those of ``study`` hold at every level."""

    study: tuple[Sql, ...]
    series: tuple[Sql, ...]
    instance: tuple[Sql, ...]
    is_lookup: bool = False
    """Whether something is looked up in an index that leaves few: a patient, a study, a number; not a span of time."""

    @property
    def is_open(self) -> bool:
        """Whether nothing is said at all."""
        return not (self.study or self.series or self.instance)


class Newest(Enum):
    """Whether the column by which studies are sorted says their dates, so that it can stand for them."""

    EXACT = auto()
    NOT_SAID = auto()
    """Some study has several dates, or what is none."""


Near = Callable[[str], Collection[str] | None]
"""Gives the words in the index that are near to one; None when those are too many to say."""


def narrow(query: Query, *, newest: Newest = Newest.NOT_SAID, near: Near = lambda _: None) -> Narrowed:
    """Give the conditions that every match of a query meets.

    Parameters
    ----------
    query : Query
        What is asked.
    newest : Newest
        Whether study dates may be said by the column that gives the order.
    near : callable
        What fuzzy names are narrowed with.
    """
    keys = query.keys
    of_study = [*_uids(keys, _STUDY_UIDS), *_texts(keys, _STUDY_TEXTS)]
    names = keys.get(_PATIENT_NAME)
    if isinstance(names, Name):
        of_study += _names(names)
    elif isinstance(names, Fuzzy):
        of_study += _near_names(names, near)
    is_lookup = bool(of_study)
    of_study += _dates(query, newest)
    modalities = keys.get(_MODALITIES)
    if modalities is not None and query.level is not Level.PATIENT:
        # Not the series that a query at a lower level is about.
        of_study += [
            Sql(
                "EXISTS (SELECT 1 FROM series among WHERE among.study_id = study.id AND (" + one.text + "))", one.values
            )
            for one in _code("among.modality", modalities)
        ]
    of_instance = list(_uids(keys, _INSTANCE_UIDS))
    numbers = keys.get(_INSTANCE_NUMBER)
    if isinstance(numbers, Number):
        of_instance += _numbers("instance.instance_number", numbers)
    of_series = list(_uids(keys, _SERIES_UIDS))
    modality = keys.get(_MODALITY)
    if modality is not None:
        of_series += _code("series.modality", modality)
    is_lookup = is_lookup or any(tag in keys and not asks_nothing(keys[tag]) for tag in _UNIQUE)
    return Narrowed(tuple(of_study), tuple(of_series), tuple(of_instance), is_lookup)


def is_exact(query: Query) -> bool:
    """Say whether ``narrow`` with ``Newest.EXACT`` says all that a query asks, so that nothing is left to judge."""
    return not query.combined and all(
        asks_nothing(key) or (tag in _EXACT_UIDS and isinstance(key, UidList)) or (tag == STUDY_DATE and _is_days(key))
        for tag, key in query.keys.items()
    )


def asks_about_dates(query: Query) -> bool:
    """Say whether a query compares the dates of studies."""
    return not asks_nothing(query.keys.get(STUDY_DATE, _NOTHING)) or bool(query.combined)


def _is_days(key: Key) -> bool:
    return (
        isinstance(key, Range)
        and key.vr == "DA"
        and bool(key.low or key.high)
        and all(not each or bool(_date(each)) for each in (key.low, key.high))
    )


def _uids(keys: Mapping[str, Key], columns: _Columns) -> Iterator[Sql]:
    """UIDs stand in their columns as they are in the data set, without padding."""
    for tag, column in columns.items():
        key = keys.get(tag)
        if isinstance(key, (Single, UidList)):
            yield one_of(column, {value.strip(PADDING) for value in key.values})


def _texts(keys: Mapping[str, Key], columns: _Columns) -> Iterator[Sql]:
    for tag, column in columns.items():
        key = keys.get(tag)
        if key is not None:
            yield from _text(column, key)


def _code(column: LiteralString, key: Key) -> Iterator[Sql]:
    """Compare a code as it is in the data set, without padding: so its column can be counted too."""
    if isinstance(key, (Single, UidList)):
        yield _or_unsaid(column, one_of(column, {value.strip(PADDING) for value in key.values}))


def _text(column: LiteralString, key: Key) -> Iterator[Sql]:
    match key:
        case Single(values) | UidList(values):
            yield _or_unsaid(column, one_of(column, set(map(fold, values))))
        case Wild(patterns):
            yield from _any_begins(column, patterns)
        case _:
            return


def _any_begins(column: LiteralString, patterns: Iterable[str]) -> Iterator[Sql]:
    """Say that a text begins like one of some patterns, unless one of them may begin anyhow."""
    beginnings = [_beginning(pattern) for pattern in patterns]
    if beginnings and all(beginnings):
        yield _or_unsaid(column, *(begins(column, beginning) for beginning in beginnings))


def _beginning(pattern: str) -> str:
    """Give the normal form of what stands before the first wild card, up to its last whole letter."""
    literal = pattern.lstrip(PADDING)
    wild = min((at for at in map(literal.find, _WILD) if at >= 0), default=len(literal))
    return beginning_of(literal[:wild])


def begins(column: LiteralString, beginning: str) -> Sql:
    """As a range, which an index answers; LIKE would fold case once more."""
    return Sql(column + " BETWEEN ? AND ?", (beginning, beginning + _HIGHEST * 4))


def _or_unsaid(column: LiteralString, *conditions: Sql) -> Sql:
    """Let a row pass whose column cannot say its value: the judge will tell."""
    return any_of((*conditions, Sql(column + " IS NULL")))


def _names(key: Name) -> Iterator[Sql]:
    """One component group of the name begins like one of each pattern's."""
    beginnings: list[str] = []
    for pattern in key.patterns:
        # Of several groups all must be alike (``keys.Name``), so any one of them narrows.
        literals = [literal for literal in (_beginning_of_name(group) for group in pattern) if literal]
        if not literals:
            return
        beginnings.append(literals[0])
    # IN and not EXISTS: names are few against studies, and are to be looked up first.
    begun = any_of(begins("study_name.form", beginning) for beginning in beginnings)
    yield Sql("study.id IN (SELECT study_name.study_id FROM study_name WHERE " + begun.text + ")", begun.values)


def _beginning_of_name(group: str) -> str:
    """Empty components at the end of a literal may be written out in the key and not in the name."""
    return _beginning(group).rstrip("^ ")


def _near_names(key: Fuzzy, near: Near) -> Iterator[Sql]:
    """Say that some word of the name is near to each that is asked for."""
    alternatives: list[Sql] = []
    for wanted in key.names:
        found = [words for words in map(near, wanted) if words is not None]
        if not found:
            return
        alternatives.append(all_of(_has_word(words) for words in found))
    yield any_of(alternatives)


def _has_word(words: Collection[str]) -> Sql:
    one = one_of("study_word.word", words)
    return Sql("study.id IN (SELECT study_word.study_id FROM study_word WHERE " + one.text + ")", one.values)


def _dates(query: Query, newest: Newest) -> Iterator[Sql]:
    for tag, column in _STUDY_DATES.items():
        key = query.keys.get(tag)
        if isinstance(key, Range) and key.vr == "DA":
            yield from _between(tag, column, newest, _date(key.low), _date(key.high))
    for both in query.combined:
        column = _STUDY_DATES.get(both.date_tag)
        if column is not None:
            yield from _between(
                both.date_tag,
                column,
                newest,
                _day(both.low[0]) if both.low is not None else "",
                _day(both.high[1]) if both.high is not None else "",
            )


def _between(tag: str, column: LiteralString, newest: Newest, low: str, high: str) -> Iterator[Sql]:
    if newest is Newest.EXACT and tag == STUDY_DATE:
        if low or high:
            yield Sql("study.newest >= ?", (low,)) if low else Sql("study.newest > ''")
        if high:
            yield Sql("study.newest < ?", (high + _AFTER_DAY,))
    elif low or high:
        bounds = [Sql(column + " >= ?", (low,))] if low else [Sql(column + " != ''")]
        if high:
            bounds.append(Sql(column + " <= ?", (high,)))
        yield _or_unsaid(column, all_of(bounds))


def _date(text: str) -> str:
    """Give a date of a key as columns have it; empty when it is none."""
    digits = text.strip(PADDING).replace(".", "")
    return digits if len(digits) == _DATE and digits.isdecimal() and digits.isascii() else ""


def _day(moment: int) -> str:
    """Give the day of a moment in microseconds since the year 1."""
    return date.fromordinal(1 + moment // _DAY).strftime("%Y%m%d").zfill(_DATE)


def _numbers(column: LiteralString, key: Number) -> Iterator[Sql]:
    whole = {value for value in key.values if isinstance(value, int) and abs(value) < _LARGEST}
    if len(whole) == len(set(key.values)):
        yield _or_unsaid(column, one_of(column, whole))
