"""Associations over asyncio: who may ask what of whom, and the messages between them.

Rule: one request of the peer is worked on at a time; what must not wait for it
(answers to our own requests, C-CANCEL) is routed past it. A peer's mistake ends
its association and nothing else; a session learns it as ``AssociationAborted``
from what it awaits, and always through ``ended``.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import Final, Literal

from leadglass.wire import command_set
from leadglass.wire.assembly import Assembler, CommandPart, DataPart, Fragmenter, blocks, fragment_size, fragments
from leadglass.wire.contract import Acceptance, Handler, Implementation, Peer, Session
from leadglass.wire.errors import AbortReason, AssociationAborted, ProtocolViolation
from leadglass.wire.fsm import State
from leadglass.wire.items import CommonExtended, Role, UserIdentity
from leadglass.wire.limits import WireLimits
from leadglass.wire.link import Link
from leadglass.wire.machine import (
    AbortIndication,
    AssociateConfirmation,
    AssociateIndication,
    DataIndication,
    Event,
    ProviderAbort,
    ReleaseConfirmation,
    ReleaseIndication,
    Side,
)
from leadglass.wire.messages import CCancelRq, Command, Request, is_pending, status_of
from leadglass.wire.pdu import (
    PDV,
    AssociateAccept,
    AssociateRequest,
    ProposedContext,
    Refusal,
    Rejection,
)
from leadglass.wire.replies import Replies
from leadglass.wire.stream import AcceptedContext, DataStream, Message

__all__ = [
    "Acceptance",
    "AcceptedContext",
    "AssociateRequest",
    "Association",
    "ClientAssociation",
    "CommonExtended",
    "DataStream",
    "Handler",
    "Implementation",
    "Message",
    "Peer",
    "ProposedContext",
    "Refusal",
    "Rejection",
    "Role",
    "ServerAssociation",
    "Session",
    "UserIdentity",
]

_DEFAULT_ROLE: Final = Role(scu=True, scp=False)
RELEASED: Final = "released"


class Association:
    """One association's end, requestor or acceptor; made by ``server`` and ``client``."""

    def __init__(self, side: Side, limits: WireLimits) -> None:
        self._side = side
        self._limits = limits
        self._contexts: dict[int, AcceptedContext] = {}
        self._assembler = Assembler((), limits.command_set)
        self._receiving: DataStream | None = None
        self._unread_reply: DataStream | None = None
        self._requests: deque[Message] = deque()
        self._open_requests: set[int] = set()
        self._cancelled: set[int] = set()
        self._calls: dict[int, Replies] = {}
        self._last_message_id = 0
        self._fragment_size = 0
        self._sending = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        self._release_asked = False
        self._takes_requests = side is Side.ACCEPTOR
        self._negotiation: asyncio.Future[AssociateRequest | AssociateAccept | Rejection] = (
            asyncio.get_running_loop().create_future()
        )
        self._link = Link(side, limits, self._on_event, self._on_end, self._mid_message)
        self._peer: Peer | None = None
        self._request: AssociateRequest | None = None

    # --- what is known -----------------------------------------------------------

    @property
    def link(self) -> Link:
        """The link, for the transport."""
        return self._link

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        assert self._peer is not None  # noqa: S101 - set before anybody gets the association
        return self._peer

    def identify(self, peer: Peer) -> None:
        """Note who the peer is."""
        self._peer = peer

    @property
    def request(self) -> AssociateRequest:
        """What was asked for."""
        assert self._request is not None  # noqa: S101 - set before anybody gets the association
        return self._request

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        """The accepted presentation contexts by id."""
        return self._contexts

    @property
    def ended(self) -> str | None:
        """How the association ended, or ``None`` while it lives."""
        return self._link.ended

    def accepted(self, abstract_syntax: str, role: Literal["scu", "scp"] = "scu") -> list[AcceptedContext]:
        """List the accepted contexts of an abstract syntax in which *this* side may play ``role``."""
        return [
            context
            for context in self._contexts.values()
            if context.abstract_syntax == abstract_syntax and (context.as_scu if role == "scu" else context.as_scp)
        ]

    def cancelled(self, message_id: int) -> bool:
        """Tell whether the peer's request is no longer wanted: a C-CANCEL-RQ came or the association is over."""
        return message_id in self._cancelled or self._link.ended is not None

    def next_message_id(self) -> int:
        """Give a message id that none of our open requests has."""
        while True:
            self._last_message_id = self._last_message_id % 0xFFFF + 1
            if self._last_message_id not in self._calls:
                return self._last_message_id

    # --- sending -------------------------------------------------------------------

    async def send(self, context_id: int, command: Command, data: bytes | AsyncIterable[bytes] | None = None) -> None:
        """Send one message; a data set may be streamed in.

        Command and data set of a small message leave in one write, a large data set in large ones; the caller waits
        while the peer is slow.

        Raises
        ------
        AssociationAborted
            When the association is over.
        ValueError
            When the context was not accepted or the command cannot be written.
        """
        if context_id not in self._contexts:
            raise ValueError("This presentation context was not accepted.")
        raw = command_set.encode(command, has_data_set=data is not None)
        batch: list[bytes | memoryview] = []
        async with self._sending:
            head = Fragmenter(context_id, self._fragment_size, command=True)
            size = head.feed(raw, batch) + head.finish(batch)
            if data is None:
                self._link.send(batch)
            elif isinstance(data, bytes | bytearray | memoryview):
                await self._send_data(context_id, batch, size, blocks(memoryview(data), self._limits.write_batch))
            else:
                await self._send_data(context_id, batch, size, data)
            await self._link.drain()

    async def send_all(self, context_id: int, messages: Iterable[tuple[Command, bytes]]) -> None:
        """Send several small messages with their data sets in one write; raises as ``send``."""
        if context_id not in self._contexts:
            raise ValueError("This presentation context was not accepted.")
        batch: list[bytes | memoryview] = []
        for command, data in messages:
            fragments(context_id, self._fragment_size, command_set.encode(command, has_data_set=True), data, into=batch)
        async with self._sending:
            self._link.send(batch)
            await self._link.drain()

    async def _send_data(
        self, context_id: int, batch: list[bytes | memoryview], size: int, blocks: AsyncIterable[bytes | memoryview]
    ) -> None:
        begun = False
        fragmenter = Fragmenter(context_id, self._fragment_size, command=False)
        try:
            async for block in blocks:
                size += fragmenter.feed(block, batch)
                if size >= self._limits.write_batch:
                    begun = True
                    self._link.send(batch)
                    batch = []
                    size = 0
                    await self._link.drain()
            fragmenter.finish(batch)
            self._link.send(batch)
        except BaseException:
            if begun:
                # Half a message is on the wire and its rest will not come: there is no other way out.
                self._link.abort("a data set could not be sent to its end")
            raise

    async def call(
        self,
        context_id: int,
        command: Request,
        data: bytes | AsyncIterable[bytes] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of the wire, not of the caller's task
    ) -> Message:
        """Send a request of ours and wait for its response.

        Parameters
        ----------
        timeout : float, optional
            seconds; ``WireLimits.response`` when not given. When it passes the association is aborted.

        Raises
        ------
        AssociationAborted
            When the association ended, or no answer came in time.
        """
        replies = self._open_call(command)
        try:
            await self.send(context_id, command, data)
            return await self._reply(replies, timeout)
        finally:
            self._calls.pop(command.message_id, None)

    async def exchange(
        self,
        context_id: int,
        command: Request,
        data: bytes | AsyncIterable[bytes] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as in call
    ) -> AsyncGenerator[Message, None]:
        """Send a request of ours and give its responses, the last one included.

        Whoever stops early cancels the request; its remaining responses are swallowed.

        Raises
        ------
        AssociationAborted
            When the association ended, or no answer came in time.
        """
        replies = self._open_call(command)
        final = False
        try:
            await self.send(context_id, command, data)
            while not final:
                message = await self._reply(replies, timeout)
                final = not is_pending(status_of(message.command))
                if final:
                    self._calls.pop(command.message_id, None)
                yield message
                if message.data is not None:
                    message.data.abandon()
        finally:
            if not final:
                self._abandon(context_id, command.message_id, replies)

    def cancel(self, context_id: int, message_id: int) -> None:
        """Send C-CANCEL-RQ for a request of ours; its last response will say that it was cancelled."""
        batch: list[bytes | memoryview] = []
        fragmenter = Fragmenter(context_id, self._fragment_size, command=True)
        raw = command_set.encode(CCancelRq(message_id_being_responded_to=message_id), has_data_set=False)
        fragmenter.feed(raw, batch)
        fragmenter.finish(batch)
        self._link.send(batch)

    async def abort(self, how: str = "aborted by us") -> None:
        """Abort the association; ``how`` is what ``ended`` will say."""
        self._link.abort(how)

    def _open_call(self, command: Request) -> Replies:
        if command.message_id in self._calls:
            raise ValueError("A request of ours with this message id is open.")
        if self._link.ended is not None:
            raise AssociationAborted(f"The association is over: {self._link.ended}.")
        if self._unread_reply is not None and not self._unread_reply.complete:
            self._unread_reply.abandon()  # what nobody reads would keep the next response from coming
        self._unread_reply = None
        replies = self._calls[command.message_id] = Replies()
        return replies

    async def _reply(self, replies: Replies, seconds: float | None) -> Message:
        seconds = self._limits.response if seconds is None else seconds
        try:
            message = await replies.next(seconds)
        except TimeoutError:
            self._link.abort(f"timeout: no response within {seconds:g} seconds")
            raise AssociationAborted(f"The peer did not answer within {seconds:g} seconds.") from None
        except asyncio.CancelledError:
            # Its answer would come to nobody.
            self._link.abort("a request was given up")
            raise
        self._unread_reply = message.data
        return message

    def _abandon(self, context_id: int, message_id: int, replies: Replies) -> None:
        if self._link.ended is not None or self._link.state is not State.Sta6 or self._sending.locked():
            self._calls.pop(message_id, None)
            return
        replies.abandoned = True
        for message in replies.messages:
            if message.data is not None:
                message.data.abandon()
        replies.messages.clear()
        self.cancel(context_id, message_id)

    # --- the peer's requests -------------------------------------------------------

    async def next_request(self) -> Message | None:
        """Wait for the peer's next request; ``None`` when it asked for release.

        Raises
        ------
        AssociationAborted
            When the association ended otherwise.
        """
        while True:
            if self._link.ended is not None:
                raise AssociationAborted(f"The association is over: {self._link.ended}.")
            if self._requests:
                self._link.idle(idle=False)
                return self._requests.popleft()
            if self._release_asked:
                return None
            self._link.idle(idle=True)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def respond_release(self) -> None:
        """Agree to the release the peer asked for."""
        self._link.respond_release()
        self._link.end(RELEASED)

    def finished(self, message: Message) -> None:
        """Note that a request of the peer was answered."""
        message_id = getattr(message.command, "message_id", None)
        if isinstance(message_id, int):
            self._open_requests.discard(message_id)
            self._cancelled.discard(message_id)

    # --- events ----------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case DataIndication():
                for pdv in event.pdvs:
                    if self._link.ended is not None:
                        return
                    self._on_pdv(pdv)
            case AssociateIndication():
                if not self._negotiation.done():
                    self._negotiation.set_result(event.request)
            case AssociateConfirmation():
                # Taken over at once: the peer's first message may be in the same read.
                if isinstance(event.answer, AssociateAccept):
                    self._establish(event.answer)
                if not self._negotiation.done():
                    self._negotiation.set_result(event.answer)
            case ReleaseIndication():
                self._on_release()
            case ReleaseConfirmation() | AbortIndication() | ProviderAbort():
                self._on_over(event)

    def _on_over(self, event: ReleaseConfirmation | AbortIndication | ProviderAbort) -> None:
        match event:
            case ReleaseConfirmation():
                if self._link.state is State.Sta12:
                    self._link.respond_release()
                self._link.end(RELEASED)
            case AbortIndication():
                by = "the peer" if event.source == 0 else f"the peer's upper layer (reason {event.reason})"
                self._link.end(f"aborted by {by}")
            case ProviderAbort():
                how = event.text.rstrip(".")
                self._link.end(f"protocol violation: {how}" if event.violation is not None else how)

    def _on_release(self) -> None:
        if self._mid_message():
            self._link.violated(
                ProtocolViolation("An A-RELEASE-RQ came in the middle of a message.", AbortReason.UNEXPECTED_PDU)
            )
        elif self._link.state is State.Sta9:
            self._link.respond_release()
        elif self._link.state is State.Sta8:
            self._release_asked = True
            if not self._takes_requests:
                self._link.respond_release()
                self._link.end(RELEASED)
            self._wake()

    def _on_pdv(self, pdv: PDV) -> None:
        try:
            part = self._assembler.feed(pdv)
            if isinstance(part, CommandPart):
                self._on_command(part)
        except ProtocolViolation as violation:
            self._link.violated(violation)
            return
        if isinstance(part, DataPart) and self._receiving is not None:
            stream = self._receiving
            if part.is_last:
                self._receiving = None
            stream.put(part.fragment, last=part.is_last)

    def _on_command(self, part: CommandPart) -> None:
        stream = DataStream(self._link.buffered) if part.has_data_set else None
        self._receiving = stream
        message = Message(self._contexts[part.context_id], part.command, stream)
        command = part.command
        if isinstance(command, CCancelRq):
            if stream is not None:
                raise ProtocolViolation("A C-CANCEL-RQ has a data set.")
            if command.message_id_being_responded_to in self._open_requests:
                self._cancelled.add(command.message_id_being_responded_to)
        elif isinstance(command, Request):
            self._on_request(message, command.message_id)
        else:
            self._on_response(message, command.message_id_being_responded_to)

    def _on_request(self, message: Message, message_id: int) -> None:
        if not self._takes_requests:
            raise ProtocolViolation("A request came to a side that takes none.", AbortReason.UNEXPECTED_PDU_PARAMETER)
        if message_id in self._open_requests:
            raise ProtocolViolation("A message id was used again before its request was answered.")
        if len(self._requests) >= self._limits.queued_requests:
            raise ProtocolViolation("Too many requests came at once.", AbortReason.UNEXPECTED_PDU_PARAMETER)
        self._open_requests.add(message_id)
        self._requests.append(message)
        self._wake()

    def _on_response(self, message: Message, message_id: int) -> None:
        replies = self._calls.get(message_id)
        if replies is None:
            raise ProtocolViolation("A response came to no request of ours.", AbortReason.UNEXPECTED_PDU_PARAMETER)
        if replies.abandoned:
            if message.data is not None:
                message.data.abandon()
            if not is_pending(status_of(message.command)):
                del self._calls[message_id]
            return
        replies.messages.append(message)
        replies.wake()

    def _on_end(self, how: str) -> None:
        if self._receiving is not None:
            self._receiving.fail(how)
        for replies in self._calls.values():
            replies.failure = how
            replies.wake()
        if not self._negotiation.done():
            self._negotiation.set_exception(AssociationAborted(f"There is no association: {how}."))
            self._negotiation.exception()  # it is asked for by whoever waits; nobody may be waiting any more
        self._wake()

    def _mid_message(self) -> bool:
        return self._assembler.mid_message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- negotiation -------------------------------------------------------------------

    def _establish(self, answer: AssociateAccept) -> None:
        """Take over what was negotiated; PDVs are looked at from now on."""
        request = self.request
        requestor = self._side is Side.REQUESTOR
        for proposed in request.contexts:
            syntax = answer.contexts.get(proposed.id)
            if syntax is None or isinstance(syntax, Refusal):
                continue
            role = _DEFAULT_ROLE
            asked, agreed = request.roles.get(proposed.abstract_syntax), answer.roles.get(proposed.abstract_syntax)
            if asked is not None and agreed is not None:
                role = Role(asked.scu and agreed.scu, asked.scp and agreed.scp)
            as_scu, as_scp = (role.scu, role.scp) if requestor else (role.scp, role.scu)
            self._contexts[proposed.id] = AcceptedContext(proposed.id, proposed.abstract_syntax, syntax, as_scu, as_scp)
        self._assembler = Assembler(self._contexts.keys(), self._limits.command_set)
        peer_max = answer.max_length if requestor else request.max_length
        self._fragment_size = fragment_size(peer_max, self._limits.write_batch)


class ServerAssociation(Association):
    """An association that a peer asked us for."""

    def __init__(self, limits: WireLimits) -> None:
        super().__init__(Side.ACCEPTOR, limits)

    async def requested(self) -> AssociateRequest:
        """Wait for the A-ASSOCIATE-RQ.

        Raises
        ------
        AssociationAborted
            When the connection ended, or something else came.
        """
        request = await self._negotiation
        assert isinstance(request, AssociateRequest)  # noqa: S101 - an acceptor gets nothing else
        self._request = request
        return request

    def accept(self, acceptance: Acceptance, implementation: Implementation) -> None:
        """Answer A-ASSOCIATE-AC.

        Raises
        ------
        ValueError
            When the acceptance gives a transfer syntax that was not proposed.
        """
        request = self.request
        contexts: dict[int, str | Refusal] = {}
        for proposed in request.contexts:
            answer = acceptance.contexts.get(proposed.id, Refusal.ABSTRACT_SYNTAX_NOT_SUPPORTED)
            if not isinstance(answer, Refusal) and answer not in proposed.transfer_syntaxes:
                raise ValueError("An accepted transfer syntax was not proposed.")
            contexts[proposed.id] = answer
        identity = request.user_identity
        wants_response = identity is not None and identity.positive_response_requested
        pdu = AssociateAccept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            contexts=contexts,
            max_length=self._limits.max_pdu,
            implementation_class_uid=implementation.class_uid,
            implementation_version_name=implementation.version_name,
            async_ops=acceptance.async_ops if request.async_ops is not None else None,
            roles={uid: role for uid, role in acceptance.roles.items() if uid in request.roles},
            extended=acceptance.extended,
            user_identity_response=(acceptance.user_identity_response or b"") if wants_response else None,
        )
        self._establish(pdu)
        self._link.accept(pdu)

    def reject(self, rejection: Rejection) -> None:
        """Answer A-ASSOCIATE-RJ."""
        self._link.reject(rejection)
        self._link.end(f"rejected: {rejection.text}")


class ClientAssociation(Association):
    """An association that we asked a peer for."""

    def __init__(self, limits: WireLimits, *, takes_requests: bool = False) -> None:
        super().__init__(Side.REQUESTOR, limits)
        self._takes_requests = takes_requests
        self._answer: AssociateAccept | None = None

    @property
    def answer(self) -> AssociateAccept:
        """What the peer agreed to."""
        assert self._answer is not None  # noqa: S101 - set before anybody gets the association
        return self._answer

    def start(self, peer: Peer, request: AssociateRequest) -> None:
        """Note what will be asked as soon as there is a connection."""
        self._peer = peer
        self._request = request
        self._link.associate(request)

    async def answered(self) -> AssociateAccept | Rejection:
        """Wait for the peer's answer.

        Raises
        ------
        AssociationAborted
            When the connection ended instead.
        """
        answer = await self._negotiation
        assert not isinstance(answer, AssociateRequest)  # noqa: S101 - a requestor gets nothing else
        if isinstance(answer, AssociateAccept):
            self._answer = answer
        return answer

    async def release(self) -> None:
        """Release the association and wait for the connection to close; does nothing when it is over."""
        if self._link.ended is None:
            self._link.release()
        await self._link.closed
