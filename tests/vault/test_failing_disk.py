"""A disk that fails for a while: nothing is believed of what a failed sync dropped, and nothing is left behind."""

import errno
import os
import stat
from pathlib import Path

import pytest

from leadglass.archive.backroom import Declared, Stored
from leadglass.crypto.database import driver
from leadglass.errors import Corrupt, Full
from leadglass.policy.action import Action
from leadglass.vault.filing import Filing
from tests.callers import permit
from tests.vault.sets import EXPLICIT, content, instance, located, objects, opened, store

STORE = permit(Action.STORE)


def folders_fail(monkeypatch: pytest.MonkeyPatch, number: int = errno.EIO) -> None:
    """Let every sync of a folder fail."""
    fsync = os.fsync

    def failing(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing)


def test_what_waited_for_a_folder_whose_sync_failed_is_sent_again_though_the_next_sync_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next sync tells nothing of what the failed one dropped."""
    with opened(tmp_path) as vault:
        store(vault, instance())
        waiting = vault.receive(STORE, Declared(EXPLICIT))
        waiting.write(instance())
        waiting.examine()
        with monkeypatch.context() as patched:
            folders_fail(patched)
            with pytest.raises(Corrupt, match="Check the disk"):
                store(vault, instance())
        with pytest.raises(Corrupt, match="Check the disk"):
            waiting.commit(STORE)
        waiting.abort()
        data = instance()
        store(vault, data)
        assert content(vault, located(vault)[1]) == data
        assert len(objects(tmp_path)) == 2
        assert len({path.parent for path in objects(tmp_path)}) == 2
    assert list((tmp_path / "objects" / ".open").iterdir()) == []


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, Corrupt), (errno.ENOSPC, Full)])
def test_a_shelf_that_cannot_be_begun_leaves_no_marker_no_folder_and_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    with opened(tmp_path) as vault:
        located(vault)
        before = len(list(Path("/proc/self/fd").iterdir()))
        with monkeypatch.context() as patched:
            folders_fail(patched, number)
            for _ in range(20):
                with pytest.raises(kind):
                    store(vault, instance())
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert [path.name for path in (tmp_path / "objects").iterdir()] == [".open"]
        assert list((tmp_path / "objects" / ".open").iterdir()) == []
        store(vault, instance())
        assert len(objects(tmp_path)) == 1


def test_what_a_failed_commit_left_in_doubt_is_removed_after_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails, or is full, for hours must not be filled by what it refused."""

    def failing(filing: Filing) -> None:
        raise driver.OperationalError("disk I/O error")

    with opened(tmp_path) as vault:
        with monkeypatch.context() as patched:
            patched.setattr(Filing, "finish", failing)
            for _ in range(3):
                with pytest.raises(driver.OperationalError):
                    store(vault, instance())
        assert len(objects(tmp_path)) == 3
        data = instance()
        store(vault, data)
        assert [content(vault, record) for record in located(vault)] == [data]
        assert len(objects(tmp_path)) == 1


def test_what_is_in_doubt_stays_so_while_nothing_is_written_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a crash may bring its row back from the log."""

    def failing(filing: Filing) -> None:
        raise driver.OperationalError("disk I/O error")

    with opened(tmp_path) as vault:
        data = instance()
        store(vault, data)
        with monkeypatch.context() as patched:
            patched.setattr(Filing, "finish", failing)
            with pytest.raises(driver.OperationalError):
                store(vault, instance())
        assert store(vault, data).outcome is Stored.ALREADY_HERE
        assert len(objects(tmp_path)) == 2
        store(vault, instance())
        assert len(objects(tmp_path)) == len(located(vault)) == 2


def test_what_was_committed_though_the_commit_was_said_to_fail_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Filing.finish

    def late(filing: Filing) -> None:
        finish(filing)
        raise driver.OperationalError("disk I/O error")

    with opened(tmp_path) as vault:
        data = instance()
        with monkeypatch.context() as patched:
            patched.setattr(Filing, "finish", late)
            with pytest.raises(driver.OperationalError):
                store(vault, data)
        store(vault, instance(StudyInstanceUID="1.9"))
        assert [content(vault, record) for record in located(vault)] == [data]
        assert len(objects(tmp_path)) == 2


def test_a_deleted_object_is_taken_off_the_list_only_after_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut brings back a file that nothing speaks of any more."""
    with opened(tmp_path) as vault:
        store(vault, instance())
        with monkeypatch.context() as patched:
            folders_fail(patched)
            assert vault.delete(permit(Action.DELETE), "1.2.3.4").instances == 1
        assert vault.sweep() == 1
        assert vault.sweep() == 0
        assert objects(tmp_path) == []
