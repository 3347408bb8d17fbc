"""What the archive says of instances it is asked to take responsibility for, over a back room that keeps a diary."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.commitment import Commitments, Reference, Verdict
from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.errors import Denied
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.scope import Field, Scope
from tests.archive.room import MemoryRoom
from tests.callers import device

FIRST, SECOND, THIRD = (Reference("1.9", uid) for uid in ("1.2.1", "1.2.2", "1.3.1"))
CT1 = device("CT1", Action.COMMIT)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        yield log


@pytest.fixture
def room() -> MemoryRoom:
    return MemoryRoom("1.2 1.2.1 first", "1.2 1.2.2 second", "1.3 1.3.1 third")


@pytest.fixture
def commitments(room: MemoryRoom, audit: AuditLog) -> Commitments:
    return Archive(room, audit, door="test").commitments


def judged(commitments: Commitments, caller: Caller, *references: Reference, read: bool = True) -> list[Verdict]:
    check = commitments.check(caller, "1.1", references)
    return [check.judge(reference, read=read) for reference in references]


def events(audit: AuditLog) -> list[Event]:
    return [record.event for record in audit.records()]


def test_what_is_outside_of_the_scope_is_not_here(commitments: Commitments) -> None:
    own = device("CT1", Action.COMMIT, scope=Scope.where(Field.STUDY, "1.2"))
    nowhere = Reference("1.9", "1.4.1")
    assert judged(commitments, own, FIRST, THIRD, nowhere) == [
        Verdict.COMMITTED,
        Verdict.NO_SUCH_OBJECT_INSTANCE,
        Verdict.NO_SUCH_OBJECT_INSTANCE,
    ]


def test_another_class_outside_of_the_scope_is_not_here_either(commitments: Commitments) -> None:
    own = device("CT1", Action.COMMIT, scope=Scope.where(Field.STUDY, "1.2"))
    assert judged(commitments, own, Reference("1.8", "1.3.1")) == [Verdict.NO_SUCH_OBJECT_INSTANCE]
    assert judged(commitments, CT1, Reference("1.8", "1.3.1")) == [Verdict.CLASS_INSTANCE_CONFLICT]


def test_whoever_may_not_ask_is_refused_before_the_room_is_touched(
    commitments: Commitments, room: MemoryRoom, audit: AuditLog
) -> None:
    stranger = device("CT9", Action.STORE, Action.FIND)
    with pytest.raises(Denied):
        commitments.ask(stranger, "1.1", 1)
    with pytest.raises(Denied):
        commitments.check(stranger, "1.1", [FIRST])
    assert room.diary == []
    assert [event.outcome.value for event in events(audit)] == ["refused", "refused"]


def test_every_object_is_read_and_one_alert_tells_of_a_damaged_study(
    commitments: Commitments, room: MemoryRoom, audit: AuditLog
) -> None:
    room.damaged = {"1.2.1", "1.2.2"}
    assert judged(commitments, CT1, FIRST, SECOND, THIRD) == [
        Verdict.PROCESSING_FAILURE,
        Verdict.PROCESSING_FAILURE,
        Verdict.COMMITTED,
    ]
    assert room.diary.count("is_sound") == 3
    (alert,) = events(audit)
    assert (alert.outcome.value, alert.study_uid, alert.detail) == ("alert", "1.2", {"instance": "1.2.1"})


def test_what_is_deleted_while_it_is_judged_is_not_here(commitments: Commitments, room: MemoryRoom) -> None:
    check = commitments.check(CT1, "1.1", [FIRST])
    room.instances.clear()
    assert check.judge(FIRST) is Verdict.NO_SUCH_OBJECT_INSTANCE


def test_what_was_read_before_is_only_looked_up(commitments: Commitments, room: MemoryRoom) -> None:
    assert judged(commitments, CT1, FIRST, read=False) == [Verdict.COMMITTED]
    assert "is_sound" not in room.diary


def test_asked_decided_reported_and_given_up_are_on_record_without_the_instances(
    commitments: Commitments, audit: AuditLog
) -> None:
    commitments.ask(CT1, "1.1", 2)
    commitments.decided(CT1, "1.1", [0, 0x0112])
    commitments.reported(CT1, "1.1", "its association")
    commitments.given_up("device:CT1", "1.1", CT1.session, "No connection.")
    assert [(event.outcome.value, event.action, event.caller, event.session) for event in events(audit)] == [
        (outcome, "commit", "device:CT1", CT1.session) for outcome in ("permitted", "failed", "done", "alert")
    ]
    assert [dict(event.detail) for event in events(audit)] == [
        {"transaction": "1.1", "references": 2},
        {"transaction": "1.1", "committed": 1, "failed": 1},
        {"transaction": "1.1", "over": "its association"},
        {"transaction": "1.1"},
    ]
