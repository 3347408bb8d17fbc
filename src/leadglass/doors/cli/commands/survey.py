"""``survey``: see what of one's own network is open."""

from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_config import survey_config
from leadglass.doors.cli.commands.survey_import import survey_import
from leadglass.doors.cli.commands.survey_letters import survey_letter, survey_reminders
from leadglass.doors.cli.commands.survey_register import (
    survey_accept,
    survey_assign,
    survey_fixed,
    survey_register,
    survey_retest,
    survey_told,
)
from leadglass.doors.cli.commands.survey_report import survey_report, survey_trend
from leadglass.doors.cli.commands.survey_shared import SCOPE, finish, for_its_owner, look_at, show
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal
from leadglass.errors import Misconfigured
from leadglass.survey import running, scope
from leadglass.survey.findings import Severity
from leadglass.survey.state import SWEEP, State, folder_of
from leadglass.survey.template import template


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
@for_its_owner()
def survey_run(scope_file: Path, *, resume: bool, fail_on: str | None, as_json: bool) -> int:
    """Look at everything in the scope. Ctrl-C, SIGTERM or a file STOP in its folder end it within a second.

    Exit code 3 when it was stopped; --resume goes on from there.
    """
    terminal = Terminal()
    allowed = scope.load(scope_file)
    allowed.require_in_force(scope.today())
    with State(folder_of(scope_file), writes=True) as state:
        run = state.unfinished() if resume else None
        if run is None:
            if resume:
                terminal.tell("No run was stopped in the middle: a new one begins.")
            run = state.begin(allowed, SWEEP, running.size_of(allowed))
        else:
            state.require_same(run, allowed)
        is_whole = look_at(terminal, allowed, state, run)
        return finish(terminal, scope_file, state, run.id, is_whole=is_whole, fail_on=fail_on, as_json=as_json)


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


survey_command.add_command(survey_import)
survey_command.add_command(survey_config)
survey_command.add_command(survey_report)
survey_command.add_command(survey_trend)
survey_command.add_command(survey_letter)
survey_command.add_command(survey_reminders)
survey_command.add_command(survey_register)
survey_command.add_command(survey_told)
survey_command.add_command(survey_fixed)
survey_command.add_command(survey_accept)
survey_command.add_command(survey_assign)
survey_command.add_command(survey_retest)
