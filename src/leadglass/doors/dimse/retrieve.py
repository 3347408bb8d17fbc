"""What C-GET and C-MOVE have in common: the request, locating, and pending responses at sensible intervals."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from leadglass.archive.archive import Archive, Retrieval
from leadglass.dicom.codec_io import decode_identifier
from leadglass.dicom.matching import Root
from leadglass.doors.dimse.selection import read_selection
from leadglass.doors.dimse.transfer import Progress
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """A C-GET or C-MOVE as received.

    Parameters
    ----------
    action : Action
        ``GET`` or ``MOVE``.
    identifier : bytes
        Encoded level and unique keys.
    transfer_syntax_uid : str
        Of the identifier.
    root : Root
        The information model.
    relational : bool
        Whether relational retrieval was negotiated.
    message_id : int
        Message ID (0000,0110).
    priority : int
        Priority (0000,0700), passed on to the sub-operations.
    to : str
        Move Destination (0000,0600); the caller itself for a C-GET.
    """

    action: Action
    identifier: bytes
    transfer_syntax_uid: str
    root: Root
    relational: bool
    message_id: int
    priority: int
    to: str


def locate(archive: Archive, caller: Caller, request: RetrieveRequest) -> Retrieval:
    """Read the identifier and locate what it names, in a thread.

    Raises
    ------
    LeadglassError
    """
    identifier = decode_identifier(request.identifier, request.transfer_syntax_uid)
    level, selection = read_selection(identifier, request.root, relational=request.relational)
    return archive.retrieve(caller, request.action, level, selection, to=request.to)


class Pending:
    """Sends a pending response when the last one is long enough ago.

    Parameters
    ----------
    send : callable
        Sends one with the counts of a progress.
    interval : float
        Seconds between two.
    """

    __slots__ = ("_interval", "_last", "_send")

    def __init__(self, send: Callable[[Progress], Awaitable[None]], interval: float) -> None:
        self._send = send
        self._interval = interval
        self._last = asyncio.get_running_loop().time()

    async def when_due(self, progress: Progress) -> None:
        """Send one if it is time, and if there is still something to come."""
        now = asyncio.get_running_loop().time()
        if progress.remaining and now - self._last >= self._interval:
            self._last = now
            await self._send(progress)

    async def keep_sending(self, progress: Progress) -> None:
        """Send one each interval until cancelled: for a C-MOVE, whose association is otherwise silent."""
        while True:
            await asyncio.sleep(self._interval)
            await self._send(progress)
