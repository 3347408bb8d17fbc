"""Shares that anybody may read: FTP and rsync of other makers; names are counted and forgotten."""

import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.survey.checks import dicom_answers, ftp_anonymous, greeting, http_identify, rsync_modules
from leadglass.survey.scope import Level
from tests.peers.running import find_program, free_port, is_listening, running, wait_until
from tests.survey.surroundings import listening
from tests.survey.visiting import visit

CANARY = "CANARYSHARE"
CHECKS = (dicom_answers.CHECK, http_identify.CHECK, greeting.CHECK, ftp_anonymous.CHECK, rsync_modules.CHECK)

_VSFTPD = """listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable={anonymous}
local_enable=NO
write_enable=NO
anon_root={files}
no_anon_password=YES
secure_chroot_dir={empty}
ftp_username=ftp
seccomp_sandbox=NO
ftpd_banner={canary} hospital
"""


@pytest.fixture
def files() -> Generator[Path]:
    """Give a folder of images whose names are canaries, where an FTP server's own user may read it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name) / "files"
        folder.mkdir()
        for number in range(7):
            (folder / f"{CANARY} {number}.dcm").write_bytes(bytes(128) + b"DICM" + CANARY.encode() * 50_000)
        (folder / f"{CANARY}.txt").write_text(CANARY)
        for each in (folder.parent, folder):  # whatever mask this process has
            each.chmod(0o755)
        for each in folder.iterdir():
            each.chmod(0o644)
        yield folder


@contextmanager
def vsftpd(folder: Path, files: Path, *, anonymous: bool, more: str = "") -> Generator[int]:
    """Run vsftpd, with more settings after its own; gives its port."""
    program = find_program("vsftpd")
    if program is None:
        pytest.skip("vsftpd is not installed: apt-get install vsftpd")
    if Path("/proc/self").stat().st_uid != 0:
        pytest.skip("vsftpd is run by root only.")
    port = free_port()
    (folder / "empty").mkdir()
    settings = _VSFTPD.format(
        port=port, anonymous="YES" if anonymous else "NO", files=files, empty=folder / "empty", canary=CANARY
    )
    (folder / "vsftpd.conf").write_text(f"{settings}{more}\n")
    with running([program, folder / "vsftpd.conf"], log=folder / "vsftpd.log") as process:
        wait_until(lambda: is_listening(port) or process.poll() is not None, "vsftpd listens")
        assert process.poll() is None, (folder / "vsftpd.log").read_text()
        yield port


@contextmanager
def rsyncd(folder: Path, files: Path, *, secret: bool) -> Generator[int]:
    """Run rsync's daemon; gives its port."""
    program = find_program("rsync")
    if program is None:
        pytest.skip("rsync is not installed: apt-get install rsync")
    port = free_port()
    (folder / "secrets").write_text("somebody:something\n")
    (folder / "secrets").chmod(0o600)
    (folder / "motd").write_text(f"Welcome to {CANARY}\n")
    closed = f"auth users = somebody\nsecrets file = {folder}/secrets\n" if secret else ""
    (folder / "rsyncd.conf").write_text(
        f"address = 127.0.0.1\nport = {port}\nuse chroot = no\nmotd file = {folder}/motd\npid file = {folder}/pid\n"
        f"[{CANARY}]\npath = {files}\ncomment = {CANARY} images\n{closed}"
    )
    with running([program, "--daemon", "--no-detach", "--config", folder / "rsyncd.conf"], log=folder / "log"):
        wait_until(lambda: is_listening(port), "rsync listens")
        yield port


@pytest.mark.parametrize(("level", "rung"), [(Level.PROVE, "E4"), (Level.OPT_IN, "E5")])
def test_an_ftp_server_for_anybody_is_found_and_its_images_are_counted(
    level: Level, rung: str, files: Path, tmp_path: Path
) -> None:
    with vsftpd(tmp_path, files, anonymous=True) as port:
        seen = visit(tmp_path, port, CHECKS, level)
    assert seen.rungs == {"ftp-anonymous": rung}
    proof = seen.finding("ftp-anonymous").proof
    assert (proof["names"], proof["look like DICOM"]) == (8, 7)
    assert proof.get("are DICOM") == (5 if level is Level.OPT_IN else None)
    assert '"QUIT"' in seen.journal
    assert CANARY not in seen.said


def test_an_ftp_server_for_its_users_turns_strangers_away(files: Path, tmp_path: Path) -> None:
    with vsftpd(tmp_path, files, anonymous=False, more="local_enable=YES") as port:
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    assert seen.rungs == {}


@pytest.mark.parametrize(
    ("secret", "level", "rung"),
    [(False, Level.PROVE, "E4"), (False, Level.OPT_IN, "E5"), (True, Level.OPT_IN, "E1")],
)
def test_a_module_of_rsync_is_entered_and_its_top_is_counted(
    secret: bool,
    level: Level,
    rung: str,
    files: Path,
    tmp_path: Path,
) -> None:
    (files / "-before a dot").touch()
    (files / "1.2.826.0.1.3680043.8.498.1").mkdir()
    with rsyncd(tmp_path, files, secret=secret) as port:
        seen = visit(tmp_path, port, CHECKS, level)
    assert seen.rungs == {"rsync-modules": rung}
    proof = dict(seen.finding("rsync-modules").proof)
    told = {"modules": 1, "tried": 1, "open to anybody": int(not secret)}
    told |= {} if secret else {"names": 10, "look like DICOM": 8}
    told |= {"beginnings read": 5, "are DICOM": 5} if rung == "E5" else {}
    assert proof == told
    assert not seen.outcome.not_tested
    assert CANARY not in seen.said


def test_long_lists_with_odd_names_are_read_to_their_end(files: Path, tmp_path: Path) -> None:
    for number in range(1_500):
        name = f"{CANARY} {'long' * (number % 40)}{chr(0x21 + number % 90).replace('/', '-')}\u00e4 {number}.txt"
        (files / name).touch()
    (files / "huge.dcm").touch()
    with (files / "huge.dcm").open("r+b") as huge:
        huge.truncate(5 << 30)  # its size has more than 32 bits, and nothing of it is on a disk
    (files / "aside").symlink_to(files)
    with rsyncd(tmp_path, files, secret=False) as port:
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    proof = seen.finding("rsync-modules").proof
    assert (proof["names"], proof["look like DICOM"]) == (len(list(files.iterdir())), 8)
    assert proof["are DICOM"] in {4, 5}
    assert CANARY not in seen.said


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"@RSYNCD: OK\n",
        b"@RSYNCD: OK\nseed" + (7 << 24 | 3).to_bytes(4, "little") + b"\x40\xff\xff",
        b"@RSYNCD: OK\nseed" + (7 << 24 | 6).to_bytes(4, "little") + b"\x40\xff\xff\xff\x7fx",
        b"@RSYNCD: OK\nseed" + (7 << 24 | 11).to_bytes(4, "little") + b"\x82\x01a\0\0\0\0\0\0\0\0",
        b"@RSYNCD: OK\nseed" + (9 << 24 | 0xFF_FFFF).to_bytes(4, "little") + CANARY.encode() * 9,
        b"@ERROR: " + CANARY.encode() * 900,
    ],
    ids=[
        "silence",
        "no list",
        "half a name",
        "an endless name",
        "half a list",
        "an endless message",
        "an endless line",
    ],
)
def test_a_daemon_that_breaks_off_is_counted_as_far_as_it_came(answer: bytes, tmp_path: Path) -> None:
    def serve(line: socket.socket) -> None:
        with line.makefile("rwb") as talk:
            talk.write(b"@RSYNCD: 31.0\n")
            talk.flush()
            talk.readline()
            asked = talk.readline()
            talk.write(f"{CANARY}\t{CANARY}\n@RSYNCD: EXIT\n".encode() if asked == b"#list\n" else answer)
            talk.flush()

    with listening(serve) as port:
        seen = visit(tmp_path, port, CHECKS, Level.OPT_IN)
    assert seen.rungs["rsync-modules"] in {"E1", "E4"}
    assert CANARY not in seen.said
