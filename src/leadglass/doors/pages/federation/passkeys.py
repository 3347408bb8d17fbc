"""Passkeys in a browser: registered by who knows the password, and shown instead of one.

Rule 1. A passkey is added and removed only by who knows the account's password now:
a stolen session must not become a key of its own. Rule 2. The script is one small
file of ours; without it the pages say that it is needed.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.federation.desk import FederationDesk
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.web import cookie
from leadglass.doors.web.evidence import peer_of
from leadglass.doors.web.forms import fields_of, needed, wants_json
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Access, Asked, Route, Services
from leadglass.errors import Denied
from leadglass.identity.passkeys import Passkey, Passkeys
from leadglass.identity.sessions import csrf_of
from leadglass.policy.caller import CallerKind

PATH: Final = "/account/passkeys"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.federation
    if desk is None or desk.passkeys is None:
        return []
    pages = _Passkeys(desk, desk.passkeys)
    why = "Whoever signs in is nobody yet."

    def anonymous(path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(
            path, ("POST",), cookie.from_here(handler), Access.ANONYMOUS, why=why, summary="Sign in by a passkey."
        )

    return [
        anonymous("/sign-in/passkey/begin", pages.begin_sign_in),
        anonymous("/sign-in/passkey", pages.sign_in),
        Route(PATH, ("GET",), pages.show, summary="One's own passkeys."),
        Route(PATH, ("POST",), pages.register, summary="Keep the passkey that a browser made."),
        Route(f"{PATH}/begin", ("POST",), pages.begin, summary="Begin to register a passkey."),
        Route(f"{PATH}/remove", ("POST",), pages.remove, summary="Remove one of one's own passkeys."),
    ]


class _Passkeys:
    def __init__(self, desk: FederationDesk, passkeys: Passkeys) -> None:
        self._desk = desk
        self._passkeys = passkeys

    # --- signing in ---------------------------------------------------------------

    async def begin_sign_in(self, request: Request) -> Response:  # noqa: ARG002 - a handler's form
        return JSONResponse(self._passkeys.begin_sign_in())

    async def sign_in(self, request: Request) -> Response:
        answer = needed(await fields_of(request), "answer")
        try:
            opened = await self._run(
                self._passkeys.finish_sign_in, answer, peer_of(request), agent=request.headers.get("user-agent", "")
            )
        except Denied as error:
            raise HttpFault(HTTPStatus.FORBIDDEN, error.message) from None
        before = request.cookies.get(cookie.COOKIE, "")
        if before:  # the session that this browser had: nobody would end it otherwise
            sessions = self._desk.people.accounts.sessions
            await self._run(sessions.end_replaced, before[:128], peer_of(request))
        said = {"signed_in": True, "name": opened.session.name, "csrf": csrf_of(opened.secret)}
        return cookie.give(JSONResponse(said), opened)

    # --- one's own ----------------------------------------------------------------

    async def show(self, asked: Asked) -> Response:
        return await self._page(asked)

    async def begin(self, asked: Asked) -> Response:
        await self._confirm(asked)
        try:
            return JSONResponse(await self._run(self._passkeys.begin_registration, asked.caller))
        except Denied as error:
            raise HttpFault(HTTPStatus.FORBIDDEN, error.message) from None

    async def register(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        answer, label = needed(fields, "answer"), fields.get("label", "")
        try:
            made = await self._run(self._passkeys.finish_registration, asked.caller, answer, label)
        except Denied as error:
            raise HttpFault(HTTPStatus.FORBIDDEN, error.message) from None
        return JSONResponse(_as_json(made), HTTPStatus.CREATED)

    async def remove(self, asked: Asked) -> Response:
        try:
            await self._confirm(asked)
        except HttpFault as fault:
            if wants_json(asked.request):
                raise
            return await self._page(asked, status=fault.status, error=fault.message)
        await self._run(self._passkeys.remove, asked.caller, needed(await fields_of(asked.request), "passkey"))
        return JSONResponse({"done": "The passkey is removed."}) if wants_json(asked.request) else see_other(PATH)

    # --- within -------------------------------------------------------------------

    async def _confirm(self, asked: Asked) -> None:
        """See that it is still the owner who is there."""
        if asked.caller.kind is not CallerKind.PERSON:
            raise HttpFault(HTTPStatus.FORBIDDEN, "Only a person who is signed in has passkeys.")
        password = (await fields_of(asked.request)).get("password", "")
        people = self._desk.people
        try:
            await people.threads.run(people.sign_in.confirm, asked.caller, password)
        except Denied:
            raise HttpFault(HTTPStatus.FORBIDDEN, "That is not your password.") from None

    async def _page(self, asked: Asked, *, status: int = HTTPStatus.OK, error: str = "") -> Response:
        if asked.caller.kind is not CallerKind.PERSON:
            raise Denied("Only a person who is signed in has passkeys.")
        listed = await self._run(self._passkeys.list, asked.caller.name)
        if wants_json(asked.request):
            return JSONResponse([_as_json(passkey) for passkey in listed])
        return page(
            asked.request, "people/passkeys.html", caller=asked.caller, status=status, passkeys=listed, error=error
        )

    @property
    def _run(self):
        return self._desk.people.threads.run


def _as_json(passkey: Passkey) -> dict[str, object]:
    return {
        "id": passkey.id,
        "label": passkey.label,
        "synced": passkey.is_synced,
        "made": passkey.made.isoformat(),
        "used": passkey.used.isoformat() if passkey.used else None,
    }
