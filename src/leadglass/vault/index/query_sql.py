"""Narrowing: what SQL can say of a query, before ``Query.matches`` judges.

Rule: what is said here holds for every true match; a key that cannot be said
so is not said. Values are bound, never text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, exists, or_, select

from leadglass.dicom import tags
from leadglass.dicom.matching import Key, Level, Name, Number, Query, Range, Single, UidList, Wild
from leadglass.vault.index import normal
from leadglass.vault.index.scope_sql import one_of
from leadglass.vault.index.tables import instance, series, study, study_name

_LARGEST: Final = 1 << 63
_HIGHEST: Final = "\U0010ffff"
_WILD: Final = "*?"
_DATE: Final = len("YYYYMMDD")
_DAY: Final = 86_400_000_000
"""Microseconds."""

_Texts = Mapping[str, Column[Any]]

_STUDY_TEXTS: Final[_Texts] = {
    tags.key(tags.PatientID): study.c.patient_id_form,
    tags.key(tags.AccessionNumber): study.c.accession_number,
    tags.key(tags.StudyID): study.c.study_code,
}
_STUDY_DATES: Final[_Texts] = {
    tags.key(tags.StudyDate): study.c.study_date,
    tags.key(tags.PatientBirthDate): study.c.patient_birth_date,
}
_STUDY_UIDS: Final[_Texts] = {tags.key(tags.StudyInstanceUID): study.c.study_uid}
_MODALITY: Final = tags.key(tags.Modality)
_SERIES_UIDS: Final[_Texts] = {tags.key(tags.SeriesInstanceUID): series.c.series_uid}
_INSTANCE_UIDS: Final[_Texts] = {
    tags.key(tags.SOPInstanceUID): instance.c.sop_instance_uid,
    tags.key(tags.SOPClassUID): instance.c.sop_class_uid,
}
_PATIENT_NAME: Final = tags.key(tags.PatientName)
_MODALITIES: Final = tags.key(tags.ModalitiesInStudy)
_INSTANCE_NUMBER: Final = tags.key(tags.InstanceNumber)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Conditions by the table they are about; those of ``study`` hold at every level."""

    study: tuple[ColumnElement[bool], ...]
    series: tuple[ColumnElement[bool], ...]
    instance: tuple[ColumnElement[bool], ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing is said at all."""
        return not (self.study or self.series or self.instance)


def narrow(query: Query) -> Narrowed:
    """Give the conditions that every match of a query meets."""
    keys = query.keys
    of_study = [*_uids(keys, _STUDY_UIDS), *_texts(keys, _STUDY_TEXTS), *_dates(query)]
    names = keys.get(_PATIENT_NAME)
    if isinstance(names, Name):
        of_study += _names(names)
    modalities = keys.get(_MODALITIES)
    among = series.alias("among")  # not the series that a query at a lower level is about
    if modalities is not None and query.level is not Level.PATIENT:
        of_study += [
            exists().where(among.c.study_id == study.c.id, condition)
            for condition in _code(among.c.modality, modalities)
        ]
    of_instance = list(_uids(keys, _INSTANCE_UIDS))
    numbers = keys.get(_INSTANCE_NUMBER)
    if isinstance(numbers, Number):
        of_instance += _numbers(instance.c.instance_number, numbers)
    of_series = list(_uids(keys, _SERIES_UIDS))
    modality = keys.get(_MODALITY)
    if modality is not None:
        of_series += _code(series.c.modality, modality)
    return Narrowed(tuple(of_study), tuple(of_series), tuple(of_instance))


def _uids(keys: Mapping[str, Key], columns: _Texts) -> Iterator[ColumnElement[bool]]:
    """UIDs stand in their columns as they are in the data set, without padding."""
    for tag, column in columns.items():
        key = keys.get(tag)
        if isinstance(key, (Single, UidList)):
            yield one_of(column, {value.strip(normal.PADDING) for value in key.values})


def _texts(keys: Mapping[str, Key], columns: _Texts) -> Iterator[ColumnElement[bool]]:
    for tag, column in columns.items():
        key = keys.get(tag)
        if key is not None:
            yield from _text(column, key)


def _code(column: Column[Any], key: Key) -> Iterator[ColumnElement[bool]]:
    """Compare a code as it is in the data set, without padding: so its column can be counted too."""
    if isinstance(key, (Single, UidList)):
        yield or_(one_of(column, {value.strip(normal.PADDING) for value in key.values}), column.is_(None))


def _text(column: Column[Any], key: Key) -> Iterator[ColumnElement[bool]]:
    match key:
        case Single(values) | UidList(values):
            yield or_(one_of(column, set(map(normal.fold, values))), column.is_(None))
        case Wild(patterns):
            yield from _any_begins(column, patterns)
        case _:
            return


def _any_begins(column: Column[Any], patterns: Iterable[str]) -> Iterator[ColumnElement[bool]]:
    """Say that a text begins like one of some patterns, unless one of them may begin anyhow."""
    beginnings = [_beginning(pattern) for pattern in patterns]
    if beginnings and all(beginnings):
        yield or_(*(_begins(column, beginning) for beginning in beginnings), column.is_(None))


def _beginning(pattern: str) -> str:
    """Give the normal form of what stands before the first wild card, up to its last whole letter."""
    literal = pattern.lstrip(normal.PADDING)
    wild = min((at for at in map(literal.find, _WILD) if at >= 0), default=len(literal))
    folded = normal.fold(literal[:wild])
    # An accent that follows in the text could be sorted before one that is last here.
    while folded and normal.is_mark(folded[-1]):
        folded = folded[:-1]
    return folded


def _begins(column: Column[Any], beginning: str) -> ColumnElement[bool]:
    """As a range, which an index answers; LIKE would fold case once more."""
    return and_(column >= beginning, column <= beginning + _HIGHEST * 4)


def _names(key: Name) -> Iterator[ColumnElement[bool]]:
    """One component group of the name begins like one of each pattern's."""
    beginnings: list[str] = []
    for pattern in key.patterns:
        # Of several groups all must be alike (``keys.Name``), so any one of them narrows.
        literals = [literal for literal in (_beginning_of_name(group) for group in pattern) if literal]
        if not literals:
            return
        beginnings.append(literals[0])
    # IN and not EXISTS: names are few against studies, and are to be looked up first.
    yield study.c.id.in_(
        select(study_name.c.study_id).where(
            or_(*(_begins(study_name.c.form, beginning) for beginning in beginnings)),
        )
    )


def _beginning_of_name(group: str) -> str:
    """Empty components at the end of a literal may be written out in the key and not in the name."""
    return _beginning(group).rstrip("^ ")


def _dates(query: Query) -> Iterator[ColumnElement[bool]]:
    for tag, column in _STUDY_DATES.items():
        key = query.keys.get(tag)
        if isinstance(key, Range) and key.vr == "DA":
            yield from _between(column, _date(key.low), _date(key.high))
    for both in query.combined:
        column = _STUDY_DATES.get(both.date_tag)
        if column is not None:
            yield from _between(
                column,
                _day(both.low[0]) if both.low is not None else "",
                _day(both.high[1]) if both.high is not None else "",
            )


def _between(column: Column[Any], low: str, high: str) -> Iterator[ColumnElement[bool]]:
    bounds = ([column >= low] if low else []) + ([column <= high] if high else [])
    if bounds:
        yield or_(and_(column != "", *bounds), column.is_(None))


def _date(text: str) -> str:
    """Give a date of a key as columns have it; empty when it is none."""
    digits = text.strip(normal.PADDING).replace(".", "")
    return digits if len(digits) == _DATE and digits.isdecimal() and digits.isascii() else ""


def _day(moment: int) -> str:
    """Give the day of a moment in microseconds since the year 1."""
    return date.fromordinal(1 + moment // _DAY).strftime("%Y%m%d").zfill(_DATE)


def _numbers(column: Column[Any], key: Number) -> Iterator[ColumnElement[bool]]:
    whole = {value for value in key.values if isinstance(value, int) and abs(value) < _LARGEST}
    if len(whole) == len(set(key.values)):
        yield or_(one_of(column, whole), column.is_(None))
