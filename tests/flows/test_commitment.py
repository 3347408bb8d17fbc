"""Storage Commitment against a real server process: Orthanc asks for it, and a kill in between loses nothing."""

import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom.uid import UID

from tests.doors.dimse.commitment import ask_once, reporting, request
from tests.flows.conftest import Sample
from tests.peers.leadglass import Leadglass, json_objects
from tests.peers.orthanc import Modality, Orthanc, orthanc
from tests.peers.running import free_port, wait_until
from tests.peers.scu import Way

LANES = pytest.mark.parametrize("lane", ["tls", "plaintext"])


@pytest.fixture
def lead(tmp_path: Path) -> Leadglass:
    """Give an archive that is quick to try again."""
    made = Leadglass(tmp_path)
    made.do("init")
    (made.data / "leadglass.toml").write_text("[commitment]\nretry = 0.5\nretry_longest = 1.0\n")
    return made


@pytest.fixture
def stranger(lane: str, lead: Leadglass, tmp_path: Path) -> Generator[Orthanc]:
    """Run an Orthanc that may store and ask for commitment, and the archive it speaks to."""
    port = free_port()
    credentials = None
    if lane == "tls":
        credentials = lead.enroll("ORTHANC", allow="echo,store,commit", port=port)
    else:
        lead.device("ORTHANC", allow="echo,store,commit", plaintext=True, port=port)
    with lead.serve() as doors:
        listens = doors.tls if lane == "tls" else doors.plain
        archive = Modality("LEADGLASS", *listens, tls=lane == "tls")
        with orthanc(tmp_path / "orthanc", {"archive": archive}, dicom_port=port, credentials=credentials) as peer:
            yield peer


def outcome(stranger: Orthanc, body: dict[str, Any]) -> dict[str, Any]:
    """Have Orthanc ask for commitment; gives what it was told in the end."""
    status, answer = stranger.post("/modalities/archive/storage-commitment", body)
    assert status == 200, answer
    transaction = cast("dict[str, str]", answer)["ID"]
    told: dict[str, Any] = {}

    def is_told() -> bool:
        told.update(cast("dict[str, Any]", stranger.get(f"/storage-commitment/{transaction}")))
        return told["Status"] != "Pending"

    wait_until(is_told, "Orthanc has its report")
    return told


@LANES
def test_orthanc_asks_for_commitment_and_is_told(stranger: Orthanc, ct: Sample, mr: Sample) -> None:
    uploaded, missing = stranger.upload(ct.path), stranger.upload(mr.path)
    status, answer = stranger.post("/modalities/archive/store", uploaded.encode())
    assert status == 200, answer

    told = outcome(stranger, {"Resources": [uploaded]})
    assert told["Status"] == "Success"
    assert [one["SOPInstanceUID"] for one in told["Success"]] == [ct.sop_instance_uid]

    told = outcome(stranger, {"Resources": [uploaded, missing]})
    assert told["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in told["Success"]] == [ct.sop_instance_uid]
    (failure,) = told["Failures"]
    assert (failure["SOPInstanceUID"], failure["FailureReason"]) == (mr.sop_instance_uid, 0x0112)


def test_a_server_that_is_killed_after_its_promise_keeps_it(lead: Leadglass, ct: Sample) -> None:
    assert lead.cli("commitment", "list").err.strip() == "No device waits for a report."
    lead.do("import", ct.path)
    port = free_port()
    lead.device("CT1", allow="commit", plaintext=True, port=port)
    asked = cast("Any", request([(ct.sop_class_uid, ct.sop_instance_uid), (ct.sop_class_uid, "1.2.3")]))
    with lead.serve() as doors:
        assert ask_once(Way(doors.plain[1], "CT1"), asked) == 0x0000
        doors.process.kill()
        doors.process.wait()
    (waiting,) = json_objects(lead.do("commitment", "list", "--json"))
    assert (waiting["device"], waiting["transaction_uid"], waiting["state"]) == ("CT1", asked.TransactionUID, "open")
    shown = lead.do("commitment", "list")
    assert asked.TransactionUID in shown
    assert "open" in shown
    with reporting("CT1", port) as reports, lead.serve():
        report = reports.wait()
        assert report.transaction == UID(asked.TransactionUID)
        assert report.committed == [(ct.sop_class_uid, ct.sop_instance_uid)]
        assert report.failed == {"1.2.3": 0x0112}
        wait_until(
            lambda: json_objects(lead.do("commitment", "list", "--all", "--json"))[0]["state"] == "done",
            "the transaction is done",
        )
    assert lead.cli("audit", "verify").code == 0
    reasons = [one["reason"] for one in lead.audit() if one["action"] == "commit"]
    assert reasons[-2:] == ["decided", "reported"]


def test_a_server_that_is_stopped_in_the_middle_of_a_report_ends_and_reports_after_its_next_start(
    lead: Leadglass, ct: Sample
) -> None:
    port = free_port()
    lead.device("CT1", allow="commit", plaintext=True, port=port)
    with socket.create_server(("127.0.0.1", port)) as silent:
        with lead.serve() as doors:
            asked = request([(ct.sop_class_uid, ct.sop_instance_uid)])
            assert ask_once(Way(doors.plain[1], "CT1"), asked) == 0x0000
            silent.settimeout(30)
            hanging, _ = silent.accept()
        hanging.close()
    assert "Traceback" not in lead.log.read_text()
    with reporting("CT1", port) as reports, lead.serve():
        assert reports.wait().failed == {ct.sop_instance_uid: 0x0112}
