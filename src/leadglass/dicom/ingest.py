"""Ingest: what a data set is, read once, within limits, before it is kept.

Rule: what cannot be read to its end, or does not say what it is by its four
UIDs, is not kept; everything else is, with a warning.
"""

from dataclasses import dataclass

from leadglass.dicom.frames import FrameTable
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.source import ReadAt
from leadglass.dicom.uids import UID

__all__ = ["Description", "Limits", "describe"]


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
        Everything but group lengths and long binary values, which are there by
        offset and length (``model.bulk_location`` reads them).
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

    Raises
    ------
    BadInput
        Naming what was wrong, never a value.
    Unsupported
        When the transfer syntax is not one of the Standard.
    """
    raise NotImplementedError(source, transfer_syntax_uid, limits)
