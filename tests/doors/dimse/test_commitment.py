"""Storage Commitment with pynetdicom as the device: asked, checked, reported."""

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.doors.dimse.commitment import Pair, Reports, ask, ask_once, line, reporting, request
from tests.doors.dimse.house import House
from tests.peers.dataset import read_head
from tests.peers.running import free_port

CT = Path(str(get_testdata_file("CT_small.dcm")))
MR = Path(str(get_testdata_file("MR_small.dcm")))


def pair(path: Path) -> Pair:
    head = read_head(path)
    return str(head.SOPClassUID), str(head.SOPInstanceUID)


def test_what_is_here_is_committed_over_the_association_that_asked(house: House) -> None:
    house.take([CT, MR])
    way, reports = house.lane("CT1", "store,commit"), Reports()
    asked = request([pair(CT), pair(MR)])
    with line(way, reports) as assoc:
        assert ask(assoc, asked) == 0x0000
        report = reports.wait()
    assert report.event_type == 1
    assert report.transaction == asked.TransactionUID
    assert report.committed == [pair(CT), pair(MR)]
    assert report.failed == {}
    assert report.retrieve_ae_title == "LEADGLASS"


@pytest.mark.parametrize("lane", ["plaintext", "TLS"])
def test_a_device_that_hung_up_is_told_over_an_association_of_our_own(lane: str, house: House) -> None:
    house.take([CT])
    port = free_port()
    way = house.enrol("CT1", "commit", port=port) if lane == "TLS" else house.lane("CT1", "commit", port=port)
    with reporting("CT1", port, way=way) as reports:
        assert ask_once(way, request([pair(CT)])) == 0x0000
        report = reports.wait()
    assert (report.event_type, report.committed, report.failed) == (1, [pair(CT)], {})
