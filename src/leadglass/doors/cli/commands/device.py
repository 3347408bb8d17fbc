"""``device``: who may do what, from where, with which proof.

Rule: the plaintext lane stands out wherever devices are shown.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from leadglass.doors.cli.options import ae_title, application_of, data_option, examples, json_option
from leadglass.doors.cli.reach import sentence_on, turned_away
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.doors.listed import device_as_json
from leadglass.errors import BadInput
from leadglass.identity.device import Device


@click.group("device")
def device_command() -> None:
    """Enrol devices: who may do what from where.

    A device proves itself with a certificate of this archive and its address.
    One that cannot speak TLS gets a plaintext lane: bound to its address, for
    what it was granted, until a day.
    """


@device_command.command(
    "add",
    epilog=examples(
        "leadglass device add CT1 --address 10.1.2.3 --allow echo,store",
        "leadglass device add WS1 --address 10.1.3.0/24 --allow echo,find,move,get --host 10.1.3.7 --port 11112",
        'leadglass device add RESEARCH --address 10.1.4.2 --allow find,get --bulk "nightly export" '
        "--bulk-until 2027-03-31",
        "leadglass device add OLDUS --address 10.1.2.9 --allow echo,store --plaintext --until 2027-03-31",
    ),
)
@click.argument("ae", metavar="AE", callback=ae_title)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    metavar="CIDR",
    help="Where it speaks from: an address or a network; may be repeated.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="ACTIONS",
    help="What it may ask for: echo, store, find, get, move, commit, with commas between. "
    "Without it: echo,store; in the plaintext lane: store.",
)
@click.option("--plaintext", is_flag=True, help="It cannot speak TLS: open a plaintext lane for it. Needs --until.")
@click.option("--until", metavar="DATE", help="The last day of the plaintext lane, as in 2027-03-31.")
@click.option("--why", default="", metavar="REASON", help="Why it cannot speak TLS, for who looks at it next year.")
@click.option("--host", default="", metavar="HOST", help="Where it receives what it moves (C-MOVE).")
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT", help="The TCP port there.")
@click.option(
    "--bulk",
    default="",
    metavar="REASON",
    help="It may query and retrieve in masses: no brakes. Say why, without naming patients.",
)
@click.option("--bulk-until", metavar="DATE", help="The last day on which it may.")
@click.option("--replace", is_flag=True, help="Change a device that is enrolled already; its certificate stays.")
@data_option
@click.pass_context
def device_add(
    context: click.Context,
    ae: str,
    addresses: tuple[str, ...],
    allow: tuple[str, ...],
    until: str | None,
    why: str,
    host: str,
    port: int | None,
    bulk: str,
    bulk_until: str | None,
    data: Path,
    *,
    plaintext: bool,
    replace: bool,
) -> None:
    """Enrol a device by its AE title, or change one."""
    terminal = Terminal()
    try:
        device = Device.parse(
            ae,
            addresses,
            allow,
            plaintext=plaintext,
            until=until,
            host=host,
            port=0 if port is None else port,
            bulk=bulk,
            bulk_until=bulk_until,
            why_plaintext=why,
        )
    except BadInput as error:
        raise click.UsageError(error.message) from error
    with application_of(context).open(data) as opened:
        opened.devices.add(opened.caller, device, replace=replace)
        is_long = device.is_long(opened.devices.today)
        until_then = opened.devices.get(ae).certificate_until
        now = opened.devices.now
        strange = turned_away(device, opened.config.network.allowed_public_networks)
    granted = ", ".join(sorted(device.allow))
    terminal.say(f"{device.ae_title} may {granted} from {', '.join(map(str, device.addresses))}.")
    if device.plaintext:
        terminal.tell(f"It speaks without encryption until {device.until}; serve needs --dicom HOST:PORT.", "red")
        if is_long:
            terminal.tell("That is more than a year. Whoever has its address can be it until then.", "red")
    if device.bulk:
        colour = "red" if device.plaintext else "yellow"
        terminal.tell(f"No brakes apply to it until {device.bulk_until or 'further notice'}.", colour)
    if until_then is not None and until_then > now:
        terminal.tell(f"Its certificate stays valid until {until_then:%Y-%m-%d}.")
    elif not device.plaintext:
        ended = "" if until_then is None else f"Its certificate ended on {until_then:%Y-%m-%d}. "
        terminal.tell(f"{ended}Next, its certificate: leadglass device enroll {device.ae_title} --out DIR")
    if strange:
        terminal.tell(sentence_on(strange), "yellow")


@device_command.command("enroll", epilog=examples("leadglass device enroll CT1 --out /media/usb/ct1"))
@click.argument("ae", metavar="AE", callback=ae_title)
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--days", type=click.IntRange(1, 3_650), default=730, show_default=True, help="How long the certificate lives."
)
@data_option
@json_option
@click.pass_context
def device_enroll(context: click.Context, ae: str, out: Path, days: int, data: Path, *, as_json: bool) -> None:
    """Issue a certificate to a device; the one it had ends.

    DIR gets key.pem, cert.pem and ca.pem. The key is nowhere else: bring it to
    the device and delete it here.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        enrolment = opened.devices.enrol(opened.caller, ae, out, days=days)
    if as_json:
        terminal.json(
            {
                "ae": enrolment.ae_title,
                "key": str(enrolment.key),
                "certificate": str(enrolment.certificate),
                "ca": str(enrolment.authority),
                "fingerprint": enrolment.fingerprint,
                "serial": enrolment.serial,
                "not_after": enrolment.not_after.isoformat(),
            }
        )
        return
    for path in (enrolment.key, enrolment.certificate, enrolment.authority):
        terminal.say(str(path))
    terminal.tell(f"The certificate of {enrolment.ae_title} is valid until {enrolment.not_after:%Y-%m-%d}.")
    terminal.tell(f"Bring these files to the device, then delete {enrolment.key} here.")


@device_command.command("list")
@data_option
@json_option
@click.pass_context
def device_list(context: click.Context, data: Path, *, as_json: bool) -> None:
    """List who is enrolled. Plaintext lanes are shown in red."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        devices = opened.devices.list()
        now = opened.devices.now
    if as_json:
        terminal.json([device_as_json(device) for device in devices])
        return
    if not devices:
        terminal.tell("No device is enrolled. Enrol one: leadglass device add AE --address CIDR --allow echo,store")
        return
    shown = table(
        "AE title",
        "speaks from",
        "may",
        "certificate until",
        "plaintext until",
        "receives at",
        "bulk",
        fold=("may", "bulk", "plaintext until"),
    )
    for device in devices:
        shown.add_row(
            cell(device.ae_title, "red" if device.plaintext else ""),
            cell("\n".join(map(str, device.addresses))),
            cell(", ".join(sorted(device.allow))),
            cell(*_certificate(device, now)),
            cell(*_lane(device, now)),
            cell(f"{device.host}:{device.port}" if device.receives else ""),
            cell(*_bulk(device, now)),
        )
    terminal.show(shown)


_SOON = timedelta(days=30)


def _certificate(device: Device, now: datetime) -> tuple[str, str]:
    """Say until when a certificate is valid, in yellow when that is soon."""
    until = device.certificate_until
    if until is None:
        return ("" if device.plaintext else "none yet", "yellow")
    if until <= now:
        return f"{until:%Y-%m-%d} (ended)", "red"
    return f"{until:%Y-%m-%d}", "yellow" if until - now < _SOON else ""


def _lane(device: Device, now: datetime) -> tuple[str, str]:
    """Say until when a device may speak without encryption."""
    if not device.plaintext:
        return "", ""
    ended = "" if device.speaks_plaintext(now.astimezone(UTC).date()) else " (ended)"
    reason = f": {device.why_plaintext}" if device.why_plaintext else ""
    return f"{device.until}{ended}{reason}", "dim red" if ended else "bold red"


def _bulk(device: Device, now: datetime) -> tuple[str, str]:
    """Say until when, and why, no brakes apply to a device."""
    if not device.bulk:
        return "", ""
    until = "" if device.bulk_until is None else f"until {device.bulk_until}"
    ended = "" if device.is_bulk(now.astimezone(UTC).date()) else " (ended)"
    return f"{until}{ended}: {device.bulk}".removeprefix(": "), "dim" if ended else "yellow"


@device_command.command("test", epilog=examples("leadglass device test WS1"))
@click.argument("ae", metavar="AE", callback=ae_title)
@data_option
@json_option
@click.pass_context
def device_test(context: click.Context, ae: str, data: Path, *, as_json: bool) -> None:
    """Send one C-ECHO to a device and say how far it got.

    Only the host and port that the device is enrolled with are reached, over
    TLS or in its plaintext lane, as a C-MOVE would.
    """
    import asyncio  # only here, all of this: no other command waits for the wire to load

    from leadglass.doors.dimse.probe import Prober, Result, Step

    terminal = Terminal()
    colours = {Result.DONE: "green", Result.NOTED: "yellow", Result.FAILED: "red"}
    steps: list[Step] = []

    def tell(step: Step) -> None:
        steps.append(step)
        if not as_json:
            terminal.tell(f"{step.result.value:>6}  {step.said}", colours[step.result])
            if step.advice:
                terminal.tell(f"        {step.advice}")

    with application_of(context).open(data) as opened:
        device = opened.devices.get(ae)
        opened.devices.note_test(opened.caller, device, "to")
        prober = Prober(opened.config.ae_title, opened.client_tls())
        answered = asyncio.run(prober.run(device, opened.devices, tell))
    if as_json:
        said = [{"step": s.stage.value, "result": s.result.value, "said": s.said, "advice": s.advice} for s in steps]
        terminal.json({"ae": ae, "answered": answered, "steps": said})
    if not answered:
        raise click.exceptions.Exit(1)
    if not as_json:
        terminal.say(f"{ae} answers.")


@device_command.command("remove")
@click.argument("ae", metavar="AE", callback=ae_title)
@data_option
@click.pass_context
def device_remove(context: click.Context, ae: str, data: Path) -> None:
    """Remove a device; its certificate ends with it, at once."""
    with application_of(context).open(data) as opened:
        opened.devices.remove(opened.caller, ae)
    Terminal().say(f"{ae} is removed; no certificate lets it in any more.")
