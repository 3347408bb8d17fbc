"""Importing: many files into the archive at once, and what became of each.

Rule 1. A bad file is counted with its reason and never stops the others.
Rule 2. Files are streamed block by block; several threads store at a time, so
that they share commits. Rule 3. File names may hold patients' names: they are
for the user who asked, and go into no log.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Event, Lock, Thread
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared, Receipt, Stored
from leadglass.dicom.part10 import read_file
from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.doors.cli.sources import Found, Skip, Skipped, Source, Stream, Unreadable
from leadglass.errors import BadInput, Conflict, LeadglassError
from leadglass.policy.caller import Caller

_OTHER_UID: Final = "the file meta information names another instance than the data set, which is what counts"


class Fate(StrEnum):
    """What became of a file."""

    STORED = "stored"
    ALREADY_THERE = "already there"
    IN_CONFLICT = "in conflict"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A file that did not go in."""

    name: str
    fate: Fate
    reason: str


@dataclass(slots=True)
class Tally:
    """What an import came to."""

    counts: Counter[Fate] = field(default_factory=Counter[Fate])
    reasons: Counter[tuple[Fate, str]] = field(default_factory=Counter[tuple[Fate, str]])
    warnings: Counter[str] = field(default_factory=Counter[str])
    not_taken: list[NotTaken] = field(default_factory=list[NotTaken])
    studies: set[str] = field(default_factory=set[str])
    octets: int = 0
    interrupted: bool = False

    @property
    def taken(self) -> int:
        """How many are in the archive now."""
        return self.counts[Fate.STORED] + self.counts[Fate.ALREADY_THERE]

    @property
    def turned_away(self) -> int:
        """How many are not, and should have been."""
        return self.counts[Fate.IN_CONFLICT] + self.counts[Fate.REFUSED]

    def count(self, name: str, taken: Receipt | Skip) -> None:
        """Count a file that went in, or was found to be none to take in."""
        if isinstance(taken, Skip):
            self.note(name, Fate.SKIPPED, taken)
            return
        self.counts[Fate.STORED if taken.outcome is Stored.STORED else Fate.ALREADY_THERE] += 1
        self.octets += taken.size
        self.studies.add(taken.study_uid)
        self.warnings.update(taken.warnings)

    def note(self, name: str, fate: Fate, reason: str) -> None:
        """Count a file that did not go in."""
        self.counts[fate] += 1
        self.reasons[fate, reason] += 1
        self.not_taken.append(NotTaken(name, fate, reason))


@dataclass(slots=True)
class _Work:
    """What the threads share."""

    sources: Iterator[Source]
    tally: Tally
    done: Callable[[int], None]
    lock: Lock = field(default_factory=Lock)
    stop: Event = field(default_factory=Event)

    def next(self) -> Source | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.sources, None)


def import_sources(
    archive: Archive, caller: Caller, sources: Iterable[Source], *, threads: int, done: Callable[[int], None]
) -> Tally:
    """Store every source and say what became of each.

    Parameters
    ----------
    archive : Archive
        Where to.
    caller : Caller
        Who imports; its session is ended afterwards.
    sources : iterable of Source
        What to store; taken one at a time.
    threads : int
        How many are stored at one time.
    done : callable
        Told the bytes of each source when it is dealt with, from any thread.

    Raises
    ------
    Denied
        When the caller may not store.
    """
    work = _Work(iter(sources), Tally(), done)
    workers = [Thread(target=_run, args=(archive, caller, work), name=f"import-{n}") for n in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        # What is being stored is finished, so that the table afterwards is true.
        work.stop.set()
        work.tally.interrupted = True
        for worker in workers:
            worker.join()
    archive.end(caller)
    return work.tally


def _run(archive: Archive, caller: Caller, work: _Work) -> None:
    """Store one source after the other until there are none."""
    while (source := work.next()) is not None:
        match source:
            case Found():
                _store(archive, caller, source, work)
                work.done(source.size)
            case Skipped(name, why):
                with work.lock:
                    work.tally.note(name, Fate.SKIPPED, why)
            case Unreadable(name, reason):
                with work.lock:
                    work.tally.note(name, Fate.REFUSED, reason)


def _take(archive: Archive, caller: Caller, stream: Stream) -> Receipt | Skip:
    """Hand one opened file to the archive."""
    if stream.size == 0:
        raise BadInput("It is empty.")
    part10 = read_file(stream)
    if part10.meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return Skip.MEDIA_DIRECTORY
    meta = part10.meta
    # Only the transfer syntax: files that name other UIDs than their data set are found in real
    # archives, and the data set is what counts.
    receiving = archive.receive(caller, Declared(meta.transfer_syntax_uid, origin=caller.name))
    try:
        for block in stream.blocks(part10.dataset_offset):
            receiving.write(block)
        receipt = receiving.finish()
    finally:
        receiving.abort()
    said = (meta.sop_class_uid or receipt.sop_class_uid, meta.sop_instance_uid or receipt.sop_instance_uid)
    flags = () if said == (receipt.sop_class_uid, receipt.sop_instance_uid) else (_OTHER_UID,)
    return replace(receipt, warnings=(*part10.warnings, *receipt.warnings, *flags))


def _store(archive: Archive, caller: Caller, source: Found, work: _Work) -> None:
    """Store one file, whatever is in it, and count it."""
    try:
        with source.open() as stream:
            taken = _take(archive, caller, stream)
    except Conflict as error:
        with work.lock:
            work.tally.note(source.name, Fate.IN_CONFLICT, error.message)
    except LeadglassError as error:
        with work.lock:
            work.tally.note(source.name, Fate.REFUSED, error.message)
    except OSError as error:
        with work.lock:
            work.tally.note(source.name, Fate.REFUSED, f"cannot be read ({error.strerror})")
    except Exception as error:  # noqa: BLE001 - the border: one file nobody foresaw must not stop a million others
        with work.lock:
            work.tally.note(source.name, Fate.REFUSED, f"a defect of Leadglass ({type(error).__name__}); report it")
    else:
        with work.lock:
            work.tally.count(source.name, taken)
