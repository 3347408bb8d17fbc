import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.archive.backroom import Selection
from leadglass.dicom import dictionary, tags
from leadglass.dicom.levels import MADE
from leadglass.dicom.matching import NO_MATCH, Level, Query, Root, query_from_identifier
from leadglass.dicom.model import Attributes
from leadglass.errors import Denied
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Field, Scope
from leadglass.vault import counting, finding
from leadglass.vault.index.query_sql import Narrowed
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import CT, instance, opened, store

FIND = permit(Action.FIND)


def element(keyword: str, *values: object) -> tuple[str, Any]:
    """Make one element of an identifier; a name is given as its text."""
    tag = getattr(tags, keyword)
    vr = dictionary.vr(tag).split(" ")[0]
    held: list[object] = [{"Alphabetic": str(value)} for value in values] if vr == "PN" else list(values)
    return tags.key(tag), {"vr": vr, "Value": held} if held else {"vr": vr}


def asked(level: Level, *, root: Root = Root.STUDY, combined: bool = False, **keys: object) -> Query:
    """Make a relational query; ``None`` asks for a value, a tuple gives several."""
    return asking(level, keys, root=root, combined=combined)


def asking(
    level: Level, keys: Mapping[str, object], *, root: Root = Root.STUDY, combined: bool = False, fuzzy: bool = False
) -> Query:
    """Make a relational query from keys by keyword."""
    identifier: Attributes = dict([element("QueryRetrieveLevel", level.value)])
    for keyword, value in keys.items():
        several = cast("tuple[object, ...]", value) if isinstance(value, tuple) else () if value is None else (value,)
        identifier |= [element(keyword, *several)]
    return query_from_identifier(identifier, root=root, relational=True, combined_date_time=combined, fuzzy_names=fuzzy)


def values(answer: Attributes, keyword: str) -> list[Any]:
    return answer[tags.key(getattr(tags, keyword))].get("Value", [])


def found(vault: Vault, query: Query, keyword: str, may: Permit = FIND) -> list[Any]:
    """Find, and give one attribute's first value of each answer."""
    return [next(iter(values(answer, keyword)), None) for answer in matches(vault, query, may)]


def matches(vault: Vault, query: Query, may: Permit = FIND) -> list[Attributes]:
    """Find, without what is said of rows that are no match."""
    return [answer for answer in vault.find(may, query) if answer != NO_MATCH]


@pytest.fixture
def three(vault: Vault) -> Vault:
    """Three studies of two patients: 1.1 (CT, two series, three instances), 1.2 (MR), 1.3 of another patient."""
    store(vault, instance(StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID="1.1.1.1"))
    store(
        vault, instance(StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID="1.1.1.2", InstanceNumber=2)
    )
    store(
        vault,
        instance(
            StudyInstanceUID="1.1",
            SeriesInstanceUID="1.1.2",
            SOPInstanceUID="1.1.2.1",
            Modality="SR",
            SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11",
            InstanceNumber=None,
            PixelData=None,
            Rows=None,
        ),
        origin="WS1",
    )
    store(
        vault,
        instance(
            StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1", Modality="MR",
            StudyDate="20250630", AccessionNumber="B2",
        ),
    )  # fmt: skip
    store(
        vault,
        instance(
            StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", SOPInstanceUID="1.3.1.1", PatientID="0815",
            PatientName="Müller^Jörg", StudyDate="20240101", AccessionNumber="C3",
        ),
    )  # fmt: skip
    return vault


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        ({}, ["1.1", "1.2", "1.3"]),
        ({"PatientID": "4711"}, ["1.1", "1.2"]),
        ({"PatientID": "471?"}, ["1.1", "1.2"]),
        ({"PatientID": "4711 "}, ["1.1", "1.2"]),
        ({"PatientID": "471"}, []),
        ({"PatientName": "doe*"}, ["1.1", "1.2"]),
        ({"PatientName": "MÜLLER^JÖRG"}, ["1.3"]),
        ({"PatientName": "mu\u0308ller*"}, ["1.3"]),
        ({"PatientName": "*jörg"}, ["1.3"]),
        ({"PatientName": "Doe^Jane^^^"}, ["1.1", "1.2"]),
        ({"StudyDate": "20250101-20251231"}, ["1.2"]),
        ({"StudyDate": "-20250630"}, ["1.2", "1.3"]),
        ({"StudyDate": "20250630-"}, ["1.1", "1.2"]),
        ({"StudyDate": "2024.01.01"}, ["1.3"]),
        ({"AccessionNumber": ("A1", "C3")}, ["1.1", "1.3"]),
        ({"AccessionNumber": "b2"}, []),
        ({"StudyInstanceUID": ("1.3", "1.1", "9.9")}, ["1.1", "1.3"]),
        ({"ModalitiesInStudy": "MR"}, ["1.2"]),
        ({"ModalitiesInStudy": ("MR", "SR")}, ["1.1", "1.2"]),
        ({"StudyDescription": "tho*"}, []),
        ({"StudyDescription": "Tho*"}, ["1.1", "1.2", "1.3"]),
        ({"PatientID": "%"}, []),
        ({"PatientID": "' OR 1=1 --"}, []),
        ({"PatientSex": "F", "PatientBirthDate": "19700101"}, ["1.1", "1.2", "1.3"]),
    ],
)
def test_studies_are_found_by_their_keys(three: Vault, keys: dict[str, object], studies: list[str]) -> None:
    assert found(three, asking(Level.STUDY, keys), "StudyInstanceUID") == studies


def test_what_is_counted_of_a_study(three: Vault) -> None:
    query = asked(
        Level.STUDY,
        StudyInstanceUID="1.1",
        ModalitiesInStudy=None,
        SOPClassesInStudy=None,
        NumberOfStudyRelatedSeries=None,
        NumberOfStudyRelatedInstances=None,
        NumberOfPatientRelatedStudies=None,
        NumberOfPatientRelatedSeries=None,
        NumberOfPatientRelatedInstances=None,
        InstanceAvailability=None,
    )
    (answer,) = matches(three, query)
    assert values(answer, "ModalitiesInStudy") == ["CT", "SR"]
    assert values(answer, "SOPClassesInStudy") == [CT, "1.2.840.10008.5.1.4.1.1.88.11"]
    assert values(answer, "NumberOfStudyRelatedSeries") == [2]
    assert values(answer, "NumberOfStudyRelatedInstances") == [3]
    assert values(answer, "NumberOfPatientRelatedStudies") == [2]
    assert values(answer, "NumberOfPatientRelatedSeries") == [3]
    assert values(answer, "NumberOfPatientRelatedInstances") == [4]
    assert values(answer, "InstanceAvailability") == ["ONLINE"]


def test_series_are_found_with_their_count(three: Vault) -> None:
    query = asked(Level.SERIES, StudyInstanceUID="1.1", Modality=None, NumberOfSeriesRelatedInstances=None)
    answers = [
        (values(each, "SeriesInstanceUID"), values(each, "Modality"), values(each, "NumberOfSeriesRelatedInstances"))
        for each in matches(three, query)
    ]
    assert answers == [(["1.1.1"], ["CT"], [2]), (["1.1.2"], ["SR"], [1])]


def test_series_are_found_by_what_stands_above_them(three: Vault) -> None:
    assert found(three, asked(Level.SERIES, PatientID="0815"), "SeriesInstanceUID") == ["1.3.1"]
    assert found(three, asked(Level.SERIES, Modality=("MR", "SR")), "SeriesInstanceUID") == ["1.1.2", "1.2.1"]


@pytest.mark.parametrize(
    ("keys", "instances"),
    [
        ({"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, ["1.1.1.1", "1.1.1.2"]),
        ({"InstanceNumber": 2}, ["1.1.1.2"]),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, ["1.1.2.1"]),
        ({"SOPInstanceUID": ("1.3.1.1", "1.1.1.1")}, ["1.1.1.1", "1.3.1.1"]),
        ({"Rows": 8}, ["1.1.1.1", "1.1.1.2", "1.2.1.1", "1.3.1.1"]),
        ({"PatientName": "M*"}, ["1.3.1.1"]),
    ],
)
def test_instances_are_found(three: Vault, keys: dict[str, object], instances: list[str]) -> None:
    assert found(three, asking(Level.IMAGE, keys), "SOPInstanceUID") == instances


@pytest.mark.parametrize(
    ("level", "keyword", "value", "other", "is_held"),
    [
        (Level.STUDY, "InstitutionName", "Here", "Elsewhere", False),
        (Level.STUDY, "Rows", 8, 9, False),
        (Level.SERIES, "InstitutionName", "Here", "Elsewhere", True),
        (Level.SERIES, "Rows", 8, 9, False),
        (Level.IMAGE, "InstitutionName", "Here", "Elsewhere", True),
        (Level.IMAGE, "Rows", 8, 9, True),
        (Level.PATIENT, "PatientComments", "So", "Or so", True),
        (Level.STUDY, "PatientComments", "So", "Or so", True),
        (Level.PATIENT, "StudyDescription", "Head", "Foot", False),
    ],
)
def test_a_key_that_its_level_does_not_hold_neither_narrows_nor_is_answered(
    vault: Vault, level: Level, keyword: str, value: object, other: object, is_held: bool
) -> None:
    store(vault, instance(**{keyword: value}))
    for asks, is_found in ((value, True), (other, not is_held), (None, True)):
        answers = matches(vault, asking(level, {keyword: asks}, root=Root.PATIENT))
        assert bool(answers) == is_found
        for answer in answers:
            assert (tags.key(getattr(tags, keyword)) in answer) == is_held
            assert not is_held or values(answer, keyword) != []


def test_what_is_counted_is_what_the_levels_say_is_made() -> None:
    assert {tags.key(tag) for tag in MADE} == counting.COUNTED | {tags.key(tags.RetrieveAETitle)}


def test_an_instance_answers_with_its_number_or_none(three: Vault) -> None:
    query = asked(Level.IMAGE, StudyInstanceUID="1.1", InstanceNumber=None)
    assert found(three, query, "InstanceNumber") == [1, 2, None]


def test_patients_are_found_once_with_their_counts(three: Vault) -> None:
    query = asked(Level.PATIENT, root=Root.PATIENT, PatientName=None, NumberOfPatientRelatedStudies=None)
    answers = [
        (values(each, "PatientID"), values(each, "PatientName"), values(each, "NumberOfPatientRelatedStudies"))
        for each in matches(three, query)
    ]
    assert answers == [
        (["0815"], [{"Alphabetic": "Müller^Jörg"}], [1]),
        (["4711"], [{"Alphabetic": "Doe^Jane"}], [2]),
    ]


def test_a_scope_of_a_patient_shows_no_other_patient_of_the_same_id(vault: Vault) -> None:
    issuers, studies = ("", "HOSPA", "HOSPB"), ("1.0", "1.1", "1.2")
    for number, issuer in enumerate(issuers):
        named = {"IssuerOfPatientID": issuer} if issuer else {}
        store(vault, instance(StudyInstanceUID=f"1.{number}", SOPInstanceUID=f"1.{number}.1", PatientID="P2", **named))
    for number, issuer in enumerate(issuers):
        may = permit(Action.FIND, scope=Scope.patients("P2", issuer=issuer))
        assert found(vault, asked(Level.STUDY), "StudyInstanceUID", may) == [f"1.{number}"]
        reads = permit(Action.GET, scope=Scope.patients("P2", issuer=issuer))
        assert [each.study_uid for each in vault.locate(reads, Level.STUDY, Selection(study_uids=studies))] == [
            f"1.{number}"
        ]
    anybody = permit(Action.FIND, scope=Scope.where(Field.PATIENT, "P2"))
    assert len(found(vault, asked(Level.STUDY), "StudyInstanceUID", anybody)) == len(issuers)


def test_a_patient_is_an_id_and_its_issuer_and_those_without_an_id_are_told_apart_by_name(vault: Vault) -> None:
    for number, (patient_id, issuer, name) in enumerate(
        [
            ("1", "A", "X^Y"),
            ("1", "B", "X^Y"),
            ("1", "A", "X^Z"),
            ("", None, "N^One"),
            ("", None, "N^Two"),
            ("", None, "N^One"),
        ]
    ):
        store(
            vault,
            instance(StudyInstanceUID=f"1.{number}", PatientID=patient_id, IssuerOfPatientID=issuer, PatientName=name),
        )
    query = asked(Level.PATIENT, root=Root.PATIENT, PatientName=None, NumberOfPatientRelatedStudies=None)
    assert sorted(found(vault, query, "NumberOfPatientRelatedStudies")) == [1, 1, 2, 2]
    by_second_name = asked(Level.PATIENT, root=Root.PATIENT, PatientName="X^Z")
    assert found(vault, by_second_name, "PatientID") == ["1"]


# --- scope --------------------------------------------------------------------


def test_what_the_scope_does_not_cover_is_neither_found_nor_counted(three: Vault) -> None:
    may = permit(Action.FIND, scope=Scope.where(Field.STUDY, "1.2"))
    assert found(three, asked(Level.STUDY), "StudyInstanceUID", may) == ["1.2"]
    assert found(three, asked(Level.SERIES), "SeriesInstanceUID", may) == ["1.2.1"]
    assert found(three, asked(Level.IMAGE), "SOPInstanceUID", may) == ["1.2.1.1"]
    counted = asked(
        Level.PATIENT, root=Root.PATIENT, NumberOfPatientRelatedStudies=None, NumberOfPatientRelatedInstances=None
    )
    assert found(three, counted, "PatientID", may) == ["4711"]
    assert found(three, counted, "NumberOfPatientRelatedStudies", may) == [1]
    assert found(three, counted, "NumberOfPatientRelatedInstances", may) == [1]
    in_study = asked(Level.STUDY, NumberOfPatientRelatedStudies=None)
    assert found(three, in_study, "NumberOfPatientRelatedStudies", may) == [1]


def test_a_scope_of_a_source_finds_what_it_sent_something_of(three: Vault) -> None:
    may = permit(Action.FIND, scope=Scope.where(Field.SOURCE, "WS1"))
    assert found(three, asked(Level.STUDY), "StudyInstanceUID", may) == ["1.1"]


def test_a_permit_for_something_else_finds_nothing(three: Vault) -> None:
    with pytest.raises(Denied):
        three.find(permit(Action.STORE), asked(Level.STUDY))


# --- pages --------------------------------------------------------------------


def test_answers_come_in_pages_and_none_is_lost_or_given_twice(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(11):
        store(vault, instance(StudyInstanceUID=f"1.{number}", SeriesInstanceUID=f"1.{number}.1", PatientID=str(number)))
    monkeypatch.setattr(finding, "_IDS", 5)
    monkeypatch.setattr(finding, "_ROWS", 2)
    expected = sorted(f"1.{number}" for number in range(11))
    assert sorted(found(vault, asked(Level.STUDY), "StudyInstanceUID")) == expected
    assert len(found(vault, asked(Level.SERIES), "SeriesInstanceUID")) == 11
    assert len(found(vault, asked(Level.IMAGE), "SOPInstanceUID")) == 11
    assert sorted(found(vault, asked(Level.PATIENT, root=Root.PATIENT), "PatientID")) == sorted(map(str, range(11)))


def test_an_asker_who_is_slow_holds_nothing_up_and_misses_what_was_deleted(
    three: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_ROWS", 1)
    answers = three.find(FIND, asked(Level.STUDY))
    assert values(next(answers), "StudyInstanceUID") == ["1.1"]
    three.delete(permit(Action.DELETE), "1.2")
    store(three, instance(StudyInstanceUID="1.9"))
    assert [values(answer, "StudyInstanceUID") for answer in answers] == [["1.3"]]


@pytest.mark.parametrize(("level", "rows"), [(Level.PATIENT, 3), (Level.STUDY, 3), (Level.SERIES, 4), (Level.IMAGE, 5)])
def test_each_row_that_is_no_match_is_told_of_so_that_an_asker_can_stop_there(
    three: Vault, level: Level, rows: int
) -> None:
    query = asked(level, root=Root.PATIENT, PatientName="*nobody*")
    assert list(three.find(FIND, query)) == [NO_MATCH] * rows


# --- SQL narrows, the judge decides -------------------------------------------

NAMES = [
    "Doe^Jane",
    "DOE^JOHN",
    "doe",
    "Straße^Ä",
    "STRASSE^A\u0308",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "",
    "O'Hara^%_",
    "Doe ^Jane",
    "^Jane",
    "Éa",
    "İstanbul",
    "ǅ",
    "ﬁ^x",
]
IDS = ["1", "01", "a", "A", "%", "_", "a b", "ä", ""]
DATES = ["20260101", "20251231", "2025.06.30", "", "19991231"]
CODES = ["A1", "a1", "A1*", "A10", "", "Z"]
MODALITIES = ["CT", "MR", "SR", "ct", ""]
NUMBERS = [1, 2, 10, None]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Sixty studies of odd values."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    chance = random.Random(7)
    with opened(folder) as vault:
        for number in range(60):
            store(
                vault,
                instance(
                    StudyInstanceUID=f"1.{number}",
                    SeriesInstanceUID=f"1.{number}.1",
                    PatientName=chance.choice(NAMES),
                    PatientID=chance.choice(IDS),
                    StudyDate=chance.choice(DATES),
                    StudyTime=chance.choice(["", "101112", "2359"]),
                    PatientBirthDate=chance.choice(DATES),
                    AccessionNumber=chance.choice(CODES),
                    StudyID=chance.choice(CODES),
                    Modality=chance.choice(MODALITIES),
                    InstanceNumber=chance.choice(NUMBERS),
                ),
            )
        yield vault


def period(low: str, high: str) -> str:
    return f"{low}-{high}"


def not_narrowed(query: Query, **_: object) -> Narrowed:
    return Narrowed((), (), ())


def studies(numbers: list[int]) -> tuple[str, ...]:
    return tuple(f"1.{number}" for number in numbers)


def like(words: list[str]) -> st.SearchStrategy[str]:
    """A word, the same with wild cards put in, or in another case."""

    def cut(word: str, at: int, how: int) -> str:
        at %= len(word) + 1
        return [
            word,
            word[:at] + "*",
            "*" + word[at:],
            word[:at] + "?" + word[at + 1 :],
            word.upper(),
            word.lower(),
            word[:at] + "*" + word[at:],
        ][how]

    return st.builds(cut, st.sampled_from(words), st.integers(0, 12), st.integers(0, 6)).filter(bool)


PERIODS = st.one_of(
    st.sampled_from([date for date in DATES if date]),
    st.builds(period, st.sampled_from(DATES), st.sampled_from(DATES)).filter(lambda text: text != "-"),
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "PatientName": st.one_of(like(NAMES), st.tuples(like(NAMES), like(NAMES))),
        "PatientID": like(IDS),
        "StudyDate": PERIODS,
        "StudyTime": st.sampled_from(["10-11", "-1200", "1011"]),
        "PatientBirthDate": PERIODS,
        "AccessionNumber": st.one_of(like(CODES), st.tuples(like(CODES), like(CODES))),
        "StudyID": like(CODES),
        "ModalitiesInStudy": like(MODALITIES),
        "Modality": like(MODALITIES),
        "InstanceNumber": st.one_of(st.integers(0, 11), st.tuples(st.just(1), st.just(2))),
        "StudyInstanceUID": st.lists(st.integers(0, 70), min_size=1, max_size=9).map(studies),
    },
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=st.sampled_from(Level), keys=KEYS, combined=st.booleans(), fuzzy=st.booleans())
def test_narrowing_by_sql_loses_no_match(
    mixed: Vault, level: Level, keys: dict[str, object], combined: bool, fuzzy: bool
) -> None:
    query = asking(level, keys, root=Root.PATIENT, combined=combined, fuzzy=fuzzy)
    narrowed = matches(mixed, query)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finding, "narrow", not_narrowed)
        assert narrowed == matches(mixed, query)
