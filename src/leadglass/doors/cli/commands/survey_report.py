"""``survey report`` and ``trend``: what a survey came to, for those who have to know.

Rule: what is written names open hosts, so it is its owner's alone to read.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from leadglass.doors.cli.commands.survey_kept import LANGUAGE, language_of, surveyed, write_private
from leadglass.doors.cli.commands.survey_shared import SCOPE
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.errors import NotHere
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.findings import Severity
from leadglass.survey.register import Register
from leadglass.survey.report import model
from leadglass.survey.report.document import document
from leadglass.survey.report.page import page
from leadglass.survey.report.places import Places
from leadglass.survey.report.sarif import sarif
from leadglass.survey.report.table import table as as_table
from leadglass.survey.state import Run, State

_WRITERS: Final = {"html": page, "json": document, "csv": as_table, "sarif": sarif}


def _run_of(state: State, number: int | None) -> Run:
    """Give the run that is meant; raises ``NotHere``."""
    found = next((each for each in state.runs() if number is None or each.number == number), None)
    if found is None:
        raise NotHere("There is no such run. See them with: leadglass survey status")
    return found


@click.command(
    "report",
    epilog=examples(
        "leadglass survey report clinic.toml --out clinic.html",
        "leadglass survey report clinic.toml --format sarif --out clinic.sarif",
        "leadglass survey report clinic.toml --format csv --run 3 --out run3.csv",
    ),
)
@SCOPE
@click.option(
    "--format", "form", type=click.Choice(list(_WRITERS)), default="html", show_default=True, help="What is written."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    help="Where to; - is standard output.",
)
@click.option("--run", "number", type=click.IntRange(1), help="Of which run; the newest by default.")
@click.option(
    "--geo",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    multiple=True,
    metavar="FILE",
    help="Countries and organisations by a file of yours in the MaxMind DB format; may be repeated.",
)
@LANGUAGE
def survey_report(
    scope_file: Path, *, form: str, out: Path, number: int | None, geo: tuple[Path, ...], language: str
) -> None:
    """Write what a run found: for management and engineers (html), for programs (json, sarif), for a spreadsheet (csv).

    The page needs no network and no script, and prints well. Each finding stands
    against what was known before: new, unchanged, updated or absent.
    """
    with surveyed(scope_file) as state, Places(geo) as places:
        run = _run_of(state, number)
        made = model.build(
            state,
            Register(state),
            run,
            CHECKS,
            made=datetime.now(UTC),
            version=version("leadglass"),
            places=places,
        )
    text = page(made, language_of(Terminal(), language)) if form == "html" else _WRITERS[form](made)
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    write_private(out, text)
    Terminal().tell(f"{out} is written: run {run.number}, as {form}. It names open hosts: give it to nobody else.")


@click.command("trend", epilog=examples("leadglass survey trend clinic.toml"))
@SCOPE
@json_option
def survey_trend(scope_file: Path, *, as_json: bool) -> None:
    """Show what each run found that was new, back, gone or still there. New and gone are never offset."""
    terminal = Terminal()
    with surveyed(scope_file) as state:
        register = Register(state)
        vantages = dict.fromkeys(each.vantage for each in reversed(state.runs()))
        points = [point for vantage in vantages for point in model.trend(state, register, vantage)]
    if as_json:
        terminal.json(
            [
                {
                    "run": each.run.number,
                    "started": each.run.started.isoformat(),
                    "status": each.run.status.value,
                    "source": each.run.source,
                    "vantage": each.run.vantage,
                    "new": each.tally.new,
                    "back": each.tally.back,
                    "gone": each.tally.gone,
                    "still": each.tally.still,
                    "severities": {severity.value: count for severity, count in each.severities.items()},
                }
                for each in points
            ]
        )
        return
    counts = ("run", "new", "back", "gone", "still", "critical", "high", "medium")
    rows = table("run", "day", "from", "of", "new", "back", "gone", "still", *counts[5:], right=counts)
    for each in points:
        numbers = (each.tally.new, each.tally.back, each.tally.gone, each.tally.still)
        worst = (each.severities[grade] for grade in (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM))
        rows.add_row(
            str(each.run.number),
            each.run.started.date().isoformat(),
            cell(each.run.vantage),
            cell(each.run.source),
            *(f"{number:,}" for number in (*numbers, *worst)),
        )
    terminal.show(rows)
