"""Listing: a window of a query's matches, newest study first, for whoever turns pages (PS3.18 8.3.4.4).

Rule 1. What SQL can say exactly is skipped and counted by SQL; everything else is
judged row by row, as in ``finding``. Rule 2. A question that narrows little is
answered by walking in the order that is wanted, until the window is full; one
that looks something up, by its index. Rule 3. What comes after the window is
counted as far as that costs little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, LiteralString, assert_never

from leadglass.archive.backroom import Window
from leadglass.dicom.levels import Level
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.model import Attributes
from leadglass.errors import Unsupported
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault import finding
from leadglass.vault.finding import Fetch
from leadglass.vault.index.query_sql import Narrowed, Newest, is_exact, narrow
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask
from leadglass.vault.reading import Reading

_COUNTED: Final = 1_000
"""Matches after the window that are counted, where SQL counts them."""

_FIRST_IDS: Final = 256
_MOST_IDS: Final = 50_000
"""Ids gathered at a time where each row has to be judged: few at first."""

_LARGEST: Final = 2**62

_ROWS: Final = 500
"""Rows read at a time."""

_SELECTIVE: Final = (Field.STUDY, Field.PATIENT)

_STUDIES: Final = "study.newest DESC, study.study_uid"
_SERIES: Final = ", series.series_number IS NULL, series.series_number, series.series_uid"
_INSTANCES: Final = ", instance.instance_number IS NULL, instance.instance_number, instance.sop_instance_uid"


class Listed(Iterator[Attributes]):
    """A ``Listing`` of the vault.

    Parameters
    ----------
    reading : Reading
        The index.
    permit : Permit
        Whose scope applies.
    query : Query
        What is asked, at the level of studies or below.
    window : Window
        Which of the matches.
    """

    def __init__(self, reading: Reading, permit: Permit, query: Query, window: Window) -> None:
        self._reading = reading
        self._permit = permit
        self._query = query
        self._window = window
        self._remaining = 0
        self._rows = self._matches()

    @property
    def remaining(self) -> int:
        """Matches after the window: their number, or a lower bound that is not 0."""
        return self._remaining

    def __next__(self) -> Attributes:
        """Give the next match, or ``NO_MATCH`` for a row that is none."""
        return next(self._rows)

    def _matches(self) -> Iterator[Attributes]:
        reading, query, window = self._reading, self._query, self._window
        with reading.connected() as connection:
            is_dated = not ask(connection, "SELECT 1 FROM study WHERE study_date IS NULL LIMIT 1").fetchone()
        newest = Newest.EXACT if is_dated else Newest.NOT_SAID
        narrowed = narrow(query, newest=newest, near=lambda wanted: finding.words_near(reading, wanted))
        text, fetch = _statement(query.level, narrowed, self._permit.scope, by_date=window.by_date)
        if is_dated and is_exact(query):
            return self._judged(self._counted(text), fetch, replace(window, offset=0), is_counted=True)
        return self._judged(self._gathered(text), fetch, window, is_counted=False)

    def _counted(self, text: Sql) -> Iterator[Sequence[int]]:
        """Give the ids of the window, and count those after it."""
        window = self._window
        with self._reading.connected() as connection:
            values = (*text.values, window.limit + _COUNTED, min(window.offset, _LARGEST))
            ids: list[int] = [row for (row,) in ask(connection, text.text, values)]
        self._remaining = max(0, len(ids) - window.limit)
        for start in range(0, min(window.limit, len(ids)), _ROWS):
            yield ids[start : min(start + _ROWS, window.limit)]

    def _gathered(self, text: Sql) -> Iterator[Sequence[int]]:
        """Give all ids in their order; one that moves meanwhile, because something newer came, is given once."""
        seen: set[int] = set()
        size, offset = max(_FIRST_IDS, min(self._window.limit * 2, _ROWS)), 0
        while True:
            with self._reading.connected() as connection:
                ids: list[int] = [row for (row,) in ask(connection, text.text, (*text.values, size, offset))]
            fresh = [row for row in ids if row not in seen]
            seen.update(fresh)
            for start in range(0, len(fresh), _ROWS):
                yield fresh[start : start + _ROWS]
            if len(ids) < size:
                return
            size, offset = min(size * 4, _MOST_IDS), offset + size

    def _judged(
        self, pages: Iterator[Sequence[int]], fetch: Fetch, window: Window, *, is_counted: bool
    ) -> Iterator[Attributes]:
        """Give what matches of the rows of some pages, from the window's beginning to its end."""
        query, matched = self._query, 0
        for page in pages:
            with self._reading.connected() as connection:
                rows = fetch(connection, self._permit, page, query)
            for row in page:
                attributes = rows.get(row)
                if attributes is None:
                    continue
                if not query.matches(attributes):
                    yield NO_MATCH
                    continue
                matched += 1
                if window.offset < matched <= window.offset + window.limit:
                    yield query.project(attributes)
                elif not is_counted:
                    self._remaining += matched > window.offset
                    yield NO_MATCH
            if self._remaining and not is_counted:
                return


def _statement(level: Level, narrowed: Narrowed, scope: Scope, *, by_date: bool) -> tuple[Sql, Fetch]:
    """Give what selects the ids of a level in their order, and what reads their rows."""
    covered = where(scope)
    is_lookup = narrowed.is_lookup or _is_selective(scope)
    # With a plus, no index gives the order: looking up few and sorting them is cheaper than walking through all.
    plus: LiteralString = "+" if is_lookup else ""
    study: LiteralString = "study" if is_lookup or not by_date else "study INDEXED BY study_by_newest"
    studies: LiteralString = _STUDIES if by_date else "study.study_uid"
    join: LiteralString = " JOIN " if is_lookup else " CROSS JOIN "
    match level:
        case Level.STUDY:
            key: LiteralString = "study.id"
            tables: LiteralString = study
            order: LiteralString = studies
            conditions = (*narrowed.study, covered)
            fetch: Fetch = finding.study_page
        case Level.SERIES:
            key, tables = "series.id", study + join + "series ON series.study_id = study.id"
            order = studies + _SERIES
            conditions = (*narrowed.study, *narrowed.series, covered)
            fetch = finding.series_page
        case Level.IMAGE:
            key = "instance.id"
            tables = (
                study + join + "series ON series.study_id = study.id" + join + "instance"
                " ON instance.series_id = series.id"
            )
            order = studies + _SERIES + _INSTANCES
            conditions = (*narrowed.study, *narrowed.series, *narrowed.instance, covered)
            fetch = finding.instance_page
        case Level.PATIENT:
            raise Unsupported("Patients are not listed by pages.")
        case _ as never:
            assert_never(never)
    condition = all_of(conditions)
    text = "SELECT " + key + " FROM " + tables + " WHERE " + condition.text + " ORDER BY " + plus + order
    return Sql(text + " LIMIT ? OFFSET ?", condition.values), fetch


def _is_selective(scope: Scope) -> bool:
    """Say whether a scope names patients or studies, which an index finds."""
    return all(any(condition.field in _SELECTIVE for condition in clause) for clause in scope.clauses)
