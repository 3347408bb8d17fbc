from pathlib import Path

import pytest

from leadglass.crypto.database import driver, open_sealed
from leadglass.crypto.wrap import ArchiveKey
from leadglass.errors import Misconfigured
from leadglass.vault.index.migrations import STEPS, migrate
from tests.vault.sets import instance, opened, store

KEY = bytes(32)


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    connection = open_sealed(tmp_path / "a.db", KEY, create=True)
    migrate(connection)
    migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    assert not connection.in_transaction


def test_an_index_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    connection = open_sealed(tmp_path / "a.db", KEY, create=True)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(Misconfigured, match="newer"):
        migrate(connection)
    assert not connection.in_transaction


def test_what_lists_of_studies_need_is_filled_in_for_what_was_there_before(tmp_path: Path) -> None:
    def kept(connection: "driver.Connection") -> list[object]:
        return [
            connection.execute("SELECT name FROM study ORDER BY id").fetchall(),
            connection.execute("SELECT * FROM study_term ORDER BY word, study_id").fetchall(),
            connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall(),
        ]

    with opened(tmp_path) as vault:
        for number, name in enumerate(("Müller^Hans", "", "Yamada^Tarou=山田^太郎")):
            uid = f"1.{number}"
            store(vault, instance(StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", PatientName=name))
    connection = open_sealed(tmp_path / "index.db", ArchiveKey.load(tmp_path / "archive.key").derive("index database"))
    before = kept(connection)
    for statement in (
        "DROP INDEX study_by_name", "DROP INDEX series_by_modality", "DROP TABLE study_term",
        "ALTER TABLE study DROP COLUMN name", "PRAGMA user_version = 4",
    ):  # fmt: skip
        connection.execute(statement)
    migrate(connection)
    assert kept(connection) == before
    connection.close()
