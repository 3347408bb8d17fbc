"""Every service through the door, with DCMTK and pynetdicom as the other side."""

from pathlib import Path

from pydicom.data import get_testdata_file

from tests.doors.dimse.house import House
from tests.peers.dcmtk import Dcmtk

CT = Path(str(get_testdata_file("CT_small.dcm")))


def test_dcmtk_verifies_stores_finds_and_gets(house: House, dcmtk: Dcmtk, tmp_path: Path) -> None:
    way = house.lane("WS1", "echo,store,find,get")
    to = ["-aet", "WS1", "-aec", "LEADGLASS", "127.0.0.1", str(way.port)]
    echo = dcmtk("echoscu", *to)
    assert echo.code == 0, echo.said
    store = dcmtk("storescu", *to, CT)
    assert store.code == 0, store.said
    find = dcmtk("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=1CT1", "-k", "StudyInstanceUID", *to)
    assert find.code == 0, find.said
    assert "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322" in find.said
    got = dcmtk(
        "getscu", "-S", "-k", "QueryRetrieveLevel=STUDY",
        "-k", "StudyInstanceUID=1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", "-od", tmp_path, "+B", *to,
    )  # fmt: skip
    assert got.code == 0, got.said
    assert len(list(tmp_path.glob("CT*"))) == 1
