import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.archive.backroom import Declared, FsckReport
from leadglass.errors import Conflict, Corrupt, Denied
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import EXPLICIT, content, instance, located, objects, opened, store

VERIFY = permit(Action.VERIFY)


def checked(vault: Vault) -> FsckReport:
    return vault.fsck(VERIFY, lambda done, total: None)


def faults(vault: Vault) -> list[str]:
    return sorted(fault.what for fault in checked(vault).faults)


def test_a_sound_vault_has_no_fault_and_says_how_far_it_is(vault: Vault) -> None:
    sizes = [store(vault, instance(SeriesInstanceUID=f"1.{i}", NumberOfFrames=2, Rows=4)).size for i in range(5)]
    told: list[tuple[int, int]] = []
    report = vault.fsck(VERIFY, lambda done, total: told.append((done, total)))
    assert report == FsckReport(5, sum(sizes), ())
    assert told == [(i, 5) for i in range(6)]


def test_an_empty_vault_is_sound(vault: Vault) -> None:
    assert checked(vault) == FsckReport(0, 0, ())


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": flipped,
    "cut": lambda data: data[:-3],
    "cut at a chunk": lambda data: data[: 24 + 65_552],
    "grown": lambda data: data + b"\0" * 40,
    "emptied": lambda data: b"",
    "another header": lambda data: data[:8] + bytes(16) + data[24:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_object_is_found_by_reading_and_by_fsck(
    vault: Vault, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store(vault, instance(Rows=400, Columns=400, PixelData=os.urandom(320_000), PatientID="HIDDEN"))
    store(vault, instance(SeriesInstanceUID="1.2", PatientID="HIDDEN"))
    (path,) = (path for path in objects(tmp_path) if path.stat().st_size > 300_000)
    path.write_bytes(damage(path.read_bytes()))
    (record,) = (record for record in located(vault) if record.size > 300_000)
    with pytest.raises(Corrupt):
        content(vault, record)
    (fault,) = checked(vault).faults
    assert fault.what == "object fails authentication"
    assert record.sop_instance_uid in fault.where
    assert "HIDDEN" not in fault.where + fault.remedy
    assert "Restore" in fault.remedy


def test_two_objects_that_changed_places_are_found(vault: Vault, tmp_path: Path) -> None:
    for _ in range(2):
        store(vault, instance())
    one, two = objects(tmp_path)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    for record in located(vault):
        with pytest.raises(Corrupt):
            content(vault, record)
    assert faults(vault) == ["object fails authentication"] * 2


def test_a_missing_object_is_found(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance())
    objects(tmp_path)[0].unlink()
    with pytest.raises(Corrupt, match="missing"):
        content(vault, located(vault)[0])
    assert faults(vault) == ["missing object"]


def test_an_object_without_a_row_is_found(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, instance())
    (path,) = objects(tmp_path)
    orphan = path.with_name("ab" * 16)
    orphan.write_bytes(path.read_bytes())
    with opened(tmp_path) as vault:
        (fault,) = checked(vault).faults
        assert fault.what == "orphan object"
        assert f"{orphan.parent.name}/{orphan.name}" in fault.where


def test_what_is_on_its_way_in_is_no_orphan(vault: Vault) -> None:
    incoming = vault.receive(permit(Action.STORE), Declared(EXPLICIT))
    incoming.write(instance())
    assert faults(vault) == []
    incoming.abort()


def test_a_damaged_object_in_quarantine_is_found(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance(SOPInstanceUID="1.7"))
    before = set(objects(tmp_path))
    with pytest.raises(Conflict):
        store(vault, instance(SOPInstanceUID="1.7", StudyID="S2"))
    (path,) = set(objects(tmp_path)) - before
    path.write_bytes(flipped(path.read_bytes()))
    (fault,) = checked(vault).faults
    assert (fault.what, fault.where) == ("object fails authentication", "quarantine number 1")
    path.unlink()
    assert faults(vault) == ["missing object"]


ROWS = {
    "index is damaged": "UPDATE series SET instances = 5",
    "digest differs": "UPDATE instance SET digest = x'00'",
    "size differs": "UPDATE instance SET size = size + 1",
    "row is damaged": "UPDATE instance SET key = x'00'",
    "frame table differs": "UPDATE instance SET frames = NULL",
    "row names another instance than its object": "UPDATE series SET series_uid = '1.99'",
}


def damage(vault: Vault, *statements: str) -> None:
    """Change rows behind the vault's back."""
    with vault._parts.reading.connected() as connection:  # pyright: ignore[reportPrivateUsage]
        connection.execute("PRAGMA query_only = OFF")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(("what", "statement"), ROWS.items(), ids=ROWS.keys())
def test_a_row_that_does_not_fit_its_object_is_found(vault: Vault, what: str, statement: str) -> None:
    store(vault, instance())
    damage(vault, statement)
    assert faults(vault) == [what]


def test_a_row_that_no_series_holds_is_found_and_what_it_stands_in_the_way_of_is_not_said_to_be_stored(
    vault: Vault, tmp_path: Path
) -> None:
    sent = instance()
    store(vault, sent)
    store(vault, instance(SeriesInstanceUID="1.2.3.4.2"))
    damage(
        vault,
        "COMMIT",  # within a transaction it would stay as it is
        "PRAGMA foreign_keys = OFF",
        "DELETE FROM series WHERE series_uid = '1.2.3.4.1'",
        "PRAGMA foreign_keys = ON",
        "BEGIN",
    )
    (fault, *_) = (fault for fault in checked(vault).faults if "instance" in fault.where)
    assert (fault.what, fault.where) == ("index is damaged", "rows of instance that belong to no series: 1")
    before = set(objects(tmp_path))
    with pytest.raises(Corrupt, match="fsck"):
        store(vault, sent)
    assert set(objects(tmp_path)) == before


def test_a_study_key_moved_to_another_study_does_not_open_it(vault: Vault) -> None:
    store(vault, instance())
    store(vault, instance(StudyInstanceUID="1.9"))
    damage(vault, "UPDATE study SET key = (SELECT key FROM study WHERE study_uid = '1.9')")
    assert faults(vault) == ["row is damaged"]


def test_only_what_the_permit_covers_is_read(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance())
    store(vault, instance(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"))
    for path in objects(tmp_path):
        path.unlink()
    may = permit(Action.VERIFY, scope=Scope.where(Field.STUDY, "1.9"))
    report = vault.fsck(may, lambda done, total: None)
    assert report.instances == 1
    assert len(report.faults) == 1
    assert "1.2.3.4" not in report.faults[0].where


def test_a_permit_for_something_else_checks_nothing(vault: Vault) -> None:
    with pytest.raises(Denied):
        vault.fsck(permit(Action.GET), lambda done, total: None)
