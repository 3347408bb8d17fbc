"""The sequence of changes: without a gap, in the order of commits, and for each caller only what is its own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadglass.archive.backroom import Resolution
from leadglass.archive.changed import Change, ChangeKind
from leadglass.crypto.database import open_sealed
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.matching import Level
from leadglass.errors import BadInput, Conflict
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit, decide
from leadglass.policy.scope import Field, Scope
from leadglass.vault import changes as vault_changes
from leadglass.vault.vault import Vault
from tests.callers import device, permit
from tests.vault.sets import instance, opened, store
from tests.vault.test_find import asking
from tests.vault.test_listing import listed, uids

ALL = permit(Action.FIND)
NEW, STORED, REMOVED = ChangeKind.STUDY_NEW, ChangeKind.INSTANCE_STORED, ChangeKind.INSTANCE_REMOVED
CHANGED, DELETED = ChangeKind.STUDY_CHANGED, ChangeKind.STUDY_DELETED


def of(study: str, number: int = 1, **more: object) -> bytes:
    return instance(
        StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", SOPInstanceUID=f"{study}.1.{number}", **more
    )


def read(vault: Vault, may: Permit = ALL, since: str = "", limit: int = 3) -> list[Change]:
    """Read to the end, a few at a time."""
    found: list[Change] = []
    while True:
        page = vault.changes(may, since, limit)
        assert len(page.entries) <= limit
        found += page.entries
        since = page.next
        if page.is_last:
            return found


def told(entries: list[Change]) -> list[tuple[ChangeKind, str, str]]:
    return [(each.kind, each.study_uid, each.sop_instance_uid) for each in entries]


def test_what_happens_is_numbered_without_a_gap(vault: Vault) -> None:
    store(vault, of("1.1"))
    store(vault, of("1.1", 2))
    store(vault, of("1.1", 2))  # the same again is no change
    store(vault, of("1.2"))
    vault.delete(permit(Action.DELETE), "1.1")
    entries = read(vault)
    assert told(entries) == [
        (NEW, "1.1", ""), (STORED, "1.1", "1.1.1.1"), (STORED, "1.1", "1.1.1.2"),
        (NEW, "1.2", ""), (STORED, "1.2", "1.2.1.1"), (DELETED, "1.1", ""),
    ]  # fmt: skip
    assert [each.sequence for each in entries] == [1, 2, 3, 4, 5, 6]
    assert [each.cursor for each in entries] == ["1", "2", "3", "4", "5", "6"]


def test_who_goes_on_hears_nothing_twice_and_misses_nothing(vault: Vault) -> None:
    store(vault, of("1.1"))
    page = vault.changes(ALL, "", 1)
    assert (page.next, page.is_last) == ("1", False)
    page = vault.changes(ALL, page.next, 10)
    assert (told(list(page.entries)), page.next, page.is_last) == ([(STORED, "1.1", "1.1.1.1")], "2", True)
    assert vault.changes(ALL, page.next, 10).entries == ()
    store(vault, of("1.1", 2))
    assert told(list(vault.changes(ALL, page.next, 10).entries)) == [(STORED, "1.1", "1.1.1.2")]


def test_now_is_after_everything_that_was(vault: Vault) -> None:
    store(vault, of("1.1"))
    page = vault.changes(ALL, vault_changes.NOW, 10)
    assert (page.entries, page.next, page.is_last) == ((), "2", True)


def test_a_transaction_that_fails_leaves_no_number(vault: Vault) -> None:
    store(vault, of("1.1"))
    with pytest.raises(Conflict):
        store(vault, of("1.1", 1, StudyDescription="another"))
    with pytest.raises(Conflict):
        store(vault, of("1.1", 2, PatientID="somebody else"))
    store(vault, of("1.1", 3))
    assert [each.sequence for each in read(vault)] == [1, 2, 3]


def test_who_replaces_an_instance_changes_twice(vault: Vault) -> None:
    store(vault, of("1.1"))
    with pytest.raises(Conflict):
        store(vault, of("1.1", 1, StudyDescription="another"))
    (kept,) = vault.quarantined(permit(Action.RESOLVE))
    vault.resolve(permit(Action.RESOLVE), kept.number, Resolution.ACCEPT)
    assert told(read(vault))[2:] == [
        (REMOVED, "1.1", "1.1.1.1"), (DELETED, "1.1", ""), (NEW, "1.1", ""), (STORED, "1.1", "1.1.1.1"),
    ]  # fmt: skip


def test_an_identity_that_is_filled_in_is_a_change(vault: Vault) -> None:
    store(vault, of("1.1", 1, PatientID=None))
    store(vault, of("1.1", 2, PatientID="4711"))
    assert [kind for kind, *_ in told(read(vault))] == [NEW, STORED, CHANGED, STORED]


def test_many_at_once_are_numbered_in_the_order_of_commits(vault: Vault) -> None:
    heard: list[Change] = []
    with ThreadPoolExecutor(8) as pool:
        stored = [pool.submit(store, vault, of(f"1.{number % 7}", number)) for number in range(60)]
        cursor = ""
        while not all(each.done() for each in stored):
            page = vault.changes(ALL, cursor, 5)
            heard += page.entries
            cursor = page.next
    heard += read(vault, since=cursor)
    assert [each.sequence for each in heard] == list(range(1, 68))
    assert sum(each.kind is STORED for each in heard) == 60


# --- whose they are -------------------------------------------------------------


SCOPES: dict[str, Scope] = {
    "source": Scope.where(Field.SOURCE, "MR1"),
    "patient": Scope.where(Field.PATIENT, "0815"),
    "study": Scope.where(Field.STUDY, "1.2"),
    "patient without an issuer": Scope.patients("0815"),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
def test_a_caller_hears_of_its_studies_and_of_no_other(vault: Vault, scope: Scope) -> None:
    may = permit(Action.FIND, scope=scope)
    for number in range(5):
        store(vault, of("1.1", number))
        store(vault, of("1.2", number, PatientID="0815"), origin="MR1")
    seen = read(vault, may)
    assert told(seen) == [(NEW, "1.2", "")] + [(STORED, "1.2", f"1.2.1.{number}") for number in range(5)]
    vault.delete(permit(Action.DELETE), "1.1")
    vault.delete(permit(Action.DELETE), "1.2")
    assert told(read(vault, may, seen[-1].cursor)) == [(DELETED, "1.2", "")]


def test_who_may_see_a_patient_hears_of_no_other_of_the_same_id(vault: Vault) -> None:
    store(vault, of("1.1", PatientID="0815", IssuerOfPatientID="HOSPA"))
    store(vault, of("1.2", PatientID="0815", IssuerOfPatientID="HOSPB"))
    for study in ("1.1", "1.2"):
        vault.delete(permit(Action.DELETE), study)
    for scope, heard in (
        (Scope.patients("0815", issuer="HOSPB"), [(DELETED, "1.2", "")]),
        (Scope.patients("0815"), []),
        (Scope.where(Field.PATIENT, "0815"), [(DELETED, "1.1", ""), (DELETED, "1.2", "")]),
    ):
        assert told(read(vault, permit(Action.FIND, scope=scope))) == heard


def test_a_scope_of_nothing_hears_nothing(vault: Vault) -> None:
    store(vault, of("1.1"))
    vault.delete(permit(Action.DELETE), "1.1")
    assert read(vault, permit(Action.FIND, scope=Scope.where(Field.LABEL, "none"))) == []


def test_nobody_learns_from_a_number_how_much_happens_elsewhere(vault: Vault) -> None:
    may = permit(Action.FIND, scope=SCOPES["source"])
    for number in range(5):
        store(vault, of("1.1", number))
    store(vault, of("1.2"), origin="MR1")
    page = vault.changes(may, "", 1)
    assert all(each.sequence is None for each in page.entries)
    assert not page.next.isdecimal()
    assert vault.changes(may, "", 1).next != page.next  # not even whether something happened between
    for cursor in (
        "3",
        page.next[:8] + ("B" if page.next[8] == "A" else "A") + page.next[9:],
        "x",
        "é",
        "9" * 30,
        "-1",
    ):
        with pytest.raises(BadInput, match="since"):
            vault.changes(may, cursor, 1)


def test_a_cursor_is_its_callers_alone(vault: Vault) -> None:
    store(vault, of("1.2"), origin="MR1")
    mine = permit(Action.FIND, scope=SCOPES["source"])
    cursor = vault.changes(mine, "", 1).next
    other = _permit_of("OTHER")
    with pytest.raises(BadInput, match="since"):
        vault.changes(other, cursor, 1)
    assert len(vault.changes(mine, cursor, 5).entries) == 1


def _permit_of(name: str) -> Permit:
    return decide(device(name, Action.FIND, scope=SCOPES["source"]), Action.FIND)


def test_a_cursor_from_before_a_restore_is_refused(vault: Vault) -> None:
    store(vault, of("1.1"))
    with pytest.raises(BadInput, match="restored"):
        vault.changes(ALL, "3", 1)


def test_one_call_looks_at_so_many_and_no_more(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_changes, "_SCANNED", 4)
    for number in range(9):
        store(vault, of("1.1", number))
    store(vault, of("1.2"), origin="MR1")
    may = permit(Action.FIND, scope=SCOPES["source"])
    page = vault.changes(may, "", 5)
    assert (page.entries, page.is_last) == ((), False)
    assert told(read(vault, may)) == [(NEW, "1.2", ""), (STORED, "1.2", "1.2.1.1")]


def rows_of(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """Look into the index itself."""
    connection = open_sealed(folder / "index.db", _key(folder))
    try:
        return [tuple(row) for row in connection.execute(statement)]
    finally:
        connection.close()


def _key(folder: Path) -> bytes:
    return ArchiveKey.load(folder / "archive.key").derive("index database")


def test_no_patient_is_in_what_is_kept_of_a_deleted_study(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, of("1.1", PatientID="VERY-SECRET"), origin="CT-ORIGIN")
        vault.delete(permit(Action.DELETE), "1.1")
    rows = rows_of(tmp_path, "SELECT * FROM change")
    assert len(rows) == 3
    assert "SECRET" not in str(rows)
    assert "ORIGIN" not in str(rows)


# --- what was there before -------------------------------------------------------


def _downgrade(path: Path, key: bytes) -> None:
    """Make the index as it was before changes were numbered."""
    connection = open_sealed(path, key)
    for statement in (
        "DROP TABLE change", "DROP TABLE secret", "DROP TABLE study_word", "DROP TABLE study_referrer",
        "DROP INDEX study_by_name", "DROP INDEX series_by_modality", "DROP TABLE study_term",
        "ALTER TABLE study DROP COLUMN name", "DROP INDEX study_by_newest", "DROP INDEX series_counted",
        "ALTER TABLE study DROP COLUMN newest", "ALTER TABLE series DROP COLUMN series_number",
        "DROP INDEX quarantine_counted", "ALTER TABLE quarantine DROP COLUMN submitted",
        "PRAGMA user_version = 1",
    ):  # fmt: skip
        connection.execute(statement)
    connection.close()


def test_an_archive_from_before_gets_its_numbers_its_order_and_its_words(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        store(vault, of("1.1", StudyDate="20250101", SeriesNumber=7))
        store(vault, of("1.2", StudyDate="20260101", PatientName="Müller^Jörg", ReferringPhysicianName="Doe^Jane^^Dr."))
        store(vault, of("1.1", 2))
        before = listed(vault, asking(Level.SERIES, {"SeriesNumber": None}))
    _downgrade(tmp_path / "index.db", _key(tmp_path))
    with opened(tmp_path) as vault:
        assert told(read(vault)) == [
            (NEW, "1.1", ""), (NEW, "1.2", ""),
            (STORED, "1.1", "1.1.1.1"), (STORED, "1.2", "1.2.1.1"), (STORED, "1.1", "1.1.1.2"),
        ]  # fmt: skip
        assert all(each.moment > 1_700_000_000 for each in read(vault))
        assert listed(vault, asking(Level.SERIES, {"SeriesNumber": None})) == before
        assert uids(listed(vault, asking(Level.STUDY, {}))) == ["1.2", "1.1"]
        assert uids(listed(vault, asking(Level.STUDY, {"PatientName": "mueller"}, fuzzy=True))) == ["1.2"]
        referrals = permit(Action.FIND, scope=Scope.where(Field.REFERRER, "doe^jane"))
        assert uids(list(vault.find(referrals, asking(Level.STUDY, {})))) == ["1.2"]
        assert rows_of(tmp_path, "SELECT series_number FROM series ORDER BY id") == [(7,), (1,)]
        store(vault, of("1.3"))
        assert read(vault)[-1].sequence == 7
