"""What reading and storing cost the audit log: one opening record per caller, address, action, study and window."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from leadglass.archive.archive import Archive, Retrieval
from leadglass.archive.backroom import Selection
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.dicom.matching import Level
from leadglass.errors import Full
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from tests.archive.room import MemoryRoom
from tests.archive.test_archive import Clock, Failing, store
from tests.callers import device


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        yield log


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(log: AuditLog, clock: Clock) -> Archive:
    return Archive(MemoryRoom("1.2 1.2.1 first", "1.2 1.2.2 second", "1.3 1.3.1 third"), log, door="test", clock=clock)


def events(log: AuditLog) -> list[Event]:
    return [record.event for record in log.records()]


def ct1(address: str = "10.0.0.7") -> Caller:
    """Give CT1 in a session of its own."""
    return device("CT1", Action.STORE, Action.GET, Action.MOVE, peer=address)


def sends(archive: Archive, caller: Caller, instance: int) -> None:
    store(archive, caller, f"1.7 1.7.{instance} x".encode())
    archive.end(caller)


def reads(
    archive: Archive, caller: Caller, instance: int = 0, *, action: Action = Action.GET, to: str = ""
) -> Retrieval:
    found = archive.retrieve(caller, action, Level.STUDY, Selection(study_uids=("1.2",)), to)
    for record in found.records:
        found.sent(record)
    archive.end(caller)
    return found


@pytest.mark.parametrize("act", [sends, reads])
def test_a_caller_that_connects_anew_for_each_image_costs_three_records_in_a_window(
    act: Callable[[Archive, Caller, int], object], archive: Archive, log: AuditLog
) -> None:
    for instance in range(50):
        act(archive, ct1(), instance)
    archive.close()
    mine = [event for event in events(log) if event.study_uid]
    assert [event.outcome for event in mine] == [Outcome.PERMITTED, Outcome.DONE, Outcome.DONE]
    assert sum(int(event.detail["instances"]) for event in mine[1:]) == (50 if act is sends else 100)
    assert mine[2].detail["sessions"] == 49
    assert {(event.caller, event.peer) for event in mine} == {("device:CT1", "10.0.0.7")}
    assert len(events(log)) <= 5  # and two for the requests as such


def test_a_caller_that_keeps_its_session_costs_two(archive: Archive, log: AuditLog) -> None:
    caller = ct1()
    for instance in range(50):
        store(archive, caller, f"1.7 1.7.{instance} x".encode())
    archive.end(caller)
    archive.close()
    assert [event.outcome for event in events(log)] == [Outcome.PERMITTED, Outcome.DONE]


def test_each_address_and_each_receiver_has_a_record_of_its_own(archive: Archive, log: AuditLog) -> None:
    for address in ("10.0.0.7", "10.0.0.8"):
        for to in ("WS1", "WS2"):
            reads(archive, ct1(address), action=Action.MOVE, to=to)
    opened = [event for event in events(log) if event.study_uid and event.outcome is Outcome.PERMITTED]
    assert [(event.peer, event.detail["to"]) for event in opened] == [
        ("10.0.0.7", "WS1"), ("10.0.0.7", "WS2"), ("10.0.0.8", "WS1"), ("10.0.0.8", "WS2"),
    ]  # fmt: skip


def test_another_right_than_the_one_on_record_is_recorded_before_it_is_used(archive: Archive, log: AuditLog) -> None:
    sends(archive, device("CT1", Action.STORE, peer="10.0.0.7", reason="granted on Monday"), 1)
    sends(archive, device("CT1", Action.STORE, peer="10.0.0.7", reason="granted on Tuesday"), 2)
    assert [e.reason for e in events(log) if e.outcome is Outcome.PERMITTED] == [
        "granted on Monday", "granted on Tuesday",
    ]  # fmt: skip


def test_when_the_window_has_ended_the_next_session_is_on_record_again(
    archive: Archive, log: AuditLog, clock: Clock
) -> None:
    for second in (0, 100, 301):
        clock.now = second
        sends(archive, ct1(), second)
    assert [event.outcome.value for event in events(log)] == ["permitted", "done", "done", "permitted", "done"]


def test_what_came_after_the_first_closing_record_is_told_when_the_window_ends(
    archive: Archive, log: AuditLog, clock: Clock
) -> None:
    for instance in range(3):
        sends(archive, ct1(), instance)
    archive.tidy()
    assert [event.outcome.value for event in events(log)] == ["permitted", "done"]
    clock.now = 301
    archive.tidy()
    archive.tidy()
    assert [event.detail.get("instances") for event in events(log)] == [None, 1, 2]


def test_the_session_that_is_left_keeps_the_window_from_being_told_early(archive: Archive, log: AuditLog) -> None:
    first, second = ct1(), ct1()
    store(archive, first, b"1.7 1.7.1 x")
    store(archive, second, b"1.7 1.7.2 x")
    archive.end(first)
    assert len(events(log)) == 1
    archive.end(second)
    assert events(log)[-1].detail["instances"] == 2


def test_sessions_that_begin_together_share_one_opening_record(archive: Archive, log: AuditLog) -> None:
    together = Barrier(8)

    def one(instance: int) -> None:
        caller = ct1()
        together.wait()
        sends(archive, caller, instance)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    archive.close()
    assert [event.outcome for event in events(log)].count(Outcome.PERMITTED) == 1
    assert sum(int(event.detail.get("instances", 0)) for event in events(log)) == 8


def test_a_window_that_could_not_be_opened_covers_nobody(tmp_path: Path) -> None:
    room = MemoryRoom()
    with Failing(tmp_path / "failing.db", b"k" * 32, b"s" * 32) as log:
        archive = Archive(room, log, door="test")
        log.fails = True
        for instance in range(2):
            with pytest.raises(Full):
                store(archive, ct1(), f"1.7 1.7.{instance} x".encode())
        assert "commit" not in room.diary
        log.fails = False
        sends(archive, ct1(), 3)
        assert [event.outcome.value for event in events(log)] == ["permitted", "done"]
