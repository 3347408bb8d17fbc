import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest
from starlette.requests import Request

from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.cookie import SessionCookie
from leadglass.doors.web.evidence import SESSION_COOKIE
from leadglass.doors.web.forms import MOST_BYTES
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import Denied
from leadglass.identity.sessions import IDLE
from leadglass.policy.caller import Caller
from tests.doors.pages.browser import Browser, add_person, records
from tests.identity.peoplehouse import HERE, people_house
from tests.peers.web import Web


@pytest.fixture(scope="module")
def jane(web: Web) -> Generator[Browser]:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "jane.of.cookies"))
        browser.get("/account")
        yield browser


def test_a_form_without_the_sessions_own_token_changes_nothing(web: Web, jane: Browser) -> None:
    with Browser(web) as other:
        other.sign_in(add_person(web, "john"))
        foreign = other.csrf
    forged: tuple[dict[str, str], ...] = ({}, {"csrf": ""}, {"csrf": "guess"}, {"csrf": foreign})
    for fields in forged:
        answer = jane.client.post(
            "/account/sessions/end-others", data=fields, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.status_code == 403, fields
        assert "Load the page again" in answer.text
    told = [each.reason for each in records(web, "identify") if "did not come from a page" in each.reason]
    assert any("jane.of.cookies" in reason for reason in told)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
    ],
)
def test_a_form_from_another_site_changes_nothing_even_with_the_token(jane: Browser, headers: dict[str, str]) -> None:
    answer = jane.client.post("/account/sessions/end-others", data={"csrf": jane.csrf}, headers=headers)
    assert answer.status_code == 403


def test_the_token_in_a_header_counts_and_old_browsers_name_their_origin(web: Web, jane: Browser) -> None:
    jane.get("/account")
    for headers in (
        {"X-Leadglass-Csrf": jane.csrf, "Sec-Fetch-Site": "same-origin"},
        {"X-Leadglass-Csrf": jane.csrf, "Origin": web.url},
        {"X-Leadglass-Csrf": jane.csrf},
    ):
        assert jane.client.post("/account/sessions/end-others", headers=headers).status_code == 200


def test_a_change_at_any_route_needs_the_token_too(jane: Browser) -> None:
    answer = jane.client.delete("/dicom-web/studies/1.2.3")
    assert answer.status_code == 403
    assert "form" in answer.text


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_page_next_door_leads_here_and_fetches_and_frames_nothing(web: Web, jane: Browser, site: str) -> None:
    for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "object")):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Accept": "text/html"}
        answer = jane.client.get("/dicom-web/studies", headers=headers)
        assert answer.status_code == 403, (mode, dest)
        assert "Set-Cookie" not in answer.headers  # nor does it sign anybody out
    leads = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert jane.client.get("/account", headers=leads).status_code == 200
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
    assert jane.client.get("/dicom-web/studies", headers=own).status_code == 200
    assert any("was to fetch something" in each.reason for each in records(web, "identify"))


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "a" * 5_000, "' OR 1=1 --"])
def test_a_cookie_of_nobody_is_nobody(web: Web, cookie: str) -> None:
    with web.client() as client:
        answer = client.get("/account", headers={"Cookie": f"__Host-leadglass={cookie}"})
        assert answer.status_code == 401


def test_a_session_beside_a_token_is_refused_for_nobody_knows_which_was_meant(web: Web, jane: Browser) -> None:
    token = web.token("service")
    answer = jane.client.get("/", headers={"Authorization": f"Bearer {token}"})
    # Either kind alone is good.
    with web.client(token) as client:
        assert client.get("/").status_code == 200
    assert jane.client.get("/home").status_code == 200
    assert answer.status_code == 401


def test_an_answer_that_lasts_is_no_use_of_the_session_that_asked_for_it(tmp_path: Path) -> None:
    with people_house(tmp_path) as house, Pool(1, "test") as pool:
        house.person("jane")
        secret = house.opened().secret
        evidence = SessionCookie(house.accounts.sessions, Threads(pool), lambda peer, reason: None)
        headers = [(b"cookie", f"{SESSION_COOKIE}={secret}".encode())]
        request = Request({"type": "http", "method": "GET", "headers": headers, "leadglass.peer": HERE})

        async def ask() -> Caller | None:
            return await evidence.caller(request)

        assert asyncio.run(ask())
        house.clocks.pass_by(IDLE.total_seconds() / 2)
        assert asyncio.run(ask())
        house.clocks.pass_by(IDLE.total_seconds() / 2)
        with pytest.raises(Denied):
            asyncio.run(ask())


@pytest.mark.parametrize("site", ["same-origin", "same-site"])
def test_of_a_form_without_end_no_more_is_read_than_a_form_has(tmp_path: Path, site: str) -> None:
    with people_house(tmp_path) as house, Pool(1, "test") as pool:
        house.person("jane")
        evidence = SessionCookie(house.accounts.sessions, Threads(pool), lambda peer, reason: None)
        fields = {
            "cookie": f"{SESSION_COOKIE}={house.opened().secret}",
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": site,
        }
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        blocks = 0

        async def receive() -> dict[str, object]:
            nonlocal blocks
            blocks += 1
            return {"type": "http.request", "body": b"a" * 1_024, "more_body": blocks < 10_000}

        scope = {"type": "http", "method": "POST", "headers": headers, "leadglass.peer": HERE}
        with pytest.raises(HttpFault):
            asyncio.run(evidence.caller(Request(scope, receive)))
        assert blocks <= (MOST_BYTES // 1_024 + 1 if site == "same-origin" else 0)


def test_a_stale_cookie_is_taken_away_with_the_page_to_sign_in(web: Web) -> None:
    with web.client() as client:
        answer = client.get("/account", headers={"Cookie": "__Host-leadglass=" + "a" * 43, "Accept": "text/html"})
        assert answer.status_code == 401
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
