"""``survey config``: what configuration files of archives would expose."""

from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_shared import finding_as_json
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.survey.config_audit import audit
from leadglass.survey.findings import Severity
from leadglass.survey.scope import Vantage


@click.command("config", epilog=examples("leadglass survey config /etc/orthanc/orthanc.json"))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--vantage",
    type=click.Choice([each.value for each in Vantage]),
    default=Vantage.INTERNAL.value,
    show_default=True,
    help="From where the archive can be reached.",
)
@click.option(
    "--fail-on",
    type=click.Choice([each.value for each in Severity if each is not Severity.INFO]),
    help="End with exit code 1 when something this bad was found.",
)
@json_option
def survey_config(files: tuple[Path, ...], *, vantage: str, fail_on: str | None, as_json: bool) -> int:
    """Read configuration files and say what they would expose. Nothing is sent, and no scope is needed.

    Reads orthanc.json, DCMTK's dcmqrscp.cfg, docker compose files, an LDIF of
    dcm4chee and Conquest's dicom.ini.
    """
    terminal = Terminal()
    read = [(file, *audit(file, Vantage(vantage))) for file in files]
    found = [finding for _, _, findings in read for finding in findings]
    if as_json:
        terminal.json(
            {
                "files": [
                    {
                        "file": file.name,
                        "configures": kind.value,
                        "findings": [finding_as_json(each) for each in findings],
                    }
                    for file, kind, findings in read
                ]
            }
        )
    else:
        rows = table("severity", "ladder", "file", "what", "why")
        for file, kind, findings in read:
            for each in findings:
                why = ", ".join(f"{name} {value}" for name, value in each.proof.items())
                rows.add_row(
                    cell(each.severity),
                    cell(each.exposure.name),
                    cell(f"{file.name} ({kind})"),
                    cell(each.title),
                    cell(why),
                )
        if found:
            terminal.show(rows)
        terminal.tell(f"{counted(len(read), 'file')} read, {counted(len(found), 'finding')}. Nothing was sent.")
    worst = list(Severity)
    return int(
        fail_on is not None and any(worst.index(each.severity) >= worst.index(Severity(fail_on)) for each in found)
    )
