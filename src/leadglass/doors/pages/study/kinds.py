"""Kinds: what an instance is to somebody who wants to see it.

Rule: a guess by its class and transfer syntax, which costs nothing; whether there
are pixels that can be shown is known only when it is looked at.
"""

from enum import StrEnum
from typing import Final

from leadglass.dicom.uids import VIDEO
from leadglass.doors.media.dicomdir import record_type


class Kind(StrEnum):
    """What an instance is. The value is an English text, translated when it is shown."""

    IMAGE = "Image"
    VIDEO = "Video"
    PDF = "PDF document"
    CDA = "Clinical document"
    MODEL = "Model"
    REPORT = "Report"
    KEY_OBJECTS = "Key images"
    WAVEFORM = "Curves"
    PRESENTATION = "Presentation state"
    RADIOTHERAPY = "Radiotherapy"
    OTHER = "Other object"


_ENCAPSULATED: Final = "1.2.840.10008.5.1.4.1.1.104."
_DOCUMENTS: Final = {f"{_ENCAPSULATED}1": Kind.PDF, f"{_ENCAPSULATED}2": Kind.CDA}
_BY_RECORD: Final = {
    "IMAGE": Kind.IMAGE,
    "RT DOSE": Kind.IMAGE,
    "PRIVATE": Kind.IMAGE,
    "SR DOCUMENT": Kind.REPORT,
    "KEY OBJECT DOC": Kind.KEY_OBJECTS,
    "WAVEFORM": Kind.WAVEFORM,
    "PRESENTATION": Kind.PRESENTATION,
    "RT STRUCTURE SET": Kind.RADIOTHERAPY,
    "RT PLAN": Kind.RADIOTHERAPY,
    "RT TREAT RECORD": Kind.RADIOTHERAPY,
    "RADIOTHERAPY": Kind.RADIOTHERAPY,
    "ENCAP DOC": Kind.MODEL,
}
"""By the type of directory record (PS3.3 section F.4), which the Standard has for each class."""


def kind_of(sop_class_uid: str, transfer_syntax_uid: str) -> Kind:
    """Say what an instance is, by its class and its transfer syntax."""
    kind = _DOCUMENTS.get(sop_class_uid) or _BY_RECORD.get(record_type(sop_class_uid), Kind.OTHER)
    return Kind.VIDEO if kind is Kind.IMAGE and transfer_syntax_uid in VIDEO else kind
