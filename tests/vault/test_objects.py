import errno
import os
import stat
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from leadglass.archive.backroom import Declared
from leadglass.errors import Busy, Corrupt
from leadglass.policy.action import Action
from leadglass.vault.objects import Objects, Place
from tests.callers import permit
from tests.vault.sets import EXPLICIT, content, instance, located, opened

STORE = permit(Action.STORE)


class Folders:
    """Counts the syncs of folders; one can be held back, and fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.failing = False
        self.may_end = threading.Event()
        self.may_end.set()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            self.count += 1
            self.may_end.wait(10)
            if self.failing:
                self.failing = False  # the system tells one of those who sync, and the next hears nothing of it
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(file)


def shelves(folder: Path) -> Objects:
    return Objects(folder / "objects", per_shelf=100, min_free=0)


def made(objects: Objects) -> Place:
    place, file = objects.create()
    os.close(file)
    return place


def test_one_sync_of_a_folder_covers_every_name_that_was_there_when_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = shelves(tmp_path)
    first, second = made(objects), made(objects)
    folders = Folders(monkeypatch)
    objects.sync([first])
    objects.sync([second])
    objects.sync([first, second])
    assert folders.count == 1
    later = made(objects)
    objects.sync([second])
    assert folders.count == 1
    objects.sync([later])
    assert folders.count == 2


def test_a_name_made_while_a_sync_runs_is_not_covered_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = shelves(tmp_path)
    early = made(objects)
    folders = Folders(monkeypatch)
    folders.may_end.clear()
    syncing = threading.Thread(target=objects.sync, args=([early],))
    syncing.start()
    while not folders.count:
        time.sleep(0.001)
    late = made(objects)
    folders.may_end.set()
    syncing.join()
    objects.sync([early])
    assert folders.count == 1
    objects.sync([late])
    assert folders.count == 2


def test_all_who_waited_for_a_sync_that_failed_hear_of_it_though_the_system_tells_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = shelves(tmp_path)
    places = [made(objects) for _ in range(4)]
    folders = Folders(monkeypatch)
    folders.may_end.clear()
    folders.failing = True
    heard: list[Corrupt] = []

    def sync(place: Place) -> None:
        try:
            objects.sync([place])
        except Corrupt as error:
            heard.append(error)

    threads = [threading.Thread(target=sync, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    while not folders.count:
        time.sleep(0.001)
    folders.may_end.set()
    for thread in threads:
        thread.join()
    assert len(heard) == 4
    assert folders.count == 1


def test_an_object_that_cannot_be_made_leaves_its_shelf_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = shelves(tmp_path)
    kept = made(objects)
    objects.settle(kept, keep=True)
    real = os.open

    def failing(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_EXCL:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing)
        with pytest.raises(Corrupt):
            objects.create()
    objects.close()
    assert list((tmp_path / "objects" / ".open").iterdir()) == []


def test_nothing_is_synced_for_a_shelf_that_was_closed_meanwhile(tmp_path: Path) -> None:
    objects = shelves(tmp_path)
    place = made(objects)
    objects.close()
    with pytest.raises(Busy):
        objects.sync([place])


def test_a_folder_stays_open_while_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its descriptor could be that of something else by then, which is synced in its place."""
    objects = shelves(tmp_path)
    place = made(objects)
    begun, closed = threading.Event(), threading.Event()
    heard: list[Exception] = []
    fsync = os.fsync

    def slow(file: int) -> None:
        begun.set()
        closed.wait(0.2)
        fsync(file)

    def sync() -> None:
        try:
            objects.sync([place])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one too many
            heard.append(error)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", slow)
        syncing = threading.Thread(target=sync)
        syncing.start()
        begun.wait(10)
        objects.close()
        closed.set()
        syncing.join()
    assert heard == []


@pytest.mark.parametrize("steps", [(1,), (600_000,), (90_000,), (1, 600_000, 1), (589_825, 7)])
def test_the_digest_is_that_of_all_bytes_however_they_come(tmp_path: Path, steps: tuple[int, ...]) -> None:
    """What comes first is digested later than what follows it is written."""
    data = instance(Rows=1000, Columns=500, PixelData=os.urandom(1_000_000))
    with opened(tmp_path) as vault:
        incoming = vault.receive(STORE, Declared(EXPLICIT))
        start = 0
        for step in steps:
            incoming.write(data[start : start + step])
            start += step
        incoming.write(data[start:])
        incoming.examine()
        incoming.commit(STORE)
        [record] = located(vault)
        assert record.digest == sha256(data).digest()
        assert content(vault, record) == data


def test_a_ct_slice_that_comes_in_one_piece_is_written_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = instance(Rows=512, Columns=512, PixelData=os.urandom(524_288))
    written: list[int] = []
    write = os.write

    def counted(file: int, block: bytes) -> int:
        written.append(len(block))
        return write(file, block)

    with opened(tmp_path) as vault:
        incoming = vault.receive(STORE, Declared(EXPLICIT))
        monkeypatch.setattr(os, "write", counted)
        incoming.write(data)
        incoming.examine()
        assert len(written) == 1
        incoming.commit(STORE)
        assert content(vault, located(vault)[0]) == data
