"""A disk on a bad day: syncs that fail, a death at a chosen call, and a power cut that loses what was not synced.

Rule: a test that cannot build or preload the shim is skipped with the reason.
"""

import errno
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.peers.running import find_program, run

_SOURCE: Final = Path(__file__).with_name("shim.c")
_PAGE: Final = 4096
_PARTS: Final = ("ino", "dirty", "dir", "dir.new", "lost")


def build(folder: Path) -> Path:
    """Compile the shim; skips where there is no compiler, or no Linux."""
    compiler = find_program("cc") or find_program("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("No C compiler on Linux, so no disk can be made to fail (apt-get install gcc libc6-dev).")
    library = folder / "shim.so"
    done = run([compiler, "-shared", "-fPIC", "-O2", "-w", "-o", library, _SOURCE, "-ldl"])
    if done.code != 0:
        pytest.skip(f"The shim does not compile here: {done.err.strip().splitlines()[-1:]}")
    return library


class Disk:
    """What the shim does to the processes that are started with ``env``.

    Parameters
    ----------
    library : Path
        The shim.
    folder : Path
        For its own files.
    data : Path
        The folder whose disk it is.
    """

    def __init__(self, library: Path, folder: Path, data: Path) -> None:
        self.data = data
        self._control = folder / "faults"
        self._shadow = folder / "shadow"
        self.env = {"LD_PRELOAD": str(library), "SHIM_ROOT": str(data), "SHIM_FAULTS": str(self._control)}

    # --- calls that fail ----------------------------------------------------------

    @contextmanager
    def failing(self, part: str, *, what: str = "sync", error: int = errno.EIO) -> Generator[None]:
        """Let every sync (or write) fail inside the block, for paths that contain ``part``."""
        self._tell(f"always {what} {error} {part}\n")
        try:
            yield
        finally:
            self._control.unlink()

    def fail_once(self, part: str, *, what: str = "sync", error: int = errno.EIO) -> None:
        """Let the next sync (or write) fail."""
        self._tell(f"once {what} {error} {part}\n")

    def has_failed(self) -> bool:
        """Say whether what was to fail once has failed."""
        return not self._control.exists()

    def _tell(self, line: str) -> None:
        draft = self._control.with_suffix(".told")
        draft.write_text(line)
        draft.replace(self._control)

    def dying(self, call: int) -> dict[str, str]:
        """Give the environment of a process that is killed at a call that changes the disk, counted from 1."""
        return {**self.env, "SHIM_KILL": str(call)}

    # --- power cuts ---------------------------------------------------------------

    def settle(self) -> dict[str, str]:
        """Take all that is there now for durable; gives the environment in which syncs are recorded."""
        shutil.rmtree(self._shadow, ignore_errors=True)
        for part in _PARTS:
            (self._shadow / part).mkdir(parents=True)
        for folder, _, names in os.walk(self.data):
            lines = [f"{entry.inode()} {entry.name}\n" for entry in os.scandir(folder)]
            (self._shadow / "dir" / str(Path(folder).stat().st_ino)).write_text("".join(lines))
            for path in (Path(folder) / name for name in names if not name.endswith("-shm")):
                copy = self._shadow / "ino" / str(path.stat().st_ino)
                if path.suffix or path.parent.parent.name != "objects":
                    shutil.copyfile(path, copy)
                else:
                    os.link(path, copy)  # an object is never written to again
        return {**self.env, "SHIM_SHADOW": str(self._shadow)}

    def cut(self, draw: Random, *, strict: bool) -> None:
        """Put the folder into the state after a power cut.

        Parameters
        ----------
        draw : Random
            For what a disk may have written without being told to.
        strict : bool
            Whether it wrote nothing of that.
        """
        after = self.data.with_name(f"{self.data.name}.after")
        self._folder(self.data, self.data.stat().st_ino, after, draw, strict=strict)
        shutil.rmtree(self.data)
        after.rename(self.data)

    def _folder(self, live: Path, inode: int, after: Path, draw: Random, *, strict: bool) -> None:
        after.mkdir(mode=0o700)
        listing = self._shadow / "dir" / str(inode)
        durable = _entries(listing.read_text()) if listing.exists() else {}
        now = {entry.name: entry.inode() for entry in os.scandir(live)} if live.is_dir() else {}
        chance = 0.0 if strict else draw.choice((0.0, 0.5, 1.0))
        for name in sorted(durable.keys() | now.keys()):
            chosen = now.get(name) if draw.random() < chance else durable.get(name)
            if chosen is None or name.endswith("-shm"):
                continue
            same = live / name if now.get(name) == chosen else None
            if (self._shadow / "dir" / str(chosen)).exists() or (same is not None and same.is_dir()):
                self._folder(live / name, chosen, after / name, draw, strict=strict)
            else:
                self._file(same, chosen, after / name, draw, strict=strict)

    def _file(self, live: Path | None, inode: int, after: Path, draw: Random, *, strict: bool) -> None:
        copy = self._shadow / "ino" / str(inode)
        content = bytearray(copy.read_bytes() if copy.exists() else b"")
        dirty = self._shadow / "dirty" / str(inode)
        if not strict and live is not None and dirty.exists():
            now = live.read_bytes()
            chance = draw.choice((0.0, 0.5, 1.0))
            for page, flag in enumerate(dirty.read_bytes()):
                part = now[page * _PAGE : (page + 1) * _PAGE]
                if flag and part and draw.random() < chance:
                    content.extend(bytes(max(0, page * _PAGE + len(part) - len(content))))
                    content[page * _PAGE : page * _PAGE + len(part)] = part
        after.write_bytes(content)
        after.chmod(0o600)


def _entries(listing: str) -> dict[str, int]:
    pairs = (line.split(" ", 1) for line in listing.splitlines())
    return {name: int(inode) for inode, name in pairs}
