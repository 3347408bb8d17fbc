"""Group commit: one transaction for all who wait, so that they share its disk writes.

Rule 1. ``run`` returns after the transaction is on stable storage, or raises.
Rule 2. A job that fails, fails alone: it runs in a savepoint. Rule 3. A
transaction that fails, fails every job in it.

There is no committing thread: whoever comes first when nobody commits, commits
for all who came until then, and hands over to the first who came meanwhile. So
one alone waits for no other thread, and many share. Who brings several jobs
waits once for all of them, and they are in one transaction.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, Generic, TypeVar, cast

from leadglass.crypto.database import translating
from leadglass.errors import Busy
from leadglass.policy.facts import StudyFacts
from leadglass.vault.filing import Filing
from leadglass.vault.objects import Place

T = TypeVar("T")
_TRUNCATE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """What is to be done in a transaction.

    Parameters
    ----------
    act : callable
        Is given the filing; what it raises is the job's error, and undone.
    places : collection of Place
        Objects of which the transaction will speak.
    doubted : callable, optional
        Called when the disk failed so that nobody knows whether the transaction
        was kept: what it spoke of must stay until the next one succeeds, or
        until the next start.
    """

    act: Callable[[Filing], T]
    places: Collection[Place] = ()
    doubted: Callable[[], None] | None = None


@dataclass(slots=True)
class _Job(Generic[T]):
    """One waiting piece of work."""

    work: Work[T]
    result: list[T] = field(default_factory=list[T])
    error: BaseException | None = None
    is_in_doubt: bool = False

    def tell_of_doubt(self) -> None:
        """Tell that nobody knows what became of it, when it wants to know."""
        if self.work.doubted is not None:
            self.work.doubted()


@dataclass(frozen=True, slots=True)
class Failed:
    """What stands for the result of a job that failed."""

    error: BaseException


@dataclass(slots=True)
class _Party:
    """One waiting thread, and the jobs it brought."""

    jobs: "list[_Job[object]]"
    woken: Event = field(default_factory=Event)
    is_done: bool = False


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
        Puts the names of some objects on stable storage.
    limit : int
        Jobs in one transaction at most, unless one thread brings more at once.
    linger : float
        Seconds to wait for others before a transaction.
    committed : callable
        Called after each transaction that succeeded and wrote anything, before
        the next: what an earlier one left in doubt is certain now, because this
        one was written over it.
    """

    def __init__(
        self,
        filing: Filing,
        sync: Callable[[Collection[Place]], None],
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
        self._waiting: list[_Party] = []
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
        act: Callable[[Filing], T],
        places: Collection[Place] = (),
        doubted: Callable[[], None] | None = None,
    ) -> T:
        """Run one job in a transaction that may be shared; returns when that is on stable storage.

        Parameters
        ----------
        act, places, doubted
            As ``Work`` has them; what ``act`` raises is raised here.

        Raises
        ------
        Busy
            When another process holds the index for too long.
        Full
            When there is no room to commit.
        """
        [outcome] = self.run_all([Work(act, places, doubted)])
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome

    def run_all(self, works: Sequence[Work[T]]) -> "list[T | Failed]":
        """Run several jobs in one transaction; gives what became of each, once that is on stable storage.

        Raises
        ------
        Busy
            When the archive is closing: then none was begun.
        """
        party = _Party([_Job(cast("Work[object]", work)) for work in works])
        with self._lock:
            if self._is_closed:
                raise Busy("The archive is closing. Try again later.")
            self._waiting.append(party)
            leads = not self._is_led
            self._is_led = True
        try:
            if not leads:
                party.woken.wait()
        except BaseException:
            self._withdraw(party)
            raise
        if not party.is_done:
            self._lead(party)
        for job in party.jobs:
            if job.error is not None and job.is_in_doubt:
                job.tell_of_doubt()
        return [cast("T", job.result[0]) if job.error is None else Failed(job.error) for job in party.jobs]

    def _withdraw(self, party: _Party) -> None:
        """Take back what a thread brought that was interrupted while it waited."""
        with self._lock:
            if party in self._waiting:
                self._waiting.remove(party)
                if party.woken.is_set():
                    self._hand_over()
                return
        for job in party.jobs:
            job.tell_of_doubt()

    def _hand_over(self) -> None:
        """Let the first who waits lead; the lock is held."""
        if self._waiting:
            self._waiting[0].woken.set()
        else:
            self._is_led = False

    def _take(self) -> list[_Party]:
        """Take those who waited longest, as many as fit into a transaction; the lock is held."""
        jobs = 0
        taken = 0
        for party in self._waiting:
            jobs += len(party.jobs)
            if taken and jobs > self._limit:
                break
            taken += 1
        parties, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return parties

    def _lead(self, mine: _Party) -> None:
        """Commit for those who wait, then hand over."""
        if self._linger:
            time.sleep(self._linger)
        with self._lock:
            parties = self._take()
        batch = [job for party in parties for job in party.jobs]
        try:
            if self._commit(batch):
                self._committed()
        except BaseException as error:  # noqa: BLE001 - each waiter raises its own
            for party in parties:
                failure = error if isinstance(error, Exception) or party is mine else _interrupted()
                for job in party.jobs:
                    if job.error is None:
                        job.error = failure
        with self._lock:
            self._transactions += 1
            self._jobs += len(batch)
            self._hand_over()
        for party in parties:
            party.is_done = True
            party.woken.set()

    def _commit(self, batch: list[_Job[object]]) -> bool:
        """Run jobs in one transaction; gives whether anything was written: else what was in doubt still is."""
        places = [place for job in batch for place in job.work.places]
        if places:
            self._sync(places)
        filing = self._filing
        with translating("index"):
            try:
                filing.begin(is_shared=len(batch) > 1)
                for job in batch:
                    self._attempt(job)
                if all(job.error is not None for job in batch):
                    filing.undo()
                    return False
                for job in batch:
                    job.is_in_doubt = job.error is None
                filing.finish()
            except BaseException:
                filing.undo()
                raise
        return filing.has_written

    def _attempt(self, job: _Job[object]) -> None:
        """Run one job in its savepoint."""
        filing = self._filing
        filing.mark()
        try:
            with translating("index"):
                job.result.append(job.work.act(filing))
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
