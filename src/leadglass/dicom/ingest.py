"""Ingest: what a data set is, read once, within limits, before it is kept.

Rule: what cannot be read to its end, or does not say what it is by its four
UIDs, is not kept; everything else is, with a warning.
"""

from dataclasses import dataclass
from typing import Final

from leadglass.dicom import dictionary, sop_classes, tags, uids
from leadglass.dicom.frame_scan import find_frames, first_value
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.inflate import plain
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.reader import Reading, read
from leadglass.dicom.source import ReadAt
from leadglass.dicom.uids import UID, parse_uid
from leadglass.dicom.values import VRS
from leadglass.dicom.vocabulary import EXPLICIT, IMPLICIT, encoding_of
from leadglass.errors import BadInput

__all__ = ["Description", "Limits", "describe"]

_LONGEST_PATIENT_ID: Final = 256
"""Characters; LO allows 64, and real hashes and concatenations stay below this."""


@dataclass(frozen=True, slots=True)
class Description:
    """What one data set is.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, study_uid, series_uid : UID
        The four UIDs, well-formed.
    patient_id, issuer_of_patient_id : str
        Empty when absent.
    attributes : Attributes
        Everything but group lengths; long and bulky values by offset and
        length (``model.bulk_location`` reads them).
    frames : FrameTable or None
        Where the frames are; None when there is no pixel data, or none that
        can be told apart (then a warning says so).
    warnings : tuple of str
        What was wrong and tolerated; no patient data.
    """

    sop_class_uid: UID
    sop_instance_uid: UID
    study_uid: UID
    series_uid: UID
    patient_id: str
    issuer_of_patient_id: str
    attributes: Attributes
    frames: FrameTable | None
    warnings: tuple[str, ...] = ()


def describe(source: ReadAt, transfer_syntax_uid: str, limits: Limits) -> Description:
    """Read a whole data set's structure, bounded, and say what it is.

    Parameters
    ----------
    source : ReadAt
        The data set as received, without file meta information.
    transfer_syntax_uid : str
        The syntax it was sent in.
    limits : Limits
        What it may cost.

    Raises
    ------
    BadInput
        Naming what was wrong, never a value.
    """
    is_private = transfer_syntax_uid in limits.private_transfer_syntaxes
    if not is_private and not uids.is_transfer_syntax(transfer_syntax_uid):
        raise BadInput(
            "The transfer syntax is not one of the Standard and not listed as a private one to take in "
            "(private_transfer_syntaxes): the data set cannot be read."
        )
    elements = plain(source, transfer_syntax_uid, limits)
    reading = _read_private(elements, limits) if is_private else _read(elements, transfer_syntax_uid, limits)
    attributes = reading.attributes
    if tags.key(tags.DirectoryRecordSequence) in attributes:
        raise BadInput("This is a media directory (DICOMDIR), not an instance; import the files it lists.")
    sop_class_uid = _uid(attributes, tags.SOPClassUID)
    if sop_class_uid == sop_classes.MEDIA_STORAGE_DIRECTORY:
        raise BadInput("This is a media directory (DICOMDIR), not an instance; import the files it lists.")
    patient_id = _text(attributes, tags.PatientID)
    if len(patient_id) > _LONGEST_PATIENT_ID:
        raise BadInput(f"Patient ID is longer than {_LONGEST_PATIENT_ID} characters.")
    frames = None
    if not is_private:  # what its pixel data looks like is its maker's secret
        _check_pixel_form(reading, transfer_syntax_uid)
        frames = find_frames(elements, reading, transfer_syntax_uid, limits)
    return Description(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=_uid(attributes, tags.SOPInstanceUID),
        study_uid=_uid(attributes, tags.StudyInstanceUID),
        series_uid=_uid(attributes, tags.SeriesInstanceUID),
        patient_id=patient_id,
        issuer_of_patient_id=_text(attributes, tags.IssuerOfPatientID)[:_LONGEST_PATIENT_ID],
        attributes=attributes,
        frames=frames,
        warnings=tuple(dict.fromkeys(reading.warnings)),
    )


def _read(source: ReadAt, transfer_syntax_uid: str, limits: Limits) -> Reading:
    encoding = encoding_of(transfer_syntax_uid)
    try:
        return read(source, encoding, limits)
    except BadInput as error:
        looks_explicit = _looks_explicit(source)
        if source.size >= 8 and looks_explicit == encoding.is_implicit:
            looks = "Explicit" if looks_explicit else "Implicit"
            said = "Implicit" if encoding.is_implicit else "Explicit"
            raise BadInput(f"The data set looks like {looks} VR, but was sent as {said} VR. {error.message}") from None
        raise


def _read_private(source: ReadAt, limits: Limits) -> Reading:
    """Read a data set in a private transfer syntax by what it looks like."""
    reading = read(source, EXPLICIT if _looks_explicit(source) else IMPLICIT, limits)
    reading.warnings.append("the transfer syntax is private: no frame can be told apart")
    return reading


def _looks_explicit(source: ReadAt) -> bool:
    vr = source.read_at(4, 2)
    return vr.isalpha() and vr.decode("ascii", "replace") in VRS


def _text(attributes: Attributes, tag: int) -> str:
    value = first_value(attributes, tag)
    return value if isinstance(value, str) else ""


def _uid(attributes: Attributes, tag: int) -> UID:
    values = attributes.get(tags.key(tag), {"vr": ""}).get("Value", [])
    if len(values) != 1 or not isinstance(values[0], str):
        raise BadInput(f"{dictionary.keyword(tag)} is missing, empty or has several values.")
    try:
        return parse_uid(values[0])
    except BadInput as error:
        raise BadInput(f"{dictionary.keyword(tag)} is not a UID. {error.message}") from None


def _check_pixel_form(reading: Reading, transfer_syntax_uid: str) -> None:
    """See that pixel data is encapsulated where, and only where, the transfer syntax says so (PS3.5 section A.4)."""
    pixels = reading.pixels
    if pixels is None or (pixels.fragments is None and not pixels.length):
        return
    is_encapsulated = pixels.fragments is not None
    if is_encapsulated and not uids.is_encapsulated(transfer_syntax_uid):
        raise BadInput("The pixel data is encapsulated, but the transfer syntax is one of native pixel data.")
    if not is_encapsulated and uids.is_encapsulated(transfer_syntax_uid) and pixels.tag == tags.PixelData:
        raise BadInput("The pixel data is native, but the transfer syntax is one of encapsulated pixel data.")
