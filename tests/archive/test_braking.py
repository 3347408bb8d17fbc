"""Brakes behind the archive: one count for a caller over all sessions and doors, told of, kept, and lifted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from leadglass.archive.archive import Archive, Retrieval
from leadglass.archive.backroom import Declared, Selection
from leadglass.archive.brake_desk import BrakeDesk
from leadglass.archive.brake_store import BrakeStore
from leadglass.archive.braking import Braking
from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.config import Config, parse
from leadglass.dicom.matching import Level, Query, Root, Universal
from leadglass.dicom.tags import StudyInstanceUID, key
from leadglass.errors import Denied, Throttled
from leadglass.parts import brake_limits
from leadglass.policy.action import Action
from leadglass.policy.brakes import DEFAULTS, HOUR, MINUTE, Brake, Meter
from leadglass.policy.caller import Caller, CallerKind
from tests.archive.room import MemoryRoom
from tests.callers import device, everything

ALL = Query(Level.STUDY, Root.STUDY, {key(StudyInstanceUID): Universal()})
LIMITS = {
    **DEFAULTS,
    CallerKind.DEVICE: (
        Brake(Meter.QUERIES, MINUTE, 15, 30),
        Brake(Meter.LISTED, HOUR, 10, 20),
        Brake(Meter.STUDIES, HOUR, 4, 8),
        Brake(Meter.OCTETS, HOUR, 300, 600),
    ),
}
STUDIES = [f"1.2.{number}" for number in range(50)]


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as log:
        yield log


@pytest.fixture
def braking(clock: Clock) -> Braking:
    return Braking(LIMITS, clock=clock, wall=clock)


@pytest.fixture
def room() -> MemoryRoom:
    return MemoryRoom(*(f"{uid} {uid}.1 {'x' * 20}" for uid in STUDIES))


@pytest.fixture
def archive(room: MemoryRoom, audit: AuditLog, braking: Braking, clock: Clock) -> Archive:
    return Archive(room, audit, door="test", clock=clock, braking=braking)


def workstation(ae: str = "WS1", *, bulk: bool = False) -> Caller:
    """Make the caller of a new session of a device."""
    caller = device(ae, Action.FIND, Action.GET, Action.MOVE, Action.STORE, Action.ECHO)
    return replace(caller, grants=tuple(replace(grant, bulk=bulk) for grant in caller.grants), session=uuid4().hex)


def dump(archive: Archive, caller: Caller) -> tuple[int, Throttled | None]:
    """Ask for everything; gives how much came before the end, and why it ended."""
    rows = 0
    try:
        for _ in archive.find(caller, ALL):
            rows += 1
    except Throttled as error:
        return rows, error
    return rows, None


def fetch(archive: Archive, caller: Caller, *uids: str) -> Retrieval:
    return archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=uids))


def told(audit: AuditLog, outcome: str = "alert") -> list[Event]:
    return [record.event for record in audit.records() if record.event.outcome == outcome]


def test_a_dump_of_everything_is_cut_where_the_limit_is_and_says_so(archive: Archive) -> None:
    rows, error = dump(archive, workstation())
    assert rows == 20
    assert error is not None
    assert "cut off" in error.message
    assert 0 < error.retry_after <= HOUR * 61 / 60 + 1


def test_what_was_cut_does_not_look_complete_when_asked_for_more(archive: Archive) -> None:
    found = archive.find(workstation(), ALL)
    with suppress(Throttled):
        list(found)
    with pytest.raises(Throttled):
        next(found)


def test_who_connects_anew_goes_on_where_he_was(archive: Archive) -> None:
    dump(archive, workstation())
    # What it was shown before it may see again; nothing else.
    rows, error = dump(archive, workstation())
    assert rows == 20
    assert error is not None


def test_eight_lines_at_one_time_get_no_more_than_one(archive: Archive) -> None:
    seen: set[str] = set()

    def line(_: int) -> None:
        with suppress(Throttled):
            for match in archive.find(workstation(), ALL):
                seen.add(str(match[key(StudyInstanceUID)]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(line, range(8)))
    assert len(seen) == 20


def test_another_door_of_the_same_archive_counts_with_it(
    archive: Archive, room: MemoryRoom, audit: AuditLog, braking: Braking
) -> None:
    other = Archive(room, audit, door="other", braking=braking)
    dump(archive, workstation())
    fetch(archive, workstation(), *STUDIES[:8])
    with pytest.raises(Throttled):
        fetch(other, workstation(), STUDIES[9])


def test_another_device_is_neither_stopped_nor_slowed(archive: Archive) -> None:
    dump(archive, workstation())
    found = archive.find(workstation("WS2"), ALL)
    assert [next(found) for _ in range(10)]
    assert found.take_delay() == 0


def test_a_caller_above_the_first_threshold_is_told_to_wait(archive: Archive) -> None:
    found = archive.find(workstation(), ALL)
    for _ in range(12):
        next(found)
    assert 0 < found.take_delay() <= 2
    assert found.take_delay() == 0


def test_one_alert_says_who_what_limit_and_since_when(archive: Archive, audit: AuditLog) -> None:
    for _ in range(3):
        dump(archive, workstation())
    slow, stop = told(audit)
    assert slow.caller == stop.caller == "device:WS1"
    assert slow.detail["brake"] == "patients and studies listed"
    assert (slow.detail["count"], slow.detail["limit"], slow.detail["seconds"]) == (11, 10, 3600)
    assert (stop.detail["count"], stop.detail["limit"]) == (20, 20)
    assert str(slow.detail["since"]).startswith("1970-01-12T13:")
    assert "Doe" not in slow.reason + str(slow.detail)
    assert [event.reason for event in told(audit, "refused")] == [stop.reason]


def test_a_caller_that_is_stopped_does_not_fill_the_audit_log(archive: Archive, audit: AuditLog, clock: Clock) -> None:
    caller = workstation()
    for _ in range(30):
        archive.find(caller, ALL)
    before = len(list(audit.records()))
    for _ in range(500):
        with pytest.raises(Throttled):
            archive.find(caller, ALL)
    assert len(list(audit.records())) <= before + 2
    clock.now += HOUR
    for _ in range(31):
        with suppress(Throttled):
            archive.find(caller, ALL)
    assert told(audit, "refused")[-1].detail["refused"] == 500


def test_a_retrieval_past_the_limit_of_studies_is_refused_whole(archive: Archive, room: MemoryRoom) -> None:
    fetch(archive, workstation(), *STUDIES[:6])
    with pytest.raises(Throttled):
        fetch(archive, workstation(), *STUDIES[6:9])
    fetch(archive, workstation(), *STUDIES[6:8])
    assert fetch(archive, workstation(), *STUDIES[:8]).records


def test_a_study_that_was_refused_is_not_on_record_as_given(archive: Archive, audit: AuditLog) -> None:
    with pytest.raises(Throttled):
        fetch(archive, workstation(), *STUDIES[:9])
    assert not [record for record in audit.records() if record.event.study_uid]


def test_octets_are_counted_when_an_instance_is_opened_and_once(archive: Archive, clock: Clock) -> None:
    retrieval = fetch(archive, workstation(), *STUDIES[:8])
    size = retrieval.records[0].size
    for _ in range(1_000):
        retrieval.open(retrieval.records[0]).close()
    retrieval.open(retrieval.records[1]).close()
    assert 2 * size < 600 < 1_000 * size


def test_lines_that_together_ask_for_too_many_octets_are_stopped_between_instances(archive: Archive) -> None:
    opened = 0
    for retrieval in [fetch(archive, workstation(), *STUDIES[:8]) for _ in range(8)]:
        for record in retrieval.records:
            with suppress(Throttled):
                retrieval.open(record).close()
                opened += record.size
    assert 500 < opened <= 600


def test_bulk_passes_and_is_not_slowed(archive: Archive, audit: AuditLog) -> None:
    caller = workstation("RESEARCH", bulk=True)
    found = archive.find(caller, ALL)
    assert len(list(found)) == 50
    retrieval = fetch(archive, caller, *STUDIES)
    for record in retrieval.records:
        retrieval.open(record).close()
    assert found.take_delay() == retrieval.take_delay() == 0
    assert told(audit) == []


def test_the_operator_at_the_command_line_is_not_braked(archive: Archive) -> None:
    assert dump(archive, everything()) == (50, None)


def test_storing_and_echo_are_never_braked(archive: Archive) -> None:
    caller = workstation()
    dump(archive, caller)
    with pytest.raises(Throttled):
        fetch(archive, caller, *STUDIES[:9])
    for number in range(100):
        archive.echo(caller)
        receiving = archive.receive(caller, Declared("1.2.840.10008.1.2.1", origin="WS1"))
        receiving.write(f"9.9.{number} 9.9.{number}.1 x".encode())
        receiving.finish()


def test_when_the_time_has_moved_on_more_is_given(archive: Archive, clock: Clock) -> None:
    _, error = dump(archive, workstation())
    assert error is not None
    clock.now += error.retry_after
    assert dump(archive, workstation())[0] >= 20


def test_callers_beyond_the_bound_are_counted_as_one(room: MemoryRoom, audit: AuditLog, clock: Clock) -> None:
    archive = Archive(room, audit, door="test", braking=Braking(LIMITS, max_callers=2, clock=clock, wall=clock))
    assert [dump(archive, workstation(name))[0] for name in ("A", "B", "C", "D")] == [20, 20, 20, 20]
    # C and D share a count: D saw only what C had seen.
    assert set(Braking.show(archive_braking(archive))) == {"device:A", "device:B", "device:*"}


def archive_braking(archive: Archive) -> Braking:
    return archive._pedal._braking  # pyright: ignore[reportPrivateUsage]


def test_when_the_memory_for_marks_ends_callers_are_stopped_sooner(
    room: MemoryRoom, audit: AuditLog, clock: Clock
) -> None:
    archive = Archive(room, audit, door="test", braking=Braking(LIMITS, max_marks=5, clock=clock, wall=clock))
    assert dump(archive, workstation())[0] == 20
    assert dump(archive, workstation())[0] == 5


# --- over a restart ---------------------------------------------------------------


def test_a_restart_does_not_reset_the_count_and_the_time_between_counts(
    room: MemoryRoom, audit: AuditLog, tmp_path: Path, clock: Clock
) -> None:
    with BrakeStore(tmp_path / "brakes.db", b"b" * 32) as store:
        before = Braking(LIMITS, store=store, clock=clock, wall=clock)
        assert dump(Archive(room, audit, door="test", braking=before), workstation())[0] == 20
        before.sync()
    clock.now += 60

    def since_boot() -> float:
        return clock.now - 1_000_000

    with BrakeStore(tmp_path / "brakes.db", b"b" * 32) as store:
        after = Braking(LIMITS, store=store, clock=since_boot, wall=clock)
        archive = Archive(room, audit, door="test", braking=after)
        room.instances.reverse()
        rows, error = dump(archive, workstation())
        assert (rows, error is not None) == (0, True)
        clock.now += 2 * HOUR
        assert dump(archive, workstation())[0] == 20


def test_nothing_in_the_store_names_a_study(room: MemoryRoom, audit: AuditLog, tmp_path: Path, clock: Clock) -> None:
    with BrakeStore(tmp_path / "brakes.db", b"b" * 32) as store:
        braking = Braking(LIMITS, store=store, clock=clock, wall=clock)
        dump(Archive(room, audit, door="test", braking=braking), workstation())
        braking.sync()
        assert "1.2." not in repr(store.load())


def test_a_store_that_does_not_open_is_begun_anew_and_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "brakes.db"
    BrakeStore(path, b"b" * 32).close()
    with BrakeStore(path, b"c" * 32) as store:
        assert store.is_anew
        assert store.load() == []
    with BrakeStore(path, b"c" * 32) as store:
        assert not store.is_anew


def test_a_callers_saved_count_goes_when_nothing_counts_any_more(
    room: MemoryRoom, audit: AuditLog, tmp_path: Path, clock: Clock
) -> None:
    with BrakeStore(tmp_path / "brakes.db", b"b" * 32) as store:
        braking = Braking(LIMITS, store=store, clock=clock, wall=clock)
        archive = Archive(room, audit, door="test", braking=braking)
        next(archive.find(workstation(), ALL))
        braking.sync()
        assert [saved.caller for saved in store.load()] == ["device:WS1"]
        clock.now += 2 * HOUR
        braking.sync()
        assert store.load() == []


# --- the desk -----------------------------------------------------------------------


def test_an_operator_sees_the_brakes_and_lifts_one_on_record(
    room: MemoryRoom, audit: AuditLog, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "brakes.db"
    with BrakeStore(path, b"b" * 32) as served, BrakeStore(path, b"b" * 32) as looked_at:
        braking = Braking(LIMITS, store=served, clock=clock)
        archive = Archive(room, audit, door="test", braking=braking)
        dump(archive, workstation())
        dump(archive, workstation("WS2"))
        braking.sync()
        desk = BrakeDesk(looked_at, LIMITS, audit)
        shown = {reading.brake.meter: reading.used for reading in desk.show(everything())["device:WS1"]}
        assert shown[Meter.LISTED] == 20
        desk.release(everything(), "device:WS1")
        assert braking.sync() == ["device:WS1"]
        room.instances.reverse()
        assert dump(archive, workstation())[0] == 20
        assert dump(archive, workstation("WS2"))[0] == 0
        assert [record.event.detail.get("about") for record in audit.records()].count("device:WS1") == 1


def test_who_does_not_manage_cannot_lift_a_brake(audit: AuditLog, tmp_path: Path) -> None:
    with BrakeStore(tmp_path / "brakes.db", b"b" * 32) as store:
        desk = BrakeDesk(store, LIMITS, audit)
        with pytest.raises(Denied):
            desk.release(workstation(), "device:WS1")
        assert store.take_releases() == []
    assert len(told(audit, "refused")) == 1


def test_the_limits_of_devices_people_and_tokens_are_those_of_the_configuration() -> None:
    assert brake_limits(Config()) == dict(DEFAULTS)
    said = """
        [brakes]
        listed_per_hour = 44
        slow_from_percent = 25
        [brakes.people]
        studies_per_hour = 80
        [brakes.tokens]
        queries_per_minute = 40
    """
    changed = brake_limits(parse(said))
    assert Brake(Meter.LISTED, HOUR, 11, 44) in changed[CallerKind.DEVICE]
    assert Brake(Meter.STUDIES, HOUR, 20, 80) in changed[CallerKind.PERSON]
    assert Brake(Meter.QUERIES, MINUTE, 10, 40) in changed[CallerKind.TOKEN]
    assert changed[CallerKind.COMMAND_LINE] == ()


def test_what_is_over_makes_room_for_marks_though_it_was_only_looked_at(clock: Clock) -> None:
    braking = Braking(LIMITS, max_marks=2, clock=clock, wall=clock)
    caller = workstation()
    braking.retrieval(caller, Action.GET, STUDIES[:2], 0)
    clock.now += 2 * HOUR
    assert not braking.has_room(caller, Action.GET, STUDIES[0], 0)
    braking.retrieval(caller, Action.GET, STUDIES[2:4], 0)
    assert [braking.has_room(caller, Action.GET, uid, 0) for uid in STUDIES[1:5]] == [False, True, True, False]
