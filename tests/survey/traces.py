"""Traces: where a text can be left by a process: in what it writes, and in its memory.

Rule: whoever looks also looks for something that is surely there, so that nothing found means that nothing is there.
"""

import ctypes
import os
import struct
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.peers.running import wait_until

_ROOT = Path(__file__).parents[2]


def forms_of(text: str) -> dict[str, bytes]:
    """Give a text as it may be written: as it is, in UTF-16, as hexadecimal digits, and in base64 at any place."""
    raw = text.encode()
    forms = {
        "UTF-8": raw,
        "UTF-16LE": text.encode("utf-16-le"),
        "UTF-16BE": text.encode("utf-16-be"),
        "UTF-32LE": text.encode("utf-32-le"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
    }
    for shift in range(3):
        # what depends on what stands before and after is left out
        inside = b64encode(bytes(shift) + raw + bytes(3))
        forms[f"base64, {shift}"] = inside[-(-8 * shift // 6) : (8 * (shift + len(raw))) // 6]
    return forms


def found_in(data: bytes, marks: Iterable[str]) -> list[str]:
    """Give the forms in which marks are found."""
    return [f"{mark} as {form}" for mark in marks for form, raw in forms_of(mark).items() if raw in data]


def memory_of(process: int) -> Generator[tuple[str, bytes]]:
    """Give all readable memory of a process, region by region."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, _, _, _, *name = line.split(maxsplit=5)
            if "r" not in rights or (name and name[0] in {"[vvar]", "[vsyscall]", "[vvar_vclock]"}):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            with suppress(OSError, ValueError):
                memory.seek(start)
                yield f"{span} {rights} {name[0] if name else 'anonymous'}", _whole(memory.fileno(), end - start)


def _whole(descriptor: int, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count and (part := os.read(descriptor, count - len(taken))):
        taken += part
    return bytes(taken)


def in_memory(process: int, marks: Sequence[str]) -> list[str]:
    """Give where in the memory of a process marks are."""
    return [f"{each} in {region}" for region, data in memory_of(process) for each in found_in(data, marks)]


# --- what is written ----------------------------------------------------------

_LIBC = ctypes.CDLL(None, use_errno=True)
_FAN_CLASS_CONTENT, _FAN_CLOEXEC, _FAN_UNLIMITED = 4, 1, 0x30
_FAN_MODIFY, _FAN_CLOSE_WRITE = 0x2, 0x8
_FAN_MARK_ADD, _FAN_MARK_FILESYSTEM = 1, 0x100
_EVENT = struct.Struct("=IBBHqii")


@dataclass
class Written:
    """Files that were written, and what stood in them each time somebody looked.

    Parameters
    ----------
    by : dict of int to set of str
        Paths by process.
    found : dict of int to set of str
        By process, marks that were seen in a file, and in which.
    """

    by: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    found: dict[int, set[str]] = field(default_factory=dict[int, set[str]])


@contextmanager
def watching_files(folders: Iterable[Path], marks: Sequence[str]) -> Generator[Written]:
    """Look at every file that a process of ``staying`` writes in the file systems of some folders, if it is only once.

    It is told by the kernel (fanotify); who may not ask it skips the test.
    """
    group = _LIBC.fanotify_init(_FAN_CLASS_CONTENT | _FAN_CLOEXEC | _FAN_UNLIMITED, os.O_RDONLY | 0o2000000)
    if group < 0:
        pytest.skip(f"this system does not tell who writes which file: {os.strerror(ctypes.get_errno())}")
    seen = Written()
    forms = [(mark, form, raw) for mark in marks for form, raw in forms_of(mark).items()]
    ended = threading.Event()
    ours: dict[int, bool] = {}

    def take() -> None:
        while not ended.is_set():
            data = os.read(group, 65_536)
            at = 0
            while at + _EVENT.size <= len(data):
                length, _, _, _, _, descriptor, process = _EVENT.unpack_from(data, at)
                at += length
                if descriptor < 0:
                    continue
                try:
                    if ours.setdefault(process, _is_staying(process)):
                        _look(seen, process, descriptor, forms)
                finally:
                    os.close(descriptor)

    for device in {folder.stat().st_dev: folder for folder in folders}.values():
        mask = ctypes.c_uint64(_FAN_MODIFY | _FAN_CLOSE_WRITE)
        flags = _FAN_MARK_ADD | _FAN_MARK_FILESYSTEM
        if _LIBC.fanotify_mark(group, flags, mask, -100, os.fsencode(device)):
            os.close(group)
            pytest.skip(f"this system does not tell who writes which file: {os.strerror(ctypes.get_errno())}")
    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        # an event of our own wakes the reader
        (next(iter(folders)) / "the last file").write_bytes(b"")
        thread.join(30)
        os.close(group)


def _is_staying(process: int) -> bool:
    """Say whether a process is a command of ours that stays: the kernel tells of everybody's files."""
    try:
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        return parent == os.getpid() and b"lingering.py" in Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False


def _look(seen: Written, process: int, descriptor: int, forms: Sequence[tuple[str, str, bytes]]) -> None:
    path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    seen.by.setdefault(process, set()).add(path)
    data = _whole(descriptor, 64 << 20)
    for mark, form, raw in forms:
        if raw in data:
            seen.found.setdefault(process, set()).add(f"{mark} as {form} in {path}")


# --- processes that stay ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stayed:
    """A command of Leadglass that has ended, and whose memory is still there.

    Parameters
    ----------
    process : int
        Its id.
    out, err : bytes
        What it printed.
    held : sequence of str
        What still refers to a text that it was asked for: the text's place, and the kind of object.
    """

    process: int
    out: bytes
    err: bytes
    held: Sequence[str] = ()


@contextmanager
def staying(
    folder: Path, arguments: Sequence[str | Path], *, env: Mapping[str, str], planted: str
) -> Generator[Stayed]:
    """Run ``leadglass``, wait until it has ended, and keep its memory inside the block."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = folder / "ended"
    command = [sys.executable, str(_ROOT / "tests" / "survey" / "lingering.py"), *map(str, arguments)]
    said = {**os.environ, **env, "LINGER": str(ended), "PLANTED": planted[::-1]}
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=said) as process,
    ):
        try:
            wait_until(lambda: ended.exists() or process.poll() is not None, f"leadglass {arguments} ends", seconds=240)
            assert process.poll() is None, (folder / "err").read_text(errors="replace")
            held = ended.read_text().splitlines()
            yield Stayed(process.pid, (folder / "out").read_bytes(), (folder / "err").read_bytes(), held)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
