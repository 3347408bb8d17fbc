"""The page of programs: tokens made, listed and revoked in a browser."""

import html
import re

import pytest

from leadglass.app import App
from leadglass.identity.token_text import PATTERN
from tests.doors.pages.browser import Browser, add_person
from tests.peers.web import Web


def _shown(browser: Browser) -> str:
    found = re.search(rf'value="({PATTERN})"', browser.page)
    assert found, browser.page
    return found[1]


def test_a_token_is_made_shown_once_used_and_revoked(web: Web) -> None:
    add_person(web, "chief.of.tokens", "admin")
    with Browser(web) as browser:
        browser.sign_in("chief.of.tokens")
        browser.get("/tokens")
        browser.send("/tokens", name="viewer-of-page", role="service", scope="label=neurology", life="8h")
        assert browser.status == 200, browser.alert
        secret = _shown(browser)
        assert f"{web.url}/dicom-web/studies?limit=1" in html.unescape(browser.page)
        with web.client(secret) as program:
            assert program.get("/dicom-web/studies?limit=1").status_code in {200, 204}
            browser.get("/tokens")
            assert secret not in browser.page
            assert "viewer-of-page" in browser.page
            assert "label neurology" in browser.page
            browser.post("/tokens/revoke", {"csrf": browser.csrf, "name": "viewer-of-page"})
            assert "does not count any more" in browser.page
            assert program.get("/dicom-web/studies?limit=1").status_code == 401


def test_what_is_wrong_is_said_beside_what_was_typed(web: Web) -> None:
    add_person(web, "chief.of.token.slips", "admin")
    with Browser(web) as browser:
        browser.sign_in("chief.of.token.slips")
        browser.get("/tokens")
        for fields, status in (
            ({"name": "a/b", "role": "service", "life": "8h"}, 400),
            ({"name": "x", "role": "service", "life": "forever"}, 400),
            ({"name": "x", "role": "service", "life": "9999d"}, 400),
            ({"name": "x", "role": "service", "scope": "nonsense", "life": "8h"}, 400),
            ({"name": "x", "role": "wizard", "life": "8h"}, 400),
            ({"name": "", "role": "service", "life": "8h"}, 400),
        ):
            browser.post("/tokens", {"csrf": browser.csrf, **fields})
            assert browser.status == status, fields
            assert browser.alert
        browser.post("/tokens/revoke", {"csrf": browser.csrf, "name": "<b>nobody</b>"})
        assert browser.status == 404
        assert "<b>nobody" not in browser.page


@pytest.mark.parametrize("role", ["radiologist", "auditor"])
def test_who_does_not_manage_makes_lists_and_revokes_nothing(web: Web, role: str) -> None:
    name = add_person(web, f"tokenless-{role}", role)
    with App().open(web.leadglass.data) as opened:
        before = len(opened.open_tokens().list())
    with Browser(web) as browser:
        browser.sign_in(name)
        csrf = {"csrf": browser.csrf}
        assert browser.get("/tokens").status_code == 403
        browser.post("/tokens", {**csrf, "name": "mine", "role": "admin", "life": "8h"})
        assert browser.status == 403
        browser.post("/tokens", {**csrf, "name": "mine", "role": "wizard", "life": "never"})
        assert browser.status == 403, "what is wrong with it is told to who may"
        for body in ({"name": "service"}, {"own": "1234"}):
            browser.post("/tokens/revoke", {**csrf, **body})
            assert browser.status == 403
    with App().open(web.leadglass.data) as opened:
        assert len(opened.open_tokens().list()) == before


def test_hostile_names_are_shown_harmlessly(web: Web) -> None:
    add_person(web, "chief.of.hostile", "admin")
    with Browser(web) as browser:
        browser.sign_in("chief.of.hostile")
        browser.get("/tokens")
        name = "<script>alert('x')<\\script>\"'&"
        browser.send("/tokens", name=name, role="researcher", scope="", life="1h")
        assert "<script>alert" not in browser.page
        browser.get("/tokens")
        assert "<script>alert" not in browser.page
        assert name in html.unescape(browser.page)
