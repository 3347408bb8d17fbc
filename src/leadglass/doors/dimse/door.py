"""The door: who asks for an association, and what of it is accepted.

Rule 1. Nobody is answered before ``identity`` said who it is; whoever that is
not hears the same rejection, whatever the reason. Rule 2. When the archive
cannot say yes or no now, the rejection is transient: come back later. Rule 3.
While stopping, what runs may end and nothing new begins.
"""

import logging
from asyncio import Semaphore
from time import monotonic
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.doors.dimse.commitment_work import CommitmentService
from leadglass.doors.dimse.move import Destinations
from leadglass.doors.dimse.negotiation import Services, answer, asked_for
from leadglass.doors.dimse.parcel import Transcodes
from leadglass.doors.dimse.session import DimseSession, Rooms
from leadglass.doors.dimse.settings import DimseSettings
from leadglass.doors.dimse.watch import Watch
from leadglass.doors.threads import Threads
from leadglass.doors.turns import Turns
from leadglass.errors import Denied, LeadglassError
from leadglass.identity.associations import AssociationEvidence, Associations, CalledAETitleNotRecognized
from leadglass.identity.peers import IpAddress
from leadglass.policy.caller import Caller
from leadglass.wire.association import Acceptance, Peer
from leadglass.wire.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    AssociateRequest,
    Refusal,
    Rejection,
)

LOG: Final = logging.getLogger(__name__)

_DECISIONS: Final = 12
"""Requests for an association that are decided about at one time: fewer than there are threads at the desk, so that
those who are in already do not wait behind them."""

_OF_ONE_ADDRESS: Final = 4
"""How many of these come from one address. Each waits some milliseconds for its record: some hundred a second."""


class DimseDoor:
    """Answers association requests: the ``Handler`` of our listeners.

    Parameters
    ----------
    archive : Archive
        Made for this door.
    associations : Associations
        Finds out who asks.
    destinations : Destinations
        Where a C-MOVE may send to.
    transcoder : Transcodes
        For receivers that did not accept a stored transfer syntax.
    threads : Threads
        Where all of these are called.
    desk : Threads
        Where it is decided who may come in, and C-ECHO answered: apart, so
        that work at hand keeps nobody out.
    clerk : Threads
        Where those who did not come in are put on record: apart too, so that
        a crowd of them, each waiting for the disk, keeps nobody out.
    settings : DimseSettings
        What the operator set.
    commitment : CommitmentService
        Storage Commitment.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        associations: Associations,
        destinations: Destinations,
        transcoder: Transcodes,
        threads: Threads,
        desk: Threads,
        clerk: Threads,
        settings: DimseSettings,
        commitment: CommitmentService,
    ) -> None:
        self._associations = associations
        self._desk = desk
        self._clerk = clerk
        self._services = Services(settings.private_storage, settings.private_syntaxes)
        self._rooms = Rooms(
            archive,
            destinations,
            transcoder,
            threads,
            desk,
            Semaphore(settings.queries),
            settings,
            self._services,
            commitment,
            associations.did,
        )
        self._watch = Watch(associations, desk, monotonic)
        self._turns = Turns[IpAddress](together=_DECISIONS, of_one=_OF_ONE_ADDRESS)
        self._stopping = False

    async def keep_watch(self) -> None:
        """End associations that would not be let in any more; runs until cancelled."""
        await self._watch.run()

    @property
    def open_associations(self) -> int:
        """How many associations of identified callers there are."""
        return len(self._watch)

    def stop(self) -> None:
        """Begin no more associations: requests are answered with a transient rejection."""
        self._stopping = True

    async def peer_connected(self, address: IpAddress) -> str | None:
        """Say why a connection is closed before any protocol; None when it may go on."""
        if self._associations.may_speak(address):
            return None  # the usual answer, and it takes no thread
        return await self._clerk.run(self._associations.refuse_peer, address)

    async def connection_failed(self, peer: Peer, reason: str) -> None:
        """Put a connection that came to nothing on record."""
        await self._clerk.run(self._associations.connection_failed, peer.address, reason)

    async def association_requested(
        self, peer: Peer, request: AssociateRequest
    ) -> tuple[Acceptance, DimseSession] | Rejection:
        """Identify who asks and negotiate (PS3.8 9.3.4 for the rejections)."""
        if self._stopping:
            return TEMPORARY_CONGESTION
        evidence = AssociationEvidence(
            address=peer.address,
            tls=peer.tls,
            certificate=peer.certificate,
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
        )
        try:
            async with self._turns.take(peer.address):
                caller, acceptance = await self._desk.run(self._decide, evidence, request)
        except CalledAETitleNotRecognized:
            return CALLED_AE_TITLE_NOT_RECOGNIZED
        except Denied:
            return CALLING_AE_TITLE_NOT_RECOGNIZED
        except LeadglassError as error:
            LOG.warning("association refused", extra={"kind": error.kind.value, "reason": error.message})
            return TEMPORARY_CONGESTION
        if self._watch.count(caller) >= self._rooms.settings.associations:
            LOG.warning("association refused", extra={"caller": str(caller), "reason": "too many at one time"})
            return LOCAL_LIMIT_EXCEEDED
        accepted = sum(not isinstance(result, Refusal) for result in acceptance.contexts.values())
        LOG.info(
            "association opened",
            extra={
                "caller": str(caller),
                "session": caller.session,
                "tls": peer.tls_version or "none",
                "contexts": len(acceptance.contexts),
                "accepted": accepted,
                "implementation": request.implementation_class_uid,
            },
        )
        session = DimseSession(caller, self._rooms, self._watch.remove)
        self._watch.add(caller, evidence, session)
        return acceptance, session

    def _decide(self, evidence: AssociationEvidence, request: AssociateRequest) -> tuple[Caller, Acceptance]:
        """Identify and negotiate, in one hop."""
        caller = self._associations.identify(evidence)
        offered = self._rooms.archive.offers(caller, asked_for(request, self._services))
        return caller, answer(request, offered, self._services)
