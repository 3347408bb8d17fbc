"""The system page, without scripts: looked at, run, accepted; and whom it is not for."""

import html
import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import pytest

from leadglass.app import App
from leadglass.policy.roles import Role
from tests.doors.pages.browser import Browser, add_person, records
from tests.peers.web import Web

ADMIN = "sys.admin"
WHY = "the key is moved once the new machine is there"
NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.fixture(scope="module")
def admin(web: Web) -> Generator[Browser]:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, ADMIN, "admin"))
        browser.get("/system")
        browser.send("/system/check")
        yield browser


def _form_of(browser: Browser, action: str, key: str) -> dict[str, str]:
    """Give what is hidden in the form that is about one finding."""
    for form in re.findall(r"<form.*?</form>", browser.page, re.DOTALL):
        if f'action="{action}"' in form and f'value="{key}"' in form:
            found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
            return {name: html.unescape(value) for name, value in found}
    raise AssertionError(f"no form of {action} is about {key}")


def test_it_shows_the_score_what_to_do_and_how_it_runs(admin: Browser) -> None:
    assert admin.get("/system?done=checked").status_code == 200
    assert "The archive has looked at itself." in admin.page
    for words in (
        "of 100 points, grade",
        "The key lies beside what it opens",
        "leadglass key move --to file",
        "How it runs",
        "this machine only",
        "the archive, by itself",
        "Earlier looks",
    ):
        assert words in admin.page


def test_it_leads_to_the_page_where_something_is_mended(admin: Browser) -> None:
    admin.get("/system")
    assert f"{ADMIN} (admin) signs in with a password alone." in html.unescape(admin.page)
    assert 'href="/account">Open: Your account</a>' in admin.page
    assert 'href="/quarantine"' not in admin.page.partition("<main")[2], "an administrator has no right to go there"


def test_looking_again_is_one_record_by_who_asked(web: Web, admin: Browser) -> None:
    before = len(records(web, "exposure"))
    admin.get("/system")
    admin.send("/system/check")
    made = records(web, "exposure")[before:]
    assert [event.caller for event in made if event.outcome.value == "done"][:1] == [f"person:{ADMIN}"]


def test_a_finding_is_accepted_with_a_reason_and_counts_again_when_that_is_withdrawn(web: Web, admin: Browser) -> None:
    admin.get("/system")
    hidden = _form_of(admin, "/system/accept", "key-beside")
    admin.post("/system/accept", {**hidden, "until": NEXT_MONTH, "reason": WHY})
    assert "The finding is accepted" in admin.page
    admin.send("/system/check")
    shown = html.unescape(admin.page)
    assert f"Until {NEXT_MONTH}, by person:{ADMIN}: {WHY}" in shown
    admin.post("/system/withdraw", _form_of(admin, "/system/withdraw", "key-beside"))
    admin.send("/system/check")
    assert WHY not in html.unescape(admin.page)
    _form_of(admin, "/system/accept", "key-beside")
    said = [event.detail for event in records(web, "manage") if event.caller == f"person:{ADMIN}"]
    assert any(each.get("why") == WHY for each in said)


@pytest.mark.parametrize(
    ("until", "reason", "alert"),
    [
        (NEXT_MONTH, "no", "Say in one line"),
        ("2020-01-01", WHY, "Give a day from"),
        ("tomorrow", WHY, "Give the last day as in"),
        ("", WHY, "Until is missing."),
        (NEXT_MONTH, "<script>alert(1)</script>" + "x" * 300, "Say in one line"),
    ],
)
def test_what_is_wrong_with_an_acceptance_is_said_and_what_was_typed_is_kept(
    admin: Browser, until: str, reason: str, alert: str
) -> None:
    admin.get("/system")
    hidden = _form_of(admin, "/system/accept", "key-beside")
    admin.post("/system/accept", {**hidden, "until": until, "reason": reason})
    assert admin.status == 400
    assert alert in admin.alert
    assert "<script>alert" not in admin.page
    assert f'value="{html.escape(reason)}"' in admin.page


def test_a_finding_that_is_not_there_is_not_accepted(admin: Browser) -> None:
    admin.get("/system")
    hidden = _form_of(admin, "/system/accept", "key-beside")
    admin.post("/system/accept", {**hidden, "finding": "<b>x", "until": NEXT_MONTH, "reason": WHY})
    assert (admin.status, admin.alert) == (404, "That finding is not there any more.")


@pytest.mark.parametrize("role", ["radiologist", "technologist", "auditor", "researcher", "referrer"])
def test_who_does_not_manage_sees_nothing_of_it(web: Web, role: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, f"sys.{role}", role))
        assert 'href="/system"' not in browser.page
        for answer in (
            browser.get("/system"),
            browser.client.get("/system", headers={"Accept": "application/json"}),
        ):
            assert answer.status_code == 403
            assert "key-beside" not in answer.text
            assert "127.0.0.1:" not in answer.text.partition("<main")[2]


@pytest.mark.parametrize("path", ["/system/check", "/system/accept", "/system/withdraw"])
def test_a_form_of_another_site_changes_nothing(web: Web, admin: Browser, path: str) -> None:
    before = len(records(web, "exposure"))
    answer = admin.client.post(path, data={"finding": "key-beside"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert len(records(web, "exposure")) == before


def test_hostile_names_change_nothing_and_hold_the_layout(web: Web, admin: Browser) -> None:
    with App().open(web.leadglass.data) as opened:
        name = "x\"'><script>" + "w" * 40
        opened.open_tokens().create(opened.caller, name, Role.ADMIN, None, timedelta(days=30))
    admin.get("/system")
    admin.send("/system/check")
    assert name not in admin.page
    assert f"The token {name} administers the archive" in html.unescape(admin.page)
    assert "leadglass token revoke NAME" in admin.page


def test_a_program_reads_the_same_as_json(web: Web) -> None:
    with web.client(web.token("admin", name="sys-reader")) as client:
        client.headers["Accept"] = "application/json"
        checked = client.post("/system/check").json()
        said = client.get("/system").json()
        assert said["report"]["score"] == checked["score"]
        assert {each["door"] for each in said["doors"]} == {"https", "dicom-tls", "dicom"}
        assert said["key"] == {"source": "file", "beside": True}
        assert {each["door"]: each["renews_itself"] for each in said["certificates"]} == {
            "https": True,
            "dicom-tls": True,
        }
        made = client.post("/system/accept", json={"finding": "key-beside", "until": NEXT_MONTH, "reason": WHY})
        assert made.json() == {"finding": "key-beside", "until": NEXT_MONTH, "reason": WHY}
        assert client.post("/system/withdraw", json={"finding": "key-beside"}).status_code == 200
        assert client.post("/system/withdraw", json={"finding": "key-beside"}).status_code == 404
        assert client.post("/system/accept", json={"finding": "x", "until": NEXT_MONTH}).status_code == 400
