"""Machine: how the process runs, and whether its clock can be trusted."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from leadglass.exposure.facts import Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity

_OLD: Final = timedelta(days=180)
_JUMP: Final = timedelta(minutes=5)


def _root(facts: Facts) -> Iterator[Found]:
    is_root = facts.running.is_root if facts.running is not None else facts.machine.is_root
    if is_root:
        yield Found(
            Severity.MEDIUM,
            "The archive runs as root.",
            Fix("Run it as a user of its own, who owns the data folder (operations.md has a unit for systemd)."),
        )


def _core(facts: Facts) -> Iterator[Found]:
    if facts.running is not None and facts.running.leaves_core:
        yield Found(
            Severity.MEDIUM,
            "A crash of the server could leave its memory, with keys in it, on the disk.",
            Fix("Set LimitCORE=0 in its unit, and kernel.core_pattern to something that keeps nothing."),
        )


def _clock(facts: Facts) -> Iterator[Found]:
    machine = facts.machine
    newest = machine.newest_record
    if newest is not None and newest - facts.now > _JUMP:
        yield Found(
            Severity.HIGH,
            f"The audit log has a record of {newest:%Y-%m-%d %H:%M} UTC, and the machine says it is "
            f"{facts.now:%Y-%m-%d %H:%M}: the clock was set back, or was wrong before.",
            Fix("Set the clock right, and keep it so with NTP.", "timedatectl status"),
            "back",
        )
    elif machine.is_clock_steered is False:
        yield Found(
            Severity.LOW,
            "Nothing keeps the machine's clock right.",
            Fix("Switch on time synchronisation (IHE Consistent Time).", "timedatectl set-ntp true"),
            "free",
        )


def _old(facts: Facts) -> Iterator[Found]:
    installed = facts.machine.installed
    if installed is not None and facts.now - installed > _OLD:
        yield Found(
            Severity.LOW,
            f"This Leadglass ({facts.machine.version}) was installed on {installed:%Y-%m-%d}.",
            Fix("Look whether there is a newer one, and what it mends."),
        )


def _other_version(facts: Facts) -> Iterator[Found]:
    running = facts.running
    if running is not None and running.version != facts.machine.version:
        yield Found(
            Severity.LOW,
            f"The server that runs is version {running.version}, and {facts.machine.version} is installed.",
            Fix("Start the server anew.", "systemctl restart leadglass"),
        )


CHECKS: Final = (
    Check(
        "runs-as-root",
        Group.MACHINE,
        "The archive runs as root",
        "A fault in it would be a fault in the whole machine.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)"),
        _root,
    ),
    Check(
        "core-dumps",
        Group.MACHINE,
        "A crash leaves memory on the disk",
        "Keys and images are in it, unsealed.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(2)(iv)",),
        _core,
    ),
    Check(
        "clock",
        Group.MACHINE,
        "The clock cannot be trusted",
        "Records of the wrong time prove nothing, and certificates count when they should not.",
        Severity.HIGH,
        ("HIPAA 164.312(b)",),
        _clock,
    ),
    Check(
        "program-old",
        Group.MACHINE,
        "The program is old",
        "Faults that are known are mended in newer ones.",
        Severity.LOW,
        ("GDPR 32(1)(d)",),
        _old,
    ),
    Check(
        "program-not-restarted",
        Group.MACHINE,
        "The server is not the version installed",
        "What was mended by the update is not mended until it is started anew.",
        Severity.LOW,
        ("GDPR 32(1)(d)",),
        _other_version,
    ),
)
"""Their table."""
