"""Sending again what is damaged here, and an association whose records cannot be written, over real associations."""

import pytest

from leadglass.audit.event import Event
from leadglass.errors import Full
from tests.doors.dimse.house import House
from tests.doors.dimse.peer import associate
from tests.peers.running import wait_until
from tests.peers.scu import Instance, send
from tests.vault.sets import CT, EXPLICIT, contents, instance, objects

STORE = [(CT, (EXPLICIT,))]
UID = "1.2.3.4.1.77"
IMAGE = Instance(CT, UID, EXPLICIT, instance(SOPInstanceUID=UID))


def with_outcome(house: House, outcome: str) -> list[Event]:
    return [event for event in house.events() if event.outcome.value == outcome]


def test_success_for_what_is_already_here_means_that_it_can_be_read(house: House) -> None:
    with associate(house.lane("CT1", "store"), STORE) as assoc:
        assert send(assoc, IMAGE) == 0x0000
        objects(house.folder)[0].unlink()
        assert send(assoc, IMAGE) == 0x0000
    assert contents(house.vault) == [IMAGE.data]
    (alert,) = with_outcome(house, "alert")
    assert (alert.action, alert.caller, alert.detail) == ("store", "device:CT1", {"instance": UID})


def test_what_contradicts_a_damaged_copy_is_no_success(house: House) -> None:
    with associate(house.lane("CT1", "store"), STORE) as assoc:
        assert send(assoc, IMAGE) == 0x0000
        objects(house.folder)[0].unlink()
        assert send(assoc, Instance(CT, UID, EXPLICIT, instance(SOPInstanceUID=UID, StudyID="S2"))) == 0x0111


def test_the_end_of_an_association_is_logged_when_its_records_cannot_be_written(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")

    def unwritable(event: Event) -> int:
        raise Full("The audit log cannot be written.")

    with associate(house.lane("CT1", "store"), STORE) as assoc:
        assert send(assoc, IMAGE) == 0x0000
        monkeypatch.setattr(house.audit, "append", unwritable)
    wait_until(lambda: "association closed" in caplog.messages, "the end of the association in the log")
    monkeypatch.undo()
    assert with_outcome(house, "done") == []
    house.archive.close()
    (closing,) = with_outcome(house, "done")
    assert (closing.action, closing.detail["instances"]) == ("store", 1)
