"""Told: a report as programs read it, on the command line and on the web alike."""

from collections.abc import Iterable
from dataclasses import asdict

from leadglass.exposure.report import Acceptance, Report


def as_json(report: Report, acceptances: Iterable[Acceptance]) -> dict[str, object]:
    """Give a report with every finding."""
    of_key = {each.key: each for each in acceptances}
    findings: list[dict[str, object]] = []
    for each in report.findings:
        accepted = of_key.get(each.key) if each.key in report.accepted else None
        findings.append(
            {"finding": each.key, **asdict(each), "accepted": None if accepted is None else _accepted(accepted)}
        )
    return in_short(report) | {"score_without_acceptances": report.points_without, "findings": findings}


def in_short(report: Report) -> dict[str, object]:
    """Give its head."""
    return {
        "made": report.made.isoformat(),
        "occasion": report.occasion.value,
        "version": report.version,
        "checks": report.checks,
        "score": report.points,
        "grade": report.grade,
        "open": {severity.value: count for severity, count in report.counts.items()},
        "accepted": len(report.accepted),
    }


def _accepted(acceptance: Acceptance) -> dict[str, str]:
    return {"until": acceptance.until.isoformat(), "reason": acceptance.reason, "by": acceptance.by}
