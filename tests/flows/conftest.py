"""A real archive, served by a real process, with the devices that the flows speak as."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from tests.peers.dataset import read_head
from tests.peers.leadglass import Doors, Leadglass, Record
from tests.peers.running import Credentials, free_port
from tests.peers.scu import Way


@dataclass(frozen=True, slots=True)
class Site:
    """One served archive and its devices.

    Parameters
    ----------
    lead : Leadglass
        Its command line.
    doors : Doors
        Where it listens.
    station, sender, dest, other : Credentials
        Certificates of: a device that may do everything; one that may only
        store; one that receives; one more.
    dest_port, olddest_port : int
        Where ``DEST`` (TLS) and ``OLDDEST`` (plaintext) are registered to receive.
    """

    lead: Leadglass
    doors: Doors
    station: Credentials
    sender: Credentials
    dest: Credentials
    other: Credentials
    dest_port: int
    olddest_port: int

    @property
    def tls(self) -> Way:
        """How STATION speaks TLS."""
        return Way(self.doors.tls[1], "STATION", self.station)

    @property
    def plain(self) -> Way:
        """How OLDSTATION speaks plaintext."""
        return Way(self.doors.plain[1], "OLDSTATION")

    def refusals(self) -> list[Record]:
        """Give the refusals on record."""
        return [one for one in self.lead.audit() if one.get("outcome") == "refused"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """Serve an archive with every kind of device."""
    lead = Leadglass(tmp_path_factory.mktemp("site"))
    lead.do("init")
    dest_port, olddest_port = free_port(), free_port()
    station = lead.enroll("STATION")
    sender = lead.enroll("SENDER", allow="store")
    other = lead.enroll("OTHER")
    dest = lead.enroll("DEST", port=dest_port)
    lead.device("OLDSTATION", plaintext=True)
    lead.device("OLDCT", allow="echo,store", plaintext=True)
    lead.device("OLDDEST", plaintext=True, port=olddest_port)
    lead.enroll("ELSEWHERE", address="127.0.0.3/32")
    with lead.serve() as doors:
        yield Site(lead, doors, station, sender, dest, other, dest_port, olddest_port)


@dataclass(frozen=True, slots=True)
class Sample:
    """A file shipped inside pydicom, and the UIDs it holds."""

    path: Path
    patient_id: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str


def _sample(name: str) -> Sample:
    return _sample_of(Path(cast("str", get_testdata_file(name, download=False))))


def _sample_of(path: Path) -> Sample:
    head = read_head(path)
    return Sample(
        path,
        str(head.PatientID),
        str(head.StudyInstanceUID),
        str(head.SeriesInstanceUID),
        str(head.SOPInstanceUID),
        str(head.SOPClassUID),
    )


@pytest.fixture(scope="session")
def ct() -> Sample:
    """Give a small CT image."""
    return _sample("CT_small.dcm")


@pytest.fixture(scope="session")
def mr() -> Sample:
    """Give a small MR image."""
    return _sample("MR_small.dcm")


@pytest.fixture(scope="session")
def stocked(site: Site, ct: Sample, mr: Sample) -> Site:
    """Give the archive with both samples in it."""
    site.lead.do("import", ct.path, mr.path)
    return site


@pytest.fixture
def fresh(mr: Sample, tmp_path: Path) -> Sample:
    """Give a made-up image of a study that nobody has sent before."""
    dataset = cast("Any", pydicom).dcmread(mr.path)
    dataset.PatientID = dataset.PatientName = f"FRESH{uuid4().hex[:8]}"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = tmp_path / "fresh.dcm"
    dataset.save_as(path)
    return _sample_of(path)
