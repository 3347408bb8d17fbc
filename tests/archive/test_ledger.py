"""What is owed to the audit log: kept, bounded, written in order."""

from pathlib import Path

import pytest

from leadglass.archive.ledger import Ledger
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.errors import Busy


def closed(number: int) -> Event:
    return Event(Outcome.DONE, "store", reason="closed", study_uid=f"1.{number}")


def unwritable(event: Event) -> int:
    raise Busy("Not now.")


def test_what_is_more_than_is_kept_is_lost_and_that_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        ledger = Ledger(log, door="test", kept=5)
        monkeypatch.setattr(log, "append", unwritable)
        assert ledger.owe(closed(number) for number in range(4)) is not None
        assert ledger.owe(closed(number) for number in range(4, 8)) is not None
        monkeypatch.undo()
        assert ledger.settle() is None
        assert ledger.settle() is None
        written = [record.event for record in log.records()]
    assert [event.study_uid for event in written[:-1]] == [f"1.{number}" for number in range(5)]
    assert written[-1].outcome is Outcome.ALERT
    assert written[-1].detail == {"records": 3}


def test_an_interrupt_loses_nothing_that_is_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(event: Event) -> int:
        raise KeyboardInterrupt

    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        ledger = Ledger(log, door="test")
        monkeypatch.setattr(log, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.owe([closed(1), closed(2)])
        monkeypatch.undo()
        ledger.record(closed(3))
        assert [record.event.study_uid for record in log.records()] == ["1.3", "1.1", "1.2"]
