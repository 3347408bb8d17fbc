"""Data sets for the tests of ``dicom``: made element by element, or read from the corpus."""

import io
from dataclasses import dataclass
from struct import pack
from typing import Any, Final, cast

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType]

from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.part10 import Part10, file_meta, read_file
from leadglass.dicom.source import Bytes
from leadglass.dicom.values import LONG_FORM
from tests.corpus import CorpusFile

LIMITS: Final = Limits()
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED: Final = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, *, order: str = "<", length: int | None = None) -> bytes:
    """Write one element of Explicit VR; ``length`` lies about how long it is."""
    head = pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    said = len(value) if length is None else length
    if vr in LONG_FORM:
        return head + pack(order + "HI", 0, said) + value
    return head + pack(order + "H", said) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """Write one element of Implicit VR."""
    return pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, is_undefined: bool = False, order: str = "<") -> bytes:
    """Write one item of a sequence."""
    if is_undefined:
        end = pack(order + "HHI", 0xFFFE, 0xE00D, 0)
        return pack(order + "HHI", 0xFFFE, 0xE000, UNDEFINED) + content + end
    return pack(order + "HHI", 0xFFFE, 0xE000, len(content)) + content


SEQUENCE_END: Final = pack("<HHI", 0xFFFE, 0xE0DD, 0)


def even(text: str, padding: str = " ") -> bytes:
    """Encode text with the padding that makes its length even."""
    raw = text.encode("utf-8")
    return raw + padding.encode("ascii") if len(raw) % 2 else raw


@dataclass(frozen=True, slots=True)
class Stored:
    """A corpus file as an archive stores it: file meta information and data set apart."""

    part10: Part10
    body: bytes

    @property
    def syntax(self) -> str:
        return self.part10.meta.transfer_syntax_uid

    @property
    def source(self) -> Bytes:
        return Bytes(self.body)


def stored(row: CorpusFile) -> Stored:
    """Read a corpus file; raises ``BadInput`` when it is no DICOM file."""
    data = row.path.read_bytes()
    part10 = read_file(Bytes(data))
    return Stored(part10, data[part10.dataset_offset :])


def as_pydicom(body: bytes, syntax: str) -> Dataset:
    """Read a data set with pydicom, which then complains of nothing."""
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    try:
        read = dcmread(io.BytesIO(file_meta("1.2", "1.2", syntax) + body))  # pyright: ignore[reportUnknownVariableType]
        return cast("Dataset", read)
    finally:
        config.settings.reading_validation_mode = before


def values(attributes: Attributes, tag: int) -> list[Any]:
    """Give the values of an element that must be there."""
    return attributes[f"{tag:08X}"].get("Value", [])


def bulk(element_: JsonElement) -> str:
    """Give where a value is that must have been left where it is."""
    assert "BulkDataURI" in element_
    return element_["BulkDataURI"]
