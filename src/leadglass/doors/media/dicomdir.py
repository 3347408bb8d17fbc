"""DICOMDIR: the directory of an exported file-set (PS3.3 Annex F, PS3.10 section 8).

Rule 1. What is written is computed from the metadata recorded at ingest, in
Unicode, whatever the files themselves are encoded in. Rule 2. Nobody's study is
filed under somebody else: who has no Patient ID is one patient per study.
Rule 3. An attribute that a record must have a value of (Type 1, PS3.3 F.5) and
that no instance gives is made up, in the record alone and never in a data set:

- Patient ID and Study ID: ``NOID-1``, ``NOID-2`` …, never one that is in use;
- Study Date and Time: of the series, the acquisition or the content, in this
  order; likewise the dates of content and creation; else ``19000101``, ``000000``;
- Series Number and Instance Number: the next free one of the study, of the series;
- Modality ``OT``; labels ``UNNAMED``; Completion Flag ``PARTIAL``; Verification
  Flag ``UNVERIFIED``.

Nothing clinical is made up: a title of a document, a dose summation type or a
date of verification that is nowhere stays away.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count, zip_longest
from typing import Final, cast

from leadglass.dicom import dictionary, tags
from leadglass.dicom.codec_io import encode_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

_CONTENT = ("ContentDate", "ContentTime", "InstanceNumber")
_LABELLED = (*_CONTENT, "ContentLabel", "ContentDescription", "ContentCreatorName")
_DOCUMENT = (
    "InstanceNumber", "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime", "ConceptNameCodeSequence",
)  # fmt: skip

_RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "IMAGE": ("ImageType", "InstanceNumber", "Rows", "Columns"),
    "SR DOCUMENT": _DOCUMENT,
    "KEY OBJECT DOC": ("InstanceNumber", "ContentDate", "ContentTime", "ConceptNameCodeSequence"),
    "PRESENTATION": (
        "PresentationCreationDate", "PresentationCreationTime", "InstanceNumber", "ContentLabel", "ContentDescription",
        "ContentCreatorName", "ReferencedSeriesSequence", "BlendingSequence",
    ),
    "WAVEFORM": _CONTENT,
    "RT DOSE": ("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": ("InstanceNumber", "StructureSetLabel", "StructureSetDate", "StructureSetTime"),
    "RT PLAN": ("InstanceNumber", "RTPlanLabel", "RTPlanDate", "RTPlanTime"),
    "RT TREAT RECORD": ("InstanceNumber", "TreatmentDate", "TreatmentTime"),
    "ENCAP DOC": (*_CONTENT, "DocumentTitle", "HL7InstanceIdentifier", "ConceptNameCodeSequence",
        "MIMETypeOfEncapsulatedDocument",
    ),
    "RAW DATA": _CONTENT,
    "SPECTROSCOPY": (
        "ImageType", *_CONTENT, "NumberOfFrames", "Rows", "Columns", "DataPointRows", "DataPointColumns",
    ),
    "REGISTRATION": _LABELLED,
    "FIDUCIAL": _LABELLED,
    "VALUE MAP": _LABELLED,
    "MEASUREMENT": _LABELLED,
    "SURFACE": _LABELLED,
    "TRACT": _LABELLED,
    "ANNOTATION": _LABELLED,
    "STEREOMETRIC": (),
    "SURFACE SCAN": ("ContentDate", "ContentTime"),
    "ASSESSMENT": ("InstanceNumber", "InstanceCreationDate", "InstanceCreationTime"),
    "RADIOTHERAPY": ("InstanceNumber", "UserContentLabel", "UserContentLongLabel", "ContentDescription"),
    "PLAN": (),
    "PRIVATE": (),
}  # fmt: skip
"""Record types (F.5) with the attributes that are copied from the instance."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_BY_SOP_CLASS: Final[tuple[tuple[str, str], ...]] = (
    ("9.", "WAVEFORM"),
    ("11.", "PRESENTATION"),
    ("4.2", "SPECTROSCOPY"),
    ("66", "RAW DATA"),
    ("66.1", "REGISTRATION"),
    ("66.2", "FIDUCIAL"),
    ("66.3", "REGISTRATION"),
    ("66.4", "IMAGE"),
    ("66.5", "SURFACE"),
    ("66.6", "TRACT"),
    ("66.7", "IMAGE"),
    ("66.8", "IMAGE"),
    ("67", "VALUE MAP"),
    ("68.1", "SURFACE SCAN"),
    ("68.2", "SURFACE SCAN"),
    ("77.1.5.3", "STEREOMETRIC"),
    ("78.", "MEASUREMENT"),
    ("79.1", "MEASUREMENT"),
    ("80.1", "MEASUREMENT"),
    ("81.1", "MEASUREMENT"),
    ("82.1", "MEASUREMENT"),
    ("88.", "SR DOCUMENT"),
    ("88.59", "KEY OBJECT DOC"),
    ("90.1", "ASSESSMENT"),
    ("91.1", "ANNOTATION"),
    ("104.", "ENCAP DOC"),
    ("200.", "PLAN"),
    ("481.2", "RT DOSE"),
    ("481.3", "RT STRUCTURE SET"),
    ("481.4", "RT TREAT RECORD"),
    ("481.5", "RT PLAN"),
    ("481.6", "RT TREAT RECORD"),
    ("481.7", "RT TREAT RECORD"),
    ("481.8", "RT PLAN"),
    ("481.9", "RT TREAT RECORD"),
    ("481.10", "RADIOTHERAPY"),
    ("481.11", "RADIOTHERAPY"),
    ("481.12", "RADIOTHERAPY"),
    ("481.13", "RADIOTHERAPY"),
    ("481.14", "RADIOTHERAPY"),
    ("481.15", "RADIOTHERAPY"),
    ("481.16", "RADIOTHERAPY"),
    ("481.17", "RADIOTHERAPY"),
    ("481.18", "RADIOTHERAPY"),
    ("481.19", "RADIOTHERAPY"),
)
"""Record type by what follows the storage root; the longest match counts, a trailing dot takes in all below."""

_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID")
_STUDY = ("StudyDate", "StudyTime", "StudyDescription", "StudyInstanceUID", "StudyID", "AccessionNumber")
_SERIES = ("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription")

_IF_THERE: Final = frozenset({
    "ImageType", "Rows", "Columns", "NumberOfFrames", "DataPointRows", "DataPointColumns", "IssuerOfPatientID",
    "SeriesDescription", "ReferencedSeriesSequence", "BlendingSequence", "DoseSummationType",
    "HL7InstanceIdentifier", "MIMETypeOfEncapsulatedDocument", "UserContentLabel", "UserContentLongLabel",
})  # fmt: skip
"""What a record has with a value or not at all (Type 1C, 3, and Type 1 that is never made up)."""

_MADE_UP: Final[dict[str, str]] = {
    "Modality": "OT",
    "ContentLabel": "UNNAMED",
    "StructureSetLabel": "UNNAMED",
    "RTPlanLabel": "UNNAMED",
    "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED",
}

_FOLLOWING_AT: Final = 8
"""Where the value of Offset of the Next Directory Record is in an encoded record: (0004,1400) UL, its first element."""

_LOWER_AT: Final = 30
"""Likewise of Offset of Referenced Lower-Level Directory Entity, which comes after the flag of two bytes between."""

_SEQUENCE_HEADER: Final = 12
_ITEM_HEADER: Final = 8

_DATES_OF_STUDY = ("Study", "Series", "Acquisition", "Content")
_DATES_OF_INSTANCE = ("Content", "InstanceCreation", "Acquisition", "Series", "Study")
_UNKNOWN_DATE: Final = "19000101"
_UNKNOWN_TIME: Final = "000000"
_DATED: Final[dict[str, str]] = {
    "PRESENTATION": "PresentationCreation",
    "ASSESSMENT": "InstanceCreation",
    **dict.fromkeys(
        (
            "SR DOCUMENT", "KEY OBJECT DOC", "WAVEFORM", "RAW DATA", "SPECTROSCOPY", "REGISTRATION", "FIDUCIAL",
            "VALUE MAP", "MEASUREMENT", "SURFACE", "TRACT", "ANNOTATION", "SURFACE SCAN",
        ),
        "Content",
    ),
}  # fmt: skip
"""The record types that need a date and a time, and which (what stands before ``Date`` and ``Time``)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One exported file.

    Parameters
    ----------
    file_id : tuple of str
        Its path inside the file-set, component by component (PS3.10 section 8.2).
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        What it is.
    attributes : Attributes
        Its metadata.
    """

    file_id: tuple[str, ...]
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    attributes: Attributes


_Moments = dict[str, dict[tuple[str, str], None]]
"""Dates with their times, in the order in which instances gave them, by what stands before ``Date`` and ``Time``."""


@dataclass(slots=True)
class _Leaf:
    """The record of an instance."""

    number: str
    """Its Instance Number; empty while it has none."""
    attributes: Attributes
    """What it says; empty once it is encoded."""
    body: bytearray = field(default_factory=bytearray)
    offset: int = 0


@dataclass(slots=True)
class _Branch:
    """The record of a patient, a study or a series."""

    kind: str
    attributes: Attributes = field(default_factory=Attributes)
    below: "dict[str, _Branch]" = field(default_factory=dict[str, "_Branch"])
    leaves: dict[str, _Leaf] = field(default_factory=dict[str, _Leaf])
    moments: _Moments = field(default_factory=_Moments)
    body: bytearray = field(default_factory=bytearray)
    offset: int = 0

    @property
    def lower(self) -> "list[_Branch] | list[_Leaf]":
        return list(self.below.values()) or list(self.leaves.values())


@cache
def _tags() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in dictionary.elements().items()}


def _tag(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _put(attributes: Attributes, keyword: str, *values: object) -> None:
    tag = _tags()[keyword]
    element: JsonElement = {"vr": dictionary.vr(tag).split(" ", maxsplit=1)[0]}
    if values:
        element["Value"] = list(values)
    attributes[f"{tag:08X}"] = element


def _values(attributes: Attributes, keyword: str) -> list[object]:
    element = attributes.get(f"{_tags()[keyword]:08X}")
    return element.get("Value", []) if element is not None else []


def _texts(attributes: Attributes, keyword: str) -> list[str]:
    return ["" if value is None else str(value).strip() for value in _values(attributes, keyword)]


def _first(attributes: Attributes, keyword: str) -> str:
    """Give the first value as text; empty when there is none, or nothing but spaces."""
    texts = _texts(attributes, keyword)
    return texts[0] if texts else ""


def _has(attributes: Attributes, keyword: str) -> bool:
    return any(_texts(attributes, keyword))


def _copy(source: Attributes, keywords: Iterable[str], to: Attributes) -> None:
    """Copy the attributes that are still without a value; one that may be empty (Type 2) is there without one."""
    for keyword in keywords:
        if _has(to, keyword):
            continue
        if _has(source, keyword):
            key = f"{_tags()[keyword]:08X}"
            to[key] = source[key]
        elif keyword not in _IF_THERE:
            _put(to, keyword)


def record_type(sop_class_uid: str) -> str:
    """Give the type of directory record for instances of a SOP class (PS3.3 section F.4)."""
    if not sop_class_uid.startswith("1.2.840.10008."):
        return "PRIVATE"
    rest = sop_class_uid.removeprefix(_STORAGE)
    best = ""
    found = "IMAGE"
    for start, kind in _BY_SOP_CLASS:
        hit = rest.startswith(start) if start.endswith(".") else rest == start or rest.startswith(start + ".")
        if hit and len(start) > len(best):
            best, found = start, kind
    return found


def _patient_key(attributes: Attributes) -> tuple[str, ...]:
    """Tell patients apart: by ID and issuer; without an ID nothing says that two studies are of one patient."""
    if not _has(attributes, "PatientID"):
        return ("study", _first(attributes, "StudyInstanceUID"))
    # A backslash does not belong in an ID; where there is one, all that it parts is still the ID.
    return ("patient", "\\".join(_texts(attributes, "PatientID")), _first(attributes, "IssuerOfPatientID"))


def _items(attributes: Attributes, keyword: str) -> list[Attributes]:
    return [cast(Attributes, item) for item in _values(attributes, keyword) if isinstance(item, dict)]


def _document(source: Attributes, leaf: Attributes) -> None:
    """Add what the record of a document has on a condition (PS3.3 F.5.25)."""
    modifiers = [
        item for item in _items(source, "ContentSequence") if _first(item, "RelationshipType") == "HAS CONCEPT MOD"
    ]
    if modifiers:
        _put(leaf, "ContentSequence", *modifiers)
    if _first(leaf, "VerificationFlag") == "VERIFIED":
        observers = _items(source, "VerifyingObserverSequence")
        verified = [moment for item in observers if (moment := _first(item, "VerificationDateTime"))]
        if verified:
            _put(leaf, "VerificationDateTime", max(verified))


def _leaf(entry: Entry) -> _Leaf:
    """Make the record of an instance; what it takes from its neighbours, a number, may still be missing."""
    kind = record_type(entry.sop_class_uid)
    said: Attributes = {}
    _copy(entry.attributes, _RECORDS[kind], said)
    if kind in ("SR DOCUMENT", "KEY OBJECT DOC"):
        _document(entry.attributes, said)
    if kind == "PRIVATE":
        _put(said, "PrivateRecordUID", entry.sop_class_uid)
    _put(said, "ReferencedFileID", *entry.file_id)
    _put(said, "ReferencedSOPClassUIDInFile", entry.sop_class_uid)
    _put(said, "ReferencedSOPInstanceUIDInFile", entry.sop_instance_uid)
    _put(said, "ReferencedTransferSyntaxUIDInFile", entry.transfer_syntax_uid)
    _put(said, "DirectoryRecordType", kind)
    _make_up(said)
    if kind in _DATED:
        moments: _Moments = {}
        _note(moments, entry.attributes, _DATES_OF_INSTANCE)
        _date(said, _DATED[kind], _DATES_OF_INSTANCE, moments)
    leaf = _Leaf(_first(said, "InstanceNumber"), said)
    if leaf.number or "InstanceNumber" not in _RECORDS[kind]:
        _settle(leaf)
    return leaf


def _settle(leaf: _Leaf) -> None:
    """Encode a leaf for good: in this form it takes a fiftieth of the memory."""
    leaf.body, leaf.attributes = _encode(leaf.attributes), {}


def _make_up(attributes: Attributes) -> None:
    for keyword, value in _MADE_UP.items():
        if f"{_tags()[keyword]:08X}" in attributes and not _has(attributes, keyword):
            _put(attributes, keyword, value)


def _free(used: set[str], form: str) -> Iterator[str]:
    """Give the next texts, by number, that are not in use."""
    return (text for number in count(1) if (text := form.format(number)) not in used)


def _number(branches: Iterable[_Branch], keyword: str, form: str) -> None:
    """Give those without a value the next number that none of the others has."""
    listed = list(branches)
    free = _free({_first(branch.attributes, keyword) for branch in listed}, form)
    for branch in listed:
        if not _has(branch.attributes, keyword):
            text = next(free)
            _put(branch.attributes, keyword, int(text) if text.isdecimal() else text)


def _number_leaves(leaves: Iterable[_Leaf]) -> None:
    """Give those that need an Instance Number and have none the next one that is free, and encode them."""
    listed = list(leaves)
    free = _free({leaf.number for leaf in listed}, "{}")
    for leaf in listed:
        if not leaf.body:
            _put(leaf.attributes, "InstanceNumber", int(next(free)))
            _settle(leaf)


def _note(moments: _Moments, source: Attributes, names: Iterable[str]) -> None:
    """Keep the dates that an instance gives."""
    for name in names:
        if date := _first(source, name + "Date"):
            moments.setdefault(name, {})[date, _first(source, name + "Time")] = None


def _date(attributes: Attributes, name: str, others: Iterable[str], moments: _Moments) -> None:
    """Give a date and a time that are missing, as near as the instances know; the time is of that same date."""
    day, time = _first(attributes, name + "Date"), _first(attributes, name + "Time")
    if day and time:
        return
    known = [moment for other in others for moment in moments.get(other, ())]
    day = day or (known[0][0] if known else _UNKNOWN_DATE)
    time = time or next((at for date, at in known if date == day and at), _UNKNOWN_TIME)
    _put(attributes, name + "Date", day)
    _put(attributes, name + "Time", time)


def _encode(attributes: Attributes) -> bytearray:
    """Encode one record, its offsets still 0."""
    whole = dict(attributes)
    _put(whole, "OffsetOfTheNextDirectoryRecord", 0)
    _put(whole, "RecordInUseFlag", 0xFFFF)
    _put(whole, "OffsetOfReferencedLowerLevelDirectoryEntity", 0)
    return bytearray(encode_identifier(whole, EXPLICIT_VR_LITTLE_ENDIAN))


def _point(body: bytearray, following: int, lower: int) -> None:
    """Put the offsets into an encoded record: they are its first and its third element, of four bytes each."""
    struct.pack_into("<I", body, _FOLLOWING_AT, following)
    struct.pack_into("<I", body, _LOWER_AT, lower)


def _in_order(level: Iterable[_Branch]) -> Iterator[_Branch | _Leaf]:
    """Give the records of a level and below, each before those below it."""
    for branch in level:
        yield branch
        yield from _in_order(branch.below.values())
        yield from branch.leaves.values()


def _link(level: Sequence[_Branch | _Leaf]) -> None:
    """Tell each record of a level and below where its neighbours are."""
    for here, following in zip_longest(level, level[1:]):
        lower = here.lower if isinstance(here, _Branch) else []
        _point(here.body, following.offset if following else 0, lower[0].offset if lower else 0)
        _link(lower)


def _general(first: int, last: int) -> bytes:
    attributes: Attributes = {}
    _put(attributes, "FileSetID", "LEADGLASS")
    _put(attributes, "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity", first)
    _put(attributes, "OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity", last)
    _put(attributes, "FileSetConsistencyFlag", 0)
    return encode_identifier(attributes, EXPLICIT_VR_LITTLE_ENDIAN)


class Directory:
    """The directory of one file-set, as its files are added: some 700 bytes of memory for each."""

    def __init__(self) -> None:
        self._patients: dict[str, _Branch] = {}

    def add(self, entry: Entry) -> None:
        """Add a file; they are listed in this order."""
        here = entry.attributes
        keys = (
            ("\0".join(_patient_key(here)), "PATIENT", _PATIENT),
            (_first(here, "StudyInstanceUID"), "STUDY", _STUDY),
            (_first(here, "SeriesInstanceUID"), "SERIES", _SERIES),
        )
        level = self._patients
        branch = None
        for key, kind, keywords in keys:
            branch = level.setdefault(key, _Branch(kind))
            _copy(here, keywords, branch.attributes)
            if kind == "STUDY":
                _note(branch.moments, here, _DATES_OF_STUDY)
            level = branch.below
        if branch is not None:
            branch.leaves[entry.sop_instance_uid] = _leaf(entry)

    def _complete(self) -> None:
        """Give each attribute of Type 1 a value (the third rule), and encode what is not yet."""
        patients = list(self._patients.values())
        studies = [study for patient in patients for study in patient.below.values()]
        _number(patients, "PatientID", "NOID-{}")
        _number(studies, "StudyID", "NOID-{}")
        for study in studies:
            _date(study.attributes, "Study", _DATES_OF_STUDY, study.moments)
            _number(study.below.values(), "SeriesNumber", "{}")
            for series in study.below.values():
                _make_up(series.attributes)
                _number_leaves(series.leaves.values())
        for record in _in_order(patients):
            if isinstance(record, _Branch):
                _put(record.attributes, "DirectoryRecordType", record.kind)
                record.body = _encode(record.attributes)

    def blocks(self, sop_instance_uid: str) -> Iterator[bytes]:
        """Give the DICOMDIR file, in pieces; nothing is added after that.

        Parameters
        ----------
        sop_instance_uid : str
            The UID of this file-set.
        """
        self._complete()
        meta = file_meta(MEDIA_STORAGE_DIRECTORY, sop_instance_uid, EXPLICIT_VR_LITTLE_ENDIAN)
        roots = list(self._patients.values())
        begin = at = len(meta) + len(_general(0, 0)) + _SEQUENCE_HEADER
        for record in _in_order(roots):
            record.offset = at
            at += _ITEM_HEADER + len(record.body)
        _link(roots)
        yield meta
        yield _general(roots[0].offset if roots else 0, roots[-1].offset if roots else 0)
        yield _tag(tags.DirectoryRecordSequence) + struct.pack("<2sHI", b"SQ", 0, at - begin)
        for record in _in_order(roots):
            yield _tag(tags.Item) + struct.pack("<I", len(record.body)) + record.body
