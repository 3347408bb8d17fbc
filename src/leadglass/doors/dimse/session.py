"""A session: one association of one identified caller, request by request.

Rule 1. Each request becomes one call on the archive and at least one response.
Rule 2. An error of a known kind is a status; the association goes on. A lost
association is not answered. Rule 3. Nothing of a request's content is logged.
"""

import logging
from asyncio import Semaphore
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared
from leadglass.dicom import sop_classes
from leadglass.dicom.codec_io import encode_identifier
from leadglass.dicom.matching import Root
from leadglass.doors.budget import Budget
from leadglass.doors.dimse.commitment_lines import Line
from leadglass.doors.dimse.commitment_work import CommitmentService
from leadglass.doors.dimse.echo import echo
from leadglass.doors.dimse.find import Pace, Question, find
from leadglass.doors.dimse.get import get
from leadglass.doors.dimse.link import AssociationLink
from leadglass.doors.dimse.move import Destinations, DestinationUnknown, move
from leadglass.doors.dimse.negotiation import Services, extras
from leadglass.doors.dimse.parcel import Transcodes
from leadglass.doors.dimse.retrieve import Pending, RetrieveRequest
from leadglass.doors.dimse.settings import DimseSettings
from leadglass.doors.dimse.status import Service, Status, comment_of, status_of
from leadglass.doors.dimse.store import receive
from leadglass.doors.dimse.transfer import Progress
from leadglass.doors.threads import Threads
from leadglass.errors import LeadglassError
from leadglass.identity.contacts import What
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.wire.association import AcceptedContext, Message, ServerAssociation
from leadglass.wire.errors import AssociationAborted
from leadglass.wire.messages import (
    CEchoRq,
    CFindRq,
    CGetRq,
    CMoveRq,
    CStoreRq,
    NActionRq,
    Request,
)

LOG: Final = logging.getLogger(__name__)

_MATCHES: Final = 128 << 20
"""Bytes of matches, encoded, that wait to be sent; those of a page are mostly less than are counted."""

REVOKED: Final = "the caller's rights ended"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every session of the door works with."""

    archive: Archive
    destinations: Destinations
    transcoder: Transcodes
    threads: Threads
    desk: Threads
    """For what must not wait for the work of others."""
    turns: Semaphore
    """As many as there are C-FINDs that may work at one time."""
    settings: DimseSettings
    services: Services
    commitment: CommitmentService
    did: Callable[[Caller, What, str], None]
    """Told what a device did, for whoever looks after devices."""
    budget: Budget = field(default_factory=lambda: Budget(_MATCHES, _MATCHES // 2))
    """Room for the matches of all C-FINDs that are being sent."""


@dataclass(slots=True)
class Counts:
    """What an association came to, for the log."""

    stored: int = 0
    refused: int = 0
    matches: int = 0
    sent: int = 0
    failed: int = 0

    def in_words(self) -> str:
        """Say what it came to, for whoever looks after devices."""
        said = (
            (self.stored, "stored"),
            (self.matches, "listed"),
            (self.sent, "sent to it"),
            (self.refused, "refused"),
            (self.failed, "failed"),
        )
        return ", ".join(f"{count} {word}" for count, word in said if count)


class DimseSession:
    """Answers the requests of one association.

    Parameters
    ----------
    caller : Caller
        Who asks, proven.
    rooms : Rooms
        What the door works with.
    leave : callable
        Told the caller when the association has ended.
    """

    def __init__(self, caller: Caller, rooms: Rooms, leave: Callable[[Caller], None]) -> None:
        self._caller = caller
        self._rooms = rooms
        self._leave = leave
        self._counts = Counts()
        self._association: ServerAssociation | None = None
        self._line: Line | None = None
        self._revoked = False

    async def revoke(self) -> None:
        """End the association: its caller would not be let in any more."""
        self._revoked = True
        if self._association is not None:
            await self._association.abort(REVOKED)

    async def begun(self, association: ServerAssociation) -> None:
        """Let reports come to the device over this association, when it negotiated that."""
        self._association = association
        if self._revoked:
            await association.abort(REVOKED)
            return
        contexts = association.accepted(sop_classes.STORAGE_COMMITMENT_PUSH_MODEL, "scp")
        if contexts:
            self._line = Line(self._caller, association, contexts[0])
            self._rooms.commitment.lines.add(self._line)

    async def message(self, association: ServerAssociation, message: Message) -> None:
        """Answer one request."""
        if self._revoked:
            await association.abort(REVOKED)
            return
        if self._line is None:
            await self._answer(association, message)
            return
        self._line.busy()
        try:
            await self._answer(association, message)
        finally:
            self._line.idle()

    async def _answer(self, association: ServerAssociation, message: Message) -> None:
        uid = message.context.abstract_syntax
        match message.command:
            case CEchoRq() as request if uid == sop_classes.VERIFICATION:
                await self._echo(association, message.context, request)
            case CStoreRq() as request if self._rooms.services.is_storage(uid) and message.context.as_scp:
                await self._store(association, message, request)
            case CFindRq() as request if uid in sop_classes.FIND:
                await self._find(association, message, request)
            case CGetRq() as request if uid in sop_classes.GET:
                await self._get(association, message, request)
            case CMoveRq() as request if uid in sop_classes.MOVE:
                await self._move(association, message, request)
            case NActionRq() as request if uid == sop_classes.STORAGE_COMMITMENT_PUSH_MODEL:
                await self._commit(association, message, request)
            case request if isinstance(request, Request):
                await message.discard()
                await association.send(message.context.id, request.response(Status.UNRECOGNIZED_OPERATION))
            case _:  # the wire routes responses and C-CANCEL elsewhere
                await association.abort()

    async def ended(self, how: str) -> None:
        """Close the books of the association."""
        self._leave(self._caller)
        self._rooms.did(self._caller, What.ENDED, self._counts.in_words())
        self._rooms.commitment.lines.remove(self._caller)
        try:
            await self._rooms.threads.run(self._rooms.archive.end, self._caller)
        finally:
            counts = self._counts
            LOG.info(
                "association closed",
                extra={
                    "caller": str(self._caller),
                    "session": self._caller.session,
                    "how": how,
                    "stored": counts.stored,
                    "refused": counts.refused,
                    "matches": counts.matches,
                    "sent": counts.sent,
                    "failed": counts.failed,
                },
            )

    # --- verification ---------------------------------------------------------

    async def _echo(self, association: ServerAssociation, context: AcceptedContext, request: CEchoRq) -> None:
        try:
            await echo(self._rooms.archive, self._caller, self._rooms.desk)
        except LeadglassError as error:
            response = request.response(self._refused(Service.ECHO, error), comment_of(error))
            self._rooms.did(self._caller, What.NOT_ECHOED, "C-ECHO refused")
        else:
            response = request.response(Status.SUCCESS)
            self._rooms.did(self._caller, What.ECHOED, "C-ECHO answered")
        await association.send(context.id, response)

    # --- storage --------------------------------------------------------------

    async def _store(self, association: ServerAssociation, message: Message, request: CStoreRq) -> None:
        context = message.context
        if request.affected_sop_class_uid != context.abstract_syntax:
            await message.discard()
            text = "The SOP class is not that of the presentation context."
            self._counts.refused += 1
            await association.send(context.id, request.response(Status.SOP_CLASS_NOT_SUPPORTED, text))
            return
        declared = Declared(
            transfer_syntax_uid=context.transfer_syntax,
            sop_class_uid=request.affected_sop_class_uid,
            sop_instance_uid=request.affected_sop_instance_uid,
            origin=self._caller.name,
        )
        try:
            await receive(
                self._rooms.archive,
                self._caller,
                declared,
                message.data,
                threads=self._rooms.threads,
                batch=self._rooms.settings.intake,
            )
        except AssociationAborted:
            raise
        except LeadglassError as error:
            response = request.response(self._refused(Service.STORE, error), comment_of(error))
        else:
            self._counts.stored += 1
            response = request.response(Status.SUCCESS)
        await association.send(context.id, response)

    # --- query ----------------------------------------------------------------

    async def _find(
        self,
        association: ServerAssociation,
        message: Message,
        request: CFindRq,
    ) -> None:
        context = message.context
        settings = self._rooms.settings
        try:
            identifier = await message.read(settings.identifier)
            negotiated = extras(association.request, context.abstract_syntax, self._rooms.services)
            question = Question(identifier, context.transfer_syntax, root_of(context), negotiated)
            answers = find(
                self._rooms.archive,
                self._caller,
                question,
                threads=self._rooms.threads,
                turns=self._rooms.turns,
                pace=Pace(settings.matches, settings.slice, settings.patience),
                ae_title=settings.ae_title,
                cancelled=lambda: association.cancelled(request.message_id),
                budget=self._rooms.budget,
            )
            async for status, matches in answers:
                self._counts.matches += len(matches)
                response = request.response(status)
                if matches:
                    await association.send_all(context.id, ((response, match) for match in matches))
                else:
                    await association.send(context.id, response)
        except AssociationAborted:
            raise
        except LeadglassError as error:
            response = request.response(self._refused(Service.FIND, error), comment_of(error))
            await association.send(context.id, response)

    # --- retrieve -------------------------------------------------------------

    async def _get(
        self,
        association: ServerAssociation,
        message: Message,
        request: CGetRq,
    ) -> None:
        rooms, context = self._rooms, message.context
        try:
            progress = await get(
                rooms.archive,
                self._caller,
                await self._read(association, message, request, Action.GET, self._caller.name),
                AssociationLink(association),
                threads=rooms.threads,
                transcoder=rooms.transcoder,
                block=rooms.settings.block,
                cancelled=lambda: association.cancelled(request.message_id),
                pending=self._pending(association, context, request),
            )
        except AssociationAborted:
            raise
        except LeadglassError as error:
            response = request.response(self._refused(Service.GET, error), None, comment_of(error))
            await association.send(context.id, response)
        else:
            await self._finish(association, context, request, progress)

    async def _move(
        self,
        association: ServerAssociation,
        message: Message,
        request: CMoveRq,
    ) -> None:
        rooms, context = self._rooms, message.context
        try:
            progress = await move(
                rooms.archive,
                self._caller,
                await self._read(association, message, request, Action.MOVE, request.move_destination),
                rooms.destinations,
                calling_ae_title=association.request.calling_ae_title,
                threads=rooms.threads,
                transcoder=rooms.transcoder,
                block=rooms.settings.block,
                cancelled=lambda: association.cancelled(request.message_id),
                pending=self._pending(association, context, request),
            )
        except AssociationAborted:
            raise
        except DestinationUnknown:
            self._counts.refused += 1
            response = request.response(
                Status.MOVE_DESTINATION_UNKNOWN, None, "The move destination is not known here."
            )
            await association.send(context.id, response)
        except LeadglassError as error:
            response = request.response(self._refused(Service.MOVE, error), None, comment_of(error))
            await association.send(context.id, response)
        else:
            await self._finish(association, context, request, progress)

    # --- storage commitment -----------------------------------------------------

    async def _commit(self, association: ServerAssociation, message: Message, request: NActionRq) -> None:
        """Promise an answer to a request for commitment; the answer itself comes as N-EVENT-REPORT."""
        service, context = self._rooms.commitment, message.context
        try:
            await self._rooms.threads.run(service.desk.check, self._caller, request)
            data = await service.desk.read(self._caller, message, self._rooms.threads)
            await self._rooms.threads.run(
                service.desk.ask, self._caller, data, context.transfer_syntax, service.clock()
            )
        except AssociationAborted:
            raise
        except LeadglassError as error:
            await message.discard()
            response = request.response(self._refused(Service.COMMIT, error), comment_of(error))
        else:
            response = request.response(Status.SUCCESS)
        await association.send(context.id, response)
        service.wake()

    async def _read(
        self,
        association: ServerAssociation,
        message: Message,
        request: CGetRq | CMoveRq,
        action: Action,
        to: str,
    ) -> RetrieveRequest:
        context = message.context
        return RetrieveRequest(
            action=action,
            identifier=await message.read(self._rooms.settings.identifier),
            transfer_syntax_uid=context.transfer_syntax,
            root=root_of(context),
            relational=extras(association.request, context.abstract_syntax, self._rooms.services).relational,
            message_id=request.message_id,
            priority=request.priority,
            to=to,
        )

    def _pending(self, association: ServerAssociation, context: AcceptedContext, request: CGetRq | CMoveRq) -> Pending:
        async def send(progress: Progress) -> None:
            response = request.response(Status.PENDING, progress.counts(Status.PENDING))
            await association.send(context.id, response)

        return Pending(send, self._rooms.settings.pending)

    async def _finish(
        self,
        association: ServerAssociation,
        context: AcceptedContext,
        request: CGetRq | CMoveRq,
        progress: Progress,
    ) -> None:
        """Send the last response of a retrieval."""
        self._counts.sent += progress.completed + progress.warning
        self._counts.failed += progress.failed
        status = progress.final_status()
        identifier = progress.failed_identifier()
        if progress.failed:
            LOG.warning(
                "sub-operations failed",
                extra={
                    "session": self._caller.session,
                    "failed": progress.failed,
                    "completed": progress.completed,
                    "reason": progress.reason,
                },
            )
        await association.send(
            context.id,
            request.response(status, progress.counts(status), progress.reason),
            encode_identifier(identifier, context.transfer_syntax) if identifier is not None else None,
        )

    def _refused(self, service: Service, error: LeadglassError) -> Status:
        """Count and log an error; give its status."""
        status = status_of(service, error)
        self._counts.refused += 1
        LOG.warning(
            "request refused",
            extra={
                "session": self._caller.session,
                "service": service.value,
                "status": f"{status:04X}",
                "kind": error.kind.value,
                "reason": error.message,
            },
        )
        return status


def root_of(context: AcceptedContext) -> Root:
    """Give the information model of a Query/Retrieve context."""
    return Root.PATIENT if context.abstract_syntax in sop_classes.PATIENT_ROOT else Root.STUDY
