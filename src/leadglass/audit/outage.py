"""Outage: something that keeps copies of the log elsewhere does not, for too long; on record once, and once it is over.

Rule: at most two records for each outage, however long it lasts and however often
it is tried: the records are themselves handed on, and must not bring about others.
"""

from collections.abc import Callable
from datetime import datetime

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.meaning import COLLECT
from leadglass.errors import LeadglassError


class Outage:
    """Watches one thing; for one thread.

    Parameters
    ----------
    log : AuditLog
        Where the alert goes.
    what : str
        What is watched, to begin a sentence with.
    after : float
        Seconds of failing until it is worth an alert.
    clock : callable
        The time now, with its zone.
    since : datetime, optional
        Since when it fails, as known from before a restart.
    is_told : bool
        Whether the alert is on record already.
    """

    def __init__(
        self,
        log: AuditLog,
        what: str,
        after: float,
        clock: Callable[[], datetime],
        since: datetime | None = None,
        *,
        is_told: bool = False,
    ) -> None:
        self._log = log
        self._what = what
        self._after = after
        self._clock = clock
        self.since = since
        self.is_told = is_told
        self.reason = ""

    def failed(self, reason: str, waiting: int) -> None:
        """Take note that it failed, with how many records wait for it."""
        now = self._clock()
        self.reason = reason
        if self.since is None:
            self.since = now
        if self.is_told or (now - self.since).total_seconds() < self._after:
            return
        said = f"{self._what} has not been reached since {self.since:%Y-%m-%d %H:%M} UTC: {reason}"
        self.is_told = self._append(Event(Outcome.ALERT, COLLECT, reason=said, detail={"waiting": waiting}))

    def worked(self) -> None:
        """Take note that it worked."""
        if self.is_told and self.since is not None:
            seconds = int((self._clock() - self.since).total_seconds())
            said = f"{self._what} is reached again."
            if not self._append(Event(Outcome.DONE, COLLECT, reason=said, detail={"seconds": seconds})):
                return
        self.since, self.is_told, self.reason = None, False, ""

    def _append(self, event: Event) -> bool:
        try:
            self._log.append(
                Event(
                    event.outcome, event.action, peer="local", door="system", reason=event.reason, detail=event.detail
                )
            )
        except LeadglassError:
            return False  # it is tried again with the next failure or success
        return True
