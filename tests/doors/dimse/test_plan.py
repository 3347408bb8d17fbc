from leadglass.archive.backroom import InstanceRecord
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_2000, JPEG_BASELINE
from leadglass.doors.dimse.plan import CONTEXTS, plan
from leadglass.policy.facts import StudyFacts


def record(number: int, sop_class_uid: str, transfer_syntax_uid: str) -> InstanceRecord:
    return InstanceRecord(
        row=number,
        facts=StudyFacts("1.2"),
        study_uid="1.2",
        series_uid="1.2.3",
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        size=1,
        digest=b"",
    )


def test_each_stored_transfer_syntax_has_a_context_of_its_own_and_the_class_a_fallback() -> None:
    records = [record(1, "1.9", JPEG_BASELINE), record(2, "1.9", JPEG_2000), record(3, "1.9", JPEG_BASELINE)]
    (group,) = plan(records)
    assert group.proposals == (
        ("1.9", (JPEG_BASELINE,)),
        ("1.9", (JPEG_2000,)),
        ("1.9", (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    )
    assert list(group.records) == records


def test_a_fallback_is_not_proposed_twice() -> None:
    (group,) = plan([record(1, "1.9", EXPLICIT_VR_LITTLE_ENDIAN), record(2, "1.9", IMPLICIT_VR_LITTLE_ENDIAN)])
    assert group.proposals == (("1.9", (EXPLICIT_VR_LITTLE_ENDIAN,)), ("1.9", (IMPLICIT_VR_LITTLE_ENDIAN,)))


def test_more_classes_than_contexts_are_spread_over_associations() -> None:
    records = [record(n, f"1.9.{n}", JPEG_BASELINE) for n in range(150)]
    groups = plan(records)
    assert [len(group.proposals) for group in groups] == [128, 128, 44]
    assert [one for group in groups for one in group.records] == records


def test_one_class_in_very_many_private_transfer_syntaxes_still_fits() -> None:
    (group,) = plan([record(n, "1.9", f"1.99.{n}") for n in range(300)])
    assert len(group.proposals) == CONTEXTS
    assert len(group.records) == 300


def test_nothing_is_planned_for_nothing() -> None:
    assert plan([]) == []
