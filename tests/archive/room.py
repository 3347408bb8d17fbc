"""A back room in memory, for tests of the archive: it keeps a diary of what was done in it."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from leadglass.archive.backroom import (
    Arrival,
    Declared,
    Deleted,
    Described,
    FsckReport,
    Held,
    Incoming,
    InstanceRecord,
    Kept,
    Looked,
    Mark,
    Reader,
    Receipt,
    Resolution,
    Selection,
    Stored,
)
from leadglass.archive.changed import Change, ChangeKind, Changes
from leadglass.archive.lists import Page, Position, Window
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.json_text import JsonText
from leadglass.dicom.matching import Level, Query
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import PatientName, StudyInstanceUID, key
from leadglass.errors import Conflict, LeadglassError, NotHere
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit


class MemoryReader:
    """Reads an instance that lies in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.closed = False

    @property
    def size(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def view_at(self, offset: int, length: int) -> memoryview:
        return memoryview(self.read_at(offset, length))

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass
class MemoryDraft:
    """Bytes that wait for their instance."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, *blocks: bytes) -> None:
        self.data += b"".join(blocks)

    def finish(self) -> MemoryReader:
        return MemoryReader(bytes(self.data))

    def abort(self) -> None:
        self.data.clear()


@dataclass
class MemoryIncoming:
    """An instance on its way in; its data is ``study-uid instance-uid anything``."""

    room: "MemoryRoom"
    declared: Declared
    data: bytearray = field(default_factory=bytearray)

    def write(self, *blocks: bytes) -> None:
        self.data += b"".join(blocks)

    @property
    def identity(self) -> tuple[str, str]:
        return "", ""

    def examine(self) -> StudyFacts:
        self.room.diary.append("examine")
        study, _, _ = self.data.decode().partition(" ")
        return StudyFacts(study, sources=frozenset({self.declared.origin}))

    def commit(self, permit: Permit) -> Receipt:
        self.room.diary.append("commit")
        return self.room.take(bytes(self.data), self.declared.transfer_syntax_uid, self.declared.origin)

    def abort(self) -> None:
        self.room.diary.append("abort")


class MemoryListing(Iterator[Attributes]):
    """A part of a list."""

    def __init__(self, matches: list[Attributes], window: Window) -> None:
        end = window.offset + window.limit
        self._rows = iter(matches[window.offset : end])
        self._remaining = max(0, len(matches) - end)

    @property
    def remaining(self) -> int:
        return self._remaining

    def __next__(self) -> Attributes:
        return next(self._rows)


class MemorySheet(MemoryListing):
    """A page of a list."""

    @property
    def is_counted(self) -> bool:
        return True

    @property
    def last(self) -> Position:
        return ()

    @property
    def received(self) -> dict[str, str]:
        return {}


class MemoryRoom:
    """Studies in a list."""

    def __init__(self, *instances: str) -> None:
        self.diary: list[str] = []
        self.outcome = Stored.STORED
        self.damaged: set[str] = set()
        self.instances: list[tuple[InstanceRecord, bytes]] = []
        for data in instances:
            self.take(data.encode(), "1.2.840.10008.1.2.1", "")

    def take(self, data: bytes, transfer_syntax_uid: str, origin: str) -> Receipt:
        """Keep an instance."""
        study, instance, _ = data.decode().split(" ", 2)
        if any(record.sop_instance_uid == instance for record, _ in self.instances):
            raise Conflict("Another instance has this UID; it was kept aside.")
        record = InstanceRecord(
            row=len(self.instances),
            facts=StudyFacts(study, sources=frozenset({origin})),
            study_uid=study,
            series_uid=study + ".1",
            sop_instance_uid=instance,
            sop_class_uid="1.9",
            transfer_syntax_uid=transfer_syntax_uid,
            size=len(data),
            digest=hashlib.sha256(data).digest(),
        )
        self.instances.append((record, data))
        return Receipt(self.outcome, study, study + ".1", instance, "1.9", len(data))

    def receive(self, permit: Permit, declared: Declared) -> Incoming:
        self.diary.append("receive")
        return MemoryIncoming(self, declared)

    def draft(self, permit: Permit) -> "MemoryDraft":
        del permit
        self.diary.append("draft")
        return MemoryDraft()

    def commit(self, arrivals: Sequence[Arrival]) -> list[Receipt | LeadglassError]:
        outcomes: list[Receipt | LeadglassError] = []
        for arrival in arrivals:
            assert isinstance(arrival.incoming, MemoryIncoming)
            try:
                outcomes.append(arrival.incoming.commit(arrival.permit))
            except LeadglassError as error:
                outcomes.append(error)
        return outcomes

    def facts(self, permit: Permit, study_uid: str) -> StudyFacts | None:
        return next((record.facts for record, _ in self.instances if record.study_uid == study_uid), None)

    def find(self, permit: Permit, query: Query) -> Iterator[Attributes]:
        self.diary.append("find")
        for record, _ in self.instances:
            if permit.scope.covers(record.facts):
                answer: Attributes = {key(PatientName): JsonElement(vr="PN", Value=[{"Alphabetic": "Doe^Jane"}])}
                if query.level is not Level.PATIENT:
                    answer[key(StudyInstanceUID)] = JsonElement(vr="UI", Value=[record.study_uid])
                yield answer

    def search(self, permit: Permit, query: Query, window: Window) -> "MemoryListing":
        return MemoryListing(list(self.find(permit, query)), window)

    def browse(self, permit: Permit, query: Query, page: Page) -> "MemorySheet":
        self.diary.append(f"browse by {page.order}")
        return MemorySheet(list(self.find(permit, query)), Window(page.skipped, page.limit))

    def changes(self, permit: Permit, since: str, limit: int) -> Changes:
        self.diary.append("changes")
        number = int(since or 0)
        rows = [
            (place, record)
            for place, (record, _) in enumerate(self.instances, start=1)
            if place > number and permit.scope.covers(record.facts)
        ][:limit]
        entries = tuple(
            Change(str(place), place, ChangeKind.INSTANCE_STORED, record.study_uid, record.sop_instance_uid, 0)
            for place, record in rows
        )
        return Changes(entries, str(len(self.instances)), is_last=True)

    def newest_change(self, permit: Permit) -> int:
        return len(self.instances)

    def is_unchanged(self, permit: Permit, study_uid: str, since: int) -> bool:
        return len(self.instances) == since

    def locate(self, permit: Permit, level: Level, selection: Selection) -> list[InstanceRecord]:
        self.diary.append("locate")
        return [
            record
            for record, _ in self.instances
            if permit.scope.covers(record.facts)
            and (record.study_uid in selection.study_uids or record.sop_instance_uid in selection.sop_instance_uids)
        ]

    def at_hand(self, permit: Permit, selection: Selection) -> Held | None:
        del permit, selection  # it remembers nothing
        return None

    def ahead(self, permit: Permit, record: InstanceRecord, octets: int) -> Iterator[Described]:
        del permit, record, octets
        return iter(())

    def open(self, permit: Permit, record: InstanceRecord) -> Reader:
        self.diary.append("open")
        if record not in [kept for kept, _ in self.instances]:
            raise NotHere("It is gone.")
        return MemoryReader(self.instances[record.row][1])

    def is_sound(self, permit: Permit, record: InstanceRecord) -> bool:
        self.diary.append("is_sound")
        if record not in [kept for kept, _ in self.instances]:
            raise NotHere("It is gone.")
        return record.sop_instance_uid not in self.damaged

    def contested(self, permit: Permit, origin: str, sop_instance_uids: Collection[str]) -> frozenset[str]:
        kept = {each.sop_instance_uid for each in self.quarantined(permit) if each.origin == origin}
        return frozenset(kept & set(sop_instance_uids))

    def metadata(self, permit: Permit, record: InstanceRecord) -> Attributes:
        return {key(PatientName): JsonElement(vr="PN", Value=[{"Alphabetic": "Doe^Jane"}])}

    def json_texts(self, permit: Permit, records: Sequence[InstanceRecord]) -> list[JsonText]:
        return [JsonText.of(self.metadata(permit, record)) for record in records]

    def frames(self, permit: Permit, record: InstanceRecord) -> FrameTable | None:
        return None

    def delete(self, permit: Permit, study_uid: str) -> Deleted:
        self.diary.append("delete")
        gone = [each for each in self.instances if each[0].study_uid == study_uid]
        self.instances = [each for each in self.instances if each not in gone]
        return Deleted(1, len(gone), sum(len(data) for _, data in gone))

    def label(self, permit: Permit, study_uid: str, label: str, *, is_given: bool) -> bool:
        self.diary.append("label")
        return True

    def labels(self, permit: Permit) -> dict[str, int]:
        self.diary.append("labels")
        return {}

    def studies_of(self, permit: Permit, patient_id: str) -> list[str]:
        self.diary.append("studies_of")
        return sorted({each.study_uid for each, _ in self.instances if each.facts.patient_id == patient_id})

    def quarantined(self, permit: Permit, numbers: Collection[int] | None = None) -> list[Kept]:
        if numbers is not None and 7 not in numbers:
            return []
        return [Kept(7, "first difference at Modality", "1.2", "1.2.1", "1.2.1.1", "CT1", "2026-01-01T00:00:00Z", 5)]

    def look(self, permit: Permit, number: int) -> Looked:
        self.diary.append("look")
        [kept] = self.quarantined(permit, (number,))
        return Looked(kept, "1.9", "1.2.840.10008.1.2.1", b"digest", {}, None, None)

    def open_kept(self, permit: Permit, number: int) -> Reader:
        self.diary.append("open kept")
        return MemoryReader(b"kept")

    def known(self, permit: Permit, marks: Sequence[Mark], origin: str) -> list[bool]:
        self.diary.append("known")
        return [True for _ in marks]

    def resolve_all(self, permit: Permit, numbers: Sequence[int], resolution: Resolution) -> list[str | LeadglassError]:
        outcomes: list[str | LeadglassError] = []
        for number in numbers:
            try:
                outcomes.append(self.resolve(permit, number, resolution))
            except LeadglassError as error:
                outcomes.append(error)
        return outcomes

    def resolve(self, permit: Permit, number: int, resolution: Resolution) -> str:
        self.diary.append("resolve")
        if number != 7:
            raise NotHere("There is no such instance in quarantine.")
        return "Discarded."

    def fsck(self, permit: Permit, progress: Callable[[int, int], None]) -> FsckReport:
        self.diary.append("fsck")
        return FsckReport(len(self.instances), 0, ())
