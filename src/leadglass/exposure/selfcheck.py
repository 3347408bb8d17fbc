"""The self-check: run, kept, put on record, and shown to who manages the archive.

Rule 1. Each run is one record; what is new in it and high or worse is an alert
besides. Rule 2. Who looks or accepts needs MANAGE; what runs by itself is the
archive's own act. Rule 3. A finding is accepted with a reason, until a day, and never
for something worse than was seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Lock
from typing import Final

from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.errors import BadInput, Busy, NotHere
from leadglass.exposure.checks.table import CHECKS
from leadglass.exposure.facts import Facts
from leadglass.exposure.finding import Check, Finding, Severity, examine
from leadglass.exposure.report import Acceptance, Occasion, Report, report_of
from leadglass.exposure.store import ExposureStore, Mark
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller

ACTION: Final = "exposure"
"""The word in the audit log."""

LONGEST: Final = timedelta(days=366)
"""For how long a finding can be accepted: somebody is to think again once a year."""

LEAST_REASON: Final = 8
MOST_REASON: Final = 200
"""Characters of a reason: a sentence."""

_MOST_ALERTS: Final = 20
"""Alerts of one run."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the archive stands.

    Parameters
    ----------
    report : Report, optional
        The newest result; None: there is none yet.
    new, gone : tuple of Finding
        What changed since the result before.
    history : tuple of Report
        Results, newest first.
    acceptances : tuple of Acceptance
        What is accepted, also what is not found any more.
    """

    report: Report | None
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    history: tuple[Report, ...]
    acceptances: tuple[Acceptance, ...]


class SelfCheck:
    """The self-check of one archive. Safe for threads.

    Parameters
    ----------
    store : ExposureStore
        Where results are kept.
    look : callable
        Gathers the facts.
    append : callable
        Puts an event on record, or raises.
    door : str
        For the records.
    checks : sequence of Check
        What is checked.
    """

    def __init__(
        self,
        store: ExposureStore,
        look: Callable[[], Facts],
        append: Callable[[Event], object],
        *,
        door: str,
        checks: Sequence[Check] = CHECKS,
    ) -> None:
        self._store = store
        self._look = look
        self._append = append
        self._door = door
        self._checks = checks
        self._running = Lock()
        self._has_ended = False

    def run(self, occasion: Occasion, caller: Caller | None = None) -> Report:
        """Look at everything, and keep what was found.

        Parameters
        ----------
        occasion : Occasion
            Why.
        caller : Caller, optional
            Who asks; None: the archive itself.

        Raises
        ------
        Denied
            When the caller may not.
        Busy, Full, Corrupt, Misconfigured
            When it could not look, or could not put it on record.
        """
        if caller is not None:
            self._demand(caller, what="run the self-check")
        with self._running:
            if self._has_ended:
                raise Busy("The archive is ending. Look again when it runs.")
            facts = self._look()
            report = report_of(
                examine(facts, self._checks),
                self._store.accepted(),
                made=facts.now.astimezone(UTC),
                occasion=occasion,
                version=facts.machine.version,
                checks=len(self._checks),
                octets=facts.storage.octets,
            )
            before = next(iter(self._store.newest(1)), None)
            self._record(report, before, caller)
            return self._store.add(report)

    def end(self) -> None:
        """Wait for a run that goes on, and begin no other."""
        with self._running:
            self._has_ended = True

    def facts(self) -> Facts:
        """Give what is looked at, as it is now; raises what looking raises."""
        return self._look()

    def standing(self, caller: Caller, history: int = 30) -> Standing:
        """Say how the archive stood when it was last looked at; raises ``Denied``."""
        self._demand(caller, yes=False)
        reports = self._store.newest(history + 1)
        newest = reports[0] if reports else None
        before = reports[1] if len(reports) > 1 else None
        return Standing(
            report=newest,
            new=newest.new_since(before) if newest and before else (),
            gone=newest.gone_since(before) if newest else (),
            history=tuple(reports[:history]),
            acceptances=self._store.accepted(),
        )

    def accept(self, caller: Caller, key: str, until: date, reason: str) -> Acceptance:
        """Live with a finding of the newest result, until a day.

        Parameters
        ----------
        caller : Caller
            Who says so; needs MANAGE.
        key : str
            The finding's.
        until : date
            The last day (UTC).
        reason : str
            Why.

        Raises
        ------
        Denied, BadInput
        NotHere
            When nothing of that key was found.
        """
        reason = reason.strip()
        today = self._store.now.date()
        if not LEAST_REASON <= len(reason) <= MOST_REASON or not reason.isprintable():
            raise BadInput(
                f"Say in one line of {LEAST_REASON} to {MOST_REASON} characters why the archive lives with it."
            )
        if not today <= until <= today + LONGEST:
            raise BadInput(f"Give a day from {today} to {today + LONGEST}; then somebody thinks again.")
        self._demand(caller, what="accept a finding", finding=key[:100], until=until.isoformat(), why=reason)
        newest = next(iter(self._store.newest(1)), None)
        found = next((each for each in newest.findings if each.key == key), None) if newest else None
        if found is None:
            raise NotHere("The last run of the self-check found nothing of that name. See: leadglass exposure")
        made = Acceptance(key, found.severity, until, reason, str(caller), self._store.now, found.said)
        self._store.accept(made)
        return made

    def withdraw(self, caller: Caller, key: str) -> None:
        """Live with it no longer.

        Raises
        ------
        Denied
        NotHere
            When it was not accepted.
        """
        self._demand(caller, what="accept a finding no longer", finding=key[:100])
        if not self._store.withdraw(key):
            raise NotHere("No finding of that name is accepted. See: leadglass exposure --json")

    # --- what others did -------------------------------------------------------------

    def verified(self, faults: int) -> None:
        """Note that the audit log was verified, and how many faults that found; raises ``Busy``, ``Full``."""
        self._store.mark(Mark.VERIFIED, faults)

    def checked(self, faults: int) -> None:
        """Note that everything stored was re-read, likewise."""
        self._store.mark(Mark.CHECKED, faults)

    def backed_up(self) -> None:
        """Note that a backup ended well."""
        self._store.mark(Mark.BACKUP)

    # --- on record ----------------------------------------------------------------

    def _demand(self, caller: Caller, *, yes: bool = True, **detail: str) -> None:
        decide_on_record(self._append, caller, Action.MANAGE, door=self._door, detail=detail, yes=yes)

    def _record(self, report: Report, before: Report | None, caller: Caller | None) -> None:
        counts = {severity.value: count for severity, count in report.counts.items() if count}
        said = f"the self-check came to {report.points} of 100 ({report.grade})"
        detail = {"occasion": report.occasion.value, "points": report.points, "accepted": len(report.accepted)}
        self._put(Outcome.DONE, said, detail | counts, caller)
        known = set(report.accepted)
        bad = [each for each in report.new_since(before) if each.severity.is_at_least(Severity.HIGH)]
        for finding in [each for each in bad if each.key not in known][:_MOST_ALERTS]:
            self._put(Outcome.ALERT, finding.said, {"check": finding.check, "severity": finding.severity.value}, caller)

    def _put(self, outcome: Outcome, reason: str, detail: dict[str, str | int], caller: Caller | None) -> None:
        if caller is not None:
            self._append(Event.of(caller, outcome, ACTION, reason, door=self._door, detail=detail))
        else:
            self._append(Event(outcome, ACTION, peer="local", door="system", reason=reason, detail=detail))


def seconds_until(at: str, now: datetime) -> float:
    """Give the seconds until it is a time of day (``HH:MM``, UTC) again.

    Raises
    ------
    BadInput
        When the text is no time.
    """
    hours, colon, minutes = at.partition(":")
    try:
        wanted = now.replace(hour=int(hours), minute=int(minutes), second=0, microsecond=0)
    except ValueError:
        wanted = None
    if wanted is None or not colon:
        raise BadInput(f"{at!r} is no time of day. Write it as 03:30, in UTC.")
    if wanted <= now:
        wanted += timedelta(days=1)
    return (wanted - now).total_seconds()
