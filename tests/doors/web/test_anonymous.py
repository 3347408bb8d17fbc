"""Nobody is served who is not identified: every route of the real door, walked, not listed by hand.

A route that is forgotten here cannot be: the list is the application's own.
"""

import base64
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from leadglass import config
from leadglass.app import App
from leadglass.doors.web.routes import Access, Asked, Route
from leadglass.errors import Misconfigured
from leadglass.folder import Folder
from leadglass.identity.os_user import command_line_caller
from leadglass.identity.tokens import TOKENS_FILE, Tokens
from leadglass.keydesk import expected_lock
from leadglass.parts import opened
from leadglass.policy.roles import Role
from tests.doors.web import webhouse
from tests.doors.web.walkhouse import filled, routes_of
from tests.peers.web import Web, serving

FOR_ANYBODY = {
    "/healthz": "watchers have no account; it says ok",
    "/sign-in": "whoever signs in is nobody yet",
    "/sign-in/second": "whoever signs in is nobody yet",
    "/set-up": "who opens a one-time link has no account to show yet",
    "/sign-in/link": "who opens a one-time link has no account to show yet",
    "/s/{share}": "who opens a share link has no account; the link is what they show",
    "/static/": "the page to sign in needs these files; they are the same for everybody",
    "/viewer/reports": "a browser's report of its own; it leads to a count and a line of our own words",
}
"""The whole list. A route that is added to it is a hole that somebody has thought about."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A running door, its routes, and tokens that prove nobody any more."""

    web: Web
    routes: tuple[Route, ...]
    good: str
    revoked: str
    expired: str


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Walk]:
    with serving(tmp_path_factory.mktemp("walk")) as web:
        good = web.token("service", name="good")
        revoked = web.token("service", name="revoked")
        web.leadglass.do("token", "revoke", "revoked")
        folder, said = Folder(web.leadglass.data), config.load(web.leadglass.data)
        key = App()._keyring(folder).unlock(expected_lock(said))  # pyright: ignore[reportPrivateUsage]
        with opened(folder, said, key) as parts:
            routes = routes_of(parts)
            path, past = folder.path / TOKENS_FILE, datetime.now(UTC) - timedelta(hours=2)
            with Tokens(path, key.derive("tokens database"), parts.audit, clock=lambda: past) as tokens:
                caller = command_line_caller()
                expired = tokens.create(caller, "expired", Role.SERVICE, None, timedelta(hours=1)).secret
        yield Walk(web, routes, good, revoked, expired)


def _disguises(walk: Walk) -> dict[str, dict[str, str]]:
    """Give every way to be nobody."""
    other = "a" if walk.good[-1] != "a" else "b"
    basic = base64.b64encode(f"good:{walk.good}".encode()).decode()
    return {
        "nothing": {},
        "no token": {"Authorization": "Bearer"},
        "a bad token": {"Authorization": "Bearer lg_nonsense"},
        "a token with one letter changed": {"Authorization": f"Bearer {walk.good[:-1]}{other}"},
        "a token in another alphabet": {"Authorization": "Bearer \u00e4\u00f6".encode().decode("latin-1")},
        "a revoked token": {"Authorization": f"Bearer {walk.revoked}"},
        "an expired token": {"Authorization": f"Bearer {walk.expired}"},
        "a good token by Basic": {"Authorization": f"Basic {basic}"},
        "a good token by a scheme of its own": {"Authorization": f"Token {walk.good}"},
        "a good token without a scheme": {"Authorization": walk.good},
        "a good token in a cookie": {"Cookie": f"__Host-leadglass={walk.good}; token={walk.good}"},
        "a good token in fields of its own": {"X-Api-Key": walk.good, "X-Auth-Token": walk.good},
        "somebody else's word": {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "Remote-User": "admin"},
        "a local address by its own word": {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    }  # fmt: skip


def _ask(client: httpx.Client, method: str, path: str, fields: dict[str, str]) -> httpx.Response:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    return client.request(method, path, headers=raw)


def _anonymous(routes: tuple[Route, ...]) -> set[str]:
    """Give the paths for anybody; the files for pages are one."""
    paths = {route.path for route in routes if route.access is Access.ANONYMOUS}
    return {"/static/" if path.startswith("/static/") and "{" not in path else path for path in paths}


def test_the_list_of_routes_for_anybody_is_the_one_that_is_written_down(walk: Walk) -> None:
    anonymous = _anonymous(walk.routes)
    assert anonymous == set(FOR_ANYBODY)
    assert len(walk.routes) > len(anonymous)


def test_every_route_and_method_refuses_who_is_not_identified(walk: Walk) -> None:
    told: set[bytes] = set()
    asked = 0
    with walk.web.client() as client:
        for number, (name, fields) in enumerate(_disguises(walk).items()):
            for route in walk.routes:
                if route.access is Access.ANONYMOUS:
                    continue
                # Each disguise at every route; every method with the first, and with a few of them in turn.
                for at, method in enumerate(route.methods):
                    if number and at != number % len(route.methods):
                        continue
                    answer = _ask(client, method, filled(route.path), fields)
                    assert answer.status_code == 401, f"{method} {route.path} served {name}: {answer.status_code}"
                    assert answer.headers["www-authenticate"] == 'Bearer realm="leadglass"'
                    asked += 1
                    if method != "HEAD":
                        told.add(answer.content)
    assert asked > len(_disguises(walk)) * 20
    assert len(told) == 1, "all of them hear the same"


NOT_THERE = """
    / /nothing /dicom-web /dicom-web/nothing /metrics /openapi.json /.env /docs /redoc /admin /healthz/ /healthz/x
    /HEALTHZ /static /static/ /static/x /favicon.ico /robots.txt
""".split()  # noqa: SIM905 - a list of words


@pytest.mark.parametrize("path", NOT_THERE)
def test_what_is_not_there_is_refused_alike(path: str, walk: Walk) -> None:
    with walk.web.client() as client:
        there, not_there = client.get("/dicom-web/studies"), client.get(path)
        assert not_there.status_code == 401
        assert not_there.content == there.content


def test_a_token_in_the_url_is_none(walk: Walk) -> None:
    with walk.web.client() as client:
        for name in ("access_token", "token", "api_key"):
            assert client.get("/dicom-web/studies", params={name: walk.good}).status_code == 401


def test_the_token_itself_is_good(walk: Walk) -> None:
    with walk.web.client(walk.good) as client:
        assert client.get("/nothing").status_code == 404
        assert client.get("/dicom-web/studies").status_code in (200, 204)


def test_a_token_that_is_revoked_while_it_is_used_ends_at_once(walk: Walk) -> None:
    token = walk.web.token("service", name="short")
    with walk.web.client(token) as client:
        assert client.get("/nothing").status_code == 404
        walk.web.leadglass.do("token", "revoke", "short")
        assert client.get("/nothing").status_code == 401, "in the same connection too"


def test_no_secret_and_no_path_is_in_the_log(walk: Walk) -> None:
    with walk.web.client(walk.good) as client:
        client.get("/dicom-web/studies/1.2.3.4.5.678", params={"PatientName": "DOE^JANE"})
    log = walk.web.leadglass.log.read_text()
    for secret in (walk.good, walk.revoked, walk.expired, "1.2.3.4.5.678", "DOE", "PatientName"):
        assert secret not in log
    assert "Traceback" not in log


def test_refusals_are_on_record_and_name_nobody(walk: Walk) -> None:
    for token in (walk.revoked, walk.expired):
        with walk.web.client(token) as client:
            assert client.get("/dicom-web/studies").status_code == 401
    records = [each for each in walk.web.leadglass.audit() if each["action"] == "identify"]
    reasons = " ".join(str(each["reason"]) for each in records)
    assert "revoked" in reasons
    assert "ended on" in reasons
    assert walk.revoked not in str(records)
    assert all(each["door"] == "web" and each["outcome"] == "refused" for each in records)


# --- what would be a hole --------------------------------------------------------------------


async def _leak(request: Request) -> Response:
    return PlainTextResponse("everything")


def test_a_planted_route_without_access_is_refused_too(tmp_path: Path) -> None:
    planted = Route("/planted", ("GET",), cast("Any", _leak))
    with webhouse.opened(tmp_path, [planted]) as house, house.client(None) as client:
        answer = client.get("/planted")
        assert answer.status_code == 401
        assert "everything" not in answer.text


def test_a_planted_route_for_anybody_is_found_by_the_walk(walk: Walk) -> None:
    planted = Route("/planted", ("GET",), _leak, Access.ANONYMOUS, why="because somebody said so")
    assert _anonymous((*walk.routes, planted)) == {*FOR_ANYBODY, "/planted"}


async def _never(asked: Asked) -> Response:
    raise AssertionError(asked)


def test_a_route_for_anybody_has_to_say_why() -> None:
    with pytest.raises(Misconfigured, match="does not say why"):
        Route("/x", ("GET",), _leak, Access.ANONYMOUS)
    with pytest.raises(Misconfigured, match="is not for anybody"):
        Route("/x", ("GET",), _never, why="it says why and is not")
    for methods in ((), ("TRACE",), ("CONNECT",), ("get",)):
        with pytest.raises(Misconfigured):
            Route("/x", methods, _never)


def test_two_routes_for_one_question_are_refused(tmp_path: Path) -> None:
    twice = [Route("/x", ("GET",), _never), Route("/x", ("POST", "GET"), _never)]
    with pytest.raises(Misconfigured, match="Two routes"), webhouse.opened(tmp_path, twice):
        pass
