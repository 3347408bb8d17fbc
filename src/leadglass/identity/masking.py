"""Masking: which attributes are kept from callers who are not to know whose study it is.

Rule: this is masking for those who look, not de-identification: dates, UIDs, free
text and what is burned into the pixels stay.
"""

from leadglass.dicom import tags
from leadglass.policy.view import View


def without_identity() -> View:
    """Give the view that masks who the patient, and who else is named, is."""
    return View(
        frozenset(
            {
                tags.AccessionNumber,
                tags.AdditionalPatientHistory,
                tags.ConsultingPhysicianName,
                tags.InstitutionAddress,
                tags.InstitutionName,
                tags.InstitutionalDepartmentName,
                tags.IssuerOfPatientID,
                tags.IssuerOfPatientIDQualifiersSequence,
                tags.NameOfPhysiciansReadingStudy,
                tags.Occupation,
                tags.OperatorsName,
                tags.OtherPatientIDs,
                tags.OtherPatientIDsSequence,
                tags.OtherPatientNames,
                tags.PatientBirthDate,
                tags.PatientBirthTime,
                tags.PatientComments,
                tags.PatientID,
                tags.PatientName,
                tags.PerformingPhysicianName,
                tags.PhysiciansOfRecord,
                tags.ReferencedPatientSequence,
                tags.ReferringPhysicianName,
                tags.RequestAttributesSequence,
                tags.ResponsiblePerson,
                tags.StudyComments,
                tags.StudyID,
            }
        )
    )
