"""The pages of quarantine: who sees it, what they see, and that a decision is what was shown."""

import re
from collections.abc import Generator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect

from leadglass.doors.pages.quarantine.groups import grouped, numbers_of
from leadglass.errors import BadInput
from tests.doors.pages.browser import GOOD, Browser, add_person, records
from tests.doors.pages.quarantine_house import contradict, data_of, hand_in
from tests.peers.browser import DESKTOP, PHONE, chromium, sign_in, visiting
from tests.peers.web import Web
from tests.vault.sets import instance

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def person(web: Web) -> Generator[Browser]:
    add_person(web, "keeper", "technologist")
    with Browser(web) as browser:
        browser.sign_in("keeper")
        yield browser


def listed(person: Browser, **query: str) -> list[dict[str, object]]:
    return person.client.get("/quarantine", params=query, headers=JSON).json()


def test_who_may_not_decide_sees_nothing_of_it(web: Web) -> None:
    hand_in(data_of(web), instance(StudyInstanceUID="1.2.99.0", PatientID="HIDDEN"))
    for role in ("radiologist", "admin", "auditor", "referrer", "researcher"):
        add_person(web, f"q-{role}", role)
        with Browser(web) as browser:
            browser.sign_in(f"q-{role}")
            for path in ("/quarantine", "/quarantine/1", "/quarantine/1/picture", "/quarantine/1/stored"):
                answer = browser.get(path)
                assert answer.status_code in {403, 404}
                assert "HIDDEN" not in answer.text
            assert 'href="/quarantine"' not in browser.page


def test_what_was_handed_in_is_one_row_and_filed_at_once(web: Web, person: Browser) -> None:
    study = "1.2.99.1"
    hand_in(data_of(web), *(instance(StudyInstanceUID=study, InstanceNumber=n, PatientID="P-99") for n in range(12)))
    person.get("/quarantine?reason=submitted")
    row = next(each for each in re.findall(r"<tr>.*?</tr>", person.page, re.DOTALL) if study in each)
    assert "P-99" in row
    assert ">12</a>" in row
    assert "received through a link" in row
    name, numbers = re.findall(r'name="(group-\d+)"[^>]*value="([^"]+)"', row)[0]
    assert person.client.get(f"/dicom-web/studies/{study}/metadata", headers=JSON).status_code == 404
    answer = person.post("/quarantine/confirm", {"csrf": person.csrf, name: numbers, "decision": "accept"})
    assert "File 12 instances?" in answer.text
    assert listed(person, study=study)
    answer = person.send("/quarantine/resolve")
    assert "12 instances filed" in answer.text
    assert not listed(person, study=study)
    assert len(person.client.get(f"/dicom-web/studies/{study}/metadata", headers=JSON).json()) == 12
    mine = [each for each in records(web, "resolve") if each.study_uid == study]
    assert [(each.outcome.value, each.detail["instances"]) for each in mine] == [("permitted", 12), ("done", 12)]


def test_one_is_shown_beside_what_is_stored_with_what_differs(web: Web, person: Browser) -> None:
    contradict(data_of(web), "1.2.99.2.1", "1.2.99.2", StudyDescription="<b>Abdomen</b>", StationName="\u202eevil")
    [kept] = listed(person, study="1.2.99.2")
    person.get(f"/quarantine/{kept['number']}")
    rows = dict(re.findall(r'<th scope="row">([^<]+?)\s*<span.*?</th>(.*?)</tr>', person.page, re.DOTALL))
    assert "&lt;b&gt;Abdomen&lt;/b&gt;" in rows["Study"]
    assert "Thorax" in rows["Study"]
    assert "\u202e" not in person.page
    assert "Station Name" in rows
    assert "Patient ID" not in rows
    for which in ("picture", "stored"):
        picture = person.client.get(f"/quarantine/{kept['number']}/{which}")
        assert picture.headers["Content-Type"] == "image/jpeg"
        assert Image.open(BytesIO(picture.content)).size[0] >= 8
    asked = [each.detail.get("asked") for each in records(web, "resolve") if each.study_uid == "1.2.99.2"]
    assert asked == ["look", "picture", "picture"]
    said = person.client.get(f"/quarantine/{kept['number']}", headers=JSON).json()
    assert {each["name"] for each in said["differences"]} == {"Study", "Station Name"}


def test_accepting_changes_places_and_says_that_it_can_be_taken_back(web: Web, person: Browser) -> None:
    contradict(data_of(web), "1.2.99.3.1", "1.2.99.3", StudyID="S9")
    [kept] = listed(person, study="1.2.99.3")
    person.get(f"/quarantine/{kept['number']}")
    person.send("/quarantine/confirm", decision="accept")
    assert "can be taken back" in person.send("/quarantine/resolve").text
    [other] = listed(person, study="1.2.99.3")
    assert other["number"] != kept["number"]


def test_the_same_instance_says_that_nothing_is_lost(web: Web, person: Browser) -> None:
    data = instance(StudyInstanceUID="1.2.99.4", SOPInstanceUID="1.2.99.4.1")
    hand_in(data_of(web), data)
    [kept] = listed(person, study="1.2.99.4")
    person.post("/quarantine/resolve", {"csrf": csrf(person), "numbers": str(kept["number"]), "decision": "accept"})
    hand_in(data_of(web), data)
    [kept] = listed(person, study="1.2.99.4")
    assert "byte for byte" in person.get(f"/quarantine/{kept['number']}").text
    answer = person.client.post(
        "/quarantine/resolve",
        json={"numbers": str(kept["number"]), "decision": "discard"},
        headers={**JSON, "x-leadglass-csrf": csrf(person)},
    )
    assert answer.json()["results"][0]["done"]


def csrf(person: Browser) -> str:
    person.get("/account")
    return person.csrf


@pytest.mark.parametrize(
    "fields",
    [
        {"numbers": "1", "decision": "keep"},
        {"numbers": "1-999999", "decision": "discard"},
        {"numbers": "", "decision": "discard"},
        {"numbers": "x", "decision": "discard"},
        {"numbers": "1" * 40, "decision": "discard"},
    ],
)
def test_a_decision_that_is_none_changes_nothing(person: Browser, fields: dict[str, str]) -> None:
    before = listed(person)
    answer = person.post("/quarantine/resolve", {"csrf": csrf(person), **fields})
    assert answer.status_code == 400
    assert listed(person) == before


def test_what_somebody_else_decided_meanwhile_is_named(person: Browser) -> None:
    answer = person.post("/quarantine/resolve", {"csrf": csrf(person), "numbers": "900000", "decision": "discard"})
    assert "could not be deleted" in answer.text
    assert "Number 900000" in answer.text


@pytest.mark.parametrize("path", ["/quarantine/0", "/quarantine/x", "/quarantine/-1", "/quarantine/" + "9" * 30])
def test_a_number_that_is_not_there_is_not_here(person: Browser, path: str) -> None:
    assert person.get(path).status_code == 404


def test_a_picture_of_what_is_malformed_is_not_here_and_takes_nothing_down(web: Web, person: Browser) -> None:
    broken = [
        instance(StudyInstanceUID="1.2.99.5", Rows=60_000, Columns=60_000),
        instance(StudyInstanceUID="1.2.99.5", BitsAllocated=7),
        instance(StudyInstanceUID="1.2.99.5", PixelData=None),
        instance(StudyInstanceUID="1.2.99.5", PhotometricInterpretation="PALETTE COLOR"),
    ]
    hand_in(data_of(web), *broken)
    for kept in listed(person, study="1.2.99.5"):
        assert person.client.get(f"/quarantine/{kept['number']}/picture", headers=JSON).status_code == 404
        assert person.get(f"/quarantine/{kept['number']}").status_code == 200


def test_hostile_values_are_cut_and_escaped(web: Web, person: Browser) -> None:
    evil = '"><script>alert(1)</script>'
    hand_in(
        data_of(web),
        instance(StudyInstanceUID="1.2.99.6", PatientID=evil, PatientName=evil * 100, StudyDescription="x" * 60_000),
        origin="link-<i>",
    )
    [kept] = listed(person, study="1.2.99.6")
    for path in ("/quarantine", f"/quarantine/{kept['number']}"):
        text = person.get(path).text
        assert "<script>alert" not in text
        assert "<i>" not in text
        assert len(text) < 100_000


def test_numbers_are_read_as_they_are_written() -> None:
    assert numbers_of("3-5, 9") == [3, 4, 5, 9]
    for wrong in ("", "5-3", "1-5001", "-1", "1,,", "\u0661", "1-2-3"):
        try:
            assert numbers_of(wrong) in ([], [1])
        except BadInput:
            continue
    assert grouped([]) == []


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_it_is_readable_and_works_in_a_browser(web: Web, *, dark: bool, size: dict[str, int]) -> None:
    study = f"1.2.99.7.{int(dark)}"
    contradict(data_of(web), f"{study}.1", study, StudyDescription="Abdomen")
    name = add_person(web, "keeper", "technologist")
    with chromium(web.certificate) as running, visiting(running, web.url, dark=dark, size=size) as visit:
        page = visit.page
        sign_in(visit, name, GOOD)
        for path in ("/quarantine", f"/quarantine?study={study}"):
            page.goto(path)
            assert visit.faults_of_access() == []
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.click("tbody td a")
        expect(page.locator("figure img")).to_have_count(2)
        page.wait_for_function("() => [...document.images].every((each) => each.complete && each.naturalWidth)")
        assert visit.faults_of_access() == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        with page.expect_navigation():
            page.click("button.danger")
        assert visit.faults_of_access() == []
        page.click("button.danger")
        expect(page.locator(".done")).to_contain_text("1 instance deleted")
        assert visit.violations == []
        assert visit.hosts == {web.url.removeprefix("https://")}
