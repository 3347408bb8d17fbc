"""C-FIND over the corpus: each question of the table, asked by DCMTK's findscu, against what pydicom finds."""

import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.doors.dimse.find_table import FILES, QUESTIONS, Question, text
from tests.doors.dimse.house import House, build
from tests.peers.dataset import read_head
from tests.peers.dcmtk import Dcmtk
from tests.peers.scu import Way

UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
RETURNED = {
    "PATIENT": ("PatientName", "PatientSex", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"),
    "STUDY": (
        "PatientName", "PatientID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber",
        "ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
    "IMAGE": ("InstanceNumber", "SOPClassUID"),
}  # fmt: skip


class Library:
    """The table's files, as pydicom reads them."""

    def __init__(self, corpus: Path) -> None:
        self.heads: dict[str, Any] = {name: read_head(corpus / name) for name in FILES}

    def value(self, spoken: str, keyword: str) -> str:
        """Give a key's value; ``=file`` stands for that of a file."""
        return text(self.heads[spoken[1:]], keyword) if spoken.startswith("=") else spoken

    def entities(self, question: Question) -> dict[str, list[Any]]:
        """Give the entities that answer, by unique key, each with all of its instances."""
        unique = UNIQUE[question.level]
        wanted = {text(head, unique) for head in self.heads.values() if question.rule(head)}
        return {one: [head for head in self.heads.values() if text(head, unique) == one] for one in sorted(wanted)}


@pytest.fixture(scope="module")
def library(corpus: Path) -> Library:
    return Library(corpus)


@pytest.fixture(scope="module")
def asked(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[House, Way]]:
    with build(tmp_path_factory.mktemp("table") / "house") as house:
        house.take(corpus / name for name in FILES)
        yield house, house.lane("WS1", "find")


def identifier(question: Question, library: Library) -> Dataset:
    """Make the question's identifier."""
    keys = Dataset()
    if question.charset:
        keys.SpecificCharacterSet = question.charset
    keys.QueryRetrieveLevel = question.level
    for keyword in (UNIQUE[question.level], *RETURNED[question.level]):
        setattr(keys, keyword, "" if keyword in {"PatientID", "StudyInstanceUID", "SeriesInstanceUID"} else None)
    for name, spoken in question.keys.items():
        sequence, _, keyword = name.rpartition(".")
        values = [library.value(one, keyword) for one in ([spoken] if isinstance(spoken, str) else spoken)]
        target = keys
        if sequence:
            if sequence not in keys:
                setattr(keys, sequence, [Dataset()])
            target = cast("Dataset", getattr(keys, sequence)[0])
        setattr(target, keyword, values[0] if len(values) == 1 else values)
    return keys


def ask(keys: Dataset, root: str, way: Way, dcmtk: Dcmtk, folder: Path) -> list[Dataset]:
    """Ask with findscu, from a file, and read what it extracted."""
    keys.file_meta = FileMetaDataset()
    keys.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    keys.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.2.2.1")
    keys.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    question, answers = folder / "question.dcm", folder / "answers"
    answers.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wild cards and ranges are no values of their VRs
        keys.save_as(question, enforce_file_format=True)
    ran = dcmtk(
        "findscu", f"-{root}", "-X", "-od", answers, "-v", "-aet", way.ae_title, "-aec", "LEADGLASS",
        "127.0.0.1", str(way.port), question,
    )  # fmt: skip
    assert ran.code == 0, ran.said
    assert "Received Final Find Response (Success)" in ran.said, ran.said
    return [cast("Any", pydicom).dcmread(path, force=True) for path in sorted(answers.iterdir())]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: cast("Question", question).name)
def test_every_question_gets_its_answers(
    question: Question, library: Library, asked: tuple[House, Way], dcmtk: Dcmtk, tmp_path: Path
) -> None:
    expected = library.entities(question)
    assert len(expected) == question.count
    answers = ask(identifier(question, library), question.root, asked[1], dcmtk, tmp_path)
    unique = UNIQUE[question.level]
    assert sorted(text(answer, unique) for answer in answers) == sorted(expected)
    for answer in answers:
        check(answer, question.level, expected[text(answer, unique)])


def check(answer: Any, level: str, instances: Sequence[Any]) -> None:
    """Compare every returned value with what the entity's instances say."""
    assert text(answer, "QueryRetrieveLevel") == level
    assert text(answer, "RetrieveAETitle") == "LEADGLASS"
    for keyword in RETURNED[level]:
        assert keyword in answer, f"{keyword} was asked for"
        value = answer.get(keyword)
        if keyword in COMPUTED:
            assert listed(value) == COMPUTED[keyword](instances), keyword
        else:
            assert text(answer, keyword) in {text(instance, keyword) for instance in instances}, keyword


def listed(value: Any) -> list[str]:
    """Give one value or several as a sorted list of texts."""
    return [str(value)] if isinstance(value, (str, int)) else sorted(str(one) for one in value)


def distinct(keyword: str, instances: Sequence[Any]) -> list[str]:
    """Give the distinct values of a keyword, sorted."""
    return sorted({text(instance, keyword) for instance in instances})


def counted(keyword: str, instances: Sequence[Any]) -> list[str]:
    """Give the number of distinct values of a keyword."""
    return [str(len(distinct(keyword, instances)))]


COMPUTED: dict[str, Callable[[Sequence[Any]], list[str]]] = {
    "ModalitiesInStudy": partial(distinct, "Modality"),
    "SOPClassesInStudy": partial(distinct, "SOPClassUID"),
    "NumberOfPatientRelatedStudies": partial(counted, "StudyInstanceUID"),
    "NumberOfStudyRelatedSeries": partial(counted, "SeriesInstanceUID"),
    "NumberOfPatientRelatedInstances": partial(counted, "SOPInstanceUID"),
    "NumberOfStudyRelatedInstances": partial(counted, "SOPInstanceUID"),
    "NumberOfSeriesRelatedInstances": partial(counted, "SOPInstanceUID"),
}
"""PS3.4 C.3.4: what the archive counts or gathers."""
