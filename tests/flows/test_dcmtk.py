"""DCMTK's five clients against a served archive, over mutual TLS and in the plaintext lane.

DCMTK 3.6.7's getscu and movescu do not speak TLS, so a tunnel lends them the
certificate, as hospitals do.
"""

from pathlib import Path

import pytest

from tests.flows.conftest import Sample, Site
from tests.peers.dataset import split
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.tunnel import tunnel


def _client(site: Site, *, tls: bool) -> list[str]:
    """Give the options of a client that may do everything, then host and port."""
    if tls:
        return [*tls_options(site.station), "-aet", "STATION", "-aec", "LEADGLASS", "127.0.0.1", str(site.doors.tls[1])]
    return ["-aet", "OLDSTATION", "-aec", "LEADGLASS", "127.0.0.1", str(site.doors.plain[1])]


LANES = pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])


@LANES
def test_echoscu_is_answered(site: Site, dcmtk: Dcmtk, tls: bool) -> None:
    done = dcmtk("echoscu", "-v", *_client(site, tls=tls))
    assert done.code == 0, done.said
    assert "Success" in done.said


@LANES
def test_storescu_sends_and_sends_again(site: Site, dcmtk: Dcmtk, ct: Sample, tls: bool) -> None:
    for _ in range(2):
        done = dcmtk("storescu", "-v", *_client(site, tls=tls), ct.path)
        assert done.code == 0, done.said
        assert "Received Store Response (Success)" in done.said, done.said


@LANES
def test_findscu_finds_the_study(stocked: Site, dcmtk: Dcmtk, ct: Sample, tls: bool) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientID={ct.patient_id}", "-k", "StudyInstanceUID"]
    done = dcmtk("findscu", "-v", *keys, *_client(stocked, tls=tls))
    assert done.code == 0, done.said
    assert ct.study_uid in done.said


@LANES
def test_getscu_brings_the_data_set_as_stored(
    stocked: Site, dcmtk: Dcmtk, mr: Sample, tmp_path: Path, tls: bool
) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={mr.study_uid}"]
    target = stocked.doors.tls if tls else stocked.doors.plain
    with tunnel(target, credentials=stocked.station if tls else None) as port:
        client = ["-aet", "STATION" if tls else "OLDSTATION", "-aec", "LEADGLASS", "127.0.0.1", str(port)]
        done = dcmtk("getscu", "-v", "+B", "-od", tmp_path, *keys, *client)
    assert done.code == 0, done.said
    files = list(tmp_path.iterdir())
    assert len(files) == 1, done.said
    assert split(files[0].read_bytes())[1] == split(mr.path.read_bytes())[1]


@LANES
def test_movescu_moves_to_a_registered_receiver(
    stocked: Site, dcmtk: Dcmtk, mr: Sample, tmp_path: Path, tls: bool
) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={mr.study_uid}"]
    target = stocked.doors.tls if tls else stocked.doors.plain
    receiver = (
        dcmtk.storescp(tmp_path / "in", port=stocked.dest_port, credentials=stocked.dest)
        if tls
        else dcmtk.storescp(tmp_path / "in", port=stocked.olddest_port)
    )
    with receiver as received, tunnel(target, credentials=stocked.station if tls else None) as port:
        client = ["-aet", "STATION" if tls else "OLDSTATION", "-aec", "LEADGLASS", "127.0.0.1", str(port)]
        done = dcmtk("movescu", "-v", "-aem", "DEST" if tls else "OLDDEST", *keys, *client)
        assert done.code == 0, done.said
        files = received.files()
    assert len(files) == 1, done.said
    assert split(files[0].read_bytes())[1] == split(mr.path.read_bytes())[1]


def test_movescu_to_nobody_registered_is_refused(stocked: Site, dcmtk: Dcmtk, mr: Sample) -> None:
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={mr.study_uid}"]
    done = dcmtk("movescu", "-v", "-aem", "NOBODY", *keys, *_client(stocked, tls=False))
    assert "MoveDestinationUnknown" in done.said.replace(" ", "") or "0xa801" in done.said.lower(), done.said
