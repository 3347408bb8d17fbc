"""Orthanc as a peer: it stores into the archive, queries it, fetches from it by C-MOVE, and receives from it.

Debian ships Orthanc 1.10.1; as a C-GET client it can be driven from 1.12.6 on
only, so C-GET is shown by DCMTK, pynetdicom and dcmjs-dimse.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.flows.conftest import Sample, Site
from tests.peers.dataset import elements
from tests.peers.orthanc import Modality, Orthanc, orthanc

LANES = pytest.mark.parametrize("stranger", ["tls", "plaintext"], indirect=True)


@pytest.fixture
def stranger(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Generator[Orthanc]:
    """Run an Orthanc that is the device DEST over TLS, or OLDDEST in plaintext."""
    if request.param == "tls":
        archive = Modality("LEADGLASS", "127.0.0.1", site.doors.tls[1], tls=True)
        with orthanc(
            tmp_path / "orthanc",
            {"archive": archive},
            ae_title="DEST",
            dicom_port=site.dest_port,
            credentials=site.dest,
        ) as peer:
            yield peer
    else:
        archive = Modality("LEADGLASS", "127.0.0.1", site.doors.plain[1])
        with orthanc(
            tmp_path / "orthanc", {"archive": archive}, ae_title="OLDDEST", dicom_port=site.olddest_port
        ) as peer:
            yield peer


@LANES
def test_orthanc_is_answered_by_echo(stranger: Orthanc) -> None:
    status, answer = stranger.post("/modalities/archive/echo", {})
    assert status == 200, answer


@LANES
def test_orthanc_stores_queries_and_fetches_back(stranger: Orthanc, ct: Sample, tmp_path: Path) -> None:
    uploaded = stranger.upload(ct.path)
    status, answer = stranger.post("/modalities/archive/store", uploaded.encode())
    assert status == 200, answer

    status, answer = stranger.post(
        "/modalities/archive/query", {"Level": "Study", "Query": {"PatientID": ct.patient_id, "StudyInstanceUID": ""}}
    )
    assert status == 200, answer
    assert isinstance(answer, dict)
    query = f"/queries/{answer['ID']}"
    answers = stranger.get(f"{query}/answers")
    assert isinstance(answers, list)
    found = [stranger.get(f"{query}/answers/{one}/content?simplify") for one in answers]
    assert [one.get("StudyInstanceUID") for one in found if isinstance(one, dict)] == [ct.study_uid]

    stranger.raw("DELETE", f"/instances/{uploaded}")
    assert stranger.instances() == []
    status, answer = stranger.post(f"{query}/retrieve", {"TargetAet": stranger.ae_title, "Synchronous": True})
    assert status == 200, answer
    assert len(stranger.instances()) == 1
    fetched = tmp_path / "fetched.dcm"
    fetched.write_bytes(stranger.file(stranger.instances()[0]))
    # Orthanc writes what it receives anew and leaves out trailing padding, so elements are compared and not bytes.
    assert elements(fetched) == elements(ct.path)


@LANES
def test_orthanc_moves_with_its_own_move_command(stocked: Site, stranger: Orthanc, mr: Sample) -> None:
    status, answer = stranger.post(
        "/modalities/archive/move",
        {
            "Level": "Study",
            "Resources": [{"StudyInstanceUID": mr.study_uid}],
            "TargetAet": stranger.ae_title,
            "Synchronous": True,
        },
    )
    assert status == 200, answer
    assert len(stranger.instances()) == 1
