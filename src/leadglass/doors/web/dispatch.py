"""Dispatch: from a request to its handler, by way of "who".

Rule 1. Who asks is found out before the path is looked at, except where a route is
for anybody; so who is not identified hears the same of every path. Rule 2. A body
is bounded before it is read, and while it is. Rule 3. An answer that takes long ends
with what it was given for: a session or token that is revoked, an account that is
locked, a link that is ended, a right that is taken away. Rule 4. What answers GET
answers HEAD (RFC 9110 9.3.2): the same is decided, recorded and counted, and the answer
is let go of when its header is sent.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from re import Pattern
from time import monotonic
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from leadglass.doors.threads import Threads
from leadglass.doors.web.evidence import BEING_SENT, Evidence, peer_of
from leadglass.doors.web.gate import Message, Receive, Scope, Send, connection_of
from leadglass.doors.web.problem import UNIDENTIFIED, HttpFault, plain, problem_of
from leadglass.doors.web.routes import Access, AnonymousHandler, Asked, Handler, Route, pattern_of, with_head
from leadglass.doors.web.sharecookie import reaches
from leadglass.doors.web.stream import Stream
from leadglass.errors import Busy, Denied, LeadglassError, Misconfigured, NotHere
from leadglass.identity.visitors import Visitors, Why
from leadglass.policy.caller import Caller

LOG: Final = logging.getLogger(__name__)

CHALLENGE: Final[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="leadglass"'}
"""RFC 6750 3: how to say who one is. No ``Basic``: browsers would ask for passwords."""

_LOOK_AGAIN: Final = 0.25
"""Seconds after which it is looked up again whether somebody still may whose answer is being sent: from memory."""

_SHOW: Final = "Send a token that counts, as Authorization: Bearer TOKEN; or sign in with a browser."
"""The same whatever was shown: whether a token was wrong or over is for the audit log."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A route and what its path looks like."""

    route: Route
    pattern: Pattern[str]


class WebApp:
    """The routes of the web door, as an ASGI application behind the gate.

    Parameters
    ----------
    routes : iterable of Route
        All of them.
    evidence : Evidence
        Finds out who asks.
    visitors : Visitors
        Where it goes on record who was turned away.
    clerk : Threads
        Where that is done.
    body_bytes : int
        Most bytes of a body, where a route says nothing else.
    welcome : callable, optional
        Gives the page that a browser is shown, with 401, where nobody is
        identified; None: a problem document, as for a program.
    fault : callable, optional
        Gives the page that a browser is shown of what went wrong; None: a
        problem document, as for a program.
    context : mapping of str to object, optional
        What every request's scope is to hold.

    Raises
    ------
    Misconfigured
        When two routes answer the same method at the same path.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        evidence: Evidence,
        visitors: Visitors,
        clerk: Threads,
        *,
        body_bytes: int,
        welcome: Callable[[Request], Response | None] = lambda _: None,
        fault: Callable[[Request, LeadglassError, Caller | None], Response | None] | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        self._context = dict(context or {})
        self.routes = tuple(routes)
        self._evidence = evidence
        self._visitors = visitors
        self._clerk = clerk
        self._body_bytes = body_bytes
        self._welcome = welcome
        self._fault = fault
        seen: set[tuple[str, str]] = set()
        for route in self.routes:
            for method in route.methods:
                if (route.path, method) in seen:
                    raise Misconfigured(f"Two routes answer {method} {route.path}.")
                seen.add((route.path, method))
        fixed = [_Bound(route, pattern_of(route.path)) for route in self.routes]
        self._literal: dict[str, list[_Bound]] = {}
        self._bound: list[_Bound] = []
        for bound in fixed:
            if "{" in bound.route.path:
                self._bound.append(bound)
            else:
                self._literal.setdefault(bound.route.path, []).append(bound)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope.update(self._context)
        path, method = cast("str", scope["path"]), cast("str", scope["method"])
        route, others = self._find(path, method, scope)
        limited = _Body(scope, receive, self._body_bytes if route is None else route.body_bytes or self._body_bytes)
        request = Request(scope, limited.receive)
        try:
            if route is not None and route.access is Access.ANONYMOUS:
                scope["leadglass.route"] = route.path
                limited.check()
                response = await cast("AnonymousHandler", route.handler)(request)
            else:
                response = await self._for_caller(request, limited, route, others)
        except LeadglassError as error:
            caller = cast("Caller | None", scope.get("leadglass.asks"))
            page = None if self._fault is None else self._fault(request, error, caller)
            response = page or problem_of(error).response()
        if method == "HEAD":
            await _send_header(response, scope, limited.receive, send)
        else:
            await response(scope, limited.receive, self._while_here(request, route, send))

    def _while_here(self, request: Request, route: Route | None, send: Send) -> Send:
        """Have an answer end with the rights that it was begun with, however long it is."""
        caller = cast("Caller | None", request.scope.get("leadglass.asks"))
        if caller is None or request.method != "GET" or (route is not None and route.proves_again):
            return send
        asked = monotonic()

        async def checked(message: Message) -> None:
            nonlocal asked
            if message["type"] == "http.response.body" and monotonic() - asked >= _LOOK_AGAIN:
                asked = monotonic()
                request.scope[BEING_SENT] = True
                if not await self._may_still(request, caller):
                    connection_of(request.scope).cut()
                    return
            await send(message)

        return checked

    async def _may_still(self, request: Request, before: Caller) -> bool:
        """Say whether who asked is still proven, and has all rights that the answer was begun with."""
        try:
            now = await self._evidence.caller(request)
        except Busy:
            return True  # nobody said that they are gone; it is asked again at once
        except LeadglassError:
            return False
        return now is not None and all(grant in now.grants for grant in before.grants)

    def _find(self, path: str, method: str, scope: Scope) -> tuple[Route | None, tuple[str, ...]]:
        """Find the route for a request, and the methods that there are at its path."""
        others: list[str] = []
        for bound in self._literal.get(path, ()):
            if method in _methods(bound.route):
                scope["path_params"] = {}
                return bound.route, ()
            others += _methods(bound.route)
        if others:  # a path that is spelled out is no parameter of another
            return None, tuple(dict.fromkeys(others))
        for bound in self._bound:
            match = bound.pattern.fullmatch(path)
            if match is not None:
                if method in _methods(bound.route):
                    scope["path_params"] = match.groupdict()
                    return bound.route, ()
                others += _methods(bound.route)
        return None, tuple(dict.fromkeys(others))

    async def _for_caller(
        self, request: Request, limited: "_Body", route: Route | None, others: tuple[str, ...]
    ) -> Response:
        caller = await self._identify(request)
        if caller is None:
            return self._welcome(request) or plain(UNIDENTIFIED, CHALLENGE, _SHOW).response()
        if not connection_of(request.scope).identified():
            raise Busy("There are too many connections at one time. Ask again later.")
        request.scope["leadglass.caller"] = str(caller)
        request.scope["leadglass.asks"] = caller
        if not reaches(caller, request.method, request.url.path if route is None else route.path):
            raise NotHere("There is nothing at this path.")
        if route is None:
            if others:
                raise HttpFault(
                    HTTPStatus.METHOD_NOT_ALLOWED,
                    "This is not done here. The Allow field says what is.",
                    {"Allow": ", ".join(others)},
                )
            raise NotHere("There is nothing at this path.")
        request.scope["leadglass.route"] = route.path
        limited.check()
        return await cast("Handler", route.handler)(Asked(request, caller, partial(self._evidence.caller, request)))

    async def _identify(self, request: Request) -> Caller | None:
        """Find out who asks; None for nobody, which is on record then."""
        try:
            caller = await self._evidence.caller(request)
        except Denied as error:
            await self._refuse(request, Why.NOBODY, error.message)
            return None
        if caller is None:
            await self._refuse(request, Why.NOTHING_SHOWN, "A request showed nothing of who asks.")
        return caller

    async def _refuse(self, request: Request, why: Why, reason: str) -> None:
        try:
            await self._clerk.run(self._visitors.refuse, peer_of(request), why, reason)
        except LeadglassError as error:  # the answer is no all the same
            LOG.warning("refusal not recorded", extra={"kind": error.kind.value, "reason": error.message})


def _methods(route: Route) -> tuple[str, ...]:
    return with_head(route.methods)


async def _send_header(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer without its body, and let go of what would have made it, as if whoever asks had gone."""

    async def header_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)

    if isinstance(response, StreamingResponse):
        body = cast("AsyncGenerator[bytes]", response.body_iterator)
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        finally:
            try:
                await anext(body, None)  # one that was never begun would not let go of anything
            finally:
                await (response.end() if isinstance(response, Stream) else body.aclose())
    else:
        await response(scope, receive, header_only)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Body:
    """The body of a request, no more of it than may be."""

    __slots__ = ("_length", "_most", "_receive", "_taken")

    def __init__(self, scope: Scope, receive: Receive, most: int) -> None:
        fields = cast("list[tuple[bytes, bytes]]", scope["headers"])
        self._length = next((value for name, value in fields if name == b"content-length"), b"")
        self._receive = receive
        self._most = most
        self._taken = 0

    def check(self) -> None:
        """Refuse a body that is announced as too large."""
        if self._length and int(self._length) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """Give the next part; raises ``HttpFault``."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self._most:
                raise self._too_large()
        return message

    def _too_large(self) -> HttpFault:
        return HttpFault(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {self._most} bytes. Send it in parts."
        )
