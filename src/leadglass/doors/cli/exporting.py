"""Exporting: studies out of the archive into a folder or a ZIP, with a DICOMDIR.

Rule 1. The destination appears whole or not at all: it is written beside its
name and takes it at the end. Rule 2. Names in it are ours, never a patient's.
Rule 3. What leaves as it came is compared with the digest taken when it arrived.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from zipfile import ZIP_DEFLATED, ZipFile

from leadglass.archive.archive import Archive, Retrieval
from leadglass.archive.backroom import Selection
from leadglass.dicom.matching import Level
from leadglass.doors.media.dicomdir import Directory
from leadglass.doors.media.fileset import DICOMDIR, Missing, directory_blocks, members
from leadglass.errors import Corrupt, LeadglassError, Misconfigured, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller


@dataclass(slots=True)
class Exported:
    """What an export came to."""

    studies: int = 0
    instances: int = 0
    octets: int = 0
    missing: list[Missing] = field(default_factory=list[Missing])


class _Sink(Protocol):
    """Where files go."""

    def add(self, name: str, blocks: Callable[[], Iterator[bytes]]) -> None:
        """Write one file; leaves nothing of it when the blocks raise."""
        ...


_OTHER_ARCHIVES: Final = frozenset({".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".iso", ".dcm"})
"""What a name may end with that promises a file of a kind which is not made here."""


class _FolderSink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, blocks: Callable[[], Iterator[bytes]]) -> None:
        path = self._folder / name
        _make_private(path.parent, self._folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for block in blocks():
                    file.write(block)
        except BaseException:
            path.unlink()
            raise


def _make_private(folder: Path, top: Path) -> None:
    """Make a folder and those above it, up to ``top``, for their owner alone."""
    if folder != top and not folder.is_dir():
        _make_private(folder.parent, top)
        folder.mkdir(mode=0o700)


class _ZipSink:
    def __init__(self, file: BinaryIO) -> None:
        self.zip = ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1)

    def add(self, name: str, blocks: Callable[[], Iterator[bytes]]) -> None:
        # A member cannot be taken back, so everything is read, and so checked, once before.
        for _ in blocks():
            pass
        with self.zip.open(name, "w", force_zip64=True) as member:
            for block in blocks():
                member.write(block)


@contextmanager
def _folder(destination: Path) -> Generator[_Sink]:
    draft = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
    draft.mkdir(mode=0o700)
    try:
        yield _FolderSink(draft)
        draft.rename(destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _zip(destination: Path) -> Generator[_Sink]:
    draft = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sink = _ZipSink(file)
            with sink.zip:
                yield sink
        # A link, not a rename: it does not replace what appeared meanwhile.
        os.link(draft, destination)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def check_destination(destination: Path) -> None:
    """Refuse to write over anything, and to where nothing is: what comes out is sealed no more.

    Raises
    ------
    Misconfigured
        When something is there, the folder above it is not (a medium that is
        not mounted), or the name is that of another kind of file.
    """
    if not destination.parent.is_dir():
        raise Misconfigured(
            f"{destination.parent} does not exist: is the medium there? Make it, or name another --out."
        )
    if destination.suffix.casefold() in _OTHER_ARCHIVES:
        raise Misconfigured(f"{destination.name} would be a folder. Name a .zip file or a folder with --out.")
    if destination.is_symlink() or destination.exists():
        is_empty_folder = destination.is_dir() and not destination.is_symlink() and not any(destination.iterdir())
        if destination.suffix.casefold() == ".zip" or not is_empty_folder:
            raise Misconfigured(f"{destination} exists and is not an empty folder. Name another --out.")


def export(
    archive: Archive, caller: Caller, study_uids: list[str], destination: Path, done: Callable[[int, int, int], None]
) -> Exported:
    """Write studies to ``destination``: a ZIP when its name ends so, else a folder.

    Parameters
    ----------
    archive : Archive
        Where from.
    caller : Caller
        Who exports; its session is ended afterwards.
    study_uids : list of str
        Which studies.
    destination : Path
        Where to; it must not exist, or be an empty folder.
    done : callable
        Told (instances dealt with, instances in all, bytes of this one).

    Raises
    ------
    NotHere
        When there is none of the studies.
    Denied, Misconfigured
    """
    check_destination(destination)
    kind = "zip" if destination.suffix.casefold() == ".zip" else "folder"
    try:
        retrievals = [
            archive.retrieve(caller, Action.EXPORT, Level.STUDY, Selection(study_uids=(uid,)), to=kind)
            for uid in dict.fromkeys(study_uids)
        ]
        absent = sum(not retrieval.records for retrieval in retrievals)
        if absent:
            raise NotHere(
                "There is no such study here. Nothing was exported."
                if len(retrievals) == 1
                else f"{absent} of the {len(retrievals)} studies are not here. Nothing was exported."
            )
        with _zip(destination) if kind == "zip" else _folder(destination) as sink:
            result = _write(sink, retrievals, done)
            if not result.instances:
                raise Corrupt("Not one instance could be exported. Run: leadglass fsck")
    finally:
        archive.end(caller)
    return result


def _write(sink: _Sink, retrievals: list[Retrieval], done: Callable[[int, int, int], None]) -> Exported:
    result = Exported()
    directory = Directory()
    total = sum(len(retrieval.records) for retrieval in retrievals)
    for study, retrieval in enumerate(retrievals, 1):
        before = result.instances
        for member in members(study, retrieval):
            record = member.record
            try:
                entry = member.entry()
                sink.add(member.name, member.blocks)
            except LeadglassError as error:
                retrieval.failed(record)
                result.missing.append(Missing(record.sop_instance_uid, error.message))
            else:
                retrieval.sent(record)
                directory.add(entry)
                result.instances += 1
                result.octets += record.size
            done(result.instances + len(result.missing), total, record.size)
        result.studies += result.instances > before
    if result.instances:
        sink.add(DICOMDIR, lambda: directory_blocks(directory))
    return result
