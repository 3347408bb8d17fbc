"""Programs of other makers, run with a deadline and found where they really are.

Rule: nothing here outlives the test that started it.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program did.

    Parameters
    ----------
    code : int
        Its exit code.
    out, err : str
        What it printed.
    """

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both outputs, for an assertion's message."""
        return f"exit {self.code}\n{self.out}\n{self.err}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What ``leadglass device enroll --out`` writes for one device."""

    folder: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """The certificate."""
        return self.folder / "cert.pem"

    @property
    def authority(self) -> Path:
        """The archive's certificate authority."""
        return self.folder / "ca.pem"


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = 120.0,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run a program to its end; ``timeout`` in seconds, then it is killed and the test fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        env=None if env is None else {**os.environ, **env},
        input=None if stdin is None else stdin.encode(),
        stdin=subprocess.DEVNULL if stdin is None else None,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "Generator[subprocess.Popen[bytes]]":
    """Keep a program running inside the block, its output in ``log``; TERM at the end, KILL if that is not enough."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port(address: str = "127.0.0.1") -> int:
    """Give a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def wait_until(happens: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Look again and again until ``happens``, or fail the test saying ``what`` did not."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            pytest.fail(f"After {seconds:.0f} s still not so: {what}")
        time.sleep(0.05)


def is_listening(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether somebody accepts TCP connections there."""
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@cache
def find_program(name: str, proof: str = "") -> Path | None:
    """Find a program on PATH whose ``--version`` contains ``proof``.

    pynetdicom installs programs with the names of DCMTK's beside our Python,
    so the name alone does not tell whose it is.
    """
    for folder in [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/sbin"]:
        found = shutil.which(name, path=folder)
        if found is None or Path(folder) == Path(sys.prefix) / "bin":
            continue
        if not proof:
            return Path(found)
        try:
            said = run([found, "--version"], timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if proof in (said.out + said.err).lower():
            return Path(found)
    return None
