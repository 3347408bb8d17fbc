import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from leadglass.archive.backroom import Declared, Selection
from leadglass.crypto.database import driver
from leadglass.dicom.matching import Level
from leadglass.errors import Busy, Corrupt, Full
from leadglass.policy.action import Action
from leadglass.vault.filing import Filing
from leadglass.vault.settings import VaultSettings
from tests.callers import permit
from tests.vault.sets import EXPLICIT, SMALL, content, contents, instance, located, objects, opened, store

SENDER = """
import sys, threading
from hashlib import sha256
from pathlib import Path
from tests.vault.sets import instance, opened, store
from leadglass.vault.settings import VaultSettings

folder, name, count, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
lock = threading.Lock()
with opened(folder, VaultSettings(min_free_bytes=0, objects_per_shelf=7)) as vault:
    def send(thread):
        for number in range(count):
            uid = f"1.{name}.{thread}.{number}"
            data = instance(StudyInstanceUID=f"1.{name}", SeriesInstanceUID=f"1.{name}.{thread}", SOPInstanceUID=uid,
                            AccessionNumber=uid[:16], PixelData=bytes([number % 256]) * 60_000, Rows=300, Columns=100)
            store(vault, data)
            with lock:
                print(uid, sha256(data).hexdigest(), flush=True)
    workers = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
"""


@contextmanager
def sender(folder: Path, name: str, count: int, threads: int = 2) -> Generator["subprocess.Popen[str]"]:
    """Run a process that stores and prints what was acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SENDER, str(folder), name, str(count), str(threads)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def acknowledged(lines: list[str]) -> dict[str, str]:
    """Read what a sender printed; a line that was cut by its death is none."""
    return dict(line.split() for line in lines if line.endswith("\n") and len(line.split()) == 2)


def check_all_there(folder: Path, said: dict[str, str]) -> int:
    """See that all that was acknowledged is there, bit-exact, and no object without a row; gives how many there are."""
    with opened(folder) as vault:
        studies = {".".join(uid.split(".")[:2]) for uid in said}
        records = located(vault, *studies)
        there = {record.sop_instance_uid: sha256(content(vault, record)).hexdigest() for record in records}
        for uid, digest in said.items():
            assert there[uid] == digest
        report = vault.fsck(permit(Action.VERIFY), lambda done, total: None)
        assert report.faults == ()
        assert report.instances == len(objects(folder)) == len(records)
        return len(records)


@pytest.mark.parametrize("after", [1, 17, 40])
def test_a_killed_process_loses_nothing_it_acknowledged_and_leaves_nothing_else(tmp_path: Path, after: int) -> None:
    with opened(tmp_path):
        pass
    lines: list[str] = []
    with sender(tmp_path, "1", 10_000, threads=3) as process:
        assert process.stdout is not None
        while len(lines) < after:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    said = acknowledged(lines)
    assert len(said) >= after
    assert check_all_there(tmp_path, said) >= len(said)
    assert list((tmp_path / "objects" / ".open").iterdir()) == []


def test_several_processes_store_at_once(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with sender(tmp_path, "1", 12) as one, sender(tmp_path, "2", 12) as two, opened(tmp_path) as vault:
        for number in range(10):
            store(vault, instance(StudyInstanceUID="1.3", SOPInstanceUID=f"1.3.{number}"))
        said = acknowledged(one.communicate()[0].splitlines(keepends=True))
        said |= acknowledged(two.communicate()[0].splitlines(keepends=True))
        assert one.returncode == two.returncode == 0
    assert len(said) == 48
    with opened(tmp_path) as vault:
        assert len(located(vault, "1.3")) == 10
    with opened(tmp_path) as vault:
        records = located(vault, "1.1", "1.2", "1.3")
        assert len(records) == len(objects(tmp_path)) == 58
        assert vault.fsck(permit(Action.VERIFY), lambda done, total: None).faults == ()


def test_two_processes_that_store_into_one_study_agree_on_its_key(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as two:
        data = [instance() for _ in range(6)]
        for number, each in enumerate(data):
            store(one if number % 2 else two, each)
        assert sorted(contents(one)) == sorted(contents(two)) == sorted(data)


def test_a_study_deleted_by_another_process_is_begun_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as two:
        store(one, instance())
        two.delete(permit(Action.DELETE), "1.2.3.4")
        data = instance()
        store(one, data)
        assert contents(two) == [data]


def test_what_a_living_process_has_in_hand_is_not_swept(tmp_path: Path) -> None:
    with opened(tmp_path) as one:
        incoming = one.receive(permit(Action.STORE), Declared(EXPLICIT))
        data = instance()
        incoming.write(data)
        with opened(tmp_path) as two:
            assert two.sweep() == 0
        incoming.examine()
        incoming.commit(permit(Action.STORE))
        assert contents(one) == [data]


def test_what_a_dead_process_had_in_hand_is_swept(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance())
    shelf = tmp_path / "objects" / ("ab" * 6)
    shelf.mkdir()
    (shelf / ("cd" * 16)).write_bytes(b"left behind")
    (tmp_path / "objects" / ".open" / shelf.name).touch()
    (tmp_path / "objects" / ".open" / f".{'ef' * 6}").touch()
    with opened(tmp_path) as vault:
        assert not shelf.exists()
        assert len(objects(tmp_path)) == 1
        assert [len(each) for each in contents(vault)] == [located(vault)[0].size]


def test_a_shelf_is_left_for_the_next_when_it_is_full(tmp_path: Path) -> None:
    with opened(tmp_path, VaultSettings(min_free_bytes=0, objects_per_shelf=3)) as vault:
        for _ in range(7):
            store(vault, instance())
        assert sorted(len(list(shelf.iterdir())) for shelf in (tmp_path / "objects").glob("??????*")) == [1, 3, 3]
        assert len(list((tmp_path / "objects" / ".open").iterdir())) == 1
    assert list((tmp_path / "objects" / ".open").iterdir()) == []


# --- the disk is full, the lock is taken, the disk fails ----------------------


@contextmanager
def largest_file(size: int) -> Generator[None]:
    """Let no file of this process grow beyond ``size`` bytes: what a full disk does, for one process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_while_an_object_is_written_is_full_and_leaves_nothing(tmp_path: Path) -> None:
    large = instance(Rows=1000, Columns=1000, PixelData=os.urandom(2_000_000))
    with opened(tmp_path) as vault:
        store(vault, instance())
        with largest_file(1_000_000), pytest.raises(Full, match="Make room"):
            store(vault, large)
        assert len(objects(tmp_path)) == 1
        store(vault, large)
        assert len(contents(vault)) == 2


def test_a_disk_that_fills_while_the_index_is_written_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance())
        wal = (tmp_path / "index.db-wal").stat().st_size
        with largest_file(wal + 100), pytest.raises((Full, Corrupt)):
            store(vault, instance())
        data = instance(StudyInstanceUID="1.9")
        store(vault, data)
        assert len(located(vault)) == 1
        assert contents(vault, "1.9") == [data]
    with opened(tmp_path) as vault:  # what was in doubt is swept
        assert len(objects(tmp_path)) == 2
        assert vault.fsck(permit(Action.VERIFY), lambda done, total: None).faults == ()


def test_a_locked_index_is_busy_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.crypto.database.BUSY_TIMEOUT", 50)
    with opened(tmp_path) as one, opened(tmp_path) as two:
        store(one, instance())
        with one._parts.reading.connected() as holder:  # pyright: ignore[reportPrivateUsage]
            holder.execute("COMMIT")
            holder.execute("PRAGMA query_only = OFF")
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(Busy, match="Try again"):
                store(two, instance())
        assert len(objects(tmp_path)) == 1
        store(two, instance())
        assert len(located(one)) == 2


def test_a_commit_that_fails_fails_all_and_what_it_spoke_of_stays_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether a commit that the disk failed in will be there after a crash: the object has to be."""

    def failing(filing: Filing) -> None:
        raise driver.OperationalError("disk I/O error")

    with opened(tmp_path) as vault:
        store(vault, instance())
        monkeypatch.setattr(Filing, "finish", failing)
        with pytest.raises(driver.OperationalError):
            store(vault, instance())
        monkeypatch.undo()
        assert len(objects(tmp_path)) == 2
        assert len(located(vault)) == 1
    with opened(tmp_path):
        assert len(objects(tmp_path)) == 1


def test_the_folder_is_synced_before_the_row_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, finish = os.fsync, Filing.finish

    def synced(file: int) -> None:
        order.append("folder")
        fsync(file)

    def finished(filing: Filing) -> None:
        order.append("row")
        finish(filing)

    fdatasync = os.fdatasync

    def data_synced(file: int) -> None:
        order.append("data")
        fdatasync(file)

    monkeypatch.setattr(Filing, "finish", finished)
    monkeypatch.setattr(os, "fdatasync", data_synced)
    with opened(tmp_path) as vault:
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        incoming.write(instance())
        incoming.examine()
        monkeypatch.setattr(os, "fsync", synced)
        incoming.commit(permit(Action.STORE))
        assert order == ["data", "folder", "row"]


def test_a_closed_vault_takes_nothing_more(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
        incoming.write(instance())
        incoming.examine()
    with pytest.raises(Busy):
        incoming.commit(permit(Action.STORE))
    incoming.abort()
    with opened(tmp_path):
        assert objects(tmp_path) == []


@pytest.mark.timeout(60)  # it would wait for the lock without end
def test_it_opens_while_another_process_holds_a_marker(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    marker = tmp_path / "objects" / ".open" / ("ab" * 6)
    with marker.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with opened(tmp_path, SMALL) as vault:
            assert vault.locate(permit(Action.GET), Level.STUDY, Selection(study_uids=("1",))) == []
        assert marker.exists()
