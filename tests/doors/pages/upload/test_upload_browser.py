"""The upload page in a real browser: dropping, choosing, breaking off and going on."""

import base64
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Route, expect

from tests.doors.pages.browser import GOOD, add_person
from tests.doors.pages.upload.sending import file_of, zipped
from tests.peers.browser import DESKTOP, PHONE, Visit, chromium, sign_in, visiting
from tests.peers.web import Web, serving


@pytest.fixture(scope="module")
def browser(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


@pytest.fixture
def visit(web: Web, browser: Chromium) -> Generator[Visit]:
    name = add_person(web, "dropper", "technologist")
    with visiting(browser, web.url) as visit:
        sign_in(visit, name, GOOD)
        visit.page.goto("/upload")
        yield visit


def counted(page: Page) -> dict[str, int]:
    """Give what the tiles say."""
    return counted_by(page, "#drop-counts > div")


def counted_by(page: Page, selector: str) -> dict[str, int]:
    tiles = page.locator(selector)
    return {
        tile.locator("dt").inner_text(): int(tile.locator("dd").inner_text().replace(",", "")) for tile in tiles.all()
    }


def wait_done(page: Page) -> None:
    expect(page.locator("#drop-state")).to_contain_text("Done", timeout=60_000)


def files(folder: Path, count: int, **attributes: object) -> list[Path]:
    made: list[Path] = []
    for number in range(count):
        made.append(folder / f"image {number}.dcm")
        made[-1].write_bytes(file_of(InstanceNumber=number + 1, **attributes))
    return made


def test_chosen_files_are_sent_and_named_with_what_became_of_them(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    made = files(tmp_path, 3, StudyInstanceUID="1.2.88.1")
    (tmp_path / "readme.txt").write_text("no image, and long enough to be looked at " * 9)
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(300))
    (tmp_path / "cd.zip").write_bytes(
        zipped(("a", file_of(StudyInstanceUID="1.2.88.1")), ("b.exe", b"MZ" + bytes(900)))
    )
    page.set_input_files("#drop-files", [*made, *(tmp_path / n for n in ("readme.txt", "broken.dcm", "cd.zip"))])
    wait_done(page)
    assert counted(page) == {"stored": 4, "not taken": 2, "left out": 1}
    rows = page.locator("#drop-rows tr")
    expect(rows).to_have_count(2)
    assert page.locator("#drop-studies a").get_attribute("href") == "/studies/1.2.88.1"
    page.set_input_files("#drop-files", made)
    expect(page.locator("#drop-counts")).to_contain_text("was here already")
    assert visit.violations == []
    assert visit.faults_of_access() == []


def test_studies_that_came_are_named_by_whom_and_when_they_are_of(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    for number, name in enumerate(("Upload^Ada", "Upload^Ben<b>")):
        more = {"PatientName": name, "StudyDate": f"2026010{number + 1}", "StudyDescription": "Knee"}
        (tmp_path / f"{number}.dcm").write_bytes(file_of(StudyInstanceUID=f"1.2.87.{number}", **more))
    page.set_input_files("#drop-files", [tmp_path / "0.dcm", tmp_path / "1.dcm"])
    wait_done(page)
    links = page.locator("#drop-studies a")
    expect(links.filter(has_text="Open the study: Upload, Ada · 2026-01-01 · Knee")).to_have_count(1)
    expect(links.filter(has_text="Open the study: Upload, Ben<b> · 2026-01-02 · Knee")).to_have_count(1)
    assert not any("Upload" in each for each in visit.requests)


DROP = """(files) => {
  const held = new DataTransfer();
  for (const [name, content] of files) {
    held.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true });
    document.getElementById("drop").dispatchEvent(event);
  }
}"""


def test_files_are_dropped_anywhere_on_the_page(visit: Visit) -> None:
    page = visit.page
    made = [[f"<img src=x onerror=alert(1)> {n}", base64.b64encode(file_of()).decode()] for n in range(2)]
    page.evaluate(DROP, [*made, ["DICOMDIR", "eA=="], ["Thumbs.db", "eA=="], ["nothing.dcm", ""]])
    wait_done(page)
    assert counted(page) == {"stored": 2, "not taken": 1, "left out": 2}
    page.select_option("#drop-show", "all")
    expect(page.locator("#drop-rows tr")).to_have_count(5)
    expect(page.locator("#drop-rows img")).to_have_count(0)
    assert visit.violations == []


def test_a_folder_is_walked(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    inner = tmp_path / "cd" / "IMAGES" / "S1"
    inner.mkdir(parents=True)
    files(inner, 4)
    (tmp_path / "cd" / "DICOMDIR").write_bytes(b"x" * 400)
    (tmp_path / "cd" / "AUTORUN.INF").write_bytes(b"[autorun]" * 60)
    page.set_input_files("#drop-folder", tmp_path / "cd")
    wait_done(page)
    assert counted(page) == {"stored": 4, "left out": 2}


def test_who_is_signed_out_in_the_middle_signs_in_in_another_tab_and_goes_on(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    made = files(tmp_path, 5)
    page.context.clear_cookies()
    page.set_input_files("#drop-files", made)
    expect(page.locator("#drop-alert")).to_contain_text("session has ended")
    expect(page.locator("#drop-sign-in a")).to_be_visible()
    other = page.context.new_page()
    other.goto("/sign-in")
    other.fill("#name", "dropper")
    other.fill("#password", GOOD)
    other.click("form button")
    other.wait_for_url(lambda url: "/sign-in" not in url)
    other.close()
    page.bring_to_front()
    if page.locator("#drop-go").is_visible():
        page.click("#drop-go")
    wait_done(page)
    assert counted(page) == {"stored": 5}


def test_what_was_broken_off_goes_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    """The archive is killed in the middle; the page waits for it, and a new page asks before it sends."""
    made = files(tmp_path, 150, StudyInstanceUID="1.2.88.2")
    with serving(tmp_path / "archive") as web:
        process, port = web.doors.process, web.address[1]
        name = add_person(web, "breaker", "technologist")
        with chromium(web.certificate) as browser, visiting(browser, web.url) as visit:
            page = visit.page
            sign_in(visit, name, GOOD)
            page.goto("/upload")
            sent: list[int] = []

            def kill_at_the_third(route: Route) -> None:
                sent.append(1)
                if len(sent) == 3:
                    process.kill()
                    process.wait()
                route.continue_()

            page.route("**/upload/files", kill_at_the_third)
            page.set_input_files("#drop-files", made)
            expect(page.locator("#drop-alert")).to_contain_text("does not answer")
            page.unroute("**/upload/files")
            with web.leadglass.serve("--http", f"127.0.0.1:{port}"):
                wait_done(page)
                told = counted(page)
                assert sum(told.values()) == 150
                assert told.keys() <= {"stored", "was here already"}
                page.evaluate("localStorage.setItem('leadglass-upload-broken-off', '1')")
                page.goto("/upload")
                expect(page.locator(".note")).to_contain_text("broken off")
                before = len([each for each in visit.requests if each.endswith("/upload/files")])
                page.set_input_files("#drop-files", made)
                wait_done(page)
                assert counted(page) == {"was here already": 150}
                assert len([each for each in visit.requests if each.endswith("/upload/files")]) == before
                assert page.evaluate("localStorage.length") == 0


def test_it_works_without_scripts(web: Web, browser: Chromium, tmp_path: Path) -> None:
    name = add_person(web, "dropper", "technologist")
    with visiting(browser, web.url, scripts=False) as visit:
        page = visit.page
        sign_in(visit, name, GOOD)
        page.goto("/upload")
        page.set_input_files("#drop-files", files(tmp_path, 2))
        page.click("#drop-send")
        expect(page.locator("tbody tr")).to_have_count(2)
        assert counted_by(page, ".drop-counts > div") == {"stored": 2}
        page.goto("/upload")
        page.click("#drop-send")
        expect(page.locator("[role=alert]").first).to_contain_text("Choose one or more files")


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_it_is_readable_with_files_and_without(
    web: Web, browser: Chromium, tmp_path: Path, *, dark: bool, size: dict[str, int]
) -> None:
    name = add_person(web, "dropper", "technologist")
    with visiting(browser, web.url, dark=dark, size=size) as visit:
        sign_in(visit, name, GOOD)
        visit.page.goto("/upload")
        assert visit.faults_of_access() == []
        (tmp_path / ("long name " * 18)).write_bytes(b"x" * 500)
        visit.page.set_input_files("#drop-files", [*files(tmp_path, 2), tmp_path / ("long name " * 18)])
        wait_done(visit.page)
        assert visit.faults_of_access() == []
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert visit.violations == []
