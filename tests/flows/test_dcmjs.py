"""dcmjs-dimse, the JavaScript world's DICOM library, against a served archive."""

import pytest

from tests.flows.conftest import Sample, Site
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Dcmjs
from tests.peers.running import Credentials

LANES = pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])


def _as(site: Site, *, tls: bool) -> tuple[int, str, Credentials | None]:
    return (site.doors.tls[1], "STATION", site.station) if tls else (site.doors.plain[1], "OLDSTATION", None)


@LANES
def test_dcmjs_echo_store_find_and_get(site: Site, dcmjs: Dcmjs, fresh: Sample, tls: bool) -> None:
    port, calling, credentials = _as(site, tls=tls)
    done, answer = dcmjs("echo", port, calling=calling, credentials=credentials)
    assert answer.get("statuses") == [0], done.said
    done, answer = dcmjs("store", port, calling=calling, credentials=credentials, files=[str(fresh.path)])
    assert answer.get("statuses") == [0], done.said  # dcmjs writes the data set anew: other bytes, same content
    done, answer = dcmjs("find", port, calling=calling, credentials=credentials, patient=fresh.patient_id)
    assert answer.get("matches") == [fresh.study_uid], done.said
    done, answer = dcmjs("get", port, calling=calling, credentials=credentials, study=fresh.study_uid)
    assert answer.get("received") == [fresh.sop_instance_uid], done.said


@LANES
def test_dcmjs_move(
    stocked: Site, dcmjs: Dcmjs, dcmtk: Dcmtk, mr: Sample, tls: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port, calling, credentials = _as(stocked, tls=tls)
    with dcmtk.storescp(tmp_path_factory.mktemp("in") / "in", port=stocked.olddest_port) as received:
        done, answer = dcmjs(
            "move", port, calling=calling, credentials=credentials, destination="OLDDEST", study=mr.study_uid
        )
        statuses = answer.get("statuses")
        assert isinstance(statuses, list), done.said
        assert statuses[-1:] == [0], done.said
        assert len(received.files()) == 1
