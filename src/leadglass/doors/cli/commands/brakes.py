"""``brakes``: what callers were given lately, and lifting a brake that stops somebody's work."""

from pathlib import Path

import click

from leadglass.archive.braking import in_words
from leadglass.doors.cli.options import application_of, data_option, examples, json_option
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.policy.brakes import GIB, Meter, Reading


@click.group("brakes")
def brakes_command() -> None:
    """Look at the limits of masses, and lift one.

    Who lists or retrieves more than its work needs is slowed, then stopped; an
    alert is in the audit log. A device whose work it is gets bulk: device add
    --bulk REASON.
    """


@brakes_command.command("show", epilog=examples("leadglass brakes show", "leadglass brakes show --json"))
@data_option
@json_option
@click.pass_context
def brakes_show(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Show what was counted lately, caller by caller.

    A server that runs writes it down every few seconds.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        shown = opened.open_brakes().show(opened.caller)
    if as_json:
        terminal.json([_as_json(name, reading) for name, readings in shown.items() for reading in readings])
        return
    rows = table("caller", "what", "within", "count", "slowed above", "stopped above")
    for name, readings in shown.items():
        for reading in readings:
            if reading.used:
                rows.add_row(
                    cell(name),
                    cell(reading.brake.meter.value),
                    cell(in_words(reading.brake.window)),
                    cell(_amount(reading, reading.used), _colour(reading)),
                    cell(_amount(reading, reading.brake.slow)),
                    cell(_amount(reading, reading.brake.stop)),
                )
    if not rows.row_count:
        terminal.tell("Nothing was counted lately.")
        return
    terminal.show(rows)


@brakes_command.command("release", epilog=examples("leadglass brakes release WS1"))
@click.argument("caller", metavar="CALLER")
@data_option
@click.pass_context
def brakes_release(context: click.Context, caller: str, data: Path) -> None:
    """Lift the brakes of a device now: what was counted is forgotten.

    They count anew from here on. It takes effect within seconds.
    """
    with application_of(context).open(data) as opened:
        name = str(opened.caller_named(caller))
        opened.open_brakes().release(opened.caller, name)
    Terminal().say(f"The brakes of {name} are lifted; it is counted anew.")


def _colour(reading: Reading) -> str:
    if reading.used >= reading.brake.stop:
        return "red"
    return "yellow" if reading.used > reading.brake.slow else ""


def _amount(reading: Reading, number: int) -> str:
    if reading.brake.meter is Meter.OCTETS:
        return f"{number / GIB:,.1f} GiB"
    return f"{number:,}"


def _as_json(name: str, reading: Reading) -> dict[str, object]:
    return {
        "caller": name,
        "brake": reading.brake.meter.value,
        "seconds": int(reading.brake.window),
        "count": reading.used,
        "slow": reading.brake.slow,
        "stop": reading.brake.stop,
    }
