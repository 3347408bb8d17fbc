"""On a disk that is really full nothing is acknowledged and lost, reading goes on, and deleting makes room."""

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.hostile.book import Book
from tests.hostile.images import image
from tests.hostile.plain import Lost, Plain
from tests.hostile.torture import AE_TITLE, Torture
from tests.peers.running import find_program, run

_MIB = 1 << 20
_DISK = 48 * _MIB
_FREE = 6 * _MIB
_ROOT = Path(__file__).parents[2]


def test_a_full_disk_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    """Run what is below on a small disk in memory, that only the test's own mount namespace sees."""
    unshare = find_program("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed, so no small disk can be mounted (apt-get install util-linux).")
    if run([unshare, "-rm", "mount", "-t", "tmpfs", "none", tmp_path]).code != 0:
        pytest.skip("This user may not make a mount namespace, so no small disk can be mounted.")
    script = f'mount -t tmpfs -o size={_DISK},mode=700 none "$0" && exec "$1" -m tests.hostile.test_full_disk "$0"'
    done = run([unshare, "-rm", "sh", "-c", script, tmp_path, sys.executable], cwd=_ROOT, timeout=240)
    assert done.code == 0, done.said


def _fill(torture: Torture, port: int, *, until: int = 3) -> int:
    """Send images of 300 kB until some in a row are refused; gives how many were acknowledged."""
    refused = stored = 0
    while refused < until:
        made = image(torture.draw, torture.study_uid(), 1, sizes=(300_000,))
        torture.book.sending(made)
        try:
            with Plain(port, AE_TITLE) as peer:
                status = peer.store(made.sop_instance_uid, made.data)
        except Lost:  # no record, no access: the audit log is full, too
            status = 0xA700
        torture.book.answered(made, status)
        assert status in {0, 0xA700}, f"C-STORE was answered with {status:04X}"
        refused = refused + 1 if status else 0
        stored += status == 0
    return stored


def _fill_by_web(torture: Torture, *, until: int = 3) -> int:
    """Send the same by STOW-RS, some in a request."""
    refused = stored = 0
    with torture.storer() as peer:
        while refused < until:
            made = [image(torture.draw, torture.study_uid(), 1, sizes=(300_000,)) for _ in range(4)]
            for each in made:
                torture.book.sending(each)
            statuses = peer.store(made)
            for each, status in zip(made, statuses, strict=True):
                torture.book.answered(each, status)
                assert status in {0, 0xA700}, f"STOW-RS was answered with {status:04X}"
            refused = refused + 1 if any(statuses) else 0
            stored += statuses.count(0)
    return stored


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _some(book: Book) -> str:
    return min(book.studies)


def _delete(torture: Torture) -> None:
    study_uid = _some(book := torture.book)
    said = json.loads(torture.lead.do("delete", "--study", study_uid, "--yes", "--json"))
    assert said["instances"] == 1
    book.forget(study_uid)


def _ballast(torture: Torture) -> Generator[Path]:
    """Give a file that takes all that is left of the disk, as another program would."""
    path = torture.folder / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (_MIB, 4_096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    yield path


def _kept_free(torture: Torture) -> None:
    """Senders fill the disk down to what has to stay free."""
    port = torture.serve()
    assert _fill(torture, port) > 20
    assert _FREE - 2 * _MIB < _free(torture.folder) < _FREE
    with Plain(port, AE_TITLE) as peer:
        (uid, digest) = next(iter(torture.book.promised(study := _some(torture.book)).items()))
        status, got = peer.get(study)
        assert (status, set(got)) == (0, {uid})
        assert torture.book.sent[uid] == {digest}
    for _ in range(6):
        _delete(torture)
    assert _fill_by_web(torture) >= 1, "after room was made it does not store again"
    assert _FREE - 2 * _MIB < _free(torture.folder) < _FREE
    torture.end()


def _nothing_free(torture: Torture) -> None:
    """Another program fills the rest: no record, no access; then there is room again."""
    port = torture.serve()
    for path in _ballast(torture):
        _fill(torture, port)
        _fill_by_web(torture)
        refused = torture.lead.cli("delete", "--study", _some(torture.book), "--yes")
        assert refused.code == 0 or "full" in refused.err.lower(), refused.said
        if refused.code == 0:
            torture.book.forget(_some(torture.book))
        path.unlink()
    for _ in range(4):
        _delete(torture)
    assert _fill_by_web(torture) >= 1, "after room was made it does not store again"
    torture.end()


def main(folder: Path) -> None:
    """Run on the small disk."""
    torture = Torture(folder, 99, web=True)
    try:
        torture.begin(f"[ingest]\nmin_free_bytes = {_FREE}\n[audit]\nwindow = 1.0\n")
        _kept_free(torture)
        torture.look(most=None)
        torture.end()
        _nothing_free(torture)
        torture.finish()
        (torture.data / "leadglass.toml").write_text("[ingest]\nmin_free_bytes = 0\n[audit]\nwindow = 1.0\n")
        port = torture.serve()
        _fill_by_web(torture)
        _fill(torture, port)  # to the last byte, index and audit log with it
        torture.kill()
        (torture.data / "leadglass.toml").write_text(f"[ingest]\nmin_free_bytes = {_FREE}\n")
        (folder / "serve.log").unlink()
        run(["mount", "-o", f"remount,size={_DISK + 4 * _MIB}", folder])
        torture.finish()
    finally:
        torture.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
