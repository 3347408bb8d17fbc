"""Leadglass itself as a stranger sees it: its command line and its open doors, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from tests.peers.running import Credentials, Ran, run

Record = dict[str, object]
"""One JSON object that the command line printed."""

EVERYTHING = "echo,store,find,get,move"
PLAINTEXT_DAYS = 90


def json_objects(text: str) -> list[Record]:
    """Read what ``--json`` printed: an object, a list of objects, or one object a line."""
    try:
        whole = cast("Record | list[Record]", json.loads(text))
    except ValueError:
        return [cast("Record", json.loads(line)) for line in text.splitlines() if line.startswith("{")]
    return whole if isinstance(whole, list) else [whole]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a running archive listens: (host, port) by door, and its process."""

    tls: tuple[str, int]
    plain: tuple[str, int]
    pid: int
    process: "subprocess.Popen[bytes]"
    web: tuple[str, int] | None = None


class Leadglass:
    """One data folder and the commands that work on it.

    Parameters
    ----------
    folder : Path
        Where the data folder, credentials and logs go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "serve.log"

    def cli(self, *arguments: str | Path, timeout: float = 300.0) -> Ran:
        """Run one command, whatever it answers."""
        command = [sys.executable, "-m", "leadglass", *arguments, "--data", self.data]
        return run(command, timeout=timeout)

    def do(self, *arguments: str | Path, timeout: float = 300.0) -> str:
        """Run one command that has to succeed; gives its stdout."""
        done = self.cli(*arguments, timeout=timeout)
        assert done.code == 0, f"leadglass {' '.join(map(str, arguments))}: {done.said}"
        return done.out

    def device(
        self,
        ae_title: str,
        *,
        allow: str = EVERYTHING,
        address: str = "127.0.0.1/32",
        plaintext: bool = False,
        port: int | None = None,
        bulk: str = "",
    ) -> None:
        """Register a device; with ``port`` it can receive at 127.0.0.1, with ``bulk`` it is not braked."""
        until = (datetime.now(UTC) + timedelta(days=PLAINTEXT_DAYS)).date().isoformat()
        lane = ["--plaintext", "--until", until] if plaintext else []
        where = [] if port is None else ["--host", "127.0.0.1", "--port", str(port)]
        self.do("device", "add", ae_title, "--address", address, "--allow", allow, *lane, *where, "--bulk", bulk)

    def enroll(self, ae_title: str, **device: str | int | bool) -> Credentials:
        """Register a device and write its certificate."""
        allow = str(device.get("allow", EVERYTHING))
        address = str(device.get("address", "127.0.0.1/32"))
        port = device.get("port")
        bulk = str(device.get("bulk", ""))
        self.device(ae_title, allow=allow, address=address, port=None if port is None else int(port), bulk=bulk)
        out = self.folder / f"credentials-{ae_title}"
        self.do("device", "enroll", ae_title, "--out", out)
        return Credentials(out)

    def audit(self, *arguments: str) -> list[Record]:
        """Give every audit record."""
        return json_objects(self.do("audit", "show", "--json", *arguments))

    @contextmanager
    def serve(self, *arguments: str, module: str = "leadglass") -> Generator[Doors]:
        """Serve both DICOM doors on free loopback ports inside the block."""
        command = [
            sys.executable, "-m", module, "serve", "--json", "--data", str(self.data),
            "--dicom-tls", "127.0.0.1:0", "--dicom", "127.0.0.1:0", *arguments,
        ]  # fmt: skip
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            ) as process,
        ):
            try:
                yield self._ready(process)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    pytest.fail("leadglass serve did not end within 30 s of SIGTERM")

    def _ready(self, process: "subprocess.Popen[bytes]") -> Doors:
        assert process.stdout is not None
        found: dict[str, tuple[str, int]] = {}
        end = time.monotonic() + 60
        while time.monotonic() < end:
            line = process.stdout.readline()
            if not line:
                break
            said = cast("Record", json.loads(line))
            if said.get("ready") == "all":
                return Doors(found["dicom-tls"], found["dicom"], process.pid, process, found.get("https"))
            host, _, port = str(said["address"]).rpartition(":")
            found[str(said["ready"])] = (host.strip("[]"), int(port))
        pytest.fail(f"leadglass serve did not come up: {self.log.read_text(errors='replace')[-3000:]}")
