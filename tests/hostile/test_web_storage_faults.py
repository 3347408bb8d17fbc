"""When a disk refuses, is full, or a database is locked, STOW-RS says so; what it called stored is there."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.hostile.images import Image, image
from tests.hostile.shim import Disk, build
from tests.hostile.storer import BUSY
from tests.hostile.test_failing_fsync import REFUSED, SMALL
from tests.hostile.test_locked_index import IMPATIENT, locked
from tests.hostile.torture import Torture


@pytest.fixture
def torture(tmp_path: Path) -> Generator[Torture]:
    """Give an archive whose web door will be open, that is killed at the end."""
    made = Torture(tmp_path / "archive", 78, web=True, program=IMPATIENT)
    made.folder.mkdir()
    made.begin()
    yield made
    made.close()


def images(torture: Torture, number: int) -> list[Image]:
    """Make images, each of a study of its own: every one needs a record of its own."""
    return [image(torture.draw, torture.study_uid(), 1, sizes=SMALL) for _ in range(number)]


def send(torture: Torture, made: list[Image]) -> list[int]:
    """Send images in one request; gives the statuses, and notes them in the book."""
    for each in made:
        torture.book.sending(each)
    with torture.storer() as peer:
        statuses = peer.store(made)
    for each, status in zip(made, statuses, strict=True):
        torture.book.answered(each, status)
    return statuses


def test_a_request_whose_instances_cannot_be_synced_says_so_and_what_was_stored_survives(
    torture: Torture, tmp_path: Path
) -> None:
    disk = Disk(build(tmp_path), tmp_path, torture.data)
    torture.env = disk.settle()
    torture.serve()
    assert set(send(torture, images(torture, 5))) == {0}
    for part in ("/objects/", "/index.db", "/audit.db"):
        refused = images(torture, 12)
        with disk.failing(part):
            assert set(send(torture, refused)) <= REFUSED
        assert set(send(torture, refused)) == {0}
        disk.fail_once(part)
        made = images(torture, 8)
        statuses = send(torture, made)
        assert disk.has_failed()
        assert set(statuses) <= {0, *REFUSED}
        again = [each for each, status in zip(made, statuses, strict=True) if status]
        assert not again or set(send(torture, again)) == {0}
    torture.kill()
    torture.env = {}
    disk.cut(torture.draw, strict=True)
    torture.finish()


def test_a_request_hears_busy_while_a_database_is_locked_and_success_afterwards(torture: Torture) -> None:
    torture.serve()
    assert send(torture, images(torture, 1)) == [0]
    for name in ("index", "audit"):
        made = images(torture, 10)
        with locked(torture, name):
            assert set(send(torture, made)) == {BUSY}
        assert set(send(torture, made)) == {0}
    torture.end()
    torture.finish()
