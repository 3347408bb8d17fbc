"""Which attributes are kept once for a study or series, from its first instance.

Rule: what belongs to the patient, the study or the series by its module (PS3.3
C.7.1, C.7.2, C.7.3) stands on that row, so that a query at its level never
looks at instances.
"""

from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.model import Attributes

_STUDY: Final = frozenset(
    tags.key(tag)
    for tag in (
        tags.SpecificCharacterSet,
        tags.TimezoneOffsetFromUTC,
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
    )
)

_SERIES: Final = frozenset(
    tags.key(tag)
    for tag in (
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
    )
)

_PATIENT_GROUP: Final = tags.key(tags.PatientID)[:4]


def is_of_study(key: str) -> bool:
    """Say whether an attribute belongs to the patient or the study."""
    return key in _STUDY or key.startswith(_PATIENT_GROUP)


def is_of_series(key: str) -> bool:
    """Say whether an attribute belongs to the series."""
    return key in _SERIES


def of_study(attributes: Attributes) -> Attributes:
    """Give those that belong to the patient or the study."""
    return {key: each for key, each in attributes.items() if is_of_study(key)}


def of_series(attributes: Attributes) -> Attributes:
    """Give those that belong to the series."""
    return {key: each for key, each in attributes.items() if key in _SERIES}
