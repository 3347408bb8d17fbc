"""The disk's own limit: the same bytes, written the way any durable archive has to."""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock
from typing import Final

from benchmarks.images import Load

_ROW: Final = bytes(14_000)
"""What one instance of a known series adds to the index's log: 28 kB in all, half of it later, in the database."""


class Log:
    """A log that several append to; who waits for a sync shares it with all who wrote before it began."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._writing, self._syncing = Lock(), Lock()
        self._written = self._synced = 0

    def append(self) -> None:
        """Add a row, and return when it is on stable storage."""
        with self._writing:
            os.write(self._file, _ROW)
            self._written += 1
            mine = self._written
        with self._syncing:
            if self._synced < mine:
                written = self._written
                os.fdatasync(self._file)
                self._synced = written

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def disk(load: Load, folder: Path, *, writers: int = 1, is_archive: bool = False) -> float:
    """Write each file anew and sync it, as so many writers do who share a folder; gives the seconds.

    Writing and syncing leave Python's lock, so that threads measure the disk and not Python.

    Parameters
    ----------
    load : Load
        What is written.
    folder : Path
        Where to.
    writers : int
        How many write at a time.
    is_archive : bool
        Whether each file is found again after a power cut, by its name and by a
        row: then its folder and a log are synced too before the next is begun,
        which is the pattern in which Leadglass writes.
    """
    out = Path(tempfile.mkdtemp(dir=folder))
    log = Log(out / "log") if is_archive else None
    names = os.open(out, os.O_RDONLY)
    shares = [[path.read_bytes() for path in part] for part in load.shares(writers)]
    begin = Barrier(writers + 1)

    def write(number: int) -> None:
        begin.wait()
        for each, block in enumerate(shares[number]):
            descriptor = os.open(out / f"{number}-{each}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, block)
            os.fsync(descriptor)
            os.close(descriptor)
            if log is not None:
                os.fsync(names)
                log.append()

    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, number) for number in range(writers)]
        begin.wait()
        start = time.perf_counter()
        for each in running:
            each.result()
    os.fsync(names)
    took = time.perf_counter() - start
    os.close(names)
    if log is not None:
        log.close()
    make_room(out)
    return took


def make_room(folder: Path) -> None:
    """Give back the bytes of what was measured, but not its files.

    ext4 searches for inodes that were not freed lately: removing thousands of
    files would slow down whoever is measured next.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
