"""``quarantine`` and ``fsck``: keeping the archive in order.

Rule: nothing is resolved or repaired by itself; a person decides.
"""

from contextlib import suppress
from pathlib import Path

import click

from leadglass.archive.backroom import FsckReport, Resolution
from leadglass.doors.cli.options import application_of, data_option, examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, counted, size_of, table
from leadglass.errors import BadInput, Conflict, Corrupt, LeadglassError, NotHere


@click.group("quarantine")
def quarantine_command() -> None:
    """Decide over instances that contradict what is stored.

    They are kept aside, sealed: the same SOP Instance with other content, or a
    study that names another patient. Nothing of them is found or sent.
    """


@quarantine_command.command("list")
@data_option
@json_option
@click.pass_context
def quarantine_list(context: click.Context, data: Path, *, as_json: bool) -> None:
    """List what is kept aside, and why."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        kept = opened.archive.quarantined(opened.caller)
    if as_json:
        terminal.json(
            [
                {
                    "number": each.number,
                    "reason": each.reason,
                    "study_uid": each.study_uid,
                    "series_uid": each.series_uid,
                    "sop_instance_uid": each.sop_instance_uid,
                    "origin": each.origin,
                    "received": each.received,
                    "size": each.size,
                }
                for each in kept
            ]
        )
        return
    if not kept:
        terminal.tell("Nothing is in quarantine.")
        return
    shown = table("no", "received", "from", "size", "why", "SOP Instance UID", right=("no", "size"), fold=("why",))
    for each in kept:
        shown.add_row(
            str(each.number),
            cell(each.received),
            cell(each.origin),
            size_of(each.size),
            cell(each.reason),
            cell(each.sop_instance_uid),
        )
    terminal.show(shown)
    terminal.tell("Next: leadglass quarantine accept NUMBER, or: leadglass quarantine discard NUMBER")


def _resolve(context: click.Context, data: Path, numbers: tuple[int, ...], resolution: Resolution) -> None:
    """Resolve each number; one that cannot be does not stop the others."""
    terminal = Terminal()
    failed = 0
    with application_of(context).open(data) as opened:
        for number in numbers:
            try:
                terminal.say(opened.archive.resolve(opened.caller, number, resolution))
            except (NotHere, BadInput, Conflict, Corrupt) as error:
                failed += 1
                terminal.tell(f"leadglass: {number}: {error.message}")
    if failed:
        context.exit(1 if failed == len(numbers) else 3)


@quarantine_command.command("accept")
@click.argument("numbers", type=click.IntRange(0), nargs=-1, required=True, metavar="NUMBER...")
@data_option
@click.pass_context
def quarantine_accept(context: click.Context, numbers: tuple[int, ...], data: Path) -> None:
    """File it. An instance that has its UID already goes to quarantine instead."""
    _resolve(context, data, numbers, Resolution.ACCEPT)


@quarantine_command.command("discard")
@click.argument("numbers", type=click.IntRange(0), nargs=-1, required=True, metavar="NUMBER...")
@data_option
@click.pass_context
def quarantine_discard(context: click.Context, numbers: tuple[int, ...], data: Path) -> None:
    """Delete it, and the key that opens it."""
    _resolve(context, data, numbers, Resolution.DISCARD)


@click.command("fsck", epilog=examples("leadglass fsck --json > report.json"))
@data_option
@json_option
@click.pass_context
def fsck_command(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Re-read every object, compare it with its record, and name what is wrong and what to do.

    Nothing is changed. Exit 1 when anything is wrong.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened, terminal.progress("Reading", octets=False) as told:
        report = opened.archive.fsck(opened.caller, lambda done, total: told(done, total, 0))
        with suppress(LeadglassError):  # what was found is told whether or not it can be noted
            opened.open_exposure().checked(len(report.faults))
    if as_json:
        terminal.json(_as_json(report))
    else:
        _show(report, terminal)
    context.exit(1 if report.faults else 0)


def _as_json(report: FsckReport) -> dict[str, object]:
    return {
        "instances": report.instances,
        "octets": report.octets,
        "faults": [{"what": fault.what, "where": fault.where, "remedy": fault.remedy} for fault in report.faults],
    }


def _show(report: FsckReport, terminal: Terminal) -> None:
    if report.faults:
        shown = table("what is wrong", "where", "what to do", fold=("what is wrong", "what to do"))
        for fault in report.faults:
            shown.add_row(cell(fault.what, "red"), cell(fault.where), cell(fault.remedy))
        terminal.show(shown)
    read = f"{counted(report.instances, 'instance')} ({size_of(report.octets)}) read"
    terminal.say(f"{read}: {counted(len(report.faults), 'fault')}." if report.faults else f"{read}: all is well.")
