"""One's own tokens in a browser: made by who knows the password, listed to administrators, closed with the account."""

import re

import pytest

from leadglass.app import App
from leadglass.identity.token_text import PATTERN
from tests.doors.pages.browser import GOOD, Browser, add_person
from tests.peers.web import Web


def _made(browser: Browser, label: str = "nightly", purpose: str = "read", **more: str) -> str:
    browser.get("/account/tokens")
    browser.send("/account/tokens", label=label, purpose=purpose, life="7d", password=GOOD, **more)
    found = re.search(rf'value="({PATTERN})"', browser.page)
    assert found, browser.alert
    return found[1]


def test_a_person_makes_one_uses_it_and_revokes_it(web: Web) -> None:
    add_person(web, "scripter.one")
    with Browser(web) as browser:
        browser.sign_in("scripter.one")
        secret = _made(browser)
        with web.client(secret) as script:
            assert script.get("/dicom-web/studies?limit=1").status_code in {200, 204}
            assert script.post("/people", json={"name": "x", "role": "admin"}).status_code == 403
            browser.get("/account/tokens")
            assert secret not in browser.page
            assert "nightly" in browser.page
            browser.send("/account/tokens/revoke")
            assert "does not count any more" in browser.page
            assert script.get("/dicom-web/studies?limit=1").status_code == 401


def test_it_needs_the_password_again_and_says_nothing_else_before(web: Web) -> None:
    add_person(web, "scripter.two")
    with Browser(web) as browser:
        browser.sign_in("scripter.two")
        browser.get("/account/tokens")
        browser.send("/account/tokens", label="a/b", purpose="read", life="7d", password="wrong")
        assert (browser.status, browser.alert) == (403, "That is not your password.")
        browser.send("/account/tokens", label="a/b", purpose="read", life="7d", password=GOOD)
        assert browser.status == 400
        browser.post(
            "/account/tokens",
            {"csrf": browser.csrf, "label": "x", "purpose": "audit", "life": "7d", "password": GOOD},
        )
        assert browser.status == 400, "a radiologist's token is not offered the audit log"


def test_a_locked_account_closes_its_tokens_and_administrators_see_them(web: Web) -> None:
    add_person(web, "scripter.three")
    add_person(web, "chief.of.scripts", "admin")
    with Browser(web) as browser, Browser(web) as chief:
        browser.sign_in("scripter.three")
        secret = _made(browser, "watcher")
        chief.sign_in("chief.of.scripts")
        chief.get("/tokens")
        assert "watcher" in chief.page
        with web.client(secret) as script:
            assert script.get("/dicom-web/studies?limit=1").status_code in {200, 204}
            chief.get("/people/account/scripter.three")
            chief.send("/people/account/scripter.three/lock")
            assert script.get("/dicom-web/studies?limit=1").status_code == 401
            assert "Stopped" in chief.get("/tokens").text
            chief.get("/people/account/scripter.three")
            chief.send("/people/account/scripter.three/unlock")
            assert script.get("/dicom-web/studies?limit=1").status_code in {200, 204}
            found = re.search(r'name="own" value="([0-9a-f]+)"', chief.get("/tokens").text)
            assert found
            chief.post("/tokens/revoke", {"csrf": chief.csrf, "own": found[1]})
            assert script.get("/dicom-web/studies?limit=1").status_code == 401


def test_nobody_revokes_another_persons_token_by_its_id(web: Web) -> None:
    add_person(web, "scripter.four")
    add_person(web, "scripter.five")
    with Browser(web) as mine, Browser(web) as other:
        mine.sign_in("scripter.four")
        secret = _made(mine)
        with App().open(web.leadglass.data) as opened:
            id_ = opened.open_own_tokens().named("scripter.four/nightly").id
        other.sign_in("scripter.five")
        other.get("/account/tokens")
        other.post("/account/tokens/revoke", {"csrf": other.csrf, "id": id_})
        assert other.status == 404
        with web.client(secret) as script:
            assert script.get("/dicom-web/studies?limit=1").status_code in {200, 204}


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("radiologist", {"read", "store", "masked", "all"}),
        ("referrer", {"read", "masked"}),
        ("researcher", {"read"}),
        ("auditor", {"audit"}),
        ("admin", set[str]()),
    ],
)
def test_what_is_offered_is_what_the_account_may(web: Web, role: str, offered: set[str]) -> None:
    name = add_person(web, f"scripting-{role}", role, *(("patient=1",) if role == "referrer" else ()))
    with Browser(web) as browser:
        browser.sign_in(name)
        browser.get("/account/tokens")
        assert set(re.findall(r'name="purpose" value="([a-z]+)"', browser.page)) == offered


def test_a_token_has_no_tokens_of_its_own(web: Web) -> None:
    add_person(web, "scripter.six")
    with Browser(web) as browser:
        browser.sign_in("scripter.six")
        secret = _made(browser)
    with web.client(secret) as script:
        body = {"label": "child", "purpose": "read", "life": "1h", "password": GOOD}
        assert script.post("/account/tokens", json=body).status_code == 403
        assert script.get("/account/tokens").status_code == 403


def test_the_command_line_lists_and_revokes_them_too(web: Web) -> None:
    add_person(web, "scripter.seven")
    with Browser(web) as browser:
        browser.sign_in("scripter.seven")
        secret = _made(browser)
    assert "scripter.seven/nightly" in web.leadglass.do("token", "list", "--json")
    web.leadglass.do("policy", "explain", "--caller", "token:scripter.seven/nightly", "--action", "find")
    web.leadglass.do("token", "revoke", "scripter.seven/nightly")
    with web.client(secret) as script:
        assert script.get("/dicom-web/studies?limit=1").status_code == 401
