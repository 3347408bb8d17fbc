"""Pages as a browser shows them: readable by everybody, in light and in darkness, on a phone and on a desk."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser as Chromium

from tests.doors.pages.browser import GOOD, add_person
from tests.peers.browser import DESKTOP, PHONE, chromium, sign_in, visiting
from tests.peers.web import Web


@pytest.fixture(scope="module")
def browser(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


PATHS = {
    "radiologist": ("/account", "/account/tokens"),
    "admin": ("/account", "/people", "/people/new", "/people/account/look-admin", "/tokens", "/system", "/survey"),
    "auditor": ("/audit", "/audit/verify", "/survey"),
}


@pytest.mark.parametrize("role", list(PATHS))
@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_a_page_has_no_serious_fault_of_access_and_asks_nobody_else(
    web: Web, browser: Chromium, role: str, *, dark: bool, size: dict[str, int]
) -> None:
    name = add_person(web, f"look-{role}", role)
    with visiting(browser, web.url, dark=dark, size=size) as visit:
        sign_in(visit, name, GOOD)
        for path in PATHS[role]:
            visit.page.goto(path)
            assert visit.faults_of_access() == []
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        entries = visit.page.locator("header .menu a:visible")
        if role == "admin" and size == PHONE:  # more entries than a phone has room for: they are folded
            assert entries.count() == 0
            visit.page.click("header summary")
            assert visit.faults_of_access() == []
        assert entries.count() > 0
        boxes = entries.evaluate_all("all => all.map(one => one.getBoundingClientRect())")
        assert all(0 <= box["left"] < box["right"] <= size["width"] for box in boxes)
        assert visit.violations == []
        assert visit.hosts == {web.url.removeprefix("https://")}
