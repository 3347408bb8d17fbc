"""C-GET as SCP (PS3.4 C.4.3, PS3.7 9.1.3): the instances come back over the association that asked.

Rule: no pending response is sent while a C-STORE sub-operation is on its way;
messages on one association are never interleaved (PS3.7 6.3.1).

Status: FF00 going on · 0000 all sent · B000 some failed · A702 all failed ·
FE00 cancelled · 0124 not authorized · A900 identifier does not match · C001
unable to process.
"""

from collections import deque
from collections.abc import Callable

from leadglass.archive.archive import Archive
from leadglass.doors.dimse.parcel import Transcodes
from leadglass.doors.dimse.retrieve import Pending, RetrieveRequest, locate
from leadglass.doors.dimse.transfer import Link, Progress, Transfer
from leadglass.doors.threads import Threads
from leadglass.policy.caller import Caller


async def get(
    archive: Archive,
    caller: Caller,
    request: RetrieveRequest,
    link: Link,
    *,
    threads: Threads,
    transcoder: Transcodes,
    block: int,
    cancelled: Callable[[], bool],
    pending: Pending,
) -> Progress:
    """Send what a C-GET asks for.

    Parameters
    ----------
    archive, caller, request
        Who asks what.
    link : Link
        The association of the request.
    threads, transcoder, block
        How instances are read.
    cancelled : callable
        Whether a C-CANCEL-RQ has arrived.
    pending : Pending
        For responses in between.

    Raises
    ------
    LeadglassError
        When nothing could be located; ``AssociationAborted`` when nobody is
        left to be answered.
    """
    retrieval = await threads.run(locate, archive, caller, request)
    progress = Progress(len(retrieval.records))
    transfer = Transfer(
        retrieval,
        progress,
        threads=threads,
        transcoder=transcoder,
        block=block,
        priority=request.priority,
        originator=None,
        cancelled=cancelled,
        between=lambda: pending.when_due(progress),
    )
    await transfer.send(deque(retrieval.records), link)
    return progress
