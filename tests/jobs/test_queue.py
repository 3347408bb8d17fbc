"""The queue of background work: durable before anything is promised, patient, and forgetful of what is over."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.errors import Busy, Conflict, Misconfigured, NotHere
from leadglass.jobs.pace import Pace
from leadglass.jobs.queue import JOBS_FILE, KEPT, NOTE_LENGTH, JobKind, JobState, Queue

KEY = b"k" * 32
COMMITMENT = JobKind.COMMITMENT


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path / JOBS_FILE, KEY) as opened:
        yield opened


def add(
    queue: Queue, name: str = "1.2", owner: str = "CT1", *, mark: bytes = b"m", now: float = 0.0, most: int = 9
) -> bool:
    return queue.add(COMMITMENT, owner, name, b"the work", mark, now=now, until=now + 100.0, most=most)


def only(queue: Queue) -> int:
    (job,) = queue.list(COMMITMENT, closed=True)
    return job.number


def test_what_was_put_in_is_there_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom leadglass.jobs.queue import JobKind, Queue\n"
        "queue = Queue(Path(sys.argv[1]), b'k' * 32)\n"
        "queue.add(JobKind.COMMITMENT, 'CT1', '1.2', b'the work', b'm', now=0.0, until=100.0, most=9)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / JOBS_FILE
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    with Queue(path, KEY) as queue:
        assert queue.work(only(queue)) == (b"the work", b"")


def test_the_file_says_nothing_and_opens_with_its_key_only(tmp_path: Path) -> None:
    path = tmp_path / JOBS_FILE
    with Queue(path, KEY) as queue:
        add(queue, "1.2.840.99.88.77", "MODALITY7")
    for file in tmp_path.iterdir():
        assert b"1.2.840.99" not in file.read_bytes()
        assert b"MODALITY7" not in file.read_bytes()
    with pytest.raises(Misconfigured):
        Queue(path, b"x" * 32)


def test_the_same_again_is_one_and_another_of_its_name_a_conflict(queue: Queue) -> None:
    assert add(queue)
    assert not add(queue)
    with pytest.raises(Conflict):
        add(queue, mark=b"other")
    assert add(queue, owner="CT2", mark=b"other")


def test_an_owner_has_so_many_open_and_no_more(queue: Queue) -> None:
    assert add(queue, "1", most=2)
    assert add(queue, "2", most=2)
    with pytest.raises(Busy):
        add(queue, "3", most=2)
    assert add(queue, "3", "CT2", most=2)
    queue.close_job(1, JobState.DONE, "", 1.0)
    assert add(queue, "3", most=2)


def test_an_attempt_counts_before_it_is_made_and_puts_the_next_off(queue: Queue) -> None:
    add(queue)
    assert queue.due(COMMITMENT, 0.0) == ({"CT1": 1}, None)
    assert queue.begin(1, 0.0, 30.0).attempts == 1
    assert queue.due(COMMITMENT, 29.9) == ({}, 30.0)
    assert queue.due(COMMITMENT, 30.0) == ({"CT1": 1}, None)
    assert queue.begin(1, 30.0, 60.0).attempts == 2


def test_each_owner_has_one_turn_and_the_one_that_is_due_longest_is_first(queue: Queue) -> None:
    add(queue, "1", "CT1", now=5.0)
    add(queue, "2", "CT1", now=3.0)
    add(queue, "3", "CT2", now=4.0)
    add(queue, "4", "CT3", now=50.0)
    assert queue.due(COMMITMENT, 10.0) == ({"CT1": 2, "CT2": 3}, 50.0)
    assert queue.due(COMMITMENT, 10.0, {"CT1", "CT3"}) == ({"CT2": 3}, None)


def test_what_is_over_is_not_worked_on_and_its_work_is_forgotten(queue: Queue) -> None:
    add(queue)
    queue.note(1, "no connection", b"found")
    assert queue.work(1) == (b"the work", b"found")
    queue.close_job(1, JobState.GIVEN_UP, "x" * 1_000, 7.0)
    assert queue.work(1) == (b"", b"")
    assert queue.due(COMMITMENT, 1_000.0) == ({}, None)
    with pytest.raises(NotHere):
        queue.begin(1, 8.0, 1.0)
    (job,) = queue.list(COMMITMENT)
    assert (job.state, job.closed, len(job.note)) == (JobState.GIVEN_UP, 7.0, NOTE_LENGTH)


def test_what_was_done_is_listed_on_request_until_it_is_swept(queue: Queue) -> None:
    add(queue, "1")
    add(queue, "2")
    queue.close_job(1, JobState.DONE, "", 10.0)
    assert [job.name for job in queue.list(COMMITMENT)] == ["2"]
    queue.sweep(KEPT)
    assert [job.name for job in queue.list(COMMITMENT, closed=True)] == ["1", "2"]
    queue.sweep(KEPT + 11.0)
    assert [job.name for job in queue.list(COMMITMENT, closed=True)] == ["2"]


def test_one_that_is_over_makes_room_for_another_of_its_name(queue: Queue) -> None:
    add(queue)
    queue.close_job(1, JobState.DONE, "", 1.0)
    assert add(queue, mark=b"other", now=2.0)
    (job,) = queue.list(COMMITMENT, closed=True)
    assert (job.state, job.asked) == (JobState.OPEN, 2.0)


def test_an_owners_jobs_can_be_hastened(queue: Queue) -> None:
    add(queue, "1")
    add(queue, "2", "CT2")
    queue.begin(1, 0.0, 60.0)
    queue.begin(2, 0.0, 60.0)
    assert queue.hasten(COMMITMENT, "CT1", 5.0) == 1
    assert queue.due(COMMITMENT, 5.0) == ({"CT1": 1}, 60.0)


def test_what_is_asked_of_a_closed_queue_is_asked_too_late(queue: Queue) -> None:
    queue.close()
    queue.close()
    with pytest.raises(Busy):
        add(queue)
    with pytest.raises(Busy):
        queue.list(COMMITMENT)


def test_many_threads_put_in_what_all_is_there(queue: Queue) -> None:
    def put(owner: str) -> None:
        for number in range(10):
            add(queue, str(number), owner, most=10)

    threads = [threading.Thread(target=put, args=(f"CT{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue.list(COMMITMENT)) == 40


@settings(deadline=None)
@given(first=st.floats(0.1, 86_400), most=st.floats(1, 86_400), attempts=st.integers(0, 1_000_000))
def test_pauses_grow_up_to_the_longest_and_never_shrink(first: float, most: float, attempts: int) -> None:
    pace = Pace(first, most, 1.0)
    assert 0 < pace.pause(attempts) <= pace.pause(attempts + 1) <= most
