"""The session cookie, and what a request has to show beside it.

Rule 1. The cookie is for this host, over TLS, out of reach of scripts, and never
sent from other sites. Rule 2. A request that changes something has to come from
our own pages: the browser says so (Fetch Metadata, or Origin), and it carries the
session's token in a field or a header. Rule 3. One is not enough. Rule 4. A page
next door (another name of the same site, to which browsers send the cookie too)
may lead here, and not embed, fetch or time anything.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from leadglass.doors.threads import Threads
from leadglass.doors.web.begun import first_field
from leadglass.doors.web.evidence import BEING_SENT, SESSION_COOKIE, SHARE_COOKIE, Unidentified, peer_of
from leadglass.doors.web.forms import fields_of, is_form
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import LeadglassError
from leadglass.identity.sessions import OpenedSession, csrf_of, is_csrf
from leadglass.policy.caller import Caller, CallerKind

COOKIE: Final = SESSION_COOKIE

CSRF_HEADER: Final = "x-leadglass-csrf"
CSRF_FIELD: Final = "csrf"

BACKGROUND_HEADER: Final = "x-leadglass-background"
"""By which a script of ours says that nobody asked for this: a page left open keeps no session alive."""

_LONGEST: Final = 128
"""Characters of a cookie of ours at most; it has 43."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_ASKED: Final = "leadglass.session"
"""Where a request's scope says that its session was asked about: asking again is no use of the session."""


class SessionBook(Protocol):
    """Who knows sessions (``identity.sessions``), or visits by links (``identity.share_visits``)."""

    def known(self, secret: str, peer: str) -> Caller | None:
        """Give the caller of a session from memory, as of now; None: ask ``caller``."""
        ...

    def caller(self, secret: str, peer: str, *, is_use: bool = True) -> Caller:
        """Give the caller of a session; raises ``Denied``."""
        ...


class SessionCookie:
    """Session cookies as evidence.

    Parameters
    ----------
    sessions : SessionBook
        What knows them.
    threads : Threads
        Where one is looked up that memory does not know.
    forged : callable
        Told of (peer, reason) when a request did not come from our own pages.
    name : str
        The cookie's.
    """

    def __init__(
        self, sessions: SessionBook, threads: Threads, forged: Callable[[str, str], None], name: str = COOKIE
    ) -> None:
        self._name = name
        self._sessions = sessions
        self._threads = threads
        self._forged = forged

    async def caller(self, request: Request) -> Caller | None:
        """Give the caller of the session; None without one."""
        secret = secret_of(request, self._name)
        if secret is None:
            return None
        peer = peer_of(request)
        is_asking = _ASKED not in request.scope or BEING_SENT in request.scope
        is_use = is_asking and BACKGROUND_HEADER not in request.headers
        request.scope[_ASKED] = True
        caller = self._sessions.known(secret, peer) or await self._threads.run(
            self._sessions.caller, secret, peer, is_use=is_use
        )
        if request.method not in _SAFE:
            await self._require_ours(request, secret, caller)
        elif not (is_from_here(request) or _leads_here(request)):
            await self._refuse(caller, f"{caller.name}'s browser was to fetch something for a page of another site.")
            raise HttpFault(HTTPStatus.FORBIDDEN, "This was asked for by another site. Open it in a page of its own.")
        return caller

    async def _require_ours(self, request: Request, secret: str, caller: Caller) -> None:
        if is_from_here(request):  # looked at first: nobody else has us read a body
            shown = request.headers.get(CSRF_HEADER)
            if shown is None and is_form(request):
                shown = (await fields_of(request)).get(CSRF_FIELD)
            elif shown is None:
                shown = await first_field(request, CSRF_FIELD)
            if shown is not None and is_csrf(secret, shown):
                return
        await self._refuse(caller, f"{caller.name}'s browser sent what did not come from a page of that session.")
        raise HttpFault(HTTPStatus.FORBIDDEN, "This form is out of date, or not one of ours. Load the page again.")

    async def _refuse(self, caller: Caller, reason: str) -> None:
        with suppress(LeadglassError):  # the answer is no all the same
            await self._threads.run(self._forged, caller.peer, reason)


def secret_of(request: Request, name: str = COOKIE) -> str | None:
    """Give what the session cookie holds, or another of ours; None without one."""
    shown = request.cookies.get(name)
    if not shown:
        return None
    if len(shown) > _LONGEST or not shown.isascii():
        raise Unidentified("A session cookie holds what none of ours does.")
    return shown


def csrf_token(request: Request, caller: Caller) -> str:
    """Give what the forms of this caller's session have to carry; empty without a session."""
    secret = request.cookies.get(SHARE_COOKIE if caller.kind is CallerKind.LINK else COOKIE)
    return csrf_of(secret) if secret else ""


def is_from_here(request: Request) -> bool:
    """Say whether a request comes from a page of ours, as far as the browser says (a program says nothing)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or origin.lower() == f"https://{request.headers.get('host', '').lower()}"


def _leads_here(request: Request) -> bool:
    """Say whether a browser goes to a page, as by a link, and does not fetch or frame something for another page."""
    return (request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest")) == ("navigate", "document")


def from_here(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Have a handler refuse what another site had a browser send, where there is no session yet."""

    async def answer(request: Request) -> Response:
        if not is_from_here(request):
            raise HttpFault(HTTPStatus.FORBIDDEN, "This was sent by another site. Use the page of this archive.")
        return await handler(request)

    return answer


def give(response: Response, opened: OpenedSession) -> Response:
    """Put a new session's cookie on a response. It ends with the browser, and by itself before.

    Whoever signs in is not here by a link any more: the two would be nobody.
    """
    response.set_cookie(COOKIE, opened.secret, path="/", secure=True, httponly=True, samesite="strict")
    return take_share(response)


def take(response: Response) -> Response:
    """Take the cookie away."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response


def take_share(response: Response) -> Response:
    """Take the cookie of a visit by a link away."""
    response.delete_cookie(SHARE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response
