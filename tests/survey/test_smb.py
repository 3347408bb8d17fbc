"""SMB: Samba that makes a guest of anybody is told from Samba that does not."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.survey.check import Known
from leadglass.survey.checks import smb_guest
from tests.peers.running import find_program, free_port, is_listening, running, wait_until
from tests.survey.visiting import visit

CANARY = "CANARYSMB"


def _always(_known: Known, _port: int) -> bool:
    return True


CHECKS = (replace(smb_guest.CHECK, applies=_always),)
"""On whatever port the test has."""


@contextmanager
def samba(folder: Path, *, guests: bool) -> Generator[int]:
    """Run Samba; gives its port."""
    program = find_program("smbd")
    if program is None:
        pytest.skip("Samba is not installed: apt-get install samba")
    port = free_port()
    folders = {name: folder / name for name in ("private", "lock", "state", "cache", "pid", "ncalrpc")}
    for each in folders.values():
        each.mkdir(mode=0o755)
    said = "\n".join(
        f"{name} = {each}"
        for name, each in zip(
            ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir"),
            folders.values(),
            strict=True,
        )
    )
    (folder / "smb.conf").write_text(
        f"[global]\ninterfaces = 127.0.0.1\nbind interfaces only = yes\nsmb ports = {port}\nserver role = standalone\n"
        f"disable netbios = yes\nserver string = {CANARY}\nguest account = nobody\nload printers = no\n{said}\n"
        f"map to guest = {'Bad User' if guests else 'Never'}\n[{CANARY}]\npath = {folder}\nguest ok = yes\n"
    )
    command = [program, "--foreground", "--debug-stdout", f"--configfile={folder / 'smb.conf'}"]
    with running(command, log=folder / "log") as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, "Samba listens")
        if process.poll() is not None:
            pytest.skip("Samba does not run here: " + (folder / "log").read_text(errors="replace")[-300:])
        yield port


@pytest.mark.parametrize("guests", [True, False])
def test_samba_that_makes_guests_of_anybody_is_told_from_one_that_does_not(tmp_path: Path, *, guests: bool) -> None:
    with samba(tmp_path, guests=guests) as port:
        seen = visit(tmp_path, port, CHECKS)
    assert seen.rungs == ({"smb-guest": "E2"} if guests else {})
    assert not seen.outcome.not_tested
    assert ("LOGOFF" in seen.journal) is guests
    assert CANARY not in seen.said
