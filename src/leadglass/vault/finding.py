"""Finding: the matches of a query, for a permit.

Rule 1. SQL narrows, ``Query.matches`` judges. Rule 2. What is counted is what
the permit covers: a study outside of its scope is in no number. Rule 3. Ids are
gathered first, rows a page at a time, so that no read transaction lasts while
an asker is slow; what was deleted meanwhile is passed over. Rule 4. Each row
that was judged is told of, so that who asks can stop at any of them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, TypeVar, assert_never

from leadglass.crypto.database import driver
from leadglass.dicom import fuzzy, tags
from leadglass.dicom.levels import Level, level_of
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.model import Attributes
from leadglass.policy.permit import Permit
from leadglass.vault import counting
from leadglass.vault.index import packed
from leadglass.vault.index.query_sql import Narrowed, narrow
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask, one_of
from leadglass.vault.reading import Reading

K = TypeVar("K", str, int)

_IDS: Final = 50_000
"""Ids gathered at a time: some 400 kB."""

_FIRST_ROWS: Final = 32
_ROWS: Final = 500
"""Rows read, and judged, at a time: few at first, so that the first answer does not wait for hundreds."""

_WORDS: Final = 5_000
"""Words near to one that are looked up; a single letter has more."""
_HIGHEST: Final = "\U0010ffff"

_SOP_INSTANCE: Final = tags.key(tags.SOPInstanceUID)
_SOP_CLASS: Final = tags.key(tags.SOPClassUID)
_INSTANCE_NUMBER: Final = tags.key(tags.InstanceNumber)
_IN_COLUMNS: Final = frozenset({_SOP_INSTANCE, _SOP_CLASS, _INSTANCE_NUMBER})


Fetch = Callable[["driver.Connection", Permit, Sequence[int], Query], dict[int, Attributes]]
"""Reads a page of rows of one level."""


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
    narrowed = _narrowed(reading, query)
    scope = where(permit.scope)
    chosen = _Chosen(
        "DISTINCT study.patient", "study", all_of((*narrowed.study, scope)), is_narrow=not narrowed.is_open
    )
    for page in _pages(reading, chosen, ""):
        of_page = all_of((one_of("study.patient", page), scope))
        with reading.connected() as connection:
            rows = ask(
                connection,
                "SELECT patient, attributes FROM study WHERE " + of_page.text + " ORDER BY patient, id",
                of_page.values,
            ).fetchall()
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
    narrowed = _narrowed(reading, query)
    chosen = _Chosen(
        "study.id", "study", all_of((*narrowed.study, where(permit.scope))), is_narrow=not narrowed.is_open
    )
    return _rows(reading, permit, query, chosen, study_page)


def _series(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    narrowed = _narrowed(reading, query)
    chosen = _Chosen(
        "series.id",
        "series JOIN study ON study.id = series.study_id",
        all_of((*narrowed.study, *narrowed.series, where(permit.scope))),
        is_narrow=not narrowed.is_open,
    )
    return _rows(reading, permit, query, chosen, series_page)


def _instances(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    narrowed = _narrowed(reading, query)
    chosen = _Chosen(
        "instance.id",
        "instance JOIN series ON series.id = instance.series_id JOIN study ON study.id = series.study_id",
        all_of((*narrowed.study, *narrowed.series, *narrowed.instance, where(permit.scope))),
        is_narrow=not narrowed.is_open,
    )
    return _rows(reading, permit, query, chosen, instance_page)


def _rows(reading: Reading, permit: Permit, query: Query, chosen: "_Chosen", fetch: Fetch) -> Iterator[Attributes]:
    for page in _pages(reading, chosen, 0):
        with reading.connected() as connection:
            rows = fetch(connection, permit, page, query)
        for row in page:
            if row in rows:
                yield rows[row]


# --- pages --------------------------------------------------------------------


def study_page(
    connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query
) -> dict[int, Attributes]:
    """Give what a query needs of some studies, by their rows; of those that the permit covers."""
    return _study_attributes(connection, permit, page, query)


def series_page(
    connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query
) -> dict[int, Attributes]:
    """Give what a query needs of some series and their studies, by their rows; of those that the permit covers."""
    return _series_attributes(connection, permit, page, query)


def instance_page(
    connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query
) -> dict[int, Attributes]:
    """Give what a query needs of some instances and all above them; of those that the permit covers."""
    # Without its attributes a row is some hundred bytes instead of several thousand.
    needs_own = query.is_all or any(not _is_above(key) for key in query.keys)
    rows = _instance_rows(connection, page, needs_own=needs_own)
    above = _series_attributes(connection, permit, {series for series, _ in rows.values()}, query)
    return {row: own | above[series] for row, (series, own) in rows.items() if series in above}


def _instance_rows(
    connection: "driver.Connection", page: Sequence[int], *, needs_own: bool
) -> dict[int, tuple[int, Attributes]]:
    """Give each instance's series and its own attributes, by its row: all, or those that have columns."""
    of_page = one_of("id", page)
    if not needs_own:
        columns = ask(
            connection,
            "SELECT id, series_id, sop_class_uid, sop_instance_uid, instance_number FROM instance"
            " WHERE " + of_page.text,
            of_page.values,
        ).fetchall()
        if all(number is not None for *_, number in columns):
            return {
                row: (
                    series,
                    {
                        _SOP_CLASS: {"vr": "UI", "Value": [sop_class_uid]},
                        _SOP_INSTANCE: {"vr": "UI", "Value": [sop_instance_uid]},
                        _INSTANCE_NUMBER: {"vr": "IS", "Value": [number]},
                    },
                )
                for row, series, sop_class_uid, sop_instance_uid, number in columns
            }
    rows = ask(connection, "SELECT id, series_id, attributes FROM instance WHERE " + of_page.text, of_page.values)
    return {row: (series, packed.unpack(attributes)) for row, series, attributes in rows}


def words_near(connection: "driver.Connection", wanted: str) -> list[str] | None:
    """Give the words of patients' names that are near to one; None when they are too many."""
    # A word is near only when it begins with the same letter.
    rows = ask(
        connection,
        "SELECT DISTINCT word FROM study_word WHERE word >= ? AND word < ?",
        (wanted[:1], wanted[:1] + _HIGHEST),
    )
    found = [word for (word,) in rows if fuzzy.is_near(word, wanted)]
    return found if len(found) <= _WORDS else None


def _narrowed(reading: Reading, query: Query) -> Narrowed:
    with reading.connected() as connection:
        return narrow(query, near=lambda wanted: words_near(connection, wanted))


# --- shared -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A selection of keys.

    Parameters
    ----------
    key : str
        The column, with DISTINCT in front where it is not unique.
    tables : str
        What it is selected from.
    condition : Sql
        Which rows.
    is_narrow : bool
        Whether the condition says more than the scope does.
    """

    key: LiteralString
    tables: LiteralString
    condition: Sql
    is_narrow: bool


def _pages(reading: Reading, chosen: _Chosen, least: K) -> Iterator[Sequence[K]]:
    """Give the keys of a selection in their order, a page of rows at a time.

    Where something narrows, the order is asked for in a way that the database
    does not take for a reason to walk through everything in that order.
    """
    column = chosen.key.removeprefix("DISTINCT ")
    order = "+" + column if chosen.is_narrow else column
    text = (
        "SELECT " + chosen.key + " FROM " + chosen.tables + " WHERE (" + chosen.condition.text + ")"
        " AND " + order + " > ? ORDER BY " + order + " LIMIT ?"
    )
    last, rows = least, min(_FIRST_ROWS, _ROWS)
    while True:
        with reading.connected() as connection:
            keys: list[K] = [key for (key,) in ask(connection, text, (*chosen.condition.values, last, _IDS))]
        start = 0
        while start < len(keys):
            yield keys[start : start + rows]
            start, rows = start + rows, _ROWS
        if len(keys) < _IDS:
            return
        last = keys[-1]


def _is_above(key: str) -> bool:
    """Say whether an attribute is known without looking at the instance's own."""
    return key in _IN_COLUMNS or level_of(int(key, 16)) is not Level.IMAGE


def _study_attributes(
    connection: "driver.Connection", permit: Permit, studies: Collection[int], query: Query
) -> dict[int, Attributes]:
    """Give the attributes and counts of those studies that the permit covers, by their rows."""
    covered = all_of((one_of("study.id", studies), where(permit.scope)))
    rows = ask(connection, "SELECT id, patient, attributes FROM study WHERE " + covered.text, covered.values).fetchall()
    asked = frozenset(query.keys)
    of_patients = counting.of_patients(connection, permit, {patient for _, patient, _ in rows}, asked)
    of_studies = counting.of_studies(connection, [row for row, *_ in rows], asked)
    return {
        row: packed.unpack(attributes)
        | of_patients.get(patient, {})
        | of_studies.get(row, {})
        | counting.availability()
        for row, patient, attributes in rows
    }


def _series_attributes(
    connection: "driver.Connection", permit: Permit, wanted: Collection[int], query: Query
) -> dict[int, Attributes]:
    """Give the attributes of some series and their studies, those that the permit covers, by the series' rows."""
    these = one_of("id", wanted)
    rows = ask(
        connection, "SELECT id, study_id, instances, attributes FROM series WHERE " + these.text, these.values
    ).fetchall()
    studies = _study_attributes(connection, permit, {study for _, study, *_ in rows}, query)
    return {
        row: packed.unpack(attributes) | counting.of_series(instances) | studies[study]
        for row, study, instances, attributes in rows
        if study in studies
    }
