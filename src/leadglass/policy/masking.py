"""Masking: what is kept from those who may see studies and not whom they are of. The one table.

Rule 1. It follows the spirit of the Basic Application Level Confidentiality
Profile (PS3.15 Annex E) for who somebody is, where, and under which number; it
is **masking, not de-identification**: unique identifiers, dates of the study,
descriptions, age, sex and the image itself stay, and whoever knows a patient may
know the patient again. Rule 2. Every attribute of a person's name (VR PN) that
the dictionary knows is in it; a test walks the dictionary.
"""

from functools import cache
from types import MappingProxyType
from typing import Final

from leadglass.dicom import dictionary
from leadglass.policy.view import View

IDENTIFYING: Final = MappingProxyType(
    {
        "who the patient is": (
            "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
            "SourcePatientGroupIdentificationSequence", "GroupOfPatientsIdentificationSequence", "OtherPatientIDs",
            "OtherPatientNames", "OtherPatientIDsSequence", "PatientBirthName", "PatientMotherBirthName",
            "ReferencedPatientSequence", "ReferencedPatientAliasSequence", "ReferencedPatientPhotoSequence",
            "PatientInsurancePlanCodeSequence", "InsurancePlanIdentification", "MedicalRecordLocator",
            "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization", "BreedRegistrationSequence",
            "ClinicalTrialSubjectID", "IssuerOfClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
            "IssuerOfClinicalTrialSubjectReadingID",
        ),
        "when and where the patient was born, and lives": (
            "PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar",
            "PatientDeathDateInAlternativeCalendar", "PatientAddress", "PatientTelephoneNumbers",
            "PatientTelecomInformation", "CountryOfResidence", "RegionOfResidence", "PatientInstitutionResidence",
            "CurrentPatientLocation", "ScheduledPatientInstitutionResidence", "LastMenstrualDate",
        ),
        "what the patient is beside being a patient": (
            "EthnicGroup", "EthnicGroupCodeSequence", "Occupation", "MilitaryRank", "BranchOfService",
            "PatientReligiousPreference", "PatientPrimaryLanguageCodeSequence",
        ),
        "other persons": (
            "ReferringPhysicianName", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers",
            "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName",
            "ConsultingPhysicianIdentificationSequence", "PhysiciansOfRecord",
            "PhysiciansOfRecordIdentificationSequence", "PerformingPhysicianName",
            "PerformingPhysicianIdentificationSequence", "NameOfPhysiciansReadingStudy",
            "PhysiciansReadingStudyIdentificationSequence", "OperatorsName", "OperatorIdentificationSequence",
            "RequestingPhysician", "RequestingPhysicianIdentificationSequence", "ScheduledPerformingPhysicianName",
            "ScheduledPerformingPhysicianIdentificationSequence", "NamesOfIntendedRecipientsOfResults",
            "IntendedRecipientsOfResultsIdentificationSequence", "OrderEnteredBy", "OrderEntererLocation",
            "OrderCallbackPhoneNumber", "OrderCallbackTelecomInformation", "HumanPerformerName",
            "HumanPerformerOrganization", "HumanPerformerCodeSequence", "ActualHumanPerformersSequence",
            "ScheduledHumanPerformersSequence", "VerifyingObserverName", "VerifyingObserverSequence",
            "VerifyingObserverIdentificationCodeSequence", "VerifyingOrganization", "AuthorObserverSequence",
            "ParticipantSequence", "CustodialOrganizationSequence", "PersonName", "PersonIdentificationCodeSequence",
            "PersonAddress", "PersonTelephoneNumbers", "PersonTelecomInformation", "ContentCreatorName",
            "ContentCreatorIdentificationCodeSequence", "ROIInterpreter", "ROIInterpreterSequence",
            "ROICreatorSequence", "ReviewerName", "SecondaryReviewerName", "EvaluatorName", "SelectorPNValue",
            "InterpretationRecorder", "InterpretationTranscriber", "InterpretationAuthor",
            "InterpretationApproverSequence", "PhysicianApprovingInterpretation", "DistributionName",
            "DistributionAddress", "ResultsDistributionListSequence", "DocumentAuthorTrial",
            "DocumentAuthorIdentifierCodeSequenceTrial", "DocumentingObserverIdentifierCodeSequenceTrial",
            "DocumentingOrganizationIdentifierCodeSequenceTrial", "AuthorIdentificationSequence", "OwnerID",
            "EquipmentAdministratorSequence", "CurrentObserverTrial", "VerbalSourceTrial",
            "VerbalSourceIdentifierCodeSequenceTrial", "AddressTrial", "TelephoneNumberTrial", "CameraOwnerName",
            "TopicAuthor", "ContributingEquipmentSequence",
        ),
        "where it was done": (
            "InstitutionName", "InstitutionAddress", "InstitutionCodeSequence", "InstitutionalDepartmentName",
            "InstitutionalDepartmentTypeCodeSequence", "StationName", "StationAETitle", "DeviceSerialNumber",
            "DeviceUID", "UniqueDeviceIdentifier", "UDISequence", "GantryID", "GeneratorID", "DetectorID", "PlateID",
            "CassetteID", "DeviceID", "SecondaryCaptureDeviceID", "HardcopyCreationDeviceID", "ModifyingDeviceID",
            "DeviceAlternateIdentifier", "ManufacturerDeviceIdentifier", "SubstanceAdministrationDeviceID",
            "SourceSerialNumber", "LensSerialNumber", "AuthorizationEquipmentCertificationNumber", "NTPSourceAddress",
            "TreatmentMachineName", "RadiationMachineName", "XRayDetectorID", "XRaySourceID", "NetworkID",
            "PerformedStationAETitle", "PerformedStationName", "PerformedStationNameCodeSequence",
            "PerformedStationGeographicLocationCodeSequence", "PerformedLocation", "ScheduledStationAETitle",
            "ScheduledStationName", "ScheduledStationNameCodeSequence",
            "ScheduledStationGeographicLocationCodeSequence", "ScheduledProcedureStepLocation",
            "ScheduledStudyLocation", "ScheduledStudyLocationAETitle", "RequestedProcedureLocation",
            "RequestingService", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "IssuerOfClinicalTrialSiteID",
            "ClinicalTrialCoordinatingCenterName", "ClinicalTrialSponsorName",
            "ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
            "GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSDestLatitude",
            "GPSDestLongitude", "GPSAreaInformation",
        ),
        "numbers of orders, visits and specimens": (
            "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyID", "StudyIDIssuer", "AdmissionID",
            "IssuerOfAdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "IssuerOfServiceEpisodeID",
            "IssuerOfServiceEpisodeIDSequence", "RequestedProcedureID", "ScheduledProcedureStepID",
            "PerformedProcedureStepID", "PlacerOrderNumberImagingServiceRequest",
            "FillerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence",
            "OrderFillerIdentifierSequence", "RequestAttributesSequence", "ReferencedRequestSequence",
            "ResultsID", "ResultsIDIssuer", "InterpretationID", "InterpretationIDIssuer", "ContainerIdentifier",
            "IssuerOfTheContainerIdentifierSequence", "SpecimenIdentifier", "IssuerOfTheSpecimenIdentifierSequence",
            "SpecimenAccessionNumber", "SlideIdentifier", "BarcodeValue", "LabelText",
        ),
        "words that somebody wrote freely": (
            "PatientComments", "AdditionalPatientHistory", "MedicalAlerts", "Allergies", "PatientState",
            "SpecialNeeds", "ConfidentialityConstraintOnPatientDataDescription", "ImageComments", "FrameComments",
            "IdentifyingComments", "StudyComments", "ImagePresentationComments", "VisitComments",
            "RequestedProcedureComments", "ImagingServiceRequestComments", "ResultsComments",
            "CommentsOnThePerformedProcedureStep", "CommentsOnRadiationDose", "CommentsOnTheScheduledProcedureStep",
            "AcquisitionComments", "InterpretationText", "InterpretationDiagnosisDescription", "Impressions",
            "AdmittingDiagnosesDescription", "DischargeDiagnosisDescription", "ReasonForStudy", "ReasonForVisit",
            "ReasonForTheRequestedProcedure", "ReasonForTheImagingServiceRequest", "PatientTransportArrangements",
            "UnformattedTextValue", "TextValue", "TextString", "TextComments", "Arbitrary", "ContributionDescription",
            "DerivationDescription", "SpecimenShortDescription", "SpecimenDetailedDescription",
            "AcquisitionContextSequence", "MakerNote", "DocumentTitle", "TopicTitle", "ServiceEpisodeDescription",
            "DoseComment", "CalculationComment", "SetupImageComment", "TreatmentStatusComment", "SurfaceComments",
            "FrameOfReferenceTransformationComment", "AssertionComments", "TransactionStatusComment",
            "ReportStatusCommentTrial", "RTPhysicianIntentNarrative", "InstructionPerformanceComment",
            "CommentsOnPatientPerformanceOfVisualField", "PrescriptionNotes", "FractionationNotes",
            "TreatmentTechniqueNotes", "PatientSetupPhotoDescription", "OverrideReason", "ReasonForSuperseding",
            "ReasonForCancellation",
        ),
        "addresses and names of files that say whose it is": (
            "RetrieveURL", "RetrieveURI", "StorageURL", "StoredInstanceBaseURI", "FolderAccessURI", "FileAccessURI",
            "FilenameInContainer", "PixelDataProviderURL", "ContactURI", "ContactDisplayName", "HL7InstanceIdentifier",
            "SelectorURValue", "UniformResourceLocatorTrial",
        ),
    }
)  # fmt: skip
"""Keywords of PS3.6, by what they tell."""


@cache
def _tags() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in dictionary.elements().items()}


def view_without(*keywords: str) -> View:
    """Give the view that masks attributes, named by keyword.

    Raises
    ------
    KeyError
        When there is no such attribute.
    """
    known = _tags()
    return View(frozenset(known[keyword] for keyword in keywords))


@cache
def without_identity() -> View:
    """Give the view of those who are not to know whom they see."""
    return view_without(*(keyword for keywords in IDENTIFYING.values() for keyword in keywords))
