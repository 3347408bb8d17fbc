"""Storage Commitment with pynetdicom as the device: asked, checked, reported (PS3.4 Annex J)."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from leadglass.archive.backroom import Declared, InstanceRecord
from leadglass.audit.event import Event
from leadglass.doors.dimse.settings import CommitmentSettings, DimseSettings
from leadglass.errors import Busy, Conflict
from leadglass.jobs.pace import Pace
from leadglass.jobs.queue import Job, JobKind, JobState
from leadglass.policy.permit import Permit
from leadglass.wire.client import connect, propose
from leadglass.wire.messages import CEchoRq, NActionRq
from tests.doors.dimse.commitment import (
    INSTANCE,
    PUSH,
    VERIFICATION,
    Pair,
    Reports,
    ask,
    ask_once,
    echo,
    encode,
    line,
    reporting,
    request,
)
from tests.doors.dimse.house import House, build
from tests.doors.dimse.peer import associate
from tests.peers.running import free_port, wait_until
from tests.peers.scu import UNCOMPRESSED, Instance, send
from tests.vault.sets import CT, EXPLICIT, instance, objects

pytestmark = [
    # pynetdicom's reactor dies when a report comes in the moment in which its own side releases, and leaves its socket.
    pytest.mark.filterwarnings(
        r"ignore:Exception in thread Thread-\d+ .run_reactor.:pytest.PytestUnhandledThreadExceptionWarning"
    ),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]

MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
A, B, C = (f"1.2.3.4.1.{number}" for number in (71, 72, 73))
STORE = [(CT, (EXPLICIT,))]
QUICK = DimseSettings(pending=0.05, commitment=CommitmentSettings(pace=Pace(0.2, 0.4, 600.0), quiet=0.2, answer=10.0))


@pytest.fixture
def house(tmp_path: Path) -> Generator[House]:
    """Serve an empty archive that is quick to try again."""
    with build(tmp_path / "house", settings=QUICK) as served:
        yield served


def put(house: House, *uids: str, **changed: str) -> list[Pair]:
    """Store instances, past the door; gives their references."""
    for uid in uids:
        receiving = house.archive.receive(house.operator, Declared(EXPLICIT, origin="test"))
        receiving.write(instance(SOPInstanceUID=uid, **changed))
        receiving.finish()
    return [(CT, uid) for uid in uids]


def events(house: House, outcome: str) -> list[Event]:
    return [each for each in house.events() if each.action == "commit" and each.outcome.value == outcome]


def jobs(house: House) -> list[Job]:
    return house.jobs.list(JobKind.COMMITMENT, closed=True)


def closed(house: House, state: JobState = JobState.DONE) -> Job:
    """Wait until the one transaction there is has ended in a state."""
    wait_until(lambda: [each.state for each in jobs(house)] == [state], f"the transaction is {state}")
    return jobs(house)[0]


# --- the way of a report ------------------------------------------------------


def test_what_is_here_is_committed_over_the_association_that_asked(house: House) -> None:
    stored = put(house, A, B)
    way, reports = house.lane("CT1", "store,commit", port=free_port()), Reports()
    asked = request(stored)
    with line(way, reports) as assoc:
        assert ask(assoc, asked) == 0x0000
        report = reports.wait()
        closed(house)
    assert report.event_type == 1
    assert report.transaction == asked.TransactionUID
    assert report.committed == stored
    assert report.failed == {}
    assert report.retrieve_ae_title == "LEADGLASS"
    permitted, done = events(house, "permitted"), events(house, "done")
    assert [each.detail["references"] for each in permitted] == [2]
    assert [(each.reason, each.session) for each in done] == [
        ("decided", permitted[0].session),
        ("reported", permitted[0].session),
    ]
    assert done[0].detail == {"transaction": asked.TransactionUID, "committed": 2, "failed": 0}
    assert done[1].detail["over"] == "its association"


@pytest.mark.parametrize("lane", ["plaintext", "TLS"])
def test_a_device_that_hung_up_is_told_over_an_association_of_our_own(lane: str, house: House) -> None:
    stored = put(house, A)
    port = free_port()
    way = house.enrol("CT1", "commit", port=port) if lane == "TLS" else house.lane("CT1", "commit", port=port)
    with reporting("CT1", port, way=way) as reports:
        assert ask_once(way, request(stored)) == 0x0000
        report = reports.wait()
        closed(house)
    assert (report.event_type, report.committed, report.failed) == (1, stored, {})
    assert events(house, "done")[-1].detail["over"] == "an association of ours"


def test_a_device_that_goes_on_working_is_told_over_an_association_of_our_own(house: House) -> None:
    stored = put(house, A)
    port = free_port()
    way = house.lane("CT1", "echo,commit", port=port)

    async def work(reports: Reports) -> None:
        """Ask, and echo until the report is there; a report over this association would end it."""
        contexts = propose((PUSH, UNCOMPRESSED), (VERIFICATION, UNCOMPRESSED))
        async with connect("127.0.0.1", way.port, calling="CT1", called="LEADGLASS", contexts=contexts) as association:
            action = NActionRq(
                message_id=1, requested_sop_class_uid=PUSH, requested_sop_instance_uid=INSTANCE, action_type_id=1
            )
            await association.call(1, action, encode(request(stored)))
            async with asyncio.timeout(30):
                while not reports.received:
                    again = CEchoRq(message_id=association.next_message_id(), affected_sop_class_uid=VERIFICATION)
                    await association.call(3, again)
                    await asyncio.sleep(0.02)

    with reporting("CT1", port) as reports:
        asyncio.run(work(reports))
    assert reports.received[0].committed == stored


def test_a_receiver_that_says_nothing_of_roles_is_told(house: House) -> None:
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    with reporting("CT1", port, roles=None) as reports:
        assert ask_once(way, request(put(house, A))) == 0x0000
        assert reports.wait().event_type == 1


def test_a_receiver_that_refuses_our_role_is_not_told(house: House) -> None:
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    with reporting("CT1", port, roles=False) as reports:
        assert ask_once(way, request(put(house, A))) == 0x0000
        wait_until(lambda: jobs(house)[0].attempts > 1, "a second attempt")
    assert reports.received == []
    assert jobs(house)[0].state is JobState.OPEN


def test_a_device_without_an_address_is_told_when_it_associates_again(house: House) -> None:
    stored = put(house, A)
    way, reports = house.lane("CT1", "echo,commit"), Reports()
    assert ask_once(way, request(stored)) == 0x0000
    wait_until(lambda: "associates again" in jobs(house)[0].note, "the transaction waits")
    with line(way, reports):
        assert reports.wait().committed == stored
        closed(house)
    assert events(house, "done")[-1].detail["over"] == "a later association of its own"


def test_a_device_that_refuses_its_report_on_a_line_that_stays_open_is_not_told_without_a_pause(tmp_path: Path) -> None:
    slow = DimseSettings(commitment=CommitmentSettings(pace=Pace(60.0, 60.0, 600.0), quiet=0.05))
    with build(tmp_path / "house", settings=slow) as house:
        way, reports = house.lane("CT1", "echo,commit"), Reports(statuses=[0x0110] * 9)
        with line(way, reports) as assoc:
            assert ask(assoc, request(put(house, A))) == 0x0000
            wait_until(lambda: "0110" in jobs(house)[0].note, "a refusal")
            assert [echo(assoc) for _ in range(20)] == [0x0000] * 20
        assert jobs(house)[0].attempts == 1
        with line(way, reports):
            wait_until(lambda: jobs(house)[0].attempts == 2, "another attempt over the new line")


def test_another_device_is_not_told(house: House) -> None:
    way, other, heard = house.lane("CT1", "commit"), house.lane("CT2", "echo,commit"), Reports()
    assert ask_once(way, request(put(house, A))) == 0x0000
    wait_until(lambda: "associates again" in jobs(house)[0].note, "the transaction waits")
    with line(other, heard) as assoc:
        assert echo(assoc) == 0x0000
        before = jobs(house)[0].attempts
        wait_until(lambda: jobs(house)[0].attempts >= before + 2, "two more attempts")
    assert heard.received == []


# --- receivers that fail ------------------------------------------------------


def test_a_report_that_was_refused_or_aborted_is_sent_again(house: House) -> None:
    stored = put(house, A)
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    reports = Reports(statuses=[0x0110, 0x0213], aborts=1)
    with reporting("CT1", port, reports=reports):
        assert ask_once(way, request(stored)) == 0x0000
        reports.wait(3)
        job = closed(house)
    assert job.attempts == 4
    assert [each.committed for each in reports.received] == [stored] * 3


def test_a_receiver_that_comes_up_later_is_told_then(house: House) -> None:
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    assert ask_once(way, request(put(house, A))) == 0x0000
    wait_until(lambda: jobs(house)[0].attempts > 1, "a second attempt")
    with reporting("CT1", port) as reports:
        assert reports.wait().event_type == 1


def test_one_that_cannot_be_reached_holds_up_nobody_else(house: House) -> None:
    stored, port = put(house, A), free_port()
    away, there = house.lane("CT1", "commit", port=free_port()), house.lane("CT2", "commit", port=port)
    with reporting("CT2", port) as reports:
        assert ask_once(away, request(stored)) == 0x0000
        assert ask_once(there, request(stored)) == 0x0000
        assert reports.wait().event_type == 1


def test_a_report_that_never_arrives_is_given_up_with_an_alert(tmp_path: Path) -> None:
    passed = [1_000.0]
    with build(tmp_path / "house", settings=QUICK, clock=lambda: passed[0]) as house:
        way = house.lane("CT1", "commit", port=free_port())
        asked = request(put(house, A))
        assert ask_once(way, asked) == 0x0000
        wait_until(lambda: bool(jobs(house)[0].note), "a first attempt")
        passed[0] += 601.0
        house.loop.call_soon_threadsafe(house.commitment.wake)
        job = closed(house, JobState.GIVEN_UP)
        (alert,) = events(house, "alert")
    assert "No connection" in job.note
    assert (alert.caller, alert.detail) == ("device:CT1", {"transaction": asked.TransactionUID})


def test_a_device_that_was_removed_meanwhile_gets_nothing(house: House) -> None:
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    assert ask_once(way, request(put(house, A))) == 0x0000
    wait_until(lambda: bool(jobs(house)[0].note), "a first attempt")
    house.devices.remove(house.operator, "CT1")
    with reporting("CT1", port) as reports:
        closed(house, JobState.GIVEN_UP)
    assert reports.received == []
    assert len(events(house, "alert")) == 1


def test_a_device_that_may_not_ask_any_more_gets_nothing(house: House) -> None:
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    assert ask_once(way, request(put(house, A))) == 0x0000
    wait_until(lambda: bool(jobs(house)[0].note), "a first attempt")
    house.lane("CT1", "store", port=port)
    with reporting("CT1", port) as reports:
        closed(house, JobState.GIVEN_UP)
    assert reports.received == []


# --- what is said of instances ------------------------------------------------


def verdicts(house: House, references: list[Pair]) -> tuple[list[Pair], dict[str, int]]:
    """Ask about some instances; gives what is committed, and why the others are not."""
    way, reports = house.lane("CT1", "store,commit"), Reports()
    with line(way, reports) as assoc:
        assert ask(assoc, request(references)) == 0x0000
        report = reports.wait()
    assert report.event_type == (2 if report.failed else 1)
    return report.committed, report.failed


def test_each_reference_is_answered_with_what_is_found_of_it(house: House) -> None:
    stored = put(house, A)
    assert verdicts(house, [(CT, B)]) == ([], {B: 0x0112})
    assert verdicts(house, [*stored, (CT, B)]) == (stored, {B: 0x0112})
    assert verdicts(house, [(MR_CLASS, A)]) == ([], {A: 0x0119})
    assert verdicts(house, [("1.2.840.10008.5.1.1.1", B)]) == ([], {B: 0x0122})
    assert verdicts(house, [*stored, *stored]) == (stored, {})


def test_a_deleted_study_is_not_here_and_no_part_of_it(house: House) -> None:
    stored = put(house, A, B)
    house.archive.delete(house.operator, "1.2.3.4")
    assert verdicts(house, stored) == ([], {A: 0x0112, B: 0x0112})


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
def test_a_damaged_object_is_not_committed_and_raises_an_alert(how: str, house: House) -> None:
    put(house, A)
    (path,) = objects(house.folder)
    stored = put(house, B)
    match how:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case _:
            octets = bytearray(path.read_bytes())
            octets[-1] ^= 1
            path.write_bytes(octets)
    assert verdicts(house, [(CT, A), *stored]) == (stored, {A: 0x0110})
    (alert,) = events(house, "alert")
    assert (alert.caller, alert.study_uid, alert.detail) == ("device:CT1", "1.2.3.4", {"instance": A})


def test_what_went_to_quarantine_is_not_committed_under_the_uid_of_another(house: House) -> None:
    way, reports = house.lane("CT1", "store,commit"), Reports()
    put(house, A)
    with associate(way, STORE) as assoc:
        assert send(assoc, Instance(CT, A, EXPLICIT, instance(SOPInstanceUID=A, StudyID="S2"))) == 0x0111
        assert send(assoc, Instance(CT, B, EXPLICIT, instance(SOPInstanceUID=B, PatientID="OTHER"))) == 0x0111
    with line(way, reports) as assoc:
        assert ask(assoc, request([(CT, A), (CT, B)])) == 0x0000
        assert reports.wait().failed == {A: 0x0110, B: 0x0112}


def test_what_another_sent_to_quarantine_takes_nothing_away(house: House) -> None:
    stored = put(house, A)
    with associate(house.lane("CT2", "store"), STORE) as assoc:
        assert send(assoc, Instance(CT, A, EXPLICIT, instance(SOPInstanceUID=A, StudyID="S2"))) == 0x0111
    assert verdicts(house, stored) == (stored, {})


def test_what_was_committed_and_is_gone_before_the_report_arrives_is_not_reported_as_here(house: House) -> None:
    stored = put(house, A)
    port = free_port()
    way = house.lane("CT1", "commit", port=port)
    assert ask_once(way, request(stored)) == 0x0000
    wait_until(lambda: bool(jobs(house)[0].note), "a first attempt")
    house.archive.delete(house.operator, "1.2.3.4")
    with reporting("CT1", port) as reports:
        assert reports.wait().failed == {A: 0x0112}


def test_ten_thousand_references_are_answered_each(house: House) -> None:
    stored = put(house, A)
    references = [(CT, f"1.2.3.4.5.{number}") for number in range(9_999)]
    committed, failed = verdicts(house, [*references, *stored])
    assert committed == stored
    assert len(failed) == 9_999
    assert set(failed.values()) == {0x0112}


# --- a checker that fails -----------------------------------------------------


def test_a_check_that_crashes_is_made_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, port = put(house, A), free_port()
    whole, crashes = house.vault.is_sound, [RuntimeError("a defect"), Busy("No room.")]

    def is_sound(permit: Permit, record: InstanceRecord) -> bool:
        if crashes:
            raise crashes.pop()
        return whole(permit, record)

    monkeypatch.setattr(house.vault, "is_sound", is_sound)
    way = house.lane("CT1", "commit", port=port)
    with reporting("CT1", port) as reports:
        assert ask_once(way, request(stored)) == 0x0000
        assert reports.wait().committed == stored
        assert closed(house).attempts == 3


# --- requests that are wrong --------------------------------------------------


def without(keyword: str) -> Dataset:
    asked = request([(CT, A)])
    delattr(asked, keyword)
    return asked


def changed(**values: Any) -> Dataset:
    asked = request([(CT, A)])
    for keyword, value in values.items():
        setattr(asked, keyword, value)
    return asked


def item_without(keyword: str) -> Dataset:
    asked: Any = request([(CT, A)])
    delattr(asked.ReferencedSOPSequence[0], keyword)
    return asked


def test_a_request_without_what_it_must_have_is_an_invalid_argument(house: House) -> None:
    wrong = [
        without("TransactionUID"),
        without("ReferencedSOPSequence"),
        changed(TransactionUID=""),
        changed(TransactionUID=["1.2", "1.3"]),
        changed(ReferencedSOPSequence=[]),
        item_without("ReferencedSOPClassUID"),
        item_without("ReferencedSOPInstanceUID"),
    ]
    with line(house.lane("CT1", "echo,commit")) as assoc:
        assert [ask(assoc, asked) for asked in wrong] == [0x0115] * len(wrong)
        assert echo(assoc) == 0x0000
    assert jobs(house) == []
    assert len(events(house, "refused")) == len(wrong)


def test_another_action_instance_or_class_is_named_as_what_is_wrong(house: House) -> None:
    asked = request([(CT, A)])
    with line(house.lane("CT1", "echo,commit")) as assoc:
        assert ask(assoc, asked, action=2) == 0x0123
        assert ask(assoc, asked, instance="1.2.840.10008.1.20.1.2") == 0x0112
        assert ask(assoc, asked, sop_class="1.2.840.10008.1.20.2") == 0x0118
        assert echo(assoc) == 0x0000
    assert jobs(house) == []


def test_too_many_references_or_open_requests_are_a_resource_limitation(tmp_path: Path) -> None:
    settings = DimseSettings(commitment=CommitmentSettings(references=3, open=2))
    with build(tmp_path / "house", settings=settings) as house, line(house.lane("CT1", "commit")) as assoc:
        assert ask(assoc, request([(CT, f"1.2.{number}") for number in range(4)])) == 0x0213
        assert ask(assoc, request([(CT, f"1.2.{number}") for number in range(4_000)])) == 0x0213
        assert ask(assoc, request([(CT, A)])) == 0x0000
        assert ask(assoc, request([(CT, A)])) == 0x0000
        assert ask(assoc, request([(CT, A)])) == 0x0213


def test_the_same_request_again_is_one_and_another_under_its_uid_is_refused(house: House) -> None:
    way = house.lane("CT1", "commit")
    with line(way) as assoc:
        assert ask(assoc, request([(CT, A), (CT, B)], "1.2.99")) == 0x0000
        assert ask(assoc, request([(CT, B), (CT, A)], "1.2.99")) == 0x0000
        assert ask(assoc, request([(CT, C)], "1.2.99")) == 0x0115
    assert len(jobs(house)) == 1


def test_two_devices_may_use_the_same_transaction_uid(house: House) -> None:
    stored = put(house, A)
    for name, references in (("CT1", stored), ("CT2", [(CT, B)])):
        reports = Reports()
        with line(house.lane(name, "commit"), reports) as assoc:
            assert ask(assoc, request(references, "1.2.99")) == 0x0000
            assert len(reports.wait().failed) == (name == "CT2")


def test_a_transaction_that_is_over_may_be_asked_again(house: House) -> None:
    reports = Reports()
    with line(house.lane("CT1", "commit"), reports) as assoc:
        assert ask(assoc, request([(CT, A)], "1.2.99")) == 0x0000
        assert reports.wait(1).failed == {A: 0x0112}
        closed(house)
        put(house, A)
        assert ask(assoc, request([(CT, A)], "1.2.99")) == 0x0000
        assert reports.wait(2).failed == {}


def test_a_device_without_the_grant_is_not_offered_the_service(house: House) -> None:
    way = house.lane("CT1", "echo,store,find,get,move")
    with associate(way, [("1.2.840.10008.1.20.1", UNCOMPRESSED), (str(VERIFICATION), UNCOMPRESSED)]) as assoc:
        assert [str(each.abstract_syntax) for each in assoc.accepted_contexts] == [str(VERIFICATION)]


def test_nothing_is_promised_when_it_cannot_be_written_down(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> bool:
        raise Busy("The database jobs is locked by another process.")

    monkeypatch.setattr(house.jobs, "add", full)
    with line(house.lane("CT1", "commit")) as assoc:
        assert ask(assoc, request([(CT, A)])) == 0x0213
    assert jobs(house) == []


def test_nothing_is_promised_without_a_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = house.audit.append

    def append(event: Event) -> int:
        if event.action == "commit":
            raise Conflict("The audit log cannot be written.")
        return whole(event)

    with line(house.lane("CT1", "commit")) as assoc:
        monkeypatch.setattr(house.audit, "append", append)
        assert ask(assoc, request([(CT, A)])) != 0x0000
        monkeypatch.undo()
    assert jobs(house) == []
