import html
import re
import time

import pytest
from pyotp.totp import TOTP

from tests.doors.pages.browser import BETTER, GOOD, Browser, add_person
from tests.peers.web import Web


def test_a_password_is_changed_and_ends_the_other_sessions(web: Web) -> None:
    add_person(web, "jane.of.accounts")
    with Browser(web) as here, Browser(web) as there:
        here.sign_in("jane.of.accounts")
        there.sign_in("jane.of.accounts")
        here.get("/account")
        here.send("/account/password", current="wrong", new=BETTER, again=BETTER)
        assert (here.status, here.alert) == (403, "That is not your password.")
        here.send("/account/password", current=GOOD, new=BETTER, again=GOOD)
        assert (here.status, here.alert) == (400, "The two new passwords are not the same.")
        here.send("/account/password", current=GOOD, new="leadglass-2026", again="leadglass-2026")
        assert here.status == 400
        here.send("/account/password", current=GOOD, new=BETTER, again=BETTER)
        assert here.status == 200
        assert "is changed" in here.page
        assert here.is_in
        assert not there.is_in
        there.sign_in("jane.of.accounts", GOOD)
        assert not there.is_in
        there.sign_in("jane.of.accounts", BETTER)
        assert there.is_in


def test_an_authenticator_app_is_added_asked_for_and_taken_away(web: Web) -> None:
    add_person(web, "john.of.accounts")
    with Browser(web) as browser:
        browser.sign_in("john.of.accounts")
        browser.get("/account")
        browser.send("/account/app", password="wrong")
        assert browser.alert == "That is not your password."
        browser.send("/account/app", password=GOOD)
        found = re.search(r'class="key">([^<]+)<', browser.page)
        assert found
        app = TOTP(found[1].replace(" ", ""))
        assert f"secret={app.secret}" in html.unescape(browser.page)
        browser.send("/account/app/confirm", code="000000")
        assert browser.status == 400
        assert found[1] in browser.page, "the same secret is shown again"
        browser.send("/account/app/confirm", code=app.now())
        codes = re.findall(r"<li><code>([^<]+)</code>", browser.page)
        assert len(codes) == 10
        browser.send("/sign-out")

        browser.sign_in("john.of.accounts")
        assert not browser.is_in, "the password alone opens nothing"
        browser.send("/sign-in/second", code="nonsense")
        assert (browser.status, browser.alert) == (403, "That code is not right, or was used already.")
        browser.send("/sign-in/second", code=codes[0])
        assert browser.is_in
        browser.get("/account")
        assert "9 of your recovery codes are left" in browser.page
        browser.post("/account/codes", {"csrf": browser.csrf, "password": GOOD})
        assert len(re.findall(r"<li><code>", browser.page)) == 10
        browser.get("/account")
        browser.post("/account/app/remove", {"csrf": browser.csrf, "password": GOOD})
        assert "taken away" in browser.page
        browser.send("/sign-out")
        browser.sign_in("john.of.accounts")
        assert browser.is_in


def test_a_program_does_the_second_step_too(web: Web) -> None:
    add_person(web, "jim.of.accounts")
    with web.client() as client:
        csrf = client.post("/sign-in", json={"name": "jim.of.accounts", "password": GOOD}).json()["csrf"]
        headers = {"X-Leadglass-Csrf": csrf}
        app = TOTP(client.post("/account/app", json={"password": GOOD}, headers=headers).json()["secret"])
        done = client.post("/account/app/confirm", json={"code": app.now()}, headers=headers).json()
        assert len(done["recovery_codes"]) == 10
    with web.client() as client:
        first = client.post("/sign-in", json={"name": "jim.of.accounts", "password": GOOD}).json()
        assert (first["signed_in"], first["needs"]) == (False, "second factor")
        second = client.post("/sign-in/second", json={"ticket": first["ticket"], "code": done["recovery_codes"][0]})
        assert second.json()["signed_in"]


def test_one_sees_where_one_is_signed_in_and_ends_it(web: Web) -> None:
    add_person(web, "jill.of.accounts")
    with Browser(web) as here, Browser(web) as there, Browser(web) as third:
        for browser in (here, there, third):
            browser.sign_in("jill.of.accounts")
        there.client.headers["User-Agent"] = '"><script>alert(1)</script>'
        there.send("/sign-out")
        there.client.post("/sign-in", data={"name": "jill.of.accounts", "password": GOOD})
        listed = here.client.get("/account/sessions", headers={"Accept": "application/json"}).json()
        theirs = next(each for each in listed if "script" in each["browser"])
        assert sum(each["is_this"] for each in listed) == 1
        here.get("/account")
        assert "<script>alert" not in here.page
        here.post("/account/sessions/end", {"csrf": here.csrf, "session": theirs["session"]})
        assert not there.is_in
        assert third.is_in
        here.get("/account")
        here.send("/account/sessions/end-others")
        assert not third.is_in
        assert here.is_in


def test_a_session_of_somebody_else_is_not_there(web: Web) -> None:
    add_person(web, "joan.of.accounts")
    add_person(web, "manager.of.accounts", "admin")
    with Browser(web) as joan, Browser(web) as manager:
        joan.sign_in("joan.of.accounts")
        (session,) = joan.client.get("/account/sessions", headers={"Accept": "application/json"}).json()
        manager.sign_in("manager.of.accounts")
        manager.get("/account")
        manager.post("/account/sessions/end", {"csrf": manager.csrf, "session": session["session"]})
        assert manager.status == 404
        assert joan.is_in


@pytest.mark.parametrize("path", ["/account", "/account/sessions"])
def test_a_token_has_no_account(web: Web, path: str) -> None:
    token = web.token("service", name=f"program-{time.time_ns()}")
    with web.client(token) as client:
        assert client.get(path, headers={"Accept": "application/json"}).status_code == 403
        assert client.post("/account/password", json={"current": "a", "new": "b"}).status_code == 403
