"""Windows: reading and storing go on record once per caller, place, action, study and window, before the act.

Rule 1. An opening record covers what the same caller does from the same address,
by the same right, with the same study (and the same receiver) until the window
ends, over however many sessions: who connects anew for each image costs no more
than who keeps a session. Rule 2. It is on stable storage before the first act
that it covers; others who come meanwhile wait for it. Rule 3. A closing record
counts what was done since the record before it. The first is written when the
last session that worked in the window ends, another one when the window ends and
more was done: at most three records. Rule 4. What a crash takes away is counts,
never an opening record.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event as Signal
from threading import Lock
from time import monotonic
from typing import Final

from leadglass.archive.ledger import Ledger
from leadglass.audit.event import Event, Outcome
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit

MAX_OPEN: Final = 10_000
"""Windows open at a time; beyond it those opened first are closed early. Some 5 MB."""

_SWEEPS: Final = 4
"""Looks for windows that have ended, in the length of one."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What one opening record covers."""

    caller: str
    peer: str
    action: Action
    reason: str
    study_uid: str
    level: str
    to: str


@dataclass(slots=True)
class _Tally:
    """What was done in a window since its last record."""

    caller: Caller
    opened: float
    recorded: Signal = field(default_factory=Signal)
    """Set when the opening record was written, or could not be."""
    is_on_record: bool = False
    sessions: set[str] = field(default_factory=set[str])
    joined: int = 0
    is_told: bool = False
    requests: int = 0
    done: int = 0
    octets: int = 0
    failed: int = 0
    why: str = ""
    """Why the first that failed did."""


class Windows:
    """The open windows of one archive. Safe for threads.

    Parameters
    ----------
    ledger : Ledger
        Where the records go.
    door : str
        Of the archive, for the records.
    window : float
        Seconds for which one opening record covers.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, ledger: Ledger, *, door: str, window: float, clock: Callable[[], float] = monotonic) -> None:
        self._ledger = ledger
        self._door = door
        self._window = window
        self._clock = clock
        self._lock = Lock()
        self._open: dict[_Key, _Tally] = {}
        self._swept = clock()

    # --- opening --------------------------------------------------------------

    def request(self, caller: Caller, permit: Permit, level: str, to: str) -> None:
        """Have a request on record that is not about one study yet; raises when it cannot be."""
        self._cover(_key(caller, permit, "", level, to), caller, is_request=True)

    def study(self, caller: Caller, permit: Permit, study_uid: str, to: str = "") -> None:
        """Have what is about to be done with a study on record.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When it cannot be: then it must not happen.
        """
        self._cover(_key(caller, permit, study_uid, "", to), caller)

    def covers(self, caller: Caller, permit: Permit, study_uid: str, level: str) -> bool:
        """Say whether a request, and what is done with a study, are on record, so that neither waits for a record."""
        now = self._clock()
        if self._is_due(now):
            return False
        with self._lock:
            tallies = (
                self._open.get(_key(caller, permit, "", level, "")),
                self._open.get(_key(caller, permit, study_uid, "", "")),
            )
            return all(
                tally is not None and tally.is_on_record and now - tally.opened < self._window for tally in tallies
            )

    def _cover(self, key: _Key, caller: Caller, *, is_request: bool = False) -> None:
        self._sweep()
        while True:
            now = self._clock()
            over: _Tally | None = None
            with self._lock:
                tally = self._open.get(key)
                if tally is not None and now - tally.opened >= self._window and tally.recorded.is_set():
                    over = self._open.pop(key)
                    tally = None
                is_mine = tally is None
                if tally is None:
                    tally = self._open[key] = _Tally(caller, now)
            if over is not None:
                self._tell([(key, over)])
            if is_mine:
                self._record(key, tally, caller)
            else:
                tally.recorded.wait()
            if not tally.is_on_record:
                continue  # whoever was to record it could not
            with self._lock:
                if caller.session not in tally.sessions:
                    tally.sessions.add(caller.session)
                    tally.joined += 1
                tally.requests += is_request and not is_mine
                return

    def _record(self, key: _Key, tally: _Tally, caller: Caller) -> None:
        try:
            self._ledger.record(self._event(key, caller, Outcome.PERMITTED, key.reason, {}))
            tally.is_on_record = True
        except BaseException:
            with self._lock:
                if self._open.get(key) is tally:
                    del self._open[key]
            raise
        finally:
            tally.recorded.set()

    def count(
        self,
        caller: Caller,
        permit: Permit,
        study_uid: str,
        octets: int,
        *,
        failed: bool = False,
        why: str = "",
        to: str = "",
        instances: int = 1,
    ) -> None:
        """Count instances of one study that were done, or failed, and for what reason."""
        key = _key(caller, permit, study_uid, "", to)
        with self._lock:
            tally = self._open.get(key)
            if tally is None:
                # What was begun in a window that was closed meanwhile goes into one that is over at once.
                tally = self._open[key] = _Tally(caller, self._clock() - self._window)
                tally.recorded.set()
                tally.sessions.add(caller.session)
                tally.joined = 1
            if failed:
                tally.failed += instances
                tally.why = tally.why or why
            else:
                tally.done += instances
            tally.octets += octets

    # --- closing --------------------------------------------------------------

    def end(self, session: str) -> LeadglassError | None:
        """End a session: tell what it came to where it was the last one; gives why that could not be written."""
        told: list[tuple[_Key, _Tally]] = []
        with self._lock:
            now = self._clock()
            for key, tally in list(self._open.items()):
                if session not in tally.sessions:
                    continue
                tally.sessions.discard(session)
                is_over = now - tally.opened >= self._window
                if tally.sessions or (tally.is_told and not is_over):
                    continue
                told.append((key, _taken(tally)))
                if is_over:
                    del self._open[key]
                tally.is_told = True
        return self._tell(told)

    def close(self) -> LeadglassError | None:
        """Close every window."""
        with self._lock:
            left = list(self._open.items())
            self._open.clear()
        return self._tell(left)

    def tidy(self) -> LeadglassError | None:
        """Close the windows that have ended, and those beyond ``MAX_OPEN``."""
        with self._lock:
            now = self._swept = self._clock()
            ended = [
                (key, tally)
                for key, tally in self._open.items()
                if tally.recorded.is_set() and now - tally.opened >= self._window
            ]
            for key, _ in ended:
                del self._open[key]
            if len(self._open) > MAX_OPEN:
                first = [(key, tally) for key, tally in self._open.items() if tally.recorded.is_set()][: MAX_OPEN // 8]
                for key, _ in first:
                    del self._open[key]
                ended += first
        return self._tell(ended)

    def _sweep(self) -> None:
        """Tidy now and then, on the way of whoever comes; what cannot be written is owed."""
        if self._is_due(self._clock()):
            self.tidy()

    def _is_due(self, now: float) -> bool:
        return now - self._swept >= self._window / _SWEEPS or len(self._open) > MAX_OPEN

    def _tell(self, tallies: Iterable[tuple[_Key, _Tally]]) -> LeadglassError | None:
        """Write closing records, or owe them."""
        events = [
            self._event(
                key,
                tally.caller,
                Outcome.FAILED if tally.failed else Outcome.DONE,
                "closed",
                _counts(key, tally),
            )
            for key, tally in tallies
            if (tally.requests if not key.study_uid else tally.done or tally.failed or not tally.is_told)
        ]
        return self._ledger.owe(events)

    def _event(self, key: _Key, caller: Caller, outcome: Outcome, reason: str, counts: dict[str, str | int]) -> Event:
        detail = {"level": key.level, "to": key.to, **counts}
        return Event.of(caller, outcome, key.action, reason, door=self._door, study_uid=key.study_uid, detail=detail)


def _key(caller: Caller, permit: Permit, study_uid: str, level: str, to: str) -> _Key:
    return _Key(str(caller), caller.peer, permit.action, permit.reason, study_uid, level, to)


def _taken(tally: _Tally) -> _Tally:
    """Take the counts out of a tally that stays open."""
    taken = _Tally(
        tally.caller,
        tally.opened,
        joined=tally.joined,
        is_told=tally.is_told,
        requests=tally.requests,
        done=tally.done,
        octets=tally.octets,
        failed=tally.failed,
        why=tally.why,
    )
    tally.why = ""
    tally.joined = tally.requests = tally.done = tally.octets = tally.failed = 0
    return taken


def _counts(key: _Key, tally: _Tally) -> dict[str, str | int]:
    counts: dict[str, str | int] = {}
    if tally.joined > 1:
        counts["sessions"] = tally.joined
    if not key.study_uid:
        return counts | {"more requests": tally.requests}
    if tally.why:
        counts["first failure"] = tally.why
    return {"instances": tally.done, "failed": tally.failed, "octets": tally.octets} | counts
