"""Worker pool: processes that do what may crash, hang or swell, one job at a time each.

Rule 1. A job ends by its deadline, with its worker if need be; a worker that
died costs its own job and no other. Rule 2. Who waits is served in turn: first
whoever has fewest jobs under way, then whoever was served longest ago, so that
one caller's hundred jobs do not keep another's one waiting. Rule 3. A worker
inherits neither environment nor files, and nothing that it answers is believed
before it was measured.

The child's side is ``worker_pipe``.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from itertools import count
from threading import Event, Lock, Timer
from time import monotonic
from typing import Final

from leadglass.errors import BadInput, Busy

HEAD: Final = 4
"""Bytes that hold the length of a header, either way."""
BODY: Final = 8
"""Bytes that hold the length of what follows the header of an answer."""

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A worker has no use for this process' environment, and secrets may be in it."""


class _Worker:
    """One process, with one job at a time."""

    __slots__ = ("_most", "_process")

    def __init__(self, module: str, memory_bytes: int, most: int) -> None:
        self._most = most
        command = [sys.executable, "-P", "-m", module, str(memory_bytes)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no input in the command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def do(self, header: bytes, blocks: Iterable[bytes], deadline: float) -> tuple[bytes, bytes]:
        """Have a job done; raises ``Busy`` when the deadline passed, ``BadInput`` when the worker died."""
        timer = Timer(deadline, self._process.kill)
        timer.daemon = True
        started = monotonic()
        timer.start()
        is_in_step = False
        try:
            answer = self._exchange(header, blocks)
            is_in_step = True
            return answer
        except OSError:
            if monotonic() - started >= deadline:
                raise Busy("Decoding took longer than is allowed; the worker was ended.") from None
            raise BadInput("The decoder died over the pixel data: damaged, or larger than a worker's memory.") from None
        finally:
            timer.cancel()
            if not is_in_step:  # half a job is in the pipe, or half an answer
                self.end()

    def _exchange(self, header: bytes, blocks: Iterable[bytes]) -> tuple[bytes, bytes]:
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise OSError
        try:
            writer.write(len(header).to_bytes(HEAD, "big") + header)
            for block in blocks:
                writer.write(block)
            writer.flush()
            lengths = reader.read(HEAD + BODY)
            head, body = int.from_bytes(lengths[:HEAD], "big"), int.from_bytes(lengths[HEAD:], "big")
            if len(lengths) < HEAD + BODY or head + body > self._most:
                raise OSError
            answer, data = reader.read(head), reader.read(body)
        except ValueError:  # the pipe was closed by ``end`` in another thread
            raise OSError from None
        if len(answer) < head or len(data) < body:
            raise OSError
        return answer, data

    def end(self) -> None:
        """Kill the process and wait for it; harmless when it is gone."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was not flushed to a dead worker
        self._process.wait()


class _Ticket:
    """Somebody who waits for a worker."""

    __slots__ = ("is_served", "who", "worker")

    def __init__(self, who: str) -> None:
        self.who = who
        self.worker: _Worker | None = None
        self.is_served = Event()


class WorkerPool:
    """Worker processes of one kind, started when first needed. Safe for threads.

    Parameters
    ----------
    module : str
        The module that a worker runs (``python -m``); its argument is ``memory_bytes``.
    workers : int
        How many may run at once.
    deadline : float
        Seconds for one job, waiting for a worker included; then its worker is killed.
    memory_bytes : int
        Address space of a worker.
    most_bytes : int
        Longest answer that is taken from a worker.
    """

    def __init__(self, module: str, *, workers: int, deadline: float, memory_bytes: int, most_bytes: int) -> None:
        self._module = module
        self._deadline = deadline
        self._memory_bytes = memory_bytes
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._is_closed = False
        self._idle: list[_Worker | None] = [None] * workers
        self._all: set[_Worker] = set()
        self._waiting: list[_Ticket] = []
        self._running: dict[str, int] = {}
        self._served: dict[str, int] = {}
        self._turns = count(1)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._waiting)

    def run(self, header: bytes, blocks: Iterable[bytes], who: str = "") -> tuple[bytes, bytes]:
        """Have one job done (blocking).

        Parameters
        ----------
        header : bytes
            What the worker reads first; it says how long the blocks are.
        blocks : iterable of bytes
            What follows, read one by one. When reading raises, the worker is
            ended and the error passed on.
        who : str
            On whose behalf, for the turns.

        Returns
        -------
        tuple of bytes and bytes
            The header and the body of the answer.

        Raises
        ------
        Busy
            When it took longer than the deadline, or the pool is closed.
        BadInput
            When the worker died over it.
        """
        started = monotonic()
        ticket = self._take(who)
        try:
            if ticket.worker is None or not ticket.worker.is_alive:
                ticket.worker = self._start(ticket.worker)
            return ticket.worker.do(header, blocks, max(0.001, self._deadline - (monotonic() - started)))
        finally:
            self._give(ticket)

    def close(self) -> None:
        """End the workers; jobs under way fail with ``Busy`` or ``BadInput``, later ones with ``Busy``."""
        with self._lock:
            self._is_closed = True
            workers = list(self._all)
        for worker in workers:
            worker.end()

    def _take(self, who: str) -> _Ticket:
        ticket = _Ticket(who)
        with self._lock:
            self._waiting.append(ticket)
            self._serve()
        if not ticket.is_served.wait(self._deadline):
            with self._lock:
                if not ticket.is_served.is_set():
                    self._waiting.remove(ticket)
                    raise Busy("All codec workers are busy; try again later.")
        return ticket

    def _give(self, ticket: _Ticket) -> None:
        with self._lock:
            self._running[ticket.who] -= 1
            self._idle.append(ticket.worker)
            self._serve()
            if not self._running[ticket.who] and all(each.who != ticket.who for each in self._waiting):
                del self._running[ticket.who], self._served[ticket.who]

    def _serve(self) -> None:
        """Hand idle workers to whose turn it is; with the lock held."""
        while self._idle and self._waiting:
            ticket = min(
                self._waiting, key=lambda each: (self._running.get(each.who, 0), self._served.get(each.who, 0))
            )
            self._waiting.remove(ticket)
            self._running[ticket.who] = self._running.get(ticket.who, 0) + 1
            self._served[ticket.who] = next(self._turns)
            ticket.worker = self._idle.pop()
            ticket.is_served.set()

    def _turn(self, ticket: _Ticket) -> tuple[int, int]:
        return self._running.get(ticket.who, 0), self._served.get(ticket.who, 0)

    def _start(self, dead: _Worker | None) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise Busy("The archive is shutting down.")
            if dead is not None:
                dead.end()
                self._all.discard(dead)
            worker = _Worker(self._module, self._memory_bytes, self._most_bytes)
            self._all.add(worker)
            return worker
