"""Browsing: a page of a list of studies in a wanted order, however many there are.

Rule 1. What SQL says is exact, and the scope is in every statement. Rule 2. What is
looked for by an index that leaves few is gathered and sorted; what leaves many is
met by walking in the order that is wanted, until the page is full. Which of the two
is found out by counting, as far as that is worth; what is gathered and is not rare
is met by walking too, as long as it is met soon. Rule 3. A walk that fills no page
within its stretch begins again with all that is looked for gathered first: then it
passes rows without reading them. Rule 4. A page begins behind a position, not at a
number, so the last costs what the first does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, LiteralString

import msgspec

from leadglass.archive.lists import Page, Position
from leadglass.crypto.database import driver
from leadglass.dicom.levels import Level
from leadglass.dicom.matching import Query
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput, Unsupported
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Clause
from leadglass.vault import finding
from leadglass.vault.index.browse_sql import (
    COLUMNS,
    Ordering,
    Sought,
    behind,
    not_behind,
    ordering,
    sought,
    steps_behind,
)
from leadglass.vault.index.scope_sql import where
from leadglass.vault.index.sql import Sql, all_of, ask, one_of
from leadglass.vault.reading import Reading

FEW: Final = 4_000
"""Studies that are gathered, and sorted where walking does not meet them sooner."""

SORTED: Final = 1_000
"""Studies that are sorted at once: each is a page of the index to read, so more are looked for by walking first."""

FURTHER: Final = 3
"""How many times further than they are expected studies are looked for by walking."""

GATHERED: Final = 100_000
"""Studies that something may leave to be gathered; what leaves more is looked at row by row."""

STRETCH: Final = 5_000
"""Rows of an order that are walked over before all is gathered first."""

_COUNTED: Final = 150
"""Matches after a page that are counted where many are walked over for each."""

_Row = tuple[int, Position]


class Browsed(Iterator[Attributes]):
    """A ``Sheet`` of the vault.

    Parameters
    ----------
    reading : Reading
        The index.
    permit : Permit
        Whose scope applies.
    query : Query
        What is asked, at the level of studies.
    page : Page
        Which of the matches.

    Raises
    ------
    Unsupported
        When the query asks what is not answered here.
    BadInput
        When the position is none of the order.
    """

    def __init__(self, reading: Reading, permit: Permit, query: Query, page: Page) -> None:
        if query.level is not Level.STUDY or query.combined:
            raise Unsupported("Only studies are listed, by what a list of studies asks.")
        self._reading = reading
        self._permit = permit
        self._query = query
        self._page = page
        self._ordering = ordering(page.order, is_turned=page.is_turned)
        if page.after and [type(value) for value in page.after] != [
            COLUMNS[column] for column in self._ordering.columns
        ]:
            raise BadInput("The position is none of this order. Begin with the first page.")
        self._remaining = 0
        self._is_counted = True
        self._last: Position = ()
        self._received: dict[str, str] = {}
        self._matches = self._read()

    @property
    def remaining(self) -> int:
        """Matches after the page: their number, or a lower bound."""
        return self._remaining

    @property
    def is_counted(self) -> bool:
        """Whether ``remaining`` is exact."""
        return self._is_counted

    @property
    def last(self) -> Position:
        """Where the last match stands."""
        return self._last

    @property
    def received(self) -> Mapping[str, str]:
        """When each study was first received."""
        return self._received

    def __next__(self) -> Attributes:
        """Give the next match, or ``NO_MATCH`` for a row that is none."""
        return next(self._matches)

    def _read(self) -> Iterator[Attributes]:
        """Find, and read, a page in one transaction; it is small."""
        with self._reading.connected() as connection:
            found = _Search(connection, self._permit, self._query, self._page, self._ordering).run()
            rows = found.rows[self._page.skipped :]
            page = rows[: self._page.limit]
            self._is_counted = found.is_whole
            self._remaining = max(len(rows), found.more - self._page.skipped) - len(page)
            self._last = page[-1][1] if page else ()
            ids = [row for row, _ in page]
            first = finding.study_page(connection, self._permit, ids, self._query) if ids else None
            these = one_of("id", ids)
            arrived = ask(connection, "SELECT study_uid, received FROM study WHERE " + these.text, these.values)
            self._received = dict(arrived.fetchall())
        parts = finding.batches(self._reading, self._permit, self._query, finding.study_page, ids, first)
        yield from finding.there(rows.judged(self._query, row) for batch, rows in parts for row in batch)


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows in their order; ``is_whole`` when no more match, and how many there are at least where that is known."""

    rows: list[_Row]
    is_whole: bool
    more: int = 0


class _Search:
    """One page being found."""

    def __init__(
        self, connection: "driver.Connection", permit: Permit, query: Query, page: Page, order: Ordering
    ) -> None:
        self._connection = connection
        self._order = order
        self._after = page.after
        self._least = page.skipped + page.limit + 1
        self._most = page.skipped + page.limit + max(1, page.counted)
        self._scope = where(permit.scope)
        self._is_unscoped = Clause() in permit.scope.clauses
        self._sought = sought(
            query,
            permit.scope,
            near=lambda word: finding.words_near(connection, word),
            there=self._is_there,
            is_by_date=order.columns[0] == "study.newest",
        )

    def run(self) -> _Found:
        """Find a page, and what follows it as far as it is counted."""
        asked = self._sought.looked_up
        counts = {each: self._count(each) for each in asked}
        # The scarcest first: what follows is only looked at for what is left.
        selective = sorted((each for each in asked if counts[each] <= GATHERED), key=counts.__getitem__)
        if selective:
            ids = self._gather(selective)
            if len(ids) <= FEW:
                return self._sorted(ids, [each for each in asked if each not in selective])
        others = [each for each in asked if each not in selective]
        if not asked:
            return self._counted(self._walk((), (), self._most))
        if self._are_many(asked):
            found = self._first(selective, others, self._least)
            return replace(found, more=self._most) if found is not None else self._all()
        most = min(self._most, self._least + _COUNTED)
        return self._first(selective, others, most) or self._all()

    def _first(self, selective: Sequence[Sought], others: Sequence[Sought], most: int) -> "_Found | None":
        """Walk over a stretch; None where no page was filled."""
        bound = self._stretch() if others else None
        rows = self._walk(selective, others, most, until=bound)
        if bound is None:
            return self._counted(rows, most)
        return _Found(rows, is_whole=False) if len(rows) >= self._least else None

    def _all(self) -> _Found:
        """Find a page with all that is looked for gathered."""
        ids = self._gather(self._sought.looked_up)
        if len(ids) <= FEW:
            return self._sorted(ids, ())
        return self._counted(self._walk(self._sought.looked_up, (), self._least), self._least)

    def _counted(self, rows: list[_Row], most: int = 0) -> _Found:
        return _Found(rows, is_whole=len(rows) < (most or self._most))

    def _are_many(self, asked: Sequence[Sought]) -> bool:
        """Say whether there are more than are counted anyhow: one thing is asked, and many have it."""
        is_alone = len(asked) == 1 and not self._sought.columns and self._is_unscoped and not self._after
        return is_alone and self._most <= FEW and len(self._gather(asked)) > FEW

    # --- few ------------------------------------------------------------------

    def _is_there(self, each: Sought) -> bool:
        """Say whether anything is found."""
        text = "SELECT 1 FROM (" + each.rows.text + ") LIMIT 1"
        return ask(self._connection, text, each.rows.values).fetchone() is not None

    def _count(self, each: Sought) -> int:
        """Count what is looked up, as far as matters; a study may be counted twice."""
        return int(
            ask(
                self._connection,
                "SELECT count(*) FROM (" + each.rows.text + " LIMIT ?)",
                (*each.rows.values, GATHERED + 1),
            ).fetchone()[0]
        )

    def _gather(self, selective: Sequence[Sought]) -> list[int]:
        """Give the studies that meet all of some conditions, or some more than are few."""
        text: LiteralString = " INTERSECT ".join([f"SELECT * FROM ({each.rows.text})" for each in selective])
        values = tuple(value for each in selective for value in each.rows.values)
        if len(selective) == 1:
            text = "SELECT DISTINCT * FROM (" + selective[0].rows.text + ")"
        return [row for (row,) in ask(self._connection, text + " LIMIT ?", (*values, FEW + 1))]

    def _sorted(self, ids: Sequence[int], others: Sequence[Sought]) -> _Found:
        """Sort what was gathered; what it was gathered by is not looked at again."""
        if len(ids) > SORTED and not others and self._is_unscoped and (near := self._near(ids)) is not None:
            return near
        these = Sql("study.id IN (SELECT value FROM json_each(?))", (msgspec.json.encode(sorted(ids)).decode(),))
        conditions = [these, *(each.holds for each in others), *self._sought.columns, self._scope]
        if self._after:
            conditions.append(behind(self._order, self._after))
        condition = all_of(conditions)
        plus: LiteralString = ", ".join(["+" + each for each in self._order.terms])
        rows = self._select("study", condition, plus, self._most)
        return _Found(rows, is_whole=len(rows) < self._most)

    def _near(self, ids: Sequence[int]) -> _Found | None:
        """Walk as far as a page of what was gathered is expected to reach; None where it is not full by then.

        A subquery gives its rows in its order, so the walk ends with the last row of the page.
        """
        these = msgspec.json.encode(ids).decode()
        (studies,) = ask(self._connection, "SELECT max(id) FROM study", ()).fetchone()
        columns: LiteralString = ", ".join(self._order.columns)
        terms: LiteralString = ", ".join(self._order.terms)
        rows: list[_Row] = []
        for step in steps_behind(self._order, self._after):
            condition = all_of([*step, *self._sought.columns])
            found = ask(
                self._connection,
                "SELECT * FROM (SELECT study.id, " + columns + " FROM study" + self._order.index + ""
                " WHERE " + condition.text + " ORDER BY " + terms + " LIMIT ?)"
                " WHERE id IN (SELECT value FROM json_each(?)) LIMIT ?",
                (*condition.values, FURTHER * self._least * studies // len(ids), these, self._least - len(rows)),
            )
            rows += [(row[0], tuple(row[1:])) for row in found]
            if len(rows) >= self._least:
                is_all = not self._sought.columns and not self._after
                return _Found(rows, is_whole=is_all, more=len(ids) if is_all else 0)
        return None

    # --- many -----------------------------------------------------------------

    def _walk(
        self, gathered: Sequence[Sought], others: Sequence[Sought], most: int, *, until: Position | None = None
    ) -> list[_Row]:
        """Walk in the order, at most to a position; what is gathered is passed over without reading it."""
        conditions = [
            *(Sql("+study.id IN (" + each.rows.text + ")", each.rows.values) for each in gathered),
            *self._sought.columns,
            *(each.holds for each in others),
            self._scope,
        ]
        if until is not None:
            conditions.append(not_behind(self._order, until))
        rows: list[_Row] = []
        for step in steps_behind(self._order, self._after):
            condition = all_of([*step, *conditions])
            order: LiteralString = ", ".join(self._order.terms)
            rows += self._select("study" + self._order.index, condition, order, most - len(rows))
            if len(rows) >= most:
                break
        return rows

    def _stretch(self) -> Position | None:
        """Give the position so many rows on; None where the order ends before."""
        left = STRETCH
        for step in steps_behind(self._order, self._after):
            condition = all_of([*step, *self._sought.columns])
            order: LiteralString = ", ".join(self._order.terms)
            found = self._select("study" + self._order.index, condition, order, 1, offset=left)
            if found:
                return found[0][1]
            passed = ask(
                self._connection,
                "SELECT count(*) FROM (SELECT 1 FROM study" + self._order.index + " WHERE " + condition.text + ""
                " LIMIT ?)",
                (*condition.values, left),
            ).fetchone()[0]
            left -= int(passed)
        return None

    def _select(
        self, tables: LiteralString, condition: Sql, order: LiteralString, limit: int, *, offset: int = 0
    ) -> list[_Row]:
        columns: LiteralString = ", ".join(self._order.columns)
        rows = ask(
            self._connection,
            "SELECT study.id, " + columns + " FROM " + tables + " WHERE " + condition.text + ""
            " ORDER BY " + order + " LIMIT ? OFFSET ?",
            (*condition.values, limit, offset),
        )
        return [(row[0], tuple(row[1:])) for row in rows]
