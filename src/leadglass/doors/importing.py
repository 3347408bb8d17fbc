"""Importing: many files into the archive, and what became of each.

Rule 1. A bad file is counted with its reason and never stops the others.
Rule 2. Files are streamed block by block by a few threads, and one thread puts
many at a time on stable storage, so that they wait for the disk together; as
many as a bound on memory lets them. Rule 3. What is said afterwards is in the
order of the files, however many threads there were. Rule 4. File names may hold
patients' names: they are for the user who asked, and go into no log.

More threads than processors are no help: each call of the system lets another
thread run first, and with dozens of them handing over takes longer than storing
a small file.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from queue import Queue
from threading import Condition, Event, Lock, Thread
from typing import Final, assert_never

from leadglass.archive.archive import Archive, Receiving
from leadglass.archive.backroom import Declared, Receipt, Stored
from leadglass.dicom.part10 import Part10, read_file
from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.doors.sources import Found, Skip, Skipped, Source, Stream, Unlooked, Unreadable, look
from leadglass.errors import BadInput, Conflict, LeadglassError
from leadglass.policy.caller import Caller

THREADS: Final = 4
"""Files read and sealed at one time, unless told otherwise and where there are as many processors."""

_TOGETHER: Final = 64
"""Files put on stable storage together at most; more gain nothing (measured)."""

_IN_FLIGHT: Final = 32 * 1024 * 1024
"""Bytes of files that are in memory at one time, about, with few threads."""

_HELD: Final = 2 * 1024 * 1024
"""Bytes of one file in memory at most: its beginning, and what is being sealed."""

_OTHER_UID: Final = "the file meta information names another instance than the data set, which is what counts"


_Number = tuple[int, int]
"""Of a file, in the order in which they were found, and of a member in a ZIP."""


class Fate(StrEnum):
    """What became of a file."""

    STORED = "stored"
    WAITING = "waiting to be looked at"
    """In quarantine, because who sent it may hand in and not store."""
    ALREADY_THERE = "already there"
    IN_CONFLICT = "in conflict"
    REFUSED = "refused"
    SKIPPED = "skipped"


def fate_of(taken: Receipt) -> Fate:
    """Say what became of a file that went in."""
    match taken.outcome:
        case Stored.STORED:
            return Fate.STORED
        case Stored.KEPT_ASIDE:
            return Fate.WAITING
        case Stored.ALREADY_HERE | Stored.HEALED:
            return Fate.ALREADY_THERE
        case _ as never:
            assert_never(never)


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
        return self.counts[Fate.STORED] + self.counts[Fate.ALREADY_THERE] + self.counts[Fate.WAITING]

    @property
    def turned_away(self) -> int:
        """How many are not, and should have been."""
        return self.counts[Fate.IN_CONFLICT] + self.counts[Fate.REFUSED]

    def count(self, taken: Receipt) -> None:
        """Count a file that went in."""
        self.counts[fate_of(taken)] += 1
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


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file that the archive has read, and not committed yet."""

    number: _Number
    source: Found
    part10: Part10
    receiving: Receiving

    def receipt(self, given: Receipt) -> Receipt:
        """Give what the archive said, and what is to be said of the file."""
        meta = self.part10.meta
        said = (meta.sop_class_uid or given.sop_class_uid, meta.sop_instance_uid or given.sop_instance_uid)
        flags = () if said == (given.sop_class_uid, given.sop_instance_uid) else (_OTHER_UID,)
        return replace(given, warnings=(*self.part10.warnings, *given.warnings, *flags))


@dataclass(slots=True)
class _Work:
    """What the threads share."""

    sources: Iterator[Source | Unlooked]
    tally: Tally
    done: Callable[[int], None]
    counting: Lock = field(default_factory=Lock)
    stop: Event = field(default_factory=Event)
    fault: BaseException | None = None
    """What ended committing; a defect of ours."""
    loaded: "Queue[list[_Loaded] | None]" = field(default_factory=lambda: Queue(1))
    _finding: Condition = field(default_factory=lambda: Condition(Lock()))
    _number: int = 0
    _looking: int = 0
    """Threads that look into a file now: there may be more in it for all."""
    _zips: deque[tuple[int, Iterator[tuple[int, Source]]]] = field(
        default_factory=deque[tuple[int, Iterator[tuple[int, Source]]]]
    )

    def count(self, number: _Number, source: Source, became: Receipt | tuple[Fate, str]) -> None:
        """Count what became of a source."""
        with self.counting:
            if isinstance(became, Receipt):
                self.tally.count(became)
            else:
                self.tally.note(NotTaken(source.name, *became, number))
        if isinstance(source, Found):
            self.done(source.size)

    def next(self) -> tuple[_Number, Source] | None:
        """Give the next source and its number; None when there are no more."""
        # Nobody opens a file while others wait for the lock.
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
    archive: Archive,
    caller: Caller,
    sources: Iterable[Source | Unlooked],
    *,
    threads: int,
    done: Callable[[int], None],
    stop: Event | None = None,
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
        How many are read at one time.
    done : callable
        Told the bytes of each source when it is dealt with, from any thread.
    stop : Event, optional
        Set, it ends the import after what is being stored.

    Raises
    ------
    Denied
        When the caller may not store.
    """
    work = _Work(iter(sources), Tally(), done, stop=stop or Event())
    octets = max(_HELD, _IN_FLIGHT // (threads + 2))
    readers = [Thread(target=_read, args=(archive, caller, work, octets), name=f"import-{n}") for n in range(threads)]
    committer = Thread(target=_commit, args=(archive, caller, work), name="import-commit")
    try:
        for thread in (committer, *readers):
            thread.start()
        for thread in readers:
            thread.join()
    except KeyboardInterrupt:
        # What is being stored is finished, so that the table afterwards is true.
        work.stop.set()
        work.tally.interrupted = True
        for thread in readers:
            if thread.ident is not None:  # one that begins only now finds that there is nothing to do
                thread.join()
    finally:
        if committer.ident is not None:
            work.loaded.put(None)
            committer.join()
    if work.fault is not None:
        raise work.fault
    work.tally.arrange()
    archive.end(caller)
    return work.tally


def _read(archive: Archive, caller: Caller, work: _Work, most: int) -> None:
    """Hand one source after the other to the archive until there are none, and pass them on to be committed."""
    loaded: list[_Loaded] = []
    octets = 0
    while (found := work.next()) is not None:
        number, source = found
        became: _Loaded | tuple[Fate, str]
        match source:
            case Found():
                became = _load(archive, caller, number, source)
            case Skipped(_, why):
                became = (Fate.SKIPPED, why)
            case Unreadable(_, reason):
                became = (Fate.REFUSED, reason)
        if not isinstance(became, _Loaded):
            work.count(number, source, became)
            continue
        loaded.append(became)
        octets += min(became.source.size, _HELD)
        if len(loaded) >= _TOGETHER or octets >= most:
            work.loaded.put(loaded)
            loaded, octets = [], 0
    if loaded:
        work.loaded.put(loaded)


def _load(archive: Archive, caller: Caller, number: _Number, source: Found) -> _Loaded | tuple[Fate, str]:
    """Hand one file to the archive, whatever is in it; gives what became of it when it goes no further."""
    try:
        with source.open() as stream:
            loaded = _hand_over(archive, caller, stream)
    except Exception as error:  # noqa: BLE001 - the border: one file nobody foresaw must not stop a million others
        return _refused(error)
    return (Fate.SKIPPED, loaded) if isinstance(loaded, Skip) else _Loaded(number, source, *loaded)


def _hand_over(archive: Archive, caller: Caller, stream: Stream) -> tuple[Part10, Receiving] | Skip:
    """Hand the data set of one opened file to the archive."""
    if stream.size == 0:
        raise BadInput("It is empty.")
    part10 = read_file(stream)
    if part10.meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return Skip.MEDIA_DIRECTORY
    # Only the transfer syntax: files that name other UIDs than their data set are found in real
    # archives, and the data set is what counts.
    receiving = archive.receive(caller, Declared(part10.meta.transfer_syntax_uid, origin=caller.name))
    try:
        for block in stream.blocks(part10.dataset_offset):
            receiving.write(block)
    except BaseException:
        receiving.abort()
        raise
    return part10, receiving


def _commit(archive: Archive, caller: Caller, work: _Work) -> None:
    """Commit what was read until there is no more; after a fault of ours nobody is left waiting to hand on."""
    while (loaded := work.loaded.get()) is not None:
        try:
            if work.fault is None:
                _commit_together(archive, caller, work, loaded)
        except BaseException as error:  # noqa: BLE001 - raised again when all threads have ended
            work.fault = error
            work.stop.set()
        finally:
            for each in loaded:
                each.receiving.abort()


def _commit_together(archive: Archive, caller: Caller, work: _Work, loaded: Sequence[_Loaded]) -> None:
    outcomes: Sequence[Receipt | Exception]
    try:
        outcomes = archive.finish(caller, [each.receiving for each in loaded])
    except Exception as error:  # noqa: BLE001 - the border, likewise
        outcomes = [error] * len(loaded)
    for each, outcome in zip(loaded, outcomes, strict=True):
        became = each.receipt(outcome) if isinstance(outcome, Receipt) else _refused(outcome)
        work.count(each.number, each.source, became)


def _refused(error: Exception) -> tuple[Fate, str]:
    """Say why a file was not taken."""
    match error:
        case Conflict():
            return Fate.IN_CONFLICT, error.message
        case LeadglassError():
            return Fate.REFUSED, error.message
        case OSError():
            return Fate.REFUSED, f"cannot be read ({error.strerror})"
        case _:
            return Fate.REFUSED, f"a defect of Leadglass ({type(error).__name__}); report it"
