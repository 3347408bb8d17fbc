"""Table: a report as CSV (RFC 4180), for a spreadsheet.

Rule: no cell is a formula. What begins like one gets an apostrophe before it.
"""

import csv
import io
from typing import Final

from leadglass.survey.report.model import Item, Report

COLUMNS: Final = (
    "id", "change", "standing", "severity", "exposure", "address", "port", "transport", "unit", "owner", "contact",
    "country", "organisation", "check", "title", "proof", "inferred", "not_tested", "fixes", "controls", "first_seen",
    "last_seen", "due", "accepted_until",
)  # fmt: skip

_BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")  # noqa: RUF001 - full-width ones, which spreadsheets take too


def table(report: Report) -> str:
    """Write a report as CSV, a line a finding: those found, those gone, those not looked at again."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for item in (*report.items, *report.absent, *report.unlooked):
        writer.writerow([harmless(each) for each in _row(item)])
    return written.getvalue()


def harmless(text: str) -> str:
    """Give a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(_BEGINS_A_FORMULA) else text


def _row(item: Item) -> tuple[str, ...]:
    finding, entry, asset = item.finding, item.entry, item.asset
    return (
        finding.id,
        "not looked at" if item.change is None else item.change,
        "" if entry is None else entry.standing,
        finding.severity,
        finding.exposure.name,
        "" if finding.address is None else str(finding.address),
        str(finding.port),
        finding.transport,
        item.unit,
        "" if asset is None else asset.owner,
        "" if asset is None else asset.contact,
        item.place.country,
        item.place.organisation,
        finding.check,
        finding.title,
        "; ".join(f"{name}: {value}" for name, value in finding.proof.items()),
        "yes" if finding.inferred else "no",
        "; ".join(finding.not_tested),
        "; ".join(finding.fixes),
        "; ".join(finding.controls),
        "" if entry is None else entry.first_seen.isoformat(),
        "" if entry is None else entry.last_seen.isoformat(),
        "" if entry is None or entry.due is None else entry.due.isoformat(),
        "" if entry is None or entry.accepted_until is None else entry.accepted_until.isoformat(),
    )
