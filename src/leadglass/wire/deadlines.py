"""Several deadlines over one timer.

Rule: setting a deadline costs a dictionary entry. The timer is only moved when it
would fire too late; when it fires too early it looks again. So a deadline may be
pushed on with every PDU.
"""

import asyncio
from collections.abc import Callable
from enum import Enum


class Deadline(Enum):
    """What a connection may be waiting for."""

    ARTIM = "artim"
    IDLE = "idle"
    PROGRESS = "progress"
    WRITE = "write"
    RELEASE = "release"
    CLOSE = "close"


class Deadlines:
    """The deadlines of one connection; ``expired`` is called once for each that passes."""

    __slots__ = ("_at", "_expired", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[Deadline], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at: dict[Deadline, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, deadline: Deadline, seconds: float) -> None:
        """Let ``deadline`` pass in ``seconds`` from now, whatever was set before."""
        when = self._loop.time() + seconds
        self._at[deadline] = when
        if self._timer is None or self._timer.when() > when:
            self._arm(when)

    def clear(self, deadline: Deadline) -> None:
        """Forget ``deadline``."""
        self._at.pop(deadline, None)

    def __contains__(self, deadline: Deadline) -> bool:
        return deadline in self._at

    def close(self) -> None:
        """Forget all of them."""
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        passed = sorted((each for each, when in self._at.items() if when <= now), key=self._at.__getitem__)
        for deadline in passed:
            del self._at[deadline]
        for deadline in passed:
            self._expired(deadline)
        if self._at:
            self._arm(min(self._at.values()))
