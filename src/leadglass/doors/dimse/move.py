"""C-MOVE as SCP (PS3.4 C.4.2, PS3.7 9.1.4): the instances go to a registered device.

Rule 1. A destination is a device the operator registered, reached at the host
and port he gave, and over TLS it must show the certificate enrolled for it; an
address never comes from the request. Rule 2. Whoever may not move is told so
before anything is said about the destination.

Status: FF00 going on · 0000 all sent · B000 some failed · A702 all failed ·
A801 destination unknown · FE00 cancelled · 0124 not authorized · A900 identifier
does not match · C001 unable to process.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

from leadglass.archive.archive import Archive
from leadglass.doors.dimse.parcel import Transcodes
from leadglass.doors.dimse.plan import Group, Proposal, plan
from leadglass.doors.dimse.retrieve import Pending, RetrieveRequest, locate
from leadglass.doors.dimse.status import comment
from leadglass.doors.dimse.threads import Threads
from leadglass.doors.dimse.transfer import Link, Originator, Progress, Transfer
from leadglass.errors import LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.wire.errors import AssociationAborted

ATTEMPTS: Final = 3
"""Associations in a row that may break without one instance sent; then the receiver is given up."""


class DestinationUnknown(NotHere):
    """The Move Destination is not a device we send to; DIMSE has a status of its own for it."""


class Destination(Protocol):
    """A registered device that instances can be sent to."""

    def associate(self, proposals: Sequence[Proposal]) -> AbstractAsyncContextManager[Link]:
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
    beat = asyncio.ensure_future(pending.keep_sending(progress))
    try:
        for group in plan(retrieval.records):
            await _send_group(group, destination, transfer, progress, cancelled)
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


async def _send_group(
    group: Group,
    destination: Destination,
    transfer: Transfer,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    """Send one group, over further associations when one breaks; what cannot be sent is counted as failed."""
    attempts = ATTEMPTS
    while group.records and not cancelled():
        before = progress.completed + progress.warning
        try:
            async with destination.associate(group.proposals) as link:
                await transfer.send(group.records, link)
                continue
        except AssociationAborted:
            reason = "The association to the receiver broke."
        except LeadglassError as error:
            reason = comment(error.message)
            attempts = 0
        attempts = ATTEMPTS if progress.completed + progress.warning > before else attempts - 1
        if attempts <= 0:
            while group.records:
                progress.fail(group.records.popleft(), reason)
