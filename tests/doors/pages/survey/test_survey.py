"""The survey's pages, without scripts: read, filtered, followed; what is taken out; and whom they are not for."""

import html
import json
import re
import sqlite3
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from leadglass.doors.pages.page import PAGE_POLICY
from leadglass.errors import Busy
from leadglass.followup import FollowUp, Stage
from leadglass.survey import scope as scopes
from leadglass.survey.state import State, folder_of
from tests.callers import everything
from tests.doors.pages.browser import GOOD, Browser, add_person, records
from tests.doors.pages.survey_house import HOSTILE, SCOPE, survey_into, surveyed
from tests.peers.browser import DESKTOP, PHONE, chromium, sign_in, visiting
from tests.peers.web import Web

TODAY = scopes.today()
AT = "/survey/at/192.0.2.10/104"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    with surveyed(tmp_path_factory.mktemp("survey")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(web: Web) -> Generator[Browser]:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "survey.admin", "admin"))
        yield browser


@pytest.fixture(scope="module")
def auditor(web: Web) -> Generator[Browser]:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "survey.auditor", "auditor"))
        yield browser


def _shown(browser: Browser) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", browser.page)).split())


def _rows(browser: Browser, path: str) -> list[str]:
    browser.get(path)
    return re.findall(r'<th scope="row" class="survey-where"><a [^>]*>([^<]+)<', browser.page)


def _form(browser: Browser, action: str, which: str) -> dict[str, str]:
    """Give what is hidden in the form that is about one finding."""
    for form in re.findall(r"<form.*?</form>", browser.page, re.DOTALL):
        if f'action="{action}"' in form and f'value="{which}"' in form:
            return {
                name: html.unescape(value)
                for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
            }
    raise AssertionError(f"no form of {action} is about {which}")


def _entries(browser: Browser, at: str = AT) -> dict[str, dict[str, str]]:
    answer = browser.client.get(at, headers={"Accept": "application/json"})
    return {each["check"]: each for each in answer.json()}


def test_it_lists_the_worst_first_with_whose_they_are_where_they_stand_and_when_to_look_again(admin: Browser) -> None:
    rows = _rows(admin, "/survey")
    assert rows[0] == "192.0.2.13:8042"
    assert len(rows) == 50
    shown = _shown(admin)
    assert "Radiology / Radiology IT tel. 4711" in shown
    assert "E5 and there are records high" in shown
    assert "nobody yet" in shown
    assert "Survey 3: 1 new , 1 closed before and back , 2 gone ." in shown
    admin.get("/survey?page=2")
    assert 'rel="prev"' in admin.page
    assert 'rel="next"' not in admin.page


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("show=new", ["192.0.2.30:104"]),
        ("show=back", ["192.0.2.20:104"]),
        ("show=gone", ["192.0.2.158:4242", "192.0.2.159:4242"]),
        ("show=accepted", ["192.0.2.12:445"]),
        ("show=closed", ["192.0.2.158:4242", "192.0.2.159:4242", "192.0.2.21:104"]),
        ("text=2001:DB8", ["[2001:db8::7]:104"]),
        ("text=radiology&least=high", ["192.0.2.13:8042"]),
        ("show=%3Cb%3E&least=nonsense&page=-1&text=no-such-thing", []),
    ],
)
def test_what_is_shown_is_chosen_and_new_and_gone_are_apart(admin: Browser, query: str, rows: list[str]) -> None:
    assert sorted(_rows(admin, f"/survey?{query}")) == rows


def test_the_form_leads_to_an_address_that_can_be_kept(admin: Browser) -> None:
    admin.get("/survey?show=all")
    answer = admin.send("/survey", text="Radiology IT", least="high")
    assert str(answer.url).endswith("/survey?show=all&text=Radiology+IT&least=high")
    assert 'value="Radiology IT"' in admin.page


def test_nothing_is_sent_from_the_page_and_it_says_which_command_does(web: Web, admin: Browser) -> None:
    admin.get("/survey")
    assert f"leadglass survey run {web.leadglass.data / 'clinic.toml'}" in admin.page
    assert "No survey is begun from this page" in admin.page


def test_an_endpoint_shows_proof_limits_fixes_by_product_and_its_history(admin: Browser) -> None:
    admin.get(AT)
    shown = _shown(admin)
    for words in ("status: 0", "Retrieval was not tried.", "PS3.15 B.12", "Orthanc", "AuthenticationEnabled", "run 1"):
        assert words in shown or words == "AuthenticationEnabled", words
    assert HOSTILE in shown


def test_a_finding_is_told_said_to_be_fixed_and_accepted_each_on_record_and_in_its_history(
    web: Web, admin: Browser
) -> None:
    which = _entries(admin)["dicom-query"]["finding"]
    admin.get(AT)
    admin.post("/survey/told", {**_form(admin, "/survey/told", which), "note": "called, ticket 77"})
    assert "It is noted that the owner was told." in _shown(admin)
    assert _entries(admin)["dicom-query"]["standing"] == "told"
    assert "person:survey.admin called, ticket 77" in _shown(admin)
    until = (TODAY + timedelta(days=30)).isoformat()
    accepted = {**_form(admin, "/survey/accept", which), "until": until, "reason": f"new machine {HOSTILE}"}
    admin.post("/survey/accept", accepted)
    assert _entries(admin)["dicom-query"]["accepted_until"] == until
    assert f"accepted until {until}" in _shown(admin)
    admin.post("/survey/fixed", {**_form(admin, "/survey/fixed", which), "note": ""})
    assert _entries(admin)["dicom-query"]["standing"] == "fixed-unverified"
    assert _entries(admin)["dicom-query"]["accepted_until"] is None
    said = [event.detail for event in records(web, "manage") if event.caller == "person:survey.admin"]
    assert {str(each.get("note", "")) for each in said} >= {"called, ticket 77"}
    assert any(each.get("until") == until and HOSTILE in str(each.get("why")) for each in said)


def test_whose_it_is_is_changed_where_it_is_seen(admin: Browser) -> None:
    at = "/survey/at/192.0.2.101/4242"
    admin.get(at)
    admin.send("/survey/assign", port="4242", unit="Lab", owner="Lab IT", contact="4713")
    assert admin.status == 200
    (entry,) = _entries(admin, at).values()
    assert (entry["unit"], entry["owner"], entry["contact"]) == ("Lab", "Lab IT", "4713")
    assert _rows(admin, "/survey?text=lab+it") == ["192.0.2.101:4242"]


@pytest.mark.parametrize(
    ("action", "fields", "alert"),
    [
        ("accept", {"until": "tomorrow", "reason": "x"}, "Give the last day as in"),
        ("accept", {"until": "2020-01-01", "reason": "x"}, "until a day to come"),
        ("accept", {"until": (TODAY + timedelta(days=400)).isoformat(), "reason": "x"}, "at most a year"),
        ("accept", {"until": (TODAY + timedelta(days=9)).isoformat(), "reason": ""}, "Reason is missing."),
        ("accept", {"until": (TODAY + timedelta(days=9)).isoformat(), "reason": "a\x07b"}, "one line"),
        ("told", {"note": "<b>" + "x" * 300}, "one line of at most 200"),
        ("fixed", {"which": "0123456789"}, "There is no such finding."),
        ("fixed", {"which": ""}, "Which is missing."),
        ("assign", {"network": "192.0.2.0/28", "port": "70000", "unit": "x"}, "A port is a number"),
        ("assign", {"network": "<b>", "unit": "x"}, "no address and no network"),
        ("assign", {"network": "192.0.2.1"}, "Say whose it is"),
        ("letter", {"owner": "Nobody"}, "Nothing that is open belongs to that owner."),
    ],
)
def test_what_is_wrong_with_a_form_is_said_and_what_was_typed_is_kept(
    admin: Browser, action: str, fields: dict[str, str], alert: str
) -> None:
    which = _entries(admin)["dicom-answers"]["finding"]
    admin.get(AT)
    here = {"csrf": admin.csrf, "address": "192.0.2.10", "at_port": "104"}
    admin.post(f"/survey/{action}", {**here, "which": which, **fields})
    assert admin.status in {400, 404, 409}
    assert alert in admin.alert
    assert "<b>" not in admin.page
    if action == "accept" and fields["reason"] == "x":
        assert 'value="x"' in admin.page
    assert _entries(admin)["dicom-answers"]["standing"] == "open"


def test_a_letter_is_shown_given_as_a_file_and_marked_as_sent(web: Web, admin: Browser) -> None:
    admin.get("/survey")
    owner = f"Owner {HOSTILE}"
    here = {"csrf": admin.csrf, "owner": owner}
    admin.post("/survey/letter", here)
    assert f"To {owner}," in _shown(admin)
    assert "192.0.2.100:4242" in admin.page
    assert "192.0.2.10:104" not in admin.page
    answer = admin.post("/survey/letter", {**here, "as": "file"})
    assert answer.headers["content-disposition"] == 'attachment; filename="leadglass-notice.txt"'
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("Subject: Security notice")
    admin.post("/survey/told", here)
    assert "It is noted that the owner was told." in _shown(admin)
    assert _entries(admin, "/survey/at/192.0.2.100/4242")["dicom-answers"]["standing"] == "told"
    admin.post("/survey/letter", {**here, "owner": "Radiology IT"})
    assert "Reminder to Radiology IT" in _shown(admin)
    written = [str(event.detail.get("owner")) for event in records(web, "manage") if "letter" in str(event.detail)]
    assert owner in written


@pytest.mark.parametrize(
    ("form", "kind"),
    [("html", "text/html"), ("json", "application/json"), ("csv", "text/csv"), ("sarif", "application/sarif+json")],
)
def test_a_report_leaves_as_a_file_under_our_policy(auditor: Browser, form: str, kind: str) -> None:
    auditor.get("/survey")
    answer = auditor.post("/survey/report", {"csrf": auditor.csrf, "form": form, "run": "2"})
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"] == f'attachment; filename="leadglass-survey-2.{form}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "192.0.2.13" in answer.text
    if form == "json":
        assert json.loads(answer.text)["run"]["number"] == 2


def test_a_report_that_is_not_there_or_of_no_form_is_said_so(admin: Browser) -> None:
    admin.get("/survey")
    for fields, status in (({"run": "99"}, 404), ({"form": "exe"}, 400), ({"run": "x"}, 400)):
        assert admin.post("/survey/report", {"csrf": admin.csrf, **fields}).status_code == status


def test_an_auditor_reads_everything_and_changes_nothing(web: Web, auditor: Browser) -> None:
    assert 'href="/survey"' in auditor.get("/audit").text
    auditor.get("/survey")
    forms = set(re.findall(r'action="([^"]+)"', auditor.page))
    assert forms == {"/survey", "/survey/report", "/sign-out"}
    csrf = auditor.csrf
    auditor.get(AT)
    assert set(re.findall(r'action="([^"]+)"', auditor.page)) == {"/sign-out"}
    which = _entries(auditor)["dicom-answers"]["finding"]
    until = (TODAY + timedelta(days=9)).isoformat()
    for action, fields in (
        ("told", {"which": which}),
        ("fixed", {"which": which}),
        ("accept", {"which": which, "until": until, "reason": "x"}),
        ("assign", {"network": "192.0.2.0/24", "unit": "x"}),
        ("letter", {"owner": "Radiology IT"}),
    ):
        assert auditor.post(f"/survey/{action}", {"csrf": csrf, **fields}).status_code == 403
    assert _entries(auditor)["dicom-answers"]["standing"] == "open"
    assert any(event.outcome.value == "refused" for event in records(web, "manage"))


@pytest.mark.parametrize("role", ["radiologist", "technologist", "researcher", "referrer"])
def test_who_neither_manages_nor_audits_sees_nothing_of_it(web: Web, role: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, f"survey.{role}", role))
        assert 'href="/survey"' not in browser.page
        for path in ("/survey", AT):
            answer = browser.get(path)
            assert answer.status_code == 403
            assert "192.0.2" not in answer.text.replace("192.0.2.10/104", "")
        csrf = browser.get("/account") and browser.csrf
        assert browser.post("/survey/report", {"csrf": csrf, "form": "json"}).status_code == 403


@pytest.mark.parametrize("path", ["192.0.2.10/105", "192.0.2.10/x", "%3Cb%3E/104", "192.0.2.10/999999", "file/0"])
def test_an_endpoint_that_nobody_found_anything_at_is_not_there(admin: Browser, path: str) -> None:
    assert admin.get(f"/survey/at/{path}").status_code == 404


def test_a_form_from_elsewhere_changes_nothing(admin: Browser) -> None:
    admin.get("/survey")
    here = {"csrf": admin.csrf, "network": "192.0.2.0/24", "unit": "forged"}
    assert admin.post("/survey/assign", here, site="cross-site").status_code == 403
    assert admin.post("/survey/assign", {**here, "csrf": "x"}).status_code == 403


def test_programs_are_given_it_as_json(admin: Browser) -> None:
    made = admin.client.get("/survey", headers={"Accept": "application/json"}).json()
    assert made["stage"] == "kept"
    assert made["tally"] == {"new": 1, "back": 1, "gone": 2, "still": 64}
    assert len(made["trend"]) == 3
    assert {each["owner"] for each in made["owners"]} >= {"Radiology IT"}


# --- before there is anything ---------------------------------------------------------------


def _stage(file: Path | None) -> tuple[Stage, str]:
    made = FollowUp(file, lambda _: None, door="pages", version="0").overview(everything())
    return made.stage, made.fault


def test_each_stage_before_the_first_run_says_what_comes_next(tmp_path: Path) -> None:
    file = tmp_path / "clinic.toml"
    assert _stage(None)[0] is Stage.UNNAMED
    assert _stage(file)[0] is Stage.WITHOUT_SCOPE
    file.write_text(SCOPE.format(hostile="x", first=TODAY, last=TODAY))
    assert _stage(file) == (Stage.NEVER_RUN, "")
    file.write_text("[survey]\nno = 1\n")
    stage, fault = _stage(file)
    assert stage is Stage.NEVER_RUN
    assert "no" in fault
    State(folder_of(file)).close()
    assert _stage(file)[0] is Stage.NEVER_RUN
    assert _stage(tmp_path / "clinic.conf")[0] is Stage.UNREADABLE


def test_what_is_no_database_is_said_to_be_unreadable_and_stays_as_it_is(tmp_path: Path) -> None:
    file = survey_into(tmp_path)
    kept = folder_of(file) / "survey.db"
    for each in folder_of(file).iterdir():
        each.unlink()
    kept.write_bytes(b"not a database" * 1000)
    stage, fault = _stage(file)
    assert stage is Stage.UNREADABLE
    assert "is damaged" in fault
    assert kept.read_bytes() == b"not a database" * 1000


def test_it_is_read_while_a_survey_writes_and_says_so_where_it_cannot_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = survey_into(tmp_path)
    opened = sqlite3.connect

    def impatient(path: Path, *, isolation_level: None, timeout: float) -> sqlite3.Connection:
        return opened(path, isolation_level=isolation_level, timeout=timeout * 0.0)

    monkeypatch.setattr(sqlite3, "connect", impatient)
    follow = FollowUp(file, lambda _: None, door="pages", version="0")
    with State(folder_of(file)) as writing:
        writing.connection.execute("BEGIN IMMEDIATE")
        assert follow.overview(everything()).stage is Stage.KEPT
        assert follow.endpoint(everything(), "192.0.2.10", 104)[0].open
        with pytest.raises(Busy, match="Ask again"):
            follow.told(everything(), "192.0.2.10", "")
        writing.connection.execute("ROLLBACK")
    assert follow.told(everything(), "192.0.2.10", "")


# --- how it looks ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chrome(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


@pytest.mark.parametrize(
    ("dark", "size", "path"),
    [(False, DESKTOP, "/survey?show=all&text=radiology"), (True, PHONE, "/survey/at/192.0.2.12/445")],
    ids=["light desk", "dark phone"],
)
def test_a_full_page_has_no_serious_fault_of_access_and_asks_nobody_else(
    web: Web, chrome: Chromium, *, dark: bool, size: dict[str, int], path: str
) -> None:
    name = add_person(web, "survey.look", "admin")
    with visiting(chrome, web.url, dark=dark, size=size) as visit:
        sign_in(visit, name, GOOD)
        visit.page.goto(path)
        visit.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert visit.faults_of_access() == []
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.page.goto("/survey?text=radiology")
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.page.get_by_role("button", name="Write the letter to Radiology IT").click()
        if dark:
            assert visit.faults_of_access() == []
        assert visit.violations == []
        assert visit.hosts == {web.url.removeprefix("https://")}
    assert "unsafe" not in PAGE_POLICY


def test_findings_and_endpoints_are_counted_under_their_names(admin: Browser) -> None:
    page = admin.get("/survey").text
    assert page.index("Findings, of which an endpoint may have several:") < page.index('<dl class="drop-counts"')
    assert page.index("Endpoints with findings:") < page.index('<nav class="tabs"')
