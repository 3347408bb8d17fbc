import os
from pathlib import Path

import pytest
from sqlalchemy import text

from leadglass.crypto.database import driver, open_sealed, sealed_engine, translating
from leadglass.errors import BadInput, Busy, Corrupt, Full, Misconfigured

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


def made(path: Path) -> "driver.Connection":
    connection = open_sealed(path, KEY, create=True)
    connection.execute("CREATE TABLE thing (name TEXT, data BLOB)")
    return connection


def test_what_is_committed_is_there_after_reopening(path: Path) -> None:
    connection = made(path)
    connection.execute("INSERT INTO thing VALUES ('Doe^Jane', NULL)")
    connection.close()
    assert open_sealed(path, KEY).execute("SELECT name FROM thing").fetchall() == [("Doe^Jane",)]


def test_no_file_of_it_shows_what_it_holds_or_that_it_is_a_database(path: Path) -> None:
    connection = made(path)
    connection.execute("INSERT INTO thing VALUES ('Doe^Jane', NULL)")
    for file in path.parent.iterdir():
        held = file.read_bytes()
        assert b"Doe^Jane" not in held
        assert b"CREATE TABLE" not in held
        assert b"SQLite format" not in held
    connection.close()


def test_its_files_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        connection = made(path)
        assert {file.name for file in path.parent.iterdir()} == {"some.db", "some.db-wal", "some.db-shm"}
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
        connection.close()
    finally:
        os.umask(before)


def test_a_database_that_others_may_read_is_refused(path: Path) -> None:
    made(path).close()
    path.chmod(0o640)
    with pytest.raises(Misconfigured, match="0600"):
        open_sealed(path, KEY)


def test_another_key_is_refused_with_a_sentence(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made(path).close()
    with pytest.raises(Misconfigured, match="Put back the key file"):
        open_sealed(path, bytes(32))
    with pytest.raises(Misconfigured, match="Put back the key file"):
        sealed_engine(path, bytes(32))
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(os.urandom(8192))
    path.chmod(0o600)
    with pytest.raises(Misconfigured):
        open_sealed(path, KEY)


def test_a_missing_database_is_made_only_when_told(path: Path) -> None:
    with pytest.raises(Misconfigured, match="not there"):
        open_sealed(path, KEY)
    assert not path.exists()


def test_a_key_of_another_length_is_refused(path: Path) -> None:
    with pytest.raises(BadInput):
        open_sealed(path, KEY[:16], create=True)


def test_a_changed_page_is_found(path: Path) -> None:
    connection = made(path)
    connection.executemany("INSERT INTO thing VALUES (?, ?)", [("a", os.urandom(3000)) for _ in range(50)])
    connection.close()
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 + 2000] ^= 1
    path.write_bytes(data)
    connection = open_sealed(path, KEY)
    with pytest.raises(Corrupt), translating("some.db"):
        connection.execute("SELECT sum(length(data)) FROM thing").fetchall()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1), ("temp_store", 2)],
)
def test_it_is_durable_checked_and_overwritten(path: Path, pragma: str, value: object) -> None:
    assert made(path).execute(f"PRAGMA {pragma}").fetchone()[0] == value
    with sealed_engine(path, KEY).connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


def test_a_lock_is_busy(path: Path) -> None:
    one, other = made(path), open_sealed(path, KEY)
    other.execute("PRAGMA busy_timeout = 10")
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy), translating("some.db"):
        other.execute("BEGIN IMMEDIATE")


def test_a_full_disk_is_full(path: Path) -> None:
    connection = made(path)
    connection.execute("PRAGMA max_page_count = 10")
    with pytest.raises(Full), translating("some.db"):
        connection.execute("INSERT INTO thing VALUES ('a', ?)", (bytes(100_000),))


def test_an_error_of_ours_is_not_dressed_up(path: Path) -> None:
    with pytest.raises(driver.OperationalError), translating("some.db"):
        made(path).execute("SELECT nothing")


def test_the_engine_commits_and_undoes(path: Path) -> None:
    made(path).close()
    engine = sealed_engine(path, KEY)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO thing VALUES ('kept', NULL)"))
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("INSERT INTO thing VALUES ('undone', NULL)"))
        transaction.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM thing")).scalars().all() == ["kept"]
    engine.dispose()


def test_an_immediate_transaction_takes_the_lock_at_once(path: Path) -> None:
    other = made(path)
    other.execute("PRAGMA busy_timeout = 10")
    engine = sealed_engine(path, KEY)
    with (
        engine.connect().execution_options(immediate=True) as connection,
        connection.begin(),
        pytest.raises(Busy),
        translating("some.db"),
    ):
        other.execute("BEGIN IMMEDIATE")
    engine.dispose()
