"""What has to be true of an archive after anything: all that was acknowledged, nothing half, nothing left over.

Rule: each look names what it found wrong; none mends anything. The index is read
by SQL of its own, and the files by listing the folder.
"""

from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from pydicom.dataset import Dataset

from leadglass.app import App
from leadglass.audit.event import Outcome
from leadglass.crypto.database import driver, open_sealed
from leadglass.crypto.sealed import CHUNK, TAG
from tests.hostile.book import Book
from tests.hostile.plain import Plain
from tests.keys import archive_key

_DRAFTS: Final = (".draft", ".new", ".tmp")


def open_database(data: Path, name: str) -> "driver.Connection":
    """Open one of the archive's databases beside it."""
    return open_sealed(data / f"{name}.db", archive_key(data).derive(f"{name} database"))


def check_folder(data: Path, book: Book) -> int:
    """Check index, objects, quarantine and audit log of a quiet archive against the book; gives its bytes.

    A study whose deletion was interrupted is either whole or gone; the book is told which.
    """
    with App().open(data) as opened:
        report = opened.archive.fsck(opened.caller, lambda done, total: None)
        assert report.faults == (), f"fsck: {report.faults[:5]}"
        verification = opened.audit.verify()
        assert verification.fault is None, f"audit verify: {verification.fault}"
        stored = {
            record.event.study_uid
            for record in opened.audit.records(action="store", outcome=Outcome.PERMITTED)
            if record.event.study_uid
        }
    size = _check_rows(data, book)
    without = book.studies.keys() - stored
    assert not without, f"{len(without)} studies were acknowledged and have no opening record"
    _check_leftovers(data)
    return size


def _check_rows(data: Path, book: Book) -> int:
    """Compare rows with the book, and files with rows."""
    connection = open_database(data, "index")
    try:
        rows = connection.execute(
            "SELECT t.study_uid, i.sop_instance_uid, i.digest, i.size, i.shelf, i.object FROM instance i"
            " JOIN series s ON s.id = i.series_id JOIN study t ON t.id = s.study_id"
        ).fetchall()
        aside = connection.execute("SELECT sop_instance_uid, digest, size, shelf, object FROM quarantine").fetchall()
        doomed = connection.execute("SELECT count(*) FROM doomed").fetchone()[0]
        empty = connection.execute(
            "SELECT (SELECT count(*) FROM study t WHERE NOT EXISTS (SELECT 1 FROM series WHERE study_id = t.id))"
            " + (SELECT count(*) FROM series s WHERE NOT EXISTS (SELECT 1 FROM instance WHERE series_id = s.id))"
        ).fetchone()[0]
    finally:
        connection.close()
    there = {uid: bytes(digest) for _, uid, digest, *_ in rows}
    _settle_deletions(book, {study for study, *_ in rows})
    missing = [uid for uid, digest in book.acknowledged.items() if there.get(uid) != digest]
    assert not missing, f"{len(missing)} acknowledged instances are missing or changed: {missing[:5]}"
    strange = [uid for uid, digest in there.items() if digest not in book.sent.get(uid, ())]
    assert not strange, f"{len(strange)} instances nobody sent: {strange[:5]}"
    lost = book.kept - {(uid, bytes(digest)) for uid, digest, *_ in aside}
    assert not lost, f"{len(lost)} instances said to be in quarantine are not"
    assert empty == 0, f"{empty} studies or series without an instance"
    assert doomed == 0, f"{doomed} deleted objects are still to be removed"
    wanted = {f"{shelf.hex()}/{name.hex()}": size for *_, size, shelf, name in [*rows, *aside]}
    objects = data / "objects"
    found = {str(path.relative_to(objects)): path.stat().st_size for path in objects.glob("[!.]*/*")}
    assert found.keys() == wanted.keys(), (
        f"files without rows: {sorted(found.keys() - wanted.keys())[:5]}, "
        f"rows without files: {sorted(wanted.keys() - found.keys())[:5]}"
    )
    overheads = {found[path] - size - max(1, -(-size // CHUNK)) * TAG for path, size in wanted.items()}
    assert len(overheads) <= 1, "some objects are larger or smaller than what they hold"
    return sum(found.values())


def _settle_deletions(book: Book, studies: set[str]) -> None:
    for study_uid in list(book.deleting):
        if study_uid in studies:
            book.deleting.discard(study_uid)
        else:
            book.forget(study_uid)


def _check_leftovers(data: Path) -> None:
    markers = sorted(path.name for path in (data / "objects" / ".open").iterdir())
    assert markers == [], f"markers of dead processes: {markers}"
    empty = [path.name for path in (data / "objects").glob("[!.]*") if not any(path.iterdir())]
    assert empty == [], f"empty shelves: {empty}"
    drafts = [path.name for path in data.rglob("*") if path.name.endswith(_DRAFTS)]
    assert drafts == [], f"drafts: {drafts}"


def check_door(port: int, ae_title: str, book: Book, draw: Random, *, most: int | None = 3) -> None:
    """Ask the open door: counts as in the index, and some studies (all for None) bit-exact."""
    with Plain(port, ae_title) as peer:
        keys = Dataset()
        keys.QueryRetrieveLevel = "STUDY"
        keys.StudyInstanceUID = ""
        keys.NumberOfStudyRelatedInstances = ""
        promised = {study_uid: book.promised(study_uid) for study_uid in list(book.studies)}
        status, found = peer.find(keys)
        assert status == 0, f"C-FIND ended with {status:04X}"
        counts = {str(each.StudyInstanceUID): int(each.NumberOfStudyRelatedInstances) for each in found}
        for study_uid, uids in promised.items():
            if not book.is_going(study_uid):
                assert counts.get(study_uid, 0) >= len(uids), f"C-FIND counts too few in {study_uid}"
        chosen = sorted(promised)
        for study_uid in chosen if most is None else draw.sample(chosen, min(most, len(chosen))):
            status, got = peer.get(study_uid)
            if book.is_going(study_uid):
                continue
            assert status == 0, f"C-GET ended with {status:04X}"
            digests = {uid: sha256(data).digest() for uid, data in got.items()}
            for uid, digest in promised[study_uid].items():
                assert digests.get(uid) == digest, f"{uid} does not come back as it was acknowledged"
            for uid, digest in digests.items():
                assert digest in book.sent[uid], f"{uid} comes back as nobody sent it"
