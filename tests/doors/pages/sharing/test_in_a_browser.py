"""Sharing in a real browser: one person makes a link, another with a clean profile opens it, and it is ended."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from leadglass.doors.pages.viewer.site import read_site
from leadglass.doors.web.evidence import SHARE_COOKIE
from tests.doors.cli.clihouse import file_of, image, uid
from tests.doors.pages.browser import GOOD, add_person, records
from tests.doors.pages.sharing.sharehouse import FIRST, PATIENT, SECOND, on_the_command_line, stored, study
from tests.peers.browser import DESKTOP, PHONE, Visit, chromium, sign_in, visiting
from tests.peers.web import Web

CLOSED = "This link does not open anything any more"


@pytest.fixture(scope="module", autouse=True)
def studies(web: Web) -> None:
    stored(web, FIRST, SECOND)


@pytest.fixture(scope="module")
def browser(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


def look_at(visit: Visit, name: str) -> None:
    """Check what every page has to be, and keep a picture where somebody wants to look at it."""
    assert visit.faults_of_access() == []
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if folder := os.environ.get("LEADGLASS_PICTURES"):
        visit.picture(Path(folder) / f"{name}.png")


def make(visit: Visit, name: str, *chosen: str) -> tuple[str, str]:
    """Make a link at the page; gives it and its number."""
    visit.page.goto(f"/shares/new?study={study(FIRST)}")
    look_at(visit, f"{name}-new")
    for choice in chosen:
        visit.page.check(f"#{choice}")
    visit.page.fill("#note", "Referring practice")
    visit.page.click("main form button")
    visit.page.wait_for_selector("#link")
    code = visit.page.locator("#code")
    return visit.page.input_value("#link"), code.inner_text().replace(" ", "") if code.count() else ""


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_a_link_goes_from_one_browser_to_another_and_is_ended(
    web: Web, browser: Chromium, *, dark: bool, size: dict[str, int]
) -> None:
    where = "phone" if size is PHONE else "desk"
    with (
        visiting(browser, web.url, dark=dark, size=size) as sharer,
        visiting(browser, web.url, dark=dark, size=size) as visitor,
    ):
        sign_in(sharer, add_person(web, "browser-sharer"), GOOD)
        link, code = make(sharer, where, "what-download", "lock-pin")
        look_at(sharer, f"{where}-made")
        assert link in sharer.page.input_value("#text")
        assert code not in sharer.page.input_value("#text")
        secret = link.split("#")[1]

        visitor.page.goto(link)
        assert "#" not in visitor.page.url, "the secret is out of the address bar"
        look_at(visitor, f"{where}-open")
        visitor.page.click("main form button")
        visitor.page.wait_for_selector("#code")
        visitor.page.fill("#code", "000000" if code != "000000" else "111111")
        visitor.page.click("main form button")
        visitor.page.wait_for_selector("#error")
        look_at(visitor, f"{where}-number")
        visitor.page.fill("#code", code)
        visitor.page.click("main form button")
        visitor.page.wait_for_url("**/shared")
        assert f"Study {FIRST}" in visitor.page.inner_text("main")
        picture = visitor.page.locator("main img").first
        picture.scroll_into_view_if_needed()
        picture.evaluate("each => each.decode()")
        look_at(visitor, f"{where}-shared")
        visitor.page.click("text=Look at the images")
        visitor.page.wait_for_url(f"**/look/{study(FIRST)}")
        look_at(visitor, f"{where}-look")
        found = visitor.page.evaluate(
            """async (patient) => {
                const answer = await fetch(`/dicom-web/studies?PatientID=${patient}&includefield=all`,
                                           {headers: {Accept: "application/dicom+json"}});
                return (await answer.json()).map(each => each["0020000D"].Value[0]);
            }""",
            PATIENT,
        )
        assert found == [study(FIRST)], "what a viewer asks of the same patient shows nothing more"
        assert "leadglass-share" not in visitor.page.evaluate("document.cookie")

        sharer.page.goto("/shares")
        look_at(sharer, f"{where}-links")
        sharer.page.click("text=Referring practice >> nth=0")
        assert "opened the link" in sharer.page.inner_text("main")
        look_at(sharer, f"{where}-link")
        sharer.page.click("text=End this link now")
        sharer.page.wait_for_selector("text=It was ended on")

        visitor.page.goto("/shared")
        assert CLOSED in visitor.page.inner_text("main")
        look_at(visitor, f"{where}-closed")
        assert not any(each.get("name") == SHARE_COOKIE for each in visitor.page.context.cookies())
        visitor.page.goto(link)
        visitor.page.click("main form button")
        visitor.page.wait_for_selector(f"text={CLOSED}")
        for visit in (sharer, visitor):
            assert visit.violations == []
            assert visit.hosts == {web.url.removeprefix("https://")}
            # Chromium lists what was asked for, with Referer, without fragments.
            assert not any(secret in each for each in visit.requests if "#" not in each)
    assert any(each.outcome == "permitted" for each in records(web, "share"))


def test_a_link_is_opened_without_scripts_by_pasting_it(web: Web, browser: Chromium) -> None:
    with visiting(browser, web.url) as sharer, visiting(browser, web.url, scripts=False) as visitor:
        sign_in(sharer, add_person(web, "browser-sharer"), GOOD)
        link, _ = make(sharer, "plain", "what-look", "lock-none")
        visitor.page.goto(link.split("#")[0])
        visitor.page.fill("#secret", link)
        visitor.page.click("main form button")
        visitor.page.wait_for_url("**/shared")
        assert f"Study {FIRST}" in visitor.page.inner_text("main")
        assert visitor.page.locator("text=Download").count() == 0
        visitor.page.goto(f"/look/{study(FIRST)}")
        assert visitor.page.locator("main img").count()
        visitor.page.goto(f"/studies/{study(FIRST)}")
        assert "There is nothing here" in visitor.page.inner_text("main") or visitor.page.title()


@pytest.mark.skipif(read_site() is None, reason="the build made no viewer: make install")
def test_the_viewer_shows_what_a_link_is_for_and_asks_for_nothing_else(web: Web, browser: Chromium) -> None:
    add_person(web, "browser-sharer")
    link = on_the_command_line(web, "browser-sharer", FIRST)
    with visiting(browser, web.url) as visitor:
        refused: list[str] = []
        visitor.page.on("response", lambda each: refused.append(each.url) if each.status >= 400 else None)
        visitor.page.goto(f"{link.path}#{link.secret}")
        visitor.page.click("main form button")
        visitor.page.wait_for_url("**/shared")
        visitor.page.click("text=Open in the viewer")
        visitor.page.wait_for_selector("canvas")
        visitor.page.wait_for_selector(f"text=Study {FIRST}")
        assert visitor.page.locator(f"text=Study {SECOND}").count() == 0
        assert not [each for each in visitor.requests if study(SECOND) in each]
        assert refused == []
        assert visitor.violations == []
        assert visitor.hosts == {web.url.removeprefix("https://")}


def test_files_are_sent_in_by_a_link(web: Web, browser: Chromium, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in (1, 2)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(file_of(image(7_400, 1, number)))
    with visiting(browser, web.url) as asker, visiting(browser, web.url, size=PHONE) as sender:
        sign_in(asker, add_person(web, "browser-receiver", "technologist"), GOOD)
        asker.page.goto("/shares/receive")
        look_at(asker, "receive-new")
        asker.page.fill("#note", "Practice B")
        asker.page.check("#lock-none")
        asker.page.click("main form button")
        link = asker.page.input_value("#link")
        sender.page.goto(link)
        sender.page.click("main form button")
        sender.page.wait_for_url("**/shared")
        look_at(sender, "receive-send")
        sender.page.set_input_files("#drop-files", [str(path) for path in paths])
        if sender.page.locator("#drop-run").is_hidden():
            sender.page.click("#drop-send")
        sender.page.wait_for_selector("text=Done", timeout=60_000)
        look_at(sender, "receive-done")
        assert uid(7_400) not in sender.page.inner_text("main")
        asker.page.goto("/shares")
        asker.page.click("text=Practice B >> nth=0")
        assert "2 of 5000 files" in asker.page.inner_text("main")
        assert sender.violations == []
