"""Watch: an association that would not be let in any more is ended.

Rule: rights are those of now. An operator who removes a device, takes an action
from it or lets its plaintext lane run out does not have to wait until the
device hangs up.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from leadglass.doors.threads import Threads
from leadglass.errors import LeadglassError
from leadglass.identity.associations import AssociationEvidence, Associations
from leadglass.policy.caller import Caller

LOG: Final = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at whether an enrolment changed: one cheap question, whatever the number of devices."""

LOOK_AT_ALL: Final = 60.0
"""Seconds after which every open association is looked at, for what ends by the calendar."""


class Watched(Protocol):
    """An association, as the watch sees it."""

    async def revoke(self) -> None:
        """End it."""
        ...


class Watch:
    """Looks after the open associations of a door.

    Parameters
    ----------
    associations : Associations
        Knows who would be let in now.
    threads : Threads
        Where it is asked.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, associations: Associations, threads: Threads, clock: Callable[[], float]) -> None:
        self._associations = associations
        self._threads = threads
        self._clock = clock
        self._open: dict[str, tuple[Caller, AssociationEvidence, Watched]] = {}
        self._enrolments = (-1, -1)
        self._looked = 0.0

    def add(self, caller: Caller, evidence: AssociationEvidence, association: Watched) -> None:
        """Begin to look after an association."""
        self._open[caller.session] = (caller, evidence, association)

    def remove(self, caller: Caller) -> None:
        """Stop looking after one that ended."""
        self._open.pop(caller.session, None)

    def __len__(self) -> int:
        return len(self._open)

    def count(self, caller: Caller) -> int:
        """Give how many associations a caller has open."""
        return sum(str(each) == str(caller) for each, _, _ in self._open.values())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except LeadglassError as error:
                LOG.warning("open associations not looked at", extra={"kind": error.kind.value})

    async def look(self) -> None:
        """End the associations that would not be let in now, if an enrolment changed or it is time to look at all.

        Raises
        ------
        Busy, Corrupt, Misconfigured
            When the enrolments cannot be read; they are looked at again next time.
        """
        enrolments = await self._threads.run(self._associations.enrolments)
        now = self._clock()
        if enrolments == self._enrolments and now - self._looked < LOOK_AT_ALL:
            return
        for caller, evidence, association in list(self._open.values()):
            if not await self._threads.run(self._associations.still_stands, caller, evidence):
                await association.revoke()
        self._enrolments, self._looked = enrolments, now
