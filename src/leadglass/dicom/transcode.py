"""Transcoder: change a data set's transfer syntax, in worker processes that may be killed.

Rule: no codec runs in this process, no plaintext touches the disk, and no job
outlives its deadline.
"""

from leadglass.dicom import uids
from leadglass.dicom.source import ReadAt


class Transcoder:
    """A pool of worker processes, started when first needed.

    Parameters
    ----------
    workers : int
        How many may run at once.
    deadline : float
        Seconds for one job; then its worker is killed.
    max_bytes : int
        Largest data set, as stored and decoded, that is taken.
    memory_bytes : int
        Address space of a worker.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline: float = 60.0,
        max_bytes: int = 512 << 20,
        memory_bytes: int = 4 << 30,
    ) -> None:
        self._workers = workers
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._memory_bytes = memory_bytes

    def can(self, from_ts: str, to_ts: str) -> bool:
        """Say whether data sets can be brought from one transfer syntax into another at all."""
        return from_ts == to_ts or to_ts in uids.UNCOMPRESSED

    def transcode(self, source: ReadAt, from_ts: str, to_ts: str) -> bytes:
        """Give the data set in another transfer syntax (blocking).

        Raises
        ------
        Unsupported
            When there is no way from one to the other.
        BadInput
            When the pixel data cannot be decoded.
        Busy
            When the job took longer than the deadline.
        Full
            When the data set is larger than allowed.
        """
        raise NotImplementedError(source, from_ts, to_ts)

    def close(self) -> None:
        """End the workers."""
