"""Importing by many threads: what is said is the same for any number of them, and memory is bounded."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.app import App
from leadglass.archive.archive import Archive, Receiving
from leadglass.archive.backroom import Declared, Receipt
from leadglass.doors.importing import Fate, Tally, import_sources
from leadglass.doors.sources import Found, Source, Stream, Unlooked, walk
from leadglass.errors import BadInput, LeadglassError
from leadglass.policy.caller import Caller
from tests.doors.cli.clihouse import Cli, cli_on, file_of, image, write_study

PATIENCE = 60.0
"""Seconds after which a thread that waits for another one gives up."""


def _mixed_folder(folder: Path) -> Path:
    """Write good files, twice the same ones, bad ones of several kinds, and ZIPs with both."""
    write_study(folder / "good", instances=10)
    write_study(folder / "again", instances=10)
    good = (folder / "good/1-1-1").read_bytes()
    for number in range(12):
        (folder / f"bad-{number:02}").write_bytes((b"", b"read me", good[: 200 + number])[number % 3])
    (folder / ".hidden").touch()
    (folder / "link").symlink_to("good")
    for number in (2, 3):
        with zipfile.ZipFile(folder / f"{number}.zip", "w") as file:
            for instance in range(1, 9):
                file.writestr(f"{instance}", file_of(image(number, 1, instance)))
                file.writestr(f"{instance}.txt", "read me")
    (folder / "4.zip").write_bytes(b"PK\x03\x04 and no more")
    return folder


def test_the_same_is_said_in_the_same_order_by_any_number_of_threads(
    initialised: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _mixed_folder(tmp_path / "in")
    said: list[tuple[int, object, str]] = []
    for threads in ("1", "3", "16"):
        shutil.copytree(initialised, tmp_path / threads / "data")
        cli = cli_on(tmp_path / threads / "data", capsys)
        first = cli("import", "--json", "--threads", threads, folder, folder / "missing")
        second = cli("import", "--verbose", "--threads", threads, folder, folder / "missing")
        said.append((first.code, first.json, second.out))
    code, summary, _ = said[0]
    assert code == 3
    assert isinstance(summary, dict)
    assert (summary["stored"], summary["already_there"]) == (36, 20)
    assert (summary["refused"], summary["skipped"]) == (12 + 16 + 1 + 1, 2)
    assert said[1] == said[0]
    assert said[2] == said[0]


# --- how many at one time -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens nothing: tells that somebody is about to read, and refuses."""

    opening: Callable[[], object]

    @contextmanager
    def open(self) -> Generator[Stream]:
        self.opening()
        raise BadInput("There is nothing in it.")
        yield


def _imported(cli: Cli, sources: Sequence[Source | Unlooked], threads: int, done: Callable[[int], None]) -> Tally:
    with App().open(cli.data) as opened:
        return import_sources(opened.archive, opened.caller, sources, threads=threads, done=done)


def test_as_many_files_are_read_at_one_time_as_there_are_threads(cli: Cli) -> None:
    lock, together = threading.Lock(), threading.Barrier(12, timeout=PATIENCE)
    under_way = 0
    most = 0

    def opening() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait()
        with lock:
            under_way -= 1

    sources: list[Found | Unlooked] = [Found(str(n), 4 << 30, _Opener(opening)) for n in range(48)]
    tally = _imported(cli, sources, 12, lambda _: None)
    assert tally.reasons == {(Fate.REFUSED, "There is nothing in it."): 48}
    assert most == 12


@pytest.mark.parametrize(("octets", "count", "together"), [(1_000, 96, 64), (1 << 20, 24, 11)])
def test_files_are_committed_together_within_a_bound_on_memory(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: int, count: int, together: int
) -> None:
    finish, finished = Archive.finish, list[int]()

    def watched(archive: Archive, caller: Caller, receivings: Sequence[Receiving]) -> list[Receipt | LeadglassError]:
        finished.append(len(receivings))
        return finish(archive, caller, receivings)

    monkeypatch.setattr(Archive, "finish", watched)
    write_study(tmp_path / "in", series=1, instances=count, PixelData=bytes(octets))
    tally = _imported(cli, list(walk([tmp_path / "in"])), 1, lambda _: None)
    assert tally.counts == {Fate.STORED: count}
    assert sum(finished) == count
    assert max(finished) <= together
    assert len(finished) <= count // together + 1


def test_the_members_of_one_zip_are_shared_among_the_threads(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for instance in range(1, 7):
            file.writestr(f"{instance}", file_of(image(1, 1, instance)))
    receive, together = Archive.receive, threading.Barrier(6, timeout=PATIENCE)

    def received(archive: Archive, caller: Caller, declared: Declared) -> Receiving:
        together.wait()
        return receive(archive, caller, declared)

    monkeypatch.setattr(Archive, "receive", received)
    tally = _imported(cli, [Unlooked(tmp_path / "x.zip")], 6, lambda _: None)
    assert not together.broken
    assert tally.counts == {Fate.STORED: 6}


def test_a_fault_of_ours_ends_an_import_and_leaves_nobody_waiting(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in", series=2, instances=200)

    def done(_octets: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _imported(cli, list(walk([tmp_path / "in"])), 2, done)
    assert cli.do("fsck", "--json").json["instances"] <= 64


# --- stopped ------------------------------------------------------------------


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A child hears Ctrl-C even where the tests run in the background, which inherits it as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_what_is_told_of_an_import_that_was_stopped_is_true(cli: Cli, tmp_path: Path) -> None:
    write_study(tmp_path / "in", series=4, instances=1000)  # more than goes in while a slow machine looks
    command = [sys.executable, "-m", "leadglass", "import", "--json", str(tmp_path / "in"), "--data", str(cli.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        shelves = cli.data / "objects"
        while process.poll() is None and not any(path.is_file() for path in shelves.glob("[0-9a-f]*/*")):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    summary = json.loads(out)
    assert "Traceback" not in err
    assert summary["interrupted"]
    assert process.returncode == (3 if summary["stored"] else 1)
    assert cli.do("fsck", "--json").json["instances"] == summary["stored"] < 4000


def test_a_pipe_that_was_named_is_told_as_none_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = walk([tmp_path / "pipe"])
    assert isinstance(found, Found)
    with pytest.raises(BadInput, match="not a regular file"), found.open():
        pass
