"""Page: a report as one HTML file that needs nothing else: no script, no picture, no other host.

Rule 1. Everything is escaped by the template; its own policy allows nothing to be
loaded or run. Rule 2. It begins in plain language, and goes into detail afterwards.
"""

from gettext import NullTranslations
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leadglass import languages
from leadglass.survey.findings import Exposure, Severity
from leadglass.survey.report import charts
from leadglass.survey.report.model import UNASSIGNED, Report
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
    texts = languages.texts(language)
    say = texts.gettext
    return environment.get_template("report.html").render(
        report=report,
        run=report.run,
        language=language,
        rungs=RUNGS,
        vantage=say(VANTAGES.get(report.run.vantage, report.run.vantage)),
        verdict=verdict(report, texts),
        unassigned=UNASSIGNED,
        running={
            "owner": _quoted(report.run.owner),
            "run": _quoted(
                say("Survey %(number)s, %(day)s") % {"number": report.run.number, "day": report.run.started.date()}
            ),
            "secret": _quoted(say("This report names open hosts: give it to nobody who does not close them.")),
        },
        first=report.recipes[:3],
        ladder=charts.bars(
            say("Hosts by the highest rung of the ladder"),
            [
                charts.Bar(f"{each.name} {say(RUNGS[each])}", count, each.name.lower())
                for each, count in report.ladder.items()
            ],
        ),
        severity=charts.bars(
            say("Findings by severity"),
            [charts.Bar(say(each.value), report.severities[each], each.value) for each in reversed(Severity)],
        ),
        trend=charts.trend(
            say("New, back and gone by run"),
            [
                charts.Moment(each.run.started.date().isoformat(), each.tally.new, each.tally.back, each.tally.gone)
                for each in report.trend
            ],
        ),
        exposed=sum(count for rung, count in report.ladder.items() if rung >= Exposure.E2),
        to_do=sum(report.standings[each] for each in (Standing.OPEN, Standing.TOLD, Standing.REGRESSED)),
        waiting=report.standings[Standing.FIXED_UNVERIFIED],
    )


def _quoted(text: str) -> Markup:
    """Write a text as a string of CSS, every character by its number: nothing in it ends the string or the sheet."""
    return Markup('"{}"').format("".join(f"\\{ord(each):06x}" for each in text))


VERDICTS: Final = {
    Exposure.E4: (
        "Images or files can be read by anybody at one host. This is to be closed today.",
        "Images or files can be read by anybody at %(num)d hosts. This is to be closed today.",
    ),
    Exposure.E3: (
        "One host answered questions about patients to a stranger. This is to be closed this week.",
        "%(num)d hosts answered questions about patients to a stranger. This is to be closed this week.",
    ),
    Exposure.E2: (
        "One host let a stranger in, without giving anything away in this survey.",
        "%(num)d hosts let a stranger in, without giving anything away in this survey.",
    ),
}
"""How it stands, by the highest rung that was reached: of one host, and of several."""

CALMER: Final = (
    "Nothing let a stranger in, and there are findings that are serious.",
    "Nothing answered. That is good news only if the survey could reach the network.",
    "What was looked at turned strangers away.",
)
"""And where no host let a stranger in: something serious, nothing at all, nothing to say."""


def verdict(report: Report, texts: NullTranslations | None = None) -> str:
    """Say in one sentence how it stands."""
    texts = texts or NullTranslations()
    hosts = report.ladder
    for rung, count in (
        (Exposure.E4, hosts[Exposure.E4] + hosts[Exposure.E5]),
        (Exposure.E3, hosts[Exposure.E3]),
        (Exposure.E2, hosts[Exposure.E2]),
    ):
        if count:
            return texts.ngettext(*VERDICTS[rung], count).replace("%(num)d", f"{count:,}")
    if report.severities[Severity.CRITICAL] or report.severities[Severity.HIGH]:
        return texts.gettext(CALMER[0])
    return texts.gettext(CALMER[1] if report.run.open == 0 else CALMER[2])
