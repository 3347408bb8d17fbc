"""A download that is running ends with what it was begun by: a session, an account, a link."""

import time
from collections.abc import Callable

import pytest

from leadglass.app import App
from leadglass.doors.web.evidence import SESSION_COOKIE, SHARE_COOKIE
from tests.doors.pages.browser import Browser
from tests.doors.pages.sharing.sharehouse import issuer, made, opened, stored, study
from tests.peers.slow_line import begun
from tests.peers.web import Web

LARGE = 7190
SIZE = 2 * 4096 * 4096
"""Octets: far more than what lies in the buffers between."""

PATH = f"/dicom-web/studies/{study(LARGE)}"


@pytest.fixture(scope="module", autouse=True)
def large(web: Web) -> None:
    stored(web, LARGE, instances=2, side=4096)


def cookie_of(browser: Browser, name: str) -> str:
    return f"{name}={browser.client.cookies[name]}"


def by_a_session(web: Web, name: str) -> tuple[str, Callable[[], object]]:
    with issuer(web, name) as person:
        cookie = cookie_of(person, SESSION_COOKIE)

    def end() -> None:
        with App().open(web.leadglass.data) as there:
            sessions = there.open_people().sessions
            sessions.end(there.caller, sessions.list(name)[0].id)

    return cookie, end


def by_an_account(web: Web, name: str) -> tuple[str, Callable[[], object]]:
    with issuer(web, name) as person:
        cookie = cookie_of(person, SESSION_COOKIE)

    def lock() -> None:
        with App().open(web.leadglass.data) as there:
            there.open_people().people.lock(there.caller, name)

    return cookie, lock


def by_a_link(web: Web, name: str) -> tuple[str, Callable[[], object]]:
    person = issuer(web, name)
    link = made(person, LARGE, what="download")
    with opened(web, link) as visitor:
        cookie = cookie_of(visitor, SHARE_COOKIE)

    def revoke() -> None:
        with person:
            person.get(f"/shares/{link.id}")
            person.send(f"/shares/{link.id}/revoke")

    return cookie, revoke


@pytest.mark.parametrize("way", [by_a_session, by_an_account, by_a_link])
def test_what_is_ended_ends_a_download_that_is_running(
    web: Web, way: Callable[[Web, str], tuple[str, Callable[[], object]]]
) -> None:
    cookie, end = way(web, f"download.{way.__name__.replace('_', '.')}")
    with begun(web, PATH, cookie) as download:
        end()
        time.sleep(1.0)  # longer than an answer goes on before it is asked again who may have it
        assert not download.rest(), "nobody takes it for whole"
    assert download.taken < SIZE


def test_a_download_that_nobody_ends_comes_to_its_end(web: Web) -> None:
    cookie, _ = by_a_session(web, "download.of.all")
    with begun(web, PATH, cookie) as download:
        time.sleep(1.0)
        assert download.rest()
    assert download.taken > SIZE
