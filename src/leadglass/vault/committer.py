"""Group commit: one transaction for all who wait, so that they share its disk writes.

Rule 1. ``run`` returns after the transaction is on stable storage, or raises.
Rule 2. A job that fails, fails alone: it runs in a savepoint. Rule 3. A
transaction that fails, fails every job in it.

There is no committing thread: whoever comes first when nobody commits, commits
for all who came until then, and hands over to the first who came meanwhile. So
one alone waits for no other thread, and many share.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, Generic, TypeVar, cast

from leadglass.crypto.database import translating
from leadglass.errors import Busy
from leadglass.policy.facts import StudyFacts
from leadglass.vault.filing import Filing

T = TypeVar("T")
_TRUNCATE_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Job(Generic[T]):
    """One waiting piece of work."""

    work: Callable[[Filing], T]
    shelves: Collection[bytes]
    woken: Event = field(default_factory=Event)
    result: list[T] = field(default_factory=list[T])
    error: BaseException | None = None
    is_done: bool = False
    is_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Batches:
    """How many transactions there were, and how many jobs in them."""

    transactions: int
    jobs: int


class Committer:
    """Runs jobs on the index's one writing connection of this process.

    Parameters
    ----------
    filing : Filing
        The connection, and what jobs do with it.
    sync : callable
        Puts the folders of some shelves on stable storage.
    limit : int
        Jobs in one transaction at most.
    linger : float
        Seconds to wait for others before a transaction.
    committed : callable
        Called after each transaction that succeeded, before the next: what an
        earlier one left in doubt is certain now, because this one was written
        over it.
    """

    def __init__(
        self,
        filing: Filing,
        sync: Callable[[Collection[bytes]], None],
        *,
        limit: int = 64,
        linger: float = 0.0,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._filing = filing
        self._sync = sync
        self._committed = committed
        self._limit = limit
        self._linger = linger
        self._lock = Lock()
        self._waiting: list[_Job[object]] = []
        self._is_led = False
        self._is_closed = False
        self._transactions = 0
        self._jobs = 0

    @property
    def batches(self) -> Batches:
        """What was committed so far."""
        return Batches(self._transactions, self._jobs)

    def run(
        self,
        work: Callable[[Filing], T],
        shelves: Collection[bytes] = (),
        doubted: Callable[[], None] | None = None,
    ) -> T:
        """Run ``work`` in a transaction that may be shared; returns when that is on stable storage.

        Parameters
        ----------
        work : callable
            Is given the filing; what it raises is raised here, and undone.
        shelves : collection of bytes
            Shelves of which the transaction will speak.
        doubted : callable, optional
            Called when the disk failed so that nobody knows whether the
            transaction was kept: what it spoke of must stay until the next one
            succeeds, or until the next start.

        Raises
        ------
        Busy
            When another process holds the index for too long.
        Full
            When there is no room to commit.
        """
        job = _Job(work, shelves)
        with self._lock:
            if self._is_closed:
                raise Busy("The archive is closing. Try again later.")
            self._waiting.append(cast("_Job[object]", job))
            leads = not self._is_led
            self._is_led = True
        try:
            if not leads:
                job.woken.wait()
        except BaseException:
            self._withdraw(cast("_Job[object]", job), doubted)
            raise
        if not job.is_done:
            self._lead()
        if job.error is not None:
            if job.is_in_doubt and doubted is not None:
                doubted()
            raise job.error
        return job.result[0]

    def _withdraw(self, job: _Job[object], doubted: Callable[[], None] | None) -> None:
        """Take back a job whose thread was interrupted while it waited."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                if job.woken.is_set():
                    self._hand_over()
                return
        if doubted is not None:
            doubted()

    def _hand_over(self) -> None:
        """Let the first who waits lead; the lock is held."""
        if self._waiting:
            self._waiting[0].woken.set()
        else:
            self._is_led = False

    def _lead(self) -> None:
        """Commit for those who wait, then hand over."""
        if self._linger:
            time.sleep(self._linger)
        with self._lock:
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
        try:
            self._commit(batch)
            self._committed()
        except BaseException as error:  # noqa: BLE001 - each waiter raises its own
            for job in batch:
                if job.error is None:
                    job.error = error if isinstance(error, Exception) or job is batch[0] else _interrupted()
        with self._lock:
            self._transactions += 1
            self._jobs += len(batch)
            self._hand_over()
        for job in batch:
            job.is_done = True
            job.woken.set()

    def _commit(self, batch: list[_Job[object]]) -> None:
        shelves = {shelf for job in batch for shelf in job.shelves}
        if shelves:
            self._sync(shelves)
        filing = self._filing
        with translating("index"):
            filing.begin()
            try:
                for job in batch:
                    self._attempt(job)
                for job in batch:
                    job.is_in_doubt = job.error is None
                filing.finish()
            except BaseException:
                filing.undo()
                raise

    def _attempt(self, job: _Job[object]) -> None:
        """Run one job in its savepoint."""
        filing = self._filing
        filing.mark()
        try:
            with translating("index"):
                job.result.append(job.work(filing))
        except BaseException as error:
            if not filing.in_transaction:  # the disk is full, or worse: SQLite has undone everything
                raise
            filing.back_to_mark()
            job.error = error
        else:
            filing.unmark()

    def remembered(self, study_uid: str) -> StudyFacts | None:
        """Give the facts of a study that was written to a moment ago; None when the index has to be asked."""
        return self._filing.remembered(study_uid)

    def truncate_log(self) -> bool:
        """Write the write-ahead log into the database and empty it; gives whether it could."""

        def emptied(deadline: float) -> bool:
            while not self._filing.truncate_log():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.01)
            return True

        return self._alone(lambda: emptied(time.monotonic() + _TRUNCATE_SECONDS))

    def close(self) -> None:
        """Wait for the running transaction, refuse further jobs, close the connection."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._alone(self._filing.close)

    def _alone(self, act: Callable[[], T]) -> T:
        """Do something with the connection outside of any transaction, when it is nobody's turn."""
        while True:
            with self._lock:
                if not self._is_led:
                    self._is_led = True
                    break
            time.sleep(0.001)
        try:
            return act()
        finally:
            with self._lock:
                self._hand_over()


def _interrupted() -> Busy:
    return Busy("The archive was interrupted while it committed. Send it again.")
