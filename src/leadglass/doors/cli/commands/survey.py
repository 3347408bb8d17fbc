"""``survey``: see what of one's own network is open."""

import logging
import os
from pathlib import Path

import click

from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.errors import Misconfigured
from leadglass.survey import running, scope
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.engine import Outcome
from leadglass.survey.findings import Finding, Severity
from leadglass.survey.state import Run, State, Status, folder_of
from leadglass.survey.template import template

SCOPE = click.argument("scope_file", metavar="SCOPE.toml", type=click.Path(path_type=Path, dir_okay=False))


@click.group("survey")
def survey_command() -> None:
    """See what of your own network is open, prove it without patient data, and follow it until it is closed.

    A scope file says what may be looked at, who allowed it, until when and how
    fast. What is found is kept beside it, in a folder NAME.survey. No archive is
    needed.
    """


@survey_command.command("init", epilog=examples("leadglass survey init clinic.toml"))
@SCOPE
def survey_init(scope_file: Path) -> None:
    """Write a scope file with every key explained, to be filled in."""
    folder_of(scope_file)
    try:
        with scope_file.open("x", encoding="utf-8") as file:
            file.write(template(scope.today()))
        scope_file.chmod(0o600)
    except FileExistsError:
        raise Misconfigured(f"{scope_file} is there already. Name another file, or edit that one.") from None
    except OSError as error:
        raise Misconfigured(f"{scope_file} cannot be written ({error.strerror}).") from error
    Terminal().tell(
        f"{scope_file} is written. Fill in owner, contact, authorised_by and networks, then: "
        f"leadglass survey run {scope_file}"
    )


@survey_command.command(
    "run",
    epilog=examples(
        "leadglass survey run clinic.toml", "leadglass survey run clinic.toml --resume", "touch clinic.survey/STOP"
    ),
)
@SCOPE
@click.option("--resume", is_flag=True, help="Go on where the last run was stopped.")
@click.option(
    "--fail-on",
    type=click.Choice([each.value for each in Severity if each is not Severity.INFO]),
    help="End with exit code 1 when something this bad was found.",
)
@json_option
def survey_run(scope_file: Path, *, resume: bool, fail_on: str | None, as_json: bool) -> int:
    """Look at everything in the scope. Ctrl-C, SIGTERM or a file STOP in its folder end it within a second.

    Exit code 3 when it was stopped; --resume goes on from there.
    """
    terminal = Terminal()
    logging.getLogger("leadglass").setLevel(logging.WARNING)
    allowed = scope.load(scope_file)
    allowed.require_in_force(scope.today())
    os.umask(0o077)
    with State(folder_of(scope_file), writes=True) as state:
        run = state.unfinished() if resume else None
        if run is None:
            if resume:
                terminal.tell("No run was stopped in the middle: a new one begins.")
            run = state.begin(allowed, "scope", running.size_of(allowed))
        with terminal.progress("Looking", octets=False) as advance:
            looked, targets = run.done, run.targets

            def told(_: Outcome) -> None:
                nonlocal looked
                looked += 1
                advance(looked, targets, 0)

            is_whole = running.survey(allowed, state, run, running.sweep(allowed), CHECKS, told)
        run = state.run(run.id)
        found = state.findings(run.id)
    show(terminal, run, found, as_json=as_json)
    if not is_whole:
        terminal.tell(f"Stopped. Go on with: leadglass survey run {scope_file} --resume")
        return 3
    worst = list(Severity)
    return int(
        fail_on is not None and any(worst.index(each.severity) >= worst.index(Severity(fail_on)) for each in found)
    )


@survey_command.command("status", epilog=examples("leadglass survey status clinic.toml"))
@SCOPE
@json_option
def survey_status(scope_file: Path, *, as_json: bool) -> None:
    """Show the runs of a scope, and what the newest found."""
    terminal = Terminal()
    with State(folder_of(scope_file)) as state:
        runs = state.runs()
        found = state.findings(runs[0].id) if runs else []
    if not runs:
        terminal.tell(f"No survey was made yet. Make one: leadglass survey run {scope_file}")
        return
    show(terminal, runs[0], found, as_json=as_json)


def show(terminal: Terminal, run: Run, found: list[Finding], *, as_json: bool) -> None:
    """Show what a run came to."""
    if as_json:
        terminal.json({"run": run_as_json(run), "findings": [finding_as_json(each) for each in found]})
        return
    rows = table("severity", "ladder", "where", "what", "why")
    for each in found:
        where = "-" if each.address is None else f"{each.address}:{each.port}"
        rows.add_row(
            cell(each.severity),
            cell(each.exposure.name),
            cell(where),
            cell(each.title),
            cell(", ".join(f"{name} {value}" for name, value in each.proof.items())),
        )
    if found:
        terminal.show(rows)
    ended = {Status.DONE: "is done", Status.STOPPED: "was stopped", Status.RUNNING: "goes on, or was cut off"}
    terminal.tell(
        f"Run {run.number} {ended[run.status]}: {run.done:,} of {counted(run.targets, 'endpoint')} looked at, "
        f"{run.open:,} answered, {counted(len(found), 'finding')}."
    )


def run_as_json(run: Run) -> dict[str, object]:
    """Give a run for machines."""
    return {
        "id": run.id,
        "number": run.number,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "status": run.status.value,
        "level": run.level,
        "vantage": run.vantage,
        "source": run.source,
        "targets": run.targets,
        "done": run.done,
        "open": run.open,
        "connections": run.connections,
    }


def finding_as_json(finding: Finding) -> dict[str, object]:
    """Give a finding for machines."""
    return {
        "id": finding.id,
        "check": finding.check,
        "address": None if finding.address is None else str(finding.address),
        "port": finding.port,
        "transport": finding.transport,
        "title": finding.title,
        "exposure": finding.exposure.name,
        "severity": finding.severity.value,
        "proof": dict(finding.proof),
        "not_tested": list(finding.not_tested),
        "fixes": list(finding.fixes),
        "controls": list(finding.controls),
        "inferred": finding.inferred,
    }
