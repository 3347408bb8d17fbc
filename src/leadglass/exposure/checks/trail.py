"""Trail: whether the audit log is sound, and kept where an intruder cannot reach it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from leadglass.exposure.facts import Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity

_UNSIGNED: Final = timedelta(hours=24)
_VERIFIED: Final = timedelta(days=31)
_CHECKED: Final = timedelta(days=92)
_YOUNG: Final = timedelta(days=31)


def _is_young(facts: Facts) -> bool:
    return facts.since is None or facts.now - facts.since <= _YOUNG


def _kept_here_only(facts: Facts) -> Iterator[Found]:
    trail = facts.trail
    if not trail.has_collector and not trail.has_folder:
        yield Found(
            Severity.LOW,
            "The audit log, and its signed heads, are kept on this machine only.",
            Fix(
                "Have records sent to a syslog collector ([audit.collector]), or signed heads written to a share "
                "([audit] checkpoint_folder)."
            ),
        )


def _collector_fails(facts: Facts) -> Iterator[Found]:
    trail = facts.trail
    for what, since in (("collector", trail.collector_fails), ("checkpoint folder", trail.folder_fails)):
        if since is not None:
            days = (facts.now - since).days
            yield Found(
                Severity.HIGH if days >= 1 else Severity.MEDIUM,
                f"The {what} has not been reached since {since:%Y-%m-%d %H:%M} UTC.",
                Fix("Look at the network and at that machine.", "leadglass audit collector"),
                what,
            )


def _folder_beside(facts: Facts) -> Iterator[Found]:
    if facts.trail.is_folder_beside:
        yield Found(
            Severity.LOW,
            "The checkpoint folder is on the same disk as the archive.",
            Fix("Name a folder on another machine in [audit] checkpoint_folder."),
        )


def _head(facts: Facts) -> Iterator[Found]:
    trail = facts.trail
    if trail.records and not trail.is_outside_good:
        yield Found(
            Severity.HIGH,
            "The signed head beside the audit log is missing or is none of this log's.",
            Fix("See what was touched, and keep the log's files as evidence.", "leadglass audit verify", "/audit"),
        )
    elif trail.unsigned and trail.signed is not None and facts.now - trail.signed > _UNSIGNED and facts.running:
        yield Found(
            Severity.MEDIUM,
            f"The audit log's newest signed head is of {trail.signed:%Y-%m-%d %H:%M} UTC, and {trail.unsigned:,} "
            "records came since.",
            Fix("Look at the server's log; then have the log verified.", "leadglass audit verify", "/audit"),
        )


def _not_verified(facts: Facts) -> Iterator[Found]:
    verified = facts.trail.verified
    fix = Fix("Have every record re-hashed; it takes seconds.", "leadglass audit verify", "/audit")
    if verified is not None and verified.faults:
        yield Found(Severity.CRITICAL, f"The audit log did not verify on {verified.when:%Y-%m-%d}.", fix)
    elif verified is None:
        if not _is_young(facts):
            yield Found(Severity.LOW, "The audit log was never verified.", fix)
    elif facts.now - verified.when > _VERIFIED:
        yield Found(Severity.LOW, f"The audit log was last verified on {verified.when:%Y-%m-%d}.", fix)


def _not_checked(facts: Facts) -> Iterator[Found]:
    checked = facts.trail.checked
    fix = Fix("Have everything re-read, at a quiet time.", "leadglass fsck")
    if checked is not None and checked.faults:
        said = f"The last look at everything stored, on {checked.when:%Y-%m-%d}, found {checked.faults} faults."
        yield Found(Severity.HIGH, said, Fix("Mend them as it says, then run it again.", "leadglass fsck"))
    elif not facts.storage.instances:
        return
    elif checked is None:
        if not _is_young(facts):
            yield Found(Severity.LOW, "What is stored was never re-read.", fix)
    elif facts.now - checked.when > _CHECKED:
        yield Found(Severity.LOW, f"What is stored was last re-read on {checked.when:%Y-%m-%d}.", fix)


CHECKS: Final = (
    Check(
        "audit-not-sound",
        Group.TRAIL,
        "The audit log was not verified lately",
        "Its hashes show whether somebody took a record out, once somebody looks.",
        Severity.CRITICAL,
        ("HIPAA 164.312(b)", "HIPAA 164.312(c)(2)"),
        _not_verified,
    ),
    Check(
        "audit-head",
        Group.TRAIL,
        "The audit log's signed head is missing or old",
        "Without it the end of the log can be cut off unseen.",
        Severity.HIGH,
        ("HIPAA 164.312(b)", "HIPAA 164.312(c)(1)"),
        _head,
    ),
    Check(
        "audit-copies-fail",
        Group.TRAIL,
        "Copies of the audit log do not get through",
        "An intruder who knows that has time to change what is here.",
        Severity.HIGH,
        ("HIPAA 164.312(b)",),
        _collector_fails,
    ),
    Check(
        "audit-here-only",
        Group.TRAIL,
        "The audit log is kept here only",
        "Who takes over the machine can take the log away as a whole.",
        Severity.LOW,
        ("HIPAA 164.312(b)", "PS3.15 A.6"),
        _kept_here_only,
    ),
    Check(
        "audit-folder-beside",
        Group.TRAIL,
        "Signed heads lie on the same disk",
        "They are to survive what happens to this one.",
        Severity.LOW,
        ("HIPAA 164.312(b)",),
        _folder_beside,
    ),
    Check(
        "images-not-checked",
        Group.TRAIL,
        "What is stored was not re-read lately",
        "Disks lose bits in silence; a fault is mended from a backup only while there is a good one.",
        Severity.HIGH,
        ("HIPAA 164.312(c)(2)", "GDPR 32(1)(d)"),
        _not_checked,
    ),
)
"""Their table."""
