"""Ledger: records on their way to the audit log, and those that are owed to it.

Rule 1. ``record`` returns when the event is on stable storage, or raises: then
what it is about must not happen. Rule 2. What tells of something that has
happened already is ``owed``: when it cannot be written it is kept, and written
when the log can be written again. Rule 3. Only so many are kept; that others
were lost goes on record too.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.errors import LeadglassError

KEPT: Final = 10_000
"""Records that are kept while the log cannot be written; about 10 MB. A session
owes one for each study it touched."""

_AT_ONCE: Final = 16
"""Owed records that are written after one that is not: each costs a disk write
that somebody waits for."""

_ATTEMPTS: Final = 3
"""Failures after which no more is tried: each may have waited for a lock."""


@dataclass(slots=True)
class _Owed:
    """A record that is still to be written."""

    event: Event
    is_late: bool = False


class Ledger:
    """Writes to the audit log. Safe for threads.

    Parameters
    ----------
    audit : AuditLog
        The log.
    door : str
        Of the archive, for the record that tells of losses.
    kept : int
        Records kept while the log cannot be written.
    """

    def __init__(self, audit: AuditLog, *, door: str, kept: int = KEPT) -> None:
        self._audit = audit
        self._door = door
        self._kept = kept
        self._lock = Lock()
        self._owed: deque[_Owed] = deque()
        self._lost = 0

    def record(self, event: Event) -> None:
        """Put an event on record, then some of what is owed.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When the event could not be written. That something is still owed raises nothing.
        """
        self._audit.append(event)
        if self._owed or self._lost:
            self.settle(_AT_ONCE)

    def owe(self, events: Iterable[Event]) -> LeadglassError | None:
        """Put on record what has happened already; gives why something is still owed."""
        self._keep([_Owed(event) for event in events])
        return self.settle()

    def settle(self, limit: int = KEPT) -> LeadglassError | None:
        """Write what is owed, as far as it goes; gives why it went no further."""
        failed: list[_Owed] = []
        error: LeadglassError | None = None
        for _ in range(limit):
            with self._lock:
                if not self._owed or len(failed) == _ATTEMPTS:
                    break
                owed = self._owed.popleft()
            event = owed.event
            try:
                self._audit.append(replace(event, reason=f"{event.reason} (recorded late)") if owed.is_late else event)
            except LeadglassError as raised:
                error = error or raised
                failed.append(owed)
            except BaseException:
                self._keep([*failed, owed], first=True)
                raise
        self._keep(failed, first=True)
        if error is None and self._lost:
            error = self._tell_of_losses()
        if error is not None:
            with self._lock:
                for owed in self._owed:
                    owed.is_late = True
        return error

    def _tell_of_losses(self) -> LeadglassError | None:
        with self._lock:
            lost, self._lost = self._lost, 0
        reason = "Records were lost while the audit log could not be written."
        try:
            self._audit.append(Event(Outcome.ALERT, "audit", door=self._door, reason=reason, detail={"records": lost}))
        except LeadglassError as error:
            with self._lock:
                self._lost += lost
            return error
        return None

    def _keep(self, owed: list[_Owed], *, first: bool = False) -> None:
        with self._lock:
            room = max(0, self._kept - len(self._owed))
            self._lost += max(0, len(owed) - room)
            if first:
                self._owed.extendleft(reversed(owed[:room]))
            else:
                self._owed.extend(owed[:room])
