"""Levels: the Query/Retrieve hierarchy and which attributes stand where (PS3.4 sections C.3 and C.6).

Rule: an attribute that can stand at several levels, or is not listed, belongs
to none here, and is asked for wherever it was recorded.
"""

from enum import StrEnum
from typing import Final

from leadglass.dicom import tags


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Root(StrEnum):
    """Information model: which level stands on top (PS3.4 section C.6)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"


UNIQUE_KEY: Final = {
    Level.PATIENT: tags.PatientID,
    Level.STUDY: tags.StudyInstanceUID,
    Level.SERIES: tags.SeriesInstanceUID,
    Level.IMAGE: tags.SOPInstanceUID,
}
"""The unique key of each level."""

_ORDER: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)

_STUDY: Final = frozenset(
    {
        tags.StudyInstanceUID,
        tags.StudyDate,
        tags.StudyTime,
        tags.StudyID,
        tags.StudyDescription,
        tags.AccessionNumber,
        tags.ReferringPhysicianName,
        tags.NameOfPhysiciansReadingStudy,
        tags.PhysiciansOfRecord,
        tags.ModalitiesInStudy,
        tags.SOPClassesInStudy,
        tags.AnatomicRegionsInStudyCodeSequence,
        tags.ProcedureCodeSequence,
        tags.AdmittingDiagnosesDescription,
        tags.NumberOfStudyRelatedSeries,
        tags.NumberOfStudyRelatedInstances,
    }
)
_SERIES: Final = frozenset(
    {
        tags.SeriesInstanceUID,
        tags.Modality,
        tags.SeriesNumber,
        tags.SeriesDate,
        tags.SeriesTime,
        tags.SeriesDescription,
        tags.Laterality,
        tags.ProtocolName,
        tags.PerformingPhysicianName,
        tags.OperatorsName,
        tags.BodyPartExamined,
        tags.PatientPosition,
        tags.RequestAttributesSequence,
        tags.PerformedProcedureStepStartDate,
        tags.PerformedProcedureStepStartTime,
        tags.PerformedProcedureStepID,
        tags.PerformedProcedureStepDescription,
        tags.NumberOfSeriesRelatedInstances,
    }
)
_IMAGE: Final = frozenset(
    {
        tags.SOPInstanceUID,
        tags.SOPClassUID,
        tags.InstanceNumber,
        tags.AcquisitionNumber,
        tags.ImageType,
        tags.InstanceCreationDate,
        tags.InstanceCreationTime,
        tags.ContentDate,
        tags.ContentTime,
        tags.AcquisitionDate,
        tags.AcquisitionTime,
        tags.AcquisitionDateTime,
        tags.NumberOfFrames,
        tags.Rows,
        tags.Columns,
        tags.SamplesPerPixel,
        tags.BitsAllocated,
        tags.BitsStored,
        tags.PhotometricInterpretation,
        tags.ContentLabel,
        tags.CompletionFlag,
        tags.VerificationFlag,
    }
)


def levels(root: Root) -> tuple[Level, ...]:
    """Give the levels of an information model, from the top."""
    return _ORDER if root is Root.PATIENT else _ORDER[1:]


def levels_down_to(root: Root, level: Level) -> tuple[Level, ...]:
    """Give the levels from the top to ``level``, that included."""
    return tuple(each for each in levels(root) if _ORDER.index(each) <= _ORDER.index(level))


def level_of(tag: int) -> Level | None:
    """Give the level that an attribute belongs to; None where it may stand at several."""
    if tag in _STUDY:
        return Level.STUDY
    if tag in _SERIES:
        return Level.SERIES
    if tag in _IMAGE:
        return Level.IMAGE
    return Level.PATIENT if tag == tags.PatientID else None


def is_below(tag: int, level: Level) -> bool:
    """Say whether an attribute belongs to a level below ``level``, where no single value answers."""
    own = level_of(tag)
    return own is not None and _ORDER.index(own) > _ORDER.index(level)
