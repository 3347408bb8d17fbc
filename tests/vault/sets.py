"""Data sets for the vault's tests, made up, and the ways to hand them in and out."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from leadglass.archive.backroom import Declared, InstanceRecord, Receipt, Selection
from leadglass.crypto.database import open_sealed
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.matching import Level
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import INDEX_FILE, Vault, open_vault
from tests.callers import permit

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
PIXELS = b"PIXELPATTERN0123" * 8


def data_set(**attributes: object) -> Dataset:
    """Make a small CT instance; ``attributes`` by keyword replace or add, None leaves out."""
    made = Dataset()
    given: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": CT,
        "SOPInstanceUID": generate_uid(),
        "StudyDate": "20260102",
        "StudyTime": "101112",
        "AccessionNumber": "A1",
        "Modality": "CT",
        "StudyDescription": "Thorax",
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.1",
        "StudyID": "S1",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 8,
        "Columns": 8,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": PIXELS,
    } | attributes
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # pydicom tells that a value is not as the Standard has it; that is what we want
        for keyword, value in given.items():
            if value is not None:
                setattr(made, keyword, value)
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    return made


def encoded(made: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Encode a data set without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = syntax == IMPLICIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(buffer, made)
    return BytesIO(buffer.getvalue()).read()


def instance(**attributes: object) -> bytes:
    """Make and encode a small CT instance."""
    return encoded(data_set(**attributes))


def store(
    vault: Vault, data: bytes, *, syntax: str = EXPLICIT, origin: str = "CT1", may: Permit | None = None
) -> Receipt:
    """Hand one instance in, as a door does."""
    allowed = may or permit(Action.STORE)
    incoming = vault.receive(allowed, Declared(syntax, origin=origin))
    try:
        for start in range(0, len(data), 65_000):
            incoming.write(data[start : start + 65_000])
        incoming.examine()
        return incoming.commit(allowed)
    finally:
        incoming.abort()


def located(vault: Vault, *studies: str, may: Permit | None = None) -> list[InstanceRecord]:
    """Locate what is stored of some studies; of 1.2.3.4 when none is named."""
    return vault.locate(may or permit(Action.GET), Level.STUDY, Selection(study_uids=studies or ("1.2.3.4",)))


def content(vault: Vault, record: InstanceRecord) -> bytes:
    """Read one instance back."""
    with vault.open(permit(Action.GET), record) as reader:
        return reader.read_at(0, reader.size)


def contents(vault: Vault, *studies: str) -> list[bytes]:
    """Read back what is stored of some studies."""
    return [content(vault, record) for record in located(vault, *studies)]


def objects(folder: Path) -> list[Path]:
    """Give the files of all objects."""
    return sorted(path for path in (folder / "objects").glob("*/*") if ".open" not in path.parts)


SMALL = VaultSettings(min_free_bytes=0)


@contextmanager
def opened(folder: Path, settings: VaultSettings = SMALL) -> Generator[Vault]:
    """Open the vault in a folder, with the key file beside it; both are made at first."""
    path = folder / "archive.key"
    key = ArchiveKey.load(path) if path.exists() else ArchiveKey.create(path)
    with open_vault(folder, key, settings) as vault:
        yield vault


def spoil(folder: Path, statement: str) -> None:
    """Change the index of an opened vault behind its back, as no damage of the disk could in a sealed one."""
    connection = open_sealed(folder / INDEX_FILE, ArchiveKey.load(folder / "archive.key").derive("index database"))
    try:
        connection.execute(statement)
    finally:
        connection.close()
