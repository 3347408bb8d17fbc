"""Testing devices from their page: one C-ECHO to them, and waiting for them, with what to do when it fails."""

import html
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.crypto.database import open_sealed
from tests.doors.pages.browser import Browser, records
from tests.doors.pages.devices.devicehouse import DeviceHouse
from tests.doors.pages.devices.test_bundles import echo, hand_out, unzipped
from tests.keys import archive_key
from tests.peers.dcmtk import Dcmtk
from tests.peers.running import free_port, wait_until


def begin(manager: Browser, path: str, way: str) -> None:
    """Begin a test, and show it."""
    manager.get(f"{path}/test")
    manager.post(f"{path}/test", {"csrf": manager.csrf, "way": way})


def state(manager: Browser) -> str:
    """Give the text of the running test."""
    found = re.search(r'<div id="state".*?</section>', manager.page, re.DOTALL)
    assert found, manager.page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


def again(manager: Browser, until: Callable[[str], bool]) -> str:
    """Press "Look again" until the test says something."""
    found = re.search(r'data-look="([^"]+)\?part=1"', manager.page)
    assert found
    where = found[1]

    def says() -> bool:
        manager.get(where)
        return until(state(manager))

    wait_until(says, "the test says so")
    return state(manager)


def receiving(manager: Browser, house: DeviceHouse, ae_title: str, port: int, **more: str) -> str:
    del manager
    return house.add(ae_title, plaintext=True, host="127.0.0.1", port=str(port), **more)


def test_a_device_that_answers_is_said_to_work_and_the_test_is_on_record(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    with dcmtk.storescp(tmp_path / "in") as received:
        begin(manager, receiving(manager, house, "TO1", received.port), "to")
        said = again(manager, lambda text: "running" not in text)
    assert "It works: the device answers." in said
    assert "TO1 answers C-ECHO" in said
    [event] = [e for e in records(house.web, "manage") if e.detail.get("device") == "TO1" and "way" in e.detail]
    assert (event.detail["at"], event.door) == (f"127.0.0.1 port {received.port}", "pages")


def test_a_device_that_is_not_there_is_said_with_what_to_do(house: DeviceHouse, manager: Browser) -> None:
    begin(manager, receiving(manager, house, "TO2", free_port()), "to")
    said = again(manager, lambda text: "running" not in text)
    assert "It does not work yet." in said
    assert "What to do: Start the DICOM receiver" in said


def test_a_test_is_stopped_when_somebody_says_so(house: DeviceHouse, manager: Browser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = receiving(manager, house, "TO3", silent.getsockname()[1])
        begin(manager, path, "to")
        assert "The test is running" in state(manager)
        found = re.search(r'action="([^"]+/stop)"', manager.page)
        assert found
        manager.post(found[1], {"csrf": manager.csrf})
        assert "The test was stopped." in state(manager)


def test_a_device_that_only_sends_is_not_reached_and_the_page_says_what_is_missing(
    house: DeviceHouse, manager: Browser
) -> None:
    path = house.add("TO4")
    manager.get(f"{path}/test")
    assert "Send a C-ECHO" not in manager.page
    manager.post(f"{path}/test", {"csrf": manager.csrf, "way": "to"})
    assert "No host and port are known" in again(manager, lambda text: "running" not in text)


def test_waiting_shows_what_arrives_what_is_refused_and_how_to_mend_it(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    path = house.add("FROM1", address="127.0.0.1")
    files = unzipped(hand_out(manager, path, "pem"), tmp_path / "files")
    begin(manager, path, "from")
    assert "Waiting for FROM1" in state(manager)
    assert echo(dcmtk, house, "FROM1", files, called="ORTHANC") != 0
    assert "Correct the called AE title" in again(manager, lambda text: "ORTHANC" in text)
    assert echo(dcmtk, house, "FROM2", files) != 0
    assert "showed the certificate of another device" in again(manager, lambda text: "FROM2" in text)
    host, port = house.web.doors.tls
    dcmtk("echoscu", "-aet", "FROM1", "-aec", "LEADGLASS", host, str(port))
    assert "Switch TLS on at the device" in again(manager, lambda text: "plain DICOM on the port for TLS" in text)
    host, port = house.web.doors.plain
    dcmtk("echoscu", "-aet", "FROM1", "-aec", "LEADGLASS", host, str(port))
    assert "plaintext lane" in again(manager, lambda text: "spoke without TLS" in text)
    dcmtk("echoscu", "-aet", "<script>", "-aec", "LEADGLASS", host, str(port))
    assert "exactly FROM1" in again(manager, lambda text: "“<script>”" in text)
    assert "<script>”" not in manager.page
    with socket.create_connection(house.web.doors.tls) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert "neither TLS nor DICOM" in again(manager, lambda text: "neither" in text)
    assert "was not let in" in state(manager)
    assert echo(dcmtk, house, "FROM1", files) == 0
    said = again(manager, lambda text: "C-ECHO was answered" in text)
    assert "It works: the device was let in." in said


def test_a_lane_that_has_ended_is_red_refused_and_explained_both_ways(
    house: DeviceHouse, manager: Browser, dcmtk: Dcmtk
) -> None:
    path = house.add("ENDED1", plaintext=True, host="127.0.0.1", port="104")
    data = house.web.leadglass.data
    connection = open_sealed(data / "identity.db", archive_key(data).derive("identity database"))
    connection.execute("UPDATE device SET until = '2020-01-01' WHERE ae_title = 'ENDED1'")
    connection.close()
    assert 'badge bad">Plaintext lane ended 2020-01-01' in manager.get("/devices").text
    assert "the device is refused" in manager.get(path).text
    begin(manager, path, "from")
    host, port = house.web.doors.plain
    assert dcmtk("echoscu", "-aet", "ENDED1", "-aec", "LEADGLASS", host, str(port)).code != 0
    assert "extend the lane" in again(manager, lambda text: "has ended" in text)
    begin(manager, path, "to")
    assert "nothing is sent to it any more" in again(manager, lambda text: "running" not in text)


def test_another_address_is_explained_while_waiting(house: DeviceHouse, manager: Browser, dcmtk: Dcmtk) -> None:
    path = house.add("FROM3", plaintext=True, address="127.0.0.77")
    begin(manager, path, "from")
    host, port = house.web.doors.plain
    dcmtk("echoscu", "-aet", "FROM3", "-aec", "LEADGLASS", host, str(port))
    said = again(manager, lambda text: "not enrolled" in text)
    assert "add 127.0.0.1 to its addresses" in said


def test_a_test_is_seen_by_who_began_it_alone(house: DeviceHouse, manager: Browser) -> None:
    path = house.add("FROM4")
    begin(manager, path, "from")
    found = re.search(r'data-look="([^"]+)\?part=1"', manager.page)
    assert found
    assert manager.get(found[1]).status_code == 200
    assert house.program.get(found[1]).status_code == 404
    assert manager.get(found[1].replace("FROM4", "TO4")).status_code == 404
    assert manager.get(f"{path}/tests/none").status_code == 404


@pytest.mark.parametrize("way", ["", "sideways"])
def test_a_way_that_there_is_not_is_refused(house: DeviceHouse, manager: Browser, way: str) -> None:
    path = house.add("FROM5")
    manager.get(f"{path}/test")
    manager.post(f"{path}/test", {"csrf": manager.csrf, "way": way})
    assert manager.status == 400


def test_a_program_begins_a_test_and_reads_its_steps(house: DeviceHouse) -> None:
    house.add("TO5", plaintext=True, host="127.0.0.1", port=str(free_port()))
    where = house.program.post("/devices/TO5/test", json={"way": "to"}).json()["test"]
    wait_until(lambda: bool(house.program.get(where).json()["over"]), "the test is over")
    read = house.program.get(where).json()
    assert read["answered"] is False
    assert read["steps"][0]["result"] == "failed"
    assert read["steps"][0]["advice"]
