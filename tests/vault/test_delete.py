import os
from pathlib import Path

import pytest

from leadglass.archive.backroom import Deleted, Resolution
from leadglass.errors import Conflict, Denied, NotHere
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.committer import Committer
from leadglass.vault.objects import Objects, Place
from leadglass.vault.vault import Vault
from tests.callers import permit
from tests.vault.sets import contents, instance, located, objects, opened, store

DELETE = permit(Action.DELETE)


def wrapped_key(vault: Vault, study_uid: str) -> bytes:
    with vault._parts.reading.connected() as connection:  # pyright: ignore[reportPrivateUsage]
        return connection.execute("SELECT key FROM study WHERE study_uid = ?", (study_uid,)).fetchone()[0]


def test_a_deleted_study_is_gone_with_its_files_and_the_others_stay(vault: Vault, tmp_path: Path) -> None:
    sizes = [store(vault, instance()).size for _ in range(3)]
    other = instance(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1")
    store(vault, other)
    assert vault.delete(DELETE, "1.2.3.4") == Deleted(1, 3, sum(sizes))
    assert located(vault) == []
    assert vault.facts(permit(Action.FIND), "1.2.3.4") is None
    assert contents(vault, "1.9") == [other]
    assert len(objects(tmp_path)) == 1


def test_what_quarantine_holds_of_a_deleted_study_goes_with_it(vault: Vault, tmp_path: Path) -> None:
    first = instance(SOPInstanceUID="1.2.3.4.1.77")
    second = instance(SOPInstanceUID="1.2.3.4.1.77", StudyDescription="Abdomen")
    other = instance(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1")
    changed = instance(
        StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1", StudyDescription="Abdomen"
    )
    for data in (first, other):
        store(vault, data)
    for data in (second, changed):
        with pytest.raises(Conflict):
            store(vault, data)
    assert vault.delete(DELETE, "1.2.3.4") == Deleted(1, 1, len(first) + len(second), quarantined=1)
    assert [kept.study_uid for kept in vault.quarantined(permit(Action.RESOLVE))] == ["1.9"]
    assert len(objects(tmp_path)) == 2


def test_another_patients_image_under_a_deleted_studys_uid_stays_in_quarantine(vault: Vault, tmp_path: Path) -> None:
    mine, theirs = (
        instance(SOPInstanceUID="1.2.3.4.1.77", StudyDescription="Abdomen", PatientID="P2"),
        instance(SOPInstanceUID="1.2.3.4.1.78", PatientID="P1"),
    )
    store(vault, instance(SOPInstanceUID="1.2.3.4.1.77", PatientID="P2"))
    for data in (mine, theirs):
        with pytest.raises(Conflict):
            store(vault, data)
    may = permit(Action.DELETE, scope=Scope.patients("P2"))
    assert vault.delete(may, "1.2.3.4").quarantined == 1
    resolve = permit(Action.RESOLVE)
    (kept,) = vault.quarantined(resolve)
    assert kept.patient_id == "P1"
    assert vault.quarantined(permit(Action.RESOLVE, scope=Scope.patients("P2"))) == []
    assert vault.fsck(permit(Action.VERIFY), lambda done, total: None).faults == ()
    vault.resolve(resolve, kept.number, Resolution.ACCEPT)
    assert contents(vault) == [theirs]
    assert len(objects(tmp_path)) == 1


def test_a_located_instance_of_a_deleted_study_is_not_here(vault: Vault) -> None:
    store(vault, instance())
    (record,) = located(vault)
    vault.delete(DELETE, "1.2.3.4")
    with pytest.raises(NotHere):
        vault.open(permit(Action.GET), record)
    with pytest.raises(NotHere):
        vault.metadata(permit(Action.GET), record)


def test_a_reader_that_is_open_reads_to_its_end(vault: Vault) -> None:
    data = instance()
    store(vault, data)
    (record,) = located(vault)
    with vault.open(permit(Action.GET), record) as reader:
        vault.delete(DELETE, "1.2.3.4")
        assert reader.read_at(0, reader.size) == data


def test_a_deleted_study_can_be_sent_again_and_has_another_key(vault: Vault) -> None:
    data = instance()
    store(vault, data)
    before = wrapped_key(vault, "1.2.3.4")
    vault.delete(DELETE, "1.2.3.4")
    store(vault, data)
    assert contents(vault) == [data]
    assert wrapped_key(vault, "1.2.3.4") != before


def test_what_is_not_here_and_what_is_not_yours_give_the_same_answer(vault: Vault) -> None:
    store(vault, instance())
    with pytest.raises(NotHere) as not_here:
        vault.delete(DELETE, "1.9")
    with pytest.raises(NotHere) as not_yours:
        vault.delete(permit(Action.DELETE, scope=Scope.where(Field.STUDY, "1.9")), "1.2.3.4")
    assert not_here.value.message == not_yours.value.message
    assert len(located(vault)) == 1


def test_a_permit_for_something_else_deletes_nothing(vault: Vault) -> None:
    store(vault, instance())
    with pytest.raises(Denied):
        vault.delete(permit(Action.STORE), "1.2.3.4")
    assert len(located(vault)) == 1


def test_the_log_is_emptied_so_that_the_key_is_not_left_in_it(vault: Vault, tmp_path: Path) -> None:
    store(vault, instance())
    vault.delete(DELETE, "1.2.3.4")
    # What follows the truncation is the removal from the list of the doomed: one small transaction.
    assert (tmp_path / "index.db-wal").stat().st_size < 100_000
    with vault._parts.reading.connected() as connection:  # pyright: ignore[reportPrivateUsage]
        assert connection.execute("SELECT count(*) FROM doomed").fetchone() == (0,)


def test_a_deletion_that_was_cut_short_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as vault:
        for _ in range(3):
            store(vault, instance())

        def killed(objects: Objects, place: Place) -> None:
            raise KeyboardInterrupt(place)

        monkeypatch.setattr(Objects, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            vault.delete(DELETE, "1.2.3.4")
        assert located(vault) == []
        assert len(objects(tmp_path)) == 3
    monkeypatch.undo()
    with opened(tmp_path):
        assert objects(tmp_path) == []


def test_a_file_that_cannot_be_removed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(os.strerror(16))

    with opened(tmp_path) as vault:
        store(vault, instance())
        monkeypatch.setattr(Path, "unlink", busy)
        vault.delete(DELETE, "1.2.3.4")
        assert len(objects(tmp_path)) == 1
        monkeypatch.undo()
        assert vault.sweep() == 1
        assert objects(tmp_path) == []
        assert vault.sweep() == 0


def test_a_log_that_cannot_be_emptied_does_not_hinder_the_deletion_and_is_tried_again(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(committer: Committer) -> bool:
        return False

    store(vault, instance())
    monkeypatch.setattr(Committer, "truncate_log", blocked)
    vault.delete(DELETE, "1.2.3.4")
    assert located(vault) == []
    assert objects(tmp_path) == []
    monkeypatch.undo()
    assert vault.sweep() == 1
    assert vault.sweep() == 0
