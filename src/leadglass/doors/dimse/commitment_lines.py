"""Lines: the open associations of devices over which a report may go to them (PS3.4 J.3.3).

Rule: a report goes over a line that has been silent for a moment; a client in
the middle of a request of its own would take it for the answer.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from leadglass.policy.caller import Caller
from leadglass.wire.association import AcceptedContext, Association

_LOOK = 0.05
"""Seconds between two looks at whether a line is silent."""


class Line:
    """One open association with a context for Storage Commitment.

    Parameters
    ----------
    caller : Caller
        Whose it is.
    association : Association
        Which one.
    context : AcceptedContext
        Over which reports go.
    """

    __slots__ = ("_busy", "_since", "association", "caller", "context")

    def __init__(self, caller: Caller, association: Association, context: AcceptedContext) -> None:
        self.caller = caller
        self.association = association
        self.context = context
        self._busy = False
        self._since = monotonic()

    def busy(self) -> None:
        """Note that a request is being answered."""
        self._busy = True

    def idle(self) -> None:
        """Note that it was answered."""
        self._busy = False
        self._since = monotonic()

    async def is_silent(self, seconds: float, patience: float) -> bool:
        """Wait until the device was silent for ``seconds``; False when it ended, or was not within ``patience``."""
        until = monotonic() + seconds + patience
        while self.association.ended is None:
            now = monotonic()
            if not self._busy and now - self._since >= seconds:
                return True
            if now >= until:
                return False
            await asyncio.sleep(_LOOK)
        return False


class Lines:
    """The lines that are open.

    Parameters
    ----------
    opened : callable
        Told a device's AE title when it has a new line.
    """

    def __init__(self, opened: Callable[[str], None]) -> None:
        self._lines: dict[str, Line] = {}
        self._opened = opened

    def add(self, line: Line) -> None:
        """Note a new line."""
        self._lines[line.caller.session] = line
        self._opened(line.caller.name)

    def remove(self, caller: Caller) -> None:
        """Forget the line of a session that ended."""
        self._lines.pop(caller.session, None)

    def of(self, owner: str, session: str) -> Line | None:
        """Give the line of a session, or else the newest other one of that device."""
        asked = self._lines.get(session)
        if asked is not None and asked.association.ended is None:
            return asked
        others = [line for line in self._lines.values() if line.caller.name == owner and line.association.ended is None]
        return others[-1] if others else None
