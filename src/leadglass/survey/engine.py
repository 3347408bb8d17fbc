"""Engine: takes targets one by one, and makes the checks at each that the scope allows.

Rule 1. An endpoint is looked at by one worker, from its first check to its last; what
one check learns the next one knows. Rule 2. Where something ends as nothing should, no
more is sent to it. Rule 3. An endpoint counts as done when all of its checks are: after
a crash it is looked at again from the beginning.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from leadglass.errors import LeadglassError
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Finding
from leadglass.survey.gate import Closed, Gate, Stopped, Unreachable
from leadglass.survey.scope import Address

LOG: Final = logging.getLogger(__name__)

PATIENCE: Final = 90.0
"""Seconds for one check at one endpoint, waiting for its turn aside."""


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
    _left: "asyncio.Queue[Target | None]" = field(default_factory=lambda: asyncio.Queue[Target | None](64))

    async def run(self, targets: Iterable[Target] | AsyncIterable[Target]) -> None:
        """Look at every target, so many hosts at once; ends early, without an error, where the run is stopped."""
        level = self.gate.scope.level
        checks = [check for check in self.checks if check.level <= level]
        workers = [
            asyncio.create_task(self._work(checks), name=f"survey-{number}")
            for number in range(self.gate.scope.rate.hosts_at_once)
        ]
        feeding = asyncio.create_task(self._feed(targets, len(workers)))
        working = asyncio.gather(feeding, *workers)
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
            for task in (stopped, working, feeding, *workers):
                task.cancel()
            await asyncio.gather(stopped, working, feeding, *workers, return_exceptions=True)

    async def _feed(self, targets: Iterable[Target] | AsyncIterable[Target], workers: int) -> None:
        if isinstance(targets, AsyncIterable):
            async for target in targets:
                await self._left.put(target)
        else:
            for target in targets:
                await self._left.put(target)
        for _ in range(workers):
            await self._left.put(None)

    async def _work(self, checks: Sequence[Check]) -> None:
        while (target := await self._left.get()) is not None:
            await self.done(await self.look(target, checks))

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
            except Stopped:
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
        return Outcome(target, bool(known.is_open), tuple(findings), tuple(untested), tuple(unproven))
