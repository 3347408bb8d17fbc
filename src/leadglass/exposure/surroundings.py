"""Surroundings: what the operating system tells of the process, the disk, the clock and the files.

Rule: what cannot be known is said to be unknown, and is no reason to fail.
"""

import ctypes
import os
import resource
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from leadglass.exposure.facts import Database, IpAddress, Loose, Reach

_PR_GET_DUMPABLE: Final = 3
"""prctl(2)."""

_TIME_ERROR: Final = 5
"""adjtimex(2): the clock is not synchronised."""

_TIMEX_BYTES: Final = 512
"""More than struct timex has anywhere."""

_MOST_LOOSE: Final = 50
_MOST_LOOKED_AT: Final = 20_000
"""Entries of the data folder that are looked at: its shelves have thousands each, all made in the same way."""

_SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""A file that says it is older was unpacked from something that keeps no times."""

_PUBLIC: Final = frozenset({"ca.pem", "leadglass.toml"})
"""What others may read: it holds no secret. Write to it they may not."""


def plain(address: IpAddress) -> IpAddress:
    """Give the IPv4 address inside an IPv6 one that only wraps it."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def reach_of(addresses: Iterable[IpAddress], own: Iterable[IpAddress] | None) -> Reach:
    """Say from where a listener on some addresses is reached.

    Parameters
    ----------
    addresses : iterable of addresses
        What it listens on.
    own : iterable of addresses, optional
        This machine's, which ``0.0.0.0`` and ``::`` stand for.
    """
    there = [plain(address) for address in addresses]
    if any(address.is_unspecified for address in there):
        there += [plain(address) for address in own or ()]
    if any(address.is_global and not address.is_multicast for address in there):
        return Reach.PUBLIC
    return Reach.LOOPBACK if all(address.is_loopback for address in there) else Reach.LOCAL


def is_root() -> bool:
    """Say whether this process may do everything on the machine."""
    return os.geteuid() == 0


def leaves_core() -> bool:
    """Say whether a crash of this process could leave its memory on the disk."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))
    return resource.getrlimit(resource.RLIMIT_CORE)[0] != 0


def is_clock_steered() -> bool | None:
    """Say whether something keeps the clock right; None when the system does not tell."""
    if sys.platform != "linux":
        return None
    with suppress(OSError, AttributeError):
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return None if state < 0 else state != _TIME_ERROR
    return None


def installed(package: Path) -> datetime | None:
    """Say when a package was put on this machine; None when its files do not tell."""
    try:
        when = datetime.fromtimestamp(package.stat().st_mtime, UTC)
    except OSError:
        return None
    return when if when > _SINCE else None


def digest_of(settings: Path) -> str:
    """Give a digest of a file of settings; empty when there is none."""
    try:
        return sha256(settings.read_bytes()).hexdigest()
    except OSError:
        return ""


def room(folder: Path) -> tuple[int, int]:
    """Give the bytes that are free for us on a folder's disk, and those that it has."""
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize


def databases(folder: Path) -> tuple[Database, ...]:
    """Give the databases of a data folder with their sizes."""
    found: list[Database] = []
    for path in sorted(folder.glob("*.db")):
        with suppress(OSError):
            found.append(Database(path.name, path.stat().st_size, _size(path.with_name(path.name + "-wal"))))
    return tuple(found)


def changed(path: Path) -> datetime | None:
    """Say when a file was last written; None when it is not there."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def is_on_disk_of(path: Path, folder: Path) -> bool:
    """Say whether a path is on the same disk as a folder; what cannot be read is not."""
    try:
        return path.stat().st_dev == folder.stat().st_dev
    except OSError:
        return False


def is_writable(folder: Path) -> bool:
    """Say whether something can be put into a folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def loose(folder: Path) -> tuple[Loose, ...]:
    """Name files and folders of a data folder that others than its owner may use."""
    found: list[Loose] = []
    own = os.geteuid()
    for path, status in _entries(folder):
        mode = stat.S_IMODE(status.st_mode)
        is_folder = stat.S_ISDIR(status.st_mode)
        forbidden = 0o022 if path.name in _PUBLIC else 0o077
        is_foreign = status.st_uid != own and own != 0
        if stat.S_ISLNK(status.st_mode) or not (mode & forbidden or is_foreign):
            continue
        found.append(Loose(str(path), mode, is_folder, is_foreign))
        if len(found) == _MOST_LOOSE:
            break
    return tuple(found)


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Give what is in a data folder, outermost first, as far as it is looked at."""
    with suppress(OSError):
        yield folder, folder.lstat()
    waiting = [folder]
    left = _MOST_LOOKED_AT
    while waiting and left > 0:
        following: list[Path] = []
        for each in waiting:
            try:
                entries = list(os.scandir(each))
            except OSError:
                continue
            for entry in entries[:left]:
                with suppress(OSError):
                    yield Path(entry.path), entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        following.append(Path(entry.path))
            left -= len(entries)
        waiting = following


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
