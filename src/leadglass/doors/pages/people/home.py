"""The first page: who one is here, what one may do, and where that is; for who may find studies it is their list."""

from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import rights_of, sees_everything
from leadglass.doors.web.forms import wants_json, wants_page
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.people
    if desk is None:
        return []
    home = _Home(desk, has_studies=services.pages is not None)
    return [
        Route("/", ("GET",), home.lead, summary="Where one's work is; as JSON, who one is here."),
        Route("/home", ("GET",), home.show, summary="Who one is here, and what one may do."),
    ]


class _Home:
    def __init__(self, desk: PeopleDesk, *, has_studies: bool) -> None:
        self._desk = desk
        self._has_studies = has_studies

    async def lead(self, asked: Asked) -> Response:
        if self._has_studies and may(asked.caller, Action.FIND) and wants_page(asked.request):
            return see_other("/studies")
        return await self.show(asked)

    async def show(self, asked: Asked) -> Response:
        caller = asked.caller
        if wants_json(asked.request):
            reasons = [grant.reason for grant in caller.grants]
            return JSONResponse({"name": caller.name, "kind": caller.kind.value, "rights": reasons})
        reviews = may(caller, Action.AUDIT) or may(caller, Action.MANAGE)
        glass = self._desk.accounts.glass
        waiting = await self._desk.threads.run(glass.waiting) if reviews else 0
        return page(
            asked.request,
            "people/home.html",
            caller=caller,
            rights=rights_of(caller),
            reads=may(caller, Action.GET),
            host=asked.request.headers["host"],
            is_person=caller.kind is CallerKind.PERSON,
            may_break_glass=not sees_everything(caller) and await self._desk.threads.run(glass.may_open, caller),
            reviews=reviews,
            waiting=waiting,
        )
