"""``survey register``, ``told``, ``fixed``, ``accept``, ``assign`` and ``retest``: until it is closed.

Rule: people say what they did, a run says whether it is so.
"""

import getpass
from collections.abc import Callable
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import click

from leadglass.doors.cli.commands.survey_kept import surveyed
from leadglass.doors.cli.commands.survey_shared import SCOPE, for_its_owner, look_at
from leadglass.doors.cli.options import day, examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.errors import NotHere
from leadglass.survey import letters, scope
from leadglass.survey.engine import Target
from leadglass.survey.entries import Asset, Entry, Tally, owner_of
from leadglass.survey.register import Register
from leadglass.survey.report.listing import entry_as_json
from leadglass.survey.report.model import endpoint, is_due
from leadglass.survey.standing import CLOSED, Standing
from leadglass.survey.state import Run, State, folder_of

WHICH = click.argument("which", metavar="WHICH", nargs=-1)
BY = click.option("--by", metavar="NAME", help="Who says so; by default the name you are logged in with.")
NOTE = click.option("--note", default="", metavar="TEXT", help="What is to be remembered of it.")


def _by(given: str | None) -> str:
    """Give who says something."""
    try:
        return given or getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


@click.command(
    "register",
    epilog=examples(
        "leadglass survey register clinic.toml",
        "leadglass survey register clinic.toml --due",
        "leadglass survey register clinic.toml --history 192.0.2.10:104",
    ),
)
@SCOPE
@click.option("--due", is_flag=True, help="Only what is to be looked at again by today.")
@click.option("--all", "closed_too", is_flag=True, help="What is closed, too.")
@click.option("--history", metavar="WHICH", help="Every step of a finding: its id, ADDRESS or ADDRESS:PORT.")
@json_option
def survey_register(scope_file: Path, *, due: bool, closed_too: bool, history: str | None, as_json: bool) -> None:
    """Show where every finding stands, whose it is, and when it is looked at again."""
    terminal = Terminal()
    today = scope.today()
    with surveyed(scope_file) as state:
        register = Register(state)
        register.expire(today)
        assets = register.assets()
        entries = register.entries() if history is None else register.of(history)
        steps = {(each.finding, each.vantage): register.steps(each) for each in entries} if history else {}
    if history is None:
        entries = [each for each in entries if closed_too or each.standing not in CLOSED]
        entries = [each for each in entries if not due or is_due(each, today)]
    if as_json:
        terminal.json(
            [
                entry_as_json(each, owner_of(assets, each.address, each.port))
                | {
                    "steps": [
                        {"at": step.at.isoformat(), "was": step.was, "became": step.became, "by": step.by,
                         "note": step.note}
                        for step in steps.get((each.finding, each.vantage), ())
                    ]
                }
                for each in entries
            ]
        )  # fmt: skip
        return
    rows = table(
        "finding", "stands", "severity", "where", "whose", "since", "look again", "what", fold=("whose", "what")
    )
    for each in entries:
        asset = owner_of(assets, each.address, each.port)
        rows.add_row(
            each.finding[:10],
            each.standing.value + (f" until {each.accepted_until}" if each.standing is Standing.ACCEPTED else ""),
            each.severity.value,
            cell(endpoint(each.address, each.port)),
            cell(" / ".join(filter(None, (asset.unit, asset.owner)))) if asset else "",
            each.since.isoformat(),
            each.due.isoformat() if each.due else "",
            cell(each.title),
        )
    if entries:
        terminal.show(rows)
    for told in steps.values():
        moved = table("when", "was", "became", "by", "note", fold=("note",))
        for step in told:
            moved.add_row(step.at.isoformat(timespec="minutes"), step.was, step.became, cell(step.by), cell(step.note))
        terminal.say()
        terminal.show(moved)
    overdue = sum(is_due(each, today) for each in entries)
    terminal.tell(
        f"{counted(len(entries), 'finding')}, {overdue} due."
        + (f" Look again with: leadglass survey retest {scope_file} --due" if overdue else "")
    )


def _moved(
    scope_file: Path, which: tuple[str, ...], move: Callable[[Register, str], list[Entry]], owner: str | None = None
) -> None:
    """Move the findings that are meant, and say where they stand."""
    terminal = Terminal()
    with surveyed(scope_file) as state:
        register = Register(state)
        wanted = [*which, *(letters.to_tell(register, owner) if owner is not None else ())]
        if not wanted:
            raise click.UsageError("Say which: a finding's id, ADDRESS or ADDRESS:PORT.")
        for each in wanted:
            for entry in move(register, each):
                terminal.tell(f"{entry.finding[:10]} {endpoint(entry.address, entry.port)}: {entry.standing.value}")


@click.command(
    "told",
    epilog=examples(
        "leadglass survey told clinic.toml 192.0.2.10 --note 'called, ticket 77'",
        "leadglass survey told clinic.toml --owner 'Radiology IT'",
    ),
)
@SCOPE
@WHICH
@click.option("--owner", help="All that is open of an owner's.")
@BY
@NOTE
def survey_told(scope_file: Path, which: tuple[str, ...], *, owner: str | None, by: str | None, note: str) -> None:
    """Say that the owner of a finding was told. WHICH is a finding's id, ADDRESS or ADDRESS:PORT.

    Re-tests are due 7, 30 and 60 days from now, then half-yearly.
    """
    today = scope.today()
    _moved(scope_file, which, lambda register, each: register.told(each, _by(by), note, today), owner)


@click.command("fixed", epilog=examples("leadglass survey fixed clinic.toml 192.0.2.10:104"))
@SCOPE
@WHICH
@BY
@NOTE
def survey_fixed(scope_file: Path, which: tuple[str, ...], *, by: str | None, note: str) -> None:
    """Say that a finding is fixed. It counts as fixed when a run looked there and did not find it."""
    today = scope.today()
    _moved(scope_file, which, lambda register, each: register.fixed(each, _by(by), note, today))


@click.command(
    "accept",
    epilog=examples(
        "leadglass survey accept clinic.toml 192.0.2.10:104 --until 2027-03-31 --reason 'replaced in spring'"
    ),
)
@SCOPE
@WHICH
@click.option("--until", required=True, callback=day, metavar="DATE", help="The last day, at most a year ahead.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it stays open.")
@BY
def survey_accept(scope_file: Path, which: tuple[str, ...], *, until: date, reason: str, by: str | None) -> None:
    """Accept a finding until a day. After it, it is open again; told or fixed end it before."""
    today = scope.today()
    _moved(scope_file, which, lambda register, each: register.accept(each, _by(by), reason, until, today))


@click.command(
    "assign",
    epilog=examples(
        "leadglass survey assign clinic.toml 192.0.2.0/28 --unit Radiology --owner 'Radiology IT'",
        "leadglass survey assign clinic.toml 192.0.2.10 --port 8042 --owner 'Vendor X'",
    ),
)
@SCOPE
@click.argument("network", metavar="ADDRESS|NETWORK")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Only this port; 0, the default, is every one.")
@click.option("--unit", default="", help="Which part of the house.")
@click.option("--owner", default="", help="Who answers for it; letters are to them.")
@click.option("--contact", default="", help="How to reach them.")
def survey_assign(scope_file: Path, network: str, *, port: int, unit: str, owner: str, contact: str) -> None:
    """Say whose an address or a network is. The narrowest holds; what it lacks is taken from the wider."""
    try:
        where = ip_network(network)
    except ValueError as error:
        raise click.UsageError(f"{network!r} is no address and no network. Write it like 192.0.2.0/28.") from error
    with State(folder_of(scope_file)) as state:
        Register(state).assign(Asset(where, port, unit, owner, contact))
    Terminal().tell(f"{where}{f' port {port}' if port else ''} is assigned.")


@click.command(
    "retest",
    epilog=examples("leadglass survey retest clinic.toml", "leadglass survey retest clinic.toml --due"),
)
@SCOPE
@click.option("--due", is_flag=True, help="Only where a re-test is due by today.")
@json_option
@for_its_owner()
def survey_retest(scope_file: Path, *, due: bool, as_json: bool) -> int:
    """Look again where something is open, told, said to be fixed, or back; and nowhere else.

    Exit code 1 while something is still there, 3 when it was stopped.
    """
    terminal = Terminal()
    allowed = scope.load(scope_file)
    allowed.require_in_force(scope.today())
    if not folder_of(scope_file).is_dir():
        raise NotHere(f"No survey was made yet. Make one: leadglass survey run {scope_file}")
    names = {address: name for name, found in allowed.hosts.items() for address in found}
    with State(folder_of(scope_file), writes=True) as state:
        register = Register(state)
        wanted = [
            Target(address, port, names.get(address, ""))
            for address, port in (
                (ip_address(at), port)
                for at, port in register.to_retest(scope.today(), due_only=due, vantage=allowed.vantage)
            )
        ]
        targets = [each for each in wanted if allowed.covers(each.address)]
        if len(targets) < len(wanted):
            terminal.tell(f"{counted(len(wanted) - len(targets), 'endpoint')} outside the scope by now: left alone.")
        if not targets:
            terminal.tell("Nothing is to be looked at again.")
            return 0
        run = state.begin(allowed, "retest", len(targets))
        state.give(run.id, targets)
        is_whole = look_at(terminal, allowed, state, state.run(run.id))
        run = state.run(run.id)
        tally = register.tallies().get(run.id, Tally())
    _tell_retested(terminal, run, tally, as_json=as_json)
    if not is_whole:
        terminal.tell(f"Stopped. Go on with: leadglass survey run {scope_file} --resume")
        return 3
    return int(tally.still + tally.back + tally.new > 0)


def _tell_retested(terminal: Terminal, run: Run, tally: Tally, *, as_json: bool) -> None:
    if as_json:
        terminal.json(
            {"run": run.number, "new": tally.new, "back": tally.back, "gone": tally.gone, "still": tally.still}
        )
    terminal.tell(
        f"Run {run.number} looked again at {counted(run.done, 'endpoint')}: {tally.gone} gone, "
        f"{tally.still} still there, {tally.back} back, {tally.new} new."
    )
