"""Document: a report as JSON, for programs; its schema is ``docs/survey-report.schema.json``.

Rule: what is in a document of this format never changes its meaning; a new meaning
gets a new number.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from leadglass.survey.report.model import Group, Item, Report
from leadglass.survey.report.scoring import VERSION, Score

FORMAT: Final = "leadglass-survey-report/1"


def document(report: Report) -> str:
    """Write a report as one JSON document, in ASCII."""
    return json.dumps(as_json(report), indent=2) + "\n"


def as_json(report: Report) -> dict[str, object]:
    """Give a report for a JSON encoder."""
    run = report.run
    return {
        "format": FORMAT,
        "made": report.made.isoformat(timespec="seconds"),
        "leadglass": report.version,
        "run": {
            "number": run.number,
            "id": run.id,
            "started": run.started.isoformat(),
            "ended": None if run.ended is None else run.ended.isoformat(),
            "status": run.status.value,
            "level": run.level,
            "vantage": run.vantage,
            "source": run.source,
            "owner": run.owner,
            "authorised_by": run.authorised_by,
            "targets": run.targets,
            "looked_at": run.done,
            "answered": run.open,
            "connections": run.connections,
        },
        "baseline": report.baseline,
        "summary": {
            "ladder": {each.name: count for each, count in report.ladder.items()},
            "severities": {each.value: count for each, count in report.severities.items()},
            "tally": asdict(report.tally),
            "press": asdict(report.press),
            "standings": {each.value: count for each, count in report.standings.items()},
            "due": report.due,
            "units": _groups(report.units),
            "countries": _groups(report.countries),
            "organisations": _groups(report.organisations),
        },
        "findings": [_finding(each) for each in report.items],
        "absent": [_finding(each) for each in report.absent],
        "not_looked_at": [_finding(each) for each in report.unlooked],
        "checks_made": [each.id for each in report.checks],
        "checks_not_made": [each.id for each in report.not_made],
        "unfinished": [{"address": at, "port": port, "check": check} for at, port, check in report.unfinished],
        "trend": [
            {
                "run": each.run.number,
                "started": each.run.started.isoformat(),
                "status": each.run.status.value,
                "source": each.run.source,
                "tally": asdict(each.tally),
                "severities": {severity.value: count for severity, count in each.severities.items()},
            }
            for each in report.trend
        ],
        "recipes": [
            {
                "id": each.id,
                "title": each.title,
                "why": each.why,
                "steps": [{"product": step.product, "text": step.text, "lines": step.lines} for step in each.steps],
            }
            for each in report.recipes
        ],
    }


def _groups(groups: Sequence[Group]) -> list[dict[str, object]]:
    return [
        {
            "name": each.name,
            "grade": each.grade.value,
            "hosts": each.hosts,
            "findings": each.findings,
            "worst": each.worst.name,
        }
        for each in groups
    ]


def _cvss(score: Score | None) -> dict[str, object] | None:
    return None if score is None else {"version": VERSION, "vector": score.vector, "score": score.score}


def _finding(item: Item) -> dict[str, object]:
    finding, entry, asset = item.finding, item.entry, item.asset
    return {
        "id": finding.id,
        "change": None if item.change is None else item.change.value,
        "was_closed": item.was_closed,
        "standing": None if entry is None else entry.standing.value,
        "check": finding.check,
        "address": None if finding.address is None else str(finding.address),
        "port": finding.port,
        "transport": finding.transport,
        "title": finding.title,
        "exposure": finding.exposure.name,
        "severity": finding.severity.value,
        "inferred": finding.inferred,
        "cvss": _cvss(item.score),
        "proof": dict(finding.proof),
        "not_tested": list(finding.not_tested),
        "fixes": list(finding.fixes),
        "controls": list(finding.controls),
        "unit": None if asset is None else asset.unit,
        "owner": None if asset is None else asset.owner,
        "contact": None if asset is None else asset.contact,
        "country": item.place.country,
        "organisation": item.place.organisation,
        "first_seen": None if entry is None else entry.first_seen.isoformat(),
        "last_seen": None if entry is None else entry.last_seen.isoformat(),
        "due": None if entry is None or entry.due is None else entry.due.isoformat(),
        "accepted_until": None if entry is None or entry.accepted_until is None else entry.accepted_until.isoformat(),
    }
