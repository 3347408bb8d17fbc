"""Levels: the Query/Retrieve hierarchy and which attributes stand where (PS3.4 sections C.3 and C.6).

Rule: an attribute that is not listed, private ones included, stands on
instances. What is listed has one value for the whole study or series, by its
module (PS3.3 C.7.1, C.7.2, C.7.3), or is made by the archive; the index keeps it
there, and nothing else is answered at that level.
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

STUDY_ATTRIBUTES: Final = frozenset(
    {
        tags.StudyInstanceUID,
        tags.StudyDate,
        tags.StudyTime,
        tags.StudyID,
        tags.StudyDescription,
        tags.StudyComments,
        tags.AccessionNumber,
        tags.ReferringPhysicianName,
        tags.ConsultingPhysicianName,
        tags.PhysiciansOfRecord,
        tags.NameOfPhysiciansReadingStudy,
        tags.AdmittingDiagnosesDescription,
        tags.ProcedureCodeSequence,
        tags.ReferencedStudySequence,
        tags.ReferencedPatientSequence,
    }
)
"""What is recorded once for a study, besides the patient's group."""

SERIES_ATTRIBUTES: Final = frozenset(
    {
        tags.SeriesInstanceUID,
        tags.Modality,
        tags.SeriesNumber,
        tags.SeriesDate,
        tags.SeriesTime,
        tags.SeriesDescription,
        tags.Laterality,
        tags.BodyPartExamined,
        tags.AnatomicRegionSequence,
        tags.PatientPosition,
        tags.ProtocolName,
        tags.PerformingPhysicianName,
        tags.OperatorsName,
        tags.FrameOfReferenceUID,
        tags.RequestAttributesSequence,
        tags.ReferencedPerformedProcedureStepSequence,
        tags.PerformedProcedureStepStartDate,
        tags.PerformedProcedureStepStartTime,
        tags.PerformedProcedureStepID,
        tags.PerformedProcedureStepDescription,
        tags.Manufacturer,
        tags.ManufacturerModelName,
        tags.InstitutionName,
        tags.InstitutionAddress,
        tags.InstitutionalDepartmentName,
        tags.StationName,
        tags.DeviceSerialNumber,
        tags.SoftwareVersions,
    }
)
"""What is recorded once for a series."""

MADE: Final = {
    tags.RetrieveAETitle: Level.PATIENT,
    tags.InstanceAvailability: Level.PATIENT,
    tags.NumberOfPatientRelatedStudies: Level.PATIENT,
    tags.NumberOfPatientRelatedSeries: Level.PATIENT,
    tags.NumberOfPatientRelatedInstances: Level.PATIENT,
    tags.ModalitiesInStudy: Level.STUDY,
    tags.SOPClassesInStudy: Level.STUDY,
    tags.NumberOfStudyRelatedSeries: Level.STUDY,
    tags.NumberOfStudyRelatedInstances: Level.STUDY,
    tags.NumberOfSeriesRelatedInstances: Level.SERIES,
}
"""What the archive says of itself or counts (PS3.4 section C.3.4), by the highest level at which it does."""


def levels(root: Root) -> tuple[Level, ...]:
    """Give the levels of an information model, from the top."""
    return _ORDER if root is Root.PATIENT else _ORDER[1:]


def levels_down_to(root: Root, level: Level) -> tuple[Level, ...]:
    """Give the levels from the top to ``level``, that included."""
    return tuple(each for each in levels(root) if _ORDER.index(each) <= _ORDER.index(level))


def is_of_patient(tag: int) -> bool:
    """Say whether an attribute is in the patient's group (0010)."""
    return tag >> 16 == tags.PatientID >> 16


def level_of(tag: int) -> Level:
    """Give the highest level at which an attribute is answered."""
    if tag in MADE:
        return MADE[tag]
    if is_of_patient(tag):
        return Level.PATIENT
    if tag in STUDY_ATTRIBUTES:
        return Level.STUDY
    return Level.SERIES if tag in SERIES_ATTRIBUTES else Level.IMAGE


def is_below(tag: int, level: Level) -> bool:
    """Say whether an attribute stands below ``level``, where no single value answers."""
    return _ORDER.index(level_of(tag)) > _ORDER.index(level)
