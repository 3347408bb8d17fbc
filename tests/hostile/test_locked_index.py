"""While another process holds a lock for too long senders hear "busy", no threads pile up, and then all is well."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.hostile.checks import open_database
from tests.hostile.images import Image, image
from tests.hostile.plain import Lost, Plain
from tests.hostile.torture import AE_TITLE, Torture
from tests.peers.running import run

IMPATIENT = (
    sys.executable,
    "-c",
    "from leadglass.crypto import database; database.BUSY_TIMEOUT = 300; from leadglass.__main__ import main; main()",
)
"""Leadglass with 0.3 s of patience instead of ten."""

SENDERS = 24


@pytest.fixture
def torture(tmp_path: Path) -> Generator[Torture]:
    """Give an archive that is killed at the end."""
    made = Torture(tmp_path, 55, program=IMPATIENT)
    made.begin()
    yield made
    made.close()


@contextmanager
def locked(torture: Torture, name: str) -> Generator[None]:
    """Hold the write lock of a database, as a process that hangs in a transaction does."""
    connection = open_database(torture.data, name)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


def send(torture: Torture, port: int, made: Image) -> int:
    """Send one image over an association of its own; A700 when it is not let in for now."""
    torture.book.sending(made)
    try:
        with Plain(port, AE_TITLE) as peer:
            status = peer.store(made.sop_instance_uid, made.data)
    except Lost:
        status = 0xA700
    torture.book.answered(made, status)
    return status


def send_at_once(torture: Torture, port: int, images: list[Image]) -> list[int]:
    """Send images over as many associations at one time."""
    statuses: list[int] = []

    def send_one(made: Image) -> None:
        statuses.append(send(torture, port, made))

    threads = [Thread(target=send_one, args=(each,)) for each in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def threads_of(torture: Torture) -> int:
    """Give how many threads the server has."""
    return len(list(Path(f"/proc/{torture.server.pid}/task").iterdir()))


@pytest.mark.parametrize("name", ["index", "audit"])
def test_senders_hear_busy_while_a_database_is_locked_and_success_afterwards(torture: Torture, name: str) -> None:
    port = torture.serve()
    first, *images = [image(torture.draw, torture.study_uid(), 1, sizes=(2_000,)) for _ in range(SENDERS + 1)]
    assert send(torture, port, first) == 0
    assert set(send_at_once(torture, port, images[:4])) == {0}
    threads = threads_of(torture)
    with locked(torture, name):
        assert set(send_at_once(torture, port, images[4:])) == {0xA700}
        assert threads_of(torture) <= threads + 4, "threads pile up"
        if name == "index":
            with Plain(port, AE_TITLE) as peer:  # reading waits for no writer
                assert peer.get(first.study_uid) == (0, {first.sop_instance_uid: first.data})
    assert set(send_at_once(torture, port, images)) == {0}
    torture.end()
    torture.finish()


def test_who_is_enrolled_is_let_in_while_the_list_of_devices_is_locked(torture: Torture) -> None:
    port = torture.serve()
    with locked(torture, "identity"):
        assert send(torture, port, image(torture.draw, torture.study_uid(), 1, sizes=(2_000,))) == 0
        added = ["device", "add", "NEW", "--address", "127.0.0.1/32", "--allow", "echo", "--data", torture.data]
        done = run([*IMPATIENT, *added])
        assert done.code == 1
        assert "locked by another process" in done.err
    assert run([*IMPATIENT, *added]).code == 0
    torture.end()
    torture.finish()
