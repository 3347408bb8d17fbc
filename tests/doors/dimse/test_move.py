"""C-MOVE while its destination changes, dies, or cannot bear what it gets."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, cast

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import AllStoragePresentationContexts

from leadglass.audit.event import Event as Record
from leadglass.audit.event import Outcome
from leadglass.dicom.sop_classes import storage
from tests.doors.dimse.house import House
from tests.doors.dimse.peer import receiver
from tests.peers.running import free_port, wait_until
from tests.peers.scu import STUDY_MOVE, UNCOMPRESSED, Way, association, identifier, last_status

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
BOTH = [(CT, UNCOMPRESSED), (MR, UNCOMPRESSED)]
CHANGED = "The destination's enrolment changed."


def take(house: House, folder: Path, name: str, count: int, classes: Sequence[str] = ()) -> str:
    """Put so many instances like a sample into the archive, of these classes in turn; gives their study."""
    dataset: Any = cast("Any", pydicom).dcmread(str(get_testdata_file(name)))
    paths = [folder / f"{name}-{n}" for n in range(count)]
    for n, path in enumerate(paths):
        dataset.SOPInstanceUID = UID(f"{dataset.StudyInstanceUID}.{n}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if classes:
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(classes[n % len(classes)])
        dataset.save_as(path)
    house.take(paths)
    return str(dataset.StudyInstanceUID)


def move(way: Way, *studies: str) -> Dataset:
    with association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=list(studies))
        return last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE)))


def tally(house: House) -> tuple[int, int]:
    """Give the instances that the closing records of the moves say were sent, and failed."""

    def closing() -> list[Record]:
        ended = {Outcome.DONE, Outcome.FAILED}
        return [each for each in house.events() if each.action == "move" and each.outcome in ended]

    wait_until(lambda: bool(closing()), "the move is on record")
    return (
        sum(int(each.detail["instances"]) for each in closing()),
        sum(int(each.detail["failed"]) for each in closing()),
    )


def remove(house: House) -> None:
    house.devices.remove(house.operator, "DEST")


def enrol_elsewhere(house: House) -> None:
    house.lane("DEST", "store", port=free_port())


def give_certificate(house: House) -> None:
    house.devices.enrol(house.operator, "DEST", house.folder / "device-DEST")


@pytest.mark.parametrize("change", [remove, enrol_elsewhere, give_certificate])
def test_a_destination_that_is_removed_or_enrolled_anew_gets_no_more_of_a_move(
    change: Callable[[House], None], house: House, tmp_path: Path
) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    study = take(house, tmp_path, "CT_small.dcm", 60)

    def slowly(arrived: int) -> None:
        if arrived == 3:
            change(house)
        time.sleep(0.1)

    with receiver("DEST", BOTH, port=port, before=slowly) as received:
        answer = move(way, study)
    assert answer.Status == 0xB000
    assert answer.ErrorComment == CHANGED
    assert 3 < len(received.instances) < 40
    assert answer.NumberOfCompletedSuboperations + answer.NumberOfFailedSuboperations == 60
    assert tally(house) == (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations)
    (refusal,) = [each for each in house.refusals() if each.action == "move"]
    assert refusal.reason.startswith(CHANGED)
    assert refusal.detail["to"] == "DEST"


def test_a_removed_destination_that_does_not_answer_is_not_waited_for(house: House, tmp_path: Path) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    study = take(house, tmp_path, "CT_small.dcm", 3)
    answered = Event()

    def stuck(arrived: int) -> None:
        if arrived == 1:
            remove(house)
            answered.wait(25)

    with receiver("DEST", BOTH, port=port, before=stuck):
        answer = move(way, study)
        waited = answered.is_set()
        answered.set()
    assert not waited
    assert answer.ErrorComment == CHANGED
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations) == (1, 2)


def test_a_change_of_other_devices_or_of_what_the_destination_may_does_not_end_a_move(
    house: House, tmp_path: Path
) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    house.lane("OTHER", "store")
    study = take(house, tmp_path, "CT_small.dcm", 16)

    def slowly(arrived: int) -> None:
        if arrived == 2:
            house.devices.remove(house.operator, "OTHER")
            house.lane("DEST", "store,find", port=port)
        time.sleep(0.1)

    with receiver("DEST", BOTH, port=port, before=slowly) as received:
        answer = move(way, study)
    assert answer.Status == 0x0000
    assert len(received.instances) == 16


@pytest.mark.parametrize("unbearable", [CT, MR])
def test_a_class_the_receiver_cannot_bear_does_not_cost_the_others(
    unbearable: str, house: House, tmp_path: Path
) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    studies = [take(house, tmp_path, name, 6) for name in ("CT_small.dcm", "MR_small.dcm")]
    with receiver("DEST", BOTH, port=port, unbearable=frozenset({unbearable})) as received:
        answer = move(way, *studies)
    assert answer.Status == 0xB000
    assert len(received.instances) == 6
    assert received.aborts <= 3
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations) == (6, 6)
    assert tally(house) == (6, 6)


def test_a_receiver_that_bears_nothing_is_given_up_however_many_classes_there_are(house: House, tmp_path: Path) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    classes = sorted(storage() & {str(each.abstract_syntax) for each in AllStoragePresentationContexts})[:40]
    study = take(house, tmp_path, "CT_small.dcm", 80, classes)
    contexts = [(each, UNCOMPRESSED) for each in classes]
    with receiver("DEST", contexts, port=port, unbearable=frozenset(classes)) as received:
        answer = move(way, study)
    assert answer.Status == 0xA702
    assert answer.NumberOfFailedSuboperations == 80
    assert received.aborts == 64


def test_a_dead_destination_is_on_record_and_the_asker_does_not_hear_where_it_is(house: House, tmp_path: Path) -> None:
    port = free_port()
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    study = take(house, tmp_path, "CT_small.dcm", 4)
    answer = move(way, study)
    assert answer.Status == 0xA702
    assert answer.ErrorComment == "No connection to the destination."
    assert tally(house) == (0, 4)
