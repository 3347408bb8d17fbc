"""Keeping: room on the disk, quarantine, the key, backups, and who may use the files."""

from collections.abc import Iterator
from datetime import timedelta
from shlex import quote
from typing import Final

from leadglass.exposure.facts import Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity

_GIB: Final = 2**30
_GRACE: Final = timedelta(days=30)
"""Days that a new archive may be without a known backup before that is serious."""

_WAITS: Final = timedelta(days=30)
_LOG_OCTETS: Final = 1 * _GIB
_SOON_FULL: Final = 30.0
_FULL: Final = 7.0


def _no_backup(facts: Facts) -> Iterator[Found]:
    config = facts.config.backup
    how = Fix(
        "Copy the whole data folder, keys included, to another machine every day; have the copying job touch a file "
        "when it ended well, and name that file in leadglass.toml: [backup] marker."
    )
    if facts.backup is None:
        if not facts.storage.instances:
            yield Found(Severity.LOW, "No backup is known. Nothing was stored when this was looked at.", how)
            return
        is_young = facts.since is None or facts.now - facts.since <= _GRACE
        severity = Severity.MEDIUM if is_young else Severity.HIGH
        yield Found(severity, "No backup is known: when the disk fails, the images are gone.", how)
        return
    age = facts.now - facts.backup
    if age > timedelta(days=config.longest_days):
        yield Found(
            Severity.HIGH if age > 7 * timedelta(days=config.longest_days) else Severity.MEDIUM,
            f"The last backup that is known of ended on {facts.backup:%Y-%m-%d %H:%M} UTC, {age.days} days ago.",
            Fix("Look at why the copying job did not end well since."),
        )


def _disk(facts: Facts) -> Iterator[Found]:
    storage = facts.storage
    room = storage.free - facts.config.ingest.min_free_bytes
    share = storage.free / storage.size if storage.size else 0.0
    days = room / storage.growth if storage.growth > 0 else None
    fix = Fix("Make room: a larger disk, or studies moved elsewhere and deleted here.")
    if room <= 0:
        yield Found(Severity.HIGH, f"The disk is full: {_size(storage.free)} are free, so nothing is taken in.", fix)
    elif days is not None and days < _SOON_FULL:
        yield Found(
            Severity.HIGH if days < _FULL else Severity.MEDIUM,
            f"{_size(storage.free)} are free; at {_size(storage.growth)} a day that lasts {int(days)} days.",
            fix,
        )
    elif share < 0.05:
        yield Found(Severity.MEDIUM, f"{_size(storage.free)} are free, less than a twentieth of the disk.", fix)


def _quarantine_full(facts: Facts) -> Iterator[Found]:
    storage = facts.storage
    fill = max(
        storage.quarantined / max(1, storage.quarantine_room),
        storage.quarantined_octets / max(1, storage.quarantine_octets),
    )
    if fill >= 0.8:
        yield Found(
            Severity.HIGH if fill >= 1 else Severity.MEDIUM,
            f"Quarantine is {min(100, int(fill * 100))} % full: {storage.quarantined} instances. Once it is full, "
            "what contradicts the archive is refused, and its sender has to keep it.",
            Fix("Decide over what is in it.", "leadglass quarantine list", "/quarantine"),
        )


def _quarantine_waits(facts: Facts) -> Iterator[Found]:
    oldest = facts.storage.oldest_quarantined
    if oldest is not None and facts.now - oldest > _WAITS:
        yield Found(
            Severity.LOW,
            f"Something has been in quarantine since {oldest:%Y-%m-%d}: images that nobody finds.",
            Fix("Decide over what is in it.", "leadglass quarantine list", "/quarantine"),
        )


def _key_beside(facts: Facts) -> Iterator[Found]:
    if facts.key.is_beside:
        yield Found(
            Severity.MEDIUM,
            f"The key that opens everything lies in the data folder ({facts.key.where}).",
            Fix(
                "Move it out of the folder: to another disk, a passphrase, or the machine's TPM by systemd-creds "
                "(operations.md says how).",
                "leadglass key move --to file --file /mnt/key/leadglass.key",
            ),
        )
    elif facts.key.source == "environment":
        yield Found(
            Severity.LOW,
            "The key comes from the environment, which whoever may list this user's processes can read.",
            Fix("Use a credential of the service manager, or a key file on another disk.", "leadglass key move"),
        )


def _key_unsettled(facts: Facts) -> Iterator[Found]:
    if not facts.key.is_settled:
        yield Found(
            Severity.MEDIUM,
            "A change of the key was interrupted and is not finished.",
            Fix("Stop the server; the next command finishes it.", "leadglass key show"),
        )


def _loose(facts: Facts) -> Iterator[Found]:
    for each in facts.loose:
        wanted = "0700" if each.is_folder else "0600"
        is_key = "/keys" in each.path or each.path.endswith((".key", ".toml"))
        if each.is_foreign:
            yield Found(
                Severity.HIGH,
                f"{each.path} belongs to another user.",
                Fix("Find out why, then give it to the archive's user with chown.", f"ls -l {quote(each.path)}"),
                each.path,
            )
            continue
        writable = each.mode & 0o022
        yield Found(
            Severity.HIGH if writable or is_key else Severity.MEDIUM,
            f"Others may {'write to' if writable else 'read'} {each.path} (mode {each.mode:04o}).",
            Fix("See who may have used it, then close it.", f"chmod {wanted} {quote(each.path)}"),
            each.path,
        )


def _large_log(facts: Facts) -> Iterator[Found]:
    for each in facts.databases:
        if each.log_octets > _LOG_OCTETS:
            yield Found(
                Severity.LOW,
                f"The write-ahead log of {each.name} has {_size(each.log_octets)}: something keeps it from being "
                "folded in, and deleted rows stay in it meanwhile.",
                Fix("End commands that run for long; if that does not help, start the server anew."),
                each.name,
            )


def _size(octets: float) -> str:
    value = float(octets)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1_000:
            return f"{value:.0f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


CHECKS: Final = (
    Check(
        "no-backup",
        Group.KEEPING,
        "No recent backup is known",
        "Ransomware and broken disks take what is here; only a copy elsewhere brings it back.",
        Severity.HIGH,
        ("HIPAA 164.308(a)(7)(ii)(A)", "GDPR 32(1)(c)"),
        _no_backup,
    ),
    Check(
        "files-loose",
        Group.KEEPING,
        "Others may use the archive's files",
        "They are sealed, but their sizes and times tell, and whoever may write can destroy.",
        Severity.HIGH,
        ("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)"),
        _loose,
    ),
    Check(
        "disk-full",
        Group.KEEPING,
        "Room on the disk runs out",
        "Modalities cannot send, and keep images that they soon overwrite.",
        Severity.HIGH,
        ("GDPR 32(1)(b)",),
        _disk,
    ),
    Check(
        "key-beside",
        Group.KEEPING,
        "The key lies beside what it opens",
        "Whoever carries the disk or a copy of the folder away can read everything.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(2)(iv)", "GDPR 32(1)(a)"),
        _key_beside,
    ),
    Check(
        "key-unsettled",
        Group.KEEPING,
        "A change of the key is not finished",
        "Until it is, an old secret may still open the archive.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(2)(iv)",),
        _key_unsettled,
    ),
    Check(
        "quarantine-full",
        Group.KEEPING,
        "Quarantine fills up",
        "Images that contradict the archive are refused, and their sender may lose them.",
        Severity.HIGH,
        ("GDPR 32(1)(b)",),
        _quarantine_full,
    ),
    Check(
        "quarantine-waits",
        Group.KEEPING,
        "Something waits in quarantine for long",
        "A patient's images are here, and whoever looks for them does not find them.",
        Severity.LOW,
        ("HIPAA 164.312(c)(1)",),
        _quarantine_waits,
    ),
    Check(
        "database-log",
        Group.KEEPING,
        "A database's log grows",
        "It takes room, and what was deleted is still in it.",
        Severity.LOW,
        (),
        _large_log,
    ),
)
"""Their table."""
