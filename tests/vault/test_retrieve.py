from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.archive.backroom import InstanceRecord, Selection
from leadglass.dicom.matching import Level
from leadglass.errors import BadInput, Corrupt, Denied, NotHere
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.objects import Objects, Place
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import (
    CT,
    EXPLICIT,
    IMPLICIT,
    content,
    data_set,
    encoded,
    instance,
    located,
    objects,
    opened,
    store,
)

GET = permit(Action.GET)
OTHERS = Scope.where(Field.STUDY, "1.2")


@pytest.fixture
def filled(vault: Vault) -> Vault:
    """Two studies: 1.1 with two series of two instances each, sent out of order; 1.2 of another patient."""
    for series, number in ((2, 2), (1, 2), (2, 1), (1, 10)):
        store(
            vault,
            instance(
                StudyInstanceUID="1.1",
                SeriesInstanceUID=f"1.1.{series}",
                SOPInstanceUID=f"1.1.{series}.{number}",
                InstanceNumber=number,
            ),
        )
    store(
        vault,
        instance(StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1", PatientID="0815"),
        origin="WS1",
    )
    return vault


def uids(records: list[InstanceRecord]) -> list[str]:
    return [record.sop_instance_uid for record in records]


@pytest.mark.parametrize(
    ("level", "selection", "expected"),
    [
        (Level.PATIENT, Selection(patient_ids=("4711",)), ["1.1.2.1", "1.1.2.2", "1.1.1.2", "1.1.1.10"]),
        (Level.PATIENT, Selection(patient_ids=("0815", "none")), ["1.2.1.1"]),
        (Level.STUDY, Selection(study_uids=("1.2", "1.1")), ["1.1.2.1", "1.1.2.2", "1.1.1.2", "1.1.1.10", "1.2.1.1"]),
        (Level.STUDY, Selection(patient_ids=("0815",), study_uids=("1.1",)), []),
        (Level.SERIES, Selection(study_uids=("1.1",), series_uids=("1.1.1",)), ["1.1.1.2", "1.1.1.10"]),
        (Level.SERIES, Selection(series_uids=("1.1.1", "1.2.1")), ["1.1.1.2", "1.1.1.10", "1.2.1.1"]),
        (Level.IMAGE, Selection(sop_instance_uids=("1.1.1.10", "9.9")), ["1.1.1.10"]),
        (Level.IMAGE, Selection(study_uids=("1.2",), sop_instance_uids=("1.1.1.10",)), []),
        (Level.STUDY, Selection(study_uids=("' OR '1'='1",)), []),
    ],
)
def test_instances_are_located_by_their_unique_keys_in_order(
    filled: Vault, level: Level, selection: Selection, expected: list[str]
) -> None:
    assert uids(filled.locate(GET, level, selection)) == expected


def test_many_keys_are_no_problem(filled: Vault) -> None:
    many = tuple(f"9.{number}" for number in range(50_000))
    assert uids(filled.locate(GET, Level.IMAGE, Selection(sop_instance_uids=(*many, "1.2.1.1")))) == ["1.2.1.1"]


def test_a_selection_by_nothing_is_refused_rather_than_everything(filled: Vault) -> None:
    with pytest.raises(BadInput):
        filled.locate(GET, Level.STUDY, Selection())


def test_a_record_says_what_it_is(filled: Vault) -> None:
    (record,) = filled.locate(GET, Level.STUDY, Selection(study_uids=("1.2",)))
    assert (record.study_uid, record.series_uid, record.sop_instance_uid) == ("1.2", "1.2.1", "1.2.1.1")
    assert (record.sop_class_uid, record.transfer_syntax_uid) == (CT, EXPLICIT)
    assert record.facts.patient_id == "0815"
    assert record.facts.sources == {"WS1"}
    with filled.open(GET, record) as reader:
        assert reader.size == record.size


def test_what_the_scope_does_not_cover_is_not_located(filled: Vault) -> None:
    may = permit(Action.GET, scope=OTHERS)
    everything = Selection(patient_ids=("4711", "0815"))
    assert uids(filled.locate(may, Level.PATIENT, everything)) == ["1.2.1.1"]


def test_a_record_opens_only_for_a_permit_that_covers_it(filled: Vault) -> None:
    (record, *_) = located(filled, "1.1")
    may = permit(Action.GET, scope=OTHERS)
    with pytest.raises(NotHere):
        filled.open(may, record)
    with pytest.raises(NotHere):
        filled.metadata(may, record)


@pytest.mark.parametrize(
    ("attributes", "syntax"),
    [({"PixelData": b"another content " * 8}, EXPLICIT), ({}, IMPLICIT)],
    ids=["content", "transfer syntax"],
)
@pytest.mark.parametrize("opened_before", [False, True])
def test_what_is_stored_anew_under_a_uid_is_not_what_was_located(
    vault: Vault, attributes: dict[str, object], syntax: str, *, opened_before: bool
) -> None:
    """The row has the number of the one that was deleted, and the same UID."""
    store(vault, instance(SOPInstanceUID="1.2.3.4.1.1"))
    (record,) = located(vault)
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    store(vault, encoded(data_set(SOPInstanceUID="1.2.3.4.1.1", **attributes), syntax), syntax=syntax)
    (now,) = located(vault)
    assert (now.row, now.sop_instance_uid) == (record.row, record.sop_instance_uid)
    for _ in range(3 if opened_before else 0):  # then it is remembered
        vault.open(GET, now).close()
    with pytest.raises(NotHere):
        vault.json_texts(GET, [record])
    for ask in (vault.open, vault.metadata, vault.frames):
        with pytest.raises(NotHere):
            ask(GET, record)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen, once, between finding where an object is and opening it."""
    really = Objects.open

    def happens(what: Callable[[], object]) -> None:
        def then(objects: Objects, place: Place) -> int:
            monkeypatch.setattr(Objects, "open", really)
            what()
            return really(objects, place)

        monkeypatch.setattr(Objects, "open", then)

    return happens


def test_what_is_deleted_while_it_is_opened_is_not_here_rather_than_damaged(
    vault: Vault, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    for ask, action in ((vault.open, Action.GET), (vault.is_sound, Action.COMMIT)):
        store(vault, instance())
        (record,) = located(vault)
        meanwhile(lambda: vault.delete(permit(Action.DELETE), "1.2.3.4"))
        with pytest.raises(NotHere):
            ask(permit(action), record)


def test_what_is_deleted_and_comes_again_while_it_is_opened_is_given(
    vault: Vault, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    data = instance()
    store(vault, data)
    (record,) = located(vault)

    def again() -> None:
        vault.delete(permit(Action.DELETE), "1.2.3.4")
        store(vault, data)

    meanwhile(again)
    assert content(vault, record) == data
    meanwhile(again)
    assert vault.is_sound(permit(Action.COMMIT), record)


def test_an_object_that_is_gone_though_its_row_is_there_is_damaged(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance())
    (record,) = located(vault)
    [path] = objects(tmp_path)
    path.unlink()
    with pytest.raises(Corrupt, match="missing from the disk"):
        vault.open(GET, record)
    assert not vault.is_sound(permit(Action.COMMIT), record)


@pytest.mark.parametrize("action", [Action.STORE, Action.FIND, Action.ECHO, Action.DELETE, Action.AUDIT])
def test_a_permit_for_something_else_opens_nothing(filled: Vault, action: Action) -> None:
    (record,) = located(filled, "1.2")
    with pytest.raises(Denied):
        filled.open(permit(action), record)
    with pytest.raises(Denied):
        filled.locate(permit(action), Level.STUDY, Selection(study_uids=("1.2",)))


def test_a_reader_can_be_closed_twice_and_leaves_no_descriptor(filled: Vault) -> None:
    (record,) = located(filled, "1.2")
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = filled.open(GET, record)
    reader.close()
    reader.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_key_of_another_archive_does_not_open_it(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance())
    (tmp_path / "archive.key").unlink()
    with pytest.raises(Exception, match="Put back the key file"), opened(tmp_path):
        pass
