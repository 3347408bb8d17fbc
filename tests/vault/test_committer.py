import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from leadglass.crypto.database import driver, open_sealed
from leadglass.crypto.wrap import ArchiveKey, new_key
from leadglass.errors import Busy, NotHere
from leadglass.vault.aside import doom
from leadglass.vault.committer import Committer
from leadglass.vault.filing import Filing
from leadglass.vault.index.migrations import migrate
from leadglass.vault.keys import Keys
from leadglass.vault.objects import Place
from leadglass.vault.records import Caps

KEY = bytes(32)


def nothing(places: Collection[Place]) -> None:
    """Sync nothing."""


def sound(place: Place, key: bytes, size: int) -> bool:
    """Find nothing damaged."""
    return True


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    connection = open_sealed(tmp_path / "index.db", KEY, create=True)
    migrate(connection)
    made = Committer(Filing(connection, Keys(ArchiveKey(new_key())), Caps(10, 10_000), sound), nothing, limit=8)
    yield made
    made.close()


def doomed(folder: Path) -> int:
    connection = open_sealed(folder / "index.db", KEY)
    count = int(connection.execute("SELECT count(*) FROM doomed").fetchone()[0])
    connection.close()
    return count


def bury_nothing(filing: Filing) -> str:
    filing.bury([Place(bytes(6), bytes(16))])
    return "buried"


def test_what_a_job_gives_comes_back_after_the_commit(committer: Committer) -> None:
    assert committer.run(bury_nothing) == "buried"
    assert committer.batches.jobs == committer.batches.transactions == 1


def test_what_a_job_raises_comes_back_and_the_next_is_fine(committer: Committer) -> None:
    def missing(filing: Filing) -> None:
        raise NotHere("gone")

    with pytest.raises(NotHere, match="gone"):
        committer.run(missing)
    assert committer.run(bury_nothing) == "buried"


def test_a_job_that_fails_alone_leaves_nothing_and_tells_nothing_of_what_was_in_doubt(tmp_path: Path) -> None:
    connection = open_sealed(tmp_path / "index.db", KEY, create=True)
    migrate(connection)
    filing = Filing(connection, Keys(ArchiveKey(new_key())), Caps(10, 10_000), sound)
    committed: list[str] = []
    committer = Committer(filing, nothing, committed=lambda: committed.append("yes"))

    def failing(filing: Filing) -> None:
        doom(connection.execute, Place(bytes(6), bytes(16)))
        raise NotHere("gone")

    with pytest.raises(NotHere, match="gone"):
        committer.run(failing)
    assert committed == []
    assert doomed(tmp_path) == 0
    committer.run(lambda _: doom(connection.execute, Place(bytes(6), bytes(16))))
    assert committed == ["yes"]
    assert doomed(tmp_path) == 1
    committer.close()


def test_a_transaction_that_fails_as_it_begins_keeps_the_next_from_nothing(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Filing.begin

    def failing(filing: Filing, *, is_shared: bool = True) -> None:
        begin(filing, is_shared=is_shared)
        raise driver.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Filing, "begin", failing)
        with pytest.raises(driver.OperationalError, match="disk"):
            committer.run(bury_nothing)
    assert committer.run(bury_nothing) == "buried"


def test_many_threads_all_get_their_own_answer_and_no_batch_is_too_large(committer: Committer) -> None:
    answers: dict[int, int] = {}
    lock = threading.Lock()

    def work(number: int) -> None:
        for turn in range(20):

            def job(filing: Filing, value: int = number * 100 + turn) -> int:
                return value

            answer = committer.run(job)
            with lock:
                answers[number * 100 + turn] = answer

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {key: key for key in answers}
    assert len(answers) == committer.batches.jobs == 480
    assert 480 / 8 <= committer.batches.transactions <= 480


def test_those_who_come_during_a_commit_share_the_next(committer: Committer) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(filing: Filing) -> None:
        started.set()
        release.wait(10)

    first = threading.Thread(target=committer.run, args=(slow,))
    first.start()
    started.wait(10)
    others = [threading.Thread(target=committer.run, args=(bury_nothing,)) for _ in range(5)]
    for other in others:
        other.start()
    while len(committer._waiting) < 5:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.001)
    release.set()
    for thread in (first, *others):
        thread.join()
    assert (committer.batches.transactions, committer.batches.jobs) == (2, 6)


def test_one_who_is_interrupted_while_waiting_holds_nobody_up(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow(filing: Filing) -> None:
        started.set()
        release.wait(10)

    first = threading.Thread(target=committer.run, args=(slow,))
    first.start()
    started.wait(10)
    wait = threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread() and timeout is None:
            raise KeyboardInterrupt
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        committer.run(lambda filing: ran.append("never"))
    monkeypatch.undo()
    release.set()
    first.join()
    assert committer.run(bury_nothing) == "buried"
    assert ran == []


def test_a_closed_committer_refuses(committer: Committer) -> None:
    committer.close()
    committer.close()
    with pytest.raises(Busy):
        committer.run(bury_nothing)


def test_a_failing_job_undoes_only_itself(committer: Committer, tmp_path: Path) -> None:
    def doom_and_fail(filing: Filing) -> None:
        filing._execute("INSERT INTO doomed VALUES (x'01', x'01')")  # pyright: ignore[reportPrivateUsage]
        raise NotHere("no")

    def doom(filing: Filing) -> None:
        filing._execute("INSERT INTO doomed VALUES (x'02', x'02')")  # pyright: ignore[reportPrivateUsage]

    committer.run(doom)
    with pytest.raises(NotHere):
        committer.run(doom_and_fail)
    assert doomed(tmp_path) == 1
