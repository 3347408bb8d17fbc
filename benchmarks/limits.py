"""The disk's own limit: the same bytes, written the way any durable archive has to."""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from benchmarks.images import Load


def disk(load: Load, folder: Path, *, writers: int = 1) -> float:
    """Write each file anew and sync it, as so many writers do who share a folder; gives the seconds.

    Writing and syncing leave Python's lock, so that threads measure the disk and not Python.
    """
    out = Path(tempfile.mkdtemp(dir=folder))
    shares = [[path.read_bytes() for path in part] for part in load.shares(writers)]
    begin = Barrier(writers + 1)

    def write(number: int) -> None:
        begin.wait()
        for each, block in enumerate(shares[number]):
            descriptor = os.open(out / f"{number}-{each}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, block)
            os.fsync(descriptor)
            os.close(descriptor)

    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, number) for number in range(writers)]
        begin.wait()
        start = time.perf_counter()
        for each in running:
            each.result()
    descriptor = os.open(out, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    took = time.perf_counter() - start
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
