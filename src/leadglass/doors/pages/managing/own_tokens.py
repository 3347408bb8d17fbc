"""One's own tokens, for scripts: made by who knows the account's password now, shown once."""

from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.listed import own_token_as_json
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.managing import words
from leadglass.doors.pages.managing.programs import curl_of, life_of, lives, marks
from leadglass.doors.pages.page import page
from leadglass.doors.pages.people.account import require_person
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.scopes import spoken
from leadglass.doors.web.forms import fields_of, needed, told, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict, Denied, LeadglassError, NotHere, Throttled
from leadglass.identity.own_tokens import OwnCreated, OwnToken, rights_within
from leadglass.identity.person import Person
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role
from leadglass.policy.scope import Scope

PATH: Final = "/account/tokens"

_PURPOSES: Final = (
    ("read", "Find and read studies", Role.REFERRER),
    ("store", "Find, read and store studies", Role.SERVICE),
    ("masked", "Find and read studies, without who they are of", Role.RESEARCHER),
    ("audit", "Read the audit log", Role.AUDITOR),
)
"""What a token is offered for: a word, what it says, and the role that bounds it."""

_EVERYTHING: Final = "all"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk, people = services.pages, services.people
    if desk is None or people is None:
        return []
    pages = _OwnTokens(desk, people)
    return [
        Route(PATH, ("GET",), pages.show, summary="One's own tokens, for scripts."),
        Route(PATH, ("POST",), pages.create, summary="Make one; it is shown once."),
        Route(f"{PATH}/revoke", ("POST",), pages.revoke, summary="End one."),
    ]


def purposes(person: Person) -> list[tuple[str, str, Role]]:
    """Give what a person's tokens may be for: what the account may do, each thing once."""
    offered: list[tuple[str, str, Role]] = []
    seen: set[frozenset[tuple[frozenset[str], bool]]] = set()
    everything = (_EVERYTHING, "Everything that your account may do with studies", person.role)
    for word, said, role in (*_PURPOSES, everything):
        grants = rights_within(role, Scope.everything(), person)
        worth = frozenset((frozenset(a.value for a in grant.actions), grant.view.is_full) for grant in grants)
        if grants and worth not in seen:
            seen.add(worth)
            offered.append((word, said, role))
    return offered


class _OwnTokens:
    def __init__(self, desk: PagesDesk, people: PeopleDesk) -> None:
        self._desk = desk
        self._people = people

    async def show(self, asked: Asked) -> Response:
        return await self._page(asked)

    async def create(self, asked: Asked) -> Response:
        require_person(asked.caller)
        fields = await fields_of(asked.request)
        try:
            # The password first: who does not know it learns nothing.
            person = await self._people.threads.run(
                self._people.sign_in.confirm, asked.caller, fields.get("password", "")
            )
            label, role = needed(fields, "label").strip(), _role_of(person, needed(fields, "purpose"))
            scope = words.scope_of(fields.get("scope", "")) or Scope.everything()
            life = life_of(needed(fields, "life"))
            created = await self._desk.threads.run(self._desk.own_tokens.create, asked.caller, label, role, scope, life)
        except (Denied, BadInput, Conflict, Throttled) as error:
            return await self._again(asked, error, fields)
        return self._created(asked, created, person)

    def _created(self, asked: Asked, created: OwnCreated, person: Person) -> Response:
        token = created.token
        if wants_json(asked.request):
            now = self._desk.own_tokens.now
            return JSONResponse({**own_token_as_json(token, now), "token": created.secret}, HTTPStatus.CREATED)
        grants = rights_within(token.role, token.scope, person)
        said = next((said for _, said, role in purposes(person) if role is token.role), "")
        return page(
            asked.request,
            "managing/token.html",
            caller=asked.caller,
            name=token.label,
            secret=created.secret,
            until=token.until,
            says=said,
            scope=_said(token, person),
            is_blind=False,
            curl=curl_of(
                self._desk.origin(asked.request.headers["host"]),
                frozenset(a for grant in grants for a in grant.actions),
            ),
            back=PATH,
        )

    async def revoke(self, asked: Asked) -> Response:
        require_person(asked.caller)
        id_ = (await fields_of(asked.request)).get("id", "")[:64]
        mine = await self._desk.threads.run(self._desk.own_tokens.mine, asked.caller)
        if all(token.id != id_ for token in mine):
            raise NotHere("There is no such token.")
        token = await self._desk.threads.run(self._desk.own_tokens.revoke, asked.caller, id_)
        said = f"{token.label} does not count any more."
        return JSONResponse({"done": said}) if wants_json(asked.request) else await self._page(asked, done=said)

    async def _again(self, asked: Asked, error: LeadglassError, fields: dict[str, str]) -> Response:
        text, status = told(asked.request, error, denied="That is not your password.")
        return await self._page(asked, status=status, error=text, fields=fields)

    async def _page(
        self,
        asked: Asked,
        *,
        status: int = HTTPStatus.OK,
        error: str = "",
        done: str = "",
        fields: dict[str, str] | None = None,
    ) -> Response:
        require_person(asked.caller)
        person, mine = await self._desk.threads.run(self._known, asked.caller)
        now = self._desk.own_tokens.now
        if wants_json(asked.request):
            return JSONResponse([own_token_as_json(token, now) for token in mine])
        return page(
            asked.request,
            "managing/own_tokens.html",
            caller=asked.caller,
            status=status,
            error=error,
            done=done,
            fields=fields or {},
            person=person,
            mine=[
                (token, _said(token, person), marks(token.made, token.until, token.used, now), _what(token, person))
                for token in mine
            ],
            purposes=purposes(person),
            lives=lives(self._desk.own_tokens.longest),
            help=words.SCOPE_HELP,
        )

    def _known(self, caller: Caller) -> tuple[Person, list[OwnToken]]:
        self._desk.own_tokens.tidy()  # so that the last use is that of now
        return self._people.accounts.people.get(caller.name), self._desk.own_tokens.mine(caller)


def _what(token: OwnToken, person: Person) -> str:
    """Say what a token does now, of what it was made for."""
    if not rights_within(token.role, token.scope, person):
        return "Nothing: your account may not do any more what it was made for"
    known = {role: said for _, said, role in (*_PURPOSES, (_EVERYTHING, "", person.role)) if said}
    return known.get(token.role, "Everything that your account may do with studies")


def _said(token: OwnToken, person: Person) -> str:
    if token.scope == Scope.everything():
        return f"as your account: {words.said_scope(person.role, person.scope)}"
    return f"{spoken(token.scope)}, as far as your account sees them"


def _role_of(person: Person, word: str) -> Role:
    for offered, _, role in purposes(person):
        if offered == word:
            return role
    raise BadInput("Choose what the token is for.")
