"""Phantoms: made-up studies whose pictures are known, in the ways that images are kept.

Rule: made by pydicom and imagecodecs alone, so that a mistake of ours cannot agree
with itself. The pattern is two squares on a dark ground, and is no two ways the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import UID, RLELossless, generate_uid

from tests.peers.dataset import read_head

Array = NDArray[Any]

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
US_FRAMES: Final = "1.2.840.10008.5.1.4.1.1.3.1"
MAMMOGRAPHY: Final = "1.2.840.10008.5.1.4.1.1.1.2"

EXPLICIT: Final = "1.2.840.10008.1.2.1"
SYNTAXES: Final = {
    "explicit": EXPLICIT,
    "implicit": "1.2.840.10008.1.2",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-baseline": "1.2.840.10008.1.2.4.50",
    "jpeg-xl": "1.2.840.10008.1.2.4.110",
}
_NEWER: Final = "1.2.840.10008.1.2.4.110"
_OLDER: Final = "1.2.840.10008.1.2.4.201"
"""What pydicom knows, written in its place and as long."""

DARK: Final = -1000
"""Of the ground, in Hounsfield units; it is shown as black."""
BRIGHT: Final = 300
"""Of the large square, in the upper left; it is shown as white."""
MIDDLE: Final = 40
"""Of the small square, in the lower right; it is shown as gray."""


@dataclass(frozen=True, slots=True)
class Study:
    """One made-up study.

    Parameters
    ----------
    uid : str
        Study Instance UID.
    series : str
        Series Instance UID of its images.
    instances : tuple of str
        SOP Instance UIDs, in their order.
    frame_of_reference : str
        Its Frame of Reference UID.
    """

    uid: str
    series: str
    instances: tuple[str, ...]
    frame_of_reference: str


def pattern(size: int, at: int = 0) -> Array:
    """Give the pattern in Hounsfield units; ``at`` moves its small square down a little."""
    picture = np.full((size, size), DARK, np.int16)
    picture[size // 8 : 9 * size // 16, size // 8 : 9 * size // 16] = BRIGHT  # the middle planes of a volume meet it
    low = 5 * size // 8 + at % (size // 8)
    picture[low : low + size // 8, 5 * size // 8 : 7 * size // 8] = MIDDLE
    return picture


def ct(
    folder: Path,
    slices: int = 3,
    size: int = 64,
    syntax: str = "explicit",
    noise: int = 0,
    study: str = "",
    **more: Any,
) -> Study:
    """Write a CT of so many slices, 1 mm apart, 0.5 mm a pixel, with the window that shows the pattern best.

    Parameters
    ----------
    folder : Path
        Where its files go.
    slices, size : int
        How many, and pixels of a side.
    syntax : str
        One of ``SYNTAXES``.
    noise : int
        Hounsfield units of it at most.
    study : str
        The study that the series is of; a new one without it.
    **more
        Attributes by keyword; None takes one away.
    """
    study, series, frame = study or generate_uid(), generate_uid(), generate_uid()
    instances: list[str] = []
    random = np.random.default_rng(size)
    for at in range(slices):
        stored = pattern(size, at) + 1024
        if noise:
            stored = stored + random.integers(0, noise, stored.shape, dtype=np.int16)
        data_set = _common(CT, study, series, "CT", at)
        data_set.FrameOfReferenceUID = frame
        data_set.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data_set.ImagePositionPatient = [0.0, 0.0, float(at)]
        data_set.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data_set.PixelSpacing = [0.5, 0.5]
        data_set.SliceThickness = 1
        data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = -1024, 1, "HU"
        data_set.WindowCenter, data_set.WindowWidth = 40, 400
        is_8_bit = syntax == "jpeg-baseline"
        if is_8_bit:  # the only way of gray that has 8 bits alone: what the window shows
            stored = np.clip((stored.astype(np.int32) - 1024 + 160) * 255 // 400, 0, 255).astype(np.uint8)
            data_set.RescaleIntercept, data_set.WindowCenter, data_set.WindowWidth = 0, 128, 256
            data_set.RescaleType = "US"
        _gray(data_set, stored.astype(np.uint8 if is_8_bit else np.uint16), 8 if is_8_bit else 12, syntax)
        _amend(data_set, more)
        instances.append(data_set.SOPInstanceUID)
        _write(folder / f"{series}-{at}.dcm", data_set, SYNTAXES[syntax])
    return Study(study, series, tuple(instances), frame)


def ultrasound(folder: Path, frames: int = 4, size: int = 64) -> Study:
    """Write a colored multi-frame ultrasound; a green square moves over a blue ground."""
    study, series = generate_uid(), generate_uid()
    data_set = _common(US_FRAMES, study, series, "US", 0)
    pictures = np.zeros((frames, size, size, 3), np.uint8)
    pictures[..., 2] = 120
    for at in range(frames):
        left = size // 8 + at * size // 16
        pictures[at, size // 4 : 3 * size // 4, left : left + size // 2] = (20, 220, 20)
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation, data_set.PlanarConfiguration = 3, "RGB", 0
    data_set.NumberOfFrames, data_set.FrameTime = frames, 100
    data_set.FrameIncrementPointer = 0x00181063
    _pixels(data_set, size, size, 8)
    data_set.PixelData = pictures.tobytes()
    _write(folder / f"{study}.dcm", data_set, EXPLICIT)
    return Study(study, series, (data_set.SOPInstanceUID,), "")


def mammography(folder: Path, size: int = 96) -> Study:
    """Write one mammogram, MONOCHROME1, as its machines do: left, cranio-caudal."""
    study, series = generate_uid(), generate_uid()
    data_set = _common(MAMMOGRAPHY, study, series, "MG", 0)
    data_set.ImageLaterality, data_set.ViewPosition = "L", "CC"
    data_set.PresentationIntentType = "FOR PRESENTATION"
    data_set.PatientOrientation = ["A", "R"]
    data_set.ImagerPixelSpacing = [0.1, 0.1]
    data_set.WindowCenter, data_set.WindowWidth = [2048, 2000, 2100], [4096, 4000, 4196]
    data_set.VOILUTFunction = "SIGMOID"
    picture = np.full((size, size), 4095, np.uint16)
    picture[size // 8 : size // 2, size // 8 : size // 2] = 0
    _gray(data_set, picture, 12, "explicit")
    data_set.PhotometricInterpretation = "MONOCHROME1"
    _write(folder / f"{study}.dcm", data_set, EXPLICIT)
    return Study(study, series, (data_set.SOPInstanceUID,), "")


def _common(sop_class: str, study: str, series: str, modality: str, at: int) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.PatientName, made.PatientID = "Phantom^Quartz", f"PH-{study[-6:]}"
    made.PatientBirthDate, made.PatientSex = "19700101", "O"
    made.StudyDate, made.StudyTime, made.StudyID = "20261001", "101500", "1"
    made.SeriesDate, made.SeriesTime, made.ContentDate, made.ContentTime = ("20261001", "101500") * 2
    made.AccessionNumber, made.ReferringPhysicianName = "A1", ""
    made.StudyDescription, made.SeriesDescription = "Phantom", "Squares"
    made.Modality, made.SeriesNumber, made.InstanceNumber = modality, 1, at + 1
    made.Manufacturer = "Leadglass tests"
    return made


def _gray(data_set: Dataset, picture: Array, bits: int, syntax: str) -> None:
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    _pixels(data_set, picture.shape[0], picture.shape[1], bits)
    encoded = _encoded(picture, syntax)
    data_set.PixelData = picture.tobytes() if encoded is None else encapsulate([encoded])
    if encoded is not None:
        data_set["PixelData"].VR = "OB"


def _pixels(data_set: Dataset, rows: int, columns: int, bits: int) -> None:
    data_set.Rows, data_set.Columns = rows, columns
    data_set.BitsAllocated = 8 if bits <= 8 else 16
    data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = bits, bits - 1, 0


def _encoded(picture: Array, syntax: str) -> bytes | None:
    match syntax:
        case "jpeg-ls":
            return bytes(imagecodecs.jpegls_encode(picture))
        case "jpeg-2000":
            return bytes(imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k", reversible=True))
        case "htj2k":
            return bytes(imagecodecs.htj2k_encode(picture, reversible=True, rgb=False))
        case "jpeg-lossless":
            return bytes(imagecodecs.ljpeg_encode(picture))
        case "jpeg-baseline":
            return bytes(imagecodecs.jpeg8_encode(picture, level=95))
        case "jpeg-xl":
            return bytes(imagecodecs.jpegxl_encode(picture, lossless=True))
        case _:
            return None


def _amend(data_set: Dataset, more: dict[str, Any]) -> None:
    for keyword, value in more.items():
        if value is None:
            del data_set[keyword]
        else:
            # Whatever it is: what is tested may be against the Standard.
            made = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE)
            data_set[keyword] = made


def _write(path: Path, data_set: Dataset, syntax: str) -> None:
    data_set.file_meta = FileMetaDataset()
    is_rle = syntax == RLELossless
    data_set.file_meta.TransferSyntaxUID = UID(EXPLICIT if is_rle else _OLDER if syntax == _NEWER else syntax)
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    if is_rle:
        data_set.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    data_set.save_as(path, enforce_file_format=True)
    if syntax == _NEWER:
        path.write_bytes(path.read_bytes().replace(_OLDER.encode(), _NEWER.encode(), 1))


def segmentation(folder: Path, study: Study) -> str:
    """Write a binary segmentation of the large square of a CT in ``folder``; gives its Series Instance UID."""
    sources = [read_head(path) for path in sorted(folder.glob(f"{study.series}-*.dcm"))]
    rows, columns = int(sources[0].Rows), int(sources[0].Columns)
    mask = np.zeros((len(sources), rows, columns), np.uint8)
    mask[:, rows // 8 : 9 * rows // 16, columns // 8 : 9 * columns // 16] = 1
    described = SegmentDescription(
        segment_number=1,
        segment_label="Square",
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Bone,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
    )
    made = Segmentation(
        source_images=sources,
        pixel_array=mask,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Leadglass tests",
        manufacturer_model_name="Phantom",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(folder / f"{made.SeriesInstanceUID}.dcm")
    return str(made.SeriesInstanceUID)


def structure_set(folder: Path, study: Study, size: int = 64) -> str:
    """Write an RT Structure Set that outlines the large square of a CT, in red; gives its Series Instance UID."""
    made = _common("1.2.840.10008.5.1.4.1.1.481.3", study.uid, generate_uid(), "RTSTRUCT", 0)
    made.SeriesNumber, made.StructureSetLabel = 3, "Outlines"
    made.StructureSetDate, made.StructureSetTime = "20260105", "101500"
    series, referenced, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = study.series
    series.ContourImageSequence = Sequence([_reference(each) for each in study.instances])
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", study.uid
    referenced.RTReferencedSeriesSequence = Sequence([series])
    frame.FrameOfReferenceUID = study.frame_of_reference
    frame.RTReferencedStudySequence = Sequence([referenced])
    made.ReferencedFrameOfReferenceSequence = Sequence([frame])
    region = Dataset()
    region.ROINumber, region.ROIName, region.ROIGenerationAlgorithm = 1, "Square", "MANUAL"
    region.ReferencedFrameOfReferenceUID = study.frame_of_reference
    made.StructureSetROISequence = Sequence([region])
    near, far = size // 8 * 0.5, 9 * size // 16 * 0.5
    contours: list[Dataset] = []
    for at, instance in enumerate(study.instances):
        contour = Dataset()
        contour.ContourImageSequence = Sequence([_reference(instance)])
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
        contour.ContourData = [near, near, at, far, near, at, far, far, at, near, far, at]
        contours.append(contour)
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = 1, [255, 0, 0]
    drawn.ContourSequence = Sequence(contours)
    made.ROIContourSequence = Sequence([drawn])
    seen = Dataset()
    seen.ObservationNumber, seen.ReferencedROINumber, seen.RTROIInterpretedType = 1, 1, "ORGAN"
    made.RTROIObservationsSequence = Sequence([seen])
    _write(folder / f"{made.SOPInstanceUID}.dcm", made, EXPLICIT)
    return str(made.SeriesInstanceUID)


def _reference(instance: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = CT, instance
    return made


def odd_report(folder: Path, study: str) -> None:
    """Write a structured report that says so little that viewers have died of it: no concept name, items of nothing."""
    made = _common("1.2.840.10008.5.1.4.1.1.88.33", study, generate_uid(), "SR", 0)
    made.SeriesNumber, made.ValueType, made.ContinuityOfContent = 9, "CONTAINER", "SEPARATE"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    made.ContentSequence = Sequence([item])
    _write(folder / f"{made.SOPInstanceUID}.dcm", made, EXPLICIT)
