"""The study list: what somebody may see, searched, sorted and paged through.

Rule 1. What was typed comes by POST and is remembered; the address of a list has an
id that only this session can use. Rule 2. While somebody types, few rows are shown:
what is listed counts (``policy.brakes``), and a reader shall not be taken for
somebody who takes all. Rule 3. What arrives is told and moves nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from leadglass.archive.changed import ChangeKind
from leadglass.archive.finding import shown_order
from leadglass.archive.lists import Order, Page, Position
from leadglass.dicom import tags
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import sees_everything
from leadglass.doors.pages.studies.asking import MODALITIES, PERIODS, RARER, query_of, search_of
from leadglass.doors.pages.studies.rows import Row, row_of
from leadglass.doors.pages.studies.searches import Kept, Search, Searches
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Denied, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.view import View

PATH: Final = "/studies"

ROWS: Final = 50
ROWS_WHILE_TYPING: Final = 20
"""Rows of a page. Each study that was not shown before counts as listed."""

PART: Final = "x-leadglass-part"
"""A field by which our script says that it wants the list alone, and no page around it."""

ADDRESS: Final = "X-Leadglass-Address"
"""A field by which it is told where that list has its own page."""

MOST_NEWS: Final = 200
"""Changes looked at at a time, for what is new."""

_ORDERS: Final = (Order.DATE, Order.PATIENT, Order.PATIENT_ID, Order.RECEIVED)
_LISTED: Final = frozenset(code for code, _ in (*MODALITIES, *RARER))
_LONGEST_CURSOR: Final = 512


@dataclass(frozen=True, slots=True)
class Place:
    """Which page of which list.

    Parameters
    ----------
    kept : Kept
        The list.
    order : Order
        Its order.
    is_turned : bool
        Whether turned around.
    number : int
        Which page, from 1.
    """

    kept: Kept
    order: Order = Order.DATE
    is_turned: bool = False
    number: int = 1

    @property
    def address(self) -> str:
        """Its own address."""
        return self.sorted(self.order, is_turned=self.is_turned, number=self.number)

    def sorted(self, order: Order, *, is_turned: bool = False, number: int = 1) -> str:
        """Give the address of the same list, otherwise."""
        said = {
            "s": self.kept.id,
            "sort": "" if order is Order.DATE else order.value,
            "turned": "1" if is_turned else "",
            "page": str(number) if number > 1 else "",
        }
        query = urlencode({name: value for name, value in said.items() if value})
        return f"{PATH}?{query}" if query else PATH


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of a list, read."""

    rows: tuple[Row, ...]
    first: int
    has_more: bool
    total: int
    is_counted: bool
    delay: float


class StudyList:
    """The pages of the list.

    Parameters
    ----------
    desk : PagesDesk
        Where the archive is.
    people : PeopleDesk, optional
        Who knows whether somebody may open studies in an emergency.
    """

    def __init__(self, desk: PagesDesk, people: PeopleDesk | None) -> None:
        self._desk = desk
        self._people = people
        self._searches = Searches()

    # --- answering ------------------------------------------------------------

    async def show(self, asked: Asked) -> Response:
        """Show a list."""
        caller, options = asked.caller, asked.request.query_params
        id_ = options.get("s", "")
        kept = self._searches.find(caller, id_) if id_ else None
        is_lost = bool(id_) and kept is None
        if kept is not None:
            self._searches.settle(kept)
        return await self._answer(asked, _place(kept or Kept("", Search()), options, is_lost=is_lost), is_lost=is_lost)

    async def search(self, asked: Asked) -> Response:
        """Remember what was typed, and lead to its list."""
        request, caller = asked.request, asked.caller
        fields = await fields_of(request)
        is_part = request.headers.get(PART) is not None
        is_passing = is_part and fields.get("passing", "") == "1"
        try:
            search = search_of(fields)
        except BadInput as error:
            if wants_json(request):
                raise
            return self._refused(asked, error, is_part=is_part)
        order, is_turned = _order(fields.get("sort", "")), fields.get("turned", "") == "1"
        if search.is_open:
            kept = Kept("", search)
        else:
            kept = self._searches.keep(caller, search, instead=fields.get("s", ""), is_passing=is_passing)
        place = Place(kept, order, is_turned)
        if is_part or wants_json(request):
            return await self._answer(asked, place, is_part=is_part, is_passing=is_passing)
        return see_other(place.address)

    async def show_pictures(self, asked: Asked) -> Response:
        """Show pictures in the lists of this session, or none."""
        fields = await fields_of(asked.request)
        self._searches.pictures(asked.caller, are_wanted=fields.get("pictures", "") == "1")
        kept = self._searches.find(asked.caller, fields.get("s", "")) or Kept("", Search())
        return see_other(_place(kept, fields).address)

    async def news(self, asked: Asked) -> Response:
        """Say how many studies came since somebody looked; one of our own scripts asks."""
        cursor = asked.request.query_params.get("since", "")
        if not cursor or len(cursor) > _LONGEST_CURSOR:
            raise BadInput("since is a cursor that the list gave.")

        def look() -> tuple[int, str]:
            found = self._desk.archive.changes(asked.caller, cursor, MOST_NEWS, record=False)
            return len({each.study_uid for each in found.entries if each.kind is ChangeKind.STUDY_NEW}), found.next

        count, after = await self._desk.threads.run(look)
        return JSONResponse({"new": count, "since": after})

    # --- making ---------------------------------------------------------------

    async def _answer(
        self, asked: Asked, place: Place, *, is_lost: bool = False, is_part: bool = False, is_passing: bool = False
    ) -> Response:
        request, caller = asked.request, asked.caller
        limit = ROWS_WHILE_TYPING if is_passing else ROWS
        error: LeadglassError | None = None
        seen, since = Shown((), 1, has_more=False, total=0, is_counted=True, delay=0.0), ""
        try:
            seen, since = await self._desk.threads.run(self._read, caller, place, limit)
        except LeadglassError as fault:
            if not (isinstance(fault, Denied) and _sees_none(caller)):
                if not is_part:
                    raise
                error = fault
        if seen.delay:
            await asyncio.sleep(seen.delay)
        if wants_json(request) and not is_part:
            return _json(seen, place)
        glass = False
        if self._people is not None and not sees_everything(caller):
            glass = await self._desk.threads.run(self._people.accounts.glass.may_open, caller)
        return self._page(
            request, caller, place, seen, since, error, is_lost=is_lost, is_part=is_part, may_break_glass=glass
        )

    def _read(self, caller: Caller, place: Place, limit: int) -> tuple[Shown, str]:
        """Read a page, and from where on what arrives is new to it (blocking)."""
        archive, kept = self._desk.archive, place.kept
        since = self._now(caller)
        query = query_of(kept.search, archive.masked(caller), datetime.now().astimezone().date())
        after, number = self._searches.start(kept, place.order, place.number, is_turned=place.is_turned)
        is_first = number == 1
        # What comes after a page is counted once: it costs as much as the page.
        page_of = Page(limit, place.order, place.is_turned, after, counted=1_000 if is_first else 1)
        found = archive.find(caller, query, page_of)
        matches = [match for match in found if match]
        sheet = found.sheet
        last: Position = sheet.last if sheet is not None else ()
        hides = not archive.masked(caller).isdisjoint((tags.StudyDate, tags.StudyTime))
        came: Mapping[str, str] = sheet.received if sheet is not None and not hides else dict[str, str]()
        rows = [row_of(match, came) for match in matches]
        if is_first:
            kept.total = len(rows) + found.remaining
            kept.is_counted = sheet is None or sheet.is_counted
        if limit == ROWS:
            self._searches.shown(kept, place.order, number, last, is_turned=place.is_turned)
        seen = Shown(
            tuple(rows),
            (number - 1) * ROWS + 1,
            has_more=found.remaining > 0,
            total=kept.total,
            is_counted=kept.is_counted,
            delay=found.take_delay(),
        )
        return seen, since

    def _now(self, caller: Caller) -> str:
        """Give the cursor behind which what arrives is new; none for who is told of no arrivals."""
        try:
            return self._desk.archive.changes(caller, "now", 1, record=False).next
        except Denied:
            return ""

    def _refused(self, asked: Asked, error: LeadglassError, *, is_part: bool) -> Response:
        """Show what is wrong with what was typed, above an empty list."""
        seen = Shown((), 1, has_more=False, total=0, is_counted=True, delay=0.0)
        return self._page(
            asked.request, asked.caller, Place(Kept("", Search())), seen, "", error, is_lost=False, is_part=is_part
        )

    def _page(
        self,
        request: Request,
        caller: Caller,
        place: Place,
        seen: Shown,
        since: str,
        error: LeadglassError | None,
        *,
        is_lost: bool,
        is_part: bool,
        may_break_glass: bool = False,
    ) -> Response:
        masked = self._desk.archive.masked(caller)
        view = View(masked)
        orders = [order for order in _ORDERS if shown_order(order, view) is order]
        number = (seen.first - 1) // ROWS + 1
        problem = problem_of(error) if error is not None else None
        return page(
            request,
            "studies/results.html" if is_part else "studies/list.html",
            caller=caller,
            status=problem.status if problem is not None and not is_part else 200,
            headers={ADDRESS: place.address} if is_part else {},
            place=place,
            search=place.kept.search,
            seen=seen,
            number=number,
            at_least=min(seen.total, 1_000) // 50 * 50,
            since=since,
            error=problem.detail or problem.title if problem is not None else "",
            is_lost=is_lost,
            orders=[order.value for order in orders],
            newer=place.sorted(place.order, is_turned=place.is_turned, number=number - 1) if number > 1 else "",
            older=place.sorted(place.order, is_turned=place.is_turned, number=number + 1) if seen.has_more else "",
            order_of=_order,
            periods=PERIODS,
            modalities=MODALITIES,
            rarer=RARER,
            unlisted=sorted({each for row in seen.rows for each in row.modalities} - _LISTED),
            has_names=tags.PatientName not in masked,
            has_numbers=masked.isdisjoint((tags.PatientID, tags.AccessionNumber)),
            reads=may(caller, Action.GET),
            uploads=may(caller, Action.STORE),
            sees_none=_sees_none(caller),
            is_narrowed=_is_narrowed(caller),
            may_break_glass=may_break_glass,
            has_pictures=self._searches.pictures(caller),
            rows_at_most=ROWS,
        )


def _sees_none(caller: Caller) -> bool:
    """Say whether somebody may list studies and none is opened: what is said then is what to do."""
    finds = [grant for grant in caller.grants if Action.FIND in grant.actions]
    return bool(finds) and all(grant.scope.is_nothing for grant in finds)


def _is_narrowed(caller: Caller) -> bool:
    """Say whether there may be studies that somebody's lists leave out: whether there are is not told."""
    return not any(Action.FIND in grant.actions and frozenset() in grant.scope.clauses for grant in caller.grants)


def _place(kept: Kept, options: object, *, is_lost: bool = False) -> Place:
    """Read which page is wanted; what is none is the first."""
    get = cast("dict[str, str]", options).get
    number = get("page", "") or ""
    is_number = number.isascii() and number.isdecimal() and len(number) < 7 and not is_lost
    return Place(kept, _order(get("sort", "") or ""), get("turned", "") == "1", max(1, int(number)) if is_number else 1)


def _order(word: str) -> Order:
    """Give the order of a word; the newest first where it is none."""
    return next((order for order in _ORDERS if order.value == word), Order.DATE)


def _json(seen: Shown, place: Place) -> Response:
    """Give the same to a program."""
    rows: Sequence[dict[str, str | int | list[str] | None]] = [
        {
            "study": row.uid,
            "patient": row.patient,
            "patient_id": row.patient_id,
            "birth_date": row.born,
            "date": row.date,
            "time": row.time,
            "modalities": list(row.modalities),
            "description": row.description,
            "accession": row.accession,
            "series": row.series,
            "instances": row.images,
            "received": row.received.isoformat(timespec="seconds") if row.received else None,
        }
        for row in seen.rows
    ]
    return JSONResponse(
        {
            "studies": rows,
            "total": seen.total,
            "is_total_exact": seen.is_counted,
            "has_more": seen.has_more,
            "address": place.address,
        }
    )


def routes(services: Services) -> list[Route]:
    """Give the routes of the study list."""
    desk = services.pages
    if desk is None:
        return []
    studies = StudyList(desk, services.people)
    return [
        Route(PATH, ("GET",), studies.show, summary="The studies that one may see, newest first."),
        Route(PATH, ("POST",), studies.search, summary="Search among the studies that one may see."),
        Route(f"{PATH}/pictures", ("POST",), studies.show_pictures, summary="Pictures in the list, or none."),
        Route(f"{PATH}/news", ("GET",), studies.news, summary="How many studies came since somebody looked."),
    ]
