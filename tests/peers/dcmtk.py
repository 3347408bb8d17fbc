"""DCMTK's programs: the client and the acceptor that every DICOM engineer tries first."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.running import Credentials, Ran, find_program, free_port, is_listening, run, running, wait_until


def tls_options(credentials: Credentials | None) -> list[str]:
    """Give the options with which a DCMTK program shows its certificate and checks ours."""
    if credentials is None:
        return []
    return ["+tls", str(credentials.key), str(credentials.certificate), "+cf", str(credentials.authority)]


@dataclass(frozen=True, slots=True)
class Received:
    """What ``storescp`` wrote down, file by file, and where it listens."""

    port: int
    folder: Path

    def files(self) -> list[Path]:
        """Give the files received so far, sorted by name."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


class Dcmtk:
    """Runs DCMTK's programs; skips the test when they are not installed."""

    def program(self, name: str) -> Path:
        """Give the path of one of DCMTK's programs, or skip."""
        found = find_program(name, "dcmtk")
        if found is None:
            pytest.skip(f"DCMTK's {name} is not installed (Debian: apt-get install dcmtk).")
        return found

    def __call__(self, name: str, *arguments: str | Path, timeout: float = 120.0, cwd: Path | None = None) -> Ran:
        """Run a program to its end."""
        return run([self.program(name), *arguments], timeout=timeout, cwd=cwd)

    @contextmanager
    def storescp(
        self,
        folder: Path,
        *,
        port: int = 0,
        credentials: Credentials | None = None,
        options: tuple[str, ...] = ("+xa",),
    ) -> Generator[Received]:
        """Run an acceptor that writes what it gets, bit-preserving, into ``folder``."""
        port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            self.program("storescp"), "+B", "+uf", "-pm", "--fork", *options, *tls_options(credentials),
            "-od", str(folder), str(port),
        ]  # fmt: skip
        with running(command, log=folder.parent / f"{folder.name}.log"):
            wait_until(lambda: is_listening(port), "storescp listens")
            yield Received(port, folder)
