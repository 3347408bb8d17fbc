"""One running archive for the tests of devices: each test has devices of its own."""

from collections.abc import Generator

import pytest

from tests.doors.pages.browser import Browser, add_person
from tests.doors.pages.devices.devicehouse import DeviceHouse
from tests.peers.web import serving


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[DeviceHouse]:
    """Give a running archive with all of its doors open."""
    with serving(tmp_path_factory.mktemp("devices")) as running:
        add_person(running, "manager", "admin")
        with running.client(running.token("admin", name="robot")) as program:
            program.headers["Accept"] = "application/json"
            yield DeviceHouse(running, program)


@pytest.fixture
def manager(house: DeviceHouse) -> Generator[Browser]:
    """Give somebody who looks after devices, at a browser without scripts."""
    with Browser(house.web) as browser:
        browser.sign_in("manager")
        yield browser
