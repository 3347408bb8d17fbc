"""Misses: studies that somebody named and was not given, because they are not here or not theirs.

Rule 1. Both are the same, here too: what is put on record, and how long that
takes, does not depend on which it was. Rule 2. The first few of a caller within a
window stand on record by their UIDs, the others are counted: who tries many is
told of and cannot fill the log. Rule 3. Memory is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from leadglass.archive.ledger import Ledger
from leadglass.audit.event import Event, Outcome
from leadglass.policy.permit import Permit

NAMED: Final = 32
"""Misses of one caller within a window that are on record by their UIDs: old links, deleted studies, mistakes."""

_CALLERS: Final = 4_096
"""Callers that are counted at a time; the one that was quiet longest is forgotten."""

_REASON: Final = "There is no such study here, or it is not one of the caller's."


@dataclass(slots=True)
class _Tally:
    since: float
    misses: int = 0


class Misses:
    """The misses of one door's archive. Safe for threads.

    Parameters
    ----------
    ledger : Ledger
        Where they go on record.
    door : str
        Of the archive, for the records.
    window : float
        Seconds for which they are counted together.
    clock : callable
        Monotonic seconds.
    """

    __slots__ = ("_clock", "_door", "_ledger", "_lock", "_tallies", "_window")

    def __init__(self, ledger: Ledger, door: str, window: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._door = door
        self._window = window
        self._clock = clock
        self._lock = Lock()
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def note(self, permit: Permit, study_uids: Sequence[str]) -> None:
        """Put on record that studies were named and not given; raises when it cannot be."""
        for study_uid in study_uids:
            misses = self._count(str(permit.caller))
            if misses <= NAMED:
                self._record(permit, Outcome.REFUSED, _REASON, study_uid)
            if misses == NAMED:
                reason = (
                    f"{NAMED} studies that are not here, or not the caller's, were asked for within "
                    f"{self._window:.0f} s; further ones are not named. Ask what it looks for."
                )
                self._record(permit, Outcome.ALERT, reason)
            if misses > NAMED:
                return

    def _count(self, caller: str) -> int:
        now = self._clock()
        with self._lock:
            tally = self._tallies.get(caller)
            if tally is None or now - tally.since >= self._window:
                tally = self._tallies[caller] = _Tally(now)
            self._tallies.move_to_end(caller)
            while len(self._tallies) > _CALLERS:
                self._tallies.popitem(last=False)
            tally.misses += 1
            return tally.misses

    def _record(self, permit: Permit, outcome: Outcome, reason: str, study_uid: str = "") -> None:
        self._ledger.record(
            Event.of(permit.caller, outcome, permit.action, reason, door=self._door, study_uid=study_uid)
        )
