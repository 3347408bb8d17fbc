from pathlib import Path

import pytest

from leadglass.crypto.database import open_sealed, sealed_engine
from leadglass.errors import Misconfigured
from leadglass.vault.index.migrations import STEPS, migrate
from leadglass.vault.index.tables import METADATA

KEY = bytes(32)


def schema(path: Path) -> dict[str, object]:
    """Describe every table as SQLite understood it, however it was written."""
    connection = open_sealed(path, KEY)

    def ask(question: str) -> list[tuple[object, ...]]:
        return connection.execute(question).fetchall()

    described: dict[str, object] = {}
    for name, kind, without_rowid, sql in ask(
        "SELECT l.name, l.type, l.wr, m.sql FROM pragma_table_list l JOIN sqlite_master m ON m.name = l.name"
        " WHERE l.schema = 'main' AND l.name NOT LIKE 'sqlite%'"
    ):
        indices = {
            str(index): (unique, origin, ask(f"PRAGMA index_info('{index}')"))
            for _, index, unique, origin, _ in ask(f"PRAGMA index_list({name})")
        }
        described[str(name)] = (
            kind,
            without_rowid,
            "AUTOINCREMENT" in str(sql),
            ask(f"PRAGMA table_info({name})"),
            sorted(row[2:] for row in ask(f"PRAGMA foreign_key_list({name})")),
            sorted(indices.items()),
        )
    connection.close()
    return described


def test_the_migrated_schema_is_the_one_that_queries_see(tmp_path: Path) -> None:
    connection = open_sealed(tmp_path / "a.db", KEY, create=True)
    migrate(connection)
    connection.close()
    engine = sealed_engine(tmp_path / "b.db", KEY, create=True)
    METADATA.create_all(engine)
    engine.dispose()
    migrated, described = schema(tmp_path / "a.db"), schema(tmp_path / "b.db")
    assert set(migrated) == set(METADATA.tables)
    for table in METADATA.tables:
        assert migrated[table] == described[table], table


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
