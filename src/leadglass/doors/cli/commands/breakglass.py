"""``breakglass``: what was opened in an emergency, and its review."""

from pathlib import Path

import click

from leadglass.doors.cli.options import application_of, data_option, examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.doors.listed import glass_as_json
from leadglass.identity.breakglass import describe


@click.group("breakglass")
def breakglass_command() -> None:
    """Review what people opened in an emergency outside of their scope.

    Each time raised an alert in the audit log, ended by itself, and stays on
    this list until somebody else has looked at it.
    """


@breakglass_command.command("list", epilog=examples("leadglass breakglass list", "leadglass breakglass list --all"))
@click.option("--all", "everything", is_flag=True, help="Those that were reviewed too.")
@data_option
@json_option
@click.pass_context
def breakglass_list(context: click.Context, data: Path, *, everything: bool, as_json: bool) -> None:
    """List what is to be reviewed, with the reason that was given.

    It names patients where they were asked for by Patient ID.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        listed = opened.open_people().glass.list(opened.caller, reviewed=everything)
    if as_json:
        terminal.json([glass_as_json(glass) for glass in listed])
        return
    if not listed:
        terminal.tell("Nothing was opened in an emergency." if everything else "Nothing waits for a review.")
        return
    shown = table("no", "who", "when", "minutes", "what", "why", "reviewed by", right=("no", "minutes"), fold=("why",))
    for glass in listed:
        shown.add_row(
            str(glass.number),
            cell(glass.name),
            cell(f"{glass.made:%Y-%m-%d %H:%M}"),
            str(round((glass.until - glass.made).total_seconds() / 60)),
            cell(describe(glass)),
            cell(glass.reason),
            cell(glass.reviewer or "nobody", "" if glass.reviewer else "yellow"),
        )
    terminal.show(shown)
    if any(glass.reviewed is None for glass in listed):
        terminal.tell("Next: leadglass breakglass review NUMBER --note TEXT")


@breakglass_command.command("review", epilog=examples('leadglass breakglass review 7 --note "on call, justified"'))
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@click.option("--note", default="", metavar="TEXT", help="What you found.")
@data_option
@click.pass_context
def breakglass_review(context: click.Context, number: int, note: str, data: Path) -> None:
    """Mark one as reviewed, in your name."""
    with application_of(context).open(data) as opened:
        glass = opened.open_people().glass.review(opened.caller, number, note)
    Terminal().say(f"Number {glass.number}, by {glass.name}, is reviewed.")
