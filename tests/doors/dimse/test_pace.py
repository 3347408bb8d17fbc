"""What a query may cost others: slices, turns, patience, and an end when nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from leadglass.archive.archive import Archive
from leadglass.audit.log import AuditLog
from leadglass.dicom.codec_io import encode_identifier
from leadglass.dicom.matching import NO_MATCH, Query, Root
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import PatientName, QueryRetrieveLevel, StudyInstanceUID, key
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from leadglass.doors.dimse.find import Answers, Pace, Question, find
from leadglass.doors.dimse.negotiation import Extras
from leadglass.doors.dimse.status import Service, Status, status_of
from leadglass.doors.threads import Pool, Threads
from leadglass.errors import Busy
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from tests.archive.room import MemoryRoom
from tests.callers import device

CALLER = device("WS1", Action.FIND)
MATCH: Attributes = {key(StudyInstanceUID): JsonElement(vr="UI", Value=["1.2"])}
QUESTION = Question(
    encode_identifier(
        {
            key(QueryRetrieveLevel): JsonElement(vr="CS", Value=["STUDY"]),
            key(PatientName): JsonElement(vr="PN", Value=[{"Alphabetic": "*nobody*"}]),
        },
        EXPLICIT_VR_LITTLE_ENDIAN,
    ),
    EXPLICIT_VR_LITTLE_ENDIAN,
    Root.STUDY,
    Extras(),
)


@dataclass
class Clock:
    """Goes on by one second for each row."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class EndlessRoom(MemoryRoom):
    """Has rows without end, of which each so many-th matches; 0 is none."""

    def __init__(self, clock: Clock, matches: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.every = matches
        self.rows = 0
        self.begun = Event()

    def find(self, permit: Permit, query: Query) -> Iterator[Attributes]:
        while True:
            self.rows += 1
            self.clock.now += 1
            self.begun.set()
            yield MATCH if self.every and self.rows % self.every == 0 else NO_MATCH


@dataclass
class Bench:
    clock: Clock
    audit: AuditLog
    threads: Threads
    pool: Pool
    cancelled: Event = field(default_factory=Event)

    def answers(self, room: MemoryRoom, pace: Pace) -> Answers:
        return Answers(Archive(room, self.audit, door="test"), CALLER, QUESTION, pace, self.cancelled.is_set)

    def find(self, room: MemoryRoom, turns: asyncio.Semaphore, pace: Pace) -> AsyncIterator[tuple[Status, list[bytes]]]:
        """Ask."""
        return find(
            Archive(room, self.audit, door="test"),
            CALLER,
            QUESTION,
            threads=self.threads,
            turns=turns,
            pace=pace,
            ae_title="LEADGLASS",
            cancelled=self.cancelled.is_set,
        )

    async def statuses(self, room: MemoryRoom, turns: asyncio.Semaphore, pace: Pace) -> list[Status]:
        """Ask, and give the statuses of the responses."""
        return [status async for status, _ in self.find(room, turns, pace)]


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as audit, Pool(2, "test") as pool:
        yield Bench(Clock(), audit, Threads(pool), pool)


def test_a_slice_ends_between_two_rows_although_nothing_matched(bench: Bench) -> None:
    room = EndlessRoom(bench.clock)
    answers = bench.answers(room, Pace(slice=10, patience=1_000, clock=bench.clock))
    page = answers.page("LEADGLASS")
    assert (page.answers, page.is_last, room.rows) == ([], False, 10)
    answers.page("LEADGLASS")
    assert room.rows == 20


def test_answers_leave_a_few_at_a_time_and_none_after_a_cancel(bench: Bench) -> None:
    room = EndlessRoom(bench.clock, matches=1)

    async def asked() -> list[int]:
        groups: list[int] = []
        async for status, matches in bench.find(room, asyncio.Semaphore(1), Pace(page=40, clock=Clock())):
            if status is Status.PENDING:
                groups.append(len(matches))
            if len(groups) == 5:
                bench.cancelled.set()
        return groups

    assert asyncio.run(asked()) == [16, 16, 8, 16, 16]


def test_a_query_that_works_too_long_without_a_match_is_out_of_resources(bench: Bench) -> None:
    room = EndlessRoom(bench.clock)
    answers = bench.answers(room, Pace(slice=10, patience=35, clock=bench.clock))
    for _ in range(3):
        answers.page("LEADGLASS")
        bench.clock.now += 500  # waiting for its turn is not its work
    with pytest.raises(Busy) as refused:
        answers.page("LEADGLASS")
    assert room.rows == 36
    assert status_of(Service.FIND, refused.value) is Status.OUT_OF_RESOURCES


def test_a_match_now_and_then_keeps_a_query_alive(bench: Bench) -> None:
    room = EndlessRoom(bench.clock, matches=30)
    answers = bench.answers(room, Pace(slice=10, patience=35, clock=bench.clock))
    found = sum(len(answers.page("LEADGLASS").answers) for _ in range(60))
    assert (found, room.rows) == (20, 600)


def test_a_page_is_full_before_its_slice_is_over(bench: Bench) -> None:
    answers = bench.answers(EndlessRoom(bench.clock, matches=1), Pace(page=3, slice=10, clock=bench.clock))
    assert len(answers.page("LEADGLASS").answers) == 3


def test_a_row_after_nobody_waits_is_the_last(bench: Bench) -> None:
    room = EndlessRoom(bench.clock)
    bench.cancelled.set()
    page = bench.answers(room, Pace(slice=10, clock=bench.clock)).page("LEADGLASS")
    assert (page.is_last, room.rows) == (False, 1)


def test_a_cancel_ends_a_query_in_the_middle_of_its_work(bench: Bench) -> None:
    room = EndlessRoom(bench.clock)

    async def go() -> list[Status]:
        # Neither slice nor patience ends it: the clock that they look at stands still.
        pace = Pace(clock=lambda: 0.0)
        asked = asyncio.ensure_future(bench.statuses(room, asyncio.Semaphore(1), pace))
        await asyncio.to_thread(room.begun.wait, 20)
        assert not asked.done()
        bench.cancelled.set()
        return await asyncio.wait_for(asked, 20)

    assert asyncio.run(go()) == [Status.CANCEL]


def test_queries_that_wait_for_their_turn_need_no_thread(bench: Bench) -> None:
    """Ten endless queries share one of two threads by turns; the other is free for what comes."""
    rooms = [EndlessRoom(Clock()) for _ in range(10)]

    async def go() -> list[list[Status]]:
        turns = asyncio.Semaphore(1)
        asked = [
            asyncio.ensure_future(bench.statuses(room, turns, Pace(slice=5, patience=1e9, clock=room.clock)))
            for room in rooms
        ]
        for room in rooms:
            assert await asyncio.to_thread(room.begun.wait, 20), "a query never got its turn"
        for _ in range(20):
            assert await asyncio.wait_for(bench.threads.run(lambda: "stored"), 20) == "stored"
        bench.cancelled.set()
        return await asyncio.wait_for(asyncio.gather(*asked), 20)

    assert asyncio.run(go()) == [[Status.CANCEL]] * 10
