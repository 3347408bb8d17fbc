"""What became of a STOW-RS request: the Store Instances Response Module (PS3.18 10.5.3, Annex I).

Rule 1. Every kind of error has its Failure Reason; a test walks them all. Rule 2.
Each part of the request is answered once, in the order in which the parts came.
Rule 3. Why something was refused stays in the audit log: a sender hears the reason's
code and never a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from leadglass.archive.backroom import NotAsDeclared, NotInStudy, NotTakenIn, Receipt
from leadglass.dicom import tags
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import Kind, LeadglassError


class FailureReason(IntEnum):
    """Values of Failure Reason (0008,1197) that this archive gives.

    PS3.18 Table I.2-2; 0111H and 0124H are those of PS3.7 Annex C, A901H is within
    the Standard's range for a data set that is not what it was said to be.
    """

    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH_SOP_CLASS = 0xA900
    NOT_IN_STUDY = 0xA901
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


class WarningReason(IntEnum):
    """Values of Warning Reason (0008,1196) that this archive gives (PS3.18 Table I.2-1)."""

    DOES_NOT_MATCH_SOP_CLASS = 0xB007


REASONS: Final = MappingProxyType(
    {
        Kind.DENIED: FailureReason.NOT_AUTHORIZED,
        Kind.NOT_HERE: FailureReason.PROCESSING_FAILURE,
        Kind.BAD_INPUT: FailureReason.CANNOT_UNDERSTAND,
        Kind.CONFLICT: FailureReason.DUPLICATE_SOP_INSTANCE,
        Kind.BUSY: FailureReason.OUT_OF_RESOURCES,
        Kind.THROTTLED: FailureReason.OUT_OF_RESOURCES,
        Kind.FULL: FailureReason.OUT_OF_RESOURCES,
        Kind.CORRUPT: FailureReason.PROCESSING_FAILURE,
        Kind.UNSUPPORTED: FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED,
        Kind.MISCONFIGURED: FailureReason.PROCESSING_FAILURE,
    }
)
"""Kind → reason."""


def reason_of(error: LeadglassError) -> FailureReason:
    """Give the Failure Reason for an error."""
    if isinstance(error, NotInStudy):
        return FailureReason.NOT_IN_STUDY
    if isinstance(error, NotTakenIn):
        return FailureReason.SOP_CLASS_NOT_SUPPORTED
    if isinstance(error, NotAsDeclared):
        return FailureReason.DOES_NOT_MATCH_SOP_CLASS
    return REASONS[error.kind]


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that is on stable storage."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    warning: WarningReason | None = None
    receipt: Receipt | None = field(default=None, compare=False, repr=False)
    """What the archive said, for a door that may tell more than the Standard has words for."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A part of which nothing was stored; the UIDs are empty, both, where the part does not tell them."""

    reason: FailureReason
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    error: LeadglassError | None = field(default=None, compare=False, repr=False)
    """What was wrong, for a door that may tell."""


Became = Stored | Failed
"""What became of one instance."""


def status_of(outcomes: Sequence[Became]) -> HTTPStatus:
    """Give the status for what became of the instances (PS3.18 Table 10.5.3-1)."""
    if not any(isinstance(outcome, Stored) for outcome in outcomes):
        return HTTPStatus.CONFLICT
    is_whole = all(isinstance(outcome, Stored) and outcome.warning is None for outcome in outcomes)
    return HTTPStatus.OK if is_whole else HTTPStatus.ACCEPTED


def response_module(outcomes: Sequence[Became], base: str, study_uid: str = "") -> Attributes:
    """Make the Store Instances Response Module (PS3.18 Table I.1-1).

    Parameters
    ----------
    outcomes : sequence of Became
        What became of each part.
    base : str
        The URL of the service, up to ``/dicom-web``.
    study_uid : str
        The study the request was for; empty when it was for none.
    """
    studies = {outcome.study_uid for outcome in outcomes if isinstance(outcome, Stored)}
    referenced: list[Attributes] = []
    failed: list[Attributes] = []
    other: list[Attributes] = []
    for outcome in outcomes:
        match outcome:
            case Stored():
                referenced.append(_stored(outcome, base))
            case Failed(reason, "" | None, _) | Failed(reason, _, "" | None):
                other.append(_number(tags.FailureReason, reason))
            case Failed(reason, instance_uid, class_uid):
                failed.append({**_reference(class_uid, instance_uid), **_number(tags.FailureReason, reason)})
    retrievable = study_uid if study_uid in studies else next(iter(studies)) if len(studies) == 1 else ""
    module: Attributes = _url(f"{base}/studies/{retrievable}" if retrievable else "")
    for tag, items in (
        (tags.FailedSOPSequence, failed),
        (tags.ReferencedSOPSequence, referenced),
        (tags.OtherFailuresSequence, other),
    ):
        if items:
            module[tags.key(tag)] = JsonElement(vr="SQ", Value=items)
    return module


def _stored(outcome: Stored, base: str) -> Attributes:
    url = f"{base}/studies/{outcome.study_uid}/series/{outcome.series_uid}/instances/{outcome.sop_instance_uid}"
    item = {**_reference(outcome.sop_class_uid, outcome.sop_instance_uid), **_url(url)}
    return item if outcome.warning is None else {**item, **_number(tags.WarningReason, outcome.warning)}


def _reference(class_uid: str, instance_uid: str) -> Attributes:
    return {
        tags.key(tags.ReferencedSOPClassUID): JsonElement(vr="UI", Value=[class_uid]),
        tags.key(tags.ReferencedSOPInstanceUID): JsonElement(vr="UI", Value=[instance_uid]),
    }


def _url(url: str) -> Attributes:
    return {tags.key(tags.RetrieveURL): JsonElement(vr="UR", Value=[url]) if url else JsonElement(vr="UR")}


def _number(tag: int, value: int) -> Attributes:
    return {tags.key(tag): JsonElement(vr="US", Value=[int(value)])}
