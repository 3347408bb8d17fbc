"""The first page: who one is here, what one may do, and where that is."""

from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.page import page, shown
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import rights_of, sees_everything
from leadglass.doors.web.forms import wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.people
    if desk is None:
        return []
    return [Route("/", ("GET",), shown(_Home(desk).show), summary="Who one is here.")]


class _Home:
    def __init__(self, desk: PeopleDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        caller = asked.caller
        if wants_json(asked.request):
            reasons = [grant.reason for grant in caller.grants]
            return JSONResponse({"name": caller.name, "kind": caller.kind.value, "rights": reasons})
        reviews = _may(caller, Action.AUDIT) or _may(caller, Action.MANAGE)
        glass = self._desk.accounts.glass
        waiting = await self._desk.threads.run(glass.waiting) if reviews else 0
        return page(
            asked.request,
            "people/home.html",
            caller=caller,
            rights=rights_of(caller),
            reads=_may(caller, Action.GET),
            host=asked.request.headers["host"],
            is_person=caller.kind is CallerKind.PERSON,
            may_break_glass=not sees_everything(caller) and await self._desk.threads.run(glass.may_open, caller),
            reviews=reviews,
            waiting=waiting,
        )


def _may(caller: Caller, action: Action) -> bool:
    return any(action in grant.actions for grant in caller.grants)
