"""Reading the identifier of a C-GET or C-MOVE: which instances, by unique keys (PS3.4 C.4.2.1.4, C.4.3.1.3).

Rule: a retrieval names what it wants. A missing or empty unique key never means
everything, and wild cards mean themselves.
"""

from typing import Final, cast

from leadglass.archive.backroom import Selection
from leadglass.dicom.matching import Level, Root
from leadglass.dicom.model import Attributes
from leadglass.dicom.tags import (
    PatientID,
    QueryRetrieveLevel,
    SeriesInstanceUID,
    SOPInstanceUID,
    StudyInstanceUID,
    key,
)
from leadglass.dicom.uids import parse_uid
from leadglass.errors import BadInput

LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
"""From the top."""

_UNIQUE_KEY: Final = {
    Level.PATIENT: (PatientID, "Patient ID"),
    Level.STUDY: (StudyInstanceUID, "Study Instance UID"),
    Level.SERIES: (SeriesInstanceUID, "Series Instance UID"),
    Level.IMAGE: (SOPInstanceUID, "SOP Instance UID"),
}


def read_selection(identifier: Attributes, root: Root, *, relational: bool) -> tuple[Level, Selection]:
    """Read level and unique keys.

    Parameters
    ----------
    identifier : Attributes
        As received.
    root : Root
        The information model of the SOP class; in Study Root there is no PATIENT level.
    relational : bool
        Whether relational retrieval was negotiated: then the keys above the
        level may be left out.

    Raises
    ------
    BadInput
        When the level is none of the model's, or a unique key is missing.
    """
    level = _level(identifier, root)
    wanted: dict[Level, tuple[str, ...]] = {}
    for at in LEVELS[: LEVELS.index(level) + 1]:
        tag, keyword = _UNIQUE_KEY[at]
        values = _values(identifier, tag)
        if at is not Level.PATIENT:
            values = tuple(parse_uid(value) for value in values)
        required = at is level or not (relational or (at is Level.PATIENT and root is Root.STUDY))
        if required and not values:
            raise BadInput(f"{keyword} is missing; a retrieval names what it wants.")
        if at is not level and len(values) > 1:
            raise BadInput(f"{keyword} must have one value above the level.")
        wanted[at] = values
    return level, Selection(
        patient_ids=wanted.get(Level.PATIENT, ()),
        study_uids=wanted.get(Level.STUDY, ()),
        series_uids=wanted.get(Level.SERIES, ()),
        sop_instance_uids=wanted.get(Level.IMAGE, ()),
    )


def _level(identifier: Attributes, root: Root) -> Level:
    values = _values(identifier, QueryRetrieveLevel)
    try:
        level = Level(values[0].strip() if values else "")
    except ValueError:
        raise BadInput("Query/Retrieve Level must be PATIENT, STUDY, SERIES or IMAGE.") from None
    if level is Level.PATIENT and root is Root.STUDY:
        raise BadInput("The Study Root model has no PATIENT level.")
    return level


def _values(identifier: Attributes, tag: int) -> tuple[str, ...]:
    """Give the values of an element that are not empty."""
    element = identifier.get(key(tag))
    if element is None:
        return ()
    values = cast("list[object]", element.get("Value", []))
    return tuple(value for value in values if isinstance(value, str) and value)
