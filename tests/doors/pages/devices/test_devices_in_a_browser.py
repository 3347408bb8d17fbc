"""Devices in Debian's Chromium: enrolled from nothing, its files used, its arrival seen live; and without scripts."""

import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from tests.doors.pages.browser import GOOD, add_person
from tests.doors.pages.devices.devicehouse import DeviceHouse
from tests.doors.pages.devices.test_bundles import echo
from tests.peers.browser import DESKTOP, PHONE, chromium, sign_in, visiting
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import Credentials
from tests.peers.web import Web, serving


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    """Give an archive in which nobody is enrolled."""
    with serving(tmp_path_factory.mktemp("empty")) as running:
        add_person(running, "manager", "admin")
        yield running


@pytest.fixture(scope="module")
def browser(empty: Web, house: DeviceHouse) -> Generator[Chromium]:
    with chromium(empty.certificate, house.web.certificate) as running:
        yield running


def test_from_an_empty_list_to_a_device_that_was_seen_to_come_in(
    empty: Web, browser: Chromium, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    with visiting(browser, empty.url) as visit:
        page = visit.page
        sign_in(visit, "manager", GOOD)
        page.click("text=Devices")
        page.click("text=Enrol the first device")
        page.check("text=A modality that sends images")
        page.click("text=Go on")
        page.fill("#ae", "CT1")
        page.fill("#addresses", "127.0.0.1")
        page.click("text=Go on")
        page.click("text=Go on")
        assert not page.is_visible("#until"), "nobody is asked about a lane who opens none"
        page.click("text=Go on")
        assert visit.faults_of_access() == []
        page.click("button:has-text('Enrol the device')")
        with page.expect_download() as download:
            page.click("text=Make and download the ZIP")
        download.value.save_as(tmp_path / "bundle.zip")
        with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
            bundle.extractall(tmp_path / "files")
        files = Credentials(tmp_path / "files")
        page.click("text=Test the connection.")
        page.click("text=Wait for the device")
        page.wait_for_selector("text=Waiting for CT1")
        house = DeviceHouse(empty, empty.client())
        assert echo(dcmtk, house, "CT1", files, called="PACS") != 0
        page.wait_for_selector("text=Correct the called AE title")
        assert visit.faults_of_access() == []
        assert echo(dcmtk, house, "CT1", files) == 0
        page.wait_for_selector("text=It works: the device was let in.")
        page.click("text=Stop")
        page.goto("/devices")
        assert "C-ECHO answered" in page.inner_text("table")
        assert visit.violations == []
        assert visit.hosts == {empty.url.removeprefix("https://")}
        house.program.close()


def test_the_wizard_and_a_test_work_without_scripts(house: DeviceHouse, browser: Chromium) -> None:
    with visiting(browser, house.web.url, scripts=False) as visit:
        page = visit.page
        sign_in(visit, "manager", GOOD)
        page.goto("/devices/new")
        page.check("#kind-modality")
        page.click("button[value=next]")
        page.fill("#ae", "NOJS")
        page.fill("#addresses", "127.0.0.1")
        page.click("button[value=next]")
        page.click("button[value=next]")
        page.check("#speaks-plaintext")
        page.click("button[value=next]")
        assert "Write why it cannot speak TLS" in page.inner_text("main")
        page.fill("#why", "Maker says no")
        page.click("button[value=next]")
        page.click("button:has-text('Enrol it without encryption')")
        assert "The device is enrolled." in page.inner_text("main")
        page.click("text=Test the connection")
        page.click("text=Wait for the device")
        page.click("text=Look again")
        assert "Waiting for NOJS" in page.inner_text("main")
        page.click("button:has-text('Stop')")
        assert "Waiting was stopped." in page.inner_text("main")


HOSTILE = "<script>\"'&x"


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desk", "dark phone"])
def test_pages_of_devices_are_readable_by_everybody(
    house: DeviceHouse, browser: Chromium, *, dark: bool, size: dict[str, int]
) -> None:
    long = ", ".join(f"10.20.{n}.0/24" for n in range(32))
    hostile = house.add(HOSTILE, bulk="<img src=x onerror=alert(1)>" * 5, address=long)
    lane = house.add("LOOKLANE", plaintext=True, host="127.0.0.1", port="104")
    tls = house.add("LOOKTLS")
    house.program.post(f"{tls}/certificate", json={"format": "pem", "instead_of": ""})
    paths = ["/devices", "/devices/new", f"{lane}/certificate", f"{lane}/settings", f"{lane}/test", f"{lane}/change",
             f"{lane}/end", lane, tls, f"{tls}/end?what=revoke", hostile, f"{hostile}/change"]  # fmt: skip
    with visiting(browser, house.web.url, dark=dark, size=size) as visit:
        sign_in(visit, "manager", GOOD)
        for path in paths:
            visit.page.goto(path)
            assert size is PHONE or visit.faults_of_access() == [], path
            assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        visit.page.goto("/devices")
        assert visit.faults_of_access() == []
        assert visit.violations == []
        assert visit.hosts == {house.web.url.removeprefix("https://")}
