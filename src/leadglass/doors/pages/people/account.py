"""One's own account: password, authenticator app, recovery codes, sessions.

Rule 1. What proves the account is changed only by who knows its password now.
Rule 2. A secret is shown once, on the answer that made it, and never again.
"""

from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from leadglass.doors.listed import session_as_json
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import rights_of
from leadglass.doors.pages.qr import qr_path
from leadglass.doors.web.forms import fields_of, same_twice, told, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Denied, LeadglassError, NotHere, Throttled
from leadglass.identity.passwords import LEAST
from leadglass.identity.person import Person
from leadglass.identity.sessions import Session
from leadglass.identity.totp import Enrolment
from leadglass.policy.caller import Caller, CallerKind

PATH = "/account"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.people
    if desk is None:
        return []
    pages = _Account(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="One's own account."),
        Route("/account/password", ("POST",), pages.password, summary="Change one's own password."),
        Route("/account/app", ("POST",), pages.begin, summary="Begin to add an authenticator app."),
        Route("/account/app/confirm", ("POST",), pages.confirm, summary="Add it, by its first code."),
        Route("/account/app/remove", ("POST",), pages.remove, summary="Take it away."),
        Route("/account/codes", ("POST",), pages.codes, summary="Make new recovery codes."),
        Route("/account/sessions", ("GET",), pages.sessions, summary="List one's own sessions."),
        Route("/account/sessions/end", ("POST",), pages.end, summary="End one of one's own sessions."),
        Route("/account/sessions/end-others", ("POST",), pages.end_others, summary="End all but this one."),
    ]


class _Account:
    def __init__(self, desk: PeopleDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        return await self._page(asked)

    async def password(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        current = fields.get("current", "")
        try:
            new = same_twice(fields, "new")
            await self._desk.threads.run(self._desk.sign_in.change_password, asked.caller, current, new)
        except (Denied, BadInput, Throttled) as error:
            return await self._again(asked, "password", error)
        return await self._done(asked, "The password is changed. All your other sessions have ended.")

    # --- authenticator app -----------------------------------------------------------

    async def begin(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        try:
            await self._confirm_owner(asked.caller, fields)
        except (Denied, BadInput, Throttled) as error:
            return await self._again(asked, "app", error)
        enrolment = await self._desk.threads.run(self._desk.accounts.factors.begin, asked.caller)
        return self._app_page(asked, enrolment)

    async def confirm(self, asked: Asked) -> Response:
        require_person(asked.caller)
        code = (await fields_of(asked.request)).get("code", "")
        try:
            codes = await self._desk.threads.run(self._desk.accounts.factors.confirm, asked.caller, code)
        except BadInput as error:
            enrolment = await self._desk.threads.run(self._desk.accounts.factors.begun, asked.caller)
            if enrolment is None or wants_json(asked.request):
                raise
            return self._app_page(asked, enrolment, error.message)
        return _codes_page(asked, codes, "Your authenticator app counts from now on.")

    async def remove(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        try:
            await self._confirm_owner(asked.caller, fields)
        except (Denied, BadInput, Throttled) as error:
            return await self._again(asked, "app", error)
        await self._desk.threads.run(self._desk.accounts.factors.remove, asked.caller)
        return await self._done(asked, "The authenticator app and the recovery codes are taken away.")

    async def codes(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        try:
            await self._confirm_owner(asked.caller, fields)
            codes = await self._desk.threads.run(self._desk.accounts.factors.renew_codes, asked.caller)
        except (Denied, BadInput, Throttled, NotHere) as error:
            return await self._again(asked, "app", error)
        return _codes_page(asked, codes, "The old recovery codes count no more.")

    def _app_page(self, asked: Asked, enrolment: Enrolment, error: str = "") -> Response:
        if wants_json(asked.request):
            return JSONResponse({"secret": enrolment.secret.replace(" ", ""), "uri": enrolment.uri})
        return page(
            asked.request,
            "people/app.html",
            caller=asked.caller,
            status=HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK,
            error=error,
            secret=enrolment.secret,
            uri=enrolment.uri,
            qr=qr_path(enrolment.uri),
        )

    async def _confirm_owner(self, caller: Caller, fields: dict[str, str]) -> None:
        await self._desk.threads.run(self._desk.sign_in.confirm, caller, fields.get("password", ""))

    # --- sessions ----------------------------------------------------------------------

    async def sessions(self, asked: Asked) -> Response:
        if not wants_json(asked.request):
            return see_other(f"{PATH}#sessions")
        require_person(asked.caller)
        listed = await self._desk.threads.run(self._desk.accounts.sessions.list, asked.caller.name)
        return JSONResponse([_as_json(session, asked.caller) for session in listed])

    async def end(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        sessions = self._desk.accounts.sessions
        await self._desk.threads.run(sessions.end_own, asked.caller, fields.get("session", "")[:64])
        return await self._done(asked, "The session has ended.")

    async def end_others(self, asked: Asked) -> Response:
        require_person(asked.caller)
        caller = asked.caller
        sessions = self._desk.accounts.sessions
        await self._desk.threads.run(sessions.end_all, caller, caller.name, but=caller.session)
        return await self._done(asked, "All your other sessions have ended.")

    # --- answering -----------------------------------------------------------------------

    async def _done(self, asked: Asked, said: str) -> Response:
        if wants_json(asked.request):
            return JSONResponse({"done": said})
        return await self._page(asked, done=said)

    async def _again(self, asked: Asked, where: str, error: LeadglassError) -> Response:
        """Show the account with what was wrong beside the form it was wrong in."""
        text, status = told(asked.request, error, denied="That is not your password.")
        return await self._page(asked, status=status, errors={where: text})

    async def _page(
        self, asked: Asked, *, status: int = HTTPStatus.OK, done: str = "", errors: dict[str, str] | None = None
    ) -> Response:
        caller = asked.caller
        require_person(caller)
        person, sessions, codes = await self._desk.threads.run(self._known, caller.name)
        if wants_json(asked.request):
            return JSONResponse(
                {
                    "name": person.name,
                    "role": person.role.value,
                    "studies": [grant.reason for grant in caller.grants],
                    "authenticator_app": person.has_totp,
                    "recovery_codes": codes,
                    "sessions": [_as_json(session, caller) for session in sessions],
                }
            )
        return page(
            asked.request,
            "people/account.html",
            caller=caller,
            status=status,
            done=done,
            errors=errors or {},
            person=person,
            sessions=sessions,
            codes=codes,
            rights=rights_of(caller),
            least=LEAST,
            has_passkeys=self._desk.has_passkeys,
        )

    def _known(self, name: str) -> tuple[Person, list[Session], int]:
        accounts = self._desk.accounts
        return accounts.people.get(name), accounts.sessions.list(name), accounts.factors.codes_left(name)


def _codes_page(asked: Asked, codes: tuple[str, ...], said: str) -> Response:
    if wants_json(asked.request):
        return JSONResponse({"done": said, "recovery_codes": list(codes)})
    return page(asked.request, "people/codes.html", caller=asked.caller, said=said, codes=codes)


def require_person(caller: Caller) -> None:
    """Refuse whoever has no account: a token, for instance.

    Raises
    ------
    Denied
    """
    if caller.kind is not CallerKind.PERSON:
        raise Denied("Only a person who is signed in has an account.")


def _as_json(session: Session, caller: Caller) -> dict[str, object]:
    return session_as_json(session) | {"is_this": session.id == caller.session}
