"""Running: one survey from its scope to its end, stopped by a signal, by Ctrl-C or by a file.

Rule: whatever stops it, what was found is kept, every open association says goodbye,
and the run can go on later.
"""

import asyncio
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from leadglass.errors import Misconfigured
from leadglass.survey.check import Check
from leadglass.survey.engine import Engine, Outcome, Target
from leadglass.survey.gate import Gate
from leadglass.survey.journal import Journal
from leadglass.survey.register import Register
from leadglass.survey.scope import SurveyScope, today
from leadglass.survey.state import JOURNAL, STOP, Run, State

_OPEN: Final = 256
"""Files and connections that a process has open beside those of the survey, at most."""

_LOOKED: Final = 0.2
"""Seconds between two looks for the file that stops a run."""


def sweep(scope: SurveyScope) -> Iterator[Target]:
    """Give every endpoint of a scope, one port of all hosts after the other: no host is asked twice in a row."""
    names = {address: name for name, found in scope.hosts.items() for address in found}
    for port in scope.ports:
        for address in scope.addresses():
            yield Target(address, port, names.get(address, ""))


def size_of(scope: SurveyScope) -> int:
    """Count the endpoints of a scope."""
    return sum(1 for _ in scope.addresses()) * len(scope.ports)


def survey(
    scope: SurveyScope,
    state: State,
    run: Run,
    targets: Iterable[Target],
    checks: Sequence[Check],
    told: Callable[[Outcome], None] = lambda _: None,
) -> bool:
    """Look at what is left of a run's targets; gives whether it came to its end.

    Parameters
    ----------
    scope : SurveyScope
        In force; the caller has looked.
    state : State
        Opened for writing.
    run : Run
        Begun, or stopped before.
    targets : iterable of Target
        All of the run's, in the order they always have.
    checks : sequence of Check
        What is done.
    told : callable
        Told of each target, for a display.
    """
    return asyncio.run(_survey(scope, state, run, targets, checks, told))


async def _survey(
    scope: SurveyScope,
    state: State,
    run: Run,
    targets: Iterable[Target],
    checks: Sequence[Check],
    told: Callable[[Outcome], None],
) -> bool:
    stop_file = state.folder / STOP
    try:
        stop_file.unlink(missing_ok=True)  # one from before is about a run that has ended
    except OSError as error:
        raise Misconfigured(f"{stop_file} says stop, and cannot be removed ({error.strerror}).") from error
    state.makes(run.id, [check.id for check in checks if check.level <= scope.level])
    with Journal(state.folder / JOURNAL, run.id) as journal:
        gate = Gate(scope, journal)
        keeping = _Keeping(state, run.id, gate, told)
        _make_room(scope.rate.hosts_at_once)
        is_whole = False
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[None]] = set()

        def stop() -> None:
            stopping.add(loop.create_task(gate.stop()))

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            loop.add_signal_handler(number, stop)
        watching = asyncio.create_task(_watch(stop_file, gate.stop))
        try:
            await Engine(gate, checks, keeping.done).run(state.left(run.id, targets))
            is_whole = not gate.is_stopped
        finally:
            watching.cancel()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                loop.remove_signal_handler(number)
            await asyncio.gather(*stopping, watching, return_exceptions=True)
            state.end(run.id, gate.connections - keeping.counted, stopped=not is_whole)
            Register(state).conclude(state.run(run.id), today())
        return is_whole


class _Keeping:
    """Keeps what becomes of targets, those that are done at the same time in one transaction."""

    def __init__(self, state: State, run: str, gate: Gate, told: Callable[[Outcome], None]) -> None:
        self._state = state
        self._run = run
        self._gate = gate
        self._told = told
        self._outcomes: list[Outcome] = []
        self._kept: asyncio.Future[None] | None = None
        self._is_heard = False
        self.counted = 0
        """Connections that are in the state."""

    async def done(self, outcome: Outcome) -> None:
        """Keep an outcome; it is durable when this returns."""
        if self._kept is None:
            loop = asyncio.get_running_loop()
            self._kept = loop.create_future()
            loop.call_soon(self._keep, self._kept)
        self._outcomes.append(outcome)
        await asyncio.shield(self._kept)  # that one of them is cancelled is not the others' business

    def _keep(self, kept: asyncio.Future[None]) -> None:
        outcomes, self._outcomes, self._kept = self._outcomes, [], None
        connections = self._gate.connections
        try:
            self._state.done(self._run, *outcomes, connections=connections - self.counted)
            self.counted = connections
            if self._gate.is_heard and not self._is_heard:
                self._state.heard(self._run)
                self._is_heard = True
            for outcome in outcomes:
                self._told(outcome)
        except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
            kept.set_exception(error)
        else:
            kept.set_result(None)


def _make_room(connections: int) -> None:
    """Allow this process so many connections beside what it has open, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OPEN
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _watch(file: Path, stop: Callable[[], Awaitable[None]]) -> None:
    while not _is_there(file):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(_LOOKED)
    await stop()


def _is_there(file: Path) -> bool:
    """Say whether a file is there; also where its folder is gone, or closed to us: then nobody could make it."""
    try:
        os.lstat(file)
    except FileNotFoundError:
        return not file.parent.exists()
    except OSError:
        return True
    return True
