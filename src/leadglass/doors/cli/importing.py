"""Importing: many files into the archive at once, and what became of each.

Rule 1. A bad file is counted with its reason and never stops the others.
Rule 2. Files are streamed block by block; many threads store at a time, so that
they wait for the disk together and share commits, as many as a bound on memory
lets them. Rule 3. What is said afterwards is in the order of the files, however
many threads there were. Rule 4. File names may hold patients' names: they are
for the user who asked, and go into no log.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Condition, Event, Lock, Thread
from typing import Final

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared, Receipt, Stored
from leadglass.dicom.part10 import read_file
from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.doors.cli.sources import Found, Skip, Skipped, Source, Stream, Unlooked, Unreadable, look
from leadglass.errors import BadInput, Conflict, LeadglassError
from leadglass.policy.caller import Caller

THREADS: Final = 64
"""Files stored at one time, unless told otherwise: as many as one commit takes.
Each waits for the disk twice, and most of them wait most of the time."""

_IN_FLIGHT: Final = 32 * 1024 * 1024
"""Bytes of files that are in memory at one time: of small files any number, of large ones sixteen."""

_HELD: Final = 2 * 1024 * 1024
"""Bytes of one file in memory at most: its beginning, and what is being sealed."""

_OTHER_UID: Final = "the file meta information names another instance than the data set, which is what counts"


_Number = tuple[int, int]
"""Of a file, in the order in which they were found, and of a member in a ZIP."""


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
    number: _Number


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

    def count(self, taken: Receipt) -> None:
        """Count a file that went in."""
        self.counts[Fate.STORED if taken.outcome is Stored.STORED else Fate.ALREADY_THERE] += 1
        self.octets += taken.size
        self.studies.add(taken.study_uid)
        self.warnings.update(taken.warnings)

    def note(self, missing: NotTaken) -> None:
        """Count a file that did not go in."""
        self.counts[missing.fate] += 1
        self.not_taken.append(missing)

    def arrange(self) -> None:
        """Bring what was counted in the order in which things were done into the order of the files."""
        self.not_taken.sort(key=lambda missing: missing.number)
        self.reasons = Counter((missing.fate, missing.reason) for missing in self.not_taken)
        self.warnings = Counter(dict(sorted(self.warnings.items())))


class _Room:
    """Memory for what is under way: those who find none wait, one alone never does."""

    def __init__(self, octets: int) -> None:
        self._most = octets
        self._taken = 0
        self._change = Condition(Lock())

    @contextmanager
    def held(self, octets: int) -> Generator[None]:
        """Have room for so many bytes."""
        octets = min(octets, _HELD)
        with self._change:
            self._change.wait_for(lambda: not self._taken or self._taken + octets <= self._most)
            self._taken += octets
        try:
            yield
        finally:
            with self._change:
                self._taken -= octets
                self._change.notify_all()


@dataclass(slots=True)
class _Work:
    """What the threads share."""

    sources: Iterator[Source | Unlooked]
    tally: Tally
    done: Callable[[int], None]
    counting: Lock = field(default_factory=Lock)
    stop: Event = field(default_factory=Event)
    room: _Room = field(default_factory=lambda: _Room(_IN_FLIGHT))
    _finding: Condition = field(default_factory=lambda: Condition(Lock()))
    _number: int = 0
    _looking: int = 0
    """Threads that look into a file now: there may be more in it for all."""
    _zips: deque[tuple[int, Iterator[tuple[int, Source]]]] = field(
        default_factory=deque[tuple[int, Iterator[tuple[int, Source]]]]
    )

    def next(self) -> tuple[_Number, Source] | None:
        """Give the next source and its number; None when there are no more."""
        # Nobody opens a file while others wait for the lock: each call of the system lets another
        # thread run first, and with dozens of them that takes longer than storing a small file.
        while (taken := self._take()) is not None:
            number, source = taken
            if not isinstance(source, Unlooked):
                return number, source
            looked: Source | Iterator[Source] = iter(())
            try:
                looked = look(source)
            finally:
                is_file = isinstance(looked, Found | Skipped | Unreadable)
                with self._finding:
                    self._looking -= 1
                    if not isinstance(looked, Found | Skipped | Unreadable):
                        self._zips.append((number[0], enumerate(looked)))
                    if not is_file or not self._looking:
                        self._finding.notify_all()
            if isinstance(looked, Found | Skipped | Unreadable):
                return number, looked
        return None

    def _take(self) -> tuple[_Number, Source | Unlooked] | None:
        """Take what is next, members of an opened ZIP first; waits while somebody may find more."""
        with self._finding:
            while not self.stop.is_set():
                while self._zips:
                    number, members = self._zips[0]
                    member = next(members, None)
                    if member is not None:
                        return (number, member[0]), member[1]
                    self._zips.popleft()
                source = next(self.sources, None)
                if source is not None:
                    self._number += 1
                    self._looking += isinstance(source, Unlooked)
                    return (self._number, 0), source
                if not self._looking:
                    return None
                self._finding.wait()
            return None


def import_sources(
    archive: Archive, caller: Caller, sources: Iterable[Source | Unlooked], *, threads: int, done: Callable[[int], None]
) -> Tally:
    """Store every source and say what became of each.

    Parameters
    ----------
    archive : Archive
        Where to.
    caller : Caller
        Who imports; its session is ended afterwards.
    sources : iterable of Source or Unlooked
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
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        # What is being stored is finished, so that the table afterwards is true.
        work.stop.set()
        work.tally.interrupted = True
        for worker in workers:
            if worker.ident is not None:  # one that begins only now finds that there is nothing to do
                worker.join()
    work.tally.arrange()
    archive.end(caller)
    return work.tally


def _run(archive: Archive, caller: Caller, work: _Work) -> None:
    """Store one source after the other until there are none."""
    while (found := work.next()) is not None:
        number, source = found
        match source:
            case Found(name, size):
                with work.room.held(size):
                    became = _store(archive, caller, source)
                work.done(size)
            case Skipped(name, why):
                became = (Fate.SKIPPED, why)
            case Unreadable(name, reason):
                became = (Fate.REFUSED, reason)
        with work.counting:
            if isinstance(became, Receipt):
                work.tally.count(became)
            else:
                work.tally.note(NotTaken(name, *became, number))


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


def _store(archive: Archive, caller: Caller, source: Found) -> Receipt | tuple[Fate, str]:
    """Store one file, whatever is in it; gives what became of it."""
    try:
        with source.open() as stream:
            taken = _take(archive, caller, stream)
    except Conflict as error:
        return Fate.IN_CONFLICT, error.message
    except LeadglassError as error:
        return Fate.REFUSED, error.message
    except OSError as error:
        return Fate.REFUSED, f"cannot be read ({error.strerror})"
    except Exception as error:  # noqa: BLE001 - the border: one file nobody foresaw must not stop a million others
        return Fate.REFUSED, f"a defect of Leadglass ({type(error).__name__}); report it"
    return (Fate.SKIPPED, taken) if isinstance(taken, Skip) else taken
