"""BackRoom: where the images are, as the archive sees it.

Rule: every method demands a Permit, and applies the permit's scope to whatever
it touches; what is outside the scope is not here.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

from leadglass.archive.changed import Changes
from leadglass.archive.lists import Listing, Page, Sheet, Window
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.json_text import JsonText
from leadglass.dicom.matching import Level, Query
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput, LeadglassError
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit


class Stored(StrEnum):
    """What became of an instance that was handed in."""

    STORED = "stored"
    ALREADY_HERE = "already here"
    HEALED = "healed"
    """It was here, its copy was damaged, and this one replaces it."""
    KEPT_ASIDE = "kept aside"
    """It waits in quarantine, because its sender may hand in and not store. Nothing is said of what is stored."""


class NotAsDeclared(BadInput):
    """The data set is readable and is not what its sender said it was; DIMSE has a status of its own for it."""


class NotTakenIn(BadInput):
    """The SOP class is none of storage, or a private one that the operator did not list."""

    def __init__(self) -> None:
        super().__init__(
            "The SOP class is not one that this archive takes in; private ones are listed (ingest.private_sop_classes)."
        )


class NotInStudy(NotAsDeclared):
    """The data set is one of another study than its sender said; DICOMweb has a reason of its own for it."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a sender says of an instance before its data set arrives.

    Parameters
    ----------
    transfer_syntax_uid : str
        The syntax the data set is in.
    sop_class_uid, sop_instance_uid : str
        Affected SOP Class and Instance UID of the C-STORE-RQ, or those of the
        file meta information; empty when nothing was said. What is said must
        be true.
    origin : str
        The name of the source, for ``StudyFacts.sources``.
    study_uid : str
        The study it was sent to; empty when it was sent to none.
    """

    transfer_syntax_uid: str
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    origin: str = ""
    study_uid: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an instance is on stable storage.

    Parameters
    ----------
    outcome : Stored
        Whether it is new.
    study_uid, series_uid, sop_instance_uid, sop_class_uid : str
        What it is.
    size : int
        Bytes of the data set.
    warnings : tuple of str
        What a reader of this instance should know; no patient data.
    """

    outcome: Stored
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    size: int
    warnings: tuple[str, ...] = ()


class Incoming(Protocol):
    """An instance on its way in. Nothing of it can be seen before ``BackRoom.commit`` returns."""

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes of the data set.

        Raises
        ------
        Full
            When the disk is full or the instance is larger than allowed.
        """
        ...

    @property
    def identity(self) -> tuple[str, str]:
        """SOP Class and Instance UID as its data set says, once that was read; empty before, and where it cannot be."""
        ...

    def examine(self) -> StudyFacts:
        """Read the whole instance's header and give the facts of its study; call once, after the last ``write``.

        The facts are those the study will have with this instance in it; of
        what is submitted, those that the instance alone tells.

        Raises
        ------
        BadInput
            When it is not a data set that can be kept: not readable within
            limits, or without the four UIDs.
        NotAsDeclared, NotInStudy
            When its SOP Class, SOP Instance or Study Instance UID is not what was declared.
        """
        ...

    def abort(self) -> None:
        """Forget it; nothing stays on disk. Harmless after ``commit``."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """An examined instance, and the permit to keep it."""

    incoming: Incoming
    permit: Permit


@dataclass(frozen=True, slots=True)
class Selection:
    """Which instances, by unique keys (PS3.4 C.4.2.1.4.1, C.4.3.1.3.1); an empty tuple asks nothing at that level."""

    patient_ids: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One stored instance, found.

    Parameters
    ----------
    row : int
        The back room's own key.
    facts : StudyFacts
        Of its study.
    study_uid, series_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid : str
        What it is and how it is encoded.
    size : int
        Bytes of the data set as stored.
    digest : bytes
        SHA-256 of the data set as received.
    """

    row: int
    facts: StudyFacts
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    digest: bytes


class Reader(Protocol):
    """An opened instance: a ``ReadAt`` that is closed after use."""

    @property
    def size(self) -> int:
        """Length of the data set in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``.

        Raises
        ------
        Corrupt
            When what is on disk fails its authentication.
        """
        ...

    def view_at(self, offset: int, length: int) -> memoryview:
        """Give the same bytes in memory of their own, for who only hands them on; raises as ``read_at``."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Held(Protocol):
    """An instance of which is known, at this moment and from memory, what it is and how it is opened."""

    @property
    def record(self) -> InstanceRecord:
        """Which."""
        ...

    def open(self) -> Reader:
        """Open it; this and reading raise ``NotAtHand`` where they would have to wait for the disk."""
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """An instance, and what has to be known of it to give its frames.

    Parameters
    ----------
    record : InstanceRecord
        Which.
    frames : FrameTable or None
        Where its frames are.
    attributes : Attributes
        Its metadata, unmasked.
    """

    record: InstanceRecord
    frames: FrameTable | None
    attributes: Attributes


class Draft(Protocol):
    """Bytes that wait for the instance they belong to; only who holds this finds them, and no crash leaves them."""

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes; raises ``Full``."""
        ...

    def finish(self) -> Reader:
        """Give what was written, for reading; nothing can be added any more."""
        ...

    def abort(self) -> None:
        """Forget it; harmless when ``finish`` gave a reader, which is closed by who has it."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance in quarantine.

    Parameters
    ----------
    number : int
        What the operator calls it by.
    reason : str
        Why it was kept aside; no patient data.
    study_uid, series_uid, sop_instance_uid : str
        What it says it is.
    origin : str
        Who sent it.
    received : str
        When, ISO 8601 in UTC.
    size : int
        Bytes.
    is_submitted : bool
        Whether it was handed in to be looked at, and not kept for what is wrong with it.
    patient_id : str
        Of whom it says that it is.
    """

    number: int
    reason: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    origin: str
    received: str
    size: int
    is_submitted: bool = False
    patient_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Looked:
    """One instance in quarantine, looked into.

    Parameters
    ----------
    kept : Kept
        Which.
    sop_class_uid, transfer_syntax_uid : str
        What it is and how it is encoded.
    digest : bytes
        SHA-256 of the data set as received.
    attributes : Attributes
        All of them, as at ingest.
    frames : FrameTable or None
        Where its frames are.
    standing : InstanceRecord or None
        What is stored under its SOP Instance UID, where the permit covers that.
    """

    kept: Kept
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: bytes
    attributes: Attributes
    frames: FrameTable | None
    standing: InstanceRecord | None


@dataclass(frozen=True, slots=True)
class Mark:
    """What a sender knows an instance by before it sends it.

    Parameters
    ----------
    sop_instance_uid : str
        Its SOP Instance UID.
    digest : bytes
        SHA-256 of its data set.
    """

    sop_instance_uid: str
    digest: bytes


class Resolution(StrEnum):
    """What to do with an instance in quarantine."""

    ACCEPT = "accept"
    """File it. Where another instance has its UID, the two change places: that one goes to quarantine."""
    DISCARD = "discard"
    """Delete it, and the key that opens it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that ``fsck`` found.

    Parameters
    ----------
    what : str
        ``missing object``, ``object fails authentication``, ``digest differs``, ``orphan object``, …
    where : str
        Study, series and instance UID or object name; no patient data.
    remedy : str
        What the operator can do.
    """

    what: str
    where: str
    remedy: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What ``fsck`` read and found."""

    instances: int
    octets: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion removed.

    Parameters
    ----------
    studies, instances : int
        How many.
    octets : int
        Bytes of data sets, those in quarantine included.
    quarantined : int
        Instances under the study's UID that were in quarantine.
    """

    studies: int
    instances: int
    octets: int
    quarantined: int = 0


class BackRoom(Protocol):
    """Where the images are."""

    def receive(self, permit: Permit, declared: Declared) -> Incoming:
        """Begin to take in one instance; with a permit to submit it will go to quarantine, whatever it is."""
        ...

    def draft(self, permit: Permit) -> Draft:
        """Begin to keep bytes until their instance is whole; a permit to store or submit is one for this."""
        ...

    def commit(self, arrivals: Sequence[Arrival]) -> list[Receipt | LeadglassError]:
        """Put objects and index rows on stable storage, then give what became of each, in their order.

        ``Denied``: the permit does not cover the study. ``Conflict``: it
        contradicts what is stored, and is kept in quarantine. ``Corrupt``: it
        is here already, damaged, and this one cannot stand for it. ``Full``,
        ``Busy``: as they say.
        """
        ...

    def facts(self, permit: Permit, study_uid: str) -> StudyFacts | None:
        """Give the facts of one study, whatever the permit's scope (they are for a decision); None when not here."""
        ...

    def find(self, permit: Permit, query: Query) -> Iterator[Attributes]:
        """Give the matches of a query at its level, in a stable order, a page at a time.

        Gives ``matching.NO_MATCH`` for each row that was looked at and is none.
        """
        ...

    def search(self, permit: Permit, query: Query, window: Window) -> Listing:
        """Give a window of a query's matches, newest study first.

        Then by Study Instance UID; series and instances by their numbers, those
        without one last, then by their UIDs.
        """
        ...

    def browse(self, permit: Permit, query: Query, page: Page) -> Sheet:
        """Give a page of a list of studies; raises ``Unsupported`` for a query that it cannot sort.

        Keys that narrow are Study Date, Modalities in Study and, as somebody
        remembers it, Patient's Name; ``query.words`` says the rest.
        """
        ...

    def changes(self, permit: Permit, since: str, limit: int) -> Changes:
        """Give what happened after a cursor, ``""`` being the beginning.

        Raises
        ------
        BadInput
            When it is no cursor of this archive and this caller.
        """
        ...

    def newest_change(self, permit: Permit) -> int:
        """Give a number that grows with every change, to see whether there was one; never shown."""
        ...

    def is_unchanged(self, permit: Permit, study_uid: str, since: int) -> bool:
        """Say whether nothing happened to a study after a ``newest_change``; False, too, where that takes long."""
        ...

    def locate(self, permit: Permit, level: Level, selection: Selection) -> list[InstanceRecord]:
        """Give the selected instances, by study, series and Instance Number."""
        ...

    def open(self, permit: Permit, record: InstanceRecord) -> Reader:
        """Open one instance for reading.

        Raises
        ------
        NotHere
            When it is not here any more, for this permit and with the content that was located.
        Busy
            When the permit masks more of its study by now than by the record's facts. ``metadata``, ``json_texts``
            and ``frames`` raise the same.
        """
        ...

    def at_hand(self, permit: Permit, selection: Selection) -> Held | None:
        """Give the one instance that is selected, where nothing has to be waited for; None says nothing of it."""
        ...

    def ahead(self, permit: Permit, record: InstanceRecord, octets: int) -> Iterator[Described]:
        """Give what is at hand of an instance's series, what comes after it first, up to so many octets of objects.

        The system is told that it will be asked for them.
        """
        ...

    def is_sound(self, permit: Permit, record: InstanceRecord) -> bool:
        """Say whether one instance's object opens to its last byte.

        Raises
        ------
        NotHere
            When it is not here any more.
        Busy
            When nobody knows now.
        """
        ...

    def contested(self, permit: Permit, origin: str, sop_instance_uids: Collection[str]) -> frozenset[str]:
        """Give those of which something that ``origin`` sent is in quarantine."""
        ...

    def metadata(self, permit: Permit, record: InstanceRecord) -> Attributes:
        """Give the DICOM JSON metadata recorded at ingest."""
        ...

    def json_texts(self, permit: Permit, records: Sequence[InstanceRecord]) -> list[JsonText]:
        """Give the same of many instances, in their order, unread: of the first, and of more that are not too large.

        Raises
        ------
        NotHere
            When one of them is not here any more.
        """
        ...

    def frames(self, permit: Permit, record: InstanceRecord) -> FrameTable | None:
        """Give where the frames of one instance are; None when it has none that can be told apart."""
        ...

    def delete(self, permit: Permit, study_uid: str) -> Deleted:
        """Delete a study: its key first, then its objects, and what quarantine holds under its UID.

        Raises
        ------
        NotHere
            When there is no such study in the permit's scope.
        """
        ...

    def label(self, permit: Permit, study_uid: str, label: str, *, is_given: bool) -> bool:
        """Give a study a label, or take it away; gives whether anything changed, raises ``NotHere``."""
        ...

    def labels(self, permit: Permit) -> dict[str, int]:
        """Give every label and how many studies have it."""
        ...

    def studies_of(self, permit: Permit, patient_id: str) -> list[str]:
        """Give the Study Instance UIDs of a patient, the newest first, some hundred at most; nothing else of them."""
        ...

    def quarantined(self, permit: Permit, numbers: Collection[int] | None = None) -> list[Kept]:
        """List what is in quarantine, or what of some numbers is."""
        ...

    def look(self, permit: Permit, number: int) -> Looked:
        """Look into one instance in quarantine; raises ``NotHere``, ``Corrupt``, ``BadInput``."""
        ...

    def open_kept(self, permit: Permit, number: int) -> Reader:
        """Open one instance in quarantine; raises ``NotHere``, ``Corrupt``."""
        ...

    def known(self, permit: Permit, marks: Sequence[Mark], origin: str) -> list[bool]:
        """Say of each whether sending it again would change nothing.

        With a permit to store: it is stored in a study that the permit covers,
        and its object opens. With one to submit: ``origin`` itself handed it in.
        """
        ...

    def resolve(self, permit: Permit, number: int, resolution: Resolution) -> str:
        """Decide over one instance in quarantine; gives a sentence that says what was done."""
        ...

    def resolve_all(self, permit: Permit, numbers: Sequence[int], resolution: Resolution) -> list[str | LeadglassError]:
        """Decide over many alike, each for itself; gives what ``resolve`` would give or raise, in their order."""
        ...

    def fsck(self, permit: Permit, progress: Callable[[int, int], None]) -> FsckReport:
        """Re-read everything; ``progress`` is told (instances read, instances in all)."""
        ...
