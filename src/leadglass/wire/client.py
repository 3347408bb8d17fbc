"""The asking side: one association to a peer, as a context manager.

Rule: leaving the block releases the association, leaving it by an exception
aborts it. What goes wrong is one of ``ConnectionFailed``, ``AssociationRejected``
and ``AssociationAborted``.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from errno import ECONNREFUSED
from ipaddress import IPv4Address, ip_address
from os import strerror
from typing import Protocol

from leadglass.wire.association import ClientAssociation, Implementation, Message, Peer
from leadglass.wire.errors import AssociationAborted, AssociationRejected, ConnectionFailed, place
from leadglass.wire.items import CommonExtended, Role, UserIdentity
from leadglass.wire.limits import WireLimits
from leadglass.wire.pdu import AssociateRequest, ProposedContext, Rejection
from leadglass.wire.tls import Tls, tls_failure


class ClientSession(Protocol):
    """What answers the requests a peer sends us on our own association (C-STORE of a C-GET, N-EVENT-REPORT)."""

    async def message(self, association: ClientAssociation, message: Message) -> None:
        """Work on one request; the next one comes when this has returned."""
        ...


def propose(*wanted: tuple[str, Iterable[str]]) -> tuple[ProposedContext, ...]:
    """Give presentation contexts their ids; each is a pair of an abstract syntax and its transfer syntaxes.

    Raises
    ------
    ValueError
        When there are more than 128, which an A-ASSOCIATE-RQ cannot carry.
    """
    if len(wanted) > 128:
        raise ValueError("An association has at most 128 presentation contexts.")
    return tuple(
        ProposedContext(2 * index + 1, abstract_syntax, tuple(transfer_syntaxes))
        for index, (abstract_syntax, transfer_syntaxes) in enumerate(wanted)
    )


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    calling: str,
    called: str,
    contexts: Sequence[ProposedContext],
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    limits: WireLimits | None = None,
    user_identity: UserIdentity | None = None,
    roles: Mapping[str, Role] | None = None,
    extended: Mapping[str, bytes] | None = None,
    common_extended: Mapping[str, CommonExtended] | None = None,
    async_ops: tuple[int, int] | None = None,
    session: ClientSession | None = None,
    implementation: Implementation | None = None,
) -> AsyncGenerator[ClientAssociation, None]:
    """Ask a peer for an association.

    Parameters
    ----------
    calling, called : str
        AE titles.
    tls : ssl.SSLContext, optional
        Client side; without it plain DICOM is spoken.
    server_hostname : str, optional
        The name the peer's certificate has to have; ``host`` when not given.
    session : ClientSession, optional
        Answers the peer's requests; without it they abort the association.

    Raises
    ------
    ConnectionFailed
        When there is no connection.
    AssociationRejected
        When the peer answers A-ASSOCIATE-RJ.
    AssociationAborted
        When the peer, the network or a deadline ends it.
    """
    limits = limits or WireLimits()
    implementation = implementation or Implementation()
    request = AssociateRequest(
        called_ae_title=called,
        calling_ae_title=calling,
        contexts=tuple(contexts),
        max_length=limits.max_pdu,
        implementation_class_uid=implementation.class_uid,
        implementation_version_name=implementation.version_name,
        async_ops=async_ops,
        roles=roles or {},
        extended=extended or {},
        common_extended=common_extended or {},
        user_identity=user_identity,
    )
    association = ClientAssociation(limits, takes_requests=session is not None)
    association.start(Peer(IPv4Address(0), port, tls is not None), request)
    await _open(association, host, port, tls, server_hostname, limits)
    serving: asyncio.Task[None] | None = None
    try:
        await _agree(association, limits)
        if session is not None:
            serving = asyncio.get_running_loop().create_task(_serve(association, session))
        yield association
        await association.release()
    except BaseException:
        await association.abort("given up by us")
        raise
    finally:
        if serving is not None:
            serving.cancel()
            await asyncio.wait([serving])
        await _close(association, limits)


async def _open(
    association: ClientAssociation,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    server_hostname: str | None,
    limits: WireLimits,
) -> None:
    loop = asyncio.get_running_loop()
    secured: Tls | None = None
    try:
        async with asyncio.timeout(limits.connect):
            if tls is None:
                await loop.create_connection(lambda: association.link, host, port)
            else:
                layer = secured = Tls(tls, association.link, server_side=False, server_hostname=server_hostname or host)
                await loop.create_connection(lambda: layer, host, port)
        if secured is not None:
            async with asyncio.timeout(limits.tls_handshake):
                await secured.ready
    except BaseException as error:
        if secured is not None:
            secured.abort()
        if isinstance(error, OSError):
            in_tls = secured is not None and secured.connected
            refused = f"[Errno {ECONNREFUSED}]" in str(error)  # with several addresses the text alone says so
            raise ConnectionFailed(_failure(error, secured, limits), in_tls=in_tls, refused=refused) from None
        raise
    transport = association.link.transport
    if transport is not None:
        association.identify(_peer(transport, port, tls=tls is not None))


def _failure(error: OSError, secured: Tls | None, limits: WireLimits) -> str:
    if secured is not None and secured.connected:
        return f"{tls_failure(error)}."
    if isinstance(error, TimeoutError):
        return f"No connection within {limits.connect:g} seconds."
    # What asyncio writes there names the address once more; a name that is not known has a number of its own.
    known = error.errno is not None and error.errno > 0
    return f"No connection: {strerror(error.errno or 0) if known else error.strerror or type(error).__name__}."


async def _agree(association: ClientAssociation, limits: WireLimits) -> None:
    try:
        async with asyncio.timeout(limits.negotiation):
            answer = await association.answered()
    except TimeoutError:
        raise AssociationAborted(f"The peer did not answer within {limits.negotiation:g} seconds.") from None
    if isinstance(answer, Rejection):
        raise AssociationRejected(answer.result, answer.source, answer.reason, answer.text)


async def _serve(association: ClientAssociation, session: ClientSession) -> None:
    try:
        while (message := await association.next_request()) is not None:
            await session.message(association, message)
            await message.discard()
            association.finished(message)
        association.respond_release()
    except AssociationAborted:
        pass  # whoever uses the association learns it from what it awaits
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the border: whoever uses the association learns it as its end
        await association.abort(f"a request of the peer could not be answered: {place(error)}")


async def _close(association: ClientAssociation, limits: WireLimits) -> None:
    """Wait for the connection to go, but not longer than it may linger."""
    closed = association.link.closed
    if not closed.done():
        await asyncio.wait([closed], timeout=limits.linger + 1.0)
    if association.link.transport is not None:
        association.link.transport.abort()


def _peer(transport: asyncio.Transport, port: int, *, tls: bool) -> Peer:
    name = transport.get_extra_info("peername")
    address = ip_address(str(name[0]).partition("%")[0]) if name else IPv4Address(0)
    secured = transport.get_extra_info("ssl_object")
    if isinstance(secured, ssl.SSLObject):
        return Peer(address, port, tls, secured.getpeercert(binary_form=True), secured.version())
    return Peer(address, port, tls)
