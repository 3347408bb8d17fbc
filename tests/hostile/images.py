"""Made-up CT images of any size, encoded in microseconds: a sender must not be slower than what it torments."""

import struct
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID
from tests.vault.sets import CT, EXPLICIT

_LONG: Final = frozenset({"OB", "OV", "OW"})
_SIZES: Final = (*[1_000] * 8, *[12_000] * 4, *[60_000] * 3, *[130_000] * 2, 526_000, 2_000_000)
"""Bytes of pixels, drawn from evenly: most instances are small, most bytes are in large ones."""


@dataclass(frozen=True, slots=True)
class Image:
    """One instance and what it says of itself."""

    study_uid: str
    sop_instance_uid: str
    data: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the data set."""
        return sha256(self.data).digest()

    def write(self, path: Path) -> None:
        """Write it as a file of PS3.10."""
        path.write_bytes(self.file())

    def file(self) -> bytes:
        """Give it as a file of PS3.10."""
        meta = encode(
            [
                (tags.MediaStorageSOPClassUID, "UI", CT),
                (tags.MediaStorageSOPInstanceUID, "UI", self.sop_instance_uid),
                (tags.TransferSyntaxUID, "UI", EXPLICIT),
                (tags.ImplementationClassUID, "UI", str(IMPLEMENTATION_CLASS_UID)),
            ]
        )
        version = encode([(tags.FileMetaInformationVersion, "OB", b"\0\1")])
        length = encode([(tags.FileMetaInformationGroupLength, "UL", struct.pack("<L", len(version) + len(meta)))])
        return bytes(128) + b"DICM" + length + version + meta + self.data


def image(draw: Random, study_uid: str, number: int, *, sizes: tuple[int, ...] = _SIZES, variant: str = "") -> Image:
    """Make image ``number`` of a study: another ``variant`` has the same UIDs and other content."""
    size = draw.choice(sizes) & ~1
    sop_instance_uid = f"{study_uid}.1.{number}"
    data = encode(
        [
            (tags.SOPClassUID, "UI", CT),
            (tags.SOPInstanceUID, "UI", sop_instance_uid),
            (tags.StudyDate, "DA", "20260102"),
            (tags.AccessionNumber, "SH", f"A{number}"),
            (tags.Modality, "CS", "CT"),
            (tags.SeriesDescription, "LO", f"torture {variant}"),
            (tags.PatientName, "PN", "Doe^Jane"),
            (tags.PatientID, "LO", study_uid[-16:]),
            (tags.StudyInstanceUID, "UI", study_uid),
            (tags.SeriesInstanceUID, "UI", f"{study_uid}.1"),
            (tags.InstanceNumber, "IS", str(number)),
            (tags.SamplesPerPixel, "US", struct.pack("<H", 1)),
            (tags.PhotometricInterpretation, "CS", "MONOCHROME2"),
            (tags.Rows, "US", struct.pack("<H", 1)),
            (tags.Columns, "US", struct.pack("<H", min(65_535, size // 2))),
            (tags.BitsAllocated, "US", struct.pack("<H", 16)),
            (tags.PixelData, "OW", draw.randbytes(size)),
        ]
    )
    return Image(study_uid, sop_instance_uid, data)


def encode(elements: list[tuple[int, str, bytes | str]]) -> bytes:
    """Encode elements in Explicit VR Little Endian (PS3.5 7.1.2)."""
    parts: list[bytes] = []
    for tag, vr, given in elements:
        value = (
            given if isinstance(given, bytes) else given.encode() + (b"\0" if vr == "UI" else b" ") * (len(given) & 1)
        )
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
        head += struct.pack("<HL", 0, len(value)) if vr in _LONG else struct.pack("<H", len(value))
        parts.append(head + value)
    return b"".join(parts)
