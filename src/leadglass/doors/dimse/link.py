"""A link: an association, our own or the asker's, as a transfer sees it."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from leadglass.doors.dimse.parcel import Accepted
from leadglass.wire.association import AcceptedContext, Message
from leadglass.wire.messages import Command, CStoreRq


class Association(Protocol):
    """What a server's and a client's association have in common."""

    def accepted(self, abstract_syntax: str, role: Literal["scu", "scp"] = "scu") -> Sequence[AcceptedContext]:
        """Give the accepted contexts of a class in which the association's requestor has a role."""
        ...

    def next_message_id(self) -> int:
        """Give an unused Message ID."""
        ...

    async def call(self, context_id: int, command: CStoreRq, data: bytes | AsyncIterator[bytes]) -> Message:
        """Send a request and wait for its response."""
        ...


class AssociationLink:
    """Sends instances over an association.

    Parameters
    ----------
    association : Association
        Which one.
    role : str
        The role of the association's requestor in it: ``scp`` on the
        association of a C-GET, where the requestor receives, ``scu`` on ours.
    """

    __slots__ = ("_association", "_role")

    def __init__(self, association: Association, role: Literal["scu", "scp"]) -> None:
        self._association = association
        self._role: Literal["scu", "scp"] = role

    def accepted(self, sop_class_uid: str) -> Sequence[Accepted]:
        """Give the contexts over which the receiver takes instances of a class."""
        return [
            Accepted(context.id, context.transfer_syntax)
            for context in self._association.accepted(sop_class_uid, self._role)
        ]

    def next_message_id(self) -> int:
        """Give an unused Message ID."""
        return self._association.next_message_id()

    async def store(self, context_id: int, request: CStoreRq, data: bytes | AsyncIterator[bytes]) -> Command:
        """Send one C-STORE-RQ and wait for its response."""
        return (await self._association.call(context_id, request, data)).command
