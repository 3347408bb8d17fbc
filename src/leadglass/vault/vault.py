"""Vault: the back room that is ours, behind the ``BackRoom`` protocol.

Rule 1. Every method asks for a permit that was given for what it does, and
applies its scope. Rule 2. Nothing here decides who may do what.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from leadglass.archive import backroom
from leadglass.archive.backroom import (
    Arrival,
    Declared,
    Deleted,
    Described,
    FsckReport,
    Held,
    InstanceRecord,
    Kept,
    Looked,
    Mark,
    Reader,
    Receipt,
    Resolution,
    Selection,
)
from leadglass.archive.changed import Changes
from leadglass.archive.lists import Listing, Page, Sheet, Window
from leadglass.crypto.database import SealedReaders, open_sealed
from leadglass.crypto.sealed import SealedReader
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.json_text import JsonText
from leadglass.dicom.matching import Level, Query
from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.vault import browsing, changes, checking, finding, listing, quarantining, resolving
from leadglass.vault.committer import Batches, Committer
from leadglass.vault.draft import SealedDraft
from leadglass.vault.filing import Filing
from leadglass.vault.incoming import Incoming, commit_all
from leadglass.vault.index.migrations import migrate
from leadglass.vault.keys import Keys
from leadglass.vault.measuring import Measures, measure
from leadglass.vault.objects import Objects
from leadglass.vault.parts import Parts, demand
from leadglass.vault.reading import Reading, Sealed
from leadglass.vault.settings import VaultSettings
from leadglass.vault.soundness import is_sound

INDEX_FILE = "index.db"
OBJECTS_FOLDER = "objects"

_RETRIEVES = (Action.GET, Action.MOVE, Action.EXPORT, Action.LOOK)
"""What images are read for. ``LOOK`` too: pictures are drawn of them, by the door that asks for no more."""


def open_vault(folder: Path, key: ArchiveKey, settings: VaultSettings | None = None) -> "Vault":
    """Open the vault in a folder, or make it; finishes deletions and sweeps what killed processes left.

    Parameters
    ----------
    folder : Path
        The data folder, which is there. The index and the objects go below it.
    key : ArchiveKey
        The archive's key.
    settings : VaultSettings, optional
        Its limits.

    Raises
    ------
    Misconfigured
        When the key does not open it, or the folder cannot be used.
    Busy, Full, Corrupt
    """
    settings = settings or VaultSettings()
    path, database_key = folder / INDEX_FILE, key.derive("index database")
    keys = Keys(key)
    connection = open_sealed(path, database_key, create=True)
    try:
        migrate(connection)
        objects = Objects(
            folder / OBJECTS_FOLDER, per_shelf=settings.objects_per_shelf, min_free=settings.min_free_bytes
        )
        readers = SealedReaders(path, database_key)
    except BaseException:
        connection.close()
        raise
    filing = Filing(connection, keys, settings.quarantine, partial(is_sound, objects), settings.submitted)
    reading = Reading(readers, keys)
    committer = Committer(
        filing,
        objects.sync,
        limit=settings.batch,
        linger=settings.linger,
        committed=lambda: objects.settle_doubts(reading.unknown),
    )
    vault = Vault(Parts(objects, keys, committer, reading, settings))
    try:
        vault.sweep()
    except BaseException:
        vault.close()
        raise
    return vault


class Vault:
    """An opened vault: a ``BackRoom``. Safe for threads; several processes may open the same folder.

    Parameters
    ----------
    parts : Parts
        What ``open_vault`` opened.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def close(self) -> None:
        """Wait for the running transaction and let go of everything; harmless when done twice."""
        self._parts.committer.close()
        self._parts.reading.close()
        self._parts.objects.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def batches(self) -> Batches:
        """How many transactions this process committed, and how many jobs shared them."""
        return self._parts.committer.batches

    # --- BackRoom -------------------------------------------------------------

    def receive(self, permit: Permit, declared: Declared) -> Incoming:
        """Begin to take in one instance; raises ``Full``."""
        demand(permit, Action.STORE, Action.SUBMIT)
        return Incoming(self._parts, declared, permit.action)

    def draft(self, permit: Permit) -> SealedDraft:
        """Begin to keep bytes until their instance is whole; raises ``Full``."""
        demand(permit, Action.STORE, Action.SUBMIT)
        return SealedDraft(self._parts)

    def commit(self, arrivals: Sequence[Arrival]) -> list[Receipt | LeadglassError]:
        """Put examined instances on stable storage together; gives what became of each, in their order."""
        return commit_all(self._parts, [(_own(arrival.incoming), arrival.permit) for arrival in arrivals])

    def facts(self, permit: Permit, study_uid: str) -> StudyFacts | None:
        """Give the facts of one study, whatever the permit's scope; None when it is not here."""
        del permit  # that there is one is what is asked
        return self._parts.reading.facts(study_uid)

    def find(self, permit: Permit, query: Query) -> Iterator[Attributes]:
        """Give the matches of a query, a page at a time, and ``NO_MATCH`` for each row that is none."""
        demand(permit, Action.FIND, Action.EXPORT)
        return finding.find(self._parts.reading, permit, query)

    def search(self, permit: Permit, query: Query, window: Window) -> Listing:
        """Give a window of a query's matches, newest study first."""
        demand(permit, Action.FIND)
        return listing.Listed(self._parts.reading, permit, query, window)

    def browse(self, permit: Permit, query: Query, page: Page) -> Sheet:
        """Give a page of a list of studies; raises ``Unsupported``."""
        demand(permit, Action.FIND)
        return browsing.Browsed(self._parts.reading, permit, query, page)

    def changes(self, permit: Permit, since: str, limit: int) -> Changes:
        """Give what happened after a cursor; raises ``BadInput``."""
        demand(permit, Action.FIND)
        return changes.since(self._parts.reading, permit, since, limit)

    def newest_change(self, permit: Permit) -> int:
        """Give a number that grows with every change."""
        demand(permit, Action.FIND, Action.GET)
        return changes.newest(self._parts.reading)

    def is_unchanged(self, permit: Permit, study_uid: str, since: int) -> bool:
        """Say whether nothing happened to a study after a ``newest_change``; False, too, where that takes long."""
        demand(permit, Action.GET)
        return changes.is_unchanged(self._parts.reading, study_uid, since)

    def locate(self, permit: Permit, level: Level, selection: Selection) -> list[InstanceRecord]:
        """Give the selected instances, by study, series and Instance Number."""
        demand(permit, *_RETRIEVES, Action.COMMIT)
        return self._parts.reading.locate(permit, level, selection)

    def open(self, permit: Permit, record: InstanceRecord) -> Reader:
        """Open one instance; raises ``NotHere``, ``Busy``, ``Corrupt``."""
        demand(permit, *_RETRIEVES, Action.RESOLVE)
        sealed = self._parts.reading.sealed(permit, record)
        try:
            return self._opened(sealed, record)
        except Corrupt:
            now = self._parts.reading.sealed(permit, record)  # deleted between both, its object is no damaged one
            if now.place == sealed.place:
                raise
            return self._opened(now, record)

    def at_hand(self, permit: Permit, selection: Selection) -> Held | None:
        """Give the one instance that is selected, from memory; None says nothing of it."""
        demand(permit, *_RETRIEVES)
        held = self._parts.reading.at_hand(permit, selection)
        if held is None:
            return None
        record, unwrapped = held
        return _Held(record, lambda: self._opened(unwrapped(), record, at_hand=True))

    def ahead(self, permit: Permit, record: InstanceRecord, octets: int) -> Iterator[Described]:
        """Give what is at hand of an instance's series, and have the system read its objects."""
        demand(permit, *_RETRIEVES)
        for described, place in self._parts.reading.ahead(permit, record, octets):
            self._parts.objects.will_read(place)
            yield described

    def _opened(self, sealed: Sealed, record: InstanceRecord, *, at_hand: bool = False) -> SealedReader:
        file = self._parts.objects.open(sealed.place)
        reader = SealedReader(file, sealed.key, sealed.place.name, at_hand=at_hand)
        if reader.size != record.size:
            reader.close()
            raise Corrupt("A stored object has another size than its row says. Restore it from a backup.")
        return reader

    def is_sound(self, permit: Permit, record: InstanceRecord) -> bool:
        """Say whether one instance's object opens to its last byte; raises ``NotHere``, ``Busy``."""
        demand(permit, Action.COMMIT)
        try:
            sealed = self._parts.reading.sealed(permit, record, to_show=False)
            if is_sound(self._parts.objects, sealed.place, sealed.key, record.size):
                return True
            now = self._parts.reading.sealed(permit, record, to_show=False)  # as ``open`` does
        except Corrupt:
            return False
        return now.place != sealed.place and is_sound(self._parts.objects, now.place, now.key, record.size)

    def contested(self, permit: Permit, origin: str, sop_instance_uids: Collection[str]) -> frozenset[str]:
        """Give those of which something that ``origin`` sent is in quarantine."""
        demand(permit, Action.COMMIT)
        kept = (each.kept for each in self._parts.reading.quarantined(permit))
        return frozenset(each.sop_instance_uid for each in kept if each.origin == origin) & frozenset(sop_instance_uids)

    def metadata(self, permit: Permit, record: InstanceRecord) -> Attributes:
        """Give the DICOM JSON metadata recorded at ingest; raises ``NotHere``, ``Busy``."""
        demand(permit, *_RETRIEVES, Action.FIND, Action.RESOLVE)
        return self._parts.reading.metadata(permit, record)

    def json_texts(self, permit: Permit, records: Sequence[InstanceRecord]) -> list[JsonText]:
        """Give the same of many instances, unread; raises ``NotHere``, ``Busy``."""
        demand(permit, *_RETRIEVES, Action.FIND)
        return self._parts.reading.json_texts(permit, records)

    def frames(self, permit: Permit, record: InstanceRecord) -> FrameTable | None:
        """Give where the frames of one instance are; raises ``NotHere``, ``Busy``."""
        demand(permit, *_RETRIEVES, Action.RESOLVE)
        return self._parts.reading.frames(permit, record)

    def delete(self, permit: Permit, study_uid: str) -> Deleted:
        """Delete a study: its key and rows in one transaction, then its objects; raises ``NotHere``."""
        demand(permit, Action.DELETE)
        deleted = self._parts.committer.run(lambda filing: filing.forget_study(study_uid, permit))
        self._erase()
        return deleted

    def label(self, permit: Permit, study_uid: str, label: str, *, is_given: bool) -> bool:
        """Give a study a label, or take it away; raises ``NotHere``."""
        demand(permit, Action.MANAGE)
        return self._parts.committer.run(lambda filing: filing.label(study_uid, label, permit, is_given=is_given))

    def labels(self, permit: Permit) -> dict[str, int]:
        """Give every label and how many studies have it."""
        demand(permit, Action.MANAGE)
        return self._parts.reading.labels()

    def studies_of(self, permit: Permit, patient_id: str) -> list[str]:
        """Give which studies a patient has; for a permit that shows nothing else of them."""
        demand(permit, Action.AUDIT)
        return self._parts.reading.studies_of(permit, patient_id)

    def quarantined(self, permit: Permit, numbers: Collection[int] | None = None) -> list[Kept]:
        """List what is in quarantine, or what of some numbers is."""
        demand(permit, Action.RESOLVE)
        return [each.kept for each in self._parts.reading.quarantined(permit, numbers)]

    def look(self, permit: Permit, number: int) -> Looked:
        """Look into one instance in quarantine; raises ``NotHere``, ``Corrupt``, ``BadInput``."""
        demand(permit, Action.RESOLVE)
        return quarantining.look(self._parts, permit, number)

    def open_kept(self, permit: Permit, number: int) -> Reader:
        """Open one instance in quarantine; raises ``NotHere``, ``Corrupt``."""
        demand(permit, Action.RESOLVE)
        return quarantining.open_kept(self._parts, quarantining.one(self._parts, permit, number))

    def known(self, permit: Permit, marks: Sequence[Mark], origin: str) -> list[bool]:
        """Say of each whether sending it again would change nothing."""
        demand(permit, Action.STORE, Action.SUBMIT)
        return quarantining.known(self._parts, permit, marks, origin)

    def resolve(self, permit: Permit, number: int, resolution: Resolution) -> str:
        """Decide over one instance in quarantine; raises ``NotHere``, ``BadInput``, ``Corrupt``."""
        [outcome] = self.resolve_all(permit, [number], resolution)
        if isinstance(outcome, LeadglassError):
            raise outcome
        return outcome

    def resolve_all(self, permit: Permit, numbers: Sequence[int], resolution: Resolution) -> list[str | LeadglassError]:
        """Decide over many alike; gives what became of each."""
        demand(permit, Action.RESOLVE)
        said = resolving.resolve_all(self._parts, permit, numbers, resolution)
        self._erase()
        return said

    def fsck(self, permit: Permit, progress: Callable[[int, int], None]) -> FsckReport:
        """Re-read everything and name what is wrong."""
        demand(permit, Action.VERIFY)
        return checking.fsck(self._parts, permit, progress)

    # --- keeping house --------------------------------------------------------

    def measures(self) -> Measures:
        """Say how much there is: counts, of nobody in particular."""
        return measure(self._parts.reading, self._parts.settings.quarantine)

    def sweep(self) -> int:
        """Remove what deletions and killed processes left behind; gives how many objects that were."""
        return self._erase() + self._parts.objects.sweep(self._parts.reading.unknown)

    def _erase(self) -> int:
        """Remove what was deleted, for good: wrapped keys from the log, objects from the disk.

        What cannot be done now, because a reader is in the log's way or the
        disk says no, stays on the list of the doomed for the next time.
        """
        doomed = self._parts.reading.doomed()
        if not doomed:
            return 0
        is_emptied = self._parts.committer.truncate_log()
        removed = self._parts.objects.remove(doomed)
        if removed and is_emptied:
            with suppress(LeadglassError):  # they are gone; that the list is too long harms nobody
                self._parts.committer.run(lambda filing: filing.bury(removed))
        return len(removed)


@dataclass(frozen=True, slots=True)
class _Held:
    """An instance from memory, and what opens it."""

    record: InstanceRecord
    open: Callable[[], Reader]


def _own(incoming: backroom.Incoming) -> Incoming:
    """Give an instance on its way in as what ``receive`` made it."""
    if not isinstance(incoming, Incoming):
        raise TypeError("An instance is committed where it was received.")
    return incoming
