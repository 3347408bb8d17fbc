"""Signing in and out, at pages and for programs: password, second factor, one-time links.

Rule 1. Whoever is not let in sees the same page, whatever the reason. Rule 2. The
secret of a link arrives in a body; the page that takes it from the fragment knows
nothing. Rule 3. Every form says where it comes from before it is looked at.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from leadglass.doors.links import PATHS
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.web import cookie
from leadglass.doors.web.evidence import peer_of
from leadglass.doors.web.forms import fields_of, needed, same_twice, told, wants_json, wants_page, way_back
from leadglass.doors.web.routes import Access, Asked, Route, Services
from leadglass.errors import BadInput, Denied, Throttled
from leadglass.identity.onetime import Purpose
from leadglass.identity.passwords import LEAST
from leadglass.identity.sessions import OpenedSession, csrf_of
from leadglass.identity.signin import NeedsSecond

PATH = "/sign-in"

_ADVICE = f"At least {LEAST} characters. Four or more words that have nothing to do with each other are good."


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.people
    if desk is None:
        return []
    pages = _SigningIn(desk)
    why = "Whoever signs in is nobody yet."
    link_why = "Who opens a one-time link has no account to show yet."

    def anonymous(path: str, method: str, handler: Callable[[Request], Awaitable[Response]], why: str) -> Route:
        return Route(path, (method,), handler, Access.ANONYMOUS, why=why, summary="Sign in.")

    return [
        anonymous(PATH, "GET", pages.show, why),
        anonymous(PATH, "POST", cookie.from_here(pages.sign_in), why),
        anonymous("/sign-in/second", "POST", cookie.from_here(pages.second), why),
        anonymous(PATHS[Purpose.SET_UP], "GET", pages.show_set_up, link_why),
        anonymous(PATHS[Purpose.SET_UP], "POST", cookie.from_here(pages.set_up), link_why),
        anonymous(PATHS[Purpose.SIGN_IN], "GET", pages.show_link, link_why),
        anonymous(PATHS[Purpose.SIGN_IN], "POST", cookie.from_here(pages.by_link), link_why),
        Route("/sign-out", ("POST",), pages.sign_out, summary="End this session."),
    ]


def welcome(desk: PeopleDesk | None) -> Callable[[Request], Response | None]:
    """Give what a browser is shown where nobody is identified: the page to sign in, and then the way back."""

    def page_for(request: Request) -> Response | None:
        if desk is None or request.method not in {"GET", "HEAD"} or not wants_page(request):
            return None
        answer = sign_in_page(request, desk, status=HTTPStatus.UNAUTHORIZED, back=request.url.path)
        is_stale = cookie.COOKIE in request.cookies and "authorization" not in request.headers
        return cookie.take(answer) if is_stale else answer

    return page_for


def sign_in_page(
    request: Request, desk: PeopleDesk, *, status: int = HTTPStatus.OK, error: str = "", name: str = "", back: str = "/"
) -> Response:
    """Give the page to sign in."""
    headers = {"WWW-Authenticate": 'Bearer realm="leadglass"'} if status == HTTPStatus.UNAUTHORIZED else {}
    return page(
        request,
        "people/sign_in.html",
        status=status,
        headers=headers,
        error=error,
        name=name,
        back=way_back(back),
        entrances=desk.entrances,
        has_passkeys=desk.has_passkeys,
    )


class _SigningIn:
    def __init__(self, desk: PeopleDesk) -> None:
        self._desk = desk

    # --- password ------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        return sign_in_page(request, self._desk, back=request.query_params.get("next", "/"))

    async def sign_in(self, request: Request) -> Response:
        fields = await fields_of(request)
        name = fields.get("name", "")
        back = way_back(fields.get("next", "/"))
        try:
            password = needed(fields, "password")
            result = await self._desk.threads.run(
                self._desk.sign_in.sign_in, name, password, peer_of(request), agent=_agent(request)
            )
        except (Denied, BadInput, Throttled) as error:
            text, status = told(request, error)
            return sign_in_page(request, self._desk, status=status, error=text, name=name[:64], back=back)
        if isinstance(result, NeedsSecond):
            if wants_json(request):
                return JSONResponse({"signed_in": False, "needs": "second factor", "ticket": result.ticket})
            return page(request, "people/second.html", ticket=result.ticket, back=back, error="")
        return await self._signed_in(request, result, back)

    async def second(self, request: Request) -> Response:
        fields = await fields_of(request)
        ticket, code = needed(fields, "ticket"), fields.get("code", "")
        back = way_back(fields.get("next", "/"))
        try:
            opened = await self._desk.threads.run(
                self._desk.sign_in.second, ticket, code, peer_of(request), agent=_agent(request)
            )
        except (Denied, Throttled) as error:
            text, status = told(request, error)
            return page(request, "people/second.html", status=status, ticket=ticket, back=back, error=text)
        return await self._signed_in(request, opened, back)

    # --- links -----------------------------------------------------------------------

    async def show_set_up(self, request: Request) -> Response:
        return page(request, "people/set_up.html", error="", secret="", advice=_ADVICE, least=LEAST)

    async def set_up(self, request: Request) -> Response:
        fields = await fields_of(request)
        secret = needed(fields, "secret").strip()
        try:
            password = same_twice(fields, "password")
            opened = await self._desk.threads.run(
                self._desk.sign_in.set_up, secret, password, peer_of(request), agent=_agent(request)
            )
        except (Denied, BadInput) as error:
            text, status = told(request, error)
            again = "" if isinstance(error, Denied) else secret
            return page(
                request,
                "people/set_up.html",
                status=status,
                error=text,
                secret=again,
                advice=_ADVICE,
                least=LEAST,
            )
        return await self._signed_in(request, opened, "/")

    async def show_link(self, request: Request) -> Response:
        return page(request, "people/link.html", error="", secret="")

    async def by_link(self, request: Request) -> Response:
        secret = needed(await fields_of(request), "secret").strip()
        try:
            opened = await self._desk.threads.run(
                self._desk.sign_in.by_link, secret, peer_of(request), agent=_agent(request)
            )
        except Denied as error:
            text, status = told(request, error)
            return page(request, "people/link.html", status=status, error=text, secret="")
        return await self._signed_in(request, opened, "/")

    async def _signed_in(self, request: Request, opened: OpenedSession, back: str) -> Response:
        """Give the new session, and end the one that this browser had: nobody would end it otherwise."""
        before = request.cookies.get(cookie.COOKIE, "")
        if before:
            await self._desk.threads.run(self._desk.accounts.sessions.end_replaced, before[:128], peer_of(request))
        if wants_json(request):
            said = {"signed_in": True, "name": opened.session.name, "csrf": csrf_of(opened.secret)}
            return cookie.give(JSONResponse({**said, "until": opened.session.until.isoformat()}), opened)
        return cookie.give(see_other(back), opened)

    # --- out -------------------------------------------------------------------------

    async def sign_out(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._desk.accounts.sessions.end, asked.caller, asked.caller.session)
        answer = JSONResponse({"signed_in": False}) if wants_json(asked.request) else see_other(PATH)
        # Metadata and bulk data are kept by browsers, to be asked about again: not beyond the session (W3C).
        answer.headers["Clear-Site-Data"] = '"cache"'
        return cookie.take(answer)


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")
