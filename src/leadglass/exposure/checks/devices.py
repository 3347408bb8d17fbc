"""Devices: plaintext lanes, certificates that end, devices nobody has heard of, and who may fetch in masses."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from leadglass.exposure.facts import Enrolled, Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity, as_word
from leadglass.identity.device import LONG_PLAINTEXT_DAYS, Device
from leadglass.policy.action import Action

_SILENT: Final = timedelta(days=90)
_SOON: Final = timedelta(days=30)
_PAGE: Final = "/devices"


def _lanes(facts: Facts) -> Iterator[Device]:
    today = facts.now.date()
    return (each.device for each in facts.devices if each.device.speaks_plaintext(today))


def _with_certificate(device: Device) -> Fix:
    return Fix(
        "Give it a certificate and have it speak TLS; then close its plaintext lane.",
        f"leadglass device enroll {_ae(device)} --out DIR",
        _PAGE,
    )


def _plaintext(facts: Facts) -> Iterator[Found]:
    for device in _lanes(facts):
        yield Found(
            Severity.INFO if _is_here(device) else Severity.LOW,
            f"{device.ae_title} may speak without encryption until {device.until}"
            f"{', on this machine alone' if _is_here(device) else ''}.",
            _with_certificate(device),
            device.ae_title,
        )


def _plaintext_reads(facts: Facts) -> Iterator[Found]:
    for device in _lanes(facts):
        more = sorted(action.value for action in device.allow - {Action.STORE, Action.ECHO, Action.COMMIT})
        if more:
            readable = (
                "every program of this machine may ask."
                if _is_here(device)
                else "names and images go over the line readable, to whoever has its address."
            )
            yield Found(
                Severity.LOW if _is_here(device) else Severity.HIGH,
                f"{device.ae_title} may {', '.join(more)} without encryption: {readable}",
                Fix(
                    "Give it a certificate, or grant store alone while it has a plaintext lane.",
                    f"leadglass device enroll {_ae(device)} --out DIR",
                    _PAGE,
                ),
                device.ae_title,
            )


def _plaintext_wide(facts: Facts) -> Iterator[Found]:
    for device in _lanes(facts):
        wide = [each for each in device.addresses if each.num_addresses > 1 and not each.is_loopback]
        if wide:
            widest = max(wide, key=lambda network: network.num_addresses)
            yield Found(
                Severity.MEDIUM,
                f"Any machine in {widest} may say it is {device.ae_title}: without encryption the address is all the "
                "proof there is.",
                Fix(
                    "Give the device a fixed address and enrol it with that alone.",
                    f"leadglass device add {_ae(device)} --address IP --plaintext --until {device.until}",
                    _PAGE,
                ),
                device.ae_title,
            )


def _plaintext_long(facts: Facts) -> Iterator[Found]:
    today = facts.now.date()
    for device in _lanes(facts):
        if device.is_long(today):
            yield Found(
                Severity.MEDIUM,
                f"The plaintext lane of {device.ae_title} stays open until {device.until}, more than "
                f"{LONG_PLAINTEXT_DAYS} days from now.",
                Fix("Choose a day within a year, so that somebody looks at it again.", page=_PAGE),
                device.ae_title,
            )


def _certificate_ends(facts: Facts) -> Iterator[Found]:
    for device in (each.device for each in facts.devices):
        until = device.certificate_until
        if until is None or until - facts.now > _SOON:
            continue
        ended = until <= facts.now
        yield Found(
            Severity.LOW if ended else Severity.MEDIUM,
            f"The certificate of {device.ae_title} {'ended' if ended else 'ends'} on {until:%Y-%m-%d}.",
            Fix(
                "Make a new one and bring it to the device, or take the device off the list.",
                f"leadglass device enroll {_ae(device)} --out DIR",
                _PAGE,
            ),
            device.ae_title,
        )


def _silent(facts: Facts) -> Iterator[Found]:
    for each in facts.devices:
        last = each.last_contact or each.enrolled
        if last is None or facts.now - last <= _SILENT:
            continue
        said = f"was last here on {last:%Y-%m-%d}" if each.last_contact else f"never was here since {last:%Y-%m-%d}"
        yield Found(
            Severity.MEDIUM if _reads(each) else Severity.LOW,
            f"{each.device.ae_title} {said}, and may still come in.",
            Fix(
                "If it is gone, take it off the list: its certificate ends with it.",
                f"leadglass device remove {_ae(each.device)}",
                _PAGE,
            ),
            each.device.ae_title,
        )


def _reads(each: Enrolled) -> bool:
    return bool(each.device.allow & {Action.FIND, Action.GET, Action.MOVE})


def _bulk(facts: Facts) -> Iterator[Found]:
    today = facts.now.date()
    for device in (each.device for each in facts.devices):
        if device.is_bulk(today):
            endless = device.bulk_until is None
            until = "without an end" if endless else f"until {device.bulk_until}"
            yield Found(
                Severity.MEDIUM if endless else Severity.LOW,
                f"{device.ae_title} may fetch in masses {until}: {device.bulk}",
                Fix("Enrol it with --bulk-until, or without --bulk once the work is done.", page=_PAGE),
                device.ae_title,
            )


def _nobody_with_certificate(facts: Facts) -> Iterator[Found]:
    others = [each.device for each in facts.devices if not _is_here(each.device)]
    if others and all(device.plaintext and not device.fingerprint for device in others):
        yield Found(
            Severity.MEDIUM,
            "Not one device has a certificate: everything that comes in is readable on the line.",
            Fix("Begin with one: most modalities of today speak TLS.", "leadglass device enroll AE", _PAGE),
        )


def _is_here(device: Device) -> bool:
    """Say whether it speaks from this machine only."""
    return all(network.is_loopback for network in device.addresses)


def _ae(device: Device) -> str:
    return as_word(device.ae_title, "AE")


CHECKS: Final = (
    Check(
        "plaintext-reads",
        Group.DEVICES,
        "A device may read without encryption",
        "Whoever is on that network reads along, or takes the device's address and asks by itself.",
        Severity.HIGH,
        ("PS3.15 B.12", "HIPAA 164.312(e)(1)", "GDPR 32(1)(a)"),
        _plaintext_reads,
    ),
    Check(
        "plaintext-wide",
        Group.DEVICES,
        "A plaintext lane is open to more than one address",
        "The address is all that tells devices apart there.",
        Severity.MEDIUM,
        ("HIPAA 164.312(d)",),
        _plaintext_wide,
    ),
    Check(
        "plaintext-long",
        Group.DEVICES,
        "A plaintext lane is open for more than a year",
        "What has no near end is forgotten.",
        Severity.MEDIUM,
        ("HIPAA 164.312(e)(1)",),
        _plaintext_long,
    ),
    Check(
        "plaintext-lane",
        Group.DEVICES,
        "A device speaks without encryption",
        "Images and names are readable on the line between the device and here.",
        Severity.LOW,
        ("PS3.15 B.12", "HIPAA 164.312(e)(2)(ii)", "GDPR 32(1)(a)"),
        _plaintext,
    ),
    Check(
        "no-certificates",
        Group.DEVICES,
        "No device has a certificate",
        "The encrypted door is there and nobody uses it.",
        Severity.MEDIUM,
        ("PS3.15 B.12", "GDPR 32(1)(a)"),
        _nobody_with_certificate,
    ),
    Check(
        "device-certificate-ends",
        Group.DEVICES,
        "A device's certificate ends",
        "The day after it is turned away in the middle of work, and somebody opens a plaintext lane.",
        Severity.MEDIUM,
        ("PS3.15 B.12",),
        _certificate_ends,
    ),
    Check(
        "device-silent",
        Group.DEVICES,
        "A device has not been here for 90 days",
        "A certificate on a machine that was sold or thrown away still opens the archive.",
        Severity.MEDIUM,
        ("HIPAA 164.312(d)", "GDPR 32(1)(d)"),
        _silent,
    ),
    Check(
        "bulk-grant",
        Group.DEVICES,
        "A device may fetch in masses",
        "The brakes that keep a stolen key from emptying the archive do not hold for it.",
        Severity.MEDIUM,
        ("GDPR 32(1)(b)",),
        _bulk,
    ),
)
"""Their table."""
