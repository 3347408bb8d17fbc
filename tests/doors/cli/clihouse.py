"""The command line in this process, and small files to feed it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite  # pyright: ignore[reportUnknownVariableType] - pydicom's os.PathLike
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from leadglass.app import App
from leadglass.doors.cli.main import run

ROOT = "1.2.826.0.1.3680043.9.7777"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Cli:
    """Commands on one data folder."""

    data: Path
    read: Callable[[], tuple[str, str]]

    def __call__(self, *arguments: str | Path) -> Ended:
        self.read()
        code = run([*map(str, arguments), "--data", str(self.data)], App)
        out, err = self.read()
        assert "Traceback" not in err
        return Ended(code, out, err)

    def do(self, *arguments: str | Path) -> Ended:
        """Run a command that has to succeed."""
        ended = self(*arguments)
        assert ended.code == 0, ended
        return ended


def cli_on(data: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Give the command line for a data folder."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return Cli(data, read)


def uid(*numbers: int) -> str:
    """Give a UID of ours."""
    return ".".join((ROOT, *map(str, numbers)))


def image(study: int = 1, series: int = 1, instance: int = 1, **values: object) -> Dataset:
    """Make a tiny image."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = uid(study, series, instance)
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20260101", "120000", "A1"
    ds.Modality = "OT"
    ds.PatientName, ds.PatientID = "Test^Phantom", f"P{study}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study), uid(study, series)
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", series, instance
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(range(16))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def file_of(ds: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Encode a data set as a file."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def write_study(folder: Path, study: int = 1, series: int = 2, instances: int = 3, **values: object) -> list[Path]:
    """Write a study's files; names say nothing of what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for s in range(1, series + 1):
        for i in range(1, instances + 1):
            path = folder / f"{study}-{s}-{i}"
            path.write_bytes(file_of(image(study, s, i, **values)))
            paths.append(path)
    return paths
