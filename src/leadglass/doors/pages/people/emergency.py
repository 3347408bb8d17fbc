"""Break-glass at pages: asking for a study in an emergency, and reviewing that somebody did."""

from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from leadglass.doors.listed import glass_as_json
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import sees_everything
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Throttled
from leadglass.identity.breakglass import LEAST_REASON, MINUTES, MOST_MINUTES, MOST_REASON

PATH = "/break-glass"
REVIEW = "/break-glass/review"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.people
    if desk is None:
        return []
    pages = _Emergency(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="What one has open in an emergency."),
        Route(PATH, ("POST",), pages.open, summary="Open a study outside of one's scope in an emergency."),
        Route(REVIEW, ("GET",), pages.to_review, summary="What others opened and nobody has reviewed."),
        Route(REVIEW, ("POST",), pages.review, summary="Mark one as reviewed."),
    ]


class _Emergency:
    def __init__(self, desk: PeopleDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        return await self._page(asked)

    async def open(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            glass = await self._desk.threads.run(
                self._desk.accounts.glass.open,
                asked.caller,
                _word(fields),
                fields.get("reason", ""),
                minutes=_minutes(fields.get("minutes") or str(MINUTES)),
            )
        except (BadInput, Throttled) as error:
            if wants_json(asked.request):
                raise
            return await self._page(asked, status=problem_of(error).status, error=error.message, fields=fields)
        if wants_json(asked.request):
            return JSONResponse(glass_as_json(glass), HTTPStatus.CREATED)
        return see_other(PATH)

    async def to_review(self, asked: Asked) -> Response:
        listed = await self._desk.threads.run(self._desk.accounts.glass.list, asked.caller)
        if wants_json(asked.request):
            return JSONResponse([glass_as_json(glass) for glass in listed])
        return page(asked.request, "people/review.html", caller=asked.caller, listed=listed)

    async def review(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        number = fields.get("number", "")
        if not (number.isascii() and number.isdigit() and len(number) < 12):
            raise BadInput("Number is missing.")
        glass = await self._desk.threads.run(
            self._desk.accounts.glass.review, asked.caller, int(number), fields.get("note", "")
        )
        return JSONResponse(glass_as_json(glass)) if wants_json(asked.request) else see_other(REVIEW)

    async def _page(
        self, asked: Asked, *, status: int = HTTPStatus.OK, error: str = "", fields: dict[str, str] | None = None
    ) -> Response:
        glass = self._desk.accounts.glass
        may = await self._desk.threads.run(glass.may_open, asked.caller)
        mine = await self._desk.threads.run(glass.mine, asked.caller)
        if wants_json(asked.request):
            return JSONResponse([glass_as_json(each) for each in mine])
        return page(
            asked.request,
            "people/break_glass.html",
            caller=asked.caller,
            status=status,
            error=error,
            fields=fields or {},
            may=may,
            sees_everything=sees_everything(asked.caller),
            mine=mine,
            default_minutes=MINUTES,
            most_minutes=MOST_MINUTES,
            least_reason=LEAST_REASON,
            most_reason=MOST_REASON,
        )


def _word(fields: dict[str, str]) -> str:
    field = fields.get("field", "study")
    value = (fields.get(field) or fields.get("value", "")).strip()
    if not value:
        raise BadInput("Write the Patient ID, or the Study Instance UID, of what is needed.")
    issuer = fields.get("issuer", "").strip()
    return f"{field}@{issuer}={value}" if issuer and field == "patient" else f"{field}={value}"


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise BadInput(f"It opens for 1 to {MOST_MINUTES} minutes.")
    return int(text)
