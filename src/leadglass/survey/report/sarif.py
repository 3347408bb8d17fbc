"""SARIF: a report in the format that code-scanning and vulnerability tools read (OASIS SARIF 2.1.0).

Rule: a finding has the same fingerprint in every run, and a baseline state: new,
unchanged, updated or absent (3.27.24). What was not looked at again is not in it,
since nothing is known of it.
"""

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Final, cast

from leadglass.survey.check import Check
from leadglass.survey.findings import Exposure, Severity
from leadglass.survey.looking import Change
from leadglass.survey.recipes import RECIPES
from leadglass.survey.report.model import Item, Report
from leadglass.survey.scope import Address
from leadglass.survey.standing import Standing
from leadglass.survey.state import Status

VERSION: Final = "2.1.0"
FINGERPRINT: Final = "leadglassSurveyFinding/v1"
GITHUBS_FINGERPRINT: Final = "primaryLocationLineHash"
"""The only one that GitHub compares; it makes one of the file's lines where it is missing, and there is no file."""

_LEVELS: Final = {
    Severity.INFO: "none",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}

_SCORES: Final = {
    Severity.INFO: "0.0",
    Severity.LOW: "3.0",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}
"""For tools that sort by a number: the middle of the band that is called so, no CVSS, which is beside it."""

_ORDER: Final = tuple(Severity)


def sarif(report: Report) -> str:
    """Write a report as one SARIF log file, in ASCII."""
    return json.dumps(as_sarif(report), indent=2) + "\n"


def as_sarif(report: Report) -> dict[str, object]:
    """Give a report for a JSON encoder."""
    run = report.run
    items = (*report.items, *report.absent)
    checks = {each.id: each for each in (*report.checks, *report.not_made)}
    rules = list(dict.fromkeys(each.finding.check for each in items))
    invocation: dict[str, object] = {
        "executionSuccessful": run.status is Status.DONE,
        "startTimeUtc": run.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if run.ended is not None:
        invocation["endTimeUtc"] = run.ended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "version": VERSION,
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Leadglass survey",
                        "version": report.version,
                        "rules": [
                            _rule(each, checks.get(each), [item for item in items if item.finding.check == each])
                            for each in rules
                        ],
                    }
                },
                "automationDetails": {"id": f"leadglass-survey/{run.vantage}/{run.number}"},
                "invocations": [invocation],
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, rules.index(each.finding.check)) for each in items],
            }
        ],
    }


def _rule(id_: str, check: Check | None, items: Sequence[Item]) -> dict[str, object]:
    """Describe a check; what GitHub shows of an alert, and sorts it by, is the rule's and not the result's."""
    worst = max((each.finding.severity for each in items), key=_ORDER.index)
    rule: dict[str, object] = {
        "id": id_,
        "name": "".join(part.capitalize() for part in id_.split("-")),
        "defaultConfiguration": {"level": _LEVELS[worst]},
        "properties": {
            "tags": ["security"] if check is None else ["security", *check.controls],
            "precision": "high" if not all(each.finding.inferred for each in items) else "medium",
            "security-severity": _SCORES[worst],
        },
    }
    if check is None:
        text = items[0].finding.title
        return rule | {"shortDescription": {"text": text}, "fullDescription": {"text": text}, "help": {"text": text}}
    recipes = [RECIPES[each] for each in check.fixes if each in RECIPES]
    text = "\n\n".join(
        "\n".join([f"{recipe.title}. {recipe.why}", *(f"{step.product}: {step.text}" for step in recipe.steps)])
        for recipe in recipes
    )
    marked = "\n\n".join(
        "\n\n".join(
            [
                f"### {recipe.title}\n\n{recipe.why}",
                *(
                    f"**{step.product}** {step.text}" + (f"\n\n```\n{step.lines}\n```" if step.lines else "")
                    for step in recipe.steps
                ),
            ]
        )
        for recipe in recipes
    )
    return rule | {
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": f"{check.title} To find it is sent: {check.sends}"},
        "help": {"text": text or check.title, "markdown": marked or check.title},
        "properties": cast("dict[str, object]", rule["properties"]) | {"level": int(check.level)},
    }


def _result(item: Item, rule: int) -> dict[str, object]:
    finding = item.finding
    is_told_only = finding.severity is Severity.INFO
    advice = " ".join(f"{recipe.title}." for recipe in item.recipes)
    result: dict[str, object] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "kind": "informational" if is_told_only else "fail",
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.title} {advice}".strip()},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.address, finding.port)},
                    "region": {"startLine": 1},  # an endpoint has none, and GitHub takes no result without
                },
                "logicalLocations": [{"fullyQualifiedName": item.where, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {FINGERPRINT: finding.id, GITHUBS_FINGERPRINT: f"{finding.id}:1"},
        "baselineState": (item.change or Change.UNCHANGED).value,
        "properties": {
            "exposure": finding.exposure.name,
            "severity": finding.severity.value,
            "security-severity": _SCORES[finding.severity],
            "transport": finding.transport,
            "cvss": None if item.score is None else {"vector": item.score.vector, "score": item.score.score},
            "inferred": finding.inferred,
            "proof": dict(finding.proof),
            "notTested": list(finding.not_tested),
            "fixes": list(finding.fixes),
            "standing": None if item.entry is None else item.entry.standing.value,
            "regressed": item.was_closed or (item.entry is not None and item.entry.standing is Standing.REGRESSED),
            "pressWouldCount": finding.exposure >= Exposure.E3 and not finding.inferred,
        },
    }
    entry = item.entry
    if entry is not None and entry.standing is Standing.ACCEPTED:
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"{entry.reason} (until {entry.accepted_until})",
            }
        ]
    return result


def _uri(address: Address | None, port: int) -> str:
    if address is None:
        return "configuration-file"
    return f"tcp://[{address}]:{port}" if address.version == 6 else f"tcp://{address}:{port}"
