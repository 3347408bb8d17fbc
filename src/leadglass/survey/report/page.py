"""Page: a report as one HTML file that needs nothing else: no script, no picture, no other host.

Rule 1. Everything is escaped by the template; its own policy allows nothing to be
loaded or run. Rule 2. It begins in plain language, and goes into detail afterwards.
"""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from leadglass import languages
from leadglass.survey.findings import Exposure, Severity
from leadglass.survey.report import charts
from leadglass.survey.report.model import Report
from leadglass.survey.standing import Standing

RUNGS: Final = {
    Exposure.E0: "cannot be reached",
    Exposure.E1: "turns strangers away",
    Exposure.E2: "lets anybody in",
    Exposure.E3: "answers anybody's questions",
    Exposure.E4: "images or files can be read",
    Exposure.E5: "and there are records",
}
"""The ladder in plain words."""

VANTAGES: Final = {"internet": "from the internet", "partner": "from a partner's network", "internal": "from inside"}


def page(report: Report, language: str = languages.ENGLISH) -> str:
    """Write a report as one HTML file, in a known language."""
    # Made each time: a report is written once by a process, and nothing is kept in the module.
    environment = Environment(
        loader=PackageLoader("leadglass.survey.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    languages.speak(environment, language)
    return environment.get_template("report.html").render(
        report=report,
        run=report.run,
        rungs=RUNGS,
        vantage=VANTAGES.get(report.run.vantage, report.run.vantage),
        verdict=verdict(report),
        first=report.recipes[:3],
        ladder=charts.bars(
            "Hosts by the highest rung of the ladder",
            [
                charts.Bar(f"{each.name} {RUNGS[each]}", count, each.name.lower())
                for each, count in report.ladder.items()
            ],
        ),
        severity=charts.bars(
            "Findings by severity",
            [charts.Bar(each.value, report.severities[each], each.value) for each in reversed(Severity)],
        ),
        trend=charts.trend(
            "New, back and gone by run",
            [
                charts.Moment(each.run.started.date().isoformat(), each.tally.new, each.tally.back, each.tally.gone)
                for each in report.trend
            ],
        ),
        exposed=sum(count for rung, count in report.ladder.items() if rung >= Exposure.E2),
        to_do=sum(report.standings[each] for each in (Standing.OPEN, Standing.TOLD, Standing.REGRESSED)),
        waiting=report.standings[Standing.FIXED_UNVERIFIED],
    )


def verdict(report: Report) -> str:
    """Say in one sentence how it stands."""
    hosts = report.ladder
    readable = hosts[Exposure.E4] + hosts[Exposure.E5]
    asked = hosts[Exposure.E3]
    taking = hosts[Exposure.E2]
    if readable:
        return f"Images or files can be read by anybody at {_hosts(readable)}. This is to be closed today."
    if asked:
        return f"{_hosts(asked)} answered questions about patients to a stranger. This is to be closed this week."
    if taking:
        return f"{_hosts(taking)} let a stranger in, without giving anything away in this survey."
    if report.severities[Severity.CRITICAL] or report.severities[Severity.HIGH]:
        return "Nothing let a stranger in, and there are findings that are serious."
    if report.run.open == 0:
        return "Nothing answered. That is good news only if the survey could reach the network."
    return "What was looked at turned strangers away."


def _hosts(number: int) -> str:
    return "one host" if number == 1 else f"{number:,} hosts"
