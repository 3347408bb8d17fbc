"""Instances that cost more than they look, stored by the web and asked for in every way that there is.

Rule: whatever is asked of them has an answer of the Standard's, never a fault of ours; memory, of the server and of
its workers, stays bounded; whoever else asks is served meanwhile.
"""

import os
import struct
import zlib
from functools import partial
from typing import Any, Final

import httpx
import pytest
from pydicom.uid import generate_uid

from tests.dicom.sets import SEQUENCE_END, UNDEFINED, element
from tests.hostile.test_data_classes import DEFLATED, JPEG_2000, JPEG_LS, RLE, file_of
from tests.hostile.webstage import MIB, WebStage, at_once, multipart, stage
from tests.vault.sets import EXPLICIT, data_set, encoded

__all__ = ["stage"]

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
MOST: Final = 6_000 if LONG else 900
"""MiB of resident memory that the server may have at most."""
MANY: Final = 40 if LONG else 10
INFLATED: Final = 900 if LONG else 60
"""MiB that some hundred kB become (4.5 MB become 900)."""
JPEG: Final = "1.2.840.10008.1.2.4.50"
HTJ2K: Final = "1.2.840.10008.1.2.4.201"
STUDY: Final = "2.25.900"
SERIES: Final = "2.25.900.1"


def encapsulated(*fragments: bytes) -> bytes:
    """Write pixel data of fragments."""
    written = [element(0x7FE00010, "OB", b"", length=UNDEFINED), struct.pack("<HHI", 0xFFFE, 0xE000, 0)]
    for each in fragments:
        even = each + b"\0" * (len(each) % 2)
        written.append(struct.pack("<HHI", 0xFFFE, 0xE000, len(even)) + even)
    return b"".join([*written, SEQUENCE_END])


def _set(**attributes: object) -> bytes:
    uid = attributes.pop("SOPInstanceUID")
    given = {"SOPInstanceUID": uid, "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "PatientID": "BOMB"}
    return encoded(data_set(**given, **attributes))


def _jpeg(side: int) -> bytes:
    """Give the head of a baseline JPEG of that side, and nothing after it."""
    head = b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes([1] * 64)
    head += b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", side, side) + b"\x01\x01\x11\x00"
    head += b"\xff\xc4\x00\x14\x00\x01" + bytes(15) + b"\x00" + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    return head + b"\x00" * 100 + b"\xff\xd9"


def _jpeg_2000(width: int, height: int, tile: int, *, is_high_throughput: bool = False) -> bytes:
    """Give the head of a JPEG 2000 code stream, and nothing after it."""
    capability = 0x4000 if is_high_throughput else 0
    size = struct.pack(">HIIIIIIIIH", capability, width, height, 0, 0, tile, tile, 0, 0, 1) + b"\x07\x01\x01"
    head = b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size
    head += b"\xff\x50\x00\x08\x00\x02\x00\x00\x00\x00"[: 10 if is_high_throughput else 0]
    head += b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01" + b"\xff\x5c\x00\x13\x40" + b"\x40" * 16
    return head + b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93" + b"\xff" * 64 + b"\xff\xd9"


def _jpeg_ls(side: int) -> bytes:
    head = b"\xff\xd8\xff\xf7\x00\x0b\x08" + struct.pack(">HH", side, side) + b"\x01\x01\x11\x00"
    return head + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + b"\x00" * 64 + b"\xff\xd9"


def bombs() -> dict[str, tuple[bytes, str]]:
    """Give data sets and their transfer syntaxes."""
    made: dict[str, tuple[bytes, str]] = {}

    def native(name: str, **attributes: object) -> None:
        made[name] = (_set(SOPInstanceUID=uid_of(name), **attributes), EXPLICIT)

    def packed(name: str, syntax: str, *fragments: bytes, **attributes: object) -> None:
        small: dict[str, object] = {"PixelData": None, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
        made[name] = (
            _set(SOPInstanceUID=uid_of(name), **(small | attributes)) + encapsulated(*fragments),
            syntax,
        )

    native("side-65535", Rows=65535, Columns=65535)
    native("frames-2-to-the-31", NumberOfFrames=str(2**31 - 1))
    native("all-at-once", Rows=65535, Columns=65535, NumberOfFrames=str(2**31 - 1), SamplesPerPixel=65535)
    native("one-bit-frames", Rows=1, Columns=1, BitsAllocated=1, BitsStored=1, HighBit=0,
           NumberOfFrames=str(8 * MIB), PixelData=bytes(MIB))  # fmt: skip
    native("frames-of-nothing", Rows=0, Columns=0, NumberOfFrames="2147483647")
    for number, frames in enumerate(("-1", "0", "1.5", "99999999999", "1e9", "\\", "NaN")):
        native(f"frames-{number}", NumberOfFrames=None)
        data, syntax = made[f"frames-{number}"]
        columns = element(0x00280011, "US", b"\x08\0")
        rows = element(0x00280010, "US", b"\x08\0")
        assert rows in data
        lie = element(0x00280008, "IS", frames.encode().ljust(len(frames) + len(frames) % 2))
        made[f"frames-{number}"] = (data.replace(rows, lie + rows), syntax)
        assert columns in data
    native("bits", BitsAllocated=64, BitsStored=0, HighBit=200, PixelRepresentation=9, PlanarConfiguration=7)
    native("samples-65535", SamplesPerPixel=65535, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    native("photometric", PhotometricInterpretation="<SCRIPT>")
    for name, ratio in (("aspect-wide", ["1", "999999999"]), ("aspect-none", ["0", "0"]), ("aspect-less", ["-1", "1"])):
        native(name, PixelAspectRatio=ratio)
    native("spacing", PixelSpacing=["1e-300", "1e300"])
    native("rescale", RescaleSlope="1e308", RescaleIntercept="-1e308", WindowCenter="1e308", WindowWidth="1e-300")
    native("window", WindowCenter=["1", "2", "NaN"], WindowWidth=["0", "-1"])
    palette: dict[str, Any] = {
        "PhotometricInterpretation": "PALETTE COLOR",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
    }
    for color in ("Red", "Green", "Blue"):
        palette[f"{color}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
        palette[f"{color}PaletteColorLookupTableData"] = b"\1\0"
    native("palette-short", **palette)
    segmented = {key: value for key, value in palette.items() if not key.endswith("Data")}
    itself = struct.pack("<HHHH", 2, 1, 0, 0) * 4_000
    linear = struct.pack("<HHH", 1, 65535, 65535) * 8_000
    for name, table in (("palette-of-itself", itself), ("palette-of-lines", linear)):
        native(
            name, **segmented, **{f"Segmented{c}PaletteColorLookupTableData": table for c in ("Red", "Green", "Blue")}
        )
    from pydicom.dataset import Dataset

    lut = Dataset()
    lut.LUTDescriptor = [0, 65535, 255]
    lut.LUTData = b"\0\0"
    lut.ModalityLUTType = "US"
    native("lut-short", ModalityLUTSequence=[lut], VOILUTSequence=[lut] * 1_000)
    native("icc", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8,
           BitsStored=8, HighBit=7, PixelData=bytes(192), ICCProfile=b"\xff\xff\xff\xff" + bytes(60_000))  # fmt: skip
    native("names", PatientName="A" * 20_000 + "\u0301" * 20_000, StudyDescription="\u202e\u0000\u001b[2J" * 2_000)
    packed("jpeg-side-65500", JPEG, _jpeg(65_500))
    packed("jpeg-says-65500", JPEG, _jpeg(65_500), Rows=65_500, Columns=65_500)
    packed("jpeg-ls-side", JPEG_LS, _jpeg_ls(65_535))
    packed("jpeg-ls-says", JPEG_LS, _jpeg_ls(11_000), Rows=11_000, Columns=11_000)
    packed("jpeg-2000-100000", JPEG_2000, _jpeg_2000(100_000, 100_000, 100_000))
    packed("jpeg-2000-tiles", JPEG_2000, _jpeg_2000(0x7FFFFFFF, 0x7FFFFFFF, 1))
    packed("jpeg-2000-says", JPEG_2000, _jpeg_2000(11_000, 11_000, 1), Rows=11_000, Columns=11_000)
    packed("htj2k-100000", HTJ2K, _jpeg_2000(100_000, 100_000, 100_000, is_high_throughput=True))
    packed(
        "htj2k-says", HTJ2K, _jpeg_2000(11_000, 11_000, 11_000, is_high_throughput=True), Rows=11_000, Columns=11_000
    )
    packed("rle-nothing", RLE, struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * 4, Rows=11_000, Columns=11_000)
    packed("rle-offsets", RLE, struct.pack("<16I", 15, *[0xFFFFFFF0] * 15) + b"\x81\x00" * 64)
    packed("fragments-200000", RLE, *[b"\x00\x00"] * 200_000, NumberOfFrames="200000")
    packed("fragments-for-one", JPEG, *[b"\xff\xd8"] * 200_000, Rows=60_000, Columns=60_000)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = _set(SOPInstanceUID=uid_of("deflated"), PixelData=None, Rows=INFLATED * 64, Columns=8_000)
    head += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, INFLATED * MIB)
    out = [deflate.compress(head)]
    for _ in range(INFLATED):
        out += [deflate.compress(os.urandom(4_500) + bytes(MIB - 4_500))]
    made["deflated"] = (b"".join([*out, deflate.flush()]), DEFLATED)
    return made


_UIDS: Final[dict[str, str]] = {}


def uid_of(name: str) -> str:
    """Give the SOP Instance UID of a bomb."""
    return _UIDS.setdefault(name, str(generate_uid()))


@pytest.fixture(scope="module")
def stored(stage: WebStage) -> dict[str, str]:
    """Store them all; gives the SOP Instance UIDs of those that were taken."""
    files = {name: file_of(data, uid_of(name), syntax=syntax) for name, (data, syntax) in bombs().items()}
    said = stage.stow(multipart(*files.values()))
    assert said.status_code in (200, 202), said.text
    names = {uid: name for name, uid in _UIDS.items()}
    taken = [item["00081155"]["Value"][0] for item in said.json()["00081199"]["Value"]]
    assert len(taken) >= len(files) - 2, "what can be stored is stored"
    return {names[uid]: uid for uid in taken}


WAYS: Final = (
    ("metadata", ""),
    ("metadata", 'multipart/related; type="application/dicom+xml"'),
    ("frames/1", ""),
    ("frames/1", "image/jls"),
    ("frames/1", "image/jp2"),
    ("frames/1", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'),
    ("frames/2,3,2147483647", ""),
    ("rendered", ""),
    ("rendered", "image/gif"),
    ("rendered", 'multipart/related; type="image/jpeg"'),
    ("rendered?viewport=8192,8192", ""),
    ("rendered?viewport=1,1,0,0,0.000000001,0.000000001", ""),
    ("rendered?viewport=8192,1,0,0,-1,-1", ""),
    ("rendered?iccprofile=srgb&annotation=patient,technique", "image/jpeg"),
    ("rendered?window=1e300,1e-300,sigmoid", ""),
    ("rendered?iccprofile=yes", "image/png"),
    ("frames/1/rendered", ""),
    ("frames/1/thumbnail", ""),
    ("thumbnail", ""),
    ("bulkdata", ""),
    ("", ""),
    ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"),
    ("", "application/dicom; transfer-syntax=*"),
)
RIGHT: Final = frozenset({200, 400, 404, 406, 501})
"""What may be answered; in particular no fault (500), no broken answer (0), and no full disk (507)."""


def ask(client: httpx.Client, path: str, accept: str) -> tuple[int, int]:
    """Ask, and throw away what comes; gives status, 0 for a broken answer, and size."""
    size = 0
    try:
        with client.stream("GET", path, headers={"Accept": accept} if accept else {}) as said:
            for block in said.iter_raw():
                size += len(block)
            return said.status_code, size
    except httpx.RemoteProtocolError:
        return 0, size


def path_of(uid: str, way: str) -> str:
    """Give the path of something of a bomb."""
    return f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{uid}/{way}".rstrip("/")


def test_no_instance_whatever_it_says_of_itself_breaks_what_is_made_of_it(
    stage: WebStage, stored: dict[str, str]
) -> None:
    stage.process.forget_peak()
    wrong: list[tuple[str, str, str, int]] = []

    def ask_all(name: str, uid: str, number: int) -> None:
        with stage.client() as client:
            for way, accept in WAYS if LONG else WAYS[number % 4 :: 4]:
                status, _ = ask(client, path_of(uid, way), accept)
                if status not in RIGHT:
                    wrong.append((name, way, accept, status))

    with stage.legitimate() as served:
        assert at_once(4, [partial(ask_all, *each, number) for number, each in enumerate(stored.items())]) == []
    assert wrong == []
    served.assert_served()
    assert stage.process.peak < MOST * MIB
    stage.assert_unharmed(10_000)


def test_many_who_have_something_inflated_leave_threads_for_others(stage: WebStage, stored: dict[str, str]) -> None:
    """Each costs seconds of a processor; one caller may have many under way."""
    stage.process.forget_peak()

    def ask_for(way: str) -> None:
        with stage.client() as client:
            assert ask(client, path_of(stored["deflated"], way), "")[0] in RIGHT

    ways = ("frames/1", "bulkdata", "rendered", "metadata", "")
    with stage.legitimate() as served:
        assert at_once(MANY, [partial(ask_for, ways[number % len(ways)]) for number in range(2 * MANY)]) == []
    served.assert_served()
    assert stage.process.peak < MOST * MIB
    stage.assert_unharmed(10_000)
