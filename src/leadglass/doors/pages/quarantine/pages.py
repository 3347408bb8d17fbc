"""The pages of quarantine: what waits and why, one of it beside what is stored, and deciding.

Rule 1. Who may decide sees it and nobody else; to all others there is nothing here.
Rule 2. A decision is shown before it is made, with the numbers that it is over.
Rule 3. A picture of what nobody has looked at yet is drawn in a process that may be
killed, and each look is on record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.archive.backroom import Kept, Resolution
from leadglass.archive.quarantine import Look
from leadglass.dicom.render_model import PictureFormat, Viewport, Wish
from leadglass.dicom.renderer import Renderer, Stored
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.pictures import FEW
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.page import page
from leadglass.doors.pages.quarantine.beside import Beside, beside
from leadglass.doors.pages.quarantine.groups import Group, grouped, numbers_of
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.problem import TABLE
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Corrupt, Full, LeadglassError, NotHere, Unsupported

PATH: Final = "/quarantine"
_PER_PAGE: Final = 15
"""Rows of a page: a form has twenty fields."""
_SIDE: Final = 640
"""Pixels of a picture's longer side at most."""
_MOST_FAILURES: Final = 100
_REASONS: Final = ("submitted", "conflict")


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Pages(desk, services.renderer)
    return [
        Route(PATH, ("GET",), pages.show, summary="What is kept aside, and why."),
        Route(f"{PATH}/confirm", ("POST",), pages.confirm, summary="Show a decision before it is made."),
        Route(f"{PATH}/resolve", ("POST",), pages.resolve, summary="File or delete what is kept aside."),
        Route(f"{PATH}/{{number}}", ("GET",), pages.one, summary="One of it beside what is stored."),
        Route(f"{PATH}/{{number}}/picture", ("GET",), pages.picture, summary="A picture of it."),
        Route(f"{PATH}/{{number}}/stored", ("GET",), pages.picture_stored, summary="A picture of the other."),
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of the list is wanted."""

    reason: str
    origin: str
    study: str
    number: int

    def keeps(self, kept: Kept) -> bool:
        return (
            (not self.reason or kept.is_submitted == (self.reason == "submitted"))
            and (not self.origin or kept.origin == self.origin)
            and (not self.study or kept.study_uid == self.study)
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What can be shown of one."""

    kept: Kept
    look: Look | None
    compared: Beside | None
    failure: str


class _Pages:
    def __init__(self, desk: PagesDesk, renderer: Renderer) -> None:
        self._desk = desk
        self._quarantine = desk.archive.quarantine
        self._renderer = renderer
        self._drawing = FairThreads(desk.threads, renderer.workers + 2)

    # --- looking ------------------------------------------------------------------

    async def show(self, asked: Asked) -> Response:
        return await self._list(asked)

    async def _list(
        self,
        asked: Asked,
        *,
        done: str = "",
        error: str = "",
        failures: Sequence[tuple[int, str]] = (),
        status: int = HTTPStatus.OK,
    ) -> Response:
        kept = await self._desk.threads.run(self._quarantine.kept, asked.caller)
        wanted = _wanted(asked)
        some = [each for each in kept if wanted.keeps(each)]
        if wants_json(asked.request):
            return JSONResponse([_as_json(each) for each in some])
        groups = [each for one in some for each in grouped([one])] if wanted.study else grouped(some)
        pages = max(1, -(-len(groups) // _PER_PAGE))
        number = min(wanted.number, pages)
        return page(
            asked.request,
            "quarantine/list.html",
            caller=asked.caller,
            status=status,
            done=done,
            error=error,
            failures=failures[:_MOST_FAILURES],
            groups=groups[(number - 1) * _PER_PAGE : number * _PER_PAGE],
            count=len(groups),
            instances=len(some),
            is_empty=not kept,
            origins=sorted({each.origin for each in kept}),
            wanted=wanted,
            number=number,
            pages=pages,
        )

    async def one(self, asked: Asked) -> Response:
        """Show one beside what is stored under its UID."""
        seen = await self._desk.threads.run(self._see, asked)
        if wants_json(asked.request):
            rows = (*seen.compared.facts, *seen.compared.differences) if seen.compared is not None else ()
            differences = [
                {"name": each.name, "aside": each.aside, "stored": each.stored} for each in rows if each.differs
            ]
            return JSONResponse({**_as_json(seen.kept), "differences": differences})
        look = seen.look
        return page(
            asked.request,
            "quarantine/one.html",
            caller=asked.caller,
            kept=seen.kept,
            look=look,
            compared=seen.compared,
            failure=seen.failure,
            has_picture=look is not None and look.aside.frames is not None,
            has_stored_picture=look is not None and look.stored is not None and look.stored.frames is not None,
        )

    def _see(self, asked: Asked) -> _Seen:
        """Look into one and compare; one that cannot be read can still be decided over."""
        number = _number_of(asked)
        try:
            look = self._quarantine.look(asked.caller, number)
        except (BadInput, Corrupt) as error:
            kept = next((each for each in self._quarantine.kept(asked.caller) if each.number == number), None)
            if kept is None:
                raise NotHere("There is no such instance in quarantine.") from None
            return _Seen(kept, None, None, _why(error))
        return _Seen(look.kept, look, beside(look), "")

    async def picture(self, asked: Asked) -> Response:
        """Give a picture of the one in quarantine."""
        return await self._picture(asked, of_stored=False)

    async def picture_stored(self, asked: Asked) -> Response:
        """Give a picture of the stored one."""
        return await self._picture(asked, of_stored=True)

    async def _picture(self, asked: Asked, *, of_stored: bool) -> Response:
        draw = partial(self._draw, asked, of_stored=of_stored)
        data = await self._drawing.of(str(asked.caller)).run(draw)
        return Response(data, media_type=PictureFormat.JPEG.value, headers={"Cache-Control": "no-store"})

    def _draw(self, asked: Asked, *, of_stored: bool) -> bytes:
        look = self._quarantine.look(asked.caller, _number_of(asked), picture=True)
        sight = look.stored if of_stored else look.aside
        if sight is None or sight.frames is None:
            raise NotHere("There is no picture of this.")
        viewport = Viewport(_SIDE, _SIDE)
        wish = Wish(format=PictureFormat.JPEG, viewport=viewport, quality=85, is_thumbnail=True, leaves_out=FEW)
        with sight.open() as reader:
            image = Stored(sight.attributes, sight.transfer_syntax_uid, reader, sight.frames)
            try:
                frame = sight.frames.number_of_frames // 2
                return self._renderer.render(image, [frame], wish, who=str(asked.caller)).data
            except (BadInput, Full, Unsupported):
                raise NotHere("There is no picture of this.") from None

    # --- deciding -----------------------------------------------------------------

    async def confirm(self, asked: Asked) -> Response:
        """Show what would be decided."""
        fields = await fields_of(asked.request)
        resolution = _resolution(fields)
        chosen = fields.get("numbers", "")
        if not chosen:
            chosen = ", ".join(value for name, value in fields.items() if name.startswith("group-"))
        if not chosen:
            return await self._list(asked, error="Choose at least one first.", status=HTTPStatus.BAD_REQUEST)
        numbers = set(numbers_of(chosen))
        kept = await self._desk.threads.run(self._quarantine.kept, asked.caller)
        groups = grouped(each for each in kept if each.number in numbers)
        if not groups:
            raise NotHere("There is no such instance in quarantine.")
        return page(
            asked.request,
            "quarantine/confirm.html",
            caller=asked.caller,
            groups=groups[:50],
            more=max(0, len(groups) - 50),
            numbers=_ranges(groups),
            count=sum(len(each.numbers) for each in groups),
            is_accept=resolution is Resolution.ACCEPT,
            decision=resolution.value,
        )

    async def resolve(self, asked: Asked) -> Response:
        """Decide, and say what came of it."""
        fields = await fields_of(asked.request)
        numbers, resolution = numbers_of(fields.get("numbers", "")), _resolution(fields)
        outcomes = await self._desk.threads.run(self._quarantine.resolve_all, asked.caller, numbers, resolution)
        told = list(zip(numbers, outcomes, strict=True))
        failures = [(number, _why(each)) for number, each in told if isinstance(each, LeadglassError)]
        if wants_json(asked.request):
            return JSONResponse({"results": [_result(number, each) for number, each in told]})
        well = len(numbers) - len(failures)
        word = "filed" if resolution is Resolution.ACCEPT else "deleted"
        swapped = [each for each in outcomes if isinstance(each, str) and "now number" in each]
        done = f"{well:,} {'instance' if well == 1 else 'instances'} {word}." if well else ""
        if swapped:
            done += " What they replace is in quarantine now, so that this can be taken back."
        error = f"{len(failures):,} could not be {word}; they are still here." if failures else ""
        return await self._list(asked, done=done, error=error, failures=failures)


def _why(error: LeadglassError) -> str:
    return error.message if TABLE[error.kind].tells or isinstance(error, NotHere) else f"{TABLE[error.kind].title}."


def _result(number: int, outcome: str | LeadglassError) -> dict[str, object]:
    if isinstance(outcome, LeadglassError):
        return {"number": number, "error": _why(outcome)}
    return {"number": number, "done": outcome}


def _resolution(fields: dict[str, str]) -> Resolution:
    try:
        return Resolution(fields.get("decision", ""))
    except ValueError:
        raise BadInput("A decision is accept or discard.") from None


def _ranges(groups: Sequence[Group]) -> str:
    return ", ".join(each.ranges for each in groups)


def _number_of(asked: Asked) -> int:
    text = str(asked.request.path_params["number"])
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise NotHere("There is no such instance in quarantine.")
    return int(text)


def _wanted(asked: Asked) -> _Wanted:
    given: dict[str, str] = dict(asked.request.query_params) if asked.request.method in ("GET", "HEAD") else {}
    reason, number = given.get("reason", ""), given.get("page", "1")
    return _Wanted(
        reason if reason in _REASONS else "",
        given.get("from", "")[:200],
        given.get("study", "")[:64],
        max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 8 else 1,
    )


def _as_json(kept: Kept) -> dict[str, object]:
    return {
        "number": kept.number,
        "received": kept.received,
        "origin": kept.origin,
        "reason": kept.reason,
        "submitted": kept.is_submitted,
        "patient_id": kept.patient_id,
        "study": kept.study_uid,
        "series": kept.series_uid,
        "instance": kept.sop_instance_uid,
        "octets": kept.size,
    }
