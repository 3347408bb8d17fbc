"""Windows of matches: order, offset, limit, what remains, and that no page costs a scan."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.archive.lists import Window
from leadglass.dicom.matching import NO_MATCH, Level, Query, Root
from leadglass.dicom.model import Attributes
from leadglass.errors import Unsupported
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault import finding, listing
from leadglass.vault.rows import Rows
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import instance, opened, store
from tests.vault.test_find import FIND, KEYS, asking, matches, values
from tests.vault.test_plans import Plans

DATES = ["20260101", "20251231", "2025.06.30", "", "19991231"]


def listed(vault: Vault, query: Query, offset: int = 0, limit: int = 1_000, may: Permit = FIND) -> list[Attributes]:
    return [match for match in vault.search(may, query, Window(offset, limit)) if match != NO_MATCH]


def uids(answers: list[Attributes], keyword: str = "StudyInstanceUID") -> list[Any]:
    return [values(answer, keyword)[0] for answer in answers]


@pytest.fixture
def dated(vault: Vault) -> Vault:
    """Studies that were stored in another order than they were made in; one has no date."""
    for uid, date, time in (
        ("1.5", "20240101", "080000"),
        ("1.1", "20260101", "080000"),
        ("1.9", None, None),
        ("1.3", "20260101", "2300"),
        ("1.2", "20260101", "080000"),
    ):
        for series, number in ((3, 1), (1, None), (2, 2)):
            for image in (2, 1):
                store(
                    vault,
                    instance(
                        StudyInstanceUID=uid,
                        StudyDate=date,
                        StudyTime=time,
                        SeriesInstanceUID=f"{uid}.{series}",
                        SeriesNumber=number,
                        SOPInstanceUID=f"{uid}.{series}.{image}",
                        InstanceNumber=image,
                    ),
                )
    return vault


NEWEST_FIRST = ["1.3", "1.1", "1.2", "1.5", "1.9"]


def test_the_newest_study_is_first_and_uids_break_a_tie(dated: Vault) -> None:
    assert uids(listed(dated, asking(Level.STUDY, {}))) == NEWEST_FIRST


def test_series_and_instances_stand_by_their_numbers_below_their_study(dated: Vault) -> None:
    series = uids(listed(dated, asking(Level.SERIES, {})), "SeriesInstanceUID")
    assert series == [f"{uid}.{number}" for uid in NEWEST_FIRST for number in (3, 2, 1)]
    of_one = asking(Level.IMAGE, {"StudyInstanceUID": "1.2"})
    assert uids(listed(dated, of_one), "SOPInstanceUID") == [
        f"1.2.{number}.{image}" for number in (3, 2, 1) for image in (1, 2)
    ]


@pytest.mark.parametrize("keys", [{}, {"StudyDescription": "Tho*"}, {"PatientID": "4711"}, {"StudyDate": "19000101-"}])
def test_pages_join_and_say_what_remains(dated: Vault, keys: dict[str, object]) -> None:
    query = asking(Level.STUDY, keys)
    everything = listed(dated, query)
    for limit in (1, 2, 3):
        pages: list[Attributes] = []
        for offset in range(0, len(everything) + 1, limit):
            found = dated.search(FIND, query, Window(offset, limit))
            page = [match for match in found if match != NO_MATCH]
            left = max(0, len(everything) - offset - limit)
            assert found.remaining <= left
            assert bool(found.remaining) == bool(left)
            pages += page
        assert pages == everything


def test_what_remains_is_counted_where_the_index_says_all(dated: Vault) -> None:
    found = dated.search(FIND, asking(Level.STUDY, {}), Window(1, 1))
    assert len([match for match in found if match != NO_MATCH]) == 1
    assert found.remaining == 3


def test_an_offset_beyond_everything_gives_nothing(dated: Vault) -> None:
    assert listed(dated, asking(Level.STUDY, {}), 2**70) == []
    assert listed(dated, asking(Level.STUDY, {"PatientID": "4711"}), 2**70) == []


def test_what_the_permit_does_not_cover_is_in_no_page_and_no_number(dated: Vault) -> None:
    may = permit(Action.FIND, scope=Scope.where(Field.STUDY, "1.1", "1.5"))
    found = dated.search(may, asking(Level.STUDY, {}), Window(0, 1))
    assert uids([match for match in found if match != NO_MATCH]) == ["1.1"]
    assert found.remaining == 1


def test_without_dates_uids_alone_give_the_order(dated: Vault) -> None:
    for keys in ({}, {"PatientID": "4711"}):
        found = dated.search(FIND, asking(Level.STUDY, keys), Window(0, 4, by_date=False))
        assert uids([match for match in found if match != NO_MATCH]) == ["1.1", "1.2", "1.3", "1.5"]


def test_patients_are_not_paged(dated: Vault) -> None:
    with pytest.raises(Unsupported):
        list(dated.search(FIND, asking(Level.PATIENT, {}, root=Root.PATIENT), Window(0, 1)))


@pytest.fixture(scope="module", params=["said", "odd"])
def some(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Forty studies; once with a date that no column can say."""
    folder: Path = tmp_path_factory.mktemp("some")
    chance = random.Random(11)
    dates = [*DATES, "20260101\\20250101"] if request.param == "odd" else DATES
    with opened(folder) as vault:
        for number in range(40):
            store(
                vault,
                instance(
                    StudyInstanceUID=f"1.{number}",
                    SeriesInstanceUID=f"1.{number}.1",
                    PatientName=chance.choice(
                        ["Müller^Jörg", "Mueller^Jo", "Smith^Ann", "Smyth^A", "山田^太郎", "O'Brien"]
                    ),
                    PatientID=chance.choice(["1", "a", "A", ""]),
                    StudyDate=chance.choice(dates),
                    StudyTime=chance.choice(["", "101112", "2359"]),
                    AccessionNumber=chance.choice(["A1", "a1", ""]),
                    Modality=chance.choice(["CT", "MR"]),
                    InstanceNumber=chance.choice([1, 2, None]),
                ),
            )
        yield vault


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    level=st.sampled_from([Level.STUDY, Level.SERIES, Level.IMAGE]),
    keys=KEYS,
    combined=st.booleans(),
    fuzzy=st.booleans(),
    offset=st.integers(0, 45),
    limit=st.integers(1, 45),
)
def test_a_window_is_that_part_of_all_matches(
    some: Vault, level: Level, keys: dict[str, object], combined: bool, fuzzy: bool, offset: int, limit: int
) -> None:
    query = asking(level, keys, combined=combined, fuzzy=fuzzy)
    everything = listed(some, query)
    assert sorted(map(str, everything)) == sorted(map(str, matches(some, query)))
    found = some.search(FIND, query, Window(offset, limit))
    assert [match for match in found if match != NO_MATCH] == everything[offset : offset + limit]
    assert bool(found.remaining) == (len(everything) > offset + limit)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("mueller", ["Mueller^Jo", "Müller^Jörg"]),
        ("Muller^Jorg", ["Müller^Jörg"]),
        ("smith", ["Smith^Ann", "Smyth^A"]),
        ("smtih", ["Smith^Ann"]),
        ("Ann Smith", ["Smith^Ann"]),
        ("obrien", ["O'Brien"]),
        ("山田", ["山田^太郎"]),
        ("xyz", []),
        ("smi*", ["Smith^Ann"]),
    ],
)
def test_names_are_found_as_they_are_remembered(some: Vault, wanted: str, names: list[str]) -> None:
    found = listed(some, asking(Level.STUDY, {"PatientName": wanted}, fuzzy=True))
    assert sorted({values(each, "PatientName")[0]["Alphabetic"] for each in found}) == names


SCOPES = {
    "everything": Scope.everything(),
    "a source": Scope.where(Field.SOURCE, "CT1"),
    "patients": Scope.where(Field.PATIENT, "4711", "0815"),
    "patients without an issuer": Scope.patients("4711", "0815"),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
@pytest.mark.parametrize(
    ("level", "keys", "index"),
    [
        (Level.STUDY, {}, "study_by_newest"),
        (Level.STUDY, {"StudyDate": "20260101-20260131"}, "study_by_newest"),
        (Level.STUDY, {"StudyDate": "20260101-", "ModalitiesInStudy": "CT"}, "study_by_newest"),
        (Level.STUDY, {"PatientID": "4711"}, "study_by_patient_id"),
        (Level.STUDY, {"AccessionNumber": "A1"}, "study_by_accession"),
        (Level.STUDY, {"PatientName": "Doe*"}, "study_name_by_form"),
        (Level.SERIES, {}, "study_by_newest"),
        (Level.SERIES, {"StudyInstanceUID": "1.1"}, "sqlite_autoindex_study_1"),
        (Level.SERIES, {"SeriesInstanceUID": "1.1"}, "series_by_uid"),
        (Level.IMAGE, {}, "study_by_newest"),
        (Level.IMAGE, {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, "sqlite_autoindex_study_1"),
        (Level.IMAGE, {"SOPInstanceUID": "1.1"}, "sqlite_autoindex_instance_1"),
    ],
)
def test_no_page_costs_a_scan(
    vault: Vault, scope: Scope, level: Level, keys: dict[str, object], index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(vault, instance())
    plans = Plans(monkeypatch)
    counted = {"NumberOfStudyRelatedInstances": None, "ModalitiesInStudy": None}
    listed(vault, asking(level, counted | keys), may=permit(Action.FIND, scope=scope))
    walks = [step for step in plans.scans() if "study_by_newest" not in step]
    assert walks == []
    used = [step for step in plans.steps if index in step or "study_by_patient_id" in step]
    assert used != []  # the latter for the scope
    if index == "study_by_newest" and scope not in (SCOPES["patients"], SCOPES["patients without an issuer"]):
        assert not any(step == "USE TEMP B-TREE FOR ORDER BY" for step in plans.steps)


def test_a_page_reads_no_more_rows_than_it_shows(dated: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    fetch = finding.study_page

    def counting(connection: Any, may: Permit, page: Any, query: Query) -> Rows:
        read.extend(page)
        return fetch(connection, may, page, query)

    monkeypatch.setattr(listing.finding, "study_page", counting)
    assert len(listed(dated, asking(Level.STUDY, {}), 1, 2)) == 2
    assert len(read) == 2
