"""Checking: fsck re-reads everything that the index speaks of, and looks for what it does not speak of.

Rule: it changes nothing; each fault says what the operator can do.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from leadglass.archive.backroom import Fault, FsckReport
from leadglass.crypto.sealed import SealedReader
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.ingest import describe
from leadglass.errors import Corrupt, LeadglassError
from leadglass.policy.permit import Permit
from leadglass.policy.scope import Scope
from leadglass.vault.index import packed
from leadglass.vault.keys import object_identity
from leadglass.vault.objects import Place
from leadglass.vault.parts import Parts
from leadglass.vault.reading import KeptWhole, Whole

_BLOCK: Final = 1 << 20

_RESTORE: Final = "Restore this object from a backup, or delete the study and have it sent again."
_RESTORE_INDEX: Final = "Restore the index from a backup; the objects themselves can stay."
_REPORT: Final = "Nothing is lost. Send it again, or report this: the reader of this version sees it otherwise."


def fsck(parts: Parts, permit: Permit, progress: Callable[[int, int], None]) -> FsckReport:
    """Re-read every instance in the permit's scope; with the whole archive in scope also index, shelves, quarantine."""
    faults: list[Fault] = []
    count = octets = 0
    total = parts.reading.count(permit)
    progress(0, total)
    for whole in parts.reading.every_instance(permit):
        faults += _check_instance(parts, whole)
        count += 1
        octets += whole.size
        progress(count, total)
    faults += [fault for item in parts.reading.quarantined(permit) for fault in _check_kept(parts, item)]
    if permit.scope.clauses >= Scope.everything().clauses:
        faults += _check_shelves(parts)
        faults += [Fault("index is damaged", said, _RESTORE_INDEX) for said in parts.reading.check()]
    return FsckReport(count, octets, tuple(faults))


def _check_instance(parts: Parts, whole: Whole) -> list[Fault]:
    where = f"study {whole.study_uid}, series {whole.series_uid}, instance {whole.sop_instance_uid}"
    try:
        key = parts.keys.study(whole.study_key, whole.study_uid).unwrap(
            whole.key, object_identity(whole.place, whole.sop_instance_uid)
        )
        packed.unpack(whole.attributes)
        table = FrameTable.from_bytes(whole.frames) if whole.frames is not None else None
    except Corrupt as error:
        return [Fault("row is damaged", f"{where}: {error.message}", _RESTORE_INDEX)]
    try:
        with _opened(parts, whole.place, key) as reader:
            faults = _check_object(reader, whole.size, whole.digest, where)
            if not faults:
                faults = _check_content(parts, reader, whole, table, where)
    except _Missing:
        return [Fault("missing object", f"{where}, object {whole.place}", _RESTORE)]
    except Corrupt:
        return [Fault("object fails authentication", f"{where}, object {whole.place}", _RESTORE)]
    return faults


def _check_object(reader: SealedReader, size: int, digest: bytes, where: str) -> list[Fault]:
    """Read all of it: every chunk is authenticated on the way."""
    if reader.size != size:
        return [Fault("size differs", where, _RESTORE)]
    hashed = sha256()
    for offset in range(0, size, _BLOCK):
        hashed.update(reader.read_at(offset, _BLOCK))
    return [Fault("digest differs", where, _RESTORE)] if hashed.digest() != digest else []


def _check_content(
    parts: Parts, reader: SealedReader, whole: Whole, table: FrameTable | None, where: str
) -> list[Fault]:
    try:
        described = describe(reader, whole.transfer_syntax_uid, parts.settings.limits)
    except Corrupt:
        raise
    except LeadglassError as error:
        return [Fault("data set cannot be read", f"{where}: {error.message}", _REPORT)]
    here = (whole.study_uid, whole.series_uid, whole.sop_instance_uid, whole.sop_class_uid)
    there = (described.study_uid, described.series_uid, described.sop_instance_uid, described.sop_class_uid)
    faults = [Fault("row names another instance than its object", where, _RESTORE_INDEX)] if here != there else []
    if table is not None and not _is_within(table, whole.size):
        faults.append(Fault("frame lies outside of its object", where, _REPORT))
    if table != described.frames:
        faults.append(Fault("frame table differs", where, _REPORT))
    return faults


def _is_within(table: FrameTable, size: int) -> bool:
    """Say whether every frame is inside of the object; what was inflated cannot be told from its size."""
    if table.is_inflated:
        return True
    return all(
        0 <= offset <= offset + length <= size
        for frame in range(1 if table.layout is Layout.STREAM else table.number_of_frames)
        for offset, length in table.parts(frame)
    )


def _check_kept(parts: Parts, item: KeptWhole) -> list[Fault]:
    where = f"quarantine number {item.kept.number}"
    remedy = "Discard it, and have it sent again."
    try:
        key = parts.keys.quarantine.unwrap(item.key, object_identity(item.place, item.kept.sop_instance_uid))
        with _opened(parts, item.place, key) as reader:
            found = _check_object(reader, item.kept.size, item.digest, where)
            return [Fault(fault.what, fault.where, remedy) for fault in found]
    except _Missing:
        return [Fault("missing object", where, remedy)]
    except Corrupt:
        return [Fault("object fails authentication", where, remedy)]


def _check_shelves(parts: Parts) -> list[Fault]:
    """Find objects without a row; those of a shelf in use are looked at by the sweep when its process ended."""
    faults: list[Fault] = []
    doomed = set(parts.reading.doomed())  # known, and about to be removed
    for shelf, names, is_open in parts.objects.listed():
        if is_open or not names:
            continue
        faults += [
            Fault(
                "orphan object",
                f"object {Place(shelf, name)}",
                "No row and no key belongs to it. Delete the file.",
            )
            for name in sorted(parts.reading.unknown(shelf, names))
            if Place(shelf, name) not in doomed
        ]
    return faults


class _Missing(Exception):  # noqa: N818 - a signal within this file
    """The file is not there."""


def _opened(parts: Parts, place: Place, key: bytes) -> SealedReader:
    try:
        file = parts.objects.open(place)
    except Corrupt as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _Missing from error
        raise
    return SealedReader(file, key, place.name)
