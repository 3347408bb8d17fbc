"""DICOMDIR: the directory of an exported file-set (PS3.3 Annex F, PS3.10 section 8).

Rule: what is written is computed from the metadata recorded at ingest, in
Unicode, whatever the files themselves are encoded in.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from leadglass.dicom import dictionary, tags
from leadglass.dicom.codec_io import encode_identifier
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

_CONTENT = ("ContentDate", "ContentTime", "InstanceNumber")
_LABELLED = (*_CONTENT, "ContentLabel", "ContentDescription", "ContentCreatorName")
_DOCUMENT = (
    "InstanceNumber", "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime", "VerificationDateTime",
    "ConceptNameCodeSequence",
)  # fmt: skip

_RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "IMAGE": ("ImageType", "InstanceNumber", "Rows", "Columns"),
    "SR DOCUMENT": _DOCUMENT,
    "KEY OBJECT DOC": ("InstanceNumber", "ContentDate", "ContentTime", "ConceptNameCodeSequence"),
    "PRESENTATION": (
        "PresentationCreationDate", "PresentationCreationTime", "InstanceNumber", "ContentLabel", "ContentDescription",
        "ContentCreatorName",
    ),
    "WAVEFORM": _CONTENT,
    "RT DOSE": ("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": ("InstanceNumber", "StructureSetLabel", "StructureSetDate", "StructureSetTime"),
    "RT PLAN": ("InstanceNumber", "RTPlanLabel", "RTPlanDate", "RTPlanTime"),
    "RT TREAT RECORD": ("InstanceNumber", "TreatmentDate", "TreatmentTime"),
    "ENCAP DOC": (*_CONTENT, "DocumentTitle", "ConceptNameCodeSequence", "MIMETypeOfEncapsulatedDocument"),
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

_PATIENT = ("PatientName", "PatientID")
_STUDY = ("StudyDate", "StudyTime", "StudyDescription", "StudyInstanceUID", "StudyID", "AccessionNumber")
_SERIES = ("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription")


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


@dataclass(slots=True)
class _Record:
    """A node of the directory's tree."""

    kind: str
    attributes: Attributes
    below: "dict[str, _Record]" = field(default_factory=dict[str, "_Record"])
    body: bytes = b""
    offset: int = 0

    @property
    def size(self) -> int:
        return 8 + len(self.body)


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


def _copied(source: Attributes, keywords: Iterable[str]) -> Attributes:
    """Copy attributes; those that are not there stay there without a value, as most readers want to see them."""
    copied: Attributes = {}
    for keyword in keywords:
        key = f"{_tags()[keyword]:08X}"
        if key in source:
            copied[key] = source[key]
        else:
            _put(copied, keyword)
    return copied


def _first(attributes: Attributes, keyword: str) -> str:
    element = attributes.get(f"{_tags()[keyword]:08X}")
    values = element.get("Value", []) if element is not None else []
    return str(values[0]) if values else ""


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


def _tree(entries: Iterable[Entry]) -> dict[str, _Record]:
    """Sort the entries into patients, studies, series and instances."""
    patients: dict[str, _Record] = {}
    for entry in entries:
        here = entry.attributes
        keys = (
            (_first(here, "PatientID") + "\0" + _first(here, "IssuerOfPatientID"), "PATIENT", _PATIENT),
            (_first(here, "StudyInstanceUID"), "STUDY", _STUDY),
            (_first(here, "SeriesInstanceUID"), "SERIES", _SERIES),
        )
        level = patients
        for key, kind, keywords in keys:
            if key not in level:
                level[key] = _Record(kind, _copied(here, keywords))
            level = level[key].below
        kind = record_type(entry.sop_class_uid)
        leaf = _copied(here, _RECORDS[kind])
        if kind == "PRIVATE":
            _put(leaf, "PrivateRecordUID", entry.sop_class_uid)
        _put(leaf, "ReferencedFileID", *entry.file_id)
        _put(leaf, "ReferencedSOPClassUIDInFile", entry.sop_class_uid)
        _put(leaf, "ReferencedSOPInstanceUIDInFile", entry.sop_instance_uid)
        _put(leaf, "ReferencedTransferSyntaxUIDInFile", entry.transfer_syntax_uid)
        level[entry.sop_instance_uid] = _Record(kind, leaf)
    return patients


def _encode(record: _Record, following: int) -> bytes:
    """Encode one record, given where its next sibling is."""
    lower = next(iter(record.below.values())).offset if record.below else 0
    attributes = dict(record.attributes)
    _put(attributes, "OffsetOfTheNextDirectoryRecord", following)
    _put(attributes, "RecordInUseFlag", 0xFFFF)
    _put(attributes, "OffsetOfReferencedLowerLevelDirectoryEntity", lower)
    _put(attributes, "DirectoryRecordType", record.kind)
    return encode_identifier(attributes, EXPLICIT_VR_LITTLE_ENDIAN)


def _in_order(level: dict[str, _Record]) -> list[_Record]:
    """Give the records of a level and below, each before those below it."""
    listed: list[_Record] = []
    for record in level.values():
        listed.append(record)
        listed.extend(_in_order(record.below))
    return listed


def _link(level: dict[str, _Record]) -> None:
    """Encode each record of a level and below with its true offsets."""
    siblings = list(level.values())
    for number, here in enumerate(siblings, 1):
        here.body = _encode(here, siblings[number].offset if number < len(siblings) else 0)
        _link(here.below)


def _general(first: int, last: int) -> bytes:
    attributes: Attributes = {}
    _put(attributes, "FileSetID", "LEADGLASS")
    _put(attributes, "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity", first)
    _put(attributes, "OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity", last)
    _put(attributes, "FileSetConsistencyFlag", 0)
    return encode_identifier(attributes, EXPLICIT_VR_LITTLE_ENDIAN)


def write(entries: Iterable[Entry], sop_instance_uid: str) -> bytes:
    """Give the whole DICOMDIR file of a file-set.

    Parameters
    ----------
    entries : iterable of Entry
        The files, in the order they are to be listed.
    sop_instance_uid : str
        The UID of this file-set.
    """
    patients = _tree(entries)
    meta = file_meta(MEDIA_STORAGE_DIRECTORY, sop_instance_uid, EXPLICIT_VR_LITTLE_ENDIAN)
    records = _in_order(patients)
    # Offsets are four bytes whatever their value: encode once for the sizes, once more with the truth.
    for record in records:
        record.body = _encode(record, 0)
    at = len(meta) + len(_general(0, 0)) + 12
    for record in records:
        record.offset = at
        at += record.size
    _link(patients)
    roots = list(patients.values())
    general = _general(roots[0].offset if roots else 0, roots[-1].offset if roots else 0)
    sequence = b"".join(_tag(tags.Item) + struct.pack("<I", len(record.body)) + record.body for record in records)
    header = _tag(tags.DirectoryRecordSequence) + struct.pack("<2sHI", b"SQ", 0, len(sequence))
    return meta + general + header + sequence
