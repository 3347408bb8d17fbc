"""Where a data set begins in a file, found without Leadglass's own reader: the oracle for "identical"."""

import warnings
from pathlib import Path
from typing import Any, cast

import pydicom
from pydicom.dataset import FileDataset

from tests.peers.scu import Instance

_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
IMPLICIT = "1.2.840.10008.1.2"


def split(data: bytes) -> tuple[dict[int, str], bytes]:
    """Split a DICOM file into its file meta information, by tag, and the bytes of its data set (PS3.10 7.1)."""
    at = 132 if data[128:132] == b"DICM" else 0
    meta: dict[int, str] = {}
    while data[at : at + 2] == b"\x02\x00":  # group 0002, always Explicit VR Little Endian
        tag = 0x00020000 | int.from_bytes(data[at + 2 : at + 4], "little")
        if data[at + 4 : at + 6] in _LONG:
            length, start = int.from_bytes(data[at + 8 : at + 12], "little"), at + 12
        else:
            length, start = int.from_bytes(data[at + 6 : at + 8], "little"), at + 8
        meta[tag] = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        at = start + length
    return meta, data[at:]


def transfer_syntax(meta: dict[int, str]) -> str:
    """Give the transfer syntax that the meta information names; Implicit VR Little Endian where it names none."""
    return meta.get(0x00020010) or IMPLICIT


def instance(path: Path, sop_class_uid: str, sop_instance_uid: str) -> Instance:
    """Read a file as an instance to send, the data set byte for byte."""
    meta, data = split(path.read_bytes())
    return Instance(sop_class_uid, sop_instance_uid, transfer_syntax(meta), data)


def read_head(path: Path) -> FileDataset:
    """Read a file's elements before its pixels with pydicom, leniently."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head: FileDataset = cast("Any", pydicom).dcmread(path, stop_before_pixels=True, force=True)
    return head


def elements(path: Path) -> dict[int, object]:
    """Give a file's elements by tag as pydicom reads them, without trailing padding (FFFC,FFFC)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = cast("Any", pydicom).dcmread(path, force=True)
        return {int(element.tag): element.value for element in dataset if element.tag != 0xFFFCFFFC}
