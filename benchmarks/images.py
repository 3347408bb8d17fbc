"""Made-up CT slices to send around: noise, so that nothing is won by compressing it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)


@dataclass(frozen=True, slots=True)
class Load:
    """Files to send.

    Parameters
    ----------
    name : str
        What the tables call it.
    folder : Path
        Where the files are.
    count, octets : int
        How many, and how large together.
    studies : tuple of str
        Their Study Instance UIDs.
    """

    name: str
    folder: Path
    count: int
    octets: int
    studies: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Give the files in order."""
        return sorted(self.folder.glob("*.dcm"))

    def shares(self, parts: int) -> list[list[Path]]:
        """Deal the files to so many senders, each what stands together."""
        files = self.files
        return [files[len(files) * n // parts : len(files) * (n + 1) // parts] for n in range(parts)]

    def folders(self, parts: int) -> list[Path]:
        """Give a folder for each of so many senders, with links to its share of the files."""
        folders = [self.folder.with_name(f"{self.folder.name}-{n + 1}-of-{parts}") for n in range(parts)]
        for folder, files in zip(folders, self.shares(parts), strict=True):
            if not folder.exists():
                folder.mkdir()
                for path in files:
                    os.link(path, folder / path.name)
        return folders

    def queries(self, folder: Path, count: int) -> list[Path]:
        """Write C-FIND identifiers: a study each, in turn."""
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{number}.dcm" for number in range(count)]
        for number, path in enumerate(paths):
            if path.exists():
                continue
            keys = Dataset()
            keys.QueryRetrieveLevel = "STUDY"
            keys.StudyInstanceUID = self.studies[number % len(self.studies)]
            for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "StudyDescription"):
                setattr(keys, keyword, "")
            _write(path, keys)
        return paths


def _write(path: Path, dataset: Dataset) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    dataset.file_meta = meta
    dcmwrite(path, dataset, enforce_file_format=True)


def make(folder: Path, name: str, *, count: int, side: int | Sequence[int], studies: int, seed: int = 7) -> Load:
    """Write ``count`` slices of ``side`` x ``side`` pixels of 16 bits, dealt to ``studies`` studies.

    Of several sides, slices take one after the other in turn.
    """
    sides = (side,) if isinstance(side, int) else side
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    uids = tuple(generate_uid() for _ in range(studies))
    series = [generate_uid() for _ in uids]
    octets = 0
    for number in range(count):
        which = number * studies // count
        edge = sides[number % len(sides)]
        slice_ = Dataset()
        slice_.SOPClassUID = CTImageStorage
        slice_.SOPInstanceUID = generate_uid()
        slice_.StudyInstanceUID = uids[which]
        slice_.SeriesInstanceUID = series[which]
        slice_.PatientName = f"Phantom^{which}"
        slice_.PatientID = f"PHANTOM{which}"
        slice_.PatientBirthDate = ""
        slice_.PatientSex = ""
        slice_.StudyDate = "20260101"
        slice_.StudyTime = "120000"
        slice_.StudyID = str(which)
        slice_.AccessionNumber = f"A{which}"
        slice_.ReferringPhysicianName = ""
        slice_.Modality = "CT"
        slice_.SeriesNumber = 1
        slice_.InstanceNumber = number
        slice_.ImagePositionPatient = [0, 0, number]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.PixelSpacing = [0.7, 0.7]
        slice_.SamplesPerPixel = 1
        slice_.PhotometricInterpretation = "MONOCHROME2"
        slice_.Rows = slice_.Columns = edge
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit = 15
        slice_.PixelRepresentation = 0
        slice_.PixelData = noise.integers(0, 65536, edge * edge, dtype=np.uint16).tobytes()
        path = folder / f"{number:05}.dcm"
        _write(path, slice_)
        octets += path.stat().st_size
    return Load(name, folder, count, octets, uids)


def make_multi_frame(folder: Path, name: str, *, frames: int, side: int) -> Load:
    """Write one multi-frame instance of 16 bits."""
    folder.mkdir(parents=True)
    dataset = Dataset()
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = "Phantom^Frames", "PHANTOMF"
    dataset.StudyDate, dataset.Modality, dataset.InstanceNumber = "20260101", "OT", 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames = frames
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.random.default_rng(7).integers(0, 65536, frames * side * side, dtype=np.uint16).tobytes()
    path = folder / "0.dcm"
    _write(path, dataset)
    return Load(name, folder, 1, path.stat().st_size, (str(dataset.StudyInstanceUID),))
