"""Finding: the matches of a query, for a permit.

Rule 1. SQL narrows, ``Query.matches`` judges. Rule 2. What is counted is what
the permit covers: a study outside of its scope is in no number. Rule 3. Ids are
gathered first, rows a page at a time, so that no read transaction lasts while
an asker is slow; what was deleted meanwhile is passed over. Rule 4. Each row
that was judged is told of, so that who asks can stop at any of them.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar, assert_never

from sqlalchemy import Column, ColumnElement, Connection, Select, select

from leadglass.dicom import tags
from leadglass.dicom.levels import Level, level_of
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.model import Attributes
from leadglass.policy.permit import Permit
from leadglass.vault import counting
from leadglass.vault.index import packed
from leadglass.vault.index.query_sql import narrow
from leadglass.vault.index.scope_sql import one_of, where
from leadglass.vault.index.tables import instance, series, study
from leadglass.vault.reading import Reading

K = TypeVar("K", str, int)

_IDS: Final = 50_000
"""Ids gathered at a time: some 400 kB."""

_ROWS: Final = 500
"""Rows read, and judged, at a time."""

_SOP_INSTANCE: Final = tags.key(tags.SOPInstanceUID)
_SOP_CLASS: Final = tags.key(tags.SOPClassUID)
_INSTANCE_NUMBER: Final = tags.key(tags.InstanceNumber)
_IN_COLUMNS: Final = frozenset({_SOP_INSTANCE, _SOP_CLASS, _INSTANCE_NUMBER})


def find(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    """Give the matches of a query at its level, in the order in which they came to be stored.

    Gives ``NO_MATCH`` for each row that was looked at and is none.
    """
    match query.level:
        case Level.PATIENT:
            return _patients(reading, permit, query)
        case Level.STUDY:
            found = _studies(reading, permit, query)
        case Level.SERIES:
            found = _series(reading, permit, query)
        case Level.IMAGE:
            found = _instances(reading, permit, query)
        case _ as never:
            assert_never(never)
    return (query.project(attributes) if query.matches(attributes) else NO_MATCH for attributes in found)


# --- levels -------------------------------------------------------------------


def _patients(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    """One answer for each patient: as in the first study that matches, with counts over all of them."""
    narrowed = narrow(query)
    chosen = select(study.c.patient).distinct().where(*narrowed.study, where(permit.scope))
    for page in _pages(reading, chosen, study.c.patient, "", is_narrow=not narrowed.is_open):
        with reading.connected() as connection:
            rows = connection.execute(
                select(study.c.patient, study.c.attributes)
                .where(one_of(study.c.patient, page), where(permit.scope))
                .order_by(study.c.patient, study.c.id)
            ).all()
            counts = counting.of_patients(connection, permit, page, frozenset(query.keys))
        answered: str | None = None
        for patient, attributes in rows:
            if patient == answered:
                continue
            merged = packed.unpack(attributes) | counts.get(patient, {}) | counting.availability()
            if query.matches(merged):
                answered = patient
                yield query.project(merged)
            else:
                yield NO_MATCH


def _studies(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    narrowed = narrow(query)
    chosen = select(study.c.id).where(*narrowed.study, where(permit.scope))
    for page in _pages(reading, chosen, study.c.id, 0, is_narrow=not narrowed.is_open):
        with reading.connected() as connection:
            studies = _study_attributes(connection, permit, page, query)
        for row in page:
            if row in studies:
                yield studies[row]


def _series(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    narrowed = narrow(query)
    chosen = select(series.c.id).join_from(series, study).where(*narrowed.study, *narrowed.series, where(permit.scope))
    for page in _pages(reading, chosen, series.c.id, 0, is_narrow=not narrowed.is_open):
        with reading.connected() as connection:
            rows = connection.execute(
                select(series.c.study_id, series.c.instances, series.c.attributes)
                .where(one_of(series.c.id, page))
                .order_by(series.c.id)
            ).all()
            studies = _study_attributes(connection, permit, {row.study_id for row in rows}, query)
        for row in rows:
            above = studies.get(row.study_id)
            if above is not None:
                yield packed.unpack(row.attributes) | counting.of_series(row.instances) | above


def _instances(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    narrowed = narrow(query)
    chosen = (
        select(instance.c.id)
        .join_from(instance, series)
        .join(study)
        .where(*narrowed.study, *narrowed.series, *narrowed.instance, where(permit.scope))
    )
    # Without its attributes a row is some hundred bytes instead of several thousand.
    needs_own = any(not _is_above(key) for key in query.keys)
    for page in _pages(reading, chosen, instance.c.id, 0, is_narrow=not narrowed.is_open):
        with reading.connected() as connection:
            rows = _instance_rows(connection, page, needs_own=needs_own)
            above = _series_attributes(connection, permit, {row for row, _ in rows}, query)
        for row, own in rows:
            if row in above:
                yield own | above[row]


def _instance_rows(connection: Connection, page: Sequence[int], *, needs_own: bool) -> list[tuple[int, Attributes]]:
    """Give each instance's series and its own attributes: all, or those that have columns."""
    if not needs_own:
        columns = connection.execute(
            select(
                instance.c.series_id,
                instance.c.sop_class_uid,
                instance.c.sop_instance_uid,
                instance.c.instance_number,
            )
            .where(one_of(instance.c.id, page))
            .order_by(instance.c.id)
        ).all()
        if all(row.instance_number is not None for row in columns):
            return [
                (
                    row.series_id,
                    {
                        _SOP_CLASS: {"vr": "UI", "Value": [row.sop_class_uid]},
                        _SOP_INSTANCE: {"vr": "UI", "Value": [row.sop_instance_uid]},
                        _INSTANCE_NUMBER: {"vr": "IS", "Value": [row.instance_number]},
                    },
                )
                for row in columns
            ]
    rows = connection.execute(
        select(instance.c.series_id, instance.c.attributes).where(one_of(instance.c.id, page)).order_by(instance.c.id)
    )
    return [(series_row, packed.unpack(attributes)) for series_row, attributes in rows]


# --- shared -------------------------------------------------------------------


def _pages(
    reading: Reading, chosen: Select[Any], column: Column[K], least: K, *, is_narrow: bool
) -> Iterator[Sequence[K]]:
    """Give the keys of a selection in their order, a page of rows at a time.

    Where something narrows, the order is asked for in a way that the database
    does not take for a reason to walk through everything in that order.
    """
    order = column.concat("") if isinstance(least, str) else column.op("+")(0)
    ordered: ColumnElement[Any] = order if is_narrow else column
    last = least
    while True:
        with reading.connected() as connection:
            keys: Sequence[K] = connection.scalars(chosen.where(ordered > last).order_by(ordered).limit(_IDS)).all()
        for start in range(0, len(keys), _ROWS):
            yield keys[start : start + _ROWS]
        if len(keys) < _IDS:
            return
        last = keys[-1]


def _is_above(key: str) -> bool:
    """Say whether an attribute is known without looking at the instance's own."""
    return key in _IN_COLUMNS or level_of(int(key, 16)) is not Level.IMAGE


def _study_attributes(
    connection: Connection, permit: Permit, studies: Collection[int], query: Query
) -> dict[int, Attributes]:
    """Give the attributes and counts of those studies that the permit covers, by their rows."""
    rows = connection.execute(
        select(study.c.id, study.c.patient, study.c.attributes).where(one_of(study.c.id, studies), where(permit.scope))
    ).all()
    asked = frozenset(query.keys)
    of_patients = counting.of_patients(connection, permit, {row.patient for row in rows}, asked)
    of_studies = counting.of_studies(connection, [row.id for row in rows], asked)
    return {
        row.id: packed.unpack(row.attributes)
        | of_patients.get(row.patient, {})
        | of_studies.get(row.id, {})
        | counting.availability()
        for row in rows
    }


def _series_attributes(
    connection: Connection, permit: Permit, wanted: Collection[int], query: Query
) -> dict[int, Attributes]:
    """Give the attributes of some series and their studies, those that the permit covers, by the series' rows."""
    rows = connection.execute(
        select(series.c.id, series.c.study_id, series.c.instances, series.c.attributes).where(
            one_of(series.c.id, wanted)
        )
    ).all()
    studies = _study_attributes(connection, permit, {row.study_id for row in rows}, query)
    return {
        row.id: packed.unpack(row.attributes) | counting.of_series(row.instances) | studies[row.study_id]
        for row in rows
        if row.study_id in studies
    }
