"""C-MOVE as SCP (PS3.4 C.4.2, PS3.7 9.1.4): the instances go to a registered device.

Rule 1. A destination is a device the operator registered, reached at the host
and port he gave, and over TLS it must show the certificate enrolled for it; an
address never comes from the request. Rule 2. Whoever may not move is told so
before anything is said about the destination. Rule 3. Rights are those of now: a
device that is removed or enrolled anew in the middle gets nothing more. Rule 4.
The asker does not hear where a destination is.

Status: FF00 going on · 0000 all sent · B000 some failed · A702 all failed ·
A801 destination unknown · FE00 cancelled · 0124 not authorized · A900 identifier
does not match · C001 unable to process.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Protocol

from leadglass.archive.archive import Archive
from leadglass.doors.dimse.parcel import Transcodes
from leadglass.doors.dimse.plan import Group, Proposal, plan
from leadglass.doors.dimse.retrieve import Pending, RetrieveRequest, locate
from leadglass.doors.dimse.status import comment
from leadglass.doors.dimse.transfer import Link, Originator, Progress, Transfer
from leadglass.doors.threads import Threads
from leadglass.errors import LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.wire.errors import AssociationAborted, ConnectionFailed

LOG: Final = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""Associations in a row that may break before a single instance is tried; then the receiver is given up."""

BREAKS: Final = 2
"""Associations that may break on one SOP class without an instance sent; then the class is set aside."""

MOST_BREAKS: Final = 64
"""Associations of one C-MOVE that may break without an instance sent, whatever the classes."""

LOOK: Final = 1.0
"""Seconds between two looks at whether the destination is still enrolled as it was."""

CHANGED: Final = "The destination's enrolment changed."
BROKE: Final = "The association to the receiver broke."
UNREACHED: Final = "No connection to the destination."


class DestinationUnknown(NotHere):
    """The Move Destination is not a device we send to; DIMSE has a status of its own for it."""


class Outbound(Link, Protocol):
    """A link over an association of our own, which we can end."""

    async def abort(self, how: str) -> None:
        """Abort the association; ``how`` is what ``ended`` will say."""
        ...


class Destination(Protocol):
    """A registered device that instances can be sent to; two are equal when they are one, reached in one way."""

    def associate(self, proposals: Sequence[Proposal]) -> AbstractAsyncContextManager[Outbound]:
        """Open an association; leaving the block releases it.

        Raises
        ------
        LeadglassError
            When there is none to be had.
        """
        ...


class Destinations(Protocol):
    """The devices we send to."""

    def find(self, ae_title: str) -> Destination:
        """Look a device up, in a thread.

        Raises
        ------
        DestinationUnknown
            With the true reason, for the audit log.
        """
        ...


async def move(
    archive: Archive,
    caller: Caller,
    request: RetrieveRequest,
    destinations: Destinations,
    *,
    calling_ae_title: str,
    threads: Threads,
    transcoder: Transcodes,
    block: int,
    cancelled: Callable[[], bool],
    pending: Pending,
) -> Progress:
    """Send what a C-MOVE asks for.

    Parameters
    ----------
    archive, caller, request
        Who asks what.
    destinations : Destinations
        The devices we send to.
    calling_ae_title : str
        Of the association that asked: Move Originator (0000,1030).
    threads, transcoder, block
        How instances are read.
    cancelled : callable
        Whether a C-CANCEL-RQ has arrived.
    pending : Pending
        For responses in between.

    Raises
    ------
    DestinationUnknown
        When it is none of our devices.
    LeadglassError
        When nothing could be located.
    """
    destination = await threads.run(_destination, archive, caller, request, destinations)
    retrieval = await threads.run(locate, archive, caller, request)
    progress = Progress(len(retrieval.records))
    transfer = Transfer(
        retrieval,
        progress,
        threads=threads,
        transcoder=transcoder,
        block=block,
        priority=request.priority,
        originator=Originator(calling_ae_title, request.message_id),
        cancelled=cancelled,
        between=_nothing,
    )
    course = _Course(request.to, destination, destinations, transfer, progress, threads, cancelled)
    beat = asyncio.ensure_future(pending.keep_sending(progress))
    try:
        for group in plan(retrieval.records):
            await course.send(group)
        if course.changed:
            await threads.run(archive.refuse, caller, Action.MOVE, course.changed, to=request.to)
    finally:
        beat.cancel()
        with suppress(asyncio.CancelledError, LeadglassError):
            await beat
    return progress


async def _nothing() -> None:
    """Do nothing between sub-operations: pending responses come from a task of their own."""


def _destination(archive: Archive, caller: Caller, request: RetrieveRequest, destinations: Destinations) -> Destination:
    try:
        return destinations.find(request.to)
    except DestinationUnknown as error:
        archive.refuse(caller, Action.MOVE, error.message, to=request.to)
        raise


class _Course:
    """One C-MOVE on its way: group after group to one destination, for as long as it stays the one that was found."""

    def __init__(
        self,
        to: str,
        destination: Destination,
        destinations: Destinations,
        transfer: Transfer,
        progress: Progress,
        threads: Threads,
        cancelled: Callable[[], bool],
    ) -> None:
        self._to = to
        self._destination = destination
        self._destinations = destinations
        self._transfer = transfer
        self._progress = progress
        self._threads = threads
        self._cancelled = cancelled
        self._breaks = 0
        self.changed = ""
        """Why the destination gets nothing more; empty while it does."""

    async def send(self, group: Group) -> None:
        """Send one group, over further associations when one breaks; what cannot be sent is counted as failed.

        Instances of a class on which it breaks again and again are set aside,
        so that a receiver that cannot bear them gets the others.
        """
        attempts = ATTEMPTS
        broken: Counter[str] = Counter()
        while group.records and not self._cancelled():
            queued, arrived = len(group.records), self._arrived
            try:
                await self._send_once(group)
                continue
            except AssociationAborted:
                reason = CHANGED if self.changed else BROKE
            except LeadglassError as error:
                self._give_up(group, self._reason(error))
                return
            if self._arrived > arrived and not self.changed:
                attempts = ATTEMPTS
                continue
            self._breaks += 1
            latest = self._transfer.latest if len(group.records) < queued else None
            attempts = ATTEMPTS if latest is not None else attempts - 1
            if self.changed or attempts <= 0 or self._breaks >= MOST_BREAKS:
                self._give_up(group, reason)
            elif latest is not None:
                broken[latest.sop_class_uid] += 1
                if broken[latest.sop_class_uid] >= BREAKS:
                    self._give_up(group, reason, latest.sop_class_uid)

    @property
    def _arrived(self) -> int:
        return self._progress.completed + self._progress.warning

    async def _send_once(self, group: Group) -> None:
        """Send what an association takes.

        Raises
        ------
        AssociationAborted
            When it broke, or was broken because the destination is not what it was.
        LeadglassError
            When there is none to be had.
        """
        if not self.changed:
            await self._look()
        if self.changed:
            raise AssociationAborted(CHANGED)
        async with self._destination.associate(group.proposals) as link, self._watching(link):
            await self._transfer.send(group.records, link)

    @asynccontextmanager
    async def _watching(self, link: Outbound) -> AsyncGenerator[None]:
        watch = asyncio.ensure_future(self._watch(link))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            if not watch.cancelled():
                watch.result()

    async def _watch(self, link: Outbound) -> None:
        """Abort the association once the destination is not what it was, even in the middle of an instance."""
        while not self.changed:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
            except LeadglassError as error:
                LOG.warning("move destination not looked at", extra={"kind": error.kind.value})
        self._progress.reason = self._progress.reason or CHANGED
        await link.abort("the destination's enrolment changed")

    async def _look(self) -> None:
        """See whether the same destination would be found now.

        Raises
        ------
        Busy, Corrupt, Misconfigured
            When the enrolments cannot be read.
        """
        try:
            found = await self._threads.run(self._destinations.find, self._to)
        except DestinationUnknown as error:
            self.changed = f"{CHANGED} {error.message}"
        else:
            if found != self._destination:
                self.changed = f"{CHANGED} It is reached in another way now."

    def _reason(self, error: LeadglassError) -> str:
        """Say to the asker why there is no association, without saying where; our own log has it all."""
        LOG.warning("move destination not reached", extra={"to": self._to, "reason": error.message})
        return UNREACHED if isinstance(error, ConnectionFailed) else comment(error.message)

    def _give_up(self, group: Group, reason: str, sop_class_uid: str | None = None) -> None:
        """Count what is left as failed: of one class, or all of it."""
        left = list(group.records)
        group.records.clear()
        for record in left:
            if sop_class_uid in {None, record.sop_class_uid}:
                self._transfer.give_up(record, reason)
            else:
                group.records.append(record)
