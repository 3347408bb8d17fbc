"""The viewer in a real browser, pixels looked at: what it shows, what it saves, and what it says when it cannot.

One archive and one browser for all; ``LEADGLASS_LONG=1`` opens every way of keeping images by itself.
"""

import json
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from leadglass.doors.pages.viewer.site import read_site
from tests.corpus import CorpusFile
from tests.doors.pages.browser import GOOD, add_person
from tests.peers import phantoms
from tests.peers.browser import PATIENCE, Visit, chromium, sign_in, visiting
from tests.peers.running import wait_until
from tests.peers.viewer import Viewer
from tests.peers.web import Web, serving

ASKS = "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
"""Whether somebody who leaves the page is asked."""

HOSTILE = "\"'><script>document.title='Ran'</script><img src=x onerror=document.title='Ran'>{{7*7}}"


@dataclass(frozen=True, slots=True)
class Stock:
    """What the archive holds."""

    syntaxes: phantoms.Study
    ct: phantoms.Study
    alone: dict[str, phantoms.Study]
    ultrasound: phantoms.Study
    mammogram: phantoms.Study
    segmented: phantoms.Study
    outlined: phantoms.Study
    hostile: phantoms.Study
    bare: phantoms.Study
    odd: phantoms.Study
    report: str
    other: phantoms.Study


def _stock(folder: Path) -> Stock:
    first = phantoms.ct(folder, slices=1)
    for syntax in phantoms.SYNTAXES:
        if syntax != "explicit":
            phantoms.ct(folder, slices=1, syntax=syntax, study=first.uid, SeriesDescription=syntax)
    is_long = bool(os.environ.get("LEADGLASS_LONG"))
    segmented = phantoms.ct(folder, slices=6)
    phantoms.segmentation(folder, segmented)
    outlined = phantoms.ct(folder, slices=6)
    phantoms.structure_set(folder, outlined)
    odd = phantoms.ct(folder)
    phantoms.odd_report(folder, odd.uid)
    report = phantoms.generate_uid()
    phantoms.odd_report(folder, report)
    texts = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "Manufacturer", "ProtocolName")
    more = ("InstitutionName", "StationName", "ReferringPhysicianName", "AccessionNumber", "ImageComments")
    return Stock(
        syntaxes=first,
        ct=phantoms.ct(folder, slices=16),
        alone={each: phantoms.ct(folder, syntax=each) for each in phantoms.SYNTAXES} if is_long else {},
        ultrasound=phantoms.ultrasound(folder),
        mammogram=phantoms.mammography(folder),
        segmented=segmented,
        outlined=outlined,
        hostile=phantoms.ct(folder, **dict.fromkeys((*texts, *more), HOSTILE)),
        bare=phantoms.ct(folder, Modality=None, PatientID="SAME"),
        odd=odd,
        report=report,
        other=phantoms.ct(folder, PatientID="SAME", StudyDescription="Not to be seen"),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Web, Stock]]:
    if read_site() is None:
        pytest.skip("The viewer was left out of this build (LEADGLASS_NO_VIEWER).")
    folder = tmp_path_factory.mktemp("viewer")
    files = folder / "in"
    files.mkdir()
    stock = _stock(files)
    with serving(folder / "archive") as web:
        web.leadglass.do("import", files)
        add_person(web, "reader")
        yield web, stock


@pytest.fixture(scope="module")
def web(made: tuple[Web, Stock]) -> Web:
    return made[0]


@pytest.fixture(scope="module")
def stock(made: tuple[Web, Stock]) -> Stock:
    return made[1]


@pytest.fixture(scope="module")
def browser(web: Web) -> Generator[Chromium]:
    with chromium(web.certificate) as running:
        yield running


@pytest.fixture(scope="module")
def reader(web: Web, browser: Chromium) -> Generator[Visit]:
    """Give a radiologist who is signed in, with a browser that keeps files from test to test."""
    with visiting(browser, web.url) as visit:
        sign_in(visit, "reader", GOOD)
        yield visit


@pytest.fixture
def viewer(web: Web, reader: Visit) -> Generator[Viewer]:
    """Give the viewer; whatever a test does, nothing was forbidden and nobody else was asked."""
    reader.console.clear()
    yield Viewer(reader)
    assert reader.violations == []
    assert reader.hosts == {web.url.removeprefix("https://")}


def _is_the_pattern(large: int, small: int, ground: int) -> bool:
    return large > 235 and 100 < small < 155 and ground < 20


def test_images_of_every_transfer_syntax_are_shown_as_they_are(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.syntaxes.uid)
    shown = viewer.thumbnails(len(phantoms.SYNTAXES))
    assert len(shown) == len(phantoms.SYNTAXES)
    assert all(_is_the_pattern(*each) for each in shown), shown
    viewer.pattern()


@pytest.mark.skipif(not os.environ.get("LEADGLASS_LONG"), reason="LEADGLASS_LONG=1 opens each by itself.")
@pytest.mark.parametrize("syntax", phantoms.SYNTAXES)
def test_a_study_in_each_transfer_syntax_opens_by_itself(viewer: Viewer, stock: Stock, syntax: str) -> None:
    viewer.open(stock.alone[syntax].uid)
    viewer.pattern()


def test_whose_images_these_are_is_in_sight_at_first(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.ct.uid)
    viewer.text("Phantom, Quartz")
    viewer.text("01-Jan-1970")


def test_the_first_image_is_the_one_that_the_quick_look_begins_with(viewer: Viewer, stock: Stock) -> None:
    # Its position is the lowest: by position the viewer would begin at the other end.
    viewer.open(stock.ct.uid)
    viewer.page.get_by_text(re.compile(r"^1 \(1/16\)$")).first.wait_for()
    viewer.page.goto(f"/look/{stock.ct.uid}")
    assert viewer.page.locator("#stage").get_attribute("data-instance") == stock.ct.instances[0]


def test_an_ultrasound_runs_in_color(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.ultrasound.uid)
    red, green, _ = viewer.settled(0.4, 0.5, (0, 150, 0), (90, 255, 90))
    assert green > red
    assert viewer.color(0.92, 0.1)[2] > 90, "the ground is blue"
    # The square moves to the right: where there is ground in the first frame there is green in the last.
    assert viewer.color(0.68, 0.5)[1] < 90
    viewer.page.locator(".cornerstone-canvas").first.hover()
    viewer.page.locator("[class*=cine] svg, [data-cy=cine-player] svg").first.or_(
        viewer.page.locator("text=FPS")
    ).first.wait_for()
    for _ in range(3):
        viewer.page.keyboard.press("ArrowDown")
    viewer.settled(0.68, 0.5, (0, 150, 0), (90, 255, 90))


def test_a_mammogram_is_shown_the_right_way_round(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.mammogram.uid)
    viewer.settled(0.3, 0.3, (235, 235, 235), (255, 255, 255))
    assert viewer.color(0.9, 0.9)[0] < 20, "MONOCHROME1: the greatest value is black"


def test_planes_are_reconstructed_from_a_stack(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.ct.uid)
    viewer.tool("Layout")
    viewer.tool("MPR")
    viewer.lit(3)


def test_a_segmentation_is_drawn_over_its_images(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.segmented.uid)
    viewer.page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick()
    yes = viewer.page.get_by_text("Yes", exact=True)
    yes.or_(viewer.page.get_by_text("Square", exact=True)).first.wait_for()
    viewer.colored()


def test_the_outlines_of_a_structure_set_are_drawn_over_its_images(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.outlined.uid)
    viewer.page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick()
    yes = viewer.page.get_by_text("Yes", exact=True)
    yes.or_(viewer.page.get_by_text("Square", exact=True)).first.wait_for()
    if yes.is_visible():
        yes.click()
    viewer.text("Square")
    viewer.outlined()


def test_a_length_is_right_is_saved_as_a_report_and_found_again(viewer: Viewer, web: Web, stock: Stock) -> None:
    viewer.open(stock.ct.uid)
    viewer.measure((0.25, 0.25), (0.75, 0.25))  # 16 of the 32 mm that 64 pixels of 0.5 mm are
    viewer.page.get_by_text("Yes", exact=True).click()
    viewer.tool("trackedMeasurements-btn")
    viewer.text("16.0")
    assert viewer.page.evaluate(ASKS), "what is not saved is not left without a question"
    viewer.page.get_by_text("Create SR").click()
    with viewer.page.expect_response(lambda answer: answer.request.method == "POST") as stored:
        viewer.page.get_by_role("dialog").get_by_text("Save", exact=True).click()
    assert stored.value.status == 200
    viewer.page.wait_for_function(f"() => !({ASKS})()")
    with web.client(web.token("radiologist")) as client:
        found = client.get(f"/dicom-web/studies/{stock.ct.uid}/series?Modality=SR").json()
        assert len(found) == 1
        series = found[0]["0020000E"]["Value"][0]
        kept = client.get(f"/dicom-web/studies/{stock.ct.uid}/series/{series}/metadata").json()[0]
    lengths = re.findall(r'"0040A30A":\s*\{[^}]*?"Value":\s*\[([0-9.]+)', json.dumps(kept))
    assert any(abs(float(length) - 16) < 0.2 for length in lengths), lengths
    viewer.open(stock.ct.uid)
    viewer.page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick()
    viewer.text("16.0")


def test_an_electrocardiogram_is_drawn(viewer: Viewer, web: Web, manifest: tuple[CorpusFile, ...]) -> None:
    viewer.open(_imported(web, manifest, "pydicom/waveform_ecg.dcm"))
    viewer.colored()  # the grid is red, the leads' names are yellow


def test_a_whole_slide_is_drawn_of_its_tiles(viewer: Viewer, web: Web, manifest: tuple[CorpusFile, ...]) -> None:
    study = _imported(web, manifest, "highdicom/sm_image.dcm")
    viewer.page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}")
    viewer.page.wait_for_url("**/viewer/microscopy?*")
    expect(viewer.page.locator(".ol-layer").first).to_be_visible(timeout=PATIENCE)
    middle = viewer.page.locator(".ol-layers").first.bounding_box()
    assert middle is not None
    within = {
        "x": middle["x"] + middle["width"] / 2,
        "y": middle["y"] + middle["height"] / 2,
        "width": 60,
        "height": 60,
    }

    def is_light() -> bool:
        with Image.open(BytesIO(viewer.page.screenshot(clip=cast("Any", within)))) as seen:
            return min(ImageStat.Stat(seen.convert("RGB")).mean) > 200  # a slide is seen against the light

    wait_until(is_light, "the slide is drawn")


def _imported(web: Web, manifest: tuple[CorpusFile, ...], name: str) -> str:
    """Import a file of the corpus; gives its study."""
    row = next(row for row in manifest if row.name == name)
    web.leadglass.do("import", row.path)
    return row.study_uid


def test_a_study_with_markup_in_every_attribute_changes_nothing(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.hostile.uid)
    viewer.pattern()
    assert viewer.page.title() == "Viewer · Leadglass"
    assert viewer.page.locator("img[src=x]").count() == 0


def test_a_study_without_a_modality_opens(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.bare.uid)


def test_an_odd_report_beside_images_leaves_the_images_in_sight(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.odd.uid)
    viewer.pattern()
    viewer.page.get_by_role("link", name="To the study").click()
    viewer.page.wait_for_url(f"**/studies/{stock.odd.uid}")


def test_a_study_of_odd_objects_alone_is_led_to_its_own_page(viewer: Viewer, stock: Stock) -> None:
    viewer.page.goto(f"/viewer/viewer?StudyInstanceUIDs={stock.report}")
    viewer.text("Nothing here is for the viewer")
    assert viewer.page.locator(f'a[href="/studies/{stock.report}"]').count() == 1
    assert viewer.visit.faults_of_access() == []


def test_other_studies_of_a_patient_are_shown_to_nobody_who_may_not_see_them(
    web: Web, browser: Chromium, stock: Stock
) -> None:
    add_person(web, "visitor", "referrer", f"study={stock.bare.uid}")
    with visiting(browser, web.url) as visit:
        sign_in(visit, "visitor", GOOD)
        viewer = Viewer(visit)
        viewer.open(stock.bare.uid)
        asked = [each for each in visit.requests if "00100020=" in each]
        assert asked, "the viewer asks for the patient's other studies"
        assert stock.other.uid not in viewer.page.content()
        assert "Not to be seen" not in viewer.page.content()
        # May look and not add: saving says so, and nothing is sent.
        viewer.measure((0.25, 0.25), (0.75, 0.25))
        viewer.page.get_by_text("Yes", exact=True).click()
        viewer.tool("trackedMeasurements-btn")
        viewer.page.get_by_text("Create SR").click()
        viewer.page.get_by_role("dialog").get_by_text("Save", exact=True).click()
        viewer.text("Your account may look at studies and not add to them")
        viewer.page.get_by_role("button", name="Go on").click()
        assert visit.violations == []


def test_who_was_signed_out_is_told_signs_in_again_and_is_back_at_the_same_image(
    web: Web, browser: Chromium, stock: Stock
) -> None:
    add_person(web, "tired")
    with visiting(browser, web.url) as visit:
        sign_in(visit, "tired", GOOD)
        viewer = Viewer(visit)
        viewer.open(stock.ct.uid)
        viewer.page.locator(".cornerstone-canvas").first.hover()
        for _ in range(4):
            viewer.page.keyboard.press("ArrowDown")
        viewer.text("(5/16)")
        viewer.page.context.clear_cookies()
        viewer.page.evaluate("fetch('/dicom-web/studies?limit=1')")  # whatever it asks for next
        viewer.text("You have been signed out")
        viewer.page.get_by_role("link", name="Sign in again").click()
        viewer.page.fill("#name", "tired")
        viewer.page.fill("#password", GOOD)
        viewer.page.click("form button")
        viewer.lit()
        viewer.text("(5/16)")
        assert visit.violations == []


def test_a_browser_that_cannot_draw_is_told_so_and_offered_the_quick_look(viewer: Viewer, stock: Stock) -> None:
    page = viewer.page.context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"/viewer/viewer?StudyInstanceUIDs={stock.ct.uid}")
    page.get_by_text("This browser cannot draw here").wait_for()
    assert page.locator(f'a[href="/look/{stock.ct.uid}"]').first.is_visible()
    assert Visit(page).faults_of_access() == []
    page.close()


def test_an_image_that_stays_black_and_a_page_that_is_emptied_are_told(viewer: Viewer, stock: Stock) -> None:
    viewer.open(stock.ct.uid)
    viewer.page.evaluate("console.error(new Error('No decoder for transfer syntax 1.2.3'))")  # as OHIF says it
    viewer.text("An image of this study cannot be drawn here")
    viewer.page.get_by_role("button", name="Go on").click()
    viewer.page.evaluate("document.getElementById('root').replaceChildren()")  # as React does, when a part fails
    viewer.text("The viewer cannot show this")
    assert viewer.page.locator(f'.leadglass-notice a[href="/studies/{stock.ct.uid}"]').is_visible()


def test_addresses_cannot_name_other_sources_settings_or_tokens(viewer: Viewer, stock: Stock) -> None:
    more = "url=https://example.org/x.json&customization=https://example.org/x&configUrl=https://example.org/x&token=a"
    viewer.open(stock.ct.uid, more=f"&{more}&StudyInstanceUIDs={stock.ct.uid}")
    assert viewer.page.url.split("?")[1] == f"StudyInstanceUIDs={stock.ct.uid}"
    assert not any("example.org" in each.split("?")[0] for each in viewer.visit.requests)
