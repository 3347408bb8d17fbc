"""``label``: which studies have which labels; scopes of people and tokens name them."""

from pathlib import Path

import click

from leadglass.doors.cli.options import application_of, data_option, examples, json_option, study_uids
from leadglass.doors.cli.terminal import Terminal, cell, counted, table

_STUDIES = click.option(
    "--study",
    "studies",
    required=True,
    multiple=True,
    metavar="UID",
    callback=study_uids,
    help="A Study Instance UID; repeat it for several studies.",
)


@click.group("label")
def label_command() -> None:
    """Give studies labels, and take them away.

    A label is a word of yours, such as a department or a trial. People and
    tokens with the scope label=NAME see the studies that have it, at once.
    """


@label_command.command("add", epilog=examples("leadglass label add neurology --study 1.2.826.0.1.3680043.8.498.1"))
@click.argument("name", metavar="NAME")
@_STUDIES
@data_option
@click.pass_context
def label_add(context: click.Context, name: str, studies: tuple[str, ...], data: Path) -> None:
    """Give studies a label."""
    _change(context, name, studies, data, is_given=True)


@label_command.command("remove", epilog=examples("leadglass label remove trial-7 --study 1.2.826.0.1.3680043.8.498.1"))
@click.argument("name", metavar="NAME")
@_STUDIES
@data_option
@click.pass_context
def label_remove(context: click.Context, name: str, studies: tuple[str, ...], data: Path) -> None:
    """Take a label away from studies."""
    _change(context, name, studies, data, is_given=False)


@label_command.command("list", epilog=examples("leadglass label list"))
@data_option
@json_option
@click.pass_context
def label_list(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Show every label and how many studies have it."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        labels = opened.archive.labels(opened.caller)
    if as_json:
        terminal.json([{"label": label, "studies": studies} for label, studies in labels.items()])
        return
    if not labels:
        terminal.tell("No study has a label. Give one: leadglass label add NAME --study UID")
        return
    rows = table("label", "studies", right=("studies",))
    for label, studies in labels.items():
        rows.add_row(cell(label), cell(f"{studies:,}"))
    terminal.show(rows)


def _change(context: click.Context, name: str, studies: tuple[str, ...], data: Path, *, is_given: bool) -> None:
    with application_of(context).open(data) as opened:
        changed = sum(opened.archive.label(opened.caller, study, name, is_given=is_given) for study in studies)
    plural = "studies have" if changed != 1 else "study has"
    done = "the label now" if is_given else "the label no more"
    same = f"; {counted(len(studies) - changed, 'study', 'studies')} stayed as before" if changed < len(studies) else ""
    Terminal().say(f"{changed:,} {plural} {done}{same}.")
