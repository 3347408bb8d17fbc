"""QIDO-RS over the corpus: each question of C-FIND's table, asked by dicomweb-client, against what pydicom finds."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from tests.doors.dimse.find_table import FILES, QUESTIONS, Question, text
from tests.doors.dimse.test_find_table import COMPUTED, RETURNED, UNIQUE, Library, listed
from tests.peers.leadglass import Leadglass
from tests.peers.web import Web, serving


@pytest.fixture(scope="module")
def library(corpus: Path) -> Library:
    return Library(corpus)


@pytest.fixture(scope="module")
def web(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    folder = tmp_path_factory.mktemp("table")
    leadglass = Leadglass(folder)
    leadglass.do("init")
    leadglass.do("import", *(corpus / name for name in FILES))
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(web: Web) -> Any:
    session = requests.Session()
    session.verify = str(web.authority)
    session.headers["Authorization"] = f"Bearer {web.token()}"
    session.trust_env = False
    return DICOMwebClient(f"{web.url}/dicom-web", session=session)


def filters(question: Question, library: Library) -> dict[str, str]:
    """Give a question as parameters."""
    asked: dict[str, str] = {}
    for name, spoken in question.keys.items():
        keyword = name.rpartition(".")[2]
        values = [library.value(one, keyword) for one in ([spoken] if isinstance(spoken, str) else spoken)]
        asked[name] = ("," if keyword.endswith("UID") else "\\").join(values)
    return asked


def search(client: Any, level: str, **more: Any) -> list[Dataset]:
    ask = {"SERIES": client.search_for_series, "IMAGE": client.search_for_instances}.get(
        level, client.search_for_studies
    )
    return [cast("Any", Dataset).from_json(answer) for answer in ask(**more)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: cast("Question", question).name)
def test_every_question_gets_its_answers(question: Question, library: Library, client: Any) -> None:
    expected = library.entities(question)
    assert len(expected) == question.count
    unique = UNIQUE[question.level]
    returned = [keyword for keyword in RETURNED[question.level] if not keyword.startswith("NumberOfPatient")]
    answers = search(
        client, question.level, search_filters=filters(question, library), fields=["includefield", *returned][1:]
    )
    found = [text(answer, unique) for answer in answers]
    assert sorted(set(found)) == sorted(expected)
    assert question.level == "PATIENT" or len(found) == len(expected)
    for answer in answers if question.level != "PATIENT" else []:
        instances = expected[text(answer, unique)]
        for keyword in returned:
            if keyword in COMPUTED:
                assert listed(answer.get(keyword)) == COMPUTED[keyword](instances), keyword
            else:
                assert text(answer, keyword) in {text(instance, keyword) for instance in instances}, keyword


def test_the_same_is_found_below_its_study_and_series(library: Library, client: Any) -> None:
    for study in sorted({text(head, "StudyInstanceUID") for head in library.heads.values()}):
        of_study = [head for head in library.heads.values() if text(head, "StudyInstanceUID") == study]
        series = search(client, "SERIES", study_instance_uid=study)
        assert {text(one, "SeriesInstanceUID") for one in series} == {
            text(head, "SeriesInstanceUID") for head in of_study
        }
        images = search(client, "IMAGE", study_instance_uid=study)
        assert sorted(text(one, "SOPInstanceUID") for one in images) == sorted(
            text(head, "SOPInstanceUID") for head in of_study
        )
        for one in series:
            uid = text(one, "SeriesInstanceUID")
            of_series = search(client, "IMAGE", study_instance_uid=study, series_instance_uid=uid)
            wanted = [head for head in of_study if text(head, "SeriesInstanceUID") == uid]
            assert sorted(text(each, "SOPInstanceUID") for each in of_series) == sorted(
                text(head, "SOPInstanceUID") for head in wanted
            )
            numbers = [int(text(each, "InstanceNumber")) for each in of_series if text(each, "InstanceNumber")]
            assert numbers == sorted(numbers)
            assert {(each.Rows, each.Columns) for each in of_series if "Rows" in each} == {
                (head.Rows, head.Columns) for head in wanted if "Rows" in head
            }


def test_pages_of_a_client_that_wants_all_are_all(client: Any) -> None:
    by_page = client.search_for_instances(limit=7, get_remaining=True)
    at_once = client.search_for_instances()
    assert len(at_once) == len(FILES)
    assert by_page == at_once


def test_everything_of_an_instance_is_what_pydicom_reads(library: Library, client: Any) -> None:
    for head in library.heads.values():
        (answer,) = search(
            client, "IMAGE", search_filters={"SOPInstanceUID": text(head, "SOPInstanceUID")}, fields=["all"]
        )
        for element in head:
            if element.VR in ("SQ", "UN", "OB", "OW", "OF") or element.tag.is_private or element.tag.element == 0:
                continue
            if element.keyword in ("SpecificCharacterSet", "ModalitiesInStudy"):
                continue  # what is said of the answer, and of the study as it is here
            found, wanted = cast("Any", answer[element.tag]).value, element.value
            assert found == wanted or str(found).strip() == str(wanted).strip(), element.keyword


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("Peter Doe", {"Doe^Peter"}),
        ("doe, pteer", {"Doe^Peter"}),
        ("buc jerome", {"Buc^Jérôme"}),
        ("aeneas", {"Äneas^Rüdiger"}),
        ("nemo", set[str]()),
    ],
)
def test_names_are_found_as_they_are_remembered(client: Any, asked: str, names: set[str]) -> None:
    answers = search(client, "STUDY", search_filters={"PatientName": asked}, fuzzymatching=True)
    assert {text(answer, "PatientName") for answer in answers} == names
