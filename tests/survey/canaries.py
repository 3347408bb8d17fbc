"""Canaries: data sets that hold one unique text in every attribute that can hold text."""

from pathlib import Path
from secrets import token_hex

from pydicom.datadict import DicomDictionary, dictionary_VR  # pyright: ignore[reportPrivateImportUsage]
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

ROOT = "1.2.826.0.1.3680043.8.498.424242."
"""What the UIDs of canaries begin with: they must not be seen either."""


_TEXTS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LATER = 0x0006_0000
"""The first tag that is neither of a command set, of the file's head nor of a DICOMDIR."""

_NO_TEXT = frozenset({"SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC"})
"""Attributes whose text means something to whoever reads the rest."""


class Canary:
    """One study with one instance, and what nobody may ever read of it."""

    def __init__(self) -> None:
        self.text = f"KANARI{token_hex(4).upper()}"
        self.study, self.series, self.instance = (generate_uid(prefix=ROOT) for _ in range(3))

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What to look for in everything that was written."""
        return (self.text.encode(), ROOT.encode())

    def data_set(self) -> Dataset:
        """Give the data set."""
        made = Dataset()
        for keyword in (
            "PatientName",
            "PatientID",
            "PatientComments",
            "InstitutionName",
            "InstitutionAddress",
            "ReferringPhysicianName",
            "StudyDescription",
            "SeriesDescription",
            "AccessionNumber",
            "StudyID",
            "OperatorsName",
            "ProtocolName",
            "StationName",
        ):
            setattr(made, keyword, self.text)
        made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = self.study, self.series, self.instance
        made.SOPClassUID = SecondaryCaptureImageStorage
        made.StudyDate, made.StudyTime, made.Modality = "20260102", "030405", "OT"
        made.SeriesNumber = made.InstanceNumber = 1
        return made

    def whole(self) -> Dataset:
        """Give it with every attribute of the dictionary that can hold text."""
        made = self.data_set()
        for tag, (_, _, _, retired, keyword) in DicomDictionary.items():
            if tag < _LATER or retired or not keyword or keyword in _NO_TEXT or keyword in made:
                continue
            if dictionary_VR(tag) in _TEXTS:
                setattr(made, keyword, self.text)
        return made

    def write(self, folder: Path) -> Path:
        """Write it, whole, as a file whose name is the canary's, too."""
        data_set = self.whole()
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = self.instance
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{self.text}.dcm"
        FileDataset(str(path), data_set, file_meta=meta, preamble=bytes(128)).save_as(path, enforce_file_format=True)
        return path
