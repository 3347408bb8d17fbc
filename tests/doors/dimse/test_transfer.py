"""Transfers over a link that does what the test says: what breaks, what is counted, what is let go of."""

import asyncio
import gc
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import ref

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import InstanceRecord, Reader, Selection
from leadglass.audit.log import AuditLog
from leadglass.dicom.matching import Level
from leadglass.dicom.source import Bytes, ReadAt
from leadglass.dicom.tags import FailedSOPInstanceUIDList, key
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE
from leadglass.doors.dimse.parcel import Accepted, choose
from leadglass.doors.dimse.status import Status
from leadglass.doors.dimse.transfer import Progress, Transfer
from leadglass.doors.threads import Threads
from leadglass.errors import Busy, Corrupt, Unsupported
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.wire.errors import AssociationAborted
from leadglass.wire.messages import Command, CStoreRq
from tests.archive.room import MemoryReader, MemoryRoom
from tests.callers import device
from tests.peers.running import wait_until

BLOCK = 16
STORED = EXPLICIT_VR_LITTLE_ENDIAN


class Decoder:
    """Says it can make Implicit VR of everything."""

    def can(self, from_ts: str, to_ts: str) -> bool:
        return to_ts == IMPLICIT_VR_LITTLE_ENDIAN

    @contextmanager
    def opened(self, source: ReadAt, from_ts: str, to_ts: str) -> Generator[ReadAt]:
        yield Bytes(b"made implicit: " + source.read_at(0, source.size))


class BadReader(MemoryReader):
    """Fails its authentication after the first block."""

    def read_at(self, offset: int, length: int) -> bytes:
        if offset:
            raise Corrupt("A chunk fails its authentication.")
        return super().read_at(offset, length)


class Large(bytearray):
    """Something that would better not stay in memory."""


class FailingReader(MemoryReader):
    """Made something large, and fails at an offset."""

    def __init__(self, data: bytes, fails_at: int, made: list[ref[Large]]) -> None:
        super().__init__(data)
        self._fails_at = fails_at
        self._made = made

    def read_at(self, offset: int, length: int) -> bytes:
        large = Large(length)
        self._made.append(ref(large))
        if offset == self._fails_at:
            raise Corrupt("A chunk fails its authentication.")
        return super().read_at(offset, length)


class WatchedRoom(MemoryRoom):
    """Remembers which readers it gave."""

    def __init__(self, *instances: str) -> None:
        super().__init__(*instances)
        self.readers: list[MemoryReader] = []
        self.bad: set[str] = set()
        self.fails_at = -1
        self.made: list[ref[Large]] = []

    def open(self, permit: Permit, record: InstanceRecord) -> Reader:
        data = self.instances[record.row][1]
        reader = BadReader(data) if record.sop_instance_uid in self.bad else MemoryReader(data)
        if self.fails_at >= 0:
            reader = FailingReader(data, self.fails_at, self.made)
        self.readers.append(reader)
        return reader


@dataclass
class FakeLink:
    """An association whose receiver answers as told."""

    contexts: list[Accepted] = field(default_factory=lambda: [Accepted(1, STORED)])
    answers: Callable[[int], int] = lambda _: 0
    breaks_at: int = 0
    received: list[bytes] = field(default_factory=list[bytes])
    requests: list[CStoreRq] = field(default_factory=list[CStoreRq])
    ended: str | None = None

    def accepted(self, sop_class_uid: str) -> Sequence[Accepted]:
        return self.contexts

    def next_message_id(self) -> int:
        return len(self.requests) + 1

    async def store(self, context_id: int, request: CStoreRq, data: bytes | AsyncIterator[bytes]) -> Command:
        self.requests.append(request)
        if len(self.requests) == self.breaks_at:
            self.ended = "the connection was lost"
            raise AssociationAborted("The association is over: the connection was lost.")
        gathered = b""
        if isinstance(data, bytes):
            gathered = data
        else:
            try:
                async for block in data:
                    gathered += block
            except BaseException:
                self.ended = "a data set could not be sent to its end"
                raise
        self.received.append(gathered)
        return request.response(self.answers(len(self.requests)))


@dataclass
class Bench:
    """An archive of four instances and a transfer of them."""

    room: WatchedRoom
    archive: Archive
    audit: AuditLog
    threads: Threads
    cancel_after: int = 99

    def run(self, link: FakeLink) -> tuple[Progress, deque[InstanceRecord], BaseException | None]:
        caller = device("WS1", Action.GET)
        retrieval = self.archive.retrieve(caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2",)))
        progress = Progress(len(retrieval.records))
        queue = deque(retrieval.records)

        async def between() -> None:
            return

        async def go() -> BaseException | None:
            transfer = Transfer(
                retrieval,
                progress,
                threads=self.threads,
                transcoder=Decoder(),
                block=BLOCK,
                priority=0,
                originator=None,
                cancelled=lambda: len(link.received) >= self.cancel_after,
                between=between,
            )
            try:
                await transfer.send(queue, link)
            except AssociationAborted as error:
                return error
            return None

        error = asyncio.run(go())
        self.archive.end(caller)
        return progress, queue, error

    @property
    def recorded(self) -> tuple[object, ...]:
        """What the closing record says: instances sent, failed, and bytes sent."""
        return tuple(self.closing[each] for each in ("instances", "failed", "octets"))

    @property
    def closing(self) -> Mapping[str, str | int]:
        """The details of the closing record."""
        *_, last = self.audit.records()
        return last.event.detail


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    room = WatchedRoom(*(f"1.2 1.2.{n} {'x' * n * 10}" for n in range(1, 5)))
    with AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as audit, ThreadPoolExecutor(2) as executor:
        yield Bench(room, Archive(room, audit, door="test"), audit, Threads(executor))
    assert all(reader.closed for reader in room.readers), "a reader was left open"


def test_everything_arrives_in_order_and_whole(bench: Bench) -> None:
    link = FakeLink()
    progress, queue, error = bench.run(link)
    assert error is None
    assert not queue
    assert link.received == [data for _, data in bench.room.instances]
    assert bench.recorded == (4, 0, sum(map(len, link.received)))
    assert "first failure" not in bench.closing
    assert progress.final_status() is Status.SUCCESS
    assert progress.failed_identifier() is None


def test_a_receiver_that_refuses_one_instance_fails_that_one_only(bench: Bench) -> None:
    progress, _, error = bench.run(FakeLink(answers=lambda n: 0xA700 if n == 2 else 0))
    assert error is None
    assert (progress.completed, progress.failed) == (3, 1)
    assert bench.recorded[:2] == (3, 1)
    assert progress.final_status() is Status.SUB_OPERATIONS_WARNING
    assert progress.failed_identifier() == {key(FailedSOPInstanceUIDList): {"vr": "UI", "Value": ["1.2.2"]}}
    assert "A700" in progress.reason
    assert bench.closing["first failure"] == progress.reason


def test_a_warning_of_the_receiver_is_counted_as_one(bench: Bench) -> None:
    progress, _, _ = bench.run(FakeLink(answers=lambda n: 0xB000 if n == 2 else 0))
    assert (progress.completed, progress.warning, progress.failed) == (3, 1, 0)
    assert bench.recorded[:2] == (4, 0)
    assert progress.final_status() is Status.SUB_OPERATIONS_WARNING


def test_when_all_fail_the_operation_failed(bench: Bench) -> None:
    progress, _, _ = bench.run(FakeLink(answers=lambda _: 0xC000))
    assert progress.final_status() is Status.OUT_OF_RESOURCES_SUB_OPERATIONS
    assert progress.counts(progress.final_status()).remaining is None


def test_a_broken_link_costs_the_instance_on_its_way_and_leaves_the_rest(bench: Bench) -> None:
    progress, queue, error = bench.run(FakeLink(breaks_at=2))
    assert isinstance(error, AssociationAborted)
    assert (progress.completed, progress.failed, progress.remaining) == (1, 1, 2)
    assert bench.recorded[:2] == (1, 1)
    assert [record.sop_instance_uid for record in queue] == ["1.2.3", "1.2.4"]


def test_corruption_found_half_way_breaks_the_link_and_costs_one_instance(bench: Bench) -> None:
    bench.room.bad.add("1.2.3")
    progress, queue, error = bench.run(FakeLink())
    assert isinstance(error, AssociationAborted)
    assert progress.failed_uids == ["1.2.3"]
    assert "authentication" in progress.reason
    assert [record.sop_instance_uid for record in queue] == ["1.2.4"]


@pytest.mark.parametrize("fails_at", [0, BLOCK])
def test_what_failed_leaves_nothing_in_memory(bench: Bench, fails_at: int) -> None:
    bench.room.fails_at = fails_at
    gc.disable()
    try:
        progress, _, error = bench.run(FakeLink())
        del error
        assert progress.failed
        wait_until(lambda: all(each() is None for each in bench.room.made), "what was made is gone")
    finally:
        gc.enable()


def test_a_cancel_stops_between_two_instances_and_says_what_remains(bench: Bench) -> None:
    bench.cancel_after = 2
    progress, queue, error = bench.run(FakeLink())
    assert error is None
    assert progress.final_status() is Status.CANCEL
    assert progress.counts(Status.CANCEL).remaining == len(queue) == 2


def test_the_record_after_a_cancel_counts_what_was_sent_and_not_what_was_opened_ahead(bench: Bench) -> None:
    bench.cancel_after = 2
    link = FakeLink()
    bench.run(link)
    assert len(bench.room.readers) == 3
    assert bench.recorded == (2, 0, sum(map(len, link.received)))


def test_an_instance_is_changed_only_for_a_receiver_that_does_not_take_it(bench: Bench) -> None:
    link = FakeLink(contexts=[Accepted(3, IMPLICIT_VR_LITTLE_ENDIAN)])
    progress, _, _ = bench.run(link)
    assert progress.completed == 4
    assert all(data.startswith(b"made implicit: 1.2 1.2.") for data in link.received)


def test_a_receiver_without_the_class_gets_nothing(bench: Bench) -> None:
    link = FakeLink(contexts=[])
    progress, _, _ = bench.run(link)
    assert progress.failed == 4
    assert link.requests == []
    assert "SOP class" in progress.reason


def test_the_stored_transfer_syntax_wins_whatever_else_was_accepted() -> None:
    accepted = [Accepted(1, IMPLICIT_VR_LITTLE_ENDIAN), Accepted(3, JPEG_BASELINE)]
    assert choose(JPEG_BASELINE, accepted, Decoder()).context_id == 3
    assert choose(STORED, accepted, Decoder()).context_id == 1
    with pytest.raises(Unsupported):
        choose(STORED, [Accepted(3, JPEG_BASELINE)], Decoder())


def test_a_failed_list_is_cut_where_its_value_would_be_too_long() -> None:
    progress = Progress(3000)
    record = WatchedRoom("1.2 1.2.1 x").instances[0][0]
    for _ in range(3000):
        progress.fail(record, "It failed.")
    progress.failed_uids = ["1." + "2" * 62] * 3000
    identifier = progress.failed_identifier()
    assert identifier is not None
    values = identifier[key(FailedSOPInstanceUIDList)].get("Value", [])
    assert len("\\".join(values)) <= 0xFFFE
    assert len(values) > 1000


def test_counts_fit_into_their_fields() -> None:
    progress = Progress(100_000, completed=70_000)
    counts = progress.counts(Status.PENDING)
    assert (counts.remaining, counts.completed) == (0xFFFF, 0xFFFF)


def test_a_stopped_pool_is_busy() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(Busy):
        asyncio.run(Threads(executor).run(int))


def test_a_hop_is_waited_for_when_its_task_is_cancelled() -> None:
    done: list[str] = []

    async def go() -> None:
        started, release = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
            done.append("work")

        with ThreadPoolExecutor(1) as executor:
            task = asyncio.ensure_future(Threads(executor).run(work))
            await started.wait()
            task.cancel()
            loop.call_later(0.05, release.set)
            with pytest.raises(asyncio.CancelledError):
                await task
            done.append("cancelled")

    asyncio.run(go())
    assert done == ["work", "cancelled"]
