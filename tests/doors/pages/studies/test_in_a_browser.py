"""The study list in a real browser: typing, what arrives, going back, and what it looks like to everybody."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from tests.doors.pages.browser import GOOD, add_person
from tests.doors.pages.studies.listhouse import Sender
from tests.peers.browser import DESKTOP, PATIENCE, PHONE, chromium, sign_in, visiting
from tests.peers.web import Web

WIDE = {"width": 3840, "height": 2000}


@pytest.fixture(scope="module")
def browser(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


@pytest.fixture(scope="module")
def sender(web: Web) -> Sender:
    """Sends, and has sent thirty studies of one patient."""
    made = Sender(web, "seen-sender")
    made.send(
        *(
            {
                "StudyInstanceUID": f"1.60.{number}",
                "PatientID": "SEEN-1",
                "PatientName": ["Seen^Sarah", "Other^Otto"][number % 2],
                "StudyDescription": ["CT Thorax", "w" * 64, "<b>bold</b>"][number % 3],
                "StudyDate": f"2026010{1 + number % 9}",
            }
            for number in range(30)
        )
    )
    return made


def test_typing_finds_keeps_the_focus_and_going_back_leads_to_the_same_list(
    web: Web, browser: Chromium, sender: Sender
) -> None:
    name = add_person(web, "seen-types", "radiologist", "patient=SEEN-1")
    with visiting(browser, web.url) as visit:
        page = visit.page
        sign_in(visit, name, GOOD)
        expect(page.locator("#count")).to_contain_text("30 studies")
        page.locator("#anything").press_sequentially("sarah tho", delay=40)
        expect(page.locator("#count")).to_contain_text("5 studies found", timeout=PATIENCE)
        expect(page.locator("#heard")).to_contain_text("5 studies found")
        assert page.evaluate("document.activeElement.id") == "anything"
        assert page.input_value("#anything") == "sarah tho"
        address = page.url
        assert "sarah" not in address
        assert "?s=" in address
        page.locator("tbody th a").first.click()
        page.wait_for_url("**/studies/1.60.*")
        page.go_back()
        expect(page.locator("#count")).to_contain_text("5 studies found", timeout=PATIENCE)
        assert page.url == address
        assert page.input_value("#anything") == "sarah tho"
        page.locator("label[for=period-today]").click()
        expect(page.locator("#count")).to_contain_text("No study found", timeout=PATIENCE)
        page.go_back()
        expect(page.locator("#count")).to_contain_text("5 studies found", timeout=PATIENCE)
        assert visit.violations == []
        assert not any("sarah" in each.lower() for each in visit.requests)


def test_what_arrives_is_told_and_moves_nothing_until_somebody_wants_to_see_it(
    web: Web, browser: Chromium, sender: Sender
) -> None:
    name = add_person(web, "seen-waits", "radiologist", "patient=SEEN-2", "patient=SEEN-1")
    with visiting(browser, web.url) as visit:
        page = visit.page
        sign_in(visit, name, GOOD)
        first = page.locator("tbody th a").first.get_attribute("href")
        sender.send(
            {"StudyInstanceUID": "1.61.1", "PatientID": "SEEN-2", "StudyDate": "20261231"},
            {"StudyInstanceUID": "1.61.2", "PatientID": "SEEN-2", "StudyDate": "20261231"},
        )
        told = page.locator("#arrivals")
        expect(told).to_contain_text("2 new studies", timeout=PATIENCE)
        assert told.get_attribute("role") == "status"
        assert page.locator("tbody th a").first.get_attribute("href") == first
        told.get_by_role("link").click()
        expect(page.locator("tbody th a").first).to_have_attribute("href", "/studies/1.61.1", timeout=PATIENCE)
        expect(told).to_be_empty()


@pytest.mark.parametrize(
    ("dark", "size"), [(False, DESKTOP), (True, PHONE), (True, WIDE)], ids=["light desk", "dark phone", "dark wall"]
)
def test_everybody_can_read_it_and_nothing_hangs_over(
    web: Web, browser: Chromium, sender: Sender, *, dark: bool, size: dict[str, int]
) -> None:
    name = add_person(web, "seen-looks", "radiologist", "patient=SEEN-1")
    with visiting(browser, web.url, dark=dark, size=size) as visit:
        sign_in(visit, name, GOOD)
        visit.page.locator("summary").first.click()
        for _ in range(2):
            assert visit.faults_of_access() == []
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            with visit.page.expect_navigation():
                visit.page.get_by_role("button", name="pictures").click()
        assert visit.violations == []


def test_it_works_without_scripts_and_by_keyboard(web: Web, browser: Chromium, sender: Sender) -> None:
    name = add_person(web, "seen-types", "radiologist", "patient=SEEN-1")
    with visiting(browser, web.url, scripts=False) as visit:
        sign_in(visit, name, GOOD)
        visit.page.fill("#anything", "otto")
        visit.page.press("#anything", "Enter")
        expect(visit.page.locator("#count")).to_contain_text("15 studies found")
        visit.page.locator("th a.sort", has_text="Patient ID").press("Enter")
        expect(visit.page.locator("th[aria-sort]")).to_contain_text("Patient ID")
        expect(visit.page.locator("#count")).to_contain_text("15 studies found")
