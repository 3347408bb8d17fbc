"""``audit`` and ``policy``: what was decided, whether the record is whole, and what would be decided.

Rule: reading the audit log is on record too.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from leadglass.audit import cursor as cursors
from leadglass.audit.collector import FILE as COLLECTOR_FILE
from leadglass.audit.event import Outcome
from leadglass.audit.record import Record
from leadglass.doors.cli.application import Opened
from leadglass.doors.cli.commands.audit_files import (
    audit_export,
    audit_key,
    audit_verify,
    record_reading,
    selection_options,
)
from leadglass.doors.cli.options import application_of, data_option, examples, json_option, study_uid
from leadglass.doors.cli.reach import why_unreachable
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

_ON_A_SCREEN: Final = 100
"""Records shown on a terminal when nobody says how many."""

_STYLES: Final = {Outcome.REFUSED: "red", Outcome.FAILED: "yellow", Outcome.ALERT: "bold red", Outcome.DONE: "dim"}


@click.group("audit")
def audit_command() -> None:
    """Read and verify the audit log: every decision, recorded before the act."""


@audit_command.command(
    "show",
    epilog=examples("leadglass audit show --since 24h --outcome refused", "leadglass audit show --caller device:CT1"),
)
@selection_options
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help=f"Only the newest N, 0 for all.  [default: {_ON_A_SCREEN} on a terminal, else all]",
)
@data_option
@json_option
@click.pass_context
def audit_show(
    context: click.Context,
    since: datetime | None,
    until: datetime | None,
    study: str | None,
    caller: str | None,
    action: str | None,
    outcome: str | None,
    limit: int | None,
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Show records, newest last."""
    terminal = Terminal()
    if limit is None:
        limit = _ON_A_SCREEN if terminal.is_shown and not as_json else 0
    with application_of(context).open(data) as opened:
        record_reading(opened, "show", terminal)
        records = opened.audit.records(
            since=since,
            until=until,
            action=action,
            outcome=Outcome(outcome) if outcome else None,
            caller=caller,
            study_uid=study,
            limit=limit or None,
        )
    if as_json:
        terminal.json([record.to_json() for record in records])
        return
    if not records:
        terminal.tell("Nothing matches.")
        return
    terminal.show(_table(records))
    if limit and len(records) == limit:
        terminal.tell(f"The newest {limit}. --limit 0 shows all.")


def _table(records: list[Record]) -> Table:
    shown = table("no", "time (UTC)", "outcome", "action", "caller", "from", "why", right=("no",), fold=("why",))
    for record in records:
        event = record.event
        said = [event.reason]
        if event.study_uid:
            said.append(f"study={event.study_uid}")
        said += [f"{key}={value}" for key, value in event.detail.items()]
        shown.add_row(
            str(record.sequence),
            f"{record.time:%Y-%m-%d %H:%M:%S}",
            cell(event.outcome.value, _STYLES.get(event.outcome, "")),
            cell(event.action),
            cell(event.caller or "-"),
            cell(event.peer or "-"),
            cell("  ".join(said)),
        )
    return shown


audit_command.add_command(audit_export)
audit_command.add_command(audit_verify)
audit_command.add_command(audit_key)


@audit_command.command("collector", epilog=examples("leadglass audit collector --json"))
@data_option
@json_option
@click.pass_context
def audit_collector(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Say how far the operator's collector has the log, and whether it is reached. Exit 1 when it is not."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        record_reading(opened, "collector", terminal)
        to = opened.config.audit.collector
        cursor = cursors.load(opened.folder / COLLECTOR_FILE)
        with opened.audit.reader() as reader:
            size = reader.size()
    behind = max(0, size - cursor.sequence)
    if as_json:
        terminal.json(
            {
                "collector": f"{to.host}:{to.port}" if to.host else None,
                "confirmed": cursor.sequence,
                "confirmed_at": cursor.confirmed.isoformat() if cursor.confirmed else None,
                "records": size,
                "behind": behind,
                "signed_head": cursor.checkpoint,
                "failing_since": cursor.failing_since.isoformat() if cursor.failing_since else None,
                "reason": cursor.reason or None,
            }
        )
    elif not to.host:
        terminal.say("No collector is set up: [audit.collector] in leadglass.toml.")
    else:
        when = f"{cursor.confirmed:%Y-%m-%d %H:%M:%S} UTC" if cursor.confirmed else "never"
        terminal.say(f"{to.host}:{to.port} has records up to {cursor.sequence} of {size}; last confirmed {when}.")
        if cursor.failing_since is not None:
            terminal.say(f"Not reached since {cursor.failing_since:%Y-%m-%d %H:%M:%S} UTC: {cursor.reason}", "bold red")
    context.exit(1 if cursor.failing_since is not None and to.host else 0)


# --- policy -------------------------------------------------------------------


@click.group("policy")
def policy_command() -> None:
    """Explain who may do what."""


@policy_command.command(
    "explain",
    epilog=examples(
        "leadglass policy explain --caller device:CT1 --action find --study 1.2.3",
        "leadglass policy explain --caller token:viewer --action get --study 1.2.3",
        "leadglass policy explain --caller person:j.doe --action delete",
    ),
)
@click.option(
    "--caller",
    "name",
    required=True,
    metavar="NAME",
    help="Who: device:CT1, token:NAME, person:NAME, or cli for yourself.",
)
@click.option(
    "--action", required=True, type=click.Choice([each.value for each in Action]), help="What is asked.", metavar="WORD"
)
@click.option("--study", metavar="UID", callback=study_uid, help="About which study; without it, whether at all.")
@data_option
@json_option
@click.pass_context
def policy_explain(
    context: click.Context, name: str, action: str, study: str | None, data: Path, *, as_json: bool
) -> None:
    """Say whether a caller may do something, and why. Nothing is done. Exit 0 for yes, 1 for no."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        caller = opened.caller if name == "cli" else opened.caller_named(name)
        allowed, reason = opened.archive.explain(opened.caller, caller, Action(action), study or "")
        note = _note(opened, caller) if allowed else None
    if as_json:
        terminal.json(
            {
                "caller": str(caller),
                "action": action,
                "study": study,
                "allowed": allowed,
                "reason": reason,
                "note": note,
            }
        )
    else:
        terminal.say(f"{'yes' if allowed else 'no'}: {reason}", "green" if allowed else "red")
        if note:
            terminal.say(note, "yellow")
    context.exit(0 if allowed else 1)


def _note(opened: Opened, caller: Caller) -> str | None:
    """Say what keeps a device out that may do it."""
    if caller.kind is not CallerKind.DEVICE:
        return None
    device = opened.devices.get(caller.name)
    return why_unreachable(device, opened.devices.now, opened.config.network.allowed_public_networks)
