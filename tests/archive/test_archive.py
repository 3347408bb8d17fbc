"""The waist: decide, record, then act; tested over a back room that keeps a diary."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared, Mark, Receipt, Resolution, Selection, Stored
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.dicom.matching import Key, Level, Query, Root, SequenceKey, Single, Universal
from leadglass.dicom.tags import (
    ContentDate,
    ContentSequence,
    PatientName,
    ReferencedStudySequence,
    StudyInstanceUID,
    key,
)
from leadglass.errors import Busy, Conflict, Denied, Full, NotHere, Unsupported
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.archive.room import MemoryRoom
from tests.callers import device, everything

NAMELESS = View(frozenset({PatientName}))
STUDY = Query(Level.STUDY, Root.STUDY, {key(StudyInstanceUID): Universal()})


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        yield log


@pytest.fixture
def room() -> MemoryRoom:
    return MemoryRoom("1.2 1.2.1 first", "1.2 1.2.2 second", "1.3 1.3.1 third")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(room: MemoryRoom, audit: AuditLog, clock: Clock) -> Archive:
    return Archive(room, audit, door="test", clock=clock)


def events(audit: AuditLog) -> list[Event]:
    return [record.event for record in audit.records()]


def outcomes(audit: AuditLog) -> list[tuple[str, str]]:
    return [(event.outcome.value, event.action) for event in events(audit)]


def store(archive: Archive, caller: Caller, data: bytes) -> None:
    receiving = archive.receive(caller, Declared("1.2.840.10008.1.2.1", origin=caller.name))
    receiving.write(data)
    receiving.finish()


# --- no record, no access -----------------------------------------------------


class Broken(AuditLog):
    """A log whose disk is gone."""

    def append(self, event: Event) -> int:
        raise Busy("The audit log cannot be written.")


ACTS: dict[str, Callable[[Archive, Caller], object]] = {
    "find": lambda archive, caller: list(archive.find(caller, STUDY)),
    "get": lambda archive, caller: archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2",))),
    "store": lambda archive, caller: store(archive, caller, b"1.4 1.4.1 new"),
    "delete": lambda archive, caller: archive.delete(caller, "1.2"),
    "fsck": lambda archive, caller: archive.fsck(caller, lambda _done, _all: None),
    "resolve": lambda archive, caller: archive.resolve(caller, 1, Resolution.DISCARD),
    "echo": lambda archive, caller: archive.echo(caller),
    "quarantined": lambda archive, caller: archive.quarantined(caller),
    "look": lambda archive, caller: archive.quarantine.look(caller, 7),
    "resolve all": lambda archive, caller: archive.quarantine.resolve_all(caller, [7, 8], Resolution.ACCEPT),
    "known": lambda archive, caller: archive.quarantine.known(caller, [Mark("1.2.3", b"digest")]),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_cannot_be_recorded_does_not_happen(act: str, room: MemoryRoom, tmp_path: Path) -> None:
    with Broken(tmp_path / "broken.db", b"k" * 32, b"s" * 32) as log, pytest.raises(Busy):
        ACTS[act](Archive(room, log, door="test"), everything())
    assert not {"find", "commit", "delete", "fsck", "resolve", "open", "look", "known"} & set(room.diary)


@pytest.mark.parametrize("act", ACTS)
def test_a_caller_without_grants_gets_nothing_and_each_no_is_on_record(
    act: str, archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    with pytest.raises(Denied):
        ACTS[act](archive, device("NOBODY"))
    assert room.diary == []
    (event,) = events(audit)
    assert event.outcome is Outcome.REFUSED
    assert event.caller == "device:NOBODY"
    assert "not granted" in event.reason


# --- quarantine ---------------------------------------------------------------


def test_what_is_decided_over_quarantine_is_on_the_studys_record_with_its_outcome(
    archive: Archive, audit: AuditLog
) -> None:
    archive.resolve(everything(), 7, Resolution.ACCEPT)
    with pytest.raises(NotHere):
        archive.resolve(everything(), 8, Resolution.DISCARD)
    assert outcomes(audit) == [
        ("permitted", "resolve"), ("done", "resolve"), ("permitted", "resolve"), ("failed", "resolve"),
    ]  # fmt: skip
    _, done, _, failed = events(audit)
    assert (done.study_uid, done.detail["instance"], done.reason) == ("1.2", "1.2.1.1", "Discarded.")
    assert (failed.study_uid, failed.detail["quarantine"]) == ("", 8)


# --- store --------------------------------------------------------------------


def test_storing_is_recorded_once_for_a_study_and_closed_with_what_it_came_to(
    archive: Archive, audit: AuditLog
) -> None:
    caller = device("CT1", Action.STORE)
    for number in range(5):
        store(archive, caller, f"1.7 1.7.{number} x".encode())
    archive.end(caller)
    assert outcomes(audit) == [("permitted", "store"), ("done", "store")]
    closing = events(audit)[-1]
    assert closing.study_uid == "1.7"
    assert closing.detail["instances"] == 5
    assert closing.session == caller.session


def test_a_long_session_is_recorded_again_after_the_window(archive: Archive, audit: AuditLog, clock: Clock) -> None:
    caller = device("CT1", Action.STORE)
    store(archive, caller, b"1.7 1.7.1 x")
    clock.now = 301
    store(archive, caller, b"1.7 1.7.2 x")
    assert outcomes(audit) == [("permitted", "store"), ("done", "store"), ("permitted", "store")]


def test_a_study_outside_of_the_scope_is_refused_after_it_was_examined_and_nothing_stays(
    archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    caller = device("CT1", Action.STORE, scope=Scope.where(Field.STUDY, "1.2"))
    with pytest.raises(Denied):
        store(archive, caller, b"1.7 1.7.1 x")
    assert room.diary == ["receive", "examine", "abort"]
    assert outcomes(audit) == [("refused", "store")]


def test_a_conflict_is_recorded_as_failed_and_counted(archive: Archive, audit: AuditLog) -> None:
    caller = device("CT1", Action.STORE)
    with pytest.raises(Conflict):
        store(archive, caller, b"1.2 1.2.1 another")
    archive.end(caller)
    assert outcomes(audit) == [("permitted", "store"), ("failed", "store"), ("failed", "store")]
    assert events(audit)[-1].detail["failed"] == 1


def test_a_damaged_copy_that_was_replaced_is_an_alert_and_names_no_patient(
    archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    caller = device("CT1", Action.STORE)
    room.outcome = Stored.HEALED
    store(archive, caller, b"1.7 1.7.1 x")
    alert = events(audit)[-1]
    assert (alert.outcome, alert.action, alert.study_uid) == (Outcome.ALERT, "store", "1.7")
    assert alert.detail == {"instance": "1.7.1"}
    assert "damaged" in alert.reason


# --- a log that cannot be written for a while ---------------------------------


class Failing(AuditLog):
    """A log that cannot be written while it is told so."""

    fails = False
    attempts = 0

    def append(self, event: Event) -> int:
        self.attempts += 1
        if self.fails:
            raise Full("The audit log cannot be written.")
        return super().append(event)


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Failing]:
    with Failing(tmp_path / "failing.db", b"k" * 32, b"s" * 32) as log:
        yield log


def closings(audit: AuditLog) -> dict[str, object]:
    return {event.study_uid: event.detail["instances"] for event in events(audit) if event.outcome is Outcome.DONE}


def test_closing_records_that_cannot_be_written_are_written_with_the_next_record(
    room: MemoryRoom, failing: Failing
) -> None:
    archive, caller = Archive(room, failing, door="test"), device("CT1", Action.STORE)
    for study in range(20):
        store(archive, caller, f"1.{study + 7} 1.7.{study} x".encode())
    failing.fails = True
    with pytest.raises(Full):
        archive.end(caller)
    assert closings(failing) == {}
    failing.fails = False
    archive.echo(everything())
    assert len(closings(failing)) == 16  # the rest is not on that caller's time
    archive.end(everything())
    assert closings(failing) == {f"1.{study + 7}": 1 for study in range(20)}
    assert all("recorded late" in event.reason for event in events(failing) if event.outcome is Outcome.DONE)


def test_one_record_that_cannot_be_written_does_not_keep_back_the_others(
    room: MemoryRoom, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, caller = Archive(room, failing, door="test"), device("CT1", Action.STORE)
    for study in range(4):
        store(archive, caller, f"1.{study + 7} 1.7.{study} x".encode())
    append = failing.append

    def picky(event: Event) -> int:
        if event.study_uid == "1.7":
            raise Busy("Not now.")
        return append(event)

    monkeypatch.setattr(failing, "append", picky)
    with pytest.raises(Busy):
        archive.end(caller)
    assert closings(failing) == {"1.8": 1, "1.9": 1, "1.10": 1}
    monkeypatch.undo()
    archive.close()
    assert closings(failing) == {"1.8": 1, "1.9": 1, "1.10": 1, "1.7": 1}


def test_a_log_that_stays_unwritable_is_not_tried_for_each_record(room: MemoryRoom, failing: Failing) -> None:
    archive, caller = Archive(room, failing, door="test"), device("CT1", Action.STORE)
    for study in range(50):
        store(archive, caller, f"1.{study + 7} 1.7.{study} x".encode())
    failing.fails, failing.attempts = True, 0
    with pytest.raises(Full):
        archive.end(caller)
    assert failing.attempts == 3


def test_a_window_that_cannot_be_closed_keeps_its_count_until_it_can(
    room: MemoryRoom, failing: Failing, clock: Clock
) -> None:
    archive, caller = Archive(room, failing, door="test", clock=clock), device("CT1", Action.STORE)
    store(archive, caller, b"1.7 1.7.1 x")
    clock.now = 301
    failing.fails = True
    with pytest.raises(Full):
        store(archive, caller, b"1.7 1.7.2 x")
    failing.fails = False
    store(archive, caller, b"1.7 1.7.3 x")
    archive.end(caller)
    assert outcomes(failing) == [("permitted", "store"), ("permitted", "store"), ("done", "store"), ("done", "store")]
    assert [event.detail["instances"] for event in events(failing) if event.outcome is Outcome.DONE] == [1, 1]


def test_closing_the_archive_closes_the_sessions_that_are_left(archive: Archive, audit: AuditLog) -> None:
    store(archive, device("CT1", Action.STORE), b"1.7 1.7.1 x")
    store(archive, device("CT2", Action.STORE), b"1.8 1.8.1 x")
    archive.close()
    archive.close()
    assert closings(audit) == {"1.7": 1, "1.8": 1}


def test_an_alert_that_cannot_be_written_is_no_success_and_is_written_later(
    room: MemoryRoom, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, caller = Archive(room, failing, door="test"), device("CT1", Action.STORE)
    room.outcome = Stored.HEALED
    take = room.take

    def broken_meanwhile(data: bytes, transfer_syntax_uid: str, origin: str) -> Receipt:
        failing.fails = True
        return take(data, transfer_syntax_uid, origin)

    monkeypatch.setattr(room, "take", broken_meanwhile)
    with pytest.raises(Full):
        store(archive, caller, b"1.7 1.7.1 x")
    failing.fails = False
    archive.end(caller)
    assert ("alert", "store") in outcomes(failing)


def test_threads_of_one_session_lose_no_count_when_the_window_ends_again_and_again(
    room: MemoryRoom, audit: AuditLog
) -> None:
    archive, caller = Archive(room, audit, door="test", window=0.0), device("CT1", Action.STORE)

    def some(thread: int) -> None:
        for number in range(10):
            store(archive, caller, f"1.7 1.7.{thread}.{number} x".encode())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))
    archive.end(caller)
    assert sum(int(event.detail["instances"]) for event in events(audit) if event.outcome is Outcome.DONE) == 40


# --- query --------------------------------------------------------------------


def test_a_query_is_recorded_with_its_keys_and_without_their_values(archive: Archive, audit: AuditLog) -> None:
    keys: dict[str, Key] = {key(PatientName): Single(("Doe^Jane",))}
    list(archive.find(device("WS1", Action.FIND), Query(Level.STUDY, Root.STUDY, keys, {key(PatientName): "PN"})))
    (event,) = events(audit)
    assert event.outcome is Outcome.PERMITTED
    assert "PatientName" in str(event.detail["keys"])
    assert "Doe" not in repr(event)


@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY])
def test_a_masked_attribute_leaves_empty_at_every_level(level: Level, archive: Archive) -> None:
    caller = device("RESEARCH", Action.FIND, view=NAMELESS)
    answers = list(archive.find(caller, Query(level, Root.PATIENT, {key(PatientName): Universal()})))
    assert len(answers) == 3
    assert all(answer[key(PatientName)] == {"vr": "PN"} for answer in answers)


@pytest.mark.parametrize(
    "asked",
    [
        {key(PatientName): Single(("Doe^Jane",))},
        {key(ReferencedStudySequence): SequenceKey({key(PatientName): Single(("Doe^Jane",))})},
        {key(ContentSequence): SequenceKey({key(ContentDate): Single(("19700101",))})},
        {"60000022": Single(("Doe*",))},
        {"00091001": Single(("Doe*",))},
    ],
    ids=["plain", "in a sequence", "in what a mask drops", "in an overlay", "in a private element"],
)
def test_nobody_can_find_out_a_masked_value_by_asking_for_it(
    asked: dict[str, Key], archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    with pytest.raises(Denied):
        archive.find(device("RESEARCH", Action.FIND, view=NAMELESS), Query(Level.STUDY, Root.STUDY, asked))
    assert room.diary == []
    assert outcomes(audit) == [("permitted", "find"), ("refused", "find")]


def test_a_patient_with_studies_of_two_views_is_shown_by_the_strictest(archive: Archive) -> None:
    grants = tuple(
        Grant(frozenset({Action.FIND}), Scope.where(Field.STUDY, study), view, "test")
        for study, view in (("1.2", View.full()), ("1.3", NAMELESS))
    )
    caller = Caller(CallerKind.DEVICE, "WS1", grants, "127.0.0.1", "made by a test")
    patients = list(archive.find(caller, Query(Level.PATIENT, Root.PATIENT, {key(PatientName): Universal()})))
    assert all("Value" not in patient[key(PatientName)] for patient in patients)
    studies = list(archive.find(caller, STUDY))
    assert sorted("Value" in study[key(PatientName)] for study in studies) == [False, True, True]


# --- retrieve -----------------------------------------------------------------


def test_a_retrieval_is_recorded_study_by_study_before_anything_is_opened(
    archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    caller = device("WS1", Action.GET)
    retrieval = archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2", "1.3")), to="WS1")
    assert room.diary == ["locate"]
    assert [event.study_uid for event in events(audit)] == ["", "1.2", "1.3"]
    for record in retrieval.records:
        with retrieval.open(record) as reader:
            assert reader.read_at(0, 3) == record.study_uid.encode()
        retrieval.sent(record)
    archive.end(caller)
    closing = {event.study_uid: event.detail["instances"] for event in events(audit) if event.outcome is Outcome.DONE}
    assert closing == {"1.2": 2, "1.3": 1}


def test_what_is_outside_of_the_scope_is_not_here(archive: Archive) -> None:
    caller = device("WS1", Action.GET, scope=Scope.where(Field.STUDY, "1.2"))
    retrieval = archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2", "1.3")))
    assert {record.study_uid for record in retrieval.records} == {"1.2"}


def test_what_a_mask_may_not_reach_is_withheld_on_record_and_never_falls_back_to_a_full_one(
    archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    caller = device("RESEARCH", Action.GET, view=NAMELESS)
    retrieval = archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2",)))
    for record in retrieval.records:
        assert retrieval.withheld(record)
        with pytest.raises(Unsupported):
            retrieval.open(record)
    assert "open" not in room.diary
    assert outcomes(audit)[-1] == ("refused", "get")


def test_what_was_opened_is_counted_only_when_the_door_says_what_became_of_it(
    archive: Archive, audit: AuditLog
) -> None:
    caller = device("WS1", Action.GET)
    retrieval = archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2",)))
    first, second = retrieval.records
    for record in (first, first, second):
        retrieval.open(record).close()
    retrieval.sent(first)
    archive.end(caller)
    assert events(audit)[-1].detail == {"instances": 1, "failed": 0, "octets": first.size}


def test_an_instance_that_was_not_sent_is_counted_as_failed(
    archive: Archive, room: MemoryRoom, audit: AuditLog
) -> None:
    caller = device("WS1", Action.GET)
    retrieval = archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.3",)))
    room.instances.clear()
    with pytest.raises(NotHere):
        retrieval.open(retrieval.records[0])
    retrieval.failed(retrieval.records[0])
    archive.end(caller)
    assert events(audit)[-1].outcome is Outcome.FAILED
    assert events(audit)[-1].detail == {"instances": 0, "failed": 1, "octets": 0}


# --- delete, explain, and what doors refuse -----------------------------------


def test_a_study_that_is_not_yours_is_not_here_when_deleting(archive: Archive, room: MemoryRoom) -> None:
    caller = device("ADMIN", Action.DELETE, scope=Scope.where(Field.STUDY, "1.2"))
    with pytest.raises(NotHere) as not_yours:
        archive.delete(caller, "1.3")
    with pytest.raises(NotHere) as not_there:
        archive.delete(caller, "1.99")
    assert not_yours.value.message == not_there.value.message
    assert "delete" not in room.diary


def test_a_deletion_is_recorded_before_and_after(archive: Archive, audit: AuditLog) -> None:
    deleted = archive.delete(everything(), "1.2")
    assert deleted.instances == 2
    assert outcomes(audit) == [("permitted", "delete"), ("done", "delete")]


def test_explaining_asks_for_the_right_to_manage(archive: Archive) -> None:
    viewer = device("WS1", Action.FIND, scope=Scope.where(Field.STUDY, "1.2"))
    assert archive.explain(everything(), viewer, Action.FIND, "1.2")[0]
    assert not archive.explain(everything(), viewer, Action.FIND, "1.3")[0]
    assert not archive.explain(everything(), viewer, Action.FIND, "1.99")[0]
    assert not archive.explain(everything(), viewer, Action.DELETE, "")[0]
    with pytest.raises(Denied):
        archive.explain(viewer, viewer, Action.FIND, "1.2")


def test_what_is_offered_is_what_was_granted_and_the_rest_is_on_record(archive: Archive, audit: AuditLog) -> None:
    caller = device("CT1", Action.STORE, Action.ECHO)
    assert archive.offers(caller, frozenset({Action.STORE, Action.FIND})) == {Action.STORE}
    assert outcomes(audit) == [("refused", "find")]


def test_a_door_may_refuse_for_reasons_of_its_own_but_only_those_who_may_ask(archive: Archive, audit: AuditLog) -> None:
    archive.refuse(device("WS1", Action.MOVE), Action.MOVE, "The destination is not registered.", to="ELSEWHERE")
    assert outcomes(audit) == [("refused", "move")]
    assert events(audit)[0].detail == {"to": "ELSEWHERE"}
    with pytest.raises(Denied):
        archive.refuse(device("WS2", Action.FIND), Action.MOVE, "The destination is not registered.", to="ELSEWHERE")
    assert "not granted" in events(audit)[1].reason


def test_decisions_over_many_are_one_record_for_each_study_before_and_after(archive: Archive, audit: AuditLog) -> None:
    outcomes = archive.quarantine.resolve_all(everything(), [7, 8], Resolution.ACCEPT)
    assert outcomes[0] == "Discarded."
    assert isinstance(outcomes[1], NotHere)
    permitted, done = events(audit)
    assert (permitted.outcome, permitted.study_uid, permitted.detail["quarantine"]) == (Outcome.PERMITTED, "1.2", "7")
    assert (done.outcome, done.study_uid, done.detail["instances"]) == (Outcome.DONE, "1.2", 1)


def test_each_look_into_quarantine_is_on_its_studys_record_and_nothing_is_shown_masked(
    archive: Archive, audit: AuditLog, room: MemoryRoom
) -> None:
    archive.quarantine.look(everything(), 7, picture=True)
    with pytest.raises(NotHere):
        archive.quarantine.look(everything(), 8)
    masked = device("M", Action.RESOLVE, view=View(frozenset({PatientName})))
    with pytest.raises(NotHere):
        archive.quarantine.look(masked, 7)
    assert [(each.outcome.value, each.study_uid) for each in events(audit)] == [
        ("permitted", "1.2"), ("refused", ""), ("refused", ""),
    ]  # fmt: skip
    assert events(audit)[0].detail["asked"] == "picture"
    assert room.diary == ["look"]


def test_what_comes_in_by_the_right_to_hand_in_is_decided_and_recorded_as_that(
    archive: Archive, audit: AuditLog, room: MemoryRoom
) -> None:
    store(archive, device("LINK", Action.SUBMIT), b"1.4 1.4.1 new")
    assert [(each.outcome.value, each.action) for each in events(audit)] == [("permitted", "submit")]
    store(archive, device("BOTH", Action.SUBMIT, Action.STORE), b"1.4 1.4.2 new")
    assert events(audit)[-1].action == "store"
    assert room.diary.count("commit") == 2
