"""People: the accounts of an archive, made and looked after in a browser by an administrator.

Rule 1. Every act is one call on the part that decides and records it. Rule 2. A
set-up link is shown once, on the answer that made it. Rule 3. A form that was
shown before somebody else changed the account does nothing.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.links import path_of
from leadglass.doors.listed import session_as_json
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.managing import words
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.qr import qr_path
from leadglass.doors.web.forms import fields_of, needed, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict, LeadglassError
from leadglass.identity.onetime import Link, Purpose
from leadglass.identity.overview import Overseen, Overview
from leadglass.identity.passkeys import Passkeys
from leadglass.identity.person import Person
from leadglass.identity.sessions import KNOWN_FOR
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import Role, parse_role
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import write_scope

PATH: Final = "/people"
ONE: Final = "/people/account/{name}"

_STALE: Final = "The account was changed since this page was loaded. Look at it again, then decide."


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk, people = services.pages, services.people
    if desk is None or people is None:
        return []
    passkeys = services.federation.passkeys if services.federation else None
    pages = _People(desk, people, passkeys)

    def acting(path: str, act: Callable[[Asked, str], Awaitable[Response]], summary: str) -> Route:
        return Route(f"{ONE}/{path}", ("POST",), pages.on_one(act), summary=summary)

    return [
        Route(PATH, ("GET",), pages.everybody, summary="List the accounts of people."),
        Route(PATH, ("POST",), pages.add, summary="Make an account; gives its set-up link."),
        Route(f"{PATH}/new", ("GET",), pages.new, summary="The form for a new account."),
        Route(ONE, ("GET",), pages.one, summary="One account."),
        acting("role", pages.role, "Say anew what an account may do, and on which studies."),
        acting("lock", pages.lock, "Shut an account."),
        acting("unlock", pages.unlock, "Open it again."),
        acting("reset", pages.reset, "Take away what proves an account; gives a new set-up link."),
        acting("sign-out", pages.sign_out, "End one or all of its sessions."),
        acting("remove", pages.remove, "Remove an account."),
    ]


class _People:
    def __init__(self, desk: PagesDesk, people: PeopleDesk, passkeys: Passkeys | None) -> None:
        self._desk = desk
        self._accounts = people.accounts
        self._overview = Overview(people.accounts)
        self._passkeys = passkeys

    # --- looking ---------------------------------------------------------------------

    async def everybody(self, asked: Asked) -> Response:
        listed = await self._desk.threads.run(self._listed, asked.caller)
        if wants_json(asked.request):
            return JSONResponse([_as_json(each, keys) for each, keys in listed])
        return page(
            asked.request,
            "managing/people.html",
            caller=asked.caller,
            listed=[(each, keys, words.said_scope(each.person.role, each.person.scope)) for each, keys in listed],
            long_ago=self._long_ago,
            done=_DONE.get(asked.request.query_params.get("done", ""), ""),
        )

    def _listed(self, caller: Caller) -> list[tuple[Overseen, int]]:
        everybody = self._overview.everybody(caller)
        counts = self._passkeys.counts() if self._passkeys else {}
        return [(each, counts.get(Passkeys.account_of(each.person), 0)) for each in everybody]

    @property
    def _long_ago(self) -> datetime:
        """Before when it is not known any more whether somebody signed in."""
        return self._accounts.store.now - KNOWN_FOR

    def _keys(self, person: Person) -> int:
        return len(self._passkeys.list(person.name)) if self._passkeys else 0

    async def new(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._overview.require, asked.caller)
        return self._new_page(asked, {})

    async def one(self, asked: Asked) -> Response:
        return await self._page(asked, _name_of(asked))

    # --- adding ----------------------------------------------------------------------

    async def add(self, asked: Asked) -> Response:
        await self._desk.threads.run(self._overview.require, asked.caller)
        fields = await fields_of(asked.request)
        try:
            name, role = needed(fields, "name"), parse_role(needed(fields, "role"))
            scope = words.scope_of(fields.get("scope", ""))
            person, link = await self._desk.threads.run(self._add, asked.caller, name, role, scope)
        except (BadInput, Conflict) as error:
            if wants_json(asked.request):
                raise
            return self._new_page(asked, fields, error)
        return self._link_page(asked, person, link, is_new=True)

    def _add(self, caller: Caller, name: str, role: Role, scope: Scope | None) -> tuple[Person, Link]:
        person = self._accounts.people.add(caller, name, role, scope)
        return person, self._accounts.links.make(caller, person, Purpose.SET_UP)

    def _new_page(self, asked: Asked, fields: dict[str, str], error: LeadglassError | None = None) -> Response:
        return page(
            asked.request,
            "managing/new_person.html",
            caller=asked.caller,
            status=HTTPStatus.OK if error is None else problem_of(error).status,
            error="" if error is None else error.message,
            fields=fields,
            roles=_roles_for_people(),
            help=words.SCOPE_HELP,
        )

    def _link_page(self, asked: Asked, person: Person, link: Link, *, is_new: bool) -> Response:
        url = f"{self._desk.origin(asked.request.headers['host'])}{path_of(link)}"
        if wants_json(asked.request):
            status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
            return JSONResponse({"name": person.name, "link": url, "until": link.until.isoformat()}, status)
        return page(
            asked.request,
            "managing/link.html",
            caller=asked.caller,
            person=person,
            url=url,
            until=link.until,
            qr=qr_path(url),
            is_new=is_new,
            is_blind=words.is_blind(person.role, person.scope),
            scope=words.said_scope(person.role, person.scope),
        )

    # --- changing --------------------------------------------------------------------

    def on_one(self, act: Callable[[Asked, str], Awaitable[Response]]) -> Callable[[Asked], Awaitable[Response]]:
        """Have a form's account looked at first: it may have been changed since, and what goes wrong stands beside."""

        async def answer(asked: Asked) -> Response:
            name = _name_of(asked)
            fields = await fields_of(asked.request)
            overseen = await self._desk.threads.run(self._overview.one, asked.caller, name)
            try:
                _require_fresh(overseen, fields)
                return await act(asked, overseen.person.name)
            except (BadInput, Conflict) as error:
                if wants_json(asked.request):
                    raise
                return await self._page(asked, name, error=error)

        return answer

    async def role(self, asked: Asked, name: str) -> Response:
        fields = await fields_of(asked.request)
        role, scope = parse_role(needed(fields, "role")), words.scope_of(fields.get("scope", ""))
        await self._desk.threads.run(self._accounts.people.set_role, asked.caller, name, role, scope)
        return await self._done(asked, name, "What the account may do is changed. It counts from its next click on.")

    async def lock(self, asked: Asked, name: str) -> Response:
        await self._desk.threads.run(self._accounts.people.lock, asked.caller, name)
        return await self._done(asked, name, "The account is locked and signed out everywhere.")

    async def unlock(self, asked: Asked, name: str) -> Response:
        await self._desk.threads.run(self._accounts.people.unlock, asked.caller, name)
        return await self._done(asked, name, "The account may sign in again.")

    async def reset(self, asked: Asked, name: str) -> Response:
        person, link = await self._desk.threads.run(self._reset, asked.caller, name)
        if link is None:
            return await self._done(asked, name, "The account is signed out everywhere; its provider proves it.")
        return self._link_page(asked, person, link, is_new=False)

    def _reset(self, caller: Caller, name: str) -> tuple[Person, Link | None]:
        person = self._accounts.people.reset(caller, name)
        return person, None if person.origin else self._accounts.links.make(caller, person, Purpose.SET_UP)

    async def sign_out(self, asked: Asked, name: str) -> Response:
        session = (await fields_of(asked.request)).get("session", "")[:64]
        sessions = self._accounts.sessions
        if session:
            await self._desk.threads.run(sessions.end_of, asked.caller, name, session)
            return await self._done(asked, name, "The session has ended.")
        await self._desk.threads.run(sessions.end_all, asked.caller, name)
        return await self._done(asked, name, "All its sessions have ended.")

    async def remove(self, asked: Asked, name: str) -> Response:
        if (await fields_of(asked.request)).get("again", "").strip().lower() != name:
            raise BadInput("Write the account's name once more to remove it.")
        await self._desk.threads.run(self._accounts.people.remove, asked.caller, name)
        if wants_json(asked.request):
            return JSONResponse({"done": _DONE["removed"]})
        return see_other(f"{PATH}?done=removed")

    # --- answering -------------------------------------------------------------------

    async def _done(self, asked: Asked, name: str, said: str) -> Response:
        if wants_json(asked.request):
            return JSONResponse({"done": said})
        return await self._page(asked, name, done=said)

    async def _page(self, asked: Asked, name: str, *, done: str = "", error: LeadglassError | None = None) -> Response:
        overseen, keys = await self._desk.threads.run(self._one, asked.caller, name)
        if wants_json(asked.request):
            return JSONResponse(_as_json(overseen, keys))
        person = overseen.person
        return page(
            asked.request,
            "managing/person.html",
            caller=asked.caller,
            status=HTTPStatus.OK if error is None else problem_of(error).status,
            error="" if error is None else error.message,
            done=done,
            overseen=overseen,
            person=person,
            keys=keys,
            long_ago=self._long_ago,
            is_self=asked.caller.kind is CallerKind.PERSON and asked.caller.name == person.name,
            scope=words.said_scope(person.role, person.scope),
            scope_text=words.written(person.role, person.scope),
            is_blind=words.is_blind(person.role, person.scope),
            roles=_roles_for_people(person.role),
            help=words.SCOPE_HELP,
        )

    def _one(self, caller: Caller, name: str) -> tuple[Overseen, int]:
        overseen = self._overview.one(caller, name)
        return overseen, self._keys(overseen.person)


_DONE: Final = {"removed": "The account is removed. What it did stays on record."}
"""What is said on the list after something was done elsewhere; the address holds the word only."""


def _require_fresh(overseen: Overseen, fields: dict[str, str]) -> None:
    if fields.get("stamp", overseen.stamp) != overseen.stamp:
        raise Conflict(_STALE)


def _roles_for_people(*more: Role) -> tuple[tuple[Role, str], ...]:
    return tuple((role, said) for role, said in words.SENTENCES.items() if role is not Role.SERVICE or role in more)


def _name_of(asked: Asked) -> str:
    return str(asked.request.path_params["name"])[:256]


def _as_json(overseen: Overseen, keys: int) -> dict[str, object]:
    person = overseen.person
    return {
        "name": person.name,
        "role": person.role.value,
        "scope": list(write_scope(person.scope)),
        "locked": person.is_locked,
        "origin": person.origin or None,
        "password": person.has_password,
        "totp": person.has_totp,
        "passkeys": keys,
        "made": person.made.isoformat(),
        "signed_in": overseen.signed_in.isoformat() if overseen.signed_in else None,
        "sessions": [session_as_json(each) for each in overseen.sessions],
        "stamp": overseen.stamp,
    }
