"""Healing: what is sent again takes the place of a damaged copy, and no good copy is let go for a bad one."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from leadglass.archive.backroom import Kept, Resolution, Stored
from leadglass.crypto.database import open_sealed
from leadglass.crypto.sealed import SealedWriter
from leadglass.crypto.wrap import ArchiveKey, new_key
from leadglass.errors import Busy, Conflict, Corrupt, Denied
from leadglass.policy.action import Action
from leadglass.policy.permit import decide
from leadglass.policy.scope import Field, Scope
from leadglass.vault.vault import INDEX_FILE, Vault
from tests.callers import device, permit
from tests.vault.sets import contents, data_set, encoded, instance, located, objects, opened, store

FINDS = decide(device("CT1", Action.STORE, Action.FIND), Action.STORE)
"""Who stores and may find what stands there, and so hears in what it is contradicted."""

RESOLVE = permit(Action.RESOLVE)
UID = "1.2.3.4.1.77"
LARGE: dict[str, object] = {"Rows": 400, "Columns": 400, "PixelData": bytes(320_000)}


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def cut_by_a_chunk(path: Path) -> None:
    os.truncate(path, 24 + 65_536 + 16)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def flip_the_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def flip_a_byte_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def seal_with_another_key(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_TRUNC)
    writer = SealedWriter(file, new_key(), bytes.fromhex(path.name))
    writer.write(b"something else")
    writer.finish()
    os.close(file)


def make_a_folder_of_it(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Callable[[Path], None]] = [
    remove,
    empty,
    cut,
    cut_by_a_chunk,
    grow,
    flip_the_last_byte,
    flip_a_byte_in_the_middle,
    seal_with_another_key,
]


def faults(vault: Vault) -> list[str]:
    return [fault.what for fault in vault.fsck(permit(Action.VERIFY), lambda done, total: None).faults]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("attributes", [{}, LARGE], ids=["one chunk", "several chunks"])
def test_what_is_sent_again_takes_the_place_of_a_damaged_object(
    tmp_path: Path, damage: Callable[[Path], None], attributes: dict[str, object]
) -> None:
    data = instance(**attributes)
    with opened(tmp_path) as vault:
        store(vault, data)
        (before,) = located(vault)
        (path,) = objects(tmp_path)
        damage(path)
        receipt = store(vault, data, origin="CT2")
        assert receipt.outcome is Stored.HEALED
        assert any("damaged" in warning for warning in receipt.warnings)
        assert contents(vault) == [data]
        assert located(vault) == [before]
        assert objects(tmp_path) != [path]
        assert len(objects(tmp_path)) == 1
        assert store(vault, data).outcome is Stored.ALREADY_HERE
        assert faults(vault) == []
    with opened(tmp_path) as vault:
        assert contents(vault) == [data]
        assert faults(vault) == []
        assert len(objects(tmp_path)) == 1


def test_a_damaged_object_that_cannot_be_removed_is_replaced_and_left_to_the_next_sweep(tmp_path: Path) -> None:
    data = instance()
    with opened(tmp_path) as vault:
        store(vault, data)
        (path,) = objects(tmp_path)
        make_a_folder_of_it(path)
        assert store(vault, data).outcome is Stored.HEALED
        assert contents(vault) == [data]
        path.rmdir()
        path.write_bytes(b"left behind")
    with opened(tmp_path) as vault:
        assert not path.exists()
        assert contents(vault) == [data]
        assert faults(vault) == []


def test_other_content_does_not_take_the_place_of_a_damaged_object(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    objects(tmp_path)[0].unlink()
    with pytest.raises(Conflict, match="cannot be read to compare"):
        store(vault, instance(SOPInstanceUID=UID, StudyID="S2"), may=FINDS)
    assert faults(vault) == ["missing object"]


def test_the_same_content_in_another_encoding_does_not_either(vault: Vault, tmp_path: Path) -> None:
    made = data_set()
    store(vault, encoded(made))
    objects(tmp_path)[0].unlink()
    with pytest.raises(Conflict, match="cannot be read to compare"):
        store(vault, encoded(made, "1.2.840.10008.1.2"), syntax="1.2.840.10008.1.2", may=FINDS)


def test_who_may_not_store_into_the_study_heals_nothing(vault: Vault, tmp_path: Path) -> None:
    data = instance()
    store(vault, data)
    objects(tmp_path)[0].unlink()
    with pytest.raises(Denied):
        store(vault, data, may=permit(Action.STORE, scope=Scope.where(Field.STUDY, "1.9")))
    assert faults(vault) == ["missing object"]
    assert objects(tmp_path) == []


@pytest.mark.parametrize("spoil", ["UPDATE instance SET key = randomblob(61)", "UPDATE study SET key = randomblob(61)"])
def test_a_row_whose_key_does_not_open_is_corrupt_and_never_a_success(tmp_path: Path, spoil: str) -> None:
    data = instance()
    with opened(tmp_path) as vault:
        store(vault, data)
    key = ArchiveKey.load(tmp_path / "archive.key")
    connection = open_sealed(tmp_path / INDEX_FILE, key.derive("index database"))
    connection.execute(spoil)
    connection.close()
    with opened(tmp_path) as vault:
        with pytest.raises(Corrupt):
            store(vault, data)
        assert len(objects(tmp_path)) == 1


def test_when_nothing_can_be_opened_it_is_busy_and_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = instance()
    with opened(tmp_path) as vault:
        store(vault, data)
        before = objects(tmp_path)
        real = os.open

        def too_many(path: "str | Path", flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if Path(path) == before[0]:
                raise OSError(errno.EMFILE, "Too many open files")
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", too_many)
        with pytest.raises(Busy):
            store(vault, data)
        monkeypatch.undo()
        assert objects(tmp_path) == before
        assert store(vault, data).outcome is Stored.ALREADY_HERE


# --- several at once ----------------------------------------------------------


def test_of_many_that_heal_at_once_one_does_and_the_others_are_already_here(tmp_path: Path) -> None:
    data = instance()
    with opened(tmp_path) as one, opened(tmp_path) as two, ThreadPoolExecutor(8) as pool:
        store(one, data)
        for _ in range(5):
            objects(tmp_path)[0].unlink()
            receipts = list(pool.map(store, [one, two] * 4, [data] * 8))
            assert sorted(receipt.outcome for receipt in receipts) == [Stored.ALREADY_HERE] * 7 + [Stored.HEALED]
            assert contents(one) == contents(two) == [data]
            assert len(objects(tmp_path)) == 1
        assert faults(one) == []


def test_what_was_deleted_while_it_was_looked_at_is_stored_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = instance()
    with opened(tmp_path) as one, opened(tmp_path) as two:
        store(one, data)

        def deleted_meanwhile(*_: object) -> bool:
            two.delete(permit(Action.DELETE), "1.2.3.4")
            return False

        monkeypatch.setattr("leadglass.vault.incoming.is_sound", deleted_meanwhile)
        assert store(one, data).outcome is Stored.STORED
        assert contents(two) == [data]
        assert faults(one) == []


# --- killed between two steps -------------------------------------------------

HEALER = """
import os, signal, sys
from pathlib import Path
from leadglass.vault.filing import Filing
from leadglass.vault.objects import Objects
from tests.vault.sets import opened, store

folder, step = Path(sys.argv[1]), sys.argv[2]
with opened(folder) as vault:
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    finish = Filing.finish
    def finish_and_die(filing):
        finish(filing)
        die()
    def bring_down():
        match step:
            case "before the transaction": Filing.file_or_heal = die
            case "before it is committed": Filing.finish = die
            case "after it is committed": Filing.finish = finish_and_die
            case "before the old object is removed": Objects.remove = die
    from leadglass.vault import incoming
    is_sound = incoming.is_sound
    def looked(*args):
        bring_down()
        return is_sound(*args)
    incoming.is_sound = looked
    store(vault, (folder / "data").read_bytes())
"""


@pytest.mark.parametrize("damage", [remove, cut])
@pytest.mark.parametrize(
    ("step", "is_healed"),
    [
        ("before the transaction", False),
        ("before it is committed", False),
        ("after it is committed", True),
        ("before the old object is removed", True),
    ],
)
def test_a_healer_that_is_killed_leaves_either_copy_and_nothing_else(
    tmp_path: Path, step: str, is_healed: bool, damage: Callable[[Path], None]
) -> None:
    data = instance()
    (tmp_path / "data").write_bytes(data)
    with opened(tmp_path) as vault:
        store(vault, data)
        damage(objects(tmp_path)[0])
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEALER, str(tmp_path), step], cwd=Path(__file__).parents[2], check=False
    )
    assert killed.returncode == -9
    with opened(tmp_path) as vault:
        assert len(objects(tmp_path)) == (1 if is_healed or damage is cut else 0)
        assert bool(faults(vault)) is not is_healed
        assert store(vault, data).outcome is (Stored.ALREADY_HERE if is_healed else Stored.HEALED)
        assert contents(vault) == [data]
        assert len(objects(tmp_path)) == 1
        assert faults(vault) == []


def test_a_commit_in_doubt_leaves_both_objects_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = instance()
    with opened(tmp_path) as vault:
        store(vault, data)
        (path,) = objects(tmp_path)
        cut(path)

        def failing(*_: object) -> NoReturn:
            raise Corrupt("The disk failed.")

        store_first = vault._parts.committer._filing.file_or_heal  # pyright: ignore[reportPrivateUsage]

        def heal_then_fail(*args: object) -> object:
            monkeypatch.setattr("leadglass.vault.filing.Filing.finish", failing)
            return store_first(*args)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(vault._parts.committer._filing, "file_or_heal", heal_then_fail)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Corrupt, match="The disk failed"):
            store(vault, data)
        monkeypatch.undo()
        assert len(objects(tmp_path)) == 2
    with opened(tmp_path) as vault:
        assert objects(tmp_path) == [path]
        assert store(vault, data).outcome is Stored.HEALED
        assert contents(vault) == [data]


# --- quarantine ---------------------------------------------------------------


def kept_aside(vault: Vault, data: bytes) -> Kept:
    with pytest.raises(Conflict):
        store(vault, data)
    return vault.quarantined(RESOLVE)[-1]


def stored_and_kept(vault: Vault, folder: Path) -> tuple[bytes, Kept, Path]:
    """Have the same instance stored and in quarantine; gives it, its row there and the file that is stored."""
    second = instance(SOPInstanceUID=UID, StudyInstanceUID="1.9")
    store(vault, instance(SOPInstanceUID=UID))
    kept = kept_aside(vault, second)
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    (aside,) = objects(folder)
    store(vault, second)
    (stored,) = (path for path in objects(folder) if path != aside)
    return second, kept, stored


@pytest.mark.parametrize("damage", DAMAGES)
def test_accepting_what_is_stored_already_heals_the_stored_copy_when_it_is_damaged(
    vault: Vault, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data, kept, stored = stored_and_kept(vault, tmp_path)
    damage(stored)
    assert "damaged" in vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [data]
    assert vault.quarantined(RESOLVE) == []
    assert len(objects(tmp_path)) == 1
    assert faults(vault) == []


def test_accepting_a_damaged_instance_is_refused_and_the_stored_copy_stays(vault: Vault, tmp_path: Path) -> None:
    data, kept, stored = stored_and_kept(vault, tmp_path)
    (aside,) = (path for path in objects(tmp_path) if path != stored)
    aside.unlink()
    with pytest.raises(Corrupt):
        vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [data]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_kept_again_takes_the_place_of_a_damaged_copy_in_quarantine(
    vault: Vault, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store(vault, instance(SOPInstanceUID=UID))
    (first,) = objects(tmp_path)
    second = instance(SOPInstanceUID=UID, StudyID="S2")
    kept = kept_aside(vault, second)
    (aside,) = (path for path in objects(tmp_path) if path != first)
    damage(aside)
    assert kept_aside(vault, second) == kept
    assert faults(vault) == []
    vault.resolve(RESOLVE, kept.number, Resolution.ACCEPT)
    assert contents(vault) == [second]
    assert len(objects(tmp_path)) == 2


def test_what_is_swapped_out_is_kept_when_its_twin_in_quarantine_is_damaged(vault: Vault, tmp_path: Path) -> None:
    second, third = (instance(SOPInstanceUID=UID, StudyInstanceUID="1.9", StudyID=f"S{n}") for n in range(2))
    store(vault, instance(SOPInstanceUID=UID))
    before = set(objects(tmp_path))
    twin = kept_aside(vault, second)
    (aside,) = set(objects(tmp_path)) - before
    other = kept_aside(vault, third)
    vault.delete(permit(Action.DELETE), "1.2.3.4")
    store(vault, second)
    aside.unlink()
    vault.resolve(RESOLVE, other.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [third]
    assert vault.quarantined(RESOLVE) == [twin]
    assert faults(vault) == []
    vault.resolve(RESOLVE, twin.number, Resolution.ACCEPT)
    assert contents(vault, "1.9") == [second]
