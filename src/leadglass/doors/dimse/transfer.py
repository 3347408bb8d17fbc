"""A transfer: the C-STORE sub-operations of a C-GET or C-MOVE (PS3.4 C.4.2, C.4.3).

Rule 1. Every located instance is counted exactly once: completed, warning,
failed or remaining. Rule 2. While one instance is being sent, the next is
already being opened and read; never more than that. Rule 3. What fails for one
instance fails for that one only; only a broken association ends a transfer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from leadglass.archive.archive import Retrieval
from leadglass.archive.backroom import InstanceRecord
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import FailedSOPInstanceUIDList, key
from leadglass.doors.dimse.parcel import Accepted, Parcel, Transcodes
from leadglass.doors.dimse.status import Status, comment, comment_of
from leadglass.doors.threads import Threads
from leadglass.errors import LeadglassError
from leadglass.wire.errors import AssociationAborted
from leadglass.wire.messages import Command, CStoreRq, CStoreRsp, Suboperations, is_warning

_UID_LIST: Final = 0xFFFE
"""Most bytes of a UI value in an explicit VR transfer syntax, whose length field has 16 bits (PS3.5 7.1.2)."""

_COUNT: Final = 0xFFFF
"""Largest Number of … Sub-operations, a US."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for a C-MOVE, for the receiver's information (PS3.7 9.1.1.1.7, 9.1.1.1.8)."""

    ae_title: str
    message_id: int


class Link(Protocol):
    """The association to a receiver, as a transfer sees it."""

    @property
    def ended(self) -> str | None:
        """How the association ended; None while it lives."""
        ...

    def accepted(self, sop_class_uid: str) -> Sequence[Accepted]:
        """Give the contexts over which the receiver takes instances of a class."""
        ...

    def next_message_id(self) -> int:
        """Give an unused Message ID."""
        ...

    async def store(self, context_id: int, request: CStoreRq, data: bytes | AsyncIterator[bytes]) -> Command:
        """Send one C-STORE-RQ and wait for its response.

        Raises
        ------
        AssociationAborted
            When there is none coming.
        """
        ...


@dataclass(slots=True)
class Progress:
    """What has become of the sub-operations so far."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed: int = 0
    failed_uids: list[str] = field(default_factory=list[str])
    reason: str = ""
    """Why the first instance failed, as an Error Comment."""

    def succeed(self) -> None:
        """Count one instance that the receiver has."""
        self.remaining -= 1
        self.completed += 1

    def warn(self) -> None:
        """Count one instance that the receiver has, and remarks upon."""
        self.remaining -= 1
        self.warning += 1

    def fail(self, record: InstanceRecord, reason: str) -> None:
        """Count one instance that the receiver does not have."""
        self.remaining -= 1
        self.failed += 1
        self.failed_uids.append(record.sop_instance_uid)
        self.reason = self.reason or reason

    def counts(self, status: Status) -> Suboperations:
        """Give the counts that go with a status: what remains only while going on, or when cancelled (PS3.7 C.4)."""
        unfinished = status in {Status.PENDING, Status.CANCEL}
        return Suboperations(
            remaining=min(self.remaining, _COUNT) if unfinished else None,
            completed=min(self.completed, _COUNT),
            failed=min(self.failed, _COUNT),
            warning=min(self.warning, _COUNT),
        )

    def final_status(self) -> Status:
        """Give the status of the last response (PS3.4 Tables C.4-2, C.4-3); something remains only after a cancel."""
        if self.remaining:
            return Status.CANCEL
        if self.failed and not self.completed and not self.warning:
            return Status.OUT_OF_RESOURCES_SUB_OPERATIONS
        if self.failed or self.warning:
            return Status.SUB_OPERATIONS_WARNING
        return Status.SUCCESS

    def failed_identifier(self) -> Attributes | None:
        """Give the identifier of the last response, the Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2).

        None without failures. A list that is longer than a UI value can be is cut.
        """
        if not self.failed_uids:
            return None
        kept: list[str] = []
        octets = 0
        for uid in self.failed_uids:
            octets += len(uid) + 1
            if octets > _UID_LIST:
                break
            kept.append(uid)
        return {key(FailedSOPInstanceUIDList): JsonElement(vr="UI", Value=list(kept))}


class _Ahead:
    """A parcel that a thread is making ready."""

    __slots__ = ("_task", "parcel")

    def __init__(self, parcel: Parcel, threads: Threads) -> None:
        self.parcel = parcel
        self._task = asyncio.ensure_future(threads.run(parcel.prepare))

    async def ready(self) -> None:
        """Wait until it is; raises what ``Parcel.prepare`` raises."""
        await self._task

    async def close(self) -> None:
        """Wait for the thread and let go of what it opened."""
        await _drop(self._task)
        del self._task  # it knows its error, and the error knows who waited for it
        self.parcel.close()


async def _drop(task: "asyncio.Future[T]") -> None:
    """Wait for work that nobody needs any more; what it gives or raises is of no interest."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


class Transfer:
    """Sends located instances over a link, one after the other.

    Parameters
    ----------
    retrieval : Retrieval
        What was permitted.
    progress : Progress
        Where each instance is counted; the door reads it between sub-operations.
    threads : Threads
        Where the archive is called.
    transcoder : Transcodes
        For receivers that did not accept a stored transfer syntax.
    block : int
        Bytes read at a time.
    priority : int
        Priority (0000,0700) of the request, passed on.
    originator : Originator or None
        For C-MOVE, who asked.
    cancelled : callable
        Whether a C-CANCEL-RQ has arrived.
    between : callable
        Called after each sub-operation.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        progress: Progress,
        *,
        threads: Threads,
        transcoder: Transcodes,
        block: int,
        priority: int,
        originator: Originator | None,
        cancelled: Callable[[], bool],
        between: Callable[[], Awaitable[None]],
    ) -> None:
        self._retrieval = retrieval
        self._progress = progress
        self._threads = threads
        self._transcoder = transcoder
        self._block = block
        self._priority = priority
        self._originator = originator
        self._cancelled = cancelled
        self._between = between
        self.latest: InstanceRecord | None = None
        """The record that was last taken off a queue: after a break, the one it broke on."""

    def give_up(self, record: InstanceRecord, reason: str) -> None:
        """Count one instance as failed, in the response and on record."""
        self._progress.fail(record, reason)
        self._retrieval.failed(record, reason)

    async def send(self, queue: deque[InstanceRecord], link: Link) -> None:
        """Send the queue, taking each record off it once it is counted.

        Raises
        ------
        AssociationAborted
            When the link cannot be used any more; the record it broke on is
            counted as failed, the queue has the rest.
        """
        ahead: _Ahead | None = None
        try:
            while queue and not self._cancelled():
                current = ahead or self._begin(queue[0], link)
                ahead = None
                failure: str | None = None
                try:
                    await current.ready()
                    if delay := self._retrieval.take_delay():
                        await asyncio.sleep(delay)
                    ahead = self._begin(queue[1], link) if len(queue) > 1 else None
                    await self._send(current.parcel, link)
                except LeadglassError as error:
                    failure = comment_of(error)  # not the error itself: it knows this frame
                except BaseException:
                    self._retrieval.failed(current.parcel.record)
                    raise
                finally:
                    await current.close()
                record = self.latest = queue.popleft()
                if failure is not None:
                    self.give_up(record, failure)
                if link.ended is not None:
                    raise AssociationAborted(f"The association to the receiver is over: {link.ended}.")
                await self._between()
        finally:
            if ahead is not None:
                await ahead.close()

    def _begin(self, record: InstanceRecord, link: Link) -> "_Ahead":
        accepted = link.accepted(record.sop_class_uid)
        return _Ahead(Parcel(self._retrieval, record, accepted, self._transcoder, self._block), self._threads)

    async def _send(self, parcel: Parcel, link: Link) -> None:
        record = parcel.record
        originator = self._originator
        request = CStoreRq(
            message_id=link.next_message_id(),
            affected_sop_class_uid=record.sop_class_uid,
            affected_sop_instance_uid=record.sop_instance_uid,
            priority=self._priority,
            move_originator_ae_title=originator.ae_title if originator else None,
            move_originator_message_id=originator.message_id if originator else None,
        )
        if len(parcel.first) >= parcel.size:
            response = await link.store(parcel.context_id, request, parcel.first)
        else:
            blocks = self._blocks(parcel)
            try:
                response = await link.store(parcel.context_id, request, blocks)
            finally:
                await blocks.aclose()
        if not isinstance(response, CStoreRsp):
            raise AssociationAborted("The receiver answered a C-STORE with something else.")
        self._count(record, response)

    def _count(self, record: InstanceRecord, response: CStoreRsp) -> None:
        status = response.status
        if status == Status.SUCCESS:
            self._progress.succeed()
            self._retrieval.sent(record)
        elif is_warning(status):
            self._progress.warn()
            self._retrieval.sent(record)
        else:
            self.give_up(record, comment(f"The receiver answered with status {status:04X}."))

    async def _blocks(self, parcel: Parcel) -> AsyncGenerator[bytes, None]:
        """Give the data set block by block, reading one ahead."""
        block = parcel.first
        offset = len(block)
        while True:
            ahead = asyncio.ensure_future(self._threads.run(parcel.read, offset)) if offset < parcel.size else None
            try:
                yield block
            except BaseException:
                if ahead is not None:
                    await _drop(ahead)
                raise
            if ahead is None:
                return
            try:
                block = await ahead
            finally:
                del ahead  # it knows its error, and the error knows this frame
            offset += len(block)
