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

from leadglass.archive.lists import Window
from leadglass.dicom.levels import Level
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.model import Attributes
from leadglass.errors import Unsupported
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault import finding
from leadglass.vault.finding import Fetch
from leadglass.vault.index.query_sql import STUDY_DATE, Narrowed, Newest, asks_about_dates, is_exact, narrow
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask
from leadglass.vault.reading import Reading
from leadglass.vault.rows import Rows

_COUNTED: Final = 1_000
"""Matches after the window that are counted, where SQL counts them."""

_SPARE: Final = 32
_MOST_IDS: Final = 50_000
"""Ids gathered at a time where each row has to be judged; at first as many as the window ends at, and some to spare."""

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
        self._ahead = 0
        self._matched = 0
        self._rows = self._matches()

    @property
    def remaining(self) -> int:
        """Matches after what was given: their number, or a lower bound; not 0 at the window's end when there are."""
        return self._remaining + max(0, self._ahead)

    def __next__(self) -> Attributes:
        """Give the next match, or ``NO_MATCH`` for a row that is none."""
        return next(self._rows)

    def _matches(self) -> Iterator[Attributes]:
        """Decide how, then give what matches; the first ids and rows are read in one transaction."""
        reading, query, window = self._reading, self._query, self._window
        newest, is_dated = Newest.NOT_SAID, STUDY_DATE in query.keys or bool(query.combined)
        with reading.connected() as connection:
            if is_dated and not ask(connection, "SELECT 1 FROM study WHERE study_date IS NULL LIMIT 1").fetchone():
                newest = Newest.EXACT
            narrowed = narrow(query, newest=newest, near=lambda wanted: finding.words_near(connection, wanted))
            text, fetch = _statement(query.level, narrowed, self._permit.scope, by_date=window.by_date)
            is_counted = is_exact(query) and (newest is Newest.EXACT or not asks_about_dates(query))
            if is_counted:
                size, offset = window.limit + _COUNTED, min(window.offset, _LARGEST)
            else:
                size, offset = min(window.offset + window.limit + _SPARE, _MOST_IDS), 0
            ids: list[int] = [row for (row,) in ask(connection, text.text, (*text.values, size, offset))]
            page = ids[: min(window.limit if is_counted else size, _ROWS)]
            first = fetch(connection, self._permit, page, query) if page else None
        if is_counted:
            self._remaining = max(0, len(ids) - window.limit)
            self._ahead = len(ids) - self._remaining
            window = replace(window, offset=0)
            pages = _slices(ids[len(page) : window.limit])
        else:
            pages = self._gathered(text, ids, len(page), size)
        yield from self._judged(page, fetch, window, is_counted=is_counted, first=first)
        del first
        for each in pages:
            if self._remaining and not is_counted:
                return
            yield from self._judged(each, fetch, window, is_counted=is_counted)

    def _gathered(self, text: Sql, ids: list[int], taken: int, size: int) -> Iterator[Sequence[int]]:
        """Give further ids in their order; one that moves meanwhile, because something newer came, is given once."""
        yield from _slices(ids[taken:])
        seen, offset = set(ids), size
        while len(ids) == size:
            size = min(size * 4, _MOST_IDS)
            with self._reading.connected() as connection:
                ids = [row for (row,) in ask(connection, text.text, (*text.values, size, offset))]
            offset += size
            fresh = [row for row in ids if row not in seen]
            seen.update(fresh)
            yield from _slices(fresh)

    def _judged(
        self, page: Sequence[int], fetch: Fetch, window: Window, *, is_counted: bool, first: Rows | None = None
    ) -> Iterator[Attributes]:
        """Give what matches of a page, as far as it is in the window, and count what comes after it."""
        parts = finding.batches(self._reading, self._permit, self._query, fetch, page, first)
        return finding.there(
            self._placed(rows.judged(self._query, row), window, is_counted=is_counted)
            for batch, rows in parts
            for row in batch
        )

    def _placed(self, match: Attributes | None, window: Window, *, is_counted: bool) -> Attributes | None:
        """Count a row that was judged, and give what is in the window."""
        self._ahead -= is_counted
        if not match:
            return match
        self._matched += 1
        if window.offset < self._matched <= window.offset + window.limit:
            return match
        if is_counted:
            return None
        self._remaining += self._matched > window.offset
        return NO_MATCH


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _ROWS):
        yield ids[start : start + _ROWS]


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
