"""QIDO-RS as a transaction: what is returned, in which media type, with which warning, to whom."""

from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import pytest
from defusedxml import ElementTree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.dicom import tags
from leadglass.doors.dicomweb import qido
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device, everything
from tests.doors.dicomweb.qidohouse import House, opened
from tests.vault.sets import instance, store

UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
STUDIES = "/dicom-web/studies"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    """Five studies; the first has two series."""
    with opened(tmp_path_factory.mktemp("qido") / "archive", qido.routes) as house:
        for number in range(1, 6):
            for series in (1, 2) if number == 1 else (1,):
                store(
                    house.vault,
                    instance(
                        StudyInstanceUID=f"1.{number}",
                        SeriesInstanceUID=f"1.{number}.{series}",
                        SOPInstanceUID=f"1.{number}.{series}.1",
                        SeriesNumber=series,
                        StudyDate=f"2026010{number}",
                        PatientID=f"P{number}",
                        PatientName="Müller^Jörg" if number == 3 else "Doe^Jane",
                        Modality="SR" if series == 2 else "CT",
                        SeriesDescription=None if number == 2 else "Axial",
                    ),
                    origin="CT1" if number < 4 else "MR1",
                )
        yield house


def test_the_newest_studies_are_first(house: House) -> None:
    assert house.get(STUDIES).firsts(UID) == ["1.5", "1.4", "1.3", "1.2", "1.1"]


def test_a_study_has_what_the_standard_wants_of_it(house: House) -> None:
    (study,) = house.get(f"{STUDIES}?StudyInstanceUID=1.1").rows
    for keyword in (
        "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "InstanceAvailability",
        "ModalitiesInStudy", "ReferringPhysicianName", "RetrieveURL", "PatientName", "PatientID", "PatientBirthDate",
        "PatientSex", "StudyInstanceUID", "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ):  # fmt: skip
        assert tags.key(getattr(tags, keyword)) in study, keyword
    assert study["00081190"] == {"vr": "UR", "Value": ["https://pacs.example/dicom-web/studies/1.1"]}
    assert study["00080061"]["Value"] == ["CT", "SR"]
    assert study["00201206"]["Value"] == [2]
    assert study["00080090"] == {"vr": "PN"}
    assert "00080201" not in study  # not known
    assert list(study) == sorted(study)


def test_series_and_instances_have_what_the_standard_wants_of_them(house: House) -> None:
    first, second = house.get(f"{STUDIES}/1.1/series").rows
    assert (first["00200011"]["Value"], second["00200011"]["Value"]) == ([1], [2])
    assert first["00081190"]["Value"] == ["https://pacs.example/dicom-web/studies/1.1/series/1.1.1"]
    assert first["00201209"]["Value"] == [1]
    assert first["0008103E"]["Value"] == ["Axial"]
    assert "00100010" not in first
    (of_another,) = house.get(f"{STUDIES}/1.2/series").rows
    assert "0008103E" not in of_another
    (one,) = house.get(f"{STUDIES}/1.1/series/1.1.1/instances").rows
    assert one["00081190"]["Value"] == ["https://pacs.example/dicom-web/studies/1.1/series/1.1.1/instances/1.1.1.1"]
    assert (one["00280010"]["Value"], one["00280100"]["Value"], one["00200013"]["Value"]) == ([8], [16], [1])
    assert "00280008" not in one


def test_a_search_over_all_has_the_attributes_above_too(house: House) -> None:
    (series,) = house.get("/dicom-web/series?Modality=SR").rows
    assert series["00100020"]["Value"] == ["P1"]
    (one,) = house.get("/dicom-web/instances?SOPInstanceUID=1.3.1.1").rows
    assert one["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert one["00080060"]["Value"] == ["CT"]
    assert house.get("/dicom-web/series/1.3.1/instances").firsts(INSTANCE_UID) == ["1.3.1.1"]
    assert house.get(f"{STUDIES}/1.1/instances").firsts(SERIES_UID) == ["1.1.1", "1.1.2"]


@pytest.mark.parametrize(
    ("query", "uids", "left"),
    [("limit=2", ["1.5", "1.4"], 3), ("limit=2&offset=4", ["1.1"], 0), ("offset=5", [], 0), ("limit=0", [], 5)],
)
def test_who_gets_a_part_is_told_what_is_left(house: House, query: str, uids: list[str], left: int) -> None:
    answer = house.get(f"{STUDIES}?{query}")
    assert (answer.status, answer.firsts(UID)) == (200, uids)
    warning = f"299 https://pacs.example/dicom-web: There are {left} additional results that can be requested"
    assert answer.every("warning") == ([warning] if left else [])


def test_nothing_found_is_an_empty_list(house: House) -> None:
    answer = house.get(f"{STUDIES}?PatientID=nobody")
    assert (answer.status, answer.body) == (200, b"[]")
    assert house.get(f"{STUDIES}/9.9/series").rows == []


def test_fuzzy_matching_is_done_and_literal_matching_is_said(house: House) -> None:
    found = house.get(f"{STUDIES}?PatientName=jorg%20mueller&fuzzymatching=true")
    assert (found.firsts(UID), found.every("warning")) == (["1.3"], [])
    literal = house.get(f"{STUDIES}?PatientName=M*&fuzzymatching=true")
    assert literal.firsts(UID) == ["1.3"]
    assert literal.every("warning") == [
        "299 https://pacs.example/dicom-web: The fuzzymatching parameter is not supported. "
        "Only literal matching has been performed."
    ]


def test_xml_comes_in_parts(house: House) -> None:
    answer = house.get(f"{STUDIES}?limit=2", accept='multipart/related; type="application/dicom+xml"')
    (kind,) = answer.every("content-type")
    boundary = kind.partition("boundary=")[2].encode()
    parts = answer.body.split(b"--" + boundary)[1:-1]
    assert len(parts) == 2
    model = ElementTree.fromstring(parts[0].partition(b"\r\n\r\n")[2].strip())
    found = {each.get("keyword"): each for each in model}
    assert [value.text for value in found["StudyInstanceUID"]] == ["1.5"]


@pytest.mark.parametrize("accept", ["application/dicom+json", "application/json", "*/*", "text/html;q=0.9, */*;q=0.1"])
def test_json_is_what_comes_otherwise(house: House, accept: str) -> None:
    assert house.get(f"{STUDIES}?limit=1", accept=accept).rows


def test_what_cannot_be_given_is_said(house: House) -> None:
    assert house.get(STUDIES, accept="image/png").status == 406


@pytest.mark.parametrize("path", ["/dicom-web/studies/abc/series", "/dicom-web/studies/1.1/series/1..2/instances"])
def test_a_path_with_no_uid_is_refused(house: House, path: str) -> None:
    answer = house.get(path)
    assert answer.status == 400
    assert "abc" not in answer.body.decode()


def test_who_may_not_query_is_refused_and_scopes_hold(house: House) -> None:
    assert house.get(STUDIES, caller=device("CT1", Action.STORE)).status == 403
    narrow = device("REF", Action.FIND, scope=Scope.where(Field.SOURCE, "MR1"))
    answer = house.get(f"{STUDIES}?limit=1", caller=narrow)
    assert answer.firsts(UID) == ["1.5"]
    assert answer.every("warning")[0].endswith("There are 1 additional results that can be requested")
    assert house.get(f"{STUDIES}/1.1/series", caller=narrow).rows == []


def test_a_view_masks_what_leaves_and_cannot_be_asked_about(house: House) -> None:
    nameless = device("RES", Action.FIND, view=View(frozenset({tags.PatientName, tags.StudyDate})))
    answer = house.get(f"{STUDIES}?limit=3&includefield=all", caller=nameless)
    assert answer.firsts("00100010") == [None] * 3
    assert answer.firsts(UID) == ["1.1", "1.2", "1.3"]  # by date, the newest would be first
    assert house.get(f"{STUDIES}?PatientName=Doe*", caller=nameless).status == 403
    assert house.get(f"{STUDIES}?PatientName=Doe&fuzzymatching=true", caller=nameless).status == 403


def test_a_search_is_on_record_without_its_values(house: House) -> None:
    house.get(f"{STUDIES}?PatientID=P4&StudyDate=20260101-&limit=1")
    event = house.stow.events("permitted")[-1]
    assert event.detail == {"level": "STUDY", "keys": "StudyDate, PatientID"}


def test_who_has_gone_away_is_not_worked_for(tmp_path: Path) -> None:
    def hasty(services: qido.Services) -> list[qido.Route]:
        search = qido.Qido(services, qido.SearchPace(slice=0.0))
        return [qido.Route(STUDIES, ("GET",), search.studies)]

    with opened(tmp_path / "archive", hasty) as house:
        for number in (1, 2, 3):
            store(house.vault, instance(StudyInstanceUID=f"1.{number}", SeriesInstanceUID=f"1.{number}.1"))
        assert len(house.get(STUDIES).rows) == 3
        house.is_gone = True
        assert house.get(STUDIES).status == 503


KEYWORDS = st.sampled_from(
    ["PatientID", "PatientName", "StudyDate", "StudyTime", "StudyInstanceUID", "ModalitiesInStudy", "Modality",
     "InstanceNumber", "00280010", "ProcedureCodeSequence.CodeValue", "RequestAttributesSequence.00400009",
     "limit", "offset", "fuzzymatching", "emptyvaluematching", "includefield", "accept", "00091001", "SOPClassUID"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["*", '""', "1.2", "20260101-", "true", "1", "a*b?c", "' OR 1=1 --", "%", "\\\\", ",,", "=", "all"]
    ),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([STUDIES, "/dicom-web/series", "/dicom-web/instances", f"{STUDIES}/1.1/series"]),
    st.lists(st.tuples(KEYWORDS, VALUES, st.booleans()), max_size=5),
)
def test_no_query_string_is_a_fault_of_ours(house: House, path: str, asked: list[tuple[str, str, bool]]) -> None:
    text = "&".join(
        f"{name}={quote(value.encode('utf-8', 'replace')) if is_quoted else value}" for name, value, is_quoted in asked
    )
    answer = house.get(f"{path}?{text}".encode("utf-8", "replace").decode(), caller=everything())
    assert answer.status in (200, 400, 406)
