"""Engine: takes targets one by one, and makes the checks at each that the scope allows.

Rule 1. An endpoint is looked at by one worker, from its first check to its last; what
one check learns the next one knows. Rule 2. Where something ends as nothing should, no
more is sent to it. Rule 3. An endpoint counts as done when all of its checks are: after
a crash it is looked at again from the beginning. Rule 4. A host has one worker at a
time, and who waits for its turn keeps nobody from the others; so many targets are held
at once, and no more, however many there are.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Final

from leadglass.errors import LeadglassError
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Finding
from leadglass.survey.gate import ANSWER, CONNECT, Closed, Gate, Stopped, Unreachable
from leadglass.survey.journal import Unrecorded
from leadglass.survey.scope import Address, Rate

LOG: Final = logging.getLogger(__name__)

HELD: Final = 16_384
"""Targets that are held at once: so many ports of one host may stand in a row before others wait for it."""

_MOST_WORKERS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint.

    Parameters
    ----------
    address, port
        Where.
    name : str
        Its name in the scope, if it has one.
    number : int
        Its place among the run's targets, from 0.
    """

    address: Address
    port: int
    name: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target.

    Parameters
    ----------
    target : Target
        Which.
    is_open : bool
        Whether something answered.
    findings : tuple of Finding
        What was proved.
    not_tested : tuple of str
        Ids of checks that could not be made to their end.
    unproven : tuple of str
        Ids of checks that were not made because one before them was not, or the endpoint ended oddly: that they
        found nothing proves nothing.
    is_looked_at : bool
        False where it is outside the scope by now, and nothing was sent.
    """

    target: Target
    is_open: bool
    findings: tuple[Finding, ...]
    not_tested: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    is_looked_at: bool = True


@dataclass(slots=True)
class Engine:
    """Looks at targets.

    Parameters
    ----------
    gate : Gate
        Opens lines; its scope says how far to go.
    checks : sequence of Check
        What is done, in this order.
    done : callable
        Told of each target that was looked at; it is durable when this returns.
    """

    gate: Gate
    checks: Sequence[Check]
    done: Callable[[Outcome], Awaitable[None]]

    async def run(self, targets: Iterable[Target] | AsyncIterable[Target]) -> None:
        """Look at every target, many hosts at once; ends early, without an error, where the run is stopped."""
        level = self.gate.scope.level
        checks = [check for check in self.checks if check.level <= level]
        working = asyncio.create_task(self._all(targets, checks), name="survey")
        stopped = asyncio.create_task(self.gate.stopped())
        try:
            # Whoever waits for a connection that does not come, or for a library, is not waited for.
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self.gate.is_stopped:
                await stopped  # until every line has said goodbye
            if working.done():
                with suppress(Stopped):
                    await working
        finally:
            for task in (stopped, working):
                task.cancel()
            await asyncio.gather(stopped, working, return_exceptions=True)

    async def _all(self, targets: Iterable[Target] | AsyncIterable[Target], checks: Sequence[Check]) -> None:
        """Hand targets to workers, of which there are no more than there is something to do for."""
        hosts = _Hosts()
        most = workers_for(self.gate.scope.rate)
        workers: list[asyncio.Task[None]] = []

        async def take(target: Target) -> None:
            await hosts.put(target)
            if hosts.wants_worker and len(workers) < most:
                workers.append(asyncio.create_task(self._work(hosts, checks), name=f"survey-{len(workers)}"))

        try:
            if isinstance(targets, AsyncIterable):
                async for target in targets:
                    await take(target)
            else:
                for target in targets:
                    await take(target)
            hosts.end()
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, hosts: "_Hosts", checks: Sequence[Check]) -> None:
        try:
            while (target := await hosts.take()) is not None:
                await self.done(await self.look(target, checks))
                hosts.let_go(target.address)
        except BaseException as error:
            hosts.fail(error)
            raise

    async def look(self, target: Target, checks: Sequence[Check]) -> Outcome:
        """Make the checks at one endpoint.

        Raises
        ------
        Stopped
        """
        if not self.gate.scope.covers(target.address):
            return Outcome(target, is_open=False, findings=(), is_looked_at=False)
        known = Known()
        findings: list[Finding] = []
        untested: list[str] = []
        unproven: list[str] = []
        for place, check in enumerate(checks):
            if self.gate.is_stopped:
                raise Stopped("The survey was stopped.")
            if known.is_odd:
                unproven += [each.id for each in checks[place:]]
                break
            if known.is_open is False:
                break
            if not check.applies(known, target.port):
                if untested:  # what it builds on may not have been learnt
                    unproven.append(check.id)
                continue
            visit = Visit(check, self.gate, target.address, target.port, known, target.name)
            try:
                await check.run(visit)
            except (Stopped, Unrecorded):
                raise
            except (Unreachable, Closed, LeadglassError, OSError) as error:
                LOG.debug("check not finished", extra={"check": check.id, "error": type(error).__name__})
                untested.append(check.id)
            except Exception as error:  # noqa: BLE001 - a peer's oddity may hit a mistake of ours: the run goes on
                # without the trace: its text may hold what a peer said
                LOG.error("a check has a defect", extra={"check": check.id, "error": type(error).__name__})  # noqa: TRY400
                untested.append(check.id)
                known.is_odd = True
            findings += visit.found
        return Outcome(
            target,
            bool(known.is_open),
            tuple(findings),
            tuple(untested),
            tuple(unproven),
            is_looked_at=known.is_open is not None or not untested,
        )


def workers_for(rate: Rate) -> int:
    """Say how many workers it takes to keep a rate where each of them mostly waits.

    They wait for answers that do not come, and until a host may be asked again. How
    many connections there are at once is not theirs to say but the gate's.
    """
    longest = rate.seconds_between + CONNECT + ANSWER
    return max(rate.hosts_at_once, min(_MOST_WORKERS, ceil(rate.connections_per_second * longest)))


class _Hosts:
    """Targets by host: each host is with one worker at a time, the longest waiting first."""

    def __init__(self) -> None:
        self._waiting: dict[Address, deque[Target]] = {}
        """Of each host that is here: what is left to look at, but for what a worker has."""
        self._ready: deque[Address] = deque()
        """Hosts that no worker has."""
        self._held = 0
        self._has_ended = False
        self._error: BaseException | None = None
        self._takers: deque[asyncio.Future[None]] = deque()
        self._coming = 0
        """Workers that were woken and do not run yet."""
        self._room: asyncio.Future[None] | None = None

    @property
    def wants_worker(self) -> bool:
        """Whether there are more hosts to look at than workers come for."""
        return len(self._ready) > self._coming

    async def put(self, target: Target) -> None:
        """Hold a target; waits while there are too many, and raises what a worker failed with."""
        while self._held >= HELD and self._error is None:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self._error is not None:
            raise self._error
        self._held += 1
        if self._held % 64 == 0:
            await asyncio.sleep(0)  # the first of them need not wait for the last
        host = self._waiting.get(target.address)
        if host is not None:
            host.append(target)
            return
        self._waiting[target.address] = deque((target,))
        self._is_ready(target.address)

    async def take(self) -> Target | None:
        """Give a target of a host that no other worker has; None when there is nothing left to do."""
        while not self._ready:
            if self._error is not None or (self._has_ended and not self._waiting):
                return None
            taker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            await taker
            self._coming -= 1
        return self._waiting[self._ready.popleft()].popleft()

    def let_go(self, address: Address) -> None:
        """Say that a worker is done with a target of a host."""
        self._held -= 1
        if self._room is not None and not self._room.done() and self._held < HELD:
            self._room.set_result(None)
        if self._waiting[address]:
            self._is_ready(address)
            return
        del self._waiting[address]
        if self._has_ended and not self._waiting:
            self._wake_all()

    def end(self) -> None:
        """Say that there are no more targets."""
        self._has_ended = True
        if not self._waiting:
            self._wake_all()

    def fail(self, error: BaseException) -> None:
        """Say that a worker failed: nobody goes on."""
        self._error = self._error or error
        self._ready.clear()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._wake_all()

    def _is_ready(self, address: Address) -> None:
        self._ready.append(address)
        self._wake(1)

    def _wake(self, number: int) -> None:
        while self._takers and number:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                self._coming += 1
                number -= 1

    def _wake_all(self) -> None:
        self._wake(len(self._takers))
