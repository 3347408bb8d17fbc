"""``survey import``: look at what other engines found open."""

from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_shared import SCOPE, finish, for_its_owner, look_at
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, counted
from leadglass.errors import BadInput
from leadglass.survey import scope
from leadglass.survey.findings import Severity
from leadglass.survey.state import State, folder_of
from leadglass.survey.targets import Form, Import


@click.command(
    "import",
    epilog=examples(
        "leadglass survey import clinic.toml nmap.xml",
        "leadglass survey import clinic.toml found.csv --from zmap --port 104",
    ),
)
@SCOPE
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--from",
    "form",
    type=click.Choice([each.value for each in Form]),
    help="The form of the file; found out when it is not said.",
)
@click.option("--port", type=click.IntRange(1, 65_535), help="The port that was looked at, where the file has none.")
@click.option(
    "--fail-on",
    type=click.Choice([each.value for each in Severity if each is not Severity.INFO]),
    help="End with exit code 1 when something this bad was found.",
)
@json_option
@for_its_owner()
def survey_import(
    scope_file: Path, file: Path, *, form: str | None, port: int | None, fail_on: str | None, as_json: bool
) -> int:
    """Look at the endpoints that another engine found, instead of sweeping the scope.

    Reads nmap's XML, masscan's JSON and list, zmap's CSV, Shodan's and nuclei's
    JSONL, Censys' JSON, and a CSV of assets with a column address. What lies
    outside of the scope is left out. Stopped, it goes on with: survey run --resume
    """
    terminal = Terminal()
    allowed = scope.load(scope_file)
    allowed.require_in_force(scope.today())
    read = Import(file, allowed, Form(form) if form else None, port)
    with State(folder_of(scope_file), writes=True) as state:
        run = state.begin_with(allowed, "targets", read.targets())  # a broken file begins none
        told = read.counted
        lines = ", ".join(f"{line:,}" for line in told.unusable_lines)
        more = ", …" if told.unusable > len(told.unusable_lines) else ""
        terminal.tell(
            f"{counted(told.taken, 'endpoint')} to look at; left out: {told.outside:,} outside of the scope, "
            f"{told.twice:,} named twice, {told.unusable:,} without an address or port"
            f"{f' (line {lines}{more})' if lines else ''}."
        )
        if run is None:
            raise BadInput(f"There is no endpoint of the scope in {file.name}: nothing is looked at.")
        is_whole = look_at(terminal, allowed, state, run)
        return finish(terminal, scope_file, state, run.id, is_whole=is_whole, fail_on=fail_on, as_json=as_json)
