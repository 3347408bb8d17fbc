from pathlib import Path

import pytest

from leadglass.crypto.database import open_sealed
from leadglass.errors import Misconfigured
from leadglass.vault.index.migrations import STEPS, migrate

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
