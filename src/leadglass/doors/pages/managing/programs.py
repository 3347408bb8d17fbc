"""Programs: the tokens by which programs prove themselves, made and revoked in a browser.

Rule 1. A token is shown once, on the answer that made it. Rule 2. The list never
holds what proves one; those that nobody used for long, or that end soon, are marked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.listed import own_token_as_json, token_as_json
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.managing import words
from leadglass.doors.pages.page import page
from leadglass.doors.web.forms import fields_of, needed, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict, LeadglassError, NotHere
from leadglass.identity.own_tokens import OwnToken
from leadglass.identity.tokens import Created, Token
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role, grants_of, parse_role

PATH: Final = "/tokens"

UNUSED: Final = timedelta(days=90)
"""How long nobody may use a token before it is marked."""

ENDS_SOON: Final = timedelta(days=7)
"""How long before its end a token is marked."""

LIVES: Final = (
    ("1h", "an hour", timedelta(hours=1)),
    ("8h", "8 hours", timedelta(hours=8)),
    ("1d", "a day", timedelta(days=1)),
    ("7d", "a week", timedelta(days=7)),
    ("30d", "30 days", timedelta(days=30)),
    ("90d", "90 days", timedelta(days=90)),
    ("365d", "a year", timedelta(days=365)),
)
"""How long tokens are offered to count, as far as the archive lets them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be seen of a token at a glance: a word, and how bad it is."""

    text: str
    kind: str


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Programs(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="List the tokens of programs, and those of people."),
        Route(PATH, ("POST",), pages.create, summary="Make a token for a program; it is shown once."),
        Route(f"{PATH}/revoke", ("POST",), pages.revoke, summary="End a token."),
    ]


def marks(made: datetime, until: datetime, used: datetime | None, now: datetime) -> list[Mark]:
    """Say what is to be looked at of a token that counts."""
    found: list[Mark] = []
    if now - (used or made) >= UNUSED:
        found.append(Mark("Not used for 90 days", "warn"))
    elif used is None:
        found.append(Mark("Not used yet", ""))
    if until - now <= ENDS_SOON and until - made > ENDS_SOON:
        found.append(Mark("Ends soon", "warn"))
    return found


def lives(longest: timedelta) -> list[tuple[str, str]]:
    """Give how long a token may be asked to count, as choices."""
    return [(word, said) for word, said, life in LIVES if life <= longest]


def life_of(text: str) -> timedelta:
    """Read how long a token is to count: one of ``LIVES``, or so many m, h or d.

    Raises
    ------
    BadInput
    """
    number, unit = text.strip()[:-1], text.strip()[-1:]
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    if not (number.isascii() and number.isdigit() and len(number) < 6 and unit in units):
        raise BadInput("Say how long the token is to count, as in 8h or 30d.")
    return int(number) * units[unit]


def curl_of(address: str, actions: frozenset[Action]) -> str:
    """Give a line that shows that a token works, with something it may do."""
    if Action.FIND in actions:
        path = "/dicom-web/studies?limit=1"
    elif Action.AUDIT in actions:
        path = "/audit"
    else:
        path = "/people"
    return (
        f'curl --cacert ca.pem -H "Authorization: Bearer $LEADGLASS_TOKEN" -H "Accept: application/json" '
        f'"{address}{path}"'
    )


class _Programs:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        return await self._page(asked)

    async def create(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        await self._desk.threads.run(self._listed, asked.caller)  # who may not manage is not told what was mistyped
        try:
            name, role = needed(fields, "name").strip(), parse_role(needed(fields, "role"))
            scope = words.scope_of(fields.get("scope", ""))
            life = life_of(needed(fields, "life"))
            created = await self._desk.threads.run(self._desk.tokens.create, asked.caller, name, role, scope, life)
        except (BadInput, Conflict) as error:
            if wants_json(asked.request):
                raise
            return await self._page(asked, error=error, fields=fields)
        return self._created(asked, created)

    def _created(self, asked: Asked, created: Created) -> Response:
        token = created.token
        if wants_json(asked.request):
            return JSONResponse(
                {**token_as_json(token, self._desk.tokens.now), "token": created.secret}, HTTPStatus.CREATED
            )
        actions = frozenset(a for grant in grants_of(token.role, token.scope) for a in grant.actions)
        return page(
            asked.request,
            "managing/token.html",
            caller=asked.caller,
            name=token.name,
            secret=created.secret,
            until=token.until,
            says=dict(_roles_for_programs())[token.role],
            scope=words.said_scope(token.role, token.scope),
            is_blind=words.is_blind(token.role, token.scope),
            curl=curl_of(self._desk.origin(asked.request.headers["host"]), actions),
            back=PATH,
        )

    async def revoke(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        await self._desk.threads.run(self._listed, asked.caller)
        try:
            if own := fields.get("own", "")[:64]:
                name = (await self._desk.threads.run(self._desk.own_tokens.revoke, asked.caller, own)).name
            else:
                name = needed(fields, "name")
                await self._desk.threads.run(self._desk.tokens.revoke, asked.caller, name)
        except (BadInput, NotHere) as error:
            if wants_json(asked.request):
                raise
            return await self._page(asked, error=error)
        said = f"{name} does not count any more."
        return JSONResponse({"done": said}) if wants_json(asked.request) else await self._page(asked, done=said)

    def _listed(self, caller: Caller) -> tuple[list[Token], list[OwnToken]]:
        own = self._desk.own_tokens.everybodys(caller)  # decides
        self._desk.tokens.tidy()  # so that the last use is that of now
        return self._desk.tokens.list(), own

    async def _page(
        self,
        asked: Asked,
        *,
        done: str = "",
        error: LeadglassError | None = None,
        fields: dict[str, str] | None = None,
    ) -> Response:
        programs, own = await self._desk.threads.run(self._listed, asked.caller)
        now = self._desk.tokens.now
        if wants_json(asked.request):
            return JSONResponse(
                {
                    "programs": [token_as_json(token, now) for token in programs],
                    "people": [own_token_as_json(token, now) for token in own],
                }
            )
        return page(
            asked.request,
            "managing/tokens.html",
            caller=asked.caller,
            status=HTTPStatus.OK if error is None else problem_of(error).status,
            error="" if error is None else error.message,
            done=done,
            fields=fields or {},
            programs=[
                (token, words.said_scope(token.role, token.scope), marks(token.made, token.until, token.used, now))
                for token in programs
                if token.counts(now)
            ],
            ended=[token for token in programs if not token.counts(now)][:100],
            own=[
                (token, marks(token.made, token.until, token.used, now), self._desk.own_tokens.rights(token) == ())
                for token in own
                if token.counts(now)
            ],
            roles=_roles_for_programs(),
            lives=lives(self._desk.tokens.longest),
            help=words.SCOPE_HELP,
        )


def _roles_for_programs() -> list[tuple[Role, str]]:
    first = [(Role.SERVICE, "Finds, reads and stores studies: what most programs need.")]
    return first + [(role, said) for role, said in words.SENTENCES.items() if role is not Role.SERVICE]
