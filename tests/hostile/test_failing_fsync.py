"""When the disk refuses to sync, nobody hears of success; and what a failed sync dropped is not believed afterwards."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.hostile.images import Image, image
from tests.hostile.plain import Lost, Plain
from tests.hostile.shim import Disk, build
from tests.hostile.torture import AE_TITLE, Torture
from tests.peers.running import wait_until

REFUSED = {0x0110, 0xA700}
SMALL = (2_000, 70_000)


@pytest.fixture
def torture(tmp_path: Path) -> Generator[Torture]:
    """Give an archive that is killed at the end."""
    made = Torture(tmp_path / "archive", 77)
    made.folder.mkdir()
    made.begin()
    yield made
    made.close()


def images(torture: Torture, number: int) -> list[Image]:
    """Make images, each of a study of its own: every one needs a record of its own."""
    return [image(torture.draw, torture.study_uid(), 1, sizes=SMALL) for _ in range(number)]


def send(torture: Torture, port: int, made: list[Image]) -> list[int]:
    """Send images over one association; gives the statuses, and notes them in the book."""
    statuses: list[int] = []
    with let_in(port) as peer:
        for each in made:
            torture.book.sending(each)
            statuses.append(peer.store(each.sop_instance_uid, each.data))
            torture.book.answered(each, statuses[-1])
    return statuses


def let_in(port: int) -> Plain:
    """Associate; what lets in writes to the audit log too, and may be told to come again."""
    for _ in range(5):
        try:
            return Plain(port, AE_TITLE)
        except Lost:
            continue
    pytest.fail("Nobody is let in any more.")


@pytest.mark.parametrize("part", ["/objects/", "/index.db", "/audit.db"])
def test_nothing_is_acknowledged_while_syncs_fail_and_all_is_when_they_succeed_again(
    torture: Torture, tmp_path: Path, part: str
) -> None:
    disk = Disk(build(tmp_path), tmp_path, torture.data)
    torture.env = disk.settle()
    port = torture.serve()
    assert set(send(torture, port, images(torture, 5))) == {0}
    refused = images(torture, 12)
    with Plain(port, AE_TITLE) as peer, disk.failing(part):
        for each in refused:
            torture.book.sending(each)
            assert peer.store(each.sop_instance_uid, each.data) in REFUSED
    assert set(send(torture, port, refused)) == {0}
    # One failure in the middle of others, then a power cut: the syncs after it said nothing of what it dropped.
    for _ in range(2):
        disk.fail_once(part)
        made = images(torture, 8)
        statuses = send(torture, port, made)
        assert disk.has_failed()
        assert set(statuses) <= {0, *REFUSED}
        again = [each for each, status in zip(made, statuses, strict=True) if status]
        assert set(send(torture, port, again)) <= {0}
    torture.kill()
    torture.env = {}
    disk.cut(torture.draw, strict=True)
    torture.finish()


def test_the_server_goes_on_reading_while_objects_cannot_be_written(torture: Torture, tmp_path: Path) -> None:
    disk = Disk(build(tmp_path), tmp_path, torture.data)
    torture.env = disk.env
    port = torture.serve()
    (there,) = images(torture, 1)
    assert send(torture, port, [there]) == [0]
    with disk.failing("/objects/"), Plain(port, AE_TITLE) as peer:
        (new,) = images(torture, 1)
        torture.book.sending(new)
        assert peer.store(new.sop_instance_uid, new.data) in REFUSED
        assert peer.get(there.study_uid) == (0, {there.sop_instance_uid: there.data})
    wait_until(lambda: len(list((torture.data / "objects").glob("[!.]*/*"))) == 1, "what was refused is removed")
    torture.end()
    torture.env = {}
    torture.finish()
