"""The study list as browsers without scripts, programs and strangers to a session see it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from leadglass.doors.pages.studies.listing import ROWS, ROWS_WHILE_TYPING
from tests.doors.pages.browser import Browser, add_person, records
from tests.doors.pages.studies.listhouse import Sender, count, rows
from tests.peers.web import Web

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
MINE = "LIST-1"
"""The patient of this module's studies: whoever looks sees these alone."""


@pytest.fixture(scope="module")
def reader(web: Web) -> str:
    """Somebody who sees sixty studies of one patient, who has many names."""
    Sender(web, "list-sender").send(
        *(
            {
                "StudyInstanceUID": f"1.50.{number}",
                "PatientID": MINE,
                "PatientName": ["Listed^Lina", "Möller^Hans Jörg", "O'Hara^Pat"][number % 3],
                "StudyDate": f"202601{1 + number // 3:02}",
                "StudyTime": f"{number % 24:02}0000",
                "StudyDescription": ["CT Thorax", "MR Knie links"][number % 2],
                "Modality": ["CT", "MR"][number % 2],
                "AccessionNumber": f"ACC-{number:03}",
            }
            for number in range(60)
        )
    )
    return add_person(web, "list-reader", "radiologist", f"patient={MINE}")


NEWEST_FIRST = [f"1.50.{number}" for number in sorted(range(60), key=lambda n: (-(n // 3), -(n % 24), n))]


def test_who_may_find_studies_begins_at_the_list_and_others_do_not(web: Web, reader: str) -> None:
    with Browser(web) as browser, Browser(web) as admin:
        browser.sign_in(reader)
        assert rows(browser.page) == NEWEST_FIRST[:ROWS]
        admin.sign_in(add_person(web, "list-admin", "admin"))
        assert "Welcome, list-admin" in admin.page
        assert admin.get("/studies").status_code == 403


def test_without_scripts_a_form_leads_to_a_list_whose_address_says_nothing_of_patients(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        answer = browser.client.post(
            "/studies",
            data={"csrf": browser.csrf, "anything": "möller knie"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 303
        address = answer.headers["Location"]
        assert re.fullmatch(r"/studies\?s=[A-Za-z0-9_-]{16}", address)
        browser.get(address)
        wanted = [uid for uid in NEWEST_FIRST if int(uid[5:]) % 6 == 1]
        assert rows(browser.page) == wanted
        assert count(browser.page) == f"{len(wanted)} studies found"
        assert 'value="möller knie"' in browser.page
        browser.get(f"{address}&sort=date&turned=1")
        assert rows(browser.page) == wanted[::-1]


BOXES: list[tuple[dict[str, str], Callable[[int], bool]]] = [
    ({"name": "jörg mol"}, lambda n: n % 3 == 1),
    ({"name": "O'Hara"}, lambda n: n % 3 == 2),
    ({"name": "Moler", "fuzzy": "1"}, lambda n: n % 3 == 1),
    ({"name": "Moler"}, lambda _: False),
    ({"patient_id": "list-"}, lambda _: True),
    ({"accession": "acc-01"}, lambda n: n // 10 == 1),
    ({"description": "thor"}, lambda n: n % 2 == 0),
    ({"modality": "MR"}, lambda n: n % 2 == 1),
    ({"period": "range", "since": "2026-01-03", "until": "2026-01-04"}, lambda n: n // 3 in (2, 3)),
    ({"period": "range", "since": "2026-01-04", "until": "2026-01-03"}, lambda n: n // 3 in (2, 3)),
    ({"period": "range", "since": "2026-01-19"}, lambda n: n // 3 >= 18),
    ({"period": "today"}, lambda _: False),
    ({"anything": "1.50.7"}, lambda n: n == 7),
]


def test_each_box_finds_what_it_is_for(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        for boxes, wanted in BOXES:
            browser.get("/studies")
            browser.send("/studies", **boxes)
            assert rows(browser.page) == [uid for uid in NEWEST_FIRST if wanted(int(uid[5:]))][:ROWS], boxes


def test_pages_go_on_where_the_last_one_ended_and_back(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        for sort in ("", "&sort=patient", "&sort=received", "&sort=patient-id"):
            browser.send("/studies", patient_id=MINE)
            here = re.search(r'data-address="([^"]+)"', browser.page)
            assert here
            first = browser.get(here[1] + sort).text
            assert len(rows(first)) == ROWS
            older = re.search(r'href="([^"]+)" rel="next"', first)
            assert older
            second = browser.get(older[1].replace("&amp;", "&")).text
            assert len(rows(second)) == 10
            assert set(rows(first)) | set(rows(second)) == set(NEWEST_FIRST)
            assert "51 to 60" in count(second)
            newer = re.search(r'href="([^"]+)" rel="prev"', second)
            assert newer
            assert rows(browser.get(newer[1].replace("&amp;", "&")).text) == rows(first)
        assert rows(browser.get("/studies?page=99999").text), "a page that is not known is the last that is"


def test_a_search_is_worth_something_in_its_session_alone(web: Web, reader: str) -> None:
    with Browser(web) as browser, Browser(web) as other:
        browser.sign_in(reader)
        browser.send("/studies", anything="knie")
        address = re.search(r'data-address="([^"]+)"', browser.page)
        assert address
        other.sign_in(reader)
        other.get(address[1])
        assert "That search is over" in other.page
        assert "knie" not in other.page.split('id="results"')[0]
        assert rows(other.page) == NEWEST_FIRST[:ROWS]


def test_while_somebody_types_few_rows_are_shown_and_the_address_comes_beside_them(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        fields = {"csrf": browser.csrf, "anything": "li", "passing": "1"}
        said = {"Sec-Fetch-Site": "same-origin", "x-leadglass-part": "results"}
        answer = browser.client.post("/studies", data=fields, headers=said)
        assert answer.status_code == 200
        assert len(rows(answer.text)) == ROWS_WHILE_TYPING
        assert "<html" not in answer.text
        assert "Show all that were found" in answer.text
        address = answer.headers["X-Leadglass-Address"]
        again = browser.client.post("/studies", data=fields | {"s": address[11:]}, headers=said)
        assert again.headers["X-Leadglass-Address"] != address
        assert "That search is over" in browser.get(address).text, "one took the other's place"
        assert len(rows(browser.get(again.headers["X-Leadglass-Address"]).text)) == ROWS


@pytest.mark.parametrize(
    "fields",
    [
        {"anything": "x" * 300},
        {"period": "tomorrow"},
        {"period": "range", "since": "yesterday"},
        {"modality": "CT\\MR"},
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_listed(web: Web, reader: str, fields: dict[str, str]) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        browser.post("/studies", {"csrf": browser.csrf, **fields})
        assert browser.status == 400
        assert browser.alert
        assert rows(browser.page) == []


def test_hostile_words_are_looked_for_and_come_back_escaped(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        for hostile in (HOSTILE, "' OR 1=1 --", "%_*?\\", "\u202e\u0000\ud7ff", "((((", "a" * 200):
            browser.send("/studies", anything=hostile)
            assert browser.status == 200
            assert rows(browser.page) == []
            assert "<script>alert" not in browser.page
            assert "<img src=x" not in browser.page


def test_hostile_attributes_are_shown_as_text_and_cut(web: Web) -> None:
    Sender(web, "hostile-sender").send(
        {
            "StudyInstanceUID": "1.51.1",
            "PatientID": "HOSTILE-1",
            "PatientName": HOSTILE[:60] + "^x",
            "StudyDescription": HOSTILE,
            "AccessionNumber": "<b>",
            "StudyDate": None,
            "PatientBirthDate": None,
            "PatientSex": "<x>",
            "Modality": "<i>",
        },
        {"StudyInstanceUID": "1.51.2", "PatientID": "HOSTILE-1", "StudyDescription": "w" * 60_000, "PatientName": ""},
    )
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "list-hostile", "radiologist", "patient=HOSTILE-1"))
        assert set(rows(browser.page)) == {"1.51.1", "1.51.2"}
        shown = browser.page.split('id="results"')[1]
        assert not re.search(r"<(script|img|b|i|x)\b", shown.replace("<bdi", ""))
        assert "w" * 121 not in shown


def test_who_sees_no_names_is_not_offered_to_search_or_sort_by_them_and_is_refused_when_trying(
    web: Web, reader: str
) -> None:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "list-researcher", "researcher", f"patient={MINE}"))
        assert set(rows(browser.page)) <= set(NEWEST_FIRST)
        shown = browser.page.split('id="results"')[1]
        for hidden in ("Listed", "Möller", "ACC-0", "LIST-1", "sort=patient"):
            assert hidden not in shown
        assert 'name="name"' not in browser.page
        # By the free box: only in what is left.
        browser.post("/studies", {"csrf": browser.csrf, "anything": "möller"})
        assert rows(browser.page) == []
        browser.post("/studies", {"csrf": browser.csrf, "anything": "knie"})
        assert len(rows(browser.page)) == 30
        for field, value in (("name", "möller"), ("patient_id", MINE), ("accession", "ACC-001")):
            browser.post("/studies", {"csrf": browser.csrf, field: value})
            assert browser.status == 403
        by_name = rows(browser.get("/studies?sort=patient").text)
        assert by_name == rows(browser.get("/studies").text), "an order that would tell is not given"


@pytest.mark.parametrize(
    ("role", "scope", "status", "many"),
    [
        ("radiologist", (f"patient={MINE}",), 200, 50),
        ("technologist", (f"patient={MINE}",), 200, 50),
        ("referrer", ("study=1.50.3",), 200, 1),
        ("referrer", ("patient=NOBODY",), 200, 0),
        ("researcher", ("study=1.50.3", "study=1.50.4"), 200, 2),
        ("admin", (), 403, 0),
        ("auditor", (), 403, 0),
    ],
)
def test_each_role_lists_what_its_scope_covers(
    web: Web, reader: str, role: str, scope: tuple[str, ...], status: int, many: int
) -> None:
    with Browser(web) as browser:
        browser.sign_in(add_person(web, f"list-{role}-{many}", role, *scope))
        browser.get("/studies")
        assert browser.status == status
        assert len(rows(browser.page)) == many
        if status == 200:
            browser.send("/studies", description="thorax")
            assert set(rows(browser.page)) <= set(NEWEST_FIRST)


def test_a_program_gets_the_same_as_json(web: Web, reader: str) -> None:
    token = web.token("service", name="list-program", scope=(f"patient={MINE}",))
    with web.client(token) as client:
        listed = client.get("/studies", headers={"Accept": "application/json"}).json()
        assert [each["study"] for each in listed["studies"]] == NEWEST_FIRST[:ROWS]
        assert (listed["total"], listed["is_total_exact"]) == (60, True)
        found = client.post("/studies", json={"anything": "knie", "sort": "received"}).json()
        assert [each["study"] for each in found["studies"]] == [f"1.50.{n}" for n in range(59, -1, -2)]
        assert {datetime.fromisoformat(each["received"]).utcoffset() for each in found["studies"]} == {timedelta(0)}
        assert client.post("/studies", json={"period": "never"}).status_code == 400


def test_a_search_is_on_record_with_what_was_asked_about_and_not_what_it_was(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        browser.send("/studies", name="Verysecret", modality="MR")
        kept = [each for each in records(web, "find") if each.caller == f"person:{reader}"]
        assert kept[-1].detail["keys"] == "ModalitiesInStudy, PatientName"
        assert not any("Verysecret" in str(each) for each in kept)


def test_what_arrives_is_told_to_who_may_see_it(web: Web, reader: str) -> None:
    sender = Sender(web, "news-sender")
    with Browser(web) as browser, Browser(web) as other:
        browser.sign_in(add_person(web, "news-reader", "radiologist", "patient=NEWS-1"))
        other.sign_in(add_person(web, "news-other", "radiologist", "patient=OTHER-1"))
        since = [re.search(r'data-since="([^"]+)"', each.page) for each in (browser, other)]
        assert all(since)
        sender.send({"StudyInstanceUID": "1.52.1", "PatientID": "NEWS-1"})
        news = [
            each.client.get("/studies/news", params={"since": found[1] if found else ""}).json()
            for each, found in zip((browser, other), since, strict=True)
        ]
        assert [each["new"] for each in news] == [1, 0]
        again = browser.client.get("/studies/news", params={"since": news[0]["since"]}).json()
        assert again["new"] == 0
        assert browser.client.get("/studies/news?since=nonsense").status_code == 400
        assert other.client.get("/studies/news", params={"since": news[0]["since"]}).status_code == 400


def test_pictures_are_shown_when_somebody_wants_them(web: Web, reader: str) -> None:
    with Browser(web) as browser:
        browser.sign_in(reader)
        assert "/thumbnail" not in browser.page
        browser.send("/studies/pictures", pictures="1")
        assert browser.page.count("/thumbnail") == ROWS
        browser.send("/studies/pictures", pictures="0")
        assert "/thumbnail" not in browser.page


def test_who_has_no_study_opened_and_who_finds_none_read_what_to_do(web: Web) -> None:
    with Browser(web) as browser, Browser(web) as referrer:
        referrer.sign_in(add_person(web, "list-referrer", "referrer"))
        assert referrer.status == 200
        assert "No study is opened for you yet" in referrer.page
        browser.sign_in(add_person(web, "list-nobody", "radiologist", "patient=NOBODY"))
        assert "Nothing here is yours to see yet" in browser.page, "whether there is anything else is not told"
        assert "There are no studies yet" not in browser.page
        assert '<a class="button second" href="/break-glass">Emergency access</a>' in browser.page
        browser.send("/studies", anything="x")
        assert "Clear the search" in browser.page


def test_every_modality_is_offered_and_one_that_nobody_defined_where_it_is(web: Web) -> None:
    study = {"StudyInstanceUID": "1.59.1", "PatientID": "LIST-ODD", "PatientName": "Listed^Odd"}
    Sender(web, "list-odd-sender").send({**study, "Modality": "ODDITY"})
    with Browser(web) as browser:
        browser.sign_in(add_person(web, "list-odd", "radiologist", "patient=LIST-ODD"))
        offered = re.findall(r'<option(?: value="([A-Z0-9]+)")?>([^<]+)</option>', browser.page)
        assert {"OT", "SC", "PR", "KO", "SEG", "DOC", "RTDOSE", "RTPLAN", "SR"} <= {code for code, _ in offered}
        assert ("", "ODDITY") in offered
        assert len(offered) == len(set(offered))
        browser.send("/studies", modality="OT")
        assert "No study found" in browser.page
        browser.send("/studies", modality="ODDITY")
        assert rows(browser.page) == ["1.59.1"]
        assert "<option selected>ODDITY</option>" in browser.page
