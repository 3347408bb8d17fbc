"""The audit log in a browser: what is shown, to whom, and that looking is on record."""

import html
import io
import re
import time

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from leadglass.app import App
from leadglass.audit.event import Event, Outcome
from leadglass.audit.export import export
from leadglass.audit.inspection import messages
from leadglass.audit.proof import check_export
from leadglass.audit.reading import Selection
from tests.doors.pages.browser import Browser, add_person, records
from tests.peers.web import Web

PATIENT = "P<4711>"
STUDY = "1.2.826.0.1.3680043.8.498.4711"


def _append(web: Web, *events: Event) -> None:
    with App().open(web.leadglass.data) as opened:
        for event in events:
            opened.audit.append(event)


def _rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row" class="number">(\d+)</th>', page)


def test_the_newest_is_first_and_says_in_words_what_happened(web: Web) -> None:
    add_person(web, "auditor.of.words", "auditor")
    with Browser(web) as browser:
        browser.sign_in("auditor.of.words")
        browser.get("/audit")
        numbers = [int(each) for each in _rows(browser.page)]
        assert numbers == sorted(numbers, reverse=True)
        assert "auditor.of.words</strong> looked at records of the audit log" in browser.page
        assert "auditor.of.words</strong> signed in with a password" in browser.page


def test_conditions_narrow_and_pages_lead_on_without_gaps(web: Web) -> None:
    add_person(web, "auditor.of.paging", "auditor")
    _append(
        web,
        *(
            Event(Outcome.PERMITTED, "get", "person:pager", "10.77.0.1", "pages", "a test", STUDY, detail={"n": n})
            for n in range(120)
        ),
        Event(Outcome.REFUSED, "get", "person:pager", "10.77.0.2", "dimse", "not granted"),
    )
    with Browser(web) as browser:
        browser.sign_in("auditor.of.paging")
        browser.get("/audit")
        browser.post("/audit", {"csrf": browser.csrf, "caller": "pager", "outcome": "permitted"})
        seen = _rows(browser.page)
        while found := re.search(r'href="([^"]+)" rel="next"', browser.page):
            browser.get(html.unescape(found[1]))
            seen += _rows(browser.page)
        assert len(seen) == 120
        assert [int(each) for each in seen] == list(range(int(seen[0]), int(seen[0]) - 120, -1))
        for fields, expected in (
            ({"caller": "pager", "outcome": "look"}, 1),
            ({"caller": "person:pager", "outcome": "refused"}, 1),
            ({"peer": "10.77.0.2"}, 1),
            ({"peer": "10.77.0.2", "door": "pages"}, 0),
            ({"peer": "10.77.0.1", "action": "get", "door": "pages"}, 50),
            ({"caller": "nobody.here"}, 0),
            ({"caller": "pager", "until": "2020-01-01T00:00"}, 0),
            ({"caller": "pager", "since": "2020-01-01T00:00", "outcome": "refused"}, 1),
        ):
            browser.get("/audit")
            browser.post("/audit", {"csrf": browser.csrf, **fields})
            assert len(_rows(browser.page)) == expected, fields
        assert len(_rows(browser.get(f"/audit?study={STUDY}&outcome=permitted").text)) == 50


def test_searching_the_log_is_on_record_with_what_was_asked(web: Web) -> None:
    add_person(web, "auditor.of.records", "auditor")
    with Browser(web) as browser:
        browser.sign_in("auditor.of.records")
        browser.get("/audit")
        browser.post("/audit", {"csrf": browser.csrf, "caller": "somebody.watched", "peer": "10.66.6.6"})
    asked = [e for e in records(web, "audit") if e.caller == "person:auditor.of.records"]
    assert asked[-1].detail == {"asked": "show", "caller": "somebody.watched", "peer": "10.66.6.6"}
    assert asked[-1].door == "pages"


def test_who_saw_a_patient_is_found_without_naming_the_patient_anywhere(web: Web) -> None:
    add_person(web, "auditor.of.patients", "auditor")
    token = web.token("service", name="sender-of-patients")
    _store(web, token)
    with Browser(web) as browser:
        browser.sign_in("auditor.of.patients")
        browser.get("/audit")
        answer = browser.post("/audit", {"csrf": browser.csrf, "patient": PATIENT})
        assert "4711>" not in str(answer.url)
        assert "1 study of this patient" in browser.page
        assert "sender-of-patients" in browser.page
        assert "Secret^Name" not in browser.page
        shown = re.sub(r'<input id="patient"[^>]*>', "", browser.page)
        assert "P&lt;4711&gt;" not in shown, "what was typed stands in its own field, and nowhere else"
        address = str(answer.url)
        browser.post("/audit", {"csrf": browser.csrf, "patient": "nobody"})
        assert "no study with this Patient ID" in browser.page
        assert _rows(browser.page) == []
        browser.get("/audit?patient=P%3C4711%3E")
        assert "of this patient;" not in browser.page, "never by an address"
        with Browser(web) as other:
            add_person(web, "another.auditor", "auditor")
            other.sign_in("another.auditor")
            other.get(address.removeprefix(web.url))
            assert "That search is forgotten" in other.page
    asked = [e for e in records(web, "audit") if e.detail.get("asked") == "who saw a patient"]
    assert asked[0].study_uid == STUDY
    assert all("4711>" not in str(e) for e in asked)


def _store(web: Web, token: str) -> None:
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = f"{STUDY}.1.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    dataset.PatientID, dataset.PatientName, dataset.Modality = PATIENT, "Secret^Name", "OT"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.file_meta = meta
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n--b--\r\n"
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
        "Accept": "application/dicom+json",
    }
    with web.client(token) as client:
        assert client.post("/dicom-web/studies", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("role", ["radiologist", "technologist", "referrer", "researcher", "admin"])
def test_who_does_not_audit_reads_verifies_and_takes_out_nothing(web: Web, role: str) -> None:
    name = add_person(web, f"unaudited-{role}", role)
    with Browser(web) as browser:
        browser.sign_in(name)
        csrf = {"csrf": browser.csrf}
        assert 'href="/audit"' not in browser.page
        for path in ("/audit", f"/audit?study={STUDY}", "/audit/verify"):
            assert browser.get(path).status_code == 403
        for path, fields in (
            ("/audit", {"patient": PATIENT}),
            ("/audit", {"since": "nonsense"}),
            ("/audit/verify", {}),
            ("/audit/export", {"format": "leadglass"}),
            ("/audit/export", {"format": "nonsense"}),
        ):
            browser.post(path, {**csrf, **fields})
            assert browser.status == 403, (path, fields)
        assert browser.post("/audit/export", {}).status_code == 403


def test_what_cannot_be_read_is_said_and_what_was_typed_stays(web: Web) -> None:
    add_person(web, "auditor.of.slips", "auditor")
    with Browser(web) as browser:
        browser.sign_in("auditor.of.slips")
        browser.get("/audit")
        for fields in (
            {"since": "yesterday"},
            {"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"},
            {"outcome": "maybe"},
            {"caller": "x" * 300},
        ):
            browser.post("/audit", {"csrf": browser.csrf, **fields})
            assert browser.status == 400
            assert browser.alert
        assert browser.get("/audit?since=nonsense").status_code == 400
        assert browser.get("/audit?before=nonsense").status_code == 200
        assert browser.get(f"/audit?before={'9' * 400}&s={'x' * 400}").status_code == 200


def test_hostile_records_are_shown_harmlessly_and_within_bounds(web: Web) -> None:
    add_person(web, "auditor.of.hostility", "auditor")
    bad = "<script>alert(1)</script>\"'\x00\x1b[31m\u202e" + "W" * 5_000
    _append(web, Event(Outcome.ALERT, bad, f"device:{bad}", bad, bad, bad, bad, bad, {bad: bad, "n": 5}))
    with Browser(web) as browser:
        browser.sign_in("auditor.of.hostility")
        browser.get("/audit")
        assert "<script>alert" not in browser.page
        assert "&lt;script&gt;alert" in browser.page
        assert "\x1b" not in browser.page
        assert "\u202e" not in browser.page
        assert browser.get("/audit?caller=%3Cscript%3Ealert(1)%3C/script%3E").status_code == 200
        assert "<script>alert" not in browser.page


def test_a_break_glass_leads_to_its_review(web: Web) -> None:
    add_person(web, "auditor.of.glass", "auditor")
    add_person(web, "reader.of.glass", "referrer", "patient=1")
    with Browser(web) as browser, Browser(web) as theirs:
        theirs.sign_in("reader.of.glass")
        theirs.get("/break-glass")
        theirs.post(
            "/break-glass", {"csrf": theirs.csrf, "field": "patient", "value": "2", "reason": "unconscious in 3"}
        )
        browser.sign_in("auditor.of.glass")
        browser.get("/audit")
        browser.post("/audit", {"csrf": browser.csrf, "caller": "reader.of.glass", "outcome": "look"})
        assert 'href="/break-glass/review">To the review' in browser.page


def test_the_log_is_verified_from_the_page(web: Web) -> None:
    add_person(web, "auditor.of.proof", "auditor")
    with Browser(web) as browser:
        browser.sign_in("auditor.of.proof")
        browser.get("/audit/verify")
        browser.send("/audit/verify")
        end = time.monotonic() + 60
        while "It runs" in browser.page and time.monotonic() < end:
            time.sleep(0.1)
            browser.get("/audit/verify")
        assert "The log is whole" in browser.page
        assert re.search(r"Tree head</dt><dd class=\"uid\">[A-Za-z0-9+/&#;=]{40,}", browser.page)
        state = browser.client.get("/audit/verify", headers={"Accept": "application/json"}).json()
        assert state["last"]["ok"] is True
    done = [e for e in records(web, "audit") if e.detail.get("asked") == "verify" and e.outcome is Outcome.DONE]
    assert done[-1].detail["root"] == state["last"]["root"]


@pytest.mark.parametrize("form", ["leadglass", "dicom-xml", "fhir"])
def test_what_is_taken_out_is_what_the_command_line_gives(web: Web, form: str) -> None:
    add_person(web, "auditor.of.exports", "auditor")
    _append(web, Event(Outcome.PERMITTED, "get", "person:exported", "10.1.1.1", "pages", "a test", STUDY))
    with Browser(web) as browser:
        browser.sign_in("auditor.of.exports")
        browser.get("/audit")
        browser.post("/audit", {"csrf": browser.csrf, "caller": "exported"})
        answer = browser.send("/audit/export", format=form)
        assert answer.status_code == 200
        assert "attachment" in answer.headers["Content-Disposition"]
    with App().open(web.leadglass.data) as opened:
        selection = Selection(caller="exported")
        if form == "leadglass":
            proof = check_export(io.BytesIO(answer.content), opened.audit.verifier, [])
            assert proof.ok
            assert proof.records == len(opened.audit.records(caller="exported"))
            theirs = io.BytesIO()
            export(opened.audit, selection, theirs.write)
            mine = [line for line in answer.content.splitlines() if b'"record":' in line]
            assert mine == [line for line in theirs.getvalue().splitlines() if b'"record":' in line]
        else:
            with opened.audit.reader() as reader:
                assert answer.content == b"".join(messages(reader, form, selection, opened.config.ae_title))
    taken = [e for e in records(web, "audit") if e.detail.get("asked") == "export"]
    assert taken[-1].detail["caller"] == "exported"


def test_a_program_reads_the_log_by_json(web: Web) -> None:
    with web.client(web.token("auditor", name="siem")) as client:
        accept = {"Accept": "application/json"}
        first = client.get("/audit?limit=2", headers=accept).json()
        assert len(first["records"]) == 2
        second = client.get(f"/audit?limit=2&before={first['older']}", headers=accept).json()
        assert second["records"][0]["sequence"] == first["records"][-1]["sequence"] - 1


@pytest.mark.parametrize("asked", ["action=bogus", "door=bogus", "action=get&door=bogus"])
def test_what_cannot_be_on_record_is_an_error_that_names_it_and_not_an_empty_log(web: Web, asked: str) -> None:
    add_person(web, "auditor.of.bogus", "auditor")
    add_person(web, "reader.of.bogus", "radiologist")
    with Browser(web) as browser, Browser(web) as reader:
        browser.sign_in("auditor.of.bogus")
        assert browser.get(f"/audit?{asked}").status_code == 400
        assert "called bogus" in browser.alert
        assert "No record" not in browser.page
        assert browser.client.get(f"/audit?{asked}", headers={"Accept": "application/json"}).status_code == 400
        browser.get("/audit")
        offered = re.findall(r'<option value="([a-z-]+)"[^>]*>[a-z-]+ . ([^<]+)<', browser.page)
        assert {("signin", "signing in"), ("dimse", "DICOM: devices")} <= set(offered)
        reader.sign_in("reader.of.bogus")
        assert reader.get(f"/audit?{asked}").status_code == 403
