"""Who is turned away, by whichever client, and that each refusal is on record with its true reason.

The client learns nothing; the audit log tells the operator.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.conftest import Sample, Site
from tests.peers.dataset import instance
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.leadglass import Record
from tests.peers.node import Dcmjs
from tests.peers.orthanc import Modality, orthanc
from tests.peers.scu import STUDY_FIND, UNCOMPRESSED, VERIFICATION, Way, association, find, identifier, send
from tests.peers.tunnel import tunnel

ECHO = [(VERIFICATION, UNCOMPRESSED)]


def _new_refusals(site: Site, before: int) -> list[Record]:
    return site.refusals()[before:]


def _is_on_record(site: Site, before: int, *words: str) -> None:
    """Check that the newest refusals name each of ``words``."""
    fresh = _new_refusals(site, before)
    assert fresh, "no refusal was recorded"
    told = "\n".join(str(one) for one in fresh).lower()
    assert all(one.get("reason") for one in fresh), told
    for word in words:
        assert word.lower() in told, told


def _is_turned_away(way: Way) -> bool:
    with association(way, ECHO) as assoc:
        return not assoc.is_established


def test_a_tls_client_without_a_certificate(site: Site, dcmtk: Dcmtk) -> None:
    before = len(site.refusals())
    done = dcmtk(
        "echoscu", "+tla", "+cf", site.station.authority, "-aet", "STATION", "-aec", "LEADGLASS",
        "127.0.0.1", str(site.doors.tls[1]),
    )  # fmt: skip
    assert done.code != 0
    _is_on_record(site, before, "certificate")


def test_a_certificate_of_another_authority(site: Site, tmp_path: Path) -> None:
    from tests.peers.leadglass import Leadglass

    stranger = Leadglass(tmp_path)
    stranger.do("init")
    foreign = stranger.enroll("STATION")
    (foreign.folder / "ca.pem").write_bytes(site.station.authority.read_bytes())
    before = len(site.refusals())
    assert _is_turned_away(replace(site.tls, credentials=foreign))
    _is_on_record(site, before, "certificate")


@pytest.mark.parametrize("client", ["pynetdicom", "dcmtk", "dcmjs", "orthanc"])
def test_another_devices_certificate_under_this_ae_title(
    site: Site, dcmtk: Dcmtk, dcmjs: Dcmjs, client: str, tmp_path: Path
) -> None:
    before = len(site.refusals())
    port = site.doors.tls[1]
    match client:
        case "pynetdicom":
            assert _is_turned_away(Way(port, "STATION", site.other))
        case "dcmtk":
            done = dcmtk(
                "echoscu", *tls_options(site.other), "-aet", "STATION", "-aec", "LEADGLASS", "127.0.0.1", str(port)
            )
            assert done.code != 0
        case "dcmjs":
            _, answer = dcmjs("echo", port, calling="STATION", credentials=site.other)
            assert answer["statuses"] != [0]
        case _:
            archive = Modality("LEADGLASS", "127.0.0.1", port, tls=True)
            with orthanc(tmp_path / "o", {"archive": archive}, ae_title="STATION", credentials=site.other) as peer:
                assert peer.post("/modalities/archive/echo", {})[0] != 200
    _is_on_record(site, before, "STATION", "certificate")


@pytest.mark.parametrize("client", ["pynetdicom", "dcmtk", "dcmjs", "orthanc"])
def test_plaintext_by_a_device_that_is_enrolled_for_tls(
    site: Site, dcmtk: Dcmtk, dcmjs: Dcmjs, client: str, tmp_path: Path
) -> None:
    before = len(site.refusals())
    port = site.doors.plain[1]
    match client:
        case "pynetdicom":
            assert _is_turned_away(Way(port, "STATION"))
        case "dcmtk":
            assert dcmtk("echoscu", "-aet", "STATION", "-aec", "LEADGLASS", "127.0.0.1", str(port)).code != 0
        case "dcmjs":
            _, answer = dcmjs("echo", port, calling="STATION")
            assert answer["statuses"] != [0]
        case _:
            with orthanc(
                tmp_path / "o", {"archive": Modality("LEADGLASS", "127.0.0.1", port)}, ae_title="STATION"
            ) as peer:
                assert peer.post("/modalities/archive/echo", {})[0] != 200
    _is_on_record(site, before, "STATION")


@pytest.mark.parametrize("client", ["pynetdicom", "dcmtk", "dcmjs", "orthanc"])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])
def test_from_an_address_that_is_not_enrolled(
    site: Site, dcmtk: Dcmtk, dcmjs: Dcmjs, client: str, tls: bool, tmp_path: Path
) -> None:
    before = len(site.refusals())
    target = site.doors.tls if tls else site.doors.plain
    ae_title = "STATION" if tls else "OLDSTATION"
    with tunnel(target, credentials=site.station if tls else None, source="127.0.0.2") as port:
        match client:
            case "pynetdicom":  # chooses its source itself, without the tunnel
                way = site.tls if tls else site.plain
                assert _is_turned_away(replace(way, source="127.0.0.2"))
            case "dcmtk":
                assert dcmtk("echoscu", "-aet", ae_title, "-aec", "LEADGLASS", "127.0.0.1", str(port)).code != 0
            case "dcmjs":
                _, answer = dcmjs("echo", port, calling=ae_title)
                assert answer["statuses"] != [0]
            case _:
                with orthanc(
                    tmp_path / "o", {"archive": Modality("LEADGLASS", "127.0.0.1", port)}, ae_title=ae_title
                ) as peer:
                    assert peer.post("/modalities/archive/echo", {})[0] != 200
    _is_on_record(site, before, "127.0.0.2", ae_title)


def test_an_unknown_ae_title_and_a_wrong_called_title(site: Site) -> None:
    before = len(site.refusals())
    assert _is_turned_away(replace(site.plain, ae_title="WHOISIT"))
    _is_on_record(site, before, "WHOISIT")
    before = len(site.refusals())
    with association(site.plain, ECHO, called="SOMETHING") as assoc:
        assert not assoc.is_established
    _is_on_record(site, before, "SOMETHING")


def test_an_action_that_was_not_granted(stocked: Site, ct: Sample, dcmtk: Dcmtk, dcmjs: Dcmjs) -> None:
    """SENDER may store and nothing else; OLDCT may echo and store."""
    before = len(stocked.refusals())
    way = Way(stocked.doors.tls[1], "SENDER", stocked.sender)
    keys = identifier(QueryRetrieveLevel="STUDY", PatientID=ct.patient_id, StudyInstanceUID="")
    with association(way, [(STUDY_FIND, UNCOMPRESSED), (ct.sop_class_uid, UNCOMPRESSED[:1])]) as assoc:
        assert assoc.is_established
        if any(one.abstract_syntax == STUDY_FIND for one in assoc.accepted_contexts):
            status, matches = find(assoc, keys)
            assert status not in {0x0000, 0xFF00}
            assert matches == []
        assert send(assoc, instance(ct.path, ct.sop_class_uid, ct.sop_instance_uid)) == 0x0000
    _is_on_record(stocked, before, "SENDER", "find")

    before = len(stocked.refusals())
    options = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-aet", "OLDCT", "-aec", "LEADGLASS"]
    done = dcmtk("findscu", "-v", *options, "127.0.0.1", str(stocked.doors.plain[1]))
    assert ct.study_uid not in done.said
    _is_on_record(stocked, before, "OLDCT", "find")

    before = len(stocked.refusals())
    _, answer = dcmjs("get", stocked.doors.plain[1], calling="OLDCT", study=ct.study_uid)
    assert answer["received"] == []
    _is_on_record(stocked, before, "OLDCT", "get")


def test_orthanc_asking_for_what_it_was_not_granted(stocked: Site, ct: Sample, tmp_path: Path) -> None:
    before = len(stocked.refusals())
    archive = Modality("LEADGLASS", "127.0.0.1", stocked.doors.plain[1])
    with orthanc(tmp_path / "o", {"archive": archive}, ae_title="OLDCT") as peer:
        status, answer = peer.post(
            "/modalities/archive/query", {"Level": "Study", "Query": {"PatientID": ct.patient_id}}
        )
        if status == 200:
            assert isinstance(answer, dict)
            assert peer.get(f"/queries/{answer['ID']}/answers") == []
    _is_on_record(stocked, before, "OLDCT", "find")


def test_the_log_still_verifies(site: Site) -> None:
    assert site.lead.cli("audit", "verify").code == 0
