import os
from pathlib import Path

import pytest

from leadglass.crypto.database import SealedReaders, driver, open_sealed, translating
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
        SealedReaders(path, bytes(32))
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
    with SealedReaders(path, KEY).reading() as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value


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


def test_readers_see_what_is_committed_and_cannot_write(path: Path) -> None:
    writer = made(path)
    readers = SealedReaders(path, KEY)
    writer.execute("INSERT INTO thing VALUES ('kept', NULL)")
    with readers.reading() as connection:
        assert connection.execute("SELECT name FROM thing").fetchall() == [("kept",)]
        writer.execute("INSERT INTO thing VALUES ('later', NULL)")
        assert len(connection.execute("SELECT name FROM thing").fetchall()) == 1
    with readers.reading() as connection:
        assert len(connection.execute("SELECT name FROM thing").fetchall()) == 2
    with pytest.raises(driver.OperationalError, match="readonly"), readers.reading() as connection:
        connection.execute("DELETE FROM thing")
    readers.close()


def test_a_reader_that_failed_is_not_used_again_and_no_more_are_kept_than_wanted(path: Path) -> None:
    made(path).close()
    readers = SealedReaders(path, KEY, kept=1)
    with readers.reading() as first, readers.reading() as second:
        assert first is not second
    with readers.reading() as again:
        assert again is second
    with pytest.raises(driver.ProgrammingError):
        first.execute("SELECT 1")
    with pytest.raises(driver.OperationalError), readers.reading() as connection:
        connection.execute("SELECT nothing")
    with readers.reading() as connection:
        assert connection is not second
    with readers.reading() as held:
        readers.close()
    with pytest.raises(driver.ProgrammingError):
        held.execute("SELECT 1")


def test_what_is_closed_says_no_version_because_it_would_count_anew(path: Path) -> None:
    made(path).close()
    readers = SealedReaders(path, KEY)
    assert readers.version() == readers.version()
    readers.close()
    with pytest.raises(Busy):
        readers.version()
