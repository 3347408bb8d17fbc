"""The listening side: accepts connections, shakes hands, serves associations.

Rule: each connection lives in a task of its own and waits for nobody else's
handshake, certificate or first byte. Nothing a peer does ends in a traceback; what
does not become an association is reported to ``Handler.connection_failed``.
"""

import asyncio
import logging
import socket
import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from leadglass.wire.admission import Admission
from leadglass.wire.association import (
    Acceptance,
    Handler,
    Implementation,
    Peer,
    ServerAssociation,
    Session,
)
from leadglass.wire.errors import AssociationAborted, place
from leadglass.wire.limits import WireLimits
from leadglass.wire.listener import Listener
from leadglass.wire.pdu import LOCAL_LIMIT_EXCEEDED, TEMPORARY_CONGESTION, AssociateRequest, Rejection
from leadglass.wire.sockets import first_byte, has_spoken
from leadglass.wire.tls import Tls, tls_failure

_CANCELS: Final = 3
"""times a session is asked to stop before ``close`` no longer waits for it"""
_REPORT_EVERY: Final = 60.0
"""seconds between two reports that connections of one address are being evicted"""
_REPORTS_AT_ONCE: Final = 64
"""such reports under way; who is evicted meanwhile is reported the next time"""
_TLS_RECORD: Final = 0x16
_ASSOCIATE_RQ: Final = 0x01


class DicomServer:
    """Serves DICOM associations.

    Parameters
    ----------
    handler : Handler
        Decides who may connect and what an association may do.
    limits : WireLimits
        What a peer may cost.
    implementation : Implementation
        What we say we are.
    """

    def __init__(
        self,
        handler: Handler,
        limits: WireLimits | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        self._handler = handler
        self._limits = limits or WireLimits()
        self._implementation = implementation or Implementation()
        self._log = logging.getLogger("leadglass.wire")
        self._admission = Admission(
            pending=self._limits.pending,
            pending_per_address=self._limits.pending_per_address,
            associations=self._limits.associations,
            associations_per_address=self._limits.associations_per_address,
        )
        self._listeners: list[Listener] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._peers: dict[int, Peer] = {}
        self._associated: dict[int, ServerAssociation] = {}
        self._numbers = 0
        self._reported: dict[IPv4Address | IPv6Address, float] = {}
        self._reports: set[asyncio.Task[None]] = set()

    @property
    def associations(self) -> int:
        """Established associations."""
        return len(self._associated)

    @property
    def connections(self) -> int:
        """Connections, with and without an association."""
        return len(self._tasks)

    # --- life ----------------------------------------------------------------------

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen on one address; may be called for several.

        Parameters
        ----------
        host : str
            An address or a name that resolves to one; the first it resolves to is used.
        port : int
            0 for any free port.
        tls : ssl.SSLContext, optional
            Server side; without it the listener is for plain DICOM.

        Returns
        -------
        tuple of str and int
            The address and port that are listened on.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """

        def begin(connection: socket.socket, address: str, port: int) -> None:
            self._begin(connection, address, port, tls)

        listener = await Listener.open(host, port, self._limits.backlog, begin)
        self._listeners.append(listener)
        return listener.bound

    async def close(self, grace: float = 5.0) -> None:
        """Stop listening, let associations end by themselves for ``grace`` seconds, then abort them."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for number, task in list(self._tasks.items()):
            if number not in self._associated:
                task.cancel()
        if self._associated and grace > 0:
            await asyncio.wait([self._tasks[number] for number in self._associated], timeout=grace)
        for number, association in list(self._associated.items()):
            await association.abort("the archive is shutting down")
            # The session may be in the middle of its work: it gets a moment to see the abort, then it is cancelled.
            loop.call_later(min(1.0, self._limits.linger), self._tasks[number].cancel)
        for _ in range(_CANCELS):
            left = [*self._tasks.values(), *self._reports]
            if left:
                await asyncio.wait(left, timeout=self._limits.linger + 1.0)
            for task in [*self._tasks.values(), *self._reports]:
                task.cancel()

    # --- accepting ------------------------------------------------------------------

    def _begin(self, connection: socket.socket, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        address = _address(host)
        self._numbers += 1
        number = self._numbers
        peer = Peer(address, port)
        evicted = self._admission.arrive(address, number)
        if has_spoken(connection):
            self._admission.spoke(number)
        if evicted is not None and evicted in self._tasks:
            self._tasks[evicted].cancel()
            self._report_eviction(self._peers[evicted])
        task = asyncio.get_running_loop().create_task(
            self._connection(number, connection, peer, tls), name=f"dicom-{number}"
        )
        self._tasks[number] = task
        self._peers[number] = peer

        def gone(_: asyncio.Task[None]) -> None:
            # Here and not in the task, because a task that is cancelled before its first step never runs.
            self._admission.leave(number)
            connection.close()
            del self._tasks[number], self._peers[number]

        task.add_done_callback(gone)

    async def _connection(self, number: int, connection: socket.socket, peer: Peer, tls: ssl.SSLContext | None) -> None:
        """Live one connection from its first to its last moment."""
        association: ServerAssociation | None = None
        try:
            if await self._handler.peer_connected(peer.address) is not None:
                return
            association = await self._shake_hands(number, connection, peer, tls)
            if association is not None:
                await self._negotiate(number, association)
        except asyncio.CancelledError:
            pass  # evicted or shutting down: it is our own cancel, and this task is the only one that ends by it
        except Exception as error:  # noqa: BLE001 - the border: a handler's fault ends one connection, not the server
            self._log.error("A connection failed in the handler: %s", place(error))
        finally:
            if association is not None and association.link.transport is not None:
                association.link.transport.abort()

    def _report_eviction(self, peer: Peer) -> None:
        """Tell once a minute and address, and let nobody wait for it: a flood must not become a flood of records."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._reported and now - next(iter(self._reported.values())) >= _REPORT_EVERY:
            del self._reported[next(iter(self._reported))]  # a dict keeps its order: the oldest is first
        if peer.address in self._reported or len(self._reports) >= _REPORTS_AT_ONCE:
            return
        self._reported[peer.address] = now
        reason = "too many connections without an association; the oldest silent ones are closed"
        report = loop.create_task(self._failed(peer, reason), name="dicom-eviction")
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)

    # --- handshakes -------------------------------------------------------------------

    async def _shake_hands(
        self, number: int, connection: socket.socket, peer: Peer, tls: ssl.SSLContext | None
    ) -> ServerAssociation | None:
        """Go from a connection to a link that waits for its A-ASSOCIATE-RQ."""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.artim):
                first = await first_byte(connection)
        except TimeoutError:
            await self._failed(peer, f"nothing was sent within {limits.artim:g} seconds")
            return None
        except OSError:
            first = None
        if first is None:
            await self._failed(peer, "the peer closed the connection without sending anything")
            return None
        self._admission.spoke(number)
        if tls is not None and first != _TLS_RECORD:
            dicom = first == _ASSOCIATE_RQ
            await self._failed(peer, "plain DICOM on the port for TLS" if dicom else "the peer does not speak TLS")
            return None
        association = ServerAssociation(limits)
        loop = asyncio.get_running_loop()
        if tls is None:
            await loop.connect_accepted_socket(lambda: association.link, connection)
            association.identify(peer)
            return association
        secured = Tls(tls, association.link, server_side=True)
        await loop.connect_accepted_socket(lambda: secured, connection)
        try:
            async with asyncio.timeout(limits.tls_handshake):
                await secured.ready
        except OSError as error:
            await self._failed(peer, tls_failure(error))
            if not isinstance(error, TimeoutError):
                await asyncio.wait([secured.closed], timeout=limits.linger)
            secured.abort()
            return None
        except asyncio.CancelledError:
            secured.abort()
            raise
        association.identify(_with_tls(peer, association))
        return association

    async def _negotiate(self, number: int, association: ServerAssociation) -> None:
        """Go from a link to an association, serve it, and wait until its connection is gone.

        It is counted until then: as an association when it was accepted, otherwise as a connection without one.
        """
        peer = association.peer
        closed = association.link.closed
        try:
            request = await association.requested()
        except AssociationAborted:
            await self._failed(peer, association.ended or "the connection was lost")
            await asyncio.shield(closed)
            return
        if association.ended is not None:  # it came with its end: nobody waits for what would be decided
            await self._failed(peer, association.ended)
            await asyncio.shield(closed)
            return
        if not self._admission.associate(peer.address):
            association.reject(LOCAL_LIMIT_EXCEEDED)
            await self._failed(peer, "the limit of associations is reached")
            await asyncio.shield(closed)
            return
        try:
            session = await self._decide(association, request)
            if session is not None:
                self._admission.welcome(peer.address)
                self._admission.leave(number)
                self._associated[number] = association
                await self._serve(association, session)
                await asyncio.shield(closed)
        finally:
            self._associated.pop(number, None)
            self._admission.dissociate(peer.address)
        await asyncio.shield(closed)

    async def _decide(self, association: ServerAssociation, request: AssociateRequest) -> Session | None:
        """Ask the handler and answer the peer."""
        try:
            decision = await self._handler.association_requested(association.peer, request)
        except Exception as error:  # noqa: BLE001 - the border: a handler's fault is a rejection
            self._log.error("The handler failed to decide: %s", place(error))
            decision = TEMPORARY_CONGESTION
        if isinstance(decision, Rejection):
            association.reject(decision)
            return None
        acceptance, session = decision
        return session if await self._answer(association, acceptance, session) else None

    async def _answer(self, association: ServerAssociation, acceptance: Acceptance, session: Session) -> bool:
        if association.ended is not None:
            await self._tell_end(session, association.ended)
            return False
        try:
            association.accept(acceptance, self._implementation)
        except ValueError as error:
            self._log.error("The handler's acceptance cannot be sent: %s", place(error))
            association.reject(TEMPORARY_CONGESTION)
            await self._tell_end(session, association.ended or "")
            return False
        return True

    # --- serving ----------------------------------------------------------------------

    async def _serve(self, association: ServerAssociation, session: Session) -> None:
        """Give the session one request after the other until the association ends."""
        try:
            await session.begun(association)
            while (message := await association.next_request()) is not None:
                await session.message(association, message)
                await message.discard()
                association.finished(message)
            association.respond_release()
        except AssociationAborted:
            pass  # ``ended`` says how
        except asyncio.CancelledError:
            await association.abort("the archive is shutting down")
        except Exception as error:  # noqa: BLE001 - the border: a session's fault ends its association
            self._log.error("A session failed: %s", place(error))
            await association.abort(f"the session failed: {place(error)}")
        finally:
            if association.ended is None:
                await association.abort("the session gave up")
            await self._tell_end(session, association.ended or "")

    async def _tell_end(self, session: Session, how: str) -> None:
        try:
            await session.ended(how)
        except Exception as error:  # noqa: BLE001 - the border, as above
            self._log.error("A session failed at its end: %s", place(error))

    async def _failed(self, peer: Peer, reason: str) -> None:
        try:
            await self._handler.connection_failed(peer, reason)
        except Exception as error:  # noqa: BLE001 - the border, as above
            self._log.error("The handler failed to take a report: %s", place(error))


def _address(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _with_tls(peer: Peer, association: ServerAssociation) -> Peer:
    transport = association.link.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    if not isinstance(tls, ssl.SSLObject):
        return Peer(peer.address, peer.port, tls=True)
    return Peer(peer.address, peer.port, True, tls.getpeercert(binary_form=True), tls.version())  # noqa: FBT003
