import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.audit import verification
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import CHECKPOINT_EVERY, MAX_BATCH, AuditLog
from leadglass.audit.merkle import Frontier, leaf_hash
from leadglass.audit.record import MAX_TEXT
from leadglass.audit.verification import LONGEST_UNSIGNED
from leadglass.crypto.database import open_sealed
from leadglass.errors import Busy, Corrupt, LeadglassError, Misconfigured
from tests.audit.conftest import KEY, SEED, Tampering

EVENT = Event(outcome=Outcome.PERMITTED, action="store", caller="device:CT1", peer="10.1.2.3", door="dimse")
Opening = Callable[..., AuditLog]


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(replace(EVENT, detail={"instances": number}))


# --- writing ------------------------------------------------------------------


def test_what_is_appended_is_read_back_as_it_was(log: AuditLog) -> None:
    event = Event(
        outcome=Outcome.FAILED,
        action="move",
        caller="device:WS2",
        peer="fe80::1",
        door="dimse",
        reason="The destination “ÄÖ” is away.",
        study_uid="1.2.3",
        session="abc",
        detail={"instances": 3, "to": "CT9"},
    )
    assert log.append(event) == 1
    (record,) = log.records()
    assert record.event == event
    assert record.sequence == 1
    assert record.time.tzinfo is UTC


def test_records_are_numbered_from_one_without_a_gap_over_restarts(opened: Opening) -> None:
    first = opened()
    fill(first, 3)
    first.close()
    second = opened()
    assert second.append(EVENT) == 4
    assert [record.sequence for record in second.records()] == [1, 2, 3, 4]


def test_another_process_sees_a_record_as_soon_as_append_returns(log: AuditLog, path: Path) -> None:
    log.append(EVENT)
    code = (
        "import sys; from pathlib import Path; from leadglass.audit.log import AuditLog; "
        "print(len(AuditLog(Path(sys.argv[1]), bytes(32), bytes(range(32))).records()))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_killed_process_loses_nothing_that_append_returned_for(path: Path, opened: Opening) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from leadglass.audit.log import AuditLog; from leadglass.audit.event import Event, Outcome\n"
        "log = AuditLog(Path(sys.argv[1]), bytes(32), bytes(range(32)))\n"
        "for _ in range(25): number = log.append(Event(Outcome.DONE, 'store'))\n"
        "os.write(1, str(number).encode()); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    log = opened()
    assert len(log.records()) == int(done.stdout) == 25
    assert log.verify().ok


def test_many_threads_get_a_number_each_and_the_chain_holds(log: AuditLog) -> None:
    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(log.append, [replace(EVENT, detail={"n": n}) for n in range(400)]))
    assert sorted(numbers) == list(range(1, 401))
    said = {record.sequence: record.event.detail["n"] for record in log.records()}
    assert [said[number] for number in numbers] == list(range(400))
    assert log.verify().ok


def test_threads_that_wait_share_a_commit(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = AuditLog._commit  # pyright: ignore[reportPrivateUsage] - batches cannot be seen from outside

    def counting(self: AuditLog, batch: list[object]) -> None:
        sizes.append(len(batch))
        commit(self, batch)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(AuditLog, "_commit", counting)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(log.append, [EVENT] * 400))
    assert sum(sizes) == 400
    assert max(sizes) > 1
    assert max(sizes) <= MAX_BATCH


def test_several_processes_append_to_one_chain(log: AuditLog, path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from leadglass.audit.log import AuditLog; from leadglass.audit.event import Event, Outcome\n"
        "with AuditLog(Path(sys.argv[1]), bytes(32), bytes(range(32)), checkpoint_every=10) as log:\n"
        "    for _ in range(60): log.append(Event(Outcome.DONE, 'find'))"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    fill(log, 60)
    assert [other.wait() for other in others] == [0, 0, 0]
    assert len(log.records()) == 240
    verification = log.verify()
    assert verification.ok, verification.fault
    assert verification.checkpoints >= 20


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END",
        "CREATE TRIGGER t BEFORE UPDATE ON head BEGIN SELECT raise(ABORT, 'no'); END",
        "DROP TABLE record",
        "DELETE FROM head",
    ],
)
def test_a_log_that_cannot_be_written_raises_and_keeps_nothing(
    log: AuditLog, tampering: Tampering, statement: str
) -> None:
    tampering.run(statement)
    for _ in range(2):
        with pytest.raises(LeadglassError):
            log.append(EVENT)
    tampering.run("DROP TRIGGER IF EXISTS t")
    if "TRIGGER" in statement:
        assert log.append(EVENT) == 1


def test_a_failed_commit_is_a_failure_for_everybody_who_waited_for_it(log: AuditLog, tampering: Tampering) -> None:
    tampering.run("CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END")

    def refused(_: int) -> bool:
        try:
            log.append(EVENT)
        except Corrupt:
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refused, range(80)))
    assert log.records() == []


def test_a_full_disk_raises(path: Path, opened: Opening) -> None:
    log = opened()
    log.append(EVENT)
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]  # pyright: ignore[reportPrivateUsage]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(LeadglassError, match="full"):
        fill(log, 500)
    log._connection.execute("PRAGMA max_page_count = 1000000")  # pyright: ignore[reportPrivateUsage]
    assert log.append(EVENT) == len(log.records())
    assert log.verify().ok


def test_a_closed_log_takes_nothing_more_and_closes_twice(log: AuditLog) -> None:
    log.append(EVENT)
    log.close()
    log.close()
    with pytest.raises(Busy, match="closed"):
        log.append(EVENT)


def test_another_key_does_not_open_the_log(log: AuditLog, path: Path) -> None:
    log.append(EVENT)
    with pytest.raises(Misconfigured):
        AuditLog(path, bytes([1]) * 32, SEED)


def test_nothing_readable_is_on_disk(log: AuditLog, path: Path) -> None:
    log.append(replace(EVENT, reason="a most remarkable reason", study_uid="1.2.826.777"))
    written = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert len(written) > 4096
    assert b"remarkable" not in written
    assert b"1.2.826.777" not in written
    for each in path.parent.iterdir():
        assert each.stat().st_mode & 0o077 == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(text=st.text(st.characters(exclude_categories=[])))
def test_any_text_goes_in_comes_out_bounded_and_cannot_drive_a_terminal(log: AuditLog, text: str) -> None:
    log.append(replace(EVENT, reason=text * 40, action=text or "x", detail={text: text}))
    (record,) = log.records(limit=1)
    assert len(record.event.reason) <= 6 * MAX_TEXT
    assert record.to_line().isprintable()
    assert log.verify().ok


def test_the_first_record_of_a_process_is_signed_for_at_once(opened: Opening) -> None:
    for count in (1, 2, 3):
        log = opened()
        log.append(EVENT)
        assert log.verify().signed == count  # not closed yet


def test_a_record_is_signed_for_when_the_last_head_is_old(path: Path) -> None:
    with AuditLog(path, KEY, SEED, checkpoint_seconds=0.0) as log:
        for count in (1, 2, 3):
            log.append(EVENT)
            assert log.verify().signed == count
    with AuditLog(path, KEY, SEED) as log:
        fill(log, 3)
        assert log.verify().signed == 4


def test_a_record_is_given_to_machines_without_its_empty_fields(log: AuditLog) -> None:
    log.append(replace(EVENT, reason="\x1b[2Jno"))
    (record,) = log.records()
    said = json.loads(json.dumps(record.to_json()))
    assert said.pop("time").endswith("Z")
    assert said == {
        "sequence": 1,
        "outcome": "permitted",
        "action": "store",
        "caller": "device:CT1",
        "peer": "10.1.2.3",
        "door": "dimse",
        "reason": "\x1b[2Jno",
    }
    assert "\\x1b[2Jno" in record.to_line()


# --- reading ------------------------------------------------------------------


def test_records_are_chosen_by_every_condition_and_come_newest_last(log: AuditLog) -> None:
    log.append(replace(EVENT, study_uid="1.2"))
    log.append(replace(EVENT, action="find", outcome=Outcome.REFUSED))
    log.append(replace(EVENT, caller="cli:CT1", study_uid="1.3"))
    log.append(replace(EVENT, caller="", peer="10.9.9.9"))

    def numbers(**conditions: object) -> list[int]:
        return [record.sequence for record in log.records(**conditions)]  # pyright: ignore[reportArgumentType]

    assert numbers() == [1, 2, 3, 4]
    assert numbers(limit=2) == [3, 4]
    assert numbers(study_uid="1.2") == [1]
    assert numbers(action="find") == [2]
    assert numbers(outcome=Outcome.REFUSED) == [2]
    assert numbers(caller="device:CT1") == [1, 2]
    assert numbers(caller="CT1") == [1, 2, 3]
    assert numbers(caller="CT1", action="store", limit=1) == [3]
    assert numbers(study_uid="1.2", action="find") == []
    assert numbers(study_uid="' OR 1=1 --") == []


def test_records_are_chosen_by_time_from_since_to_before_until(path: Path) -> None:
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    waiting = list(times)
    with AuditLog(path, KEY, SEED, clock=lambda: waiting.pop(0)) as log:
        fill(log, 3)
        assert [r.time for r in log.records(since=times[1])] == times[1:]
        assert [r.time for r in log.records(until=times[1])] == times[:1]
        assert [r.time for r in log.records(since=times[1], until=times[2])] == times[1:2]
        assert log.records(since=times[2] + timedelta(microseconds=1)) == []


# --- verifying ----------------------------------------------------------------


def test_a_log_that_nobody_touched_verifies(log: AuditLog) -> None:
    assert log.verify().ok
    fill(log, 25)
    verification = log.verify()
    assert verification.ok
    assert verification.records == 25
    assert verification.checkpoints == 3
    assert verification.warnings == ()


@pytest.mark.parametrize(
    ("statements", "wrong", "what"),
    [
        (["UPDATE record SET body = replace(body, 'CT1', 'CT2') WHERE sequence = 7"], 7, "was changed"),
        (["UPDATE record SET body = body || ' ' WHERE sequence = 25"], 25, "was changed"),
        (["UPDATE record SET leaf = zeroblob(32) WHERE sequence = 1"], 1, "was changed"),
        (["UPDATE record SET body = '' WHERE sequence = 12"], 12, "was changed"),
        (["DELETE FROM record WHERE sequence = 13"], 13, "is missing"),
        (["DELETE FROM record WHERE sequence = 1"], 1, "is missing"),
        (["DELETE FROM record WHERE sequence > 20"], 21, "cut off"),
        (["DELETE FROM record WHERE sequence = 25"], 25, "cut off"),
        (["DELETE FROM record"], 1, "cut off"),
        (
            [
                "UPDATE record SET sequence = -1 WHERE sequence = 8",
                "UPDATE record SET sequence = 8 WHERE sequence = 9",
                "UPDATE record SET sequence = 9 WHERE sequence = -1",
            ],
            8,
            "written as record 9",
        ),
        (
            ["DELETE FROM record WHERE sequence = 4", "UPDATE record SET sequence = sequence - 1 WHERE sequence > 4"],
            4,
            "written as record 5",
        ),
        (["INSERT INTO record (sequence, leaf, body) SELECT 26, leaf, body FROM record WHERE sequence = 25"], 26, ""),
        (
            ["INSERT INTO record (sequence, leaf, body) SELECT 0, leaf, body FROM record WHERE sequence = 1"],
            0,
            "put in",
        ),
        (["UPDATE checkpoint SET note = replace(note, 'leadglass', 'leadglasz') WHERE size = 11"], 11, "did not sign"),
        (["UPDATE checkpoint SET size = 12 WHERE size = 11"], 12, "signed at record 11"),
        (["UPDATE head SET size = 24"], 25, ""),
        (["DELETE FROM head"], 25, "taken out"),
    ],
)
def test_tampering_is_found_and_the_first_wrong_record_named(
    opened: Opening, tampering: Tampering, statements: list[str], wrong: int, what: str
) -> None:
    log = opened()
    fill(log, 25)  # signed at 1, 11, 21
    log.close()
    tampering.run(*statements)
    fault = opened().verify().fault
    assert fault is not None
    assert (fault.sequence, what in fault.what) == (wrong, True), fault


class Forger:
    """Somebody with the database key and the code, and without the signing key: makes everything fit that can."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewrite(self, change: Callable[[int, str], str], *, up_to: int | None = None, drop_heads_after: int) -> None:
        connection = open_sealed(self.path, KEY)
        rows = connection.execute("SELECT sequence, body FROM record ORDER BY sequence").fetchall()
        frontier = Frontier()
        for sequence, body in rows[:up_to]:
            fields = json.loads(change(sequence, body)) | {"before": b64encode(frontier.root()).decode()}
            body = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            frontier = frontier.append(leaf_hash(body.encode()))
            connection.execute(
                "UPDATE record SET body = ?, leaf = ? WHERE sequence = ?", (body, leaf_hash(body.encode()), sequence)
            )
        connection.execute("DELETE FROM record WHERE sequence > ?", (frontier.size,))
        connection.execute("UPDATE head SET size = ?, peaks = ?", (frontier.size, frontier.to_bytes()))
        connection.execute("DELETE FROM checkpoint WHERE size > ?", (drop_heads_after,))
        connection.close()


def changing(number: int) -> Callable[[int, str], str]:
    return lambda sequence, body: body.replace("CT1", "CT2") if sequence == number else body


@pytest.mark.parametrize(("number", "field"), [(7, "CT1"), (12, "before"), (25, "CT1")])
def test_a_record_that_was_changed_with_its_hash_contradicts_its_neighbours(
    opened: Opening, path: Path, number: int, field: str
) -> None:
    log = opened()
    fill(log, 25)  # signed at 1, 11, 21, and at 25 when it was closed
    log.close()
    connection = open_sealed(path, KEY)
    body = str(connection.execute("SELECT body FROM record WHERE sequence = ?", (number,)).fetchone()[0])
    forged = body.replace("CT1", "CT2")
    if field == "before":
        forged = json.dumps(json.loads(body) | {"before": b64encode(bytes(32)).decode()}, sort_keys=True)
    connection.execute(
        "UPDATE record SET body = ?, leaf = ? WHERE sequence = ?", (forged, leaf_hash(forged.encode()), number)
    )
    connection.close()
    fault = opened().verify().fault
    assert fault is not None
    if number == 25:  # nothing follows it but the signed head
        assert (fault.sequence, "signed at record 25" in fault.what) == (22, True)
    else:
        assert (fault.sequence, "its hash with it" in fault.what) == (number, True)


def test_a_forged_chain_contradicts_the_next_signed_head(opened: Opening, path: Path) -> None:
    log = opened()
    fill(log, 25)
    log.close()
    Forger(path).rewrite(changing(15), drop_heads_after=99)
    fault = opened().verify().fault
    assert fault is not None
    assert fault.sequence == 12  # the first one after the last signed head that holds
    assert "signed at record 21" in fault.what


def test_a_forged_chain_without_its_signed_heads_contradicts_the_copy_beside_the_log(
    opened: Opening, path: Path
) -> None:
    log = opened()
    fill(log, 25)
    log.close()
    Forger(path).rewrite(changing(15), drop_heads_after=11)
    fault = opened().verify().fault
    assert fault is not None
    assert fault.sequence == 12


def test_a_forged_chain_contradicts_a_signed_head_that_was_kept_elsewhere(opened: Opening, path: Path) -> None:
    log = opened()
    fill(log, 25)
    kept = log.checkpoint()
    log.close()
    log.checkpoint_path.unlink()
    Forger(path).rewrite(changing(15), drop_heads_after=11)
    again = opened()
    alone = again.verify()
    assert alone.ok
    assert "missing" in alone.warnings[0]
    fault = again.verify(kept).fault
    assert fault is not None
    assert fault.sequence == 12


def test_cutting_the_log_back_to_a_signed_head_contradicts_the_copy_beside_it(opened: Opening, path: Path) -> None:
    log = opened()
    fill(log, 25)
    log.close()
    Forger(path).rewrite(lambda _, body: body, up_to=11, drop_heads_after=11)
    again = opened()
    fault = again.verify().fault
    assert fault is not None
    assert (fault.sequence, "cut off" in fault.what) == (12, True)
    with pytest.raises(Corrupt, match="audit verify"):
        again.append(EVENT)


def test_taking_out_signed_heads_shows_by_the_gap(path: Path) -> None:
    with AuditLog(path, KEY, SEED) as log, ThreadPoolExecutor(4) as pool:
        list(pool.map(log.append, [EVENT] * (LONGEST_UNSIGNED + CHECKPOINT_EVERY)))
        assert log.verify().ok
    Tampering(path).run("DELETE FROM checkpoint")
    log.checkpoint_path.unlink()
    with AuditLog(path, KEY, SEED) as log:
        fault = log.verify().fault
        assert fault is not None
        assert (fault.sequence, "heads were taken out" in fault.what) == (1, True)
        with pytest.raises(Corrupt):
            log.append(EVENT)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET body = replace(body, 'CT1', 'CT2') WHERE sequence = 24",
        "DELETE FROM record WHERE sequence = 24",
        "DELETE FROM record WHERE sequence = 25",
        "DELETE FROM record",
        "UPDATE head SET size = 20",
        "UPDATE checkpoint SET note = replace(note, '2', '3')",
        "UPDATE head SET peaks = zeroblob(length(peaks))",
    ],
)
def test_nothing_is_written_on_top_of_an_end_that_was_touched(path: Path, opened: Opening, statement: str) -> None:
    killed = AuditLog(path, KEY, SEED, checkpoint_every=10)
    fill(killed, 25)  # signed at 1, 11, 21; not closed, so 25 is not signed
    Tampering(path).run(statement)
    log = opened()
    with pytest.raises(Corrupt, match="audit verify"):
        log.append(EVENT)
    assert not log.verify().ok
    killed._connection.close()  # pyright: ignore[reportPrivateUsage] - as a kill would


def test_a_log_signed_with_another_key_is_not_continued(opened: Opening) -> None:
    log = opened()
    log.append(EVENT)
    log.close()
    other = opened(seed=bytes(32))
    with pytest.raises(Corrupt):
        other.append(EVENT)
    assert not other.verify().ok


def test_a_head_of_another_log_is_not_taken_for_one_of_this(log: AuditLog, tmp_path: Path) -> None:
    log.append(EVENT)
    with AuditLog(tmp_path / "other.db", KEY, bytes(32)) as other:
        other.append(EVENT)
        with pytest.raises(Corrupt):
            log.verify(other.checkpoint())


def test_verifying_while_others_append_sees_one_moment(log: AuditLog) -> None:
    with ThreadPoolExecutor(4) as pool:
        appending = [pool.submit(log.append, EVENT) for _ in range(300)]
        for _ in range(10):
            verification = log.verify()
            assert verification.ok, verification.fault
        assert max(each.result() for each in appending) == 300


def test_the_signed_head_is_kept_beside_the_log_and_grows(opened: Opening, path: Path) -> None:
    log = opened()
    fill(log, 12)
    log.close()
    assert log.verifier.open(log.checkpoint_path.read_text()).size == 12
    again = opened()
    fill(again, 15)
    again.close()
    assert again.verifier.open(again.checkpoint_path.read_text()).size == 27
    assert {each.name for each in path.parent.iterdir()} <= {
        "audit.db",
        "audit.db-wal",
        "audit.db-shm",
        "audit.checkpoint",
    }


def test_the_end_of_a_long_log_is_looked_up_and_not_walked_to(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.db", KEY, SEED) as log:
        log.append(Event(Outcome.PERMITTED, "store"))
    connection = open_sealed(tmp_path / "audit.db", KEY)
    try:
        (plan,) = connection.execute("EXPLAIN QUERY PLAN " + verification._ROWS, (1,)).fetchall()  # pyright: ignore[reportPrivateUsage]
    finally:
        connection.close()
    assert plan[3].startswith("SEARCH record USING INTEGER PRIMARY KEY")
