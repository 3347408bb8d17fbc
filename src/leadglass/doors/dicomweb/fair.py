"""Fair threads: for what is slow, some calls at a time, and never all of them one caller's.

Rule: a turn is held while a thread works, not while bytes are sent or waited for.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from leadglass.dicom.room import Room
from leadglass.doors.dicomweb.pumping import Runs
from leadglass.doors.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")


class FairThreads:
    """Threads, in turn.

    Parameters
    ----------
    threads : Runs
        Where calls are made.
    together : int
        Calls at one time, at least 2; one caller has one less at most.
    """

    def __init__(self, threads: Runs, together: int) -> None:
        self.threads = threads
        together = max(together, 2)
        self.turns = Turns[str](together=together, of_one=together - 1)

    def of(self, who: str) -> "CallerThreads":
        """Give the threads as one caller has them."""
        return CallerThreads(self, who)


class CallerThreads:
    """Threads as one caller has them: calls are made in turn."""

    __slots__ = ("_fair", "_who")

    def __init__(self, fair: FairThreads, who: str) -> None:
        self._fair = fair
        self._who = who

    @property
    def ahead(self) -> Room:
        """For what is made ahead for who takes it fast."""
        return self._fair.threads.ahead

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for a turn, call ``function`` in a thread, and give what it gives."""
        async with self._fair.turns.take(self._who):
            return await self._fair.threads.run(function, *args, **kwargs)
