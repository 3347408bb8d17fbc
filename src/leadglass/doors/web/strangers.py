"""Strangers: who sends proxy fields and is no trusted proxy, counted for whoever runs the archive.

Rule: it costs a request nothing that can be noticed, and no number of peers fills it.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Final

from leadglass.exposure.facts import Stranger
from leadglass.system import utc_now

MOST: Final = 32
"""Peers that are remembered; the one that was quiet longest gives way."""


class Strangers:
    """Counts them. Safe for threads.

    Parameters
    ----------
    clock : callable
        The time now (UTC).
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._lock = Lock()
        self._known: OrderedDict[str, Stranger] = OrderedDict()

    def note(self, peer: str) -> None:
        """Count one request."""
        with self._lock:
            before = self._known.get(peer)
            self._known[peer] = Stranger(peer, 1 if before is None else before.times + 1, self._clock())
            self._known.move_to_end(peer)
            if len(self._known) > MOST:
                self._known.popitem(last=False)

    def seen(self) -> tuple[Stranger, ...]:
        """Give those that are remembered, the latest first."""
        with self._lock:
            return tuple(reversed(self._known.values()))
