"""``audit`` and ``policy``: what was decided, whether the record is whole, and what would be decided.

Rule: reading the audit log is on record too.
"""

import base64
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from leadglass.audit.event import Event, Outcome
from leadglass.audit.record import Record
from leadglass.doors.cli.application import Opened
from leadglass.doors.cli.options import application_of, data_option, examples, json_option, moment, study_uid
from leadglass.doors.cli.reach import why_unreachable
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.errors import Corrupt, Denied
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.permit import decide

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
@click.option("--since", metavar="TIME", callback=moment, help="From then on: 2026-11-22T08:30, or 24h, or 7d.")
@click.option("--study", metavar="UID", callback=study_uid, help="About this study.")
@click.option("--caller", metavar="NAME", help="By this caller: device:CT1, or CT1.")
@click.option("--action", metavar="WORD", help="Of this kind: store, find, connect, …")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="That ended so.")
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
        _record_reading(opened, "show", terminal)
        records = opened.audit.records(
            since=since,
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


def _record_reading(opened: Opened, what: str, terminal: Terminal) -> None:
    """Decide over reading the log and put it on record."""
    caller = opened.caller
    event = Event(
        Outcome.PERMITTED,
        Action.AUDIT,
        caller=str(caller),
        peer=caller.peer,
        door="cli",
        session=caller.session,
        detail={"asked": what},
    )
    try:
        permit = decide(caller, Action.AUDIT)
    except Denied as error:
        opened.audit.append(replace(event, outcome=Outcome.REFUSED, reason=error.message))
        raise
    try:
        opened.audit.append(replace(event, reason=permit.reason))
    except Corrupt as error:
        # Who looks into a damaged log must be able to see it; nothing else is permitted meanwhile.
        terminal.tell(f"leadglass: {error.message}", "red")


@audit_command.command("verify", epilog=examples("leadglass audit verify --against /safe/place/audit.checkpoint"))
@click.option(
    "--against",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed head that was kept elsewhere (a copy of DIR/audit.checkpoint): the log has to contain it.",
)
@data_option
@json_option
@click.pass_context
def audit_verify(context: click.Context, against: Path | None, data: Path, *, as_json: bool) -> None:
    """Re-hash every record and compare with what was signed. Exit 1 when anything was touched.

    That includes the copy of the newest signed head beside the log (audit.checkpoint): changed or missing is exit 1.
    """
    terminal = Terminal()
    trusted = against.read_text(encoding="utf-8", errors="replace") if against is not None else None
    with application_of(context).open(data) as opened:
        found = opened.audit.verify(trusted)
        copy = opened.audit.checkpoint_path
    # The copy beside the log is part of the record: who took or changed it has touched the record.
    whole = found.ok and not found.warnings
    if as_json:
        terminal.json(
            {
                "ok": whole,
                "records": found.records,
                "checkpoints": found.checkpoints,
                "signed": found.signed,
                "root": base64.b64encode(found.root).decode(),
                "fault": {"sequence": found.fault.sequence, "what": found.fault.what} if found.fault else None,
                "warnings": list(found.warnings),
            }
        )
    else:
        for warning in found.warnings:
            terminal.say(f"{warning} ({copy})", "bold red")
        if found.fault is not None:
            terminal.say(f"Record {found.fault.sequence} {found.fault.what}.", "bold red")
            terminal.say(f"{counted(found.records, 'record')} before it are right.")
        else:
            terminal.say(
                f"{counted(found.records, 'record')} and {counted(found.checkpoints, 'signed head')} are right; "
                f"signed up to record {found.signed}."
            )
            terminal.say(f"root {base64.b64encode(found.root).decode()}")
        if found.warnings:
            terminal.tell(
                "Find out who did it, and compare with a head kept elsewhere: leadglass audit verify --against FILE. "
                f"Then move what is left of {copy.name} away: the archive writes a new one with the next signed head."
            )
    context.exit(0 if whole else 1)


# --- policy -------------------------------------------------------------------


@click.group("policy")
def policy_command() -> None:
    """Explain who may do what."""


@policy_command.command(
    "explain", epilog=examples("leadglass policy explain --caller device:CT1 --action find --study 1.2.3")
)
@click.option("--caller", "name", required=True, metavar="NAME", help="Who: device:CT1, or cli for yourself.")
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
