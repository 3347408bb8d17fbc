"""Brakes at a real server with real clients: a dump is cut, others go on, bulk passes, a restart is no help."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.peers.dcmtk import Dcmtk
from tests.peers.leadglass import Doors, Leadglass, Record, json_objects
from tests.peers.running import Ran, free_port, wait_until
from tests.peers.scu import (
    STUDY_FIND,
    STUDY_GET,
    UNCOMPRESSED,
    VERIFICATION,
    Collected,
    Way,
    association,
    find,
    identifier,
    last_status,
)
from tests.vault.sets import CT, data_set

STUDIES = [f"1.2.826.0.1.{number}" for number in range(40)]
LISTED, FETCHED = 20, 10
SETTINGS = f"[brakes]\nlisted_per_hour = {LISTED}\nstudies_per_hour = {FETCHED}\ndelay_seconds = 0.01\n"
ALL = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="")
QUERY = ((STUDY_FIND, UNCOMPRESSED),)
OUT_OF_RESOURCES, NO_SUB_OPERATIONS = 0xA700, 0xA702

NO_MORE = "Refused: OutOfResourcesSubOperations"
"""As DCMTK says A702."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive with low limits, forty studies, and where it listens."""

    lead: Leadglass
    doors: Doors
    dest_port: int

    def way(self, ae_title: str) -> Way:
        return Way(self.doors.plain[1], ae_title)

    def dump(self, ae_title: str) -> tuple[int, set[str]]:
        """Ask for everything over an association of its own."""
        with association(self.way(ae_title), QUERY) as assoc:
            status, matches = find(assoc, ALL)
        return status, {str(match.StudyInstanceUID) for match in matches}

    def dcmtk(self, dcmtk: Dcmtk, program: str, ae_title: str, *arguments: str | Path) -> Ran:
        aets = ("-aet", ae_title, "-aec", "LEADGLASS")
        return dcmtk(program, "-v", "-S", *aets, "127.0.0.1", str(self.doors.plain[1]), *arguments)

    def alerts(self, ae_title: str) -> list[Record]:
        told = self.lead.audit("--caller", f"device:{ae_title}")
        return [record for record in told if record["outcome"] == "alert"]


@pytest.fixture(scope="module")
def lead(tmp_path_factory: pytest.TempPathFactory) -> Leadglass:
    """Make an archive whose limits forty studies are beyond."""
    return make(tmp_path_factory.mktemp("brakes"))


def make(folder: Path) -> Leadglass:
    lead = Leadglass(folder)
    lead.data.mkdir(mode=0o700)
    (lead.data / "leadglass.toml").write_text(SETTINGS)
    lead.do("init")
    files = folder / "files"
    files.mkdir()
    for number, uid in enumerate(STUDIES):
        made = data_set(StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", PatientID=f"P{number}")
        meta = made.file_meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.save_as(files / f"{number}.dcm", enforce_file_format=True)
    lead.do("import", files)
    return lead


@pytest.fixture(scope="module")
def archive(lead: Leadglass) -> Generator[Archive]:
    port = free_port()
    for number in range(8):
        lead.device(f"WS{number}", plaintext=True)
    lead.device("RESEARCH", plaintext=True, bulk="nightly export")
    lead.device("DEST", plaintext=True, port=port)
    with lead.serve() as doors:
        yield Archive(lead, doors, port)


def test_a_dump_by_dcmtk_is_cut_says_so_and_is_told_of(archive: Archive, dcmtk: Dcmtk) -> None:
    asked = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName")
    ran = archive.dcmtk(dcmtk, "findscu", "WS0", *asked)
    assert ran.said.count("Pending") >= LISTED
    assert "Refused: OutOfResources" in ran.said
    slow, stop = archive.alerts("WS0")
    assert str(slow["reason"]).startswith("Slowed: 11 patients and studies listed within 60 min; the limit is 10.")
    assert str(stop["reason"]).startswith("Stopped: 20 ")
    assert "leadglass brakes release WS0" in str(stop["reason"])
    assert "Doe" not in str(archive.lead.audit())


def test_the_comment_says_that_it_is_cut_and_when_to_come_back(archive: Archive) -> None:
    with association(archive.way("WS1"), QUERY) as assoc:
        answers = list(assoc.send_c_find(ALL, STUDY_FIND))
    last = answers[-1][0]
    assert (len(answers), last.Status) == (LISTED + 1, OUT_OF_RESOURCES)
    assert str(last.ErrorComment) in {f"Limit reached: this is cut off. Try again in {n} min." for n in (60, 61)} | {
        "Limit reached: this is cut off. Try again in 2 h."
    }


def test_neither_connecting_anew_nor_eight_lines_at_one_time_get_more(archive: Archive) -> None:
    with ThreadPoolExecutor(8) as pool:
        dumps = list(pool.map(archive.dump, ["WS2"] * 8))
    dumps.append(archive.dump("WS2"))
    assert {status for status, _ in dumps} == {OUT_OF_RESOURCES}
    assert len(set[str]().union(*(studies for _, studies in dumps))) == LISTED
    assert len(archive.alerts("WS2")) == 2


def test_another_device_goes_on_and_the_stopped_one_may_still_echo(archive: Archive) -> None:
    archive.dump("WS3")
    with association(archive.way("WS3"), ((VERIFICATION, UNCOMPRESSED),)) as assoc:
        assert assoc.send_c_echo().Status == 0
    with association(archive.way("WS4"), QUERY) as assoc:
        for uid in STUDIES[:LISTED]:
            status, matches = find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=uid))
            assert (status, len(matches)) == (0, 1)


def test_getting_everything_is_refused_whole_and_a_few_studies_are_given(archive: Archive, tmp_path: Path) -> None:
    collected = Collected()
    contexts = ((STUDY_GET, UNCOMPRESSED), (CT, UNCOMPRESSED))
    with association(archive.way("WS5"), contexts, get=collected) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDIES)
        last = last_status(assoc.send_c_get(keys, STUDY_GET))
        assert (last.Status, len(collected.instances)) == (NO_SUB_OPERATIONS, 0)
        assert last.ErrorComment == "Refused: more than is given at one time. Ask for less."
        for number, uid in enumerate(STUDIES[:12]):
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)
            expected = 0 if number < FETCHED else NO_SUB_OPERATIONS
            assert last_status(assoc.send_c_get(keys, STUDY_GET)).Status == expected
    assert len(collected.instances) == FETCHED


def test_moves_and_gets_are_counted_together_and_bulk_passes_both(
    archive: Archive, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    listed = "StudyInstanceUID=" + "\\".join(STUDIES)
    some = "StudyInstanceUID=" + "\\".join(STUDIES[:FETCHED])
    more = f"StudyInstanceUID={STUDIES[FETCHED]}"
    move = ("-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", "-k")
    with dcmtk.storescp(tmp_path / "received", port=archive.dest_port) as received:
        archive.dcmtk(dcmtk, "movescu", "WS6", *move, some)
        wait_until(lambda: len(received.files()) == FETCHED, "the studies arrive")
        assert NO_MORE in archive.dcmtk(dcmtk, "movescu", "WS6", *move, more).said
        got = archive.dcmtk(dcmtk, "getscu", "WS6", "-k", "QueryRetrieveLevel=STUDY", "-k", more, "-od", tmp_path)
        assert NO_MORE in got.said
        assert len(received.files()) == FETCHED
        archive.dcmtk(dcmtk, "movescu", "RESEARCH", *move, listed)
        wait_until(lambda: len(received.files()) == FETCHED + len(STUDIES), "everything arrives")
    assert archive.dump("RESEARCH") == (0, set(STUDIES))
    assert archive.alerts("RESEARCH") == []


def test_an_operator_sees_it_and_lifts_the_brake_while_the_server_runs(archive: Archive) -> None:
    archive.dump("WS7")

    def count() -> int:
        shown = archive.lead.do("brakes", "show", "--json")
        return sum(
            int(str(one["count"]))
            for one in json_objects(shown)
            if (one["caller"], one["brake"], one["seconds"]) == ("device:WS7", "patients and studies listed", 3600)
        )

    wait_until(lambda: count() == LISTED, "the count is saved")
    assert archive.dump("WS7")[0] == OUT_OF_RESOURCES
    archive.lead.do("brakes", "release", "WS7")
    one = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDIES[-1])

    def is_given() -> bool:
        with association(archive.way("WS7"), QUERY) as assoc:
            return find(assoc, one)[0] == 0

    wait_until(is_given, "the brake is lifted")


def test_a_restart_does_not_reset_the_brakes(tmp_path: Path) -> None:
    lead = make(tmp_path)
    lead.device("LATER", plaintext=True)
    with lead.serve() as doors:
        first = Archive(lead, doors, 0).dump("LATER")
    with lead.serve() as doors:
        again = Archive(lead, doors, 0)
        with association(again.way("LATER"), QUERY) as assoc:
            for uid in set(STUDIES) - first[1]:
                assert find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)) == (
                    OUT_OF_RESOURCES,
                    [],
                )
    assert len(first[1]) == LISTED
