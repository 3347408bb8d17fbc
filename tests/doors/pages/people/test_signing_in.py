import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from leadglass.app import App
from leadglass.policy.roles import Role
from tests.doors.pages.browser import BETTER, GOOD, Browser, add_person, records
from tests.peers.web import Web


@pytest.fixture(scope="module")
def jane(web: Web) -> str:
    return add_person(web, "jane")


def test_somebody_signs_in_is_known_and_signs_out(web: Web, jane: str) -> None:
    with Browser(web) as browser:
        assert not browser.is_in
        browser.sign_in(jane)
        assert browser.status == 200
        assert ">jane</a>" in browser.page
        assert browser.is_in
        browser.send("/sign-out")
        assert not browser.is_in


def test_the_cookie_is_for_this_host_over_tls_and_out_of_reach(web: Web, jane: str) -> None:
    with Browser(web) as browser:
        answer = browser.client.post("/sign-in", data={"name": jane, "password": GOOD})
        assert answer.status_code == 303
        (field,) = (each for each in answer.headers.get_list("Set-Cookie") if each.startswith("__Host-leadglass="))
        name, *attributes = [part.strip().lower() for part in field.split(";")]
        assert name.startswith("__host-leadglass=")
        assert sorted(attributes) == ["httponly", "path=/", "samesite=strict", "secure"]


def test_a_session_opens_what_its_person_may_at_other_routes_too(web: Web, jane: str) -> None:
    add_person(web, "manager", "admin")
    for name, status in ((jane, {200, 204}), ("manager", {403})):
        with Browser(web) as browser:
            browser.sign_in(name)
            answer = browser.client.get("/dicom-web/studies", headers={"Accept": "application/dicom+json"})
            assert answer.status_code in status, answer.text


def test_whoever_is_not_let_in_sees_the_same_page(web: Web, jane: str) -> None:
    pages: set[str] = set()
    for name, password in ((jane, "wrong"), ("nobody", GOOD), ("<script>", "' OR 1=1 --")):
        with Browser(web) as browser:
            browser.sign_in(name, password)
            assert browser.status == 403
            assert browser.alert == "The name or the password is not right."
            assert not browser.client.cookies
            pages.add(re.sub(r'id="name" name="name" value="[^"]*"', "", browser.page))
    assert len(pages) == 1


def test_who_is_nobody_is_shown_the_way_in_and_then_where_they_wanted_to_go(web: Web, jane: str) -> None:
    with Browser(web) as browser:
        answer = browser.get("/account")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        answer = browser.send("/sign-in", name=jane, password=GOOD)
        assert "Your account" in answer.text


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_led_elsewhere_after_signing_in(web: Web, jane: str, back: str) -> None:
    with Browser(web) as browser:
        answer = browser.client.post("/sign-in", data={"name": jane, "password": GOOD, "next": back})
        assert answer.headers["Location"] == "/"


def test_another_site_can_sign_nobody_in(web: Web, jane: str) -> None:
    fields = {"name": jane, "password": GOOD}
    with Browser(web) as browser:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ):
            answer = browser.client.post("/sign-in", data=fields, headers=headers)
            assert answer.status_code == 403
            assert "Set-Cookie" not in answer.headers


def test_a_program_signs_in_with_json(web: Web, jane: str) -> None:
    with web.client() as client:
        refused = client.post("/sign-in", json={"name": jane, "password": "wrong"})
        assert refused.status_code == 403
        assert refused.headers["Content-Type"] == "application/problem+json"
        opened = client.post("/sign-in", json={"name": jane, "password": GOOD})
        assert (opened.status_code, opened.json()["signed_in"], opened.json()["name"]) == (200, True, "jane")
        account = client.get("/account", headers={"Accept": "application/json"})
        assert account.json()["role"] == "radiologist"
        ended = client.post(
            "/sign-out", headers={"X-Leadglass-Csrf": opened.json()["csrf"], "Accept": "application/json"}
        )
        assert ended.json() == {"signed_in": False}
        assert ended.headers["Clear-Site-Data"] == '"cache"'  # the next one at this browser is somebody else


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=a&name=b&password=c", "application/x-www-form-urlencoded", 400),
        (b"name=%ff&password=c", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"f%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
        (b'{"name": {"a": 1}}', "application/json", 400),
        (b'{"name": "a", "password": ' + b"[" * 10_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"<a/>", "application/xml", 415),
        (b"password=" + b"a" * 40_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 400),
    ],
)
def test_forms_that_are_none_are_refused(web: Web, body: bytes, kind: str, status: int) -> None:
    with web.client() as client:
        answer = client.post("/sign-in", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text


def test_a_set_up_link_chooses_a_password_without_scripts_and_counts_once(web: Web) -> None:
    link = web.leadglass.do("user", "add", "newcomer", "--role", "auditor").strip()
    path, _, secret = link.removeprefix("https://").partition("/")[2].partition("#")
    with Browser(web) as browser:
        browser.get(f"/{path}")
        assert secret not in browser.page
        browser.send("/set-up", secret=secret, password=GOOD, again=BETTER)
        assert (browser.status, browser.alert) == (400, "The two new passwords are not the same.")
        browser.send("/set-up", password="radiology2026", again="radiology2026")
        assert browser.status == 400
        browser.send("/set-up", password=GOOD, again=GOOD)
        assert "Your account" in browser.page
        assert browser.is_in
    with Browser(web) as browser:
        browser.get(f"/{path}")
        browser.send("/set-up", secret=secret, password=BETTER, again=BETTER)
        assert browser.status == 403
        assert "used already" in browser.alert
        browser.sign_in("newcomer")
        assert browser.is_in


def test_a_lock_a_change_of_role_and_a_sign_out_count_from_the_next_request_on(web: Web) -> None:
    add_person(web, "johnny", "auditor")
    with Browser(web) as browser, App().open(web.leadglass.data) as opened:
        accounts = opened.open_people()
        browser.sign_in("johnny")
        assert browser.get("/break-glass/review").status_code == 200
        accounts.people.set_role(opened.caller, "johnny", Role.RADIOLOGIST)
        assert browser.get("/break-glass/review").status_code == 403
        accounts.sessions.end_all(opened.caller, "johnny")
        assert not browser.is_in
        browser.sign_in("johnny")
        assert browser.is_in
        accounts.people.lock(opened.caller, "johnny")
        assert not browser.is_in
        browser.sign_in("johnny")
        assert browser.status == 403
        accounts.people.unlock(opened.caller, "johnny")
        browser.sign_in("johnny")
        assert browser.is_in


def test_guessing_is_slowed_down_and_says_when_to_come_back(web: Web) -> None:
    add_person(web, "victim")
    with web.client() as client:
        answer = client.get("/healthz")
        for _ in range(12):
            answer = client.post("/sign-in", json={"name": "victim", "password": "wrong"})
            if answer.status_code != 403:
                break
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
    with Browser(web) as browser:
        browser.sign_in("victim")
        assert browser.status == 429
        assert "Try again in" in browser.alert


def test_signing_in_anew_ends_the_session_that_the_browser_had(web: Web, jane: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(jane)
        before = dict(browser.client.cookies)
        browser.sign_in(add_person(web, "second.shift"))
        assert ">second.shift</a>" in browser.page
        with web.client() as thief:
            for name, value in before.items():
                thief.cookies.set(name, value)
            assert thief.get("/").status_code == 401


def test_a_crowd_that_guesses_keeps_nobody_out_who_is_in(web: Web, jane: str) -> None:
    with Browser(web) as browser, ThreadPoolExecutor(30) as crowd:
        browser.sign_in(jane)
        with web.client() as client:

            def guess(number: int) -> int:
                return client.post("/sign-in", json={"name": f"name-{number}", "password": "wrong"}).status_code

            guesses = [crowd.submit(guess, number) for number in range(60)]
            seen = [browser.client.get("/account").status_code for _ in range(5)]
            answers = {each.result() for each in guesses}
        assert seen == [200] * 5
        assert answers <= {403, 503, 429}
        assert 503 in answers, "of one network only some are hashed at a time"


def test_what_happened_is_on_record_without_a_secret(web: Web, jane: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(jane)
        cookie = next(iter(browser.client.cookies.values()))
        browser.send("/sign-out")
        browser.sign_in(jane, "not my password")
    opened = [each for each in records(web, "signin") if each.outcome == "permitted" and each.caller == "person:jane"]
    refused = [each for each in records(web, "signin") if each.outcome == "refused"]
    assert opened
    assert refused
    assert any(each.caller == "person:jane" for each in records(web, "signout"))
    said = repr(records(web, "signin")) + web.leadglass.log.read_text(encoding="utf-8")
    for secret in (cookie, GOOD, "not my password"):
        assert secret not in said
