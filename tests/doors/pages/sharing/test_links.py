"""Links: made by who may take studies out, opened by who has them, and worth nothing more the moment they are ended."""

from collections.abc import Generator

import pytest

from leadglass.app import App
from leadglass.doors.web.evidence import SESSION_COOKIE, SHARE_COOKIE
from leadglass.policy.roles import Role
from tests.doors.pages.browser import GOOD, Browser, add_person, records
from tests.doors.pages.sharing.sharehouse import (
    FIRST,
    NAME,
    PATIENT,
    SECOND,
    issuer,
    made,
    on_the_command_line,
    opened,
    stored,
    study,
)
from tests.peers.web import Web

ANY = {"Accept": "*/*"}
JSON = {"Accept": "application/dicom+json"}
CLOSED = "This link does not open anything any more"


@pytest.fixture(scope="module", autouse=True)
def studies(web: Web) -> None:
    stored(web, FIRST, SECOND)


@pytest.fixture
def sharer(web: Web) -> Generator[Browser]:
    with issuer(web) as browser:
        yield browser


def rendered(number: int) -> str:
    return f"/dicom-web/studies/{study(number)}/rendered"


def test_a_link_shows_its_study_and_nothing_else(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    with opened(web, link) as visitor:
        assert visitor.status == 200
        assert f"Study {FIRST}" in visitor.page
        assert f"/look/{study(FIRST)}" in visitor.page
        assert "Not for diagnosis" in visitor.page
        assert visitor.get(f"/look/{study(FIRST)}").status_code == 200
        there = visitor.get(f"/look/{study(SECOND)}")
        never = visitor.get("/look/1.2.3.4.5")
        assert (there.status_code, there.text) == (never.status_code, never.text) or there.status_code == 404
        assert there.status_code == never.status_code == 404
        for path in (
            "/", "/studies", f"/studies/{study(FIRST)}", "/shares", "/shares/new", "/people", "/account", "/upload",
            "/audit", "/quarantine", "/devices", "/tokens", "/system", "/nothing", "/dicom-web/changes",
            "/break-glass", "/account/sessions", "/dicom-web/studies",
        ):  # fmt: skip
            assert visitor.get(path).status_code == 404, path
        assert visitor.client.get(rendered(FIRST), headers={"Accept": "image/png"}).status_code == 200
        assert visitor.client.get(rendered(SECOND), headers={"Accept": "image/png"}).status_code == 404


def test_who_may_only_look_gets_no_object_of_dicom(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    with opened(web, link) as visitor:
        base = f"/dicom-web/studies/{study(FIRST)}"
        one = f"{base}/series/{study(FIRST)}.1/instances/{study(FIRST)}.1.1"
        for path in (base, f"{base}/metadata", f"{base}/bulkdata", one, f"{one}/frames/1", f"{base}/series"):
            assert visitor.client.get(path, headers=ANY).status_code == 404, path
        assert visitor.client.get(f"/studies/{study(FIRST)}/download").status_code == 404
        assert visitor.client.get(f"/viewer/viewer?StudyInstanceUIDs={study(FIRST)}").status_code == 404
        assert visitor.client.get(f"{one}/frames/1/rendered", headers={"Accept": "image/png"}).status_code == 200
        assert visitor.client.get(f"{base}/thumbnail", headers=ANY).status_code == 200
        assert "Download" not in visitor.get("/shared").text


def test_who_may_download_gets_the_original_and_a_same_patient_query_shows_nothing_more(
    web: Web, sharer: Browser
) -> None:
    link = made(sharer, FIRST, what="download")
    with opened(web, link) as visitor:
        assert "Download" in visitor.page
        for query in (f"PatientID={PATIENT}", "PatientName=Shared*", "", "limit=100"):
            found = visitor.client.get(f"/dicom-web/studies?{query}", headers=JSON)
            assert found.status_code == 200, query
            assert [each["0020000D"]["Value"][0] for each in found.json()] == [study(FIRST)], query
        by_uid = visitor.client.get(f"/dicom-web/studies?StudyInstanceUID={study(SECOND)}", headers=JSON)
        assert by_uid.status_code == 204 or by_uid.json() == []
        for of_second in ("/metadata", ""):
            missing = visitor.client.get(f"/dicom-web/studies/{study(SECOND)}{of_second}", headers=ANY)
            assert missing.status_code == 404
        assert visitor.client.get(f"/dicom-web/studies/{study(SECOND)}/series", headers=JSON).json() == []
        assert visitor.client.get(f"/dicom-web/studies/{study(FIRST)}/metadata", headers=ANY).status_code == 200
        assert visitor.client.get(f"/dicom-web/studies/{study(FIRST)}", headers=ANY).status_code == 200
        stow = visitor.client.post("/dicom-web/studies", content=b"", headers={"Sec-Fetch-Site": "same-origin"})
        assert stow.status_code in (403, 404)
        assert visitor.client.delete(f"/dicom-web/studies/{study(FIRST)}").status_code in (403, 404)


def test_a_masked_link_tells_nothing_of_the_patient(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST, what="download", view="masked")
    with opened(web, link) as visitor:
        assert "Sharon" not in visitor.page
        # A capture may show a name: its image stays here, and the page says so instead of showing nothing.
        assert "cannot be shown without who they are of" in visitor.page
        assert f'href="/look/{study(FIRST)}"' not in visitor.page
        look = visitor.get(f"/look/{study(FIRST)}")
        assert look.status_code == 200
        assert "Sharon" not in look.text
        download = visitor.get(f"/studies/{study(FIRST)}/download")
        assert download.status_code == 501
        metadata = visitor.client.get(f"/dicom-web/studies/{study(FIRST)}/metadata").text
        for word in ("Sharon", NAME, PATIENT):
            assert word not in metadata
        asked = visitor.client.get(f"/dicom-web/studies?PatientID={PATIENT}", headers=JSON)
        assert asked.status_code == 403


def test_what_is_wrong_with_a_link_is_nobodys_business(web: Web, sharer: Browser) -> None:
    """One page whether a link never was, has another secret, is revoked, or its maker may share no more."""
    link, revoked = made(sharer, FIRST), made(sharer, FIRST)
    sharer.get(f"/shares/{revoked.id}")
    sharer.send(f"/shares/{revoked.id}/revoke")
    assert "ended" in sharer.page
    told: set[tuple[int, str]] = set()
    for path, secret in (
        ("/s/0123456789abcdef", "x" * 43),
        (link.path, "x" * 43),
        (revoked.path, revoked.secret),
        (revoked.path, link.secret),
        (link.path, ""),
    ):
        with Browser(web) as visitor:
            visitor.get(path)
            answer = visitor.post(path, {"secret": secret})
            told.add((answer.status_code, answer.text))
    assert len(told) == 1
    assert CLOSED in next(iter(told))[1]
    pages: set[str] = set()
    for path in (link.path, revoked.path, "/s/0123456789abcdef"):
        with Browser(web) as visitor:
            pages.add(visitor.get(path).text.replace(path, "PATH"))
    assert len(pages) == 1, "the page to open links knows of none"


def test_revoking_closes_at_the_next_request(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    with opened(web, link) as visitor:
        assert visitor.get("/shared").status_code == 200
        sharer.get(f"/shares/{link.id}")
        assert "opened the link" in sharer.page
        sharer.send(f"/shares/{link.id}/revoke")
        after = visitor.get("/shared")
        assert after.status_code == 401
        assert CLOSED in after.text
        assert visitor.client.get(rendered(FIRST), headers={"Accept": "image/png"}).status_code == 401


def test_a_link_ends_with_the_rights_of_its_maker(web: Web) -> None:
    with App().open(web.leadglass.data) as archive:
        people = archive.open_people().people
        with issuer(web, "fleeting") as browser:
            link = made(browser, FIRST)
        with opened(web, link) as visitor:
            assert visitor.get("/shared").status_code == 200
            people.set_role(archive.caller, "fleeting", Role.REFERRER)
            assert visitor.get("/shared").status_code == 401
            people.set_role(archive.caller, "fleeting", Role.RADIOLOGIST)
        with opened(web, link) as again:
            assert again.get("/shared").status_code == 200
            people.lock(archive.caller, "fleeting")
            assert CLOSED in again.get("/shared").text
        with opened(web, link) as late:
            assert late.status == 404
            assert CLOSED in late.page


def test_nobody_lends_what_is_outside_of_their_scope(web: Web) -> None:
    with issuer(web, "narrow-sharer", "radiologist", f"study={study(FIRST)}") as browser:
        assert browser.get(f"/shares/new?study={study(SECOND)}").status_code == 404
        assert browser.get("/shares/new?study=1.2.3").status_code == 404
        link = made(browser, FIRST)
        answer = browser.post("/shares/new", {"csrf": browser_csrf(browser), "studies": study(SECOND)})
        assert answer.status_code == 404
    assert link.id
    # A link that names more than its maker has opens only what they have.
    link = on_the_command_line(web, "narrow-sharer", FIRST, SECOND)
    with opened(web, link) as visitor:
        assert f"/look/{study(FIRST)}" in visitor.page
        assert study(SECOND) not in visitor.page
        assert visitor.get(f"/look/{study(SECOND)}").status_code == 404


def browser_csrf(browser: Browser) -> str:
    browser.get("/shares")
    return browser.csrf


@pytest.mark.parametrize("role", ["technologist", "referrer", "researcher", "admin", "auditor"])
def test_only_who_may_take_studies_out_makes_links(web: Web, role: str) -> None:
    with issuer(web, f"no-sharer-{role}", role) as browser:
        assert browser.get(f"/shares/new?study={study(FIRST)}").status_code == 403
        token = browser.get("/account") and browser.csrf
        answer = browser.post("/shares/new", {"csrf": token, "studies": study(FIRST)})
        assert answer.status_code in (403, 404)


def test_who_manages_ends_everybodys_links_and_sees_no_patient(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST, note="for doctor Sharon")
    with issuer(web, "share-admin", "admin") as admin:
        listed = admin.get("/shares").text
        assert link.id in listed
        assert "Sharon" not in listed
        page = admin.get(f"/shares/{link.id}").text
        assert "Sharon" not in page
        for path in ("/shares", f"/shares/{link.id}"):
            assert "Sharon" not in admin.client.get(path, headers={"Accept": "application/json"}).text
        admin.get(f"/shares/{link.id}")
        admin.send(f"/shares/{link.id}/revoke")
        assert "ended" in admin.page
    with opened(web, link) as visitor:
        assert CLOSED in visitor.page
    with issuer(web, "other-sharer") as other:
        assert other.get(f"/shares/{link.id}").status_code == 404
        assert link.id not in other.get("/shares").text


def test_a_pin_is_asked_for_and_too_many_wrong_ones_end_the_link(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST, lock="pin")
    assert len(link.code) == 6
    with opened(web, link, link.code) as visitor:
        assert f"Study {FIRST}" in visitor.page
    wrong = "000000" if link.code != "000000" else "111111"
    with opened(web, link, wrong) as visitor:
        assert visitor.status == 403
        assert visitor.alert.startswith("That PIN is not right.")
        assert "<h1>Type the PIN</h1>" in visitor.page
        assert link.code not in visitor.page
    with opened(web, link, link.code) as visitor:
        assert visitor.status == 200


def test_a_one_time_code_opens_one_time(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST, lock="once")
    wrong = "000000" if link.code != "000000" else "111111"
    with opened(web, link, wrong) as visitor:
        assert visitor.alert.startswith("That one-time code is not right.")
        assert "<h1>Type the one-time code</h1>" in visitor.page
    with opened(web, link, link.code) as visitor:
        assert f"Study {FIRST}" in visitor.page
        with opened(web, link, "") as late:
            assert CLOSED in late.page
        assert visitor.get("/shared").status_code == 200


def test_a_link_is_not_opened_where_somebody_is_signed_in(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    sharer.get(link.path)
    answer = sharer.send(link.path, secret=link.secret)
    assert answer.status_code == 409
    assert SHARE_COOKIE not in sharer.client.cookies
    assert sharer.get("/account").status_code == 200


def test_signing_in_ends_being_here_by_a_link_and_two_cookies_are_nobody(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    name = add_person(web, "both-at-once")
    with opened(web, link) as visitor:
        visit = visitor.client.cookies[SHARE_COOKIE]
        visitor.sign_in(name, GOOD)
        assert visitor.get("/account").status_code == 200
        assert SHARE_COOKIE not in visitor.client.cookies
        both = {"Cookie": f"{SESSION_COOKIE}={visitor.client.cookies[SESSION_COOKIE]}; {SHARE_COOKIE}={visit}"}
        with web.client() as raw:
            assert raw.get("/shared", headers=both).status_code == 401
            assert raw.get("/", headers=both).status_code == 401
            token = web.token("service", name="beside-a-link")
            beside = {"Cookie": f"{SHARE_COOKIE}={visit}", "Authorization": f"Bearer {token}"}
            assert raw.get("/dicom-web/studies", headers=beside).status_code == 401


def test_the_cookie_of_a_link_is_out_of_reach_and_forms_need_its_token(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST)
    with Browser(web) as visitor:
        answer = visitor.client.post(link.path, data={"secret": link.secret}, headers={"Sec-Fetch-Site": "same-origin"})
        said = answer.headers["set-cookie"].lower()
        assert said.startswith(SHARE_COOKIE.lower())
        for word in ("secure", "httponly", "samesite=strict", "path=/"):
            assert word in said
        assert visitor.post("/shared/leave", {}).status_code == 403
        assert visitor.post(link.path, {"secret": link.secret}, site="cross-site").status_code == 403
        assert visitor.get("/shared").status_code == 200
        visitor.send("/shared/leave")
        assert "Nobody at this computer" in visitor.page
        assert visitor.client.get("/shared").status_code == 401


def test_what_was_done_by_a_link_is_on_record_and_its_secret_is_nowhere(web: Web, sharer: Browser) -> None:
    link = made(sharer, FIRST, lock="pin", note="for the patient")
    with opened(web, link, link.code) as visitor:
        visitor.get(f"/look/{study(FIRST)}")
        visitor.client.get(rendered(FIRST), headers={"Accept": "image/png"})
        visit = visitor.client.cookies[SHARE_COOKIE]
    by_link = [each for word in ("signin", "look", "find") for each in records(web, word) if link.id in each.caller]
    assert {each.action for each in by_link} == {"signin", "look", "find"}
    assert any(each.study_uid == study(FIRST) for each in by_link)
    mine = [each for each in records(web, "share") if each.detail.get("link") == link.id]
    assert [each.study_uid for each in mine] == [study(FIRST)]
    sharer.get(f"/shares/{link.id}")
    assert "looked at images" in sharer.page
    folder = web.leadglass.data
    kept = b"".join(path.read_bytes() for path in sorted(folder.parent.rglob("*")) if path.is_file())
    for secret in (link.secret, visit):
        assert secret.encode() not in kept
    with App().open(folder) as archive:
        everything = " ".join(str(record.event) for record in archive.audit.records())
    for word in (link.secret, visit, "for the patient", "Sharon"):
        assert word not in everything
    log = web.leadglass.log.read_text()
    assert link.secret not in log
    assert f"/s/{link.id}" not in log


def test_a_link_takes_its_time_and_no_more_than_is_allowed(web: Web, sharer: Browser) -> None:
    sharer.get(f"/shares/new?study={study(FIRST)}")
    answer = sharer.post("/shares/new", {"csrf": sharer.csrf, "studies": study(FIRST), "days": "91"})
    assert answer.status_code == 400
    assert "90 days" in sharer.alert
    answer = sharer.post("/shares/new", {"csrf": browser_csrf(sharer), "studies": " ".join(map(study, range(30)))})
    assert answer.status_code in (400, 404)


def test_a_program_makes_and_reads_links_as_json(web: Web, sharer: Browser) -> None:
    sharer.get("/shares")
    fields = {
        "x-leadglass-csrf": browser_csrf_of(sharer),
        "Sec-Fetch-Site": "same-origin",
        "Accept": "application/json",
    }
    answer = sharer.client.post("/shares/new", json={"studies": study(FIRST), "lock": "pin"}, headers=fields)
    assert answer.status_code == 201
    said = answer.json()
    assert said["link"].split("#")[0].endswith(f"/s/{said['id']}")
    with web.client() as program:
        asked = program.post(f"/s/{said['id']}", json={"secret": said["link"].split("#")[1]})
        assert asked.json() == {"opened": False, "needs": "code"}
        opened_ = program.post(f"/s/{said['id']}", json={"secret": said["link"].split("#")[1], "code": said["code"]})
        assert opened_.json()["opened"]
        assert program.get("/shared", headers={"Accept": "application/json"}).json()["studies"] == [study(FIRST)]
    one = sharer.client.get(f"/shares/{said['id']}", headers={"Accept": "application/json"}).json()
    assert one["accesses"]
    assert "code" not in one


def browser_csrf_of(browser: Browser) -> str:
    browser.get("/account")
    return browser.csrf


def test_a_deleted_study_is_not_lent_when_another_gets_its_uid(web: Web, sharer: Browser) -> None:
    gone = FIRST + 50
    stored(web, gone)
    link, both = made(sharer, gone), made(sharer, gone, FIRST)
    with opened(web, link) as visitor, opened(web, both) as other:
        assert visitor.status == other.status == 200
        web.leadglass.do("delete", "--study", study(gone), "--yes")
        assert CLOSED in visitor.get("/shared").text
        stored(web, gone)
        assert visitor.get("/shared").status_code == 401
        assert study(gone) not in other.get("/shared").text
        assert other.get(f"/look/{study(gone)}").status_code == 404
        assert other.get(f"/look/{study(FIRST)}").status_code == 200


def test_what_a_study_or_a_note_says_is_shown_and_never_run(web: Web, sharer: Browser) -> None:
    hostile = FIRST + 52
    planted = "<script>alert(1)</script>'\"&{{7*7}}"
    stored(web, hostile, StudyDescription=planted, PatientName="<img src=x onerror=alert(1)>^'\"")
    link = made(sharer, hostile, what="download", note=f"{planted} note")
    sharer.get(f"/shares/{link.id}")
    pages = [sharer.page, sharer.get("/shares").text, sharer.get(f"/shares/new?study={study(hostile)}").text]
    with opened(web, link) as visitor:
        pages += [visitor.page, visitor.get(f"/look/{study(hostile)}").text]
    for shown in pages:
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
    assert all("&lt;script&gt;alert(1)" in shown for shown in pages[:4])
    with Browser(web) as stranger:
        for path in ("/s/<script>alert(1)<", "/s/%3Cscript%3Ealert(1)%3C", "/s/" + "a" * 2000, "/s/%00%ff"):
            answer = stranger.get(path)
            assert answer.status_code in (200, 400, 404, 401), path
            assert "<script>alert" not in answer.text
