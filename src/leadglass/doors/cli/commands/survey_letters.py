"""``survey letter`` and ``reminders``: who is told, who was, and who is told again.

Rule: nothing is sent from here. What is written names open hosts, so it is its owner's
alone to read.
"""

from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_kept import LANGUAGE, language_of, surveyed, write_private
from leadglass.doors.cli.commands.survey_shared import SCOPE
from leadglass.doors.cli.options import examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.survey import letters, scope
from leadglass.survey.register import Register


@click.command(
    "letter",
    epilog=examples(
        "leadglass survey assign clinic.toml 192.0.2.0/28 --owner 'Radiology IT' --contact 'tel. 4711'",
        "leadglass survey letter clinic.toml --owner 'Radiology IT' --out letter.txt",
        "leadglass survey told clinic.toml --owner 'Radiology IT'",
    ),
)
@SCOPE
@click.option("--owner", required=True, help="To whom: an owner that assign knows.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    help="Where to; - is standard output.",
)
@LANGUAGE
def survey_letter(scope_file: Path, *, owner: str, out: Path, language: str) -> None:
    """Write the letter to an owner about what they have to close. It is sent by you; then say so with told.

    Who was told before gets a reminder: of when that was, and of what is still there.

    Its subject says nothing of use to an attacker; the rest does, so send it encrypted.
    """
    allowed = scope.load(scope_file)
    with surveyed(scope_file) as state:
        register = Register(state)
        register.expire(scope.today())
        entries = letters.owed_to(register, owner, allowed.vantage)
        found, notices = register.found(entries), register.notices()
    written = letters.letter(
        allowed, entries, found, notices, owner, scope.today(), language=language_of(Terminal(), language)
    )
    if str(out) == "-":
        click.echo(written.text, nl=False)
        return
    write_private(out, written.text)
    kind = "the reminder" if written.is_reminder else "the letter"
    Terminal().tell(
        f"{out} is written: {kind} to {owner}. When it is sent: leadglass survey told {scope_file} --owner {owner!r}"
    )


@click.command(
    "reminders",
    epilog=examples("leadglass survey reminders clinic.toml", "leadglass survey reminders clinic.toml --due --json"),
)
@SCOPE
@click.option("--due", is_flag=True, help="Only owners to whom a letter is to be written by today.")
@json_option
def survey_reminders(scope_file: Path, *, due: bool, as_json: bool) -> None:
    """Show who has something to close: what they were not told of, what is still there, and when to remind them.

    Reminders are due 7, 30 and 60 days after the first notice, then half-yearly.
    """
    terminal = Terminal()
    today = scope.today()
    with surveyed(scope_file) as state:
        register = Register(state)
        register.expire(today)
        vantages = sorted({each.vantage for each in register.entries()})
        owed = [(vantage, each) for vantage in vantages for each in letters.owing(register, vantage)]
    owed = [(vantage, each) for vantage, each in owed if not due or each.is_due(today)]
    if as_json:
        terminal.json(
            [
                {
                    "owner": each.owner,
                    "contacts": list(each.contacts),
                    "vantage": vantage,
                    "untold": each.untold,
                    "still": each.still,
                    "told_first": each.notice.first.isoformat() if each.notice else None,
                    "told_last": each.notice.last.isoformat() if each.notice else None,
                    "remind": each.remind.isoformat() if each.remind else None,
                    "due": each.is_due(today),
                }
                for vantage, each in owed
            ]
        )
        return
    counts = ("not told", "still there")
    rows = table("owner", "contact", "from", *counts, "told first", "told last", "remind", right=counts)
    for vantage, each in owed:
        told = each.notice
        rows.add_row(
            cell(each.owner),
            cell("; ".join(each.contacts)),
            vantage,
            str(each.untold),
            str(each.still),
            told.first.isoformat() if told else "",
            told.last.isoformat() if told else "",
            each.remind.isoformat() if each.remind else "",
        )
    if owed:
        terminal.show(rows)
    now = sum(each.is_due(today) for _, each in owed)
    terminal.tell(
        f"{counted(now, 'letter')} to be written."
        + (f" Write one with: leadglass survey letter {scope_file} --owner NAME --out FILE" if now else "")
    )
