"""Looking into the log: searches agree with a plain reading of it, at any size; a damaged log is still shown."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.audit import reading
from leadglass.audit.event import Event, Outcome
from leadglass.audit.inspection import NEWEST, Inspection, Verified
from leadglass.audit.log import AuditLog
from leadglass.audit.reading import TO_LOOK_AT, Selection
from leadglass.audit.record import Record
from leadglass.crypto.database import driver, open_sealed
from leadglass.errors import Busy, Corrupt, Denied
from leadglass.policy.action import Action
from tests.audit.conftest import Tampering
from tests.callers import device

AUDITOR = device("AUDITOR", Action.AUDIT)
OUTCOMES = list(Outcome)


def _fill(log: AuditLog, count: int) -> None:
    for n in range(count):
        log.append(
            Event(
                OUTCOMES[n % 5],
                ("find", "get", "store")[n % 3],
                ("device:CT1", "person:CT1", "person:jane", "")[n % 4],
                f"10.0.0.{n % 3}",
                ("dimse", "pages")[n % 2],
                "a test",
                f"1.2.{n % 6}" if n % 2 else "",
            )
        )


def _inspection(log: AuditLog) -> Inspection:
    return Inspection(log, door="pages", source="LEADGLASS")


def _all(inspection: Inspection, selection: Selection, before: int, count: int) -> list[Record]:
    found: list[Record] = []
    while True:
        leaf = inspection.look(AUDITOR, selection, before, count)
        found += [each for each in leaf.records if isinstance(each, Record)]
        if leaf.older is None:
            return found
        before = leaf.older


def _meets(record: Record, selection: Selection) -> bool:
    event = record.event
    return (
        (selection.since is None or record.time >= selection.since)
        and (selection.until is None or record.time < selection.until)
        and selection.action in {None, event.action}
        and selection.outcome in {None, event.outcome}
        and selection.caller in {None, event.caller, event.caller.partition(":")[2]}
        and selection.study_uid in {None, event.study_uid}
        and selection.peer in {None, event.peer}
        and selection.door in {None, event.door}
        and (selection.study_uids is None or event.study_uid in selection.study_uids)
        and (not selection.is_to_look_at or event.outcome in TO_LOOK_AT)
    )


def _maybe(*values: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(values)


_SELECTIONS = st.builds(
    Selection,
    action=_maybe("find", "get", "nothing"),
    outcome=st.none() | st.sampled_from(OUTCOMES),
    caller=_maybe("CT1", "device:CT1", "jane", "nobody"),
    study_uid=_maybe("1.2.1", "1.2.9"),
    peer=_maybe("10.0.0.1", "10.9.9.9"),
    door=_maybe("dimse", "cli"),
    study_uids=st.none() | st.sampled_from([(), ("1.2.1", "1.2.3"), ("1.2.5",)]),
    is_to_look_at=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(_SELECTIONS, st.integers(1, 7), st.none() | st.integers(0, 90), st.none() | st.integers(0, 90))
def test_a_search_gives_what_a_plain_reading_gives_newest_first_whatever_the_page(
    log: AuditLog, selection: Selection, count: int, since: int | None, until: int | None
) -> None:
    if log.reader().size() == 0:
        _fill(log, 90)
    plain = log.records()[:90]
    begin, end = (None if n is None else plain[min(n, 89)].time for n in (since, until))
    selection = replace(selection, since=begin, until=end)
    expected = [each for each in reversed(plain) if _meets(each, selection)]
    assert _all(_inspection(log), selection, 91, count) == expected


def test_looking_is_permitted_and_recorded_first(log: AuditLog) -> None:
    inspection = _inspection(log)
    _fill(log, 3)
    with pytest.raises(Denied):
        inspection.look(device("CT1", Action.FIND), Selection())
    inspection.look(AUDITOR, Selection(peer="10.0.0.1"))
    refused, looked = log.records()[-2:]
    assert (refused.event.outcome, refused.event.action) == (Outcome.REFUSED, "audit")
    assert (looked.event.outcome, looked.event.detail) == (Outcome.PERMITTED, {"asked": "show", "peer": "10.0.0.1"})
    for act in (
        inspection.callers,
        inspection.state,
        inspection.begin_verifying,
    ):
        with pytest.raises(Denied):
            act(device("CT1", Action.FIND))
    with pytest.raises(Denied):
        inspection.give(device("CT1", Action.FIND), "fhir", Selection())


def test_who_is_on_record_is_named_once(log: AuditLog) -> None:
    assert _inspection(log).callers(AUDITOR) == []
    _fill(log, 12)
    assert _inspection(log).callers(AUDITOR) == ["device:CT1", "person:CT1", "person:jane"]


def _verified(inspection: Inspection) -> Verified:
    inspection.begin_verifying(AUDITOR)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        running, last = inspection.state(AUDITOR)
        if running is None and last is not None:
            return last
        time.sleep(0.01)
    raise AssertionError("it does not end")


def test_a_log_that_is_whole_is_said_to_be(log: AuditLog) -> None:
    _fill(log, 25)
    verified = _verified(_inspection(log))
    assert verified.is_whole
    assert verified.by == "device:AUDITOR"


def test_a_record_that_was_changed_is_found_and_told_of_and_the_rest_is_still_shown(
    log: AuditLog, tampering: Tampering
) -> None:
    _fill(log, 25)
    tampering.run("UPDATE record SET body = replace(body, 'a test', 'a lie') WHERE sequence = 7")
    inspection = _inspection(log)
    verified = _verified(inspection)
    assert not verified.is_whole
    assert verified.result is not None
    assert verified.result.fault is not None
    assert verified.result.fault.sequence == 7
    told = [
        each.event for each in log.records() if each.event.outcome is Outcome.ALERT and each.event.action == "audit"
    ]
    assert "Record 7" in told[-1].reason
    tampering.run("UPDATE record SET body = 'nonsense' WHERE sequence = 8")
    leaf = inspection.look(AUDITOR, Selection(), 10, 5)
    assert [each if isinstance(each, int) else each.sequence for each in leaf.records] == [9, 8, 7, 6, 5]
    assert leaf.records[1] == 8


def test_who_looks_into_a_log_that_takes_no_more_records_sees_it(
    opened: Callable[..., AuditLog], tampering: Tampering
) -> None:
    first = opened()
    _fill(first, 25)
    first.close()
    tampering.run("UPDATE head SET size = 20")
    inspection = _inspection(opened())
    leaf = inspection.look(AUDITOR, Selection())
    assert not leaf.is_recorded
    assert len(leaf.records) >= 20
    with pytest.raises(Corrupt):
        inspection.give(AUDITOR, "fhir", Selection())
    assert not _verified(inspection).is_whole


def test_whoever_waits_for_a_verification_is_told_what_came_of_it(log: AuditLog) -> None:
    _fill(log, 5)
    told: SimpleQueue[bool] = SimpleQueue()
    inspection = Inspection(log, door="pages", source="LEADGLASS", ended=told.put)
    inspection.begin_verifying(AUDITOR)
    assert told.get(timeout=60) is True


def test_one_verification_runs_at_a_time(log: AuditLog) -> None:
    _fill(log, 200)
    inspection = _inspection(log)
    inspection.begin_verifying(AUDITOR)
    running, _ = inspection.state(AUDITOR)
    if running is not None:
        with suppress(Busy):  # unless it has ended meanwhile
            inspection.begin_verifying(AUDITOR)
    end = time.monotonic() + 60
    while inspection.state(AUDITOR)[0] is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert inspection.state(AUDITOR)[1] is not None


def test_an_export_that_nobody_reads_to_its_end_lets_go(log: AuditLog) -> None:
    _fill(log, 50)
    inspection = _inspection(log)
    for form in ("leadglass", "dicom-xml", "fhir"):
        blocks = inspection.give(AUDITOR, form, Selection())
        assert next(blocks)
        blocks.close()
    whole = b"".join(inspection.give(AUDITOR, "leadglass", Selection()))
    assert whole.count(b"\n") > 50


def test_a_large_log_is_paged_without_reading_it(
    log: AuditLog, tampering: Tampering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page looks at is counted by the database's own steps, not by a clock."""
    _fill(log, 10)
    count = 200_000
    moment = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    body = (
        "json_object('sequence', n, 'time', '" + moment + ".' || printf('%06d', n % 1000000) || 'Z', 'before', '', "
        "'outcome', iif(n % 1000, 'permitted', 'refused'), 'action', 'get', 'caller', 'device:CT' || (n % 50), "
        "'peer', '10.0.' || (n % 7) || '.' || (n % 200), 'door', 'dimse', 'study_uid', '1.2.' || (n % 9000), "
        "'reason', 'the role radiologist on every study')"
    )
    fill = """
        INSERT INTO record (sequence, leaf, body)
            WITH RECURSIVE c (n) AS (SELECT 11 UNION ALL SELECT n + 1 FROM c WHERE n < :count)
            SELECT n, zeroblob(32), :body FROM c
    """
    tampering.run(fill.replace(":count", str(count)).replace(":body", body))
    for selection in (
        Selection(),
        Selection(caller="CT7"),
        Selection(outcome=Outcome.REFUSED),
        Selection(is_to_look_at=True, caller="CT7"),
        Selection(peer="10.0.1.1"),
        Selection(study_uid="1.2.77"),
        Selection(study_uids=("1.2.77", "1.2.78")),
        Selection(caller="nobody"),
    ):
        for before in (NEWEST, count // 2):
            steps = 0

            def step() -> int:
                nonlocal steps
                steps += 1
                return 0

            def watched(path: Path, key: bytes, step: Callable[[], int] = step) -> "driver.Connection":
                connection = open_sealed(path, key)
                connection.set_progress_handler(step, 100)
                return connection

            monkeypatch.setattr(reading, "open_sealed", watched)
            with log.reader() as reader:
                rows = reader.newest(selection, before, 51)
            assert steps < 2_000, (selection, before, steps)
            assert [row.sequence for row in rows] == sorted((row.sequence for row in rows), reverse=True)
