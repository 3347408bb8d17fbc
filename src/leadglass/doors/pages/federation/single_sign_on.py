"""Single sign-on in a browser: away to the provider, and back.

Rule 1. What ties both ends to one browser is a cookie that lives for minutes. It is
``Lax``, because the way back comes from another site; the session's own is not,
so the way back ends at a page of ours, which leads on. Rule 2. Nothing that came
back is shown.
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from leadglass.doors.pages.federation.desk import FederationDesk
from leadglass.doors.pages.page import page
from leadglass.doors.pages.people.signing_in import sign_in_page
from leadglass.doors.web import cookie
from leadglass.doors.web.evidence import peer_of
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Access, Route, Services
from leadglass.errors import BadInput, LeadglassError
from leadglass.identity.oidc import LIFE, Answer, SignOn

START: Final = "/sign-in/oidc"
CALLBACK: Final = "/sign-in/oidc/callback"

COOKIE: Final = "__Host-leadglass-oidc"

_LONGEST: Final = 4_096
"""Characters of each thing that comes back."""


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.federation
    if desk is None or desk.sign_on is None:
        return []
    pages = _SingleSignOn(desk, desk.sign_on)
    why = "Whoever signs in is nobody yet."
    back_why = "Who comes back from the sign-in provider is nobody yet."
    return [
        Route(START, ("GET",), pages.leave, Access.ANONYMOUS, why=why, summary="Go to the sign-in provider."),
        Route(CALLBACK, ("GET",), pages.come_back, Access.ANONYMOUS, why=back_why, summary="Come back from there."),
    ]


class _SingleSignOn:
    def __init__(self, desk: FederationDesk, sign_on: SignOn) -> None:
        self._desk = desk
        self._sign_on = sign_on

    async def leave(self, request: Request) -> Response:
        try:
            begun = await self._desk.threads.run(self._sign_on.begin, peer_of(request))
        except LeadglassError as error:
            return self._again(request, error)
        response = RedirectResponse(begun.url, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            COOKIE,
            begun.secret,
            max_age=int(LIFE.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            samesite="lax",
        )
        return response

    async def come_back(self, request: Request) -> Response:
        try:
            opened = await self._desk.threads.run(
                self._sign_on.finish,
                request.cookies.get(COOKIE, "")[:_LONGEST],
                _answer(request),
                peer_of(request),
                agent=request.headers.get("user-agent", ""),
            )
        except LeadglassError as error:
            return _forget(self._again(request, error))
        # Not a redirect: a browser that comes from the provider would follow it without the strict cookie.
        return cookie.give(_forget(page(request, "people/signed_on.html")), opened)

    def _again(self, request: Request, error: LeadglassError) -> Response:
        return sign_in_page(request, self._desk.people, status=problem_of(error).status, error=error.message)


def _answer(request: Request) -> Answer:
    """Read what came back; each word once."""
    said = request.query_params
    names = ("state", "code", "iss", "error")
    if any(len(said.getlist(name)) > 1 or len(said.get(name, "")) > _LONGEST for name in names):
        raise BadInput("What the sign-in provider sent cannot be read. Begin anew.")
    return Answer(said.get("state", ""), said.get("code", ""), said.get("iss", ""), said.get("error", ""))


def _forget(response: Response) -> Response:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response
