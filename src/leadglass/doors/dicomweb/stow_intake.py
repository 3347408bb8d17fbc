"""Instances of a STOW-RS request on their way into the archive, many at a time.

Rule 1. What comes is handed on in batches: of small instances many in one hop to a
thread and one wait for the disk, of a large one a piece at a time; meanwhile the next
is read. Rule 2. What is under way in memory is bounded for each request and for all
of them. Rule 3. One bad part is answered with its reason and stops no other. Rule 4.
When the request ends in the middle, nothing of an unfinished part stays, and what is
being committed is committed whole.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from leadglass.archive.archive import Archive, Receiving
from leadglass.archive.backroom import Declared, NotTakenIn, Receipt
from leadglass.dicom import sop_classes, uids
from leadglass.dicom.part10 import FileMeta, read_file
from leadglass.dicom.source import Blocks
from leadglass.doors.dicomweb.stow_response import Became, Failed, FailureReason, Stored, WarningReason, reason_of
from leadglass.doors.dicomweb.stow_share import IN_FLIGHT, Gathered, Share
from leadglass.doors.threads import Threads
from leadglass.errors import BadInput, Busy, Denied, LeadglassError
from leadglass.policy.caller import Caller
from leadglass.policy.permit import entry

_PIECE: Final = 1 << 20
"""Bytes of one instance that are gathered for a hop to a thread; most instances are whole in it."""
_TOGETHER: Final = 64
"""Instances put on stable storage together at most, as many as one commit takes."""


class Sink(Protocol):
    """Takes the parts of one request, in order."""

    @property
    def stored(self) -> int:
        """Instances known to be on stable storage."""
        ...

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part."""
        ...

    async def take(self, data: bytes) -> None:
        """Take its next bytes."""
        ...

    async def end(self) -> None:
        """End it."""
        ...

    async def close(self) -> Sequence[Became]:
        """There are no more parts; gives what became of each instance when all are decided."""
        ...

    async def abandon(self) -> None:
        """Forget what is not committed."""
        ...


@dataclass(slots=True)
class Coming:
    """One instance on its way."""

    gathered: Gathered = field(default_factory=Gathered)
    """What is not handed on yet."""
    held: int = 0
    """Bytes of it that are in memory, wherever."""
    receiving: Receiving | None = None
    meta: FileMeta | None = None
    failure: LeadglassError | None = None
    is_unknown_to_archive: bool = False
    """Whether it failed before the archive heard of it, which therefore has not put that on record."""
    reason: FailureReason | None = None
    """Where it is not the one of ``failure``."""
    warning: WarningReason | None = None

    def take_blocks(self) -> list[bytes]:
        """Give what is gathered."""
        self.held = min(_PIECE, self.held + self.gathered.size)  # the archive keeps the beginning until it was read
        return self.gathered.take()

    def fail(self, error: LeadglassError, reason: FailureReason | None = None) -> None:
        """Give it up."""
        self.failure, self.reason = error, reason
        self.is_unknown_to_archive = True
        self.abort()

    def abort(self) -> None:
        """Forget it; in a thread."""
        receiving, self.receiving = self.receiving, None
        self.gathered.take()
        if receiving is not None:
            receiving.abort()


class Courier:
    """Hands instances to the archive for one caller; its methods are called in threads.

    Parameters
    ----------
    archive : Archive
        Where to.
    caller : Caller
        Who stores.
    study_uid : str
        The study all have to be of; empty for any.
    """

    def __init__(self, archive: Archive, caller: Caller, study_uid: str) -> None:
        self._archive = archive
        self._caller = caller
        self._study_uid = study_uid

    def ask(self) -> None:
        """Find out whether the caller may store at all, before anything is sent; a no goes on record.

        Raises
        ------
        Denied
        """
        if not self._archive.offers(self._caller, frozenset({entry(self._caller)})):
            raise Denied("The caller may not store.")

    def write(self, coming: Coming, blocks: list[bytes]) -> None:
        """Hand on the next bytes of an instance; the first are the beginning of a DICOM file.

        Raises
        ------
        Denied
            When the caller may not store at all.
        """
        if coming.failure is not None:
            return
        try:
            if coming.receiving is None:
                blocks = self._begin(coming, blocks)
            if coming.receiving is not None:
                coming.receiving.write(*blocks)
        except Denied:
            raise
        except LeadglassError as error:
            coming.fail(error)

    def open(self, coming: Coming, transfer_syntax_uid: str) -> Receiving:
        """Begin an instance at the archive; raises ``Denied``."""
        declared = Declared(transfer_syntax_uid, origin=self._caller.name, study_uid=self._study_uid)
        coming.receiving = self._archive.receive(self._caller, declared)
        return coming.receiving

    def _begin(self, coming: Coming, blocks: list[bytes]) -> list[bytes]:
        """Read the beginning of a file and begin its instance; gives what of the blocks is data set."""
        if not blocks:
            raise BadInput("The part is empty.")
        part10 = read_file(Blocks(blocks))
        meta = coming.meta = part10.meta
        if sop_classes.is_of_other_service(meta.sop_class_uid):
            coming.fail(NotTakenIn())
            return []
        self.open(coming, meta.transfer_syntax_uid)
        skip = part10.dataset_offset
        for index, block in enumerate(blocks):
            if skip < len(block):
                return [block[skip:], *blocks[index + 1 :]] if skip else blocks[index:]
            skip -= len(block)
        return []

    def finish(self, batch: list[Coming]) -> list[Became]:
        """Hand on what is gathered of each and commit all together; gives what became of each.

        Raises
        ------
        Denied
            When the caller may not store at all.
        """
        try:
            for coming in batch:
                if coming.gathered.size or coming.receiving is None:
                    self.write(coming, coming.take_blocks())
            received = [coming.receiving for coming in batch if coming.receiving is not None]
            try:
                outcomes = iter(self._archive.finish(self._caller, received) if received else [])
            except LeadglassError as error:
                outcomes = iter([error] * len(received))
            return [self._became(coming, next(outcomes) if coming.receiving else None) for coming in batch]
        finally:
            self.abort(batch)

    def _became(self, coming: Coming, outcome: Receipt | LeadglassError | None) -> Became:
        if isinstance(outcome, Receipt):
            warning = coming.warning
            if coming.meta is not None and not _names(coming.meta, outcome):
                warning = WarningReason.DOES_NOT_MATCH_SOP_CLASS
            return Stored(
                outcome.study_uid,
                outcome.series_uid,
                outcome.sop_instance_uid,
                outcome.sop_class_uid,
                warning,
                outcome,
            )
        error = outcome or coming.failure or BadInput("The part is empty.")
        reason = coming.reason or reason_of(error)
        class_uid, instance_uid = _identity(coming)
        syntax = coming.meta.transfer_syntax_uid if coming.meta is not None else ""
        if reason is FailureReason.CANNOT_UNDERSTAND and syntax and not uids.is_transfer_syntax(syntax):
            reason = FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED
        return Failed(reason, instance_uid, class_uid, error)

    def tell(self, count: int, first: LeadglassError) -> None:
        """Put on record, once for a request, that parts of it never came to the archive."""
        self._archive.refuse(self._caller, entry(self._caller), first.message, parts=count)

    def abort(self, batch: Sequence[Coming]) -> None:
        """Forget instances; harmless when they are committed."""
        for coming in batch:
            coming.abort()


def _names(meta: FileMeta, receipt: Receipt) -> bool:
    """Say whether the file meta information names the instance that its data set is."""
    said = (meta.sop_class_uid or receipt.sop_class_uid, meta.sop_instance_uid or receipt.sop_instance_uid)
    return said == (receipt.sop_class_uid, receipt.sop_instance_uid)


def _identity(coming: Coming) -> tuple[str, str]:
    """Give class and instance UID for an answer: the data set's where it was read; empty, both, unless well-formed."""
    if coming.receiving is not None and all(coming.receiving.identity):
        return coming.receiving.identity
    meta = coming.meta
    if meta is None:
        return "", ""
    try:
        return uids.parse_uid(meta.sop_class_uid), uids.parse_uid(meta.sop_instance_uid)
    except BadInput:
        return "", ""


class Batches:
    """Gathers instances and has them committed together while more come; answers in order.

    Parameters
    ----------
    courier : Courier
        Hands them on.
    threads : Threads
        Where it does.
    share : Share
        What a batch may hold.
    """

    def __init__(self, courier: Courier, threads: Threads, share: Share) -> None:
        self._courier = courier
        self._threads = threads
        self._share = share
        self._batch: list[Coming] = []
        self._held = 0
        self._running: deque[tuple[list[Coming], asyncio.Task[list[Became]]]] = deque()
        self._became: list[Became] = []
        self._untold = 0
        self._first: LeadglassError | None = None
        self.stored = 0

    async def add(self, coming: Coming) -> None:
        """Take an instance that is here to its end."""
        self._batch.append(coming)
        self._held += max(1024, coming.held + coming.gathered.size)
        if len(self._batch) >= _TOGETHER or self._held >= self._share.held:
            await self._send()

    async def _send(self) -> None:
        while len(self._running) >= IN_FLIGHT:
            await self._settle()
        batch, self._batch, self._held = self._batch, [], 0
        if batch:
            self._running.append((batch, asyncio.create_task(self._threads.run(self._courier.finish, batch))))

    async def _settle(self) -> None:
        """Wait for the oldest batch."""
        batch, task = self._running.popleft()
        try:
            became = await task
        finally:
            del task  # it knows its error, and the error knows this frame
        self._became += became
        self.stored += sum(isinstance(each, Stored) for each in became)
        for coming in batch:
            if coming.is_unknown_to_archive and coming.failure is not None:
                self._untold += 1
                self._first = self._first or coming.failure

    async def close(self) -> list[Became]:
        """Commit the rest; gives what became of all."""
        await self._send()
        while self._running:
            await self._settle()
        if self._first is not None:
            await self._threads.run(self._courier.tell, self._untold, self._first)
        return self._became

    async def abandon(self, *more: Coming) -> None:
        """Let what is being committed come to its end, and forget the rest."""
        tasks = [task for _, task in self._running]
        self._running.clear()
        for became in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(became, BaseException):
                self.stored += sum(isinstance(each, Stored) for each in became)
        rest, self._batch = [*self._batch, *more], []
        if not rest:
            return
        try:
            await self._threads.run(self._courier.abort, rest)
        except Busy:
            self._courier.abort(rest)  # the pool is already stopped, so nothing else runs in this loop for long


class Files:
    """A sink for parts that are DICOM files (PS3.10).

    Parameters
    ----------
    courier : Courier
        Hands them on.
    threads : Threads
        Where it does.
    share : Share
        What may be held in memory.
    media_type : str
        What a part is that does not say.
    """

    def __init__(self, courier: Courier, threads: Threads, share: Share, media_type: str) -> None:
        self._courier = courier
        self._threads = threads
        self._batches = Batches(courier, threads, share)
        self._media_type = media_type
        self._coming = Coming()
        self._hop: asyncio.Task[None] | None = None

    @property
    def stored(self) -> int:
        """Instances known to be on stable storage."""
        return self._batches.stored

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part."""
        self._coming = Coming()
        wrong = wrong_part(headers, self._media_type)
        if wrong is not None:
            self._coming.fail(wrong)

    async def take(self, data: bytes) -> None:
        """Take its next bytes."""
        coming = self._coming
        if coming.failure is not None:
            return
        coming.gathered.add(data)
        if coming.gathered.size >= _PIECE:
            await self._landed()
            self._hop = asyncio.create_task(self._threads.run(self._courier.write, coming, coming.take_blocks()))

    async def end(self) -> None:
        """End it."""
        await self._landed()
        coming, self._coming = self._coming, Coming()
        await self._batches.add(coming)

    async def _landed(self) -> None:
        hop, self._hop = self._hop, None
        if hop is not None:
            try:
                await hop
            finally:
                del hop  # it knows its error, and the error knows this frame

    async def close(self) -> Sequence[Became]:
        """There are no more parts."""
        return await self._batches.close()

    async def abandon(self) -> None:
        """Forget what is not committed."""
        hop, self._hop = self._hop, None
        if hop is not None:
            await asyncio.gather(hop, return_exceptions=True)
        await self._batches.abandon(self._coming)


def wrong_part(headers: Mapping[str, str], media_type: str) -> BadInput | None:
    """Say what is wrong with the headers of a part that has to be of one media type; None when nothing is."""
    said = headers.get("content-type", media_type).partition(";")[0].strip().lower()
    if said != media_type:
        return BadInput(f"A part is not of the media type that the request says ({media_type}).")
    return coded_part(headers)


def coded_part(headers: Mapping[str, str]) -> BadInput | None:
    """Say whether a part is coded in a way that is not undone here; None when it is plain."""
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        return BadInput("A part has a Content-Transfer-Encoding. HTTP has none: send the bytes as they are.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        return BadInput("A part has a Content-Encoding. Send the bytes as they are.")
    return None
