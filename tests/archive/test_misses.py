"""What goes on record of studies that somebody named and was not given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Selection
from leadglass.archive.misses import NAMED
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.dicom.matching import Level
from leadglass.errors import Full
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.scope import Field, Scope
from tests.archive.room import MemoryRoom
from tests.callers import device

THEIRS, NOBODYS = "1.3", "1.4"


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        yield log


@pytest.fixture
def archive(audit: AuditLog) -> Archive:
    return Archive(MemoryRoom("1.2 1.2.1 mine", "1.3 1.3.1 theirs"), audit, door="test")


def curious(name: str = "WS1") -> Caller:
    return device(name, Action.GET, scope=Scope.where(Field.STUDY, "1.2"))


def ask(archive: Archive, caller: Caller, *study_uids: str) -> int:
    return len(archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=study_uids)).records)


def misses(audit: AuditLog, outcome: Outcome = Outcome.REFUSED) -> list[Event]:
    return [record.event for record in audit.records() if record.event.outcome is outcome]


def test_a_study_that_was_named_and_not_given_is_on_record(archive: Archive, audit: AuditLog) -> None:
    assert ask(archive, curious(), "1.2", THEIRS) == 1
    (event,) = misses(audit)
    assert (event.caller, event.action, event.study_uid) == ("device:WS1", "get", THEIRS)


def test_the_record_does_not_tell_whether_it_is_here_and_somebody_elses(archive: Archive, audit: AuditLog) -> None:
    assert ask(archive, curious(), THEIRS) == ask(archive, curious(), NOBODYS) == 0
    theirs, nobodys = misses(audit)
    assert (theirs.reason, theirs.detail) == (nobodys.reason, nobodys.detail)


def test_who_tries_many_is_told_of_once_and_does_not_fill_the_log(archive: Archive, audit: AuditLog) -> None:
    for number in range(3 * NAMED):
        ask(archive, curious(), f"1.9.{number}")
    ask(archive, curious(), *(f"1.8.{number}" for number in range(100)))
    ask(archive, curious("WS2"), THEIRS)
    assert [event.caller for event in misses(audit)] == ["device:WS1"] * NAMED + ["device:WS2"]
    (alert,) = misses(audit, Outcome.ALERT)
    assert alert.caller == "device:WS1"


def test_what_cannot_be_put_on_record_is_not_answered(
    archive: Archive, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(archive, curious(), "1.2")

    def fails(_event: Event) -> int:
        raise Full("There is no room.")

    monkeypatch.setattr(audit, "append", fails)
    with pytest.raises(Full):
        ask(archive, curious(), THEIRS)
