"""Looking: what a run proves by not finding something, and what was known before it.

Rule 1. What is not found is gone only where the run looked: at that endpoint, by that
check, to its end, over a line on which something was heard. Rule 2. A run that was
stopped proves nothing of what it did not come to. Rule 3. What one vantage sees says
nothing of another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from leadglass.survey.findings import Finding, Severity
from leadglass.survey.state import Run, State


@dataclass(frozen=True, slots=True)
class Look:
    """What one run looked at.

    Parameters
    ----------
    checks : frozenset of str
        Ids of the checks it made.
    answered, shut : frozenset of (str, int)
        Endpoints that it looked at: where something answered, and where nothing did any more.
    unproven : frozenset of (str, int, str)
        Address, port and check, where a check could not be made to its end, or one it builds on could not.
    was_heard : bool
        Whether anything answered or refused at all: else it may have been the line.
    """

    checks: frozenset[str]
    answered: frozenset[tuple[str, int]]
    shut: frozenset[tuple[str, int]]
    unproven: frozenset[tuple[str, int, str]]
    was_heard: bool

    def proves_gone(self, finding: Finding) -> bool:
        """Say whether a finding that the run did not make is gone."""
        if finding.address is None or finding.check not in self.checks:
            return False
        at = (str(finding.address), finding.port)
        if at in self.shut:
            return self.was_heard
        return at in self.answered and (*at, finding.check) not in self.unproven


def look_of(state: State, run: Run) -> Look:
    """Give what a run looked at."""
    unproven = {(address, port, check) for address, port, check in (*state.untested(run.id), *state.unproven(run.id))}
    return Look(
        checks=frozenset(state.checks_of(run.id)),
        answered=frozenset(state.answered(run.id)),
        shut=frozenset(state.shut(run.id)),
        unproven=frozenset(unproven),
        was_heard=run.open > 0 or state.was_heard(run.id),
    )


def is_open(finding: Finding) -> bool:
    """Say whether a finding is something to be closed.

    What turns strangers away is information from inside, and from the internet, where it
    should not be reached at all, something to be closed still.
    """
    return finding.severity is not Severity.INFO


# --- the baseline ----------------------------------------------------------------


class Change(StrEnum):
    """How a finding stands against what was known before (SARIF 2.1.0 3.27.24)."""

    NEW = "new"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Known:
    """What the runs before one came to.

    Parameters
    ----------
    findings : mapping of str to Finding
        Those that no later look missed, by id.
    ever : frozenset of str
        Ids of all that was found at any time.
    run : int or None
        Number of the newest of those runs.
    """

    findings: Mapping[str, Finding]
    ever: frozenset[str]
    run: int | None


def known_before(state: State, run: Run) -> Known:
    """Fold the runs before one, of the same vantage, into what was known when it began."""
    findings: dict[str, Finding] = {}
    ever: set[str] = set()
    newest: int | None = None
    for before in sorted(state.runs(), key=lambda each: each.number):
        if before.number >= run.number or before.vantage != run.vantage:
            continue
        newest = before.number
        seen = {finding.id: finding for finding in state.findings(before.id)}
        look = look_of(state, before)
        gone = [id_ for id_, finding in findings.items() if id_ not in seen and look.proves_gone(finding)]
        for id_ in gone:
            del findings[id_]
        findings |= seen
        ever |= set(seen)
    return Known(findings, frozenset(ever), newest)


def compared(
    found: Iterable[Finding], known: Known, look: Look
) -> tuple[list[tuple[Finding, Change]], list[Finding], list[Finding]]:
    """Compare a run with what was known before.

    Returns
    -------
    tuple
        What it found, each with its change; what is absent; what was known, and is not looked at again.
    """
    now: dict[str, Finding] = {finding.id: finding for finding in found}
    changes = [(finding, _change(known.findings.get(id_), finding)) for id_, finding in now.items()]
    missing = [finding for id_, finding in known.findings.items() if id_ not in now]
    absent = [finding for finding in missing if look.proves_gone(finding)]
    unlooked = [finding for finding in missing if not look.proves_gone(finding)]
    return changes, absent, unlooked


def _change(before: Finding | None, now: Finding) -> Change:
    if before is None:
        return Change.NEW
    return Change.UNCHANGED if before == now else Change.UPDATED
