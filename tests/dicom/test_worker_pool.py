import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.dicom.worker_pool import WorkerPool
from leadglass.errors import BadInput, Busy, Corrupt

_ECHO = """
import json, os, sys, time
from leadglass.dicom.worker_pipe import limit, serve

def work(header, stream):
    job = json.loads(header)
    data = stream.read(job["length"])
    if job.get("sleep"):
        time.sleep(job["sleep"])
    if job.get("die"):
        sys.exit(3)
    if job.get("swell"):
        bytearray(job["swell"])
    if job.get("write"):
        os.write(os.open(job["write"], os.O_CREAT | os.O_WRONLY), b"x")
    if job.get("lie"):
        sys.stdout.buffer.write((4).to_bytes(4, "big") + (1 << 40).to_bytes(8, "big") + b"oops")
        sys.stdout.buffer.flush()
    return b"did " + data, [data, data]

limit(int(sys.argv[1]))
serve(sys.stdin.buffer, sys.stdout.buffer, work)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "echoing_worker.py").write_text(_ECHO, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return "echoing_worker"


@pytest.fixture
def pool(module: str) -> Iterator[WorkerPool]:
    made = WorkerPool(module, workers=1, deadline=20, memory_bytes=1 << 30, most_bytes=1 << 20)
    yield made
    made.close()


def _header(data: bytes, **more: object) -> bytes:
    return json.dumps({"length": len(data), **more}).encode()


def _do(pool: WorkerPool, data: bytes = b"work", **more: object) -> tuple[bytes, bytes]:
    return pool.run(_header(data, **more), [data])


def test_a_job_is_done_and_answered_whole(pool: WorkerPool) -> None:
    assert _do(pool) == (b"did work", b"workwork")
    data = os.urandom(300_000)
    assert _do(pool, data) == (b"did " + data, data + data)


def test_a_worker_that_dies_costs_its_own_job_only(pool: WorkerPool) -> None:
    with pytest.raises(BadInput, match="died"):
        _do(pool, die=True)
    assert _do(pool) == (b"did work", b"workwork")


def test_a_job_past_its_deadline_is_ended_and_its_worker_replaced(module: str) -> None:
    hasty = WorkerPool(module, workers=1, deadline=1.5, memory_bytes=1 << 30, most_bytes=1 << 20)
    try:
        with pytest.raises(Busy, match="longer than is allowed"):
            _do(hasty, sleep=60)
        with pytest.raises(Busy, match="longer than is allowed"):
            _do(hasty, sleep=60)
    finally:
        hasty.close()


def test_an_answer_longer_than_is_taken_is_not_read(pool: WorkerPool) -> None:
    with pytest.raises(BadInput, match="died"):
        _do(pool, lie=True)
    assert _do(pool) == (b"did work", b"workwork")
    with pytest.raises(BadInput, match="died"):
        _do(pool, bytes(1 << 20))


def test_a_worker_has_no_more_memory_than_it_is_given_and_writes_no_file(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="died"):
        _do(pool, swell=2 << 30)
    with pytest.raises(BadInput, match="died"):
        _do(pool, write=str(tmp_path / "written"))
    assert (tmp_path / "written").read_bytes() == b""


def test_when_the_data_cannot_be_read_the_next_job_is_not_given_its_half(pool: WorkerPool) -> None:
    def damaged() -> Iterator[bytes]:
        yield b"wo"
        raise Corrupt("A stored object is damaged.")

    with pytest.raises(Corrupt):
        pool.run(_header(b"work"), damaged())
    assert _do(pool, b"next") == (b"did next", b"nextnext")


def test_a_closed_pool_does_nothing_more(pool: WorkerPool) -> None:
    _do(pool)
    pool.close()
    with pytest.raises(Busy, match="shutting down"):
        _do(pool)


def test_one_callers_many_jobs_do_not_stand_before_anothers_one(pool: WorkerPool) -> None:
    done: list[str] = []
    running, may_go = threading.Event(), threading.Event()

    def held() -> Iterator[bytes]:
        running.set()
        may_go.wait(30)
        yield b"work"

    def run(who: str) -> None:
        pool.run(_header(b"work"), [b"work"], who)
        done.append(who)

    first = threading.Thread(target=lambda: pool.run(_header(b"work"), held(), "greedy"))
    first.start()
    assert running.wait(30)
    crowd = [threading.Thread(target=run, args=("greedy",)) for _ in range(6)]
    for thread in crowd:
        thread.start()
    _wait_for(pool, 6)
    others = [threading.Thread(target=run, args=(who,)) for who in ("modest", "humble")]
    for thread in others:
        thread.start()
    _wait_for(pool, 8)
    may_go.set()
    for thread in (first, *crowd, *others):
        thread.join(60)
    assert set(done[:2]) == {"modest", "humble"}
    assert len(done) == 8


def _wait_for(pool: WorkerPool, count: int) -> None:
    for _ in range(3000):
        if pool.waiting == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def test_a_worker_killed_between_two_jobs_is_replaced(pool: WorkerPool) -> None:
    _do(pool)
    for child in _children(os.getpid()):
        os.kill(child, signal.SIGKILL)
    for _ in range(2):
        try:
            answer = _do(pool)
        except BadInput:  # it died under this very job
            continue
        assert answer == (b"did work", b"workwork")


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                status = (entry / "status").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"PPid:\t{parent}\n" in status and b"echoing_worker" in command:
                found.append(int(entry.name))
    return found
