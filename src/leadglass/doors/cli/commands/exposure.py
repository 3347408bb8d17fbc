"""``exposure``: the self-check of this archive: what could be reached, read or lost, and what to do first.

Rule: it looks at this archive alone; looking at others on a network is another command.
"""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from leadglass.doors.cli.options import application_of, data_option, day, examples, json_option, remember_data
from leadglass.doors.cli.terminal import Terminal, cell, counted, table

if TYPE_CHECKING:
    from leadglass.exposure.finding import Finding
    from leadglass.exposure.report import Acceptance, Report

_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "", "info": "dim"}


@click.group(
    "exposure",
    invoke_without_command=True,
    epilog=examples(
        "leadglass exposure",
        "leadglass exposure --json > exposure.json",
        "leadglass exposure accept plaintext-lane.0f3c9a1b2d4e --until 2027-06-30 --reason 'replaced in spring'",
    ),
)
@data_option
@json_option
@click.pass_context
def exposure_command(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Look at this archive itself: what is open, weak, old or about to end, and what to do first.

    It checks doors and their addresses, encryption, devices, accounts, tokens, links, disk, key, backups, the audit
    log and the machine, and gives a score of 100 (docs/exposure.md says how). Beside a running server it sees what
    that has open. The server does the same at each start and every night, and shows it at /system. Each run is on
    record.

    It sends nothing anywhere and looks at no other machine: finding open archives on a network is a survey, which is
    another command.

    Exit 1 when something that nobody accepted is high or critical.
    """
    if context.invoked_subcommand is not None:
        if context.get_parameter_source("data") is ParameterSource.COMMANDLINE:
            remember_data(context, context.command.params[0], data)
        return
    from leadglass.exposure import told  # a help text must not wait for it
    from leadglass.exposure.report import Occasion

    terminal = Terminal()
    with application_of(context).open(data) as opened:
        checks = opened.open_exposure()
        report = checks.run(Occasion.ASKED, opened.caller)
        standing = checks.standing(opened.caller)
    if as_json:
        terminal.json(told.as_json(report, standing.acceptances))
    else:
        _show(report, standing.new, standing.gone, standing.acceptances, terminal)
    context.exit(0 if report.is_fine else 1)


@exposure_command.command("history")
@click.option("--count", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many, newest first.")
@data_option
@json_option
@click.pass_context
def exposure_history(context: click.Context, count: int, data: Path, *, as_json: bool) -> None:
    """List earlier results: when, why, score, and how many findings were open."""
    from leadglass.exposure import told

    terminal = Terminal()
    with application_of(context).open(data) as opened:
        reports = opened.open_exposure().standing(opened.caller, count).history
    if as_json:
        terminal.json([told.in_short(report) for report in reports])
        return
    shown = table("when (UTC)", "why", "score", "grade", "critical", "high", "medium", "low", right=("score",))
    for report in reports:
        counts = {severity.value: number for severity, number in report.counts.items()}
        numbers = (counts[each] for each in ("critical", "high", "medium", "low"))
        when = f"{report.made:%Y-%m-%d %H:%M}"
        shown.add_row(
            cell(when), cell(report.occasion.value), cell(str(report.points)), cell(report.grade),
            *(cell(str(number)) for number in numbers),
        )  # fmt: skip
    terminal.show(shown)


@exposure_command.command("accept")
@click.argument("finding", metavar="FINDING")
@click.option("--until", required=True, callback=day, metavar="DATE", help="The last day (UTC), within a year.")
@click.option("--reason", required=True, metavar="TEXT", help="Why the archive lives with it; it is on record.")
@data_option
@click.pass_context
def exposure_accept(context: click.Context, finding: str, until: date, reason: str, data: Path) -> None:
    """Live with a finding until a day. FINDING is its name, as the list shows it.

    It is shown as accepted from the next run on, and costs no points. When it
    gets worse, it is open again.
    """
    with application_of(context).open(data) as opened:
        made = opened.open_exposure().accept(opened.caller, finding, until, reason)
    Terminal().say(f"Accepted until {made.until}: {made.said}")


@exposure_command.command("withdraw")
@click.argument("finding", metavar="FINDING")
@data_option
@click.pass_context
def exposure_withdraw(context: click.Context, finding: str, data: Path) -> None:
    """Live with a finding no longer: it counts again from the next run on."""
    with application_of(context).open(data) as opened:
        opened.open_exposure().withdraw(opened.caller, finding)
    Terminal().say(f"{finding} is not accepted any more.")


# --- shown ------------------------------------------------------------------------


def _show(
    report: "Report",
    new: "tuple[Finding, ...]",
    gone: "tuple[Finding, ...]",
    acceptances: "tuple[Acceptance, ...]",
    terminal: Terminal,
) -> None:
    style = "green" if report.points >= 90 else "yellow" if report.is_fine else "red"
    terminal.say(f"{report.points} of 100, grade {report.grade}", f"bold {style}")
    fresh = {each.key for each in new}
    for number, finding in enumerate(report.open, 1):
        mark = " (new)" if finding.key in fresh else ""
        terminal.say()
        terminal.say(f"{number}. {finding.severity.upper()}{mark}  {finding.said}", _STYLES[finding.severity])
        terminal.say(f"   {finding.meaning}", "dim")
        terminal.say(f"   {finding.fix.text}")
        if finding.fix.command:
            terminal.say(f"   $ {finding.fix.command}")
        terminal.say(f"   name: {finding.key}", "dim")
    of_key = {each.key: each for each in acceptances}
    for finding in report.findings:
        if finding.key in report.accepted:
            terminal.say()
            accepted = of_key[finding.key]
            terminal.say(f"Accepted until {accepted.until} ({accepted.by}: {accepted.reason})  {finding.said}", "dim")
    if not report.open:
        terminal.say("Nothing to mend.", "green")
    terminal.say()
    terminal.tell(f"{counted(report.checks, 'check')} made. Mend what stands first, then run this again.")
    if gone:
        terminal.tell(f"Gone since the last run: {', '.join(each.key for each in gone)}")
    if report.accepted:
        terminal.tell(f"Without what is accepted the score would be {report.points_without}.")
