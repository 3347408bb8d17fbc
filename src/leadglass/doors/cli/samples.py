"""Samples: studies of phantoms, made here, for ``leadglass demo``.

Rule: nothing in them comes from a person. Images are computed (a Shepp-Logan
head, discs, gratings), patients are called Phantom, and every UID is derived
from a name, so that each demo shows the same studies.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Final, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite  # pyright: ignore[reportUnknownVariableType] - pydicom's os.PathLike
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

Image = NDArray[np.float32]

_ELLIPSOIDS: Final = (
    # value, half axes a b c, centre x y z, turn in degrees (the modified Shepp-Logan head)
    (1.00, 0.690, 0.920, 0.810, 0.00, 0.000, 0.00, 0.0),
    (-0.80, 0.662, 0.874, 0.780, 0.00, -0.018, 0.00, 0.0),
    (-0.20, 0.110, 0.310, 0.220, 0.22, 0.000, 0.00, -18.0),
    (-0.20, 0.160, 0.410, 0.280, -0.22, 0.000, 0.00, 18.0),
    (0.10, 0.210, 0.250, 0.410, 0.00, 0.350, -0.15, 0.0),
    (0.10, 0.046, 0.046, 0.050, 0.00, 0.100, 0.25, 0.0),
    (0.10, 0.046, 0.046, 0.050, 0.00, -0.100, 0.25, 0.0),
    (0.10, 0.046, 0.023, 0.050, -0.08, -0.605, 0.00, 0.0),
    (0.10, 0.023, 0.023, 0.020, 0.00, -0.606, 0.00, 0.0),
    (0.10, 0.023, 0.046, 0.020, 0.06, -0.605, 0.00, 0.0),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance, as a file.

    Parameters
    ----------
    patient, modality, study_uid, description : str
        What it is, for the list the demo prints.
    file : bytes
        The whole Part 10 file.
    """

    patient: str
    modality: str
    study_uid: str
    description: str
    file: bytes


@dataclass(frozen=True, slots=True)
class _Study:
    """What all instances of a study share."""

    name: str
    patient_id: str
    sex: str
    birth: str
    description: str
    modality: str
    date: str
    number: int
    charset: str | list[str] = "ISO_IR 192"

    @property
    def uid(self) -> str:
        return uid_of("study", self.patient_id, str(self.number))


_ALPHA = _Study("Phantom^Alpha", "LG-0001", "O", "19700101", "Head phantom", "CT", "20260105", 1)
_BETA = _Study("Phantom^Beta", "LG-0002", "F", "19850214", "Head phantom, T1", "MR", "20260212", 2)
_GAMMA = _Study("Phantom^Gamma", "LG-0003", "M", "19911231", "Moving disc", "US", "20260320", 3)
_DELTA = _Study(
    "Φάντασμα^Δέλτα", "LG-0004", "F", "20010704", "Line pairs and step wedge", "DX", "20260418", 4, "ISO_IR 126"
)
_EPSILON = _Study(
    "Phantom^Epsilon=幻影^イプシロン", "LG-0005", "O", "19600606", "Report on a phantom", "SR", "20260606", 5,
    ["", "ISO 2022 IR 87"],
)  # fmt: skip
_ZETA = _Study("Phantom^Zeta", "LG-0006", "M", "19990909", "Line pairs, repeated", "DX", "20260701", 6)


def uid_of(*words: str) -> str:
    """Give the UID that stands for some words, always the same."""
    name = "/".join(("leadglass demo", *words))
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def samples() -> Iterator[Sample]:
    """Give every sample instance, study by study."""
    yield from _ct()
    yield from _mr()
    yield _ultrasound()
    yield _radiograph(_DELTA)
    yield _report()


def to_send() -> Sample:
    """Give an instance that is not among the samples, to be sent by whoever tries the demo."""
    return _radiograph(_ZETA)


# --- pictures -----------------------------------------------------------------


@cache
def _grid(size: int) -> tuple[Image, Image]:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(axis, -axis)
    return x, y


def head(size: int, z: float) -> Image:
    """Compute one slice of the Shepp-Logan head.

    Parameters
    ----------
    size : int
        Rows and columns.
    z : float
        Height of the slice, -1 (feet) to 1 (head).

    Returns
    -------
    array of float32, size x size, from 0 to about 1
    """
    x, y = _grid(size)
    image = np.zeros((size, size), np.float32)
    for value, a, b, c, x0, y0, z0, degrees in _ELLIPSOIDS:
        rest = 1 - ((z - z0) / c) ** 2
        if rest <= 0:
            continue
        turn = np.deg2rad(degrees)
        u = (x - x0) * np.cos(turn) + (y - y0) * np.sin(turn)
        v = (y - y0) * np.cos(turn) - (x - x0) * np.sin(turn)
        image += np.where((u / a) ** 2 + (v / b) ** 2 <= rest, np.float32(value), np.float32(0))
    return image


def _cine(frames: int, size: int) -> list[NDArray[np.uint8]]:
    """Compute a disc that moves to and fro under a fan of speckle."""
    x, y = _grid(size)
    rng = np.random.default_rng(2026)
    speckle = rng.rayleigh(24, (size, size)).astype(np.float32)
    fan = (np.abs(np.arctan2(x, 1.1 - y)) < 0.6) & (np.hypot(x, 1.1 - y) < 2)
    moved: list[NDArray[np.uint8]] = []
    for n in range(frames):
        disc = np.hypot(x - 0.35 * np.sin(2 * np.pi * n / frames), y + 0.1) < 0.22
        moved.append(np.where(fan, np.clip(speckle + 120 * disc, 0, 255), 0).astype(np.uint8))
    return moved


def _test_pattern(rows: int, columns: int) -> NDArray[np.uint16]:
    """Compute line pairs that get finer above a wedge of eleven steps, 12 bits deep."""
    columns_at = np.arange(columns, dtype=np.float32)
    lines = np.where(np.sin(columns_at**2 / columns * np.pi / 4) > 0, 3600, 400)
    wedge = np.floor(columns_at / columns * 11) / 10 * 4095
    upper = np.tile(lines, (rows // 2, 1))
    lower = np.tile(wedge, (rows - rows // 2, 1))
    return np.vstack([upper, lower]).astype(np.uint16)


# --- data sets ----------------------------------------------------------------


def _common(study: _Study, sop_class: str, series: int, instance: int, description: str) -> Dataset:
    """Make what every instance of a study has."""
    ds = Dataset()
    ds.SpecificCharacterSet = study.charset
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = uid_of("instance", study.patient_id, str(series), str(instance))
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = study.date
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101500"
    ds.AccessionNumber = f"LG{study.number:06d}"
    ds.Modality = study.modality
    ds.Manufacturer = "Leadglass demo"
    ds.ManufacturerModelName = "Phantom maker"
    ds.InstitutionName = "Nowhere General"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = study.description
    ds.SeriesDescription = description
    ds.PatientName = study.name
    ds.PatientID = study.patient_id
    ds.PatientBirthDate = study.birth
    ds.PatientSex = study.sex
    ds.StudyInstanceUID = study.uid
    ds.SeriesInstanceUID = uid_of("series", study.patient_id, str(series))
    ds.StudyID = str(study.number)
    ds.SeriesNumber = series
    if study.modality not in ("SR", "DX"):
        ds.Laterality = ""
    ds.InstanceNumber = instance
    return ds


def _grey(ds: Dataset, image: NDArray[np.uint16] | NDArray[np.int16], bits: int) -> None:
    """Add one native grey frame."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = int(image.dtype == np.int16)
    ds.add_new("PixelData", "OW", image.astype(image.dtype.newbyteorder("<")).tobytes())


def _place(ds: Dataset, millimetres: float, z: float, thickness: float) -> None:
    """Say where a transverse slice is (PS3.3 section C.7.6.2)."""
    ds.PatientPosition = "HFS"
    ds.AcquisitionNumber = 1
    half = ds.Columns * millimetres / 2
    ds.FrameOfReferenceUID = uid_of("frame of reference", str(ds.PatientID))
    ds.PositionReferenceIndicator = ""
    ds.PixelSpacing = [millimetres, millimetres]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-half, -half, z]
    ds.SliceThickness = thickness
    ds.SliceLocation = z


def _finished(study: _Study, ds: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> Sample:
    """Make a file of a data set."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return Sample(study.name, study.modality, study.uid, study.description, file.getvalue())


def _ct(slices: int = 40, size: int = 512) -> Iterator[Sample]:
    """Make a stack of transverse slices in Hounsfield units, with a little noise."""
    x, y = _grid(size)
    rng = np.random.default_rng(1)
    for n in range(slices):
        z = -0.75 + 1.5 * n / (slices - 1)
        outside = (x / 0.69) ** 2 + (y / 0.92) ** 2 + (z / 0.81) ** 2 > 1
        units = np.where(outside, -1000, head(size, z) * 1000) + rng.normal(0, 6, (size, size))
        ds = _common(_ALPHA, CTImageStorage, 1, n + 1, "Head 3 mm")
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.BodyPartExamined = "PHANTOM"
        ds.KVP, ds.XRayTubeCurrent, ds.ConvolutionKernel = 120, 200, "NONE"
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = 300, 1200
        _grey(ds, np.clip(units + 1024, 0, 4095).astype(np.uint16), 12)
        _place(ds, 0.45, 3.0 * n, 3.0)
        yield _finished(_ALPHA, ds)


def _mr(slices: int = 24, size: int = 256) -> Iterator[Sample]:
    """Make the same head as magnetic resonance shows it: brighter to one side."""
    x, _ = _grid(size)
    for n in range(slices):
        z = -0.7 + 1.4 * n / (slices - 1)
        signal = head(size, z) * 900 * (1.15 + 0.15 * x)
        ds = _common(_BETA, MRImageStorage, 1, n + 1, "T1 SE tra")
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "NONE", "", "2D"
        ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.MagneticFieldStrength = 550, 12, 1, 1.5
        ds.WindowCenter, ds.WindowWidth = 400, 900
        _grey(ds, np.clip(signal, 0, 2000).astype(np.int16), 12)
        _place(ds, 0.9, 5.0 * n, 5.0)
        yield _finished(_BETA, ds)


def _ultrasound(frames: int = 30, size: int = 384) -> Sample:
    """Make a cine loop in JPEG, one fragment a frame."""
    pictures = _cine(frames, size)
    encoded = [cast(bytes, imagecodecs.jpeg8_encode(picture, level=90)) for picture in pictures]
    ds = _common(_GAMMA, UltrasoundMultiFrameImageStorage, 1, 1, "Cine 30 frames")
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = frames, size, size
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PatientOrientation = ""
    ds.FrameTime, ds.CineRate = 40, 25
    ds.FrameIncrementPointer = Tag("FrameTime")
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    ds.LossyImageCompressionRatio = round(frames * size * size / sum(map(len, encoded)), 1)
    ds.add_new("PixelData", "OB", encapsulate(encoded))
    ds["PixelData"].is_undefined_length = True
    return _finished(_GAMMA, ds, JPEGBaseline8Bit)


def _radiograph(study: _Study) -> Sample:
    """Make a projection of a test pattern."""
    ds = _common(study, DigitalXRayImageStorageForPresentation, 1, 1, "Test pattern")
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImagerPixelSpacing = [0.2, 0.2]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.ImageLaterality, ds.PatientOrientation, ds.DetectorType = "U", ["L", "F"], "DIRECT"
    ds.AnatomicRegionSequence, ds.AcquisitionContextSequence = Sequence(), Sequence()
    ds.PresentationLUTShape, ds.BurnedInAnnotation = "IDENTITY", "NO"
    ds.LossyImageCompression = "00"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    _grey(ds, _test_pattern(1024, 1280), 12)
    return _finished(study, ds)


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def _report() -> Sample:
    """Make a short structured report; its patient's name is also in ideographs."""
    ds = _common(_EPSILON, ComprehensiveSRStorage, 1, 1, "Report")
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = _code("18748-4", "LN", "Diagnostic imaging report")
    finding = Dataset()
    finding.RelationshipType, finding.ValueType = "CONTAINS", "TEXT"
    finding.ConceptNameCodeSequence = _code("121071", "DCM", "Finding")
    finding.TextValue = "A phantom of acrylic and air. It is as round as on the day it was made."
    ds.ContentSequence = Sequence([finding])
    return _finished(_EPSILON, ds)
