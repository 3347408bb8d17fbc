"""The pages of a study in a real browser: by keyboard, by wheel, without scripts, and when the session is over."""

import re
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from leadglass.dicom.part10 import file_meta
from tests.doors.pages.browser import GOOD, add_person
from tests.peers.browser import DESKTOP, PHONE, Visit, chromium, sign_in, visiting
from tests.peers.web import Web
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

STUDY = "1.2.826.0.1.3680043.10.1"
STACK, CINE, PAPER = f"{STUDY}.2", f"{STUDY}.3", f"{STUDY}.4"
US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SLICES, FRAMES = 12, 6
BRIGHTNESS = """() => {
  const image = document.querySelector("#picture"), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const drawing = canvas.getContext("2d");
  drawing.drawImage(image, 0, 0, 8, 8);
  return drawing.getImageData(4, 4, 1, 1).data[0];
}"""
DOCUMENT = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj trailer<</Root 1 0 R>>\n%%EOF "
)


def _image(series: str, number: int, frames: int = 0, **more: object) -> bytes:
    values = np.empty((frames or 1, 8, 8), dtype="<u2")
    values[:] = (number * 80 + np.arange(frames or 1) * 100)[:, None, None]
    given: dict[str, object] = {
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": f"{series}.{number}",
        "InstanceNumber": number,
        "WindowCenter": "500",
        "WindowWidth": "1000",
        "PixelData": values.tobytes(),
        "PatientID": "look-1",
        "AccessionNumber": "look-1",
    }
    if frames:
        given |= {"NumberOfFrames": frames, "SOPClassUID": US_MULTI_FRAME, "Modality": "US", "FrameTime": "50"}
    return encoded(data_set(**(given | more)))


@pytest.fixture(scope="module")
def browser(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Generator[Chromium]:
    folder = tmp_path_factory.mktemp("look")
    with chromium(web.certificate) as running:
        for number in range(1, SLICES + 1):
            _put(folder, CT, f"{STACK}.{number}", _image(STACK, number, SeriesDescription="Stack", SeriesNumber=1))
        cine = _image(CINE, 1, FRAMES, SeriesDescription="Cine", SeriesNumber=2)
        _put(folder, US_MULTI_FRAME, f"{CINE}.1", cine)
        paper: dict[str, object] = {}
        paper.update(dict.fromkeys(("PixelData", "Rows", "Columns", "BitsAllocated", "SamplesPerPixel")))
        paper |= {"MIMETypeOfEncapsulatedDocument": "application/pdf", "EncapsulatedDocument": DOCUMENT}
        paper |= {"SOPClassUID": PDF, "Modality": "DOC", "SeriesNumber": 3, "SeriesDescription": "Paper"}
        _put(folder, PDF, f"{PAPER}.1", _image(PAPER, 1, 0, **paper))
        web.leadglass.do("import", folder)
        yield running


def _put(folder: Path, sop_class: str, uid: str, data: bytes) -> None:
    (folder / uid).write_bytes(file_meta(sop_class, uid, EXPLICIT) + data)


@pytest.fixture
def visit(web: Web, browser: Chromium) -> Generator[Visit]:
    name = add_person(web, "looker", "radiologist")
    with visiting(browser, web.url) as visit:
        sign_in(visit, name, GOOD)
        yield visit


def _ready(page: Page) -> None:
    expect(page.locator("#stage[data-ready]")).to_be_focused()


def _where(page: Page, text: str) -> None:
    expect(page.locator("#where")).to_have_text(text)


def test_one_goes_through_images_by_keyboard_and_sees_each(visit: Visit) -> None:
    page = visit.page
    page.goto(f"/look/{STUDY}")
    _ready(page)
    _where(page, f"Image 1 of {SLICES}")
    dark = page.evaluate(BRIGHTNESS)
    for key, number in (
        ("ArrowDown", 2), ("ArrowRight", 3), ("ArrowUp", 2), ("End", SLICES), ("Home", 1), ("PageDown", 11),
    ):  # fmt: skip
        page.keyboard.press(key)
        _where(page, f"Image {number} of {SLICES}")
    assert page.evaluate(BRIGHTNESS) > dark + 100, "another image is there, not only another word"
    assert page.url.endswith(f"/look/{STUDY}/{STACK}/{STACK}.11")
    assert page.locator("#picture").get_attribute("alt") == f"Image 11 of {SLICES}, CT series 1: Stack"
    page.keyboard.press("2")  # soft tissue
    expect(page.locator("#picture")).to_have_attribute("src", re.compile("window=40,400"))
    page.keyboard.press("i")
    expect(page.locator("#stage.inverted")).to_have_count(1)
    assert page.url.endswith("?window=soft&invert=1")
    page.keyboard.press("Tab")
    expect(page.locator("#slide")).to_be_focused()
    page.keyboard.press("ArrowRight")
    _where(page, f"Image {SLICES} of {SLICES}")
    page.reload()
    _ready(page)
    expect(page.locator("#stage.inverted")).to_have_count(1)
    _where(page, f"Image {SLICES} of {SLICES}")
    assert visit.violations == []


def test_the_wheel_and_the_buttons_go_through_images_too(visit: Visit) -> None:
    page = visit.page
    page.goto(f"/look/{STUDY}/{STACK}/{STACK}.5")
    _ready(page)
    page.locator("#stage").hover()
    page.mouse.wheel(0, 120)
    _where(page, f"Image 8 of {SLICES}")
    page.get_by_role("link", name="Previous").click()
    _where(page, f"Image 7 of {SLICES}")
    page.get_by_role("link", name="Lung").click()
    expect(page.locator("#picture")).to_have_attribute("src", re.compile("window=-600,1500"))
    page.get_by_role("link", name="Automatic").click()
    expect(page.locator("#picture")).to_have_attribute("src", re.compile("&window=automatic$"))
    page.get_by_role("link", name="As stored").click()
    expect(page.locator("#picture")).to_have_attribute("src", re.compile(r"/picture\?viewport=\d+,\d+$"))
    assert "window" not in page.url


def test_frames_play_and_stop(visit: Visit) -> None:
    page = visit.page
    page.goto(f"/look/{STUDY}/{CINE}")
    _ready(page)
    _where(page, f"Image 1 of 1, frame 1 of {FRAMES}")
    first = page.evaluate(BRIGHTNESS)
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"before => ({BRIGHTNESS})() > before + 50", arg=first)
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")
    assert visit.violations == []


def test_when_the_session_is_over_one_signs_in_again_and_comes_back_to_the_image(visit: Visit) -> None:
    page = visit.page
    page.goto(f"/look/{STUDY}/{STACK}/{STACK}.9")
    _ready(page)
    page.context.clear_cookies()
    page.keyboard.press("Home")
    expect(page.locator("#name")).to_be_visible()
    page.fill("#name", "looker")
    page.fill("#password", GOOD)
    page.click("form button")
    _ready(page)
    _where(page, f"Image 9 of {SLICES}")
    assert visit.page.evaluate(BRIGHTNESS) >= 0


def test_everything_can_be_done_without_scripts(web: Web, browser: Chromium) -> None:
    name = add_person(web, "looker", "radiologist")
    with visiting(browser, web.url, scripts=False) as visit:
        sign_in(visit, name, GOOD)
        page = visit.page
        page.goto(f"/studies/{STUDY}")
        page.get_by_role("link", name="Quick look").click()
        _where(page, f"Image 1 of {SLICES}")
        page.get_by_role("link", name="Next").click()
        _where(page, f"Image 2 of {SLICES}")
        page.get_by_role("link", name="Last").click()
        page.get_by_role("link", name="Bone").click()
        _where(page, f"Image {SLICES} of {SLICES}")
        page.get_by_role("link", name=re.compile("^Cine")).click()
        page.get_by_text("Frames", exact=True).click()
        page.get_by_role("link", name="4", exact=True).click()
        _where(page, f"Image 1 of 1, frame 4 of {FRAMES}")
        page.get_by_role("link", name="Study", exact=True).click()
        page.get_by_role("link", name=re.compile("attributes of series 1")).click()
        page.get_by_role("link", name=re.compile("^Attributes of 1$")).click()
        page.fill("#sought", "Accession")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#attributes tbody tr")).to_have_count(1)
        assert "Accession" not in page.url


def test_a_document_is_shown_in_the_page(visit: Visit) -> None:
    page = visit.page
    with page.expect_response(re.compile(r"/file\?show=1")) as answer:
        page.goto(f"/documents/{STUDY}/{PAPER}/{PAPER}.1")
    assert answer.value.status == 200
    assert answer.value.headers["content-type"] == "application/pdf"
    expect(page.locator("iframe.paper")).to_be_visible()
    assert visit.violations == []


def test_attributes_are_filtered_while_one_types(visit: Visit) -> None:
    page = visit.page
    page.goto(f"/studies/{STUDY}/series/{STACK}/instances/{STACK}.1")
    page.fill("#sought", "patient")
    expect(page.locator("#attributes-status")).to_have_text(re.compile(r"^rows that hold it: \d$"))
    expect(page.locator("#attributes tbody tr:visible").first).to_contain_text("Patient")
    assert page.url.endswith(f"/instances/{STACK}.1")


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_no_page_of_a_study_has_a_serious_fault_of_access(
    web: Web, browser: Chromium, *, dark: bool, size: dict[str, int]
) -> None:
    name = add_person(web, "looker-tech", "technologist")
    with visiting(browser, web.url, dark=dark, size=size) as visit:
        sign_in(visit, name, GOOD)
        for path in (
            f"/studies/{STUDY}",
            f"/studies/{STUDY}/series/{STACK}",
            f"/studies/{STUDY}/series/{STACK}/instances/{STACK}.1",
            f"/studies/{STUDY}/delete",
            f"/look/{STUDY}",
            f"/look/{STUDY}/{CINE}?window=automatic&invert=1",
            f"/documents/{STUDY}/{PAPER}/{PAPER}.1",
            "/studies/1.2.3.99",
        ):
            visit.page.goto(path)
            assert visit.faults_of_access() == [], path
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert visit.violations == []
        assert visit.hosts == {web.url.removeprefix("https://")}
