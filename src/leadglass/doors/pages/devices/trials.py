"""Trials: tests of devices that run while somebody looks on.

Rule 1. A trial belongs to who began it, ends by itself and is forgotten soon after.
Rule 2. Few run at a time: a person tests one device, and nobody searches a network
from here.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import Final

from leadglass.doors.dimse.probe import Prober, Result, Stage, Step
from leadglass.errors import Busy, LeadglassError, NotHere
from leadglass.identity.contacts import Arrival, Contacts, Waiting
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices

WAITING: Final = 120.0
"""Seconds for which a device is waited for: somebody has to walk to it and press a button."""

MOST_RUNNING: Final = 4
"""Trials that run at a time."""

MOST_OF_ONE: Final = 2
"""Of one person."""

KEPT: Final = 900.0
"""Seconds after which an ended trial is forgotten."""


class Way(StrEnum):
    """Which way a trial goes."""

    TO = "to"
    """From us to the device."""
    FROM = "from"
    """From the device to us."""


@dataclass(slots=True)
class Trial:
    """One test of one device.

    Parameters
    ----------
    id : str
        Random.
    owner : str
        Who began it.
    device : Device
        As enrolled when it began.
    way : Way
        Which way it goes.
    until : float
        Monotonic seconds, when waiting ends.
    """

    id: str
    owner: str
    device: Device
    way: Way
    until: float
    steps: list[Step] = field(default_factory=list[Step])
    over: bool = False
    stopped: bool = False
    answered: bool = False
    waiting: Waiting | None = None
    task: "asyncio.Task[None] | None" = None

    def left(self) -> int:
        """Seconds that are left of waiting."""
        return 0 if self.over else max(0, round(self.until - monotonic()))


class Trials:
    """The tests that run, and those that just ended. Lives on the event loop.

    Parameters
    ----------
    prober : Prober
        Reaches devices.
    devices : Devices
        Who is enrolled.
    contacts : Contacts
        Knows what arrives.
    waiting : float
        Seconds for which a device is waited for.
    """

    def __init__(self, prober: Prober, devices: Devices, contacts: Contacts, *, waiting: float = WAITING) -> None:
        self._prober = prober
        self._devices = devices
        self._contacts = contacts
        self._seconds = waiting
        self._trials: dict[str, Trial] = {}

    def begin(self, owner: str, device: Device, way: Way) -> Trial:
        """Begin a test.

        Raises
        ------
        Busy
            When too many of others run; of one's own the oldest gives way.
        """
        self._forget()
        running = [each for each in self._trials.values() if not each.over]
        own = [each for each in running if each.owner == owner]
        for each in own:
            if each.device.ae_title == device.ae_title and each.way is way:
                self.stop(each)  # beginning anew is what is meant
        while sum(not each.over for each in own) >= MOST_OF_ONE:
            self.stop(next(each for each in own if not each.over))  # the oldest: its page was left behind
        if sum(not each.over for each in running) >= MOST_RUNNING:
            raise Busy("Other people are testing devices. Wait until one of them is done, then test again.")
        trial = Trial(secrets.token_urlsafe(12), owner, device, way, monotonic() + self._seconds)
        self._trials[trial.id] = trial
        work = self._reach(trial) if way is Way.TO else self._wait(trial)
        trial.task = asyncio.get_running_loop().create_task(work, name=f"trial-{device.ae_title}")
        return trial

    def find(self, owner: str, ae_title: str, id: str) -> Trial:  # noqa: A002 - what it is
        """Give a test of one's own.

        Raises
        ------
        NotHere
        """
        trial = self._trials.get(id)
        if trial is None or trial.owner != owner or trial.device.ae_title != ae_title:
            raise NotHere("There is no such test any more. Begin another.")
        return trial

    def stop(self, trial: Trial) -> None:
        """End a test now."""
        if trial.over:
            return
        trial.over = trial.stopped = True
        if trial.task is not None:
            trial.task.cancel()

    def arrived(self, trial: Trial) -> tuple[tuple[Arrival, ...], tuple[Arrival, ...]]:
        """Give what came so far: of the device, and of strangers."""
        return ((), ()) if trial.waiting is None else self._contacts.arrived(trial.waiting)

    async def settled(self, trial: Trial, seconds: float) -> None:
        """Wait until it is over, but no longer than so many seconds."""
        if trial.task is not None:
            await asyncio.wait([trial.task], timeout=seconds)

    async def close(self) -> None:
        """End all."""
        for trial in self._trials.values():
            self.stop(trial)
        tasks = [each.task for each in self._trials.values() if each.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _reach(self, trial: Trial) -> None:
        try:
            trial.answered = await self._prober.run(trial.device, self._devices, trial.steps.append)
        except LeadglassError as error:
            trial.steps.append(Step(Stage.SET_UP, Result.FAILED, error.message))
        finally:
            trial.over = True

    async def _wait(self, trial: Trial) -> None:
        trial.waiting = self._contacts.wait_for(trial.device)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._contacts.stop_waiting(trial.waiting)
            trial.over = True

    def _forget(self) -> None:
        now = monotonic()
        for id_, trial in list(self._trials.items()):
            if trial.over and now - trial.until > KEPT:
                del self._trials[id_]
