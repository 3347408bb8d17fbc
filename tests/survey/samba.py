"""Samba with shares of the test's own, on one port of loopback; names and contents are canaries."""

import os
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.peers.running import find_program, free_port, is_listening, running, wait_until

CANARY = "CANARYSMB"

OPEN = "guest ok = yes"
CLOSED = "guest ok = no\nvalid users = root"

_FOLDERS = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")


@contextmanager
def images() -> Generator[Path]:
    """Give a folder that everybody on this machine may read: seven images, a folder called like one, and a text."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        for number in range(7):
            (folder / f"{CANARY} {number}.dcm").write_bytes(bytes(128) + b"DICM" + CANARY.encode() * 1_000)
        (folder / f"{CANARY}.txt").write_text(CANARY)
        (folder / "1.2.826.0.1.3680043.8.498.1").mkdir()
        for each in (folder, *folder.iterdir()):  # whatever mask this process has
            each.chmod(0o755)
        yield folder


@contextmanager
def samba(
    folder: Path, settings: str, shares: dict[str, str], *, port: int | None = None, address: str = "127.0.0.1"
) -> Generator[int]:
    """Run Samba with these global settings and shares; gives its port."""
    program = find_program("smbd")
    if program is None:
        pytest.skip("Samba is not installed: apt-get install samba")
    port = port or free_port()
    folder.mkdir(exist_ok=True)
    with _short() as own:
        yield from _run(program, folder, own, settings, shares, port, address)


@contextmanager
def _short() -> Generator[Path]:
    """Give a folder with a short name: paths of sockets lie in it, which may have a hundred characters at most."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="smb", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _run(
    program: Path, folder: Path, own: Path, settings: str, shares: dict[str, str], port: int, address: str
) -> Generator[int]:
    said = [f"{name} = {own / name.replace(' ', '-')}" for name in _FOLDERS]
    for name in _FOLDERS:
        (own / name.replace(" ", "-")).mkdir()
        (own / name.replace(" ", "-")).chmod(0o755)
    (folder / "smb.conf").write_text(
        "\n".join(
            [
                "[global]",
                f"interfaces = {address}",
                "bind interfaces only = yes",
                f"smb ports = {port}",
                "server role = standalone",
                "disable netbios = yes",
                f"server string = {CANARY}",
                "guest account = nobody",
                "load printers = no",
                *said,
                settings,
                *(f"[{name}]\n{lines}" for name, lines in shares.items()),
            ]
        )
    )
    configuration = folder / "smb.conf"
    command = [program, "--foreground", "--debug-stdout", f"--configfile={configuration}"]
    try:
        with running(command, log=folder / "log") as process:
            wait_until(lambda: is_listening(port, address) or process.poll() is not None, "Samba listens")
            if process.poll() is not None:
                pytest.skip("Samba does not run here: " + (folder / "log").read_text(errors="replace")[-300:])
            yield port
    finally:
        for each in _helpers(configuration):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


def _helpers(configuration: Path) -> Generator[int]:
    """Give what it started for itself, in sessions of their own, and leaves behind: all that have its configuration."""
    said = f"--configfile={configuration}".encode()
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError):
                if said in (each / "cmdline").read_bytes().split(b"\0"):
                    yield int(each.name)
