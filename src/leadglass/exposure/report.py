"""Reports: what one run of the self-check came to, what was accepted of it, and what changed since another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from leadglass.exposure.finding import Finding, Severity
from leadglass.exposure.scoring import Score, score


class Occasion(StrEnum):
    """Why it was run."""

    START = "start"
    NIGHT = "night"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Somebody lives with a finding until a day.

    Parameters
    ----------
    key : str
        The finding's.
    severity : Severity
        How bad it was then; worse is not accepted by it.
    until : date
        The last day (UTC) on which it is accepted.
    reason : str
        Why.
    by : str
        Who said so.
    made : datetime
        When.
    said : str
        What was found then.
    """

    key: str
    severity: Severity
    until: date
    reason: str
    by: str
    made: datetime
    said: str = ""

    def covers(self, finding: Finding, today: date) -> bool:
        """Say whether a finding is accepted on a day."""
        return finding.key == self.key and today <= self.until and self.severity.is_at_least(finding.severity)


@dataclass(frozen=True, slots=True)
class Report:
    """One run.

    Parameters
    ----------
    made : datetime
        When (UTC).
    occasion : Occasion
        Why.
    version : str
        Of Leadglass.
    checks : int
        How many checks were made.
    findings : tuple of Finding
        What was found, the worst first; those that are accepted too.
    accepted : tuple of str
        The keys of those that are accepted.
    points, grade
        The score.
    points_without : int
        What it would be if nothing were accepted.
    octets : int
        Bytes stored then, to know how fast they grow.
    number : int
        The store's own number; 0: it is not kept.
    """

    made: datetime
    occasion: Occasion
    version: str
    checks: int
    findings: tuple[Finding, ...]
    accepted: tuple[str, ...]
    points: int
    grade: str
    points_without: int
    octets: int = 0
    number: int = 0

    @property
    def open(self) -> tuple[Finding, ...]:
        """What is found and not accepted, the worst first: in this order it is mended."""
        return tuple(each for each in self.findings if each.key not in self.accepted)

    @property
    def worst(self) -> Severity:
        """The worst of what is open."""
        return max((each.severity for each in self.open), key=lambda each: each.rank, default=Severity.OK)

    @property
    def is_fine(self) -> bool:
        """Whether nothing that is open is high or worse."""
        return not self.worst.is_at_least(Severity.HIGH)

    @property
    def counts(self) -> Mapping[Severity, int]:
        """How many are open, by severity; those without any are there too."""
        counted = Counter(each.severity for each in self.open)
        return {severity: counted[severity] for severity in reversed(Severity) if severity is not Severity.OK}

    def new_since(self, before: "Report | None") -> tuple[Finding, ...]:
        """Give what was not found, or was not as bad, in an earlier run."""
        known = {} if before is None else {each.key: each.severity for each in before.findings}
        return tuple(
            each for each in self.findings if each.key not in known or each.severity.rank > known[each.key].rank
        )

    def gone_since(self, before: "Report | None") -> tuple[Finding, ...]:
        """Give what was found in an earlier run and is not any more."""
        now = {each.key for each in self.findings}
        return () if before is None else tuple(each for each in before.findings if each.key not in now)


def report_of(
    findings: tuple[Finding, ...],
    acceptances: tuple[Acceptance, ...],
    *,
    made: datetime,
    occasion: Occasion,
    version: str,
    checks: int,
    octets: int,
) -> Report:
    """Make a report: what is accepted is told apart, and the rest is scored."""
    today = made.date()
    accepted = tuple(each.key for each in findings if any(acceptance.covers(each, today) for acceptance in acceptances))
    counted: Score = score(each for each in findings if each.key not in accepted)
    return Report(
        made=made,
        occasion=occasion,
        version=version,
        checks=checks,
        findings=findings,
        accepted=accepted,
        points=counted.points,
        grade=counted.grade,
        points_without=score(findings).points,
        octets=octets,
    )
