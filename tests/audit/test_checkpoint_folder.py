"""Signed heads in a folder elsewhere."""

from collections.abc import Callable
from pathlib import Path

from leadglass.audit.checkpoint_folder import CheckpointFolder
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from tests.peers.collector import eventually


def write(log: AuditLog, count: int) -> None:
    for _ in range(count):
        log.append(Event(Outcome.PERMITTED, "store", caller="device:CT1"))


def test_each_head_is_a_file_that_proves_the_log(log: AuditLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    write(log, 25)
    folder = CheckpointFolder(log, kept, alert_after=60, poll=0.02)
    folder.start()
    eventually(lambda: len(list(kept.iterdir())) == 1, "the first head")
    write(log, 12)
    folder.close()
    notes = [each.read_text() for each in sorted(kept.glob("*.checkpoint"))]
    assert log.verifier.open(notes[-1]).size == 37
    assert log.verify(*notes).ok


def test_a_head_that_is_there_already_is_left_as_it_is(opened: Callable[..., AuditLog], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    log = opened()
    write(log, 10)
    found: list[dict[str, int]] = []
    for _ in range(2):
        folder = CheckpointFolder(log, kept, alert_after=60, poll=0.02)
        folder.start()
        folder.close()
        found.append({each.name: each.stat().st_mtime_ns for each in kept.iterdir()})
    assert found[0] == found[1]
    assert log.verifier.open((kept / max(found[0])).read_text()).size == 10


def test_a_folder_that_is_gone_is_on_record_once_and_so_is_its_return(log: AuditLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    write(log, 10)
    folder = CheckpointFolder(log, kept, alert_after=0.05, poll=0.02)
    folder.start()
    eventually(lambda: len(log.records(action="collect")) == 1, "the alert")
    kept.mkdir()
    eventually(lambda: len(log.records(action="collect")) == 2, "the return")
    folder.close()
    assert [record.event.outcome for record in log.records(action="collect")] == [Outcome.ALERT, Outcome.DONE]
