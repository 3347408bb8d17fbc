import re
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.archive.backroom import Kept, Resolution, Stored
from leadglass.dicom import tags
from leadglass.errors import Conflict, Full, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import decide
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from leadglass.vault.incoming import CONTRADICTS
from leadglass.vault.records import Caps
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault
from tests.callers import device, permit
from tests.vault.sets import contents, data_set, encoded, instance, located, objects, opened, store

RESOLVE = permit(Action.RESOLVE)
UID = "1.2.3.4.1.77"


def kept_aside(vault: Vault, data: bytes, match: str) -> Kept:
    """Store something that contradicts what is there, and give its row in quarantine."""
    with pytest.raises(Conflict):
        store(vault, data)
    kept = vault.quarantined(RESOLVE)[-1]
    assert re.search(match, kept.reason)
    return kept


def heard(vault: Vault, data: bytes, caller: Caller) -> str:
    """Store something that contradicts what is there, and give what its sender hears."""
    with pytest.raises(Conflict) as refused:
        store(vault, data, may=decide(caller, Action.STORE))
    return refused.value.message


CONTRADICTIONS: list[dict[str, object]] = [
    {"StudyDescription": "Abdomen"},
    {"PixelData": bytes(128)},
    {"StudyInstanceUID": "1.9", "PatientID": "5"},
    {"SeriesInstanceUID": "1.9"},
    {"SOPInstanceUID": "1.2.3.4.1.78", "PatientID": "5"},
    {"SOPInstanceUID": "1.2.3.4.1.78", "IssuerOfPatientID": "TWO"},
]


def test_who_may_not_find_what_stands_there_hears_one_text_and_the_operator_the_reason(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID, IssuerOfPatientID="ONE"))
    finds_others = replace(device("A", Action.STORE), grants=(
        *device("A", Action.STORE).grants, *device("A", Action.FIND, scope=Scope.where(Field.STUDY, "1.9")).grants,
    ))  # fmt: skip
    masked = device("B", Action.STORE, Action.FIND, view=View(frozenset({tags.PatientID})))
    for caller in (device("STOREONLY", Action.STORE), finds_others, masked):
        told = {heard(vault, instance(**({"SOPInstanceUID": UID} | each)), caller) for each in CONTRADICTIONS}
        assert told == {CONTRADICTS}
    assert len({kept.reason for kept in vault.quarantined(RESOLVE)}) == len(CONTRADICTIONS)


def test_who_may_find_what_stands_there_hears_in_what_it_differs(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID, IssuerOfPatientID="ONE"))
    told = {
        heard(vault, instance(**({"SOPInstanceUID": UID} | each)), device("CT1", Action.STORE, Action.FIND))
        for each in CONTRADICTIONS
    }
    assert len(told) == len(CONTRADICTIONS)
    assert any("first difference at StudyDescription" in each for each in told)


def test_another_instance_with_the_same_uid_is_kept_aside_and_nothing_overwritten(vault: Vault) -> None:
    first, second = instance(SOPInstanceUID=UID), instance(SOPInstanceUID=UID, StudyDescription="Abdomen")
    store(vault, first)
    kept = kept_aside(vault, second, "first difference at StudyDescription")
    assert contents(vault) == [first]
    assert kept.sop_instance_uid == UID
    assert kept.size == len(second)
    assert kept.origin == "CT1"
    assert kept.reason.endswith("first difference at StudyDescription")
    assert store(vault, first).outcome is Stored.ALREADY_HERE


def test_pixels_that_differ_are_a_difference(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    kept_aside(vault, instance(SOPInstanceUID=UID, PixelData=bytes(128)), "PixelData")


def test_the_same_uid_in_another_study_or_series_is_kept_aside(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    kept_aside(vault, instance(SOPInstanceUID=UID, StudyInstanceUID="1.9"), "in another study")
    kept_aside(vault, instance(SOPInstanceUID=UID, SeriesInstanceUID="1.9"), "in another series")
    assert vault.facts(permit(Action.FIND), "1.9") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientID": "4711"}, {"PatientID": "4712"}),
        ({"PatientID": "4711"}, {"PatientID": "4711A"}),
        ({"PatientID": "a"}, {"PatientID": "A"}),
        ({"IssuerOfPatientID": "ONE"}, {"IssuerOfPatientID": "TWO"}),
    ],
)
def test_another_patient_in_the_same_study_is_kept_aside(
    vault: Vault, first: dict[str, object], second: dict[str, object]
) -> None:
    data = instance(**first)
    store(vault, data)
    kept_aside(vault, instance(**second), "another (Issuer of )?Patient ID")
    assert contents(vault) == [data]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientID": "4711"}, {"PatientID": "4711 "}),
        ({"PatientID": "4711"}, {"PatientID": " 4711"}),
        ({"PatientID": "4711"}, {"PatientID": ""}),
        ({"PatientID": "4711"}, {"PatientID": None}),
        ({"PatientID": ""}, {"PatientID": "4711"}),
        ({"IssuerOfPatientID": "ONE"}, {}),
        ({}, {"IssuerOfPatientID": "ONE"}),
    ],
)
def test_what_one_leaves_out_is_no_contradiction(
    vault: Vault, first: dict[str, object], second: dict[str, object]
) -> None:
    store(vault, instance(**first))
    store(vault, instance(**second))
    assert len(located(vault)) == 2
    facts = vault.facts(permit(Action.FIND), "1.2.3.4")
    assert facts is not None
    assert facts.patient_id == "4711"
    assert facts.issuer_of_patient_id == ("ONE" if "IssuerOfPatientID" in first | second else "")


def test_a_missing_patient_is_filled_in_only_by_who_may_touch_the_study_as_it_was(vault: Vault) -> None:
    store(vault, instance(PatientID=""))
    may = permit(Action.STORE, scope=Scope.where(Field.PATIENT, "4711"))
    with pytest.raises(Exception, match="does not cover"):
        store(vault, instance(PatientID="4711"), may=may)
    facts = vault.facts(permit(Action.FIND), "1.2.3.4")
    assert facts is not None
    assert facts.patient_id == ""


def test_the_same_contradiction_again_is_kept_once(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second = instance(SOPInstanceUID=UID, StudyID="S2")
    for _ in range(3):
        kept_aside(vault, second, "StudyID")
    assert len(vault.quarantined(RESOLVE)) == 1
    assert len(objects(tmp_path)) == 2


@pytest.mark.parametrize("caps", [Caps(instances=1, octets=1 << 30), Caps(instances=10, octets=700)])
def test_a_full_quarantine_takes_nothing_more(tmp_path: Path, caps: Caps) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, quarantine=caps)) as vault:
        store(vault, instance(SOPInstanceUID=UID))
        kept_aside(vault, instance(SOPInstanceUID=UID, StudyID="S2"), "StudyID")
        with pytest.raises(Full, match="Quarantine is full"):
            store(vault, instance(SOPInstanceUID=UID, StudyID="S3"))
        assert len(objects(tmp_path)) == 2


def test_it_survives_reopening(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance(SOPInstanceUID=UID))
        kept = kept_aside(vault, instance(SOPInstanceUID=UID, StudyID="S2"), "StudyID")
    with opened(tmp_path) as vault:
        assert vault.quarantined(RESOLVE) == [kept]
        assert len(objects(tmp_path)) == 2


# --- resolving ----------------------------------------------------------------


def test_discarding_deletes_it_and_its_file(vault: Vault, tmp_path: Path) -> None:
    first = instance(SOPInstanceUID=UID)
    store(vault, first)
    kept = kept_aside(vault, instance(SOPInstanceUID=UID, StudyID="S2"), "StudyID")
    assert str(kept.number) in vault.resolve(RESOLVE, kept.number, Resolution.DISCARD)
    assert vault.quarantined(RESOLVE) == []
    assert contents(vault) == [first]
    assert len(objects(tmp_path)) == 1


def test_accepting_changes_places_and_can_be_taken_back(vault: Vault) -> None:
    first, second = instance(SOPInstanceUID=UID), instance(SOPInstanceUID=UID, StudyID="S2")
    store(vault, first)
    kept = kept_aside(vault, second, "StudyID")
    said = vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault) == [second]
    (other,) = vault.quarantined(RESOLVE)
    assert other.number != kept.number
    assert str(other.number) in said
    assert other.size == len(first)
    vault.resolve(RESOLVE, other.number, Resolution.ACCEPT)
    assert contents(vault) == [first]
    assert [each.size for each in vault.quarantined(RESOLVE)] == [len(second)]


def test_accepting_another_patients_instance_files_it_and_leaves_the_study_its_patient(vault: Vault) -> None:
    store(vault, instance())
    kept = kept_aside(vault, instance(PatientID="4712", InstanceNumber=2), "Patient ID")
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert len(located(vault)) == 2
    assert vault.quarantined(RESOLVE) == []
    facts = vault.facts(permit(Action.FIND), "1.2.3.4")
    assert facts is not None
    assert facts.patient_id == "4711"


def test_accepting_into_another_study_leaves_no_empty_study_behind(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second = instance(SOPInstanceUID=UID, StudyInstanceUID="1.9")
    kept = kept_aside(vault, second, "another study")
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [second]
    assert vault.facts(permit(Action.FIND), "1.2.3.4") is None
    assert [each.study_uid for each in vault.quarantined(RESOLVE)] == ["1.2.3.4"]


def test_accepting_when_the_other_was_deleted_files_it(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second = instance(SOPInstanceUID=UID, StudyInstanceUID="1.9")
    kept = kept_aside(vault, second, "in another study")
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [second]


def test_accepting_what_was_stored_meanwhile_keeps_it_once(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second = instance(SOPInstanceUID=UID, StudyInstanceUID="1.9")
    kept = kept_aside(vault, second, "in another study")
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    store(vault, second)
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [second]
    assert vault.quarantined(RESOLVE) == []
    assert len(objects(tmp_path)) == 1


def test_what_goes_to_quarantine_where_its_twin_is_already_is_there_once(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second, third = (instance(SOPInstanceUID=UID, StudyInstanceUID="1.9", StudyID=each) for each in ("S2", "S3"))
    kept = [kept_aside(vault, each, "in another study") for each in (second, third)]
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    store(vault, second)
    vault.resolve(RESOLVE, kept[1].number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [third]
    assert vault.quarantined(RESOLVE) == [kept[0]]
    assert len(objects(tmp_path)) == 2


def test_a_number_that_is_not_there_is_not_here(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    kept = kept_aside(vault, instance(SOPInstanceUID=UID, StudyID="S2"), "StudyID")
    vault.resolve(RESOLVE, kept.number, Resolution.DISCARD)
    for number in (kept.number, 99):
        for resolution in Resolution:
            with pytest.raises(NotHere):
                vault.resolve(RESOLVE, number, resolution)


def test_a_number_is_never_given_again(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    numbers: list[int] = []
    for i in range(3):
        kept = kept_aside(vault, instance(SOPInstanceUID=UID, StudyID=f"S{i + 2}"), "StudyID")
        vault.resolve(RESOLVE, kept.number, Resolution.DISCARD)
        numbers.append(kept.number)
    assert len(set(numbers)) == 3


def test_what_the_scope_does_not_cover_is_not_here(vault: Vault) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    second = encoded(data_set(SOPInstanceUID=UID, StudyInstanceUID="1.9", PatientID="5"))
    kept = kept_aside(vault, second, "another study")
    for scope in (Scope.where(Field.STUDY, "1.2.3.4"), Scope.where(Field.PATIENT, "4711")):
        may = permit(Action.RESOLVE, scope=scope)
        assert vault.quarantined(may) == []
        with pytest.raises(NotHere):
            vault.resolve(may, kept.number, Resolution.DISCARD)
    # Who may touch the one that would come, but not the one that would go, may not swap them.
    may = permit(Action.RESOLVE, scope=Scope.where(Field.STUDY, "1.9"))
    assert vault.quarantined(may) == [kept]
    with pytest.raises(NotHere):
        vault.resolve(may, kept.number, Resolution.ACCEPT)
    assert vault.quarantined(RESOLVE) == [kept]
    assert len(contents(vault)) == 1
