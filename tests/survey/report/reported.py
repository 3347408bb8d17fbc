"""A report with something of everything in it, and hostile texts where people write."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path

from leadglass.survey.entries import Asset
from leadglass.survey.findings import Exposure
from leadglass.survey.report.model import Report
from leadglass.survey.scope import Vantage
from tests.survey.followed import STRANGERS, Followed, followed, found

HOSTILE = '=cmd|"/c calc"!A1 </td><script>alert(1)</script> {{ 7*7 }} \'"&'
DAY = date(2026, 3, 1)


@contextmanager
def second_run(folder: Path) -> Generator[tuple[Followed, Report]]:
    """Give the second of two runs from the internet: unchanged, updated, new, back, accepted, absent, not looked at."""
    kept = followed(folder, Vantage.INTERNET)
    there = Vantage.INTERNET
    try:
        kept.run([found("192.0.2.15", vantage=there)])
        kept.run(
            [
                found(vantage=there),
                found("192.0.2.11", check=STRANGERS, exposure=Exposure.E2, vantage=there),
                found("192.0.2.12", 445, "smb-guest", Exposure.E4, vantage=there),
                found("192.0.2.13", vantage=there),
                found("192.0.2.14", vantage=there),
            ],
            looked=[("192.0.2.15", 104)],
        )
        kept.register.assign(Asset(ip_network("192.0.2.8/29"), 0, HOSTILE, f"-{HOSTILE}", f"@{HOSTILE}"))
        kept.register.accept("192.0.2.12", "me", HOSTILE, DAY + timedelta(days=30), DAY)
        run, _ = kept.run(
            [
                found(vantage=there),
                found("192.0.2.11", check=STRANGERS, exposure=Exposure.E1, vantage=there),
                found("192.0.2.12", 445, "smb-guest", Exposure.E4, vantage=there),
                found("192.0.2.15", vantage=there),
                found("192.0.2.16", vantage=there),
                replace(found("192.0.2.17", exposure=Exposure.E5, vantage=there, inferred=True)),
            ],
            looked=[("192.0.2.13", 104)],
        )
        yield kept, kept.report(run)
    finally:
        kept.state.close()
