"""``survey config``: what configuration files of archives would expose."""

from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_shared import finding_as_json, for_its_owner
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.survey import scope
from leadglass.survey.config_audit import Audited, audit, keep
from leadglass.survey.findings import Severity
from leadglass.survey.scope import Vantage, address_of
from leadglass.survey.state import Run, State, folder_of


@click.command(
    "config",
    epilog=examples(
        "leadglass survey config /etc/orthanc",
        "leadglass survey config --scope clinic.toml --asset 192.0.2.10 orthanc.json docker-compose.yml",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--scope",
    "scope_file",
    metavar="SCOPE.toml",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what was found in the register of this scope; it goes with --asset.",
)
@click.option("--asset", metavar="ADDRESS", help="The machine whose files these are. Give all of them at once.")
@click.option(
    "--vantage",
    type=click.Choice([each.value for each in Vantage]),
    help="From where the archive can be reached; the scope's, or else internal.",
)
@click.option(
    "--fail-on",
    type=click.Choice([each.value for each in Severity if each is not Severity.INFO]),
    help="End with exit code 1 when something this bad was found.",
)
@json_option
@for_its_owner()
def survey_config(
    files: tuple[Path, ...],
    *,
    scope_file: Path | None,
    asset: str | None,
    vantage: str | None,
    fail_on: str | None,
    as_json: bool,
) -> int:
    """Read configuration files and say what they would expose. Nothing is sent, and no scope is needed.

    Reads orthanc.json, a folder of such files as Orthanc reads it, DCMTK's
    dcmqrscp.cfg, docker compose files, an LDIF of dcm4chee, and Conquest's
    dicom.ini and acrnema.map. With --scope and --asset what was found is
    followed in the register, like what a run finds; what an earlier look at
    that machine's files found and this one does not is closed.
    """
    terminal = Terminal()
    if (scope_file is None) is not (asset is None):
        raise click.UsageError("--scope and --asset go together: whose register, and which machine of it.")
    if scope_file is None or asset is None:
        read = [audit(file, Vantage(vantage or Vantage.INTERNAL)) for file in files]
        run = None
    else:
        if vantage is not None:
            raise click.UsageError("The scope says from where one looks: leave --vantage out.")
        allowed = scope.load(scope_file)
        read = [audit(file, allowed.vantage) for file in files]
        with State(folder_of(scope_file), writes=True) as state:
            run = keep(state, allowed, address_of(asset), read)
    _show(terminal, read, run, scope_file, as_json=as_json)
    worst = list(Severity)
    return int(
        fail_on is not None
        and any(worst.index(each.severity) >= worst.index(Severity(fail_on)) for file in read for each in file.findings)
    )


def _show(terminal: Terminal, read: list[Audited], run: Run | None, scope_file: Path | None, *, as_json: bool) -> None:
    if as_json:
        said: dict[str, object] = {
            "files": [
                {
                    "file": each.path.name,
                    "configures": each.kind.value,
                    "findings": [finding_as_json(finding) for finding in each.findings],
                }
                for each in read
            ]
        }
        terminal.json(said | ({} if run is None else {"run": run.number}))
        return
    rows = table("severity", "ladder", "file", "what", "why")
    for each in read:
        for finding in each.findings:
            why = ", ".join(f"{name} {value}" for name, value in finding.proof.items())
            rows.add_row(
                cell(finding.severity),
                cell(finding.exposure.name),
                cell(f"{each.path.name} ({each.kind})"),
                cell(finding.title),
                cell(why),
            )
    count = sum(len(each.findings) for each in read)
    if count:
        terminal.show(rows)
    terminal.tell(f"{counted(len(read), 'file')} read, {counted(count, 'finding')}. Nothing was sent.")
    if run is not None:
        terminal.tell(f"Kept as run {run.number}. See them with: leadglass survey register {scope_file}")
