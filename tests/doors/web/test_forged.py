"""Nothing is changed by what another page has a browser send: every route that changes something, walked.

The list is the application's own, as in ``test_anonymous``: a form that forgets its token cannot be forgotten here.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from leadglass.app import App
from leadglass.doors.web.routes import Access, Route
from tests.doors.pages.browser import Browser, add_person
from tests.doors.pages.sharing.sharehouse import Link, opened, stored
from tests.doors.web.walkhouse import filled, parts_of, routes_of
from tests.peers.web import Web, serving

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PEOPLE: Final = ("radiologist", "technologist", "admin", "auditor")
"""Roles that have, together, every action of a person."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A running door, its changing routes, and browsers of people who may do something there."""

    web: Web
    routes: tuple[Route, ...]
    browsers: dict[str, Browser]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Walk]:
    with serving(tmp_path_factory.mktemp("forged")) as web:
        with parts_of(web) as parts:
            routes = tuple(each for each in routes_of(parts) if set(each.methods) - SAFE)
        browsers = {role: Browser(web) for role in PEOPLE}
        for role, browser in browsers.items():
            browser.sign_in(add_person(web, f"forged.{role}", role))
            browser.get("/account")
        stored(web, 7301)
        browsers["link"] = _sender(web)
        yield Walk(web, routes, browsers)
        for browser in browsers.values():
            browser.client.close()


def _sender(web: Web) -> Browser:
    """Give a browser in which a link was opened by which studies are sent in."""
    with App().open(web.leadglass.data) as archive:
        people = archive.open_people().people
        caller = people.caller_of(people.get("forged.technologist"), "local", "made by a test")
        made = archive.open_shares().receive(caller, note="another practice")
    browser = opened(web, Link(made.share.id, made.secret, made.code))
    assert browser.status == 200, browser.page
    return browser


def _bodies(csrf: str) -> dict[str, tuple[str, bytes]]:
    """Give every body that a form of another site can send, with a token or without."""
    fields = {"csrf": csrf, "way": "to", "name": "x", "decision": "discard", "numbers": "1"}
    parts = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    filed = f'{parts}--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nDICM\r\n--b--\r\n'
    return {
        "a form": ("application/x-www-form-urlencoded", str(httpx.QueryParams(fields)).encode()),
        "a form with files": ("multipart/form-data; boundary=b", filed.encode()),
        "text": ("text/plain", b'{"csrf":"' + csrf.encode() + b'","x":"="}'),
        "nothing": ("", b""),
    }


def _changes(web: Web) -> list[str]:
    """Give what is on record beyond what was refused and what readers look at."""
    with App().open(web.leadglass.data) as archive:
        return [f"{r.event.action} {r.event.reason}" for r in archive.audit.records() if r.event.action != "identify"]


def _send(browser: Browser, method: str, path: str, body: tuple[str, bytes], **fields: str) -> httpx.Response:
    media, content = body
    return browser.client.request(method, path, content=content, headers={"Content-Type": media, **fields})


WITHOUT: Final[dict[str, dict[str, str]]] = {
    "no word of where from": {},
    "our own page": {"Sec-Fetch-Site": "same-origin"},
    "a token made up": {
        "Sec-Fetch-Site": "same-origin",
        "X-Leadglass-Csrf": "A" * 43,
    },
}
"""From where, without the token."""

ELSEWHERE: Final[dict[str, dict[str, str]]] = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "a site next door": {"Sec-Fetch-Site": "same-site"},
    "another origin": {"Origin": "https://evil.example"},
    "no origin that has a name": {"Origin": "null"},
}
"""From where, with the token: it may have leaked."""


def test_nothing_changes_without_the_sessions_token_or_for_another_site(walk: Walk) -> None:
    before = _changes(walk.web)
    asked = 0
    for turn, browser in enumerate(walk.browsers.values()):
        csrf = browser.csrf
        tries = [(fields, _bodies("")) for fields in WITHOUT.values()]
        tries += [(fields | {"X-Leadglass-Csrf": csrf}, _bodies(csrf)) for fields in ELSEWHERE.values()]
        for at, route in enumerate(walk.routes):
            if route.access is Access.ANONYMOUS:
                continue
            for method in set(route.methods) - SAFE:
                for number, (fields, bodies) in enumerate(tries):
                    # Every way from everywhere; of the bodies each in its turn.
                    body = list(bodies.values())[(at + number + turn) % len(bodies)]
                    answer = _send(browser, method, filled(route.path), body, **fields)
                    said = f"{method} {route.path} {fields} {body[0]}: {answer.status_code} {answer.text[:300]}"
                    assert answer.status_code == 403, said
                    assert "form is out of date" in answer.text or "Load the page again" in answer.text, said
                    asked += 1
    assert asked > 100
    assert _changes(walk.web) == before


def test_what_anybody_may_send_is_not_taken_from_another_site_either(walk: Walk) -> None:
    """Signing somebody in under another name, or opening a link for them, is what a page next door would like."""
    ours = [each for each in walk.routes if each.access is Access.ANONYMOUS and each.path != "/viewer/reports"]
    assert len(ours) >= 4
    with walk.web.client() as client:
        before = _changes(walk.web)
        for route in ours:
            for method in set(route.methods) - SAFE:
                for fields in ELSEWHERE.values():
                    for media, content in _bodies("").values():
                        headers = {"Content-Type": media, **fields}
                        answer = client.request(method, filled(route.path), content=content, headers=headers)
                        assert answer.status_code == 403, f"{method} {route.path} {fields} {media} {answer.status_code}"
                        assert "set-cookie" not in answer.headers, route.path
        assert _changes(walk.web) == before


def test_the_walk_is_over_all_that_changes_something(walk: Walk) -> None:
    paths = {route.path for route in walk.routes}
    assert {"/upload/files", "/quarantine/resolve", "/shares/new", "/people", "/dicom-web/studies"} <= paths
    assert len(paths) > 40
