"""Hops: how the asyncio side of the door calls the synchronous core.

Rule 1. A hop is not abandoned while the archive runs. When the association is
lost meanwhile, the hop is waited for before the loss is passed on, so that
whoever cleans up does not do so under the feet of a running thread. Rule 2. When
the archive stops, nothing waits for a thread longer than it was told to: what is
committed is durable, whatever becomes of the rest.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import Lock, Thread
from time import monotonic
from typing import ParamSpec, TypeVar, cast

from leadglass.dicom.room import Room
from leadglass.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")
_Job = tuple[Future[object], Callable[[], object]]


class _Worker:
    """One thread of a pool, and the job it was woken for."""

    __slots__ = ("job", "thread", "wake")

    def __init__(self, work: "Callable[[_Worker], None]", name: str) -> None:
        self.job: _Job | None = None
        self.wake = Lock()
        self.wake.acquire()
        self.thread = Thread(target=work, args=(self,), name=name, daemon=True)


class Pool(Executor):
    """A number of threads that do not keep the process from ending.

    Those of the standard library's pool are waited for when the process exits,
    however long they take. Who became idle last is woken first, and alone: its
    stack and its memory are still in the cache, and the others sleep on (threads
    that wait at one queue wake each other for each job).

    Parameters
    ----------
    size : int
        How many threads.
    name : str
        What their names begin with.
    """

    def __init__(self, size: int, name: str) -> None:
        self._jobs: deque[_Job] = deque()
        self._idle: list[_Worker] = []
        self._lock = Lock()
        self._is_closed = False
        self._workers = [_Worker(self._work, f"{name}-{number}") for number in range(size)]
        for worker in self._workers:
            worker.thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn`` called in a thread.

        Raises
        ------
        RuntimeError
            When the pool is closed.
        """
        future: Future[T] = Future()
        job = cast("_Job", (future, partial(fn, *args, **kwargs)))
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The pool is closed.")
            if not self._idle:
                self._jobs.append(job)
                return future
            worker = self._idle.pop()
            worker.job = job
        worker.wake.release()
        return future

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many threads there are, how many work, and how many jobs wait."""
        with self._lock:
            return len(self._workers), len(self._workers) - len(self._idle), len(self._jobs)

    def close(self, seconds: float) -> int:
        """Take nothing more, drop what has not begun, wait for the rest; gives how many threads still work then."""
        with self._lock:
            self._is_closed = True
            dropped, self._jobs = self._jobs, deque()
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake.release()
        for future, _ in dropped:
            future.cancel()
            future.set_running_or_notify_cancel()
        until = monotonic() + seconds
        for worker in self._workers:
            worker.thread.join(max(0.0, until - monotonic()))
        return sum(worker.thread.is_alive() for worker in self._workers)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - as the base class has it
        """Close; what has not begun is dropped in any case."""
        self.close(_EVER if wait else 0.0)

    def _next(self, worker: _Worker) -> _Job | None:
        """Wait for a job; None when there will be none."""
        with self._lock:
            if self._jobs:
                return self._jobs.popleft()
            if self._is_closed:
                return None
            self._idle.append(worker)
        worker.wake.acquire()
        job, worker.job = worker.job, None
        return job

    def _work(self, worker: _Worker) -> None:
        while (job := self._next(worker)) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - the border: whoever waits gets it
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del job, future, call  # while this thread waits, it keeps nothing of anybody


_EVER = 365 * 86_400.0
"""Seconds: longer than anybody waits."""
_AHEAD = 256 << 20
"""Bytes that are made ahead for who takes them fast, beyond what everybody has."""


class Threads:
    """The bounded thread pool in which the core runs.

    Parameters
    ----------
    executor : Executor
        Made, bounded and shut down by the composition root.
    ahead : Room
        For what is made ahead for who takes it fast, of all together. 256 MiB.
    """

    __slots__ = ("_executor", "_hops", "ahead")

    def __init__(self, executor: Executor, ahead: Room | None = None) -> None:
        self._executor = executor
        self.ahead = ahead if ahead is not None else Room(_AHEAD)
        self._hops: set[asyncio.Future[object]] = set()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a thread and give what it gives.

        Raises
        ------
        Busy
            When the pool takes no more work because the archive is stopping.
        """
        try:
            hop = asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        except RuntimeError:
            raise Busy("The archive is stopping. Send again later.") from None
        self._hops.add(hop)  # pyright: ignore[reportArgumentType]
        hop.add_done_callback(self._hops.discard)
        try:
            return await asyncio.shield(hop)
        except asyncio.CancelledError:
            await _settle(hop)
            raise
        finally:
            # An error knows this frame, which knows the hop, which knows the error: what the function had made would
            # stay in memory until somebody looks for garbage.
            del hop

    def give_up(self) -> int:
        """Wait for no running hop any more, now that the process is about to end; gives how many there were."""
        left = list(self._hops)
        for hop in left:
            hop.cancel()
        return len(left)


async def _settle(hop: "asyncio.Future[T]") -> None:
    """Wait until a hop is over, whatever becomes of it, through further cancellations too."""
    while not hop.done():
        try:
            await asyncio.wait([hop])
        except asyncio.CancelledError:
            continue
    if not hop.cancelled():
        hop.exception()  # taken note of: the cancellation is what the caller hears
