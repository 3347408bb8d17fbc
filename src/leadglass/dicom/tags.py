"""Every tag that Leadglass speaks of, by the Standard's keyword (PS3.6).

Rule: hexadecimal tags stand here and nowhere else.
"""

from typing import Final

FileMetaInformationGroupLength: Final = 0x00020000
FileMetaInformationVersion: Final = 0x00020001
MediaStorageSOPClassUID: Final = 0x00020002
MediaStorageSOPInstanceUID: Final = 0x00020003
TransferSyntaxUID: Final = 0x00020010
ImplementationClassUID: Final = 0x00020012
ImplementationVersionName: Final = 0x00020013
SourceApplicationEntityTitle: Final = 0x00020016

DirectoryRecordSequence: Final = 0x00041220

SpecificCharacterSet: Final = 0x00080005
ImageType: Final = 0x00080008
InstanceCreationDate: Final = 0x00080012
InstanceCreationTime: Final = 0x00080013
SOPClassUID: Final = 0x00080016
SOPInstanceUID: Final = 0x00080018
StudyDate: Final = 0x00080020
SeriesDate: Final = 0x00080021
AcquisitionDate: Final = 0x00080022
ContentDate: Final = 0x00080023
AcquisitionDateTime: Final = 0x0008002A
StudyTime: Final = 0x00080030
SeriesTime: Final = 0x00080031
AcquisitionTime: Final = 0x00080032
ContentTime: Final = 0x00080033
AccessionNumber: Final = 0x00080050
QueryRetrieveLevel: Final = 0x00080052
RetrieveAETitle: Final = 0x00080054
InstanceAvailability: Final = 0x00080056
FailedSOPInstanceUIDList: Final = 0x00080058
Modality: Final = 0x00080060
ModalitiesInStudy: Final = 0x00080061
SOPClassesInStudy: Final = 0x00080062
AnatomicRegionsInStudyCodeSequence: Final = 0x00080063
ConversionType: Final = 0x00080064
Manufacturer: Final = 0x00080070
InstitutionName: Final = 0x00080080
InstitutionAddress: Final = 0x00080081
ReferringPhysicianName: Final = 0x00080090
ConsultingPhysicianName: Final = 0x0008009C
TimezoneOffsetFromUTC: Final = 0x00080201
StationName: Final = 0x00081010
StudyDescription: Final = 0x00081030
ProcedureCodeSequence: Final = 0x00081032
SeriesDescription: Final = 0x0008103E
InstitutionalDepartmentName: Final = 0x00081040
PhysiciansOfRecord: Final = 0x00081048
PerformingPhysicianName: Final = 0x00081050
NameOfPhysiciansReadingStudy: Final = 0x00081060
OperatorsName: Final = 0x00081070
AdmittingDiagnosesDescription: Final = 0x00081080
ManufacturerModelName: Final = 0x00081090
ReferencedStudySequence: Final = 0x00081110
ReferencedPerformedProcedureStepSequence: Final = 0x00081111
ReferencedPatientSequence: Final = 0x00081120
ReferencedSOPClassUID: Final = 0x00081150
ReferencedSOPInstanceUID: Final = 0x00081155
RetrieveURL: Final = 0x00081190
TransactionUID: Final = 0x00081195
WarningReason: Final = 0x00081196
FailureReason: Final = 0x00081197
FailedSOPSequence: Final = 0x00081198
ReferencedSOPSequence: Final = 0x00081199
OtherFailuresSequence: Final = 0x0008119A
RecommendedDisplayFrameRate: Final = 0x00082144
AnatomicRegionSequence: Final = 0x00082218

PatientName: Final = 0x00100010
PatientID: Final = 0x00100020
IssuerOfPatientID: Final = 0x00100021
TypeOfPatientID: Final = 0x00100022
IssuerOfPatientIDQualifiersSequence: Final = 0x00100024
PatientBirthDate: Final = 0x00100030
PatientBirthTime: Final = 0x00100032
PatientSex: Final = 0x00100040
OtherPatientIDs: Final = 0x00101000
OtherPatientNames: Final = 0x00101001
OtherPatientIDsSequence: Final = 0x00101002
PatientAge: Final = 0x00101010
PatientSize: Final = 0x00101020
PatientWeight: Final = 0x00101030
MedicalAlerts: Final = 0x00102000
Allergies: Final = 0x00102110
EthnicGroup: Final = 0x00102160
Occupation: Final = 0x00102180
SmokingStatus: Final = 0x001021A0
AdditionalPatientHistory: Final = 0x001021B0
PregnancyStatus: Final = 0x001021C0
PatientSpeciesDescription: Final = 0x00102201
ResponsiblePerson: Final = 0x00102297
PatientComments: Final = 0x00104000

BodyPartExamined: Final = 0x00180015
CineRate: Final = 0x00180040
SliceThickness: Final = 0x00180050
KVP: Final = 0x00180060
DeviceSerialNumber: Final = 0x00181000
SoftwareVersions: Final = 0x00181020
ProtocolName: Final = 0x00181030
FrameTime: Final = 0x00181063
FrameTimeVector: Final = 0x00181065
ImagerPixelSpacing: Final = 0x00181164
NominalScannedPixelSpacing: Final = 0x00182010
PatientPosition: Final = 0x00185100

StudyInstanceUID: Final = 0x0020000D
SeriesInstanceUID: Final = 0x0020000E
StudyID: Final = 0x00200010
SeriesNumber: Final = 0x00200011
AcquisitionNumber: Final = 0x00200012
InstanceNumber: Final = 0x00200013
FrameOfReferenceUID: Final = 0x00200052
Laterality: Final = 0x00200060
NumberOfPatientRelatedStudies: Final = 0x00201200
NumberOfPatientRelatedSeries: Final = 0x00201202
NumberOfPatientRelatedInstances: Final = 0x00201204
NumberOfStudyRelatedSeries: Final = 0x00201206
NumberOfStudyRelatedInstances: Final = 0x00201208
NumberOfSeriesRelatedInstances: Final = 0x00201209

SamplesPerPixel: Final = 0x00280002
PhotometricInterpretation: Final = 0x00280004
PlanarConfiguration: Final = 0x00280006
NumberOfFrames: Final = 0x00280008
Rows: Final = 0x00280010
Columns: Final = 0x00280011
PixelSpacing: Final = 0x00280030
PixelAspectRatio: Final = 0x00280034
BitsAllocated: Final = 0x00280100
BitsStored: Final = 0x00280101
HighBit: Final = 0x00280102
PixelRepresentation: Final = 0x00280103
SmallestImagePixelValue: Final = 0x00280106
PixelPaddingValue: Final = 0x00280120
PixelPaddingRangeLimit: Final = 0x00280121
PixelIntensityRelationship: Final = 0x00281040
WindowCenter: Final = 0x00281050
WindowWidth: Final = 0x00281051
RescaleIntercept: Final = 0x00281052
RescaleSlope: Final = 0x00281053
VOILUTFunction: Final = 0x00281056
RedPaletteColorLookupTableDescriptor: Final = 0x00281101
GreenPaletteColorLookupTableDescriptor: Final = 0x00281102
BluePaletteColorLookupTableDescriptor: Final = 0x00281103
RedPaletteColorLookupTableData: Final = 0x00281201
GreenPaletteColorLookupTableData: Final = 0x00281202
BluePaletteColorLookupTableData: Final = 0x00281203
SegmentedRedPaletteColorLookupTableData: Final = 0x00281221
SegmentedGreenPaletteColorLookupTableData: Final = 0x00281222
SegmentedBluePaletteColorLookupTableData: Final = 0x00281223
BurnedInAnnotation: Final = 0x00280301
RecognizableVisualFeatures: Final = 0x00280302
ICCProfile: Final = 0x00282000
ColorSpace: Final = 0x00282002
LossyImageCompression: Final = 0x00282110
LossyImageCompressionRatio: Final = 0x00282112
LossyImageCompressionMethod: Final = 0x00282114
ModalityLUTSequence: Final = 0x00283000
LUTDescriptor: Final = 0x00283002
LUTData: Final = 0x00283006
VOILUTSequence: Final = 0x00283010
RepresentativeFrameNumber: Final = 0x00286010
PixelDataProviderURL: Final = 0x00287FE0
PixelMeasuresSequence: Final = 0x00289110
FrameVOILUTSequence: Final = 0x00289132
PixelValueTransformationSequence: Final = 0x00289145

StudyComments: Final = 0x00324000

ScheduledProcedureStepSequence: Final = 0x00400100
PerformedProcedureStepStartDate: Final = 0x00400244
PerformedProcedureStepStartTime: Final = 0x00400245
PerformedProcedureStepID: Final = 0x00400253
PerformedProcedureStepDescription: Final = 0x00400254
RequestAttributesSequence: Final = 0x00400275
ConceptNameCodeSequence: Final = 0x0040A043
CompletionFlag: Final = 0x0040A491
VerificationFlag: Final = 0x0040A493
ContentSequence: Final = 0x0040A730

EncapsulatedDocument: Final = 0x00420011
MIMETypeOfEncapsulatedDocument: Final = 0x00420012
EncapsulatedDocumentLength: Final = 0x00420015

TotalPixelMatrixColumns: Final = 0x00480006
TotalPixelMatrixRows: Final = 0x00480007
SpecimenLabelInImage: Final = 0x00480010
OpticalPathSequence: Final = 0x00480105

ContentLabel: Final = 0x00700080

IconImageSequence: Final = 0x00880200

PresentationLUTShape: Final = 0x20500020

EncryptedAttributesSequence: Final = 0x04000500
ModifiedAttributesSequence: Final = 0x04000550
NonconformingModifiedAttributesSequence: Final = 0x04000551
OriginalAttributesSequence: Final = 0x04000561
MACParametersSequence: Final = 0x4FFE0001

SharedFunctionalGroupsSequence: Final = 0x52009229
PerFrameFunctionalGroupsSequence: Final = 0x52009230

WaveformSequence: Final = 0x54000100
WaveformBitsAllocated: Final = 0x54001004
WaveformData: Final = 0x54001010

OverlayRows: Final = 0x60000010
OverlayColumns: Final = 0x60000011
NumberOfFramesInOverlay: Final = 0x60000015
OverlayType: Final = 0x60000040
OverlayOrigin: Final = 0x60000050
ImageFrameOrigin: Final = 0x60000051
OverlayBitsAllocated: Final = 0x60000100
OverlayData: Final = 0x60003000

ExtendedOffsetTable: Final = 0x7FE00001
ExtendedOffsetTableLengths: Final = 0x7FE00002
EncapsulatedPixelDataValueTotalLength: Final = 0x7FE00003
FloatPixelData: Final = 0x7FE00008
DoubleFloatPixelData: Final = 0x7FE00009
PixelData: Final = 0x7FE00010

DigitalSignaturesSequence: Final = 0xFFFAFFFA
DataSetTrailingPadding: Final = 0xFFFCFFFC

Item: Final = 0xFFFEE000
ItemDelimitationItem: Final = 0xFFFEE00D
SequenceDelimitationItem: Final = 0xFFFEE0DD


def key(tag: int) -> str:
    """Give the name of a tag in the DICOM JSON Model: eight hexadecimal digits, upper case."""
    return f"{tag:08X}"


FILE_META_GROUP: Final = 0x0002
ITEM_GROUP: Final = 0xFFFE
"""Group of items and delimiters."""


def group(tag: int) -> int:
    """Give the group number of a tag."""
    return tag >> 16


def is_private(tag: int) -> bool:
    """Say whether a tag is in a private, that is odd, group (PS3.5 section 7.8)."""
    return bool(tag & 0x10000)


_CURVES: Final = 0x50
_OVERLAYS: Final = 0x60
_BIT_POSITION: Final = 0x0102


def is_graphics(tag: int) -> bool:
    """Say whether a tag is of an overlay or a curve, in any of their repeating groups (PS3.5 section 7.6)."""
    return tag >> 24 in (_CURVES, _OVERLAYS) and not is_private(tag)


def is_embedded_overlay_position(tag: int) -> bool:
    """Say whether a tag is an Overlay Bit Position (60xx,0102)."""
    return tag >> 24 == _OVERLAYS and tag & 0xFFFF == _BIT_POSITION


def is_group_length(tag: int) -> bool:
    """Say whether a tag is a group length (gggg,0000)."""
    return not tag & 0xFFFF
