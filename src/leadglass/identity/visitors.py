"""Visitors: who may speak on the web at all, and who was turned away; whoever that is hears nothing of why.

Rule 1. An address that is not local is refused unless the operator listed its
network (``peers``). Rule 2. Every refusal goes on record with its true reason, and
a flood of them cannot fill the log (``audit.refusals``).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.refusals import Refusals
from leadglass.identity.peers import IpAddress, IpNetwork, refuse_peer

DOOR: Final = "web"


class Why(StrEnum):
    """The kinds of refusal; repeats of one kind by one peer are counted together."""

    NOT_LOCAL = "not local"
    FAILED = "failed"
    NOBODY = "nobody"
    """Evidence was shown and proves nobody."""
    NOTHING_SHOWN = "nothing shown"
    OTHER_HOST = "called by another name"
    PROXY = "a proxy did not say for whom"


class Visitors:
    """Decides which peers may speak on the web, and puts on record who was turned away.

    Parameters
    ----------
    refusals : Refusals
        Where that is recorded.
    allowed_networks : iterable of networks
        What the operator listed beyond the local networks.
    """

    def __init__(self, refusals: Refusals, *, allowed_networks: Iterable[IpNetwork] = ()) -> None:
        self._refusals = refusals
        self._allowed = tuple(allowed_networks)

    @property
    def refusals(self) -> Refusals:
        """Where that is recorded."""
        return self._refusals

    def may_speak(self, address: IpAddress | str) -> bool:
        """Say whether a peer may speak; nothing is recorded."""
        return refuse_peer(address, self._allowed) is None

    def refuse_peer(self, address: IpAddress | str) -> None:
        """Put on record that a peer was turned away because of its address; an alert."""
        reason = refuse_peer(address, self._allowed) or "It was turned away."
        self._record(str(address), "connect", Why.NOT_LOCAL, reason, alert=1)

    def connection_failed(self, address: IpAddress | str, reason: str) -> None:
        """Put on record that a connection came to nothing.

        Parameters
        ----------
        address : address
            The peer.
        reason : str
            What happened, in our words; what the peer sent does not belong in it.
        """
        text = f"{reason[:1].upper()}{reason[1:].rstrip('.')}. Peer: {address}."
        self._record(str(address), "connect", Why.FAILED, text, told_apart_by=reason)

    def refuse(self, peer: str, why: Why, reason: str) -> None:
        """Put on record that a request was refused before anybody was identified.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When the log cannot be written.
        """
        self._record(peer, "identify", why, reason, told_apart_by=reason if why is Why.NOBODY else "")

    def _record(
        self, peer: str, action: str, why: Why, reason: str, *, told_apart_by: str = "", **detail: str | int
    ) -> None:
        event = Event(
            outcome=Outcome.REFUSED, action=action, peer=peer, door=DOOR, reason=reason, detail={"why": why, **detail}
        )
        self._refusals.add(event, why, told_apart_by[:64])
