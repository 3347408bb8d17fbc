"""Scoring: one number for how an archive stands, by rules that anybody can follow.

Rule 1. It begins at 100. Each check that finds something takes points off once, by
the worst that it found; more of the same take one point each, four at most. Rule 2.
The worst finding of all caps it: who has one critical finding is not well off,
however few others there are. Rule 3. Mending anything never lowers it. Rule 4. What
was accepted counts for nothing, and the number without that is told beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadglass.exposure.finding import Finding, Severity

POINTS: Final[Mapping[Severity, int]] = MappingProxyType(
    {
        Severity.OK: 0,
        Severity.INFO: 0,
        Severity.LOW: 2,
        Severity.MEDIUM: 6,
        Severity.HIGH: 15,
        Severity.CRITICAL: 40,
    }
)
"""Points that a check takes off, by the worst that it found."""

MORE: Final = 4
"""Points at most for more findings of the same check."""

CAPS: Final[Mapping[Severity, int]] = MappingProxyType(
    {
        Severity.OK: 100,
        Severity.INFO: 100,
        Severity.LOW: 100,
        Severity.MEDIUM: 94,
        Severity.HIGH: 69,
        Severity.CRITICAL: 39,
    }
)
"""The most there can be, by the worst finding of all."""

GRADES: Final = ((90, "A"), (75, "B"), (60, "C"), (40, "D"), (0, "F"))
"""The grade from so many points on."""


@dataclass(frozen=True, slots=True)
class Score:
    """The number, from 0 to 100, and its grade."""

    points: int
    grade: str


def score(findings: Iterable[Finding]) -> Score:
    """Give the score of findings that are not accepted."""
    of_check: defaultdict[str, list[Severity]] = defaultdict(list)
    for finding in findings:
        if POINTS[finding.severity]:
            of_check[finding.check].append(finding.severity)
    lost = 0
    cap = 100
    for severities in of_check.values():
        worst = max(severities, key=lambda severity: severity.rank)
        lost += POINTS[worst] + min(MORE, len(severities) - 1)
        cap = min(cap, CAPS[worst])
    points = max(0, min(cap, 100 - lost))
    return Score(points, next(grade for least, grade in GRADES if points >= least))
