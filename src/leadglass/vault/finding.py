"""Finding: the matches of a query, for a permit.

Rule 1. SQL narrows, ``Query.matches`` judges. Rule 2. What is counted is what
the permit covers: a study outside of its scope is in no number. Rule 3. Ids are
gathered first, rows a page at a time, so that no read transaction lasts while
an asker is slow; what was deleted meanwhile is passed over. Rule 4. Each row
that was judged is told of, so that who asks can stop at any of them. Rule 5. A
page is kept as the index has it, ended by bytes as well as by number, and one
row of it is unpacked at a time (``rows``): nothing here holds on to what it gave.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, TypeVar, assert_never, cast

from leadglass.crypto.database import driver
from leadglass.dicom import fuzzy, tags
from leadglass.dicom.levels import Level, level_of
from leadglass.dicom.matching import Query
from leadglass.dicom.model import Attributes
from leadglass.policy.permit import Permit
from leadglass.vault import counting
from leadglass.vault.index import packed
from leadglass.vault.index.query_sql import Narrowed, narrow
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask, one_of
from leadglass.vault.reading import Reading
from leadglass.vault.rows import Rows, taken

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


Fetch = Callable[["driver.Connection", Permit, Sequence[int], Query], Rows]
"""Reads a page of rows of one level, or as many of them as are not too large together."""


def find(reading: Reading, permit: Permit, query: Query) -> Iterator[Attributes]:
    """Give the matches of a query at its level, in the order in which they came to be stored.

    Gives ``NO_MATCH`` for each row that was looked at and is none.
    """
    match query.level:
        case Level.PATIENT:
            return _patients(reading, permit, query)
        case Level.STUDY:
            return _studies(reading, permit, query)
        case Level.SERIES:
            return _series(reading, permit, query)
        case Level.IMAGE:
            return _instances(reading, permit, query)
        case _ as never:
            assert_never(never)


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
            patients: dict[int, str] = dict(
                ask(
                    connection,
                    "SELECT id, patient FROM study WHERE " + of_page.text + " ORDER BY patient, id",
                    of_page.values,
                ).fetchall()
            )
        yield from _first_of_each(query, patients, batches(reading, permit, query, study_page, list(patients)))


def _first_of_each(
    query: Query, patients: Mapping[int, str], parts: Iterator[tuple[Sequence[int], Rows]]
) -> Iterator[Attributes]:
    """Give the first match of each patient, and ``NO_MATCH`` for rows before it."""
    answered: set[str] = set()

    def judged(rows: Rows, row: int) -> Attributes | None:
        if patients[row] in answered:
            return None
        match = rows.judged(query, row)
        if match:
            answered.add(patients[row])
        return match

    return there(judged(rows, row) for batch, rows in parts for row in batch)


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
    return there(
        rows.judged(query, row)
        for page in _pages(reading, chosen, 0)
        for batch, rows in batches(reading, permit, query, fetch, page)
        for row in batch
    )


def there(judged: Iterator[Attributes | None]) -> Iterator[Attributes]:
    """Give what is there; nothing of it is held until the next is asked for, as a loop that gives it would."""
    return cast("Iterator[Attributes]", filter(_is_there, judged))


def _is_there(judged: Attributes | None) -> bool:
    return judged is not None


def batches(
    reading: Reading, permit: Permit, query: Query, fetch: Fetch, page: Sequence[int], first: Rows | None = None
) -> Iterator[tuple[Sequence[int], Rows]]:
    """Give a page in parts that are not too large, each with its rows.

    Parameters
    ----------
    reading, permit, query
        Who asks what.
    fetch : callable
        Reads rows.
    page : sequence of int
        Which, in their order.
    first : Rows, optional
        What was read of the page already.
    """
    start, size, rows = 0, max(1, min(len(page), _ROWS)), first
    while start < len(page):
        batch = page[start : start + size]
        if rows is None:
            with reading.connected() as connection:
                rows = fetch(connection, permit, batch, query)
        if rows.is_cut and len(batch) > 1:
            size, rows = max(1, len(batch) // 4), None
            continue
        yield batch, rows
        start, rows = start + size, None


# --- pages --------------------------------------------------------------------


def study_page(connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query) -> Rows:
    """Give what a query needs of some studies, by their rows; of those that the permit covers."""
    return _study_rows(connection, permit, page, query)


def series_page(connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query) -> Rows:
    """Give what a query needs of some series and their studies, by their rows; of those that the permit covers."""
    return _series_rows(connection, permit, page, query)


def instance_page(connection: "driver.Connection", permit: Permit, page: Sequence[int], query: Query) -> Rows:
    """Give what a query needs of some instances and all above them; of those that the permit covers."""
    # Without its attributes a row is some hundred bytes instead of several thousand.
    needs_own = query.is_all or any(not _is_above(key) for key in query.keys)
    columns = None if needs_own else _columns(connection, page)
    if columns is not None:
        above = _series_rows(connection, permit, {series for series, _ in columns.values()}, query)

        def of_columns(row: int) -> Attributes | None:
            series, own = columns[row]
            higher = above.kept(series)
            return None if higher is None else own | higher

        return Rows(dict.fromkeys(columns, b""), of_columns, is_cut=above.is_cut)
    these = one_of("id", page)
    found, is_cut = taken(
        ask(connection, "SELECT id, series_id, attributes FROM instance WHERE " + these.text, these.values)
    )
    above = _series_rows(connection, permit, {series for _, series, _ in found}, query)
    series_of = {row: series for row, series, _ in found}
    packed_of: dict[int, bytes] = {row: attributes for row, _, attributes in found}

    def of_row(row: int) -> Attributes | None:
        higher = above.kept(series_of[row])
        return None if higher is None else packed.unpack(packed_of[row]) | higher

    return Rows(packed_of, of_row, is_cut=is_cut or above.is_cut)


def _columns(connection: "driver.Connection", page: Sequence[int]) -> dict[int, tuple[int, Attributes]] | None:
    """Give each instance's series and what has columns, by its row; None where one has to be unpacked."""
    of_page = one_of("id", page)
    columns = ask(
        connection,
        "SELECT id, series_id, sop_class_uid, sop_instance_uid, instance_number FROM instance WHERE " + of_page.text,
        of_page.values,
    ).fetchall()
    if any(number is None for *_, number in columns):
        return None
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


def _study_rows(connection: "driver.Connection", permit: Permit, studies: Collection[int], query: Query) -> Rows:
    """Give the attributes and counts of those studies that the permit covers, by their rows."""
    covered = all_of((one_of("study.id", studies), where(permit.scope)))
    found, is_cut = taken(
        ask(connection, "SELECT id, patient, attributes FROM study WHERE " + covered.text, covered.values)
    )
    asked = frozenset(query.keys)
    patient_of = {row: patient for row, patient, _ in found}
    packed_of: dict[int, bytes] = {row: attributes for row, _, attributes in found}
    of_patients = counting.of_patients(connection, permit, set(patient_of.values()), asked)
    of_studies = counting.of_studies(connection, list(packed_of), asked)

    def of_row(row: int) -> Attributes:
        return (
            packed.unpack(packed_of[row])
            | of_patients.get(patient_of[row], {})
            | of_studies.get(row, {})
            | counting.availability()
        )

    return Rows(packed_of, of_row, is_cut=is_cut)


def _series_rows(connection: "driver.Connection", permit: Permit, wanted: Collection[int], query: Query) -> Rows:
    """Give the attributes of some series and their studies, those that the permit covers, by the series' rows."""
    these = one_of("id", wanted)
    found, is_cut = taken(
        ask(connection, "SELECT id, study_id, instances, attributes FROM series WHERE " + these.text, these.values)
    )
    studies = _study_rows(connection, permit, {study for _, study, *_ in found}, query)
    counts = {row: (study, instances) for row, study, instances, _ in found}
    packed_of: dict[int, bytes] = {row: attributes for row, *_, attributes in found}

    def of_row(row: int) -> Attributes | None:
        study, instances = counts[row]
        higher = studies.kept(study)
        if higher is None:
            return None
        return packed.unpack(packed_of[row]) | counting.of_series(instances) | higher

    return Rows(packed_of, of_row, is_cut=is_cut or studies.is_cut)
