"""What a listener asks of whoever uses it: the handler that decides, the session that answers.

Rule: both are asked in the order things happen, never twice at once for one
association, and neither can harm another association by being slow or by failing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Protocol

from leadglass.wire.items import Role
from leadglass.wire.pdu import AssociateRequest, Refusal, Rejection
from leadglass.wire.stream import Message

if TYPE_CHECKING:
    from leadglass.wire.association import ServerAssociation


@dataclass(frozen=True, slots=True)
class Implementation:
    """What we say we are (PS3.7 D.3.3.2)."""

    class_uid: str = "2.25.104558810232681489379544044640554636717"
    version_name: str = "LEADGLASS_0_1"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as far as the network knows.

    Attributes
    ----------
    address : IPv4Address or IPv6Address
        An IPv4-mapped IPv6 address is given as the IPv4 address it is.
    certificate : bytes, optional
        DER of the certificate that TLS verified.
    """

    address: IPv4Address | IPv6Address
    port: int
    tls: bool = False
    certificate: bytes | None = None
    tls_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Our answer to an A-ASSOCIATE-RQ.

    Attributes
    ----------
    contexts : mapping of context id to transfer syntax or Refusal
        A proposed context that is missing is refused as "abstract syntax not supported".
    roles : mapping of SOP class UID to Role
        Roles of the *requestor* that we agree to; only for SOP classes it proposed roles for.
    async_ops : tuple of int, optional
        (invoked, performed) we agree to; ``None`` is one each (PS3.7 D.3.3.3).
    user_identity_response : bytes, optional
        Sent when the requestor asked for a positive response.
    """

    contexts: Mapping[int, str | Refusal]
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    extended: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    async_ops: tuple[int, int] | None = None
    user_identity_response: bytes | None = None


class Session(Protocol):
    """What answers one association."""

    async def begun(self, association: "ServerAssociation") -> None:
        """Learn that the association is open; called once, before its first request, and not if it never opened."""
        ...

    async def message(self, association: "ServerAssociation", message: Message) -> None:
        """Work on one request; the next one comes when this has returned."""
        ...

    async def ended(self, how: str) -> None:
        """Learn how the association ended; called exactly once."""
        ...


class Handler(Protocol):
    """What decides for one listener."""

    async def peer_connected(self, address: IPv4Address | IPv6Address) -> str | None:
        """Say ``None`` to go on, or why the connection is closed at once (before TLS); the handler records it."""
        ...

    async def connection_failed(self, peer: Peer, reason: str) -> None:
        """Learn that a connection did not become an association, and why."""
        ...

    async def association_requested(
        self, peer: Peer, request: AssociateRequest
    ) -> tuple[Acceptance, Session] | Rejection:
        """Decide."""
        ...
