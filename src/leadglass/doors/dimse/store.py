"""C-STORE as SCP (PS3.4 Annex B, PS3.7 9.1.1).

Rule 1. Success is sent after ``Receiving.finish`` returned, so after the
instance is on stable storage. Rule 2. Whatever happens, the rest of the data
set is read, so that the sender hears a status and not a broken connection.
Rule 3. When the association ends in the middle, nothing stays.

Status: 0000 stored · 0110 processing failure · 0111 contradicts what is stored ·
0122 class not the context's · 0124 not authorized · A700 out of resources ·
A900 not what was declared · C000 cannot understand.
"""

from leadglass.archive.archive import Archive, Receiving
from leadglass.archive.backroom import Declared, Receipt
from leadglass.doors.threads import Threads
from leadglass.errors import BadInput, Busy, LeadglassError
from leadglass.policy.caller import Caller
from leadglass.wire.association import DataStream


class _Intake:
    """One instance on its way into the archive, as threads see it: begun, written and finished in hops."""

    __slots__ = ("_archive", "_caller", "_declared", "_receiving")

    def __init__(self, archive: Archive, caller: Caller, declared: Declared) -> None:
        self._archive = archive
        self._caller = caller
        self._declared = declared
        self._receiving: Receiving | None = None

    def write(self, blocks: list[bytes | bytearray]) -> Receiving:
        """Take blocks, in a thread; the first hop begins."""
        if self._receiving is None:
            self._receiving = self._archive.receive(self._caller, self._declared)
        self._receiving.write(b"".join(blocks))  # a copy is cheaper than to digest and seal piece by piece
        return self._receiving

    def finish(self, blocks: list[bytes | bytearray]) -> Receipt:
        """Take the last blocks and commit, in a thread: for a small instance the only hop."""
        return self.write(blocks).finish()

    def abort(self) -> None:
        """Forget it, in a thread; harmless at any time."""
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.abort()


async def receive(
    archive: Archive,
    caller: Caller,
    declared: Declared,
    data: DataStream | None,
    *,
    threads: Threads,
    batch: int,
) -> Receipt:
    """Take in one instance from the wire.

    Parameters
    ----------
    archive, caller, declared
        Who stores what.
    data : DataStream or None
        The data set as it arrives; read to its end.
    threads : Threads
        Where the archive is called.
    batch : int
        Bytes to gather for one hop.

    Raises
    ------
    LeadglassError
        When it was not stored; nothing of it stays, but for what the archive
        puts in quarantine.
    """
    if data is None:
        raise BadInput("The C-STORE has no data set.")
    intake = _Intake(archive, caller, declared)
    try:
        last = await _feed(intake, data, threads, batch)
        return await threads.run(intake.finish, last)
    except BaseException:
        try:
            await threads.run(intake.abort)
        except Busy:
            intake.abort()  # the pool is already stopped, so nothing else runs in this loop for long
        raise


async def _feed(intake: _Intake, data: DataStream, threads: Threads, batch: int) -> list[bytes | bytearray]:
    """Write a data set in batches and give the last one back; after a failure read to the end, then raise it."""
    while True:
        gathered, is_more = await data.gather(batch)
        if not is_more:
            return gathered
        try:
            await threads.run(intake.write, gathered)
        except LeadglassError:
            await data.discard()
            raise
