"""A link: an association, the asker's or one of ours, as a transfer sees it."""

from collections.abc import AsyncIterator, Sequence

from leadglass.doors.dimse.parcel import Accepted
from leadglass.wire.association import Association
from leadglass.wire.messages import Command, CStoreRq


class AssociationLink:
    """Sends instances over an association in which we may be the SCU of their classes.

    Parameters
    ----------
    association : Association
        Which one.
    """

    __slots__ = ("_association",)

    def __init__(self, association: Association) -> None:
        self._association = association

    @property
    def ended(self) -> str | None:
        """How the association ended; None while it lives."""
        return self._association.ended

    def accepted(self, sop_class_uid: str) -> Sequence[Accepted]:
        """Give the contexts over which the receiver takes instances of a class."""
        return [
            Accepted(context.id, context.transfer_syntax)
            for context in self._association.accepted(sop_class_uid, "scu")
        ]

    def next_message_id(self) -> int:
        """Give an unused Message ID."""
        return self._association.next_message_id()

    async def store(self, context_id: int, request: CStoreRq, data: bytes | AsyncIterator[bytes]) -> Command:
        """Send one C-STORE-RQ and wait for its response."""
        return (await self._association.call(context_id, request, data)).command

    async def abort(self, how: str) -> None:
        """Abort the association; ``how`` is what ``ended`` will say."""
        await self._association.abort(how)
