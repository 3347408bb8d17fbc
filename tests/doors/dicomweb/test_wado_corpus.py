"""The whole corpus by WADO-RS: every data set bit by bit, its metadata, its frames and its bulk data.

Studies as a whole, and everything over HTTPS, are in ``tests/flows/test_dicomweb_corpus.py``.
"""

import base64
import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pydicom import config
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from leadglass.dicom import uids
from leadglass.dicom.ingest import describe
from leadglass.dicom.model import bulk_location, is_encapsulated_bulk
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.recode import word_size
from leadglass.dicom.source import Bytes
from leadglass.dicom.values import swapped
from leadglass.errors import LeadglassError
from tests.callers import unbraked
from tests.dicom.sets import LIMITS, as_pydicom
from tests.doors.dicomweb.wadohouse import ROOT, WadoHouse, opened
from tests.flows.corpus_rounds import Entry, rounds

OTHER_DECODER = frozenset({"fo-dicom/VL5_J2KI.dcm"})
"""An irreversible JPEG 2000 stream where two builds of one decoder round apart."""
MORE_THAN_IT_SAYS = frozenset({"pixl/study.zip_DX_include123.dcm"})
"""Four times the pixel data that its one frame has: pydicom takes it for four frames."""
LOSSY = frozenset({uids.JPEG_BASELINE, uids.JPEG_EXTENDED, uids.JPEG_XL_RECOMPRESSION, uids.JPEG_XL})


@pytest.fixture(scope="module")
def stored(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[WadoHouse, list[Entry]]]]:
    """Store every round of the corpus in an archive of its own."""
    with ExitStack() as stack:
        houses: list[tuple[WadoHouse, list[Entry]]] = []
        for number, held in enumerate(rounds(corpus)):
            house = stack.enter_context(opened(tmp_path_factory.mktemp(f"round{number}")))
            house.caller = unbraked(house.caller)
            kept: list[Entry] = []
            for entry in held:
                try:
                    house.store(entry.instance.data, entry.instance.transfer_syntax_uid)
                except LeadglassError:
                    continue  # what is refused at the door is another test's
                kept.append(entry)
            houses.append((house, kept))
        yield houses


def _path(entry: Entry) -> str:
    return f"/studies/{entry.study_uid}/series/{entry.series_uid}/instances/{entry.instance.sop_instance_uid}"


def _each(stored: list[tuple[WadoHouse, list[Entry]]]) -> Iterator[tuple[WadoHouse, Entry]]:
    count = 0
    for house, held in stored:
        for entry in held:
            count += 1
            yield house, entry
    assert count > 200


def test_every_instance_leaves_bit_by_bit(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    for house, entry in _each(stored):
        instance = entry.instance
        got = house.get(_path(entry), "application/dicom; transfer-syntax=*")
        meta = file_meta(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid)
        assert (got.status, got.body == meta + instance.data) == (200, True), entry.file.name
        assert got.headers["content-type"] == f"application/dicom; transfer-syntax={instance.transfer_syntax_uid}"


def _meta_length(file: bytes) -> int:
    return 144 + int.from_bytes(file[140:144], "little")


def test_metadata_is_what_was_read_of_each_data_set(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    for house, entry in _each(stored):
        instance = entry.instance
        attributes = describe(Bytes(instance.data), instance.transfer_syntax_uid, LIMITS).attributes
        base = f"{ROOT}{_path(entry)}/bulkdata/"
        text = json.dumps(attributes).replace('"BulkDataURI": "', f'"BulkDataURI": "{base}')
        plain = house.get(f"{_path(entry)}/metadata")
        assert json.loads(plain.body) == [json.loads(text)], entry.file.name
        deflated = house.get(f"{_path(entry)}/metadata", accept_encoding="gzip, deflate")
        assert deflated.headers["content-encoding"] == "deflate"
        assert deflated.body == plain.body, entry.file.name


def _places(attributes: Any) -> Iterator[tuple[str, str]]:
    for element in attributes.values():
        if "BulkDataURI" in element:
            yield element["vr"], element["BulkDataURI"]
        if element["vr"] == "SQ":
            for item in element.get("Value", []):
                yield from _places(item)


def test_every_bulk_data_uri_resolves_to_the_value(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    resolved = nested = 0
    for house, entry in _each(stored):
        instance = entry.instance
        if instance.transfer_syntax_uid in uids.DEFLATED:
            continue  # offsets are in the inflated data set
        [attributes] = json.loads(house.get(f"{_path(entry)}/metadata").body)
        for vr, uri in _places(attributes):
            got = house.get(uri, "application/octet-stream")
            assert got.status == 200
            named = uri.rpartition("/")[2]
            place = bulk_location(named)
            assert place is not None
            raw = instance.data[place[0] : sum(place)]
            if instance.transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN and not is_encapsulated_bulk(named):
                is_image = attributes.get("7FE00010", {}).get("BulkDataURI") == uri
                allocated = attributes["00280100"]["Value"][0] if is_image else 0
                raw = swapped(raw, {16: 2, 32: 4}.get(allocated, word_size(vr)))
            if is_encapsulated_bulk(named):
                assert raw[-8:] == b"\xfe\xff\xdd\xe0\0\0\0\0"
                raw = raw[:-8]
                said = f"application/octet-stream; transfer-syntax={instance.transfer_syntax_uid}"
                assert got.headers["content-type"] == said
            assert got.body == raw, entry.file.name
            resolved += 1
            nested += uri not in [element.get("BulkDataURI") for element in attributes.values()]
    assert resolved > 200
    assert nested, "no BulkDataURI inside a sequence was seen"


def test_every_frame_decodes_to_what_pydicom_decodes(
    stored: list[tuple[WadoHouse, list[Entry]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    compared = 0
    wrong: dict[str, str] = {}
    for house, entry in _each(stored):
        syntax = entry.instance.transfer_syntax_uid
        if not entry.file.pixel_sha256 or entry.file.name in OTHER_DECODER | MORE_THAN_IT_SAYS or syntax in LOSSY:
            continue
        numbers = ",".join(str(number) for number in range(1, entry.file.frames + 1))
        got = house.get(f"{_path(entry)}/frames/{numbers}")
        if got.status != 200:
            wrong[entry.file.name] = f"{got.status} {got.body!r}"
            continue
        found = _hash(entry, [part.body for part in got.parts])
        if found != entry.file.pixel_sha256:
            wrong[entry.file.name] = "other pixels"
        compared += 1
    assert wrong == {}
    assert compared > 150


def _hash(entry: Entry, frames: list[bytes]) -> str:
    """Hash the samples of frames as pydicom gives them: its own array of a data set that holds them uncompressed."""
    instance = entry.instance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = as_pydicom(instance.data, instance.transfer_syntax_uid)
        if data_set.get("BitsAllocated") == 1:
            size = data_set.Rows * data_set.Columns
            bits = [np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:size] for frame in frames]
            return hashlib.sha256(np.concatenate(bits).tobytes()).hexdigest()[:32]
        word = {"PixelData": "", "FloatPixelData": "f", "DoubleFloatPixelData": "d"}
        [name] = [name for name in word if name in data_set]
        joined = b"".join(frames)
        compressed = uids.is_encapsulated(instance.transfer_syntax_uid)
        data_set[name].value = joined + b"\0" * (len(joined) % 2)
        data_set[name].VR = {"f": "OF", "d": "OD"}.get(word[name], "OW" if data_set.BitsAllocated > 8 else "OB")
        data_set[name].is_undefined_length = False
        if compressed and data_set.SamplesPerPixel > 1 and instance.transfer_syntax_uid not in AS_THEY_ARE:
            data_set.PlanarConfiguration = 0
            if data_set.PhotometricInterpretation in ("YBR_FULL_422", "YBR_ICT", "YBR_RCT"):
                data_set.PhotometricInterpretation = "RGB"
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        rewritten = cast("Any", data_set)
        rewritten.set_original_encoding(False, True, rewritten.original_character_set)
        array = rewritten.pixel_array
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


AS_THEY_ARE = frozenset({uids.DEFLATED_IMAGE_FRAME, uids.ENCAPSULATED_UNCOMPRESSED})


def test_an_image_is_the_same_through_every_door(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    """Of what is stored in Big Endian: frame by frame, as bulk data, recoded, and compressed."""
    compared = 0
    for house, entry in _each(stored):
        if entry.instance.transfer_syntax_uid != uids.EXPLICIT_VR_BIG_ENDIAN or not entry.file.pixel_sha256:
            continue
        path = _path(entry)
        numbers = ",".join(str(number) for number in range(1, entry.file.frames + 1))
        frames = b"".join(part.body for part in house.get(f"{path}/frames/{numbers}").parts)
        [attributes] = json.loads(house.get(f"{path}/metadata").body)
        value = house.get(attributes["7FE00010"]["BulkDataURI"], "application/octet-stream").body
        assert value[: len(frames)] == frames, entry.file.name
        for syntax in (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.RLE_LOSSLESS):
            got = house.get(path, f"application/dicom; transfer-syntax={syntax}")
            if got.status == 406 and attributes["00280100"]["Value"] == [1]:
                continue  # pixels of one bit are not compressed
            data_set = as_pydicom(got.body[_meta_length(got.body) :], syntax)
            array = np.ascontiguousarray(data_set.pixel_array)
            assert hashlib.sha256(array.tobytes()).hexdigest()[:32] == entry.file.pixel_sha256, entry.file.name
        compared += 1
    assert compared >= 8


def test_every_frame_as_stored_is_what_pydicom_takes_apart(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    compared = 0
    media: set[str] = set()
    for house, entry in _each(stored):
        instance = entry.instance
        if not uids.is_encapsulated(instance.transfer_syntax_uid) or instance.transfer_syntax_uid in uids.VIDEO:
            continue
        numbers = ",".join(str(number) for number in range(1, entry.file.frames + 1))
        got = house.get(f"{_path(entry)}/frames/{numbers}", "multipart/related; transfer-syntax=*")
        if got.status == 404:
            continue  # no pixel data, or none that can be told apart
        assert got.status == 200, got.body
        data_set = as_pydicom(instance.data, instance.transfer_syntax_uid)
        if "ExtendedOffsetTable" in data_set:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = list(generate_frames(data_set.PixelData, number_of_frames=entry.file.frames))
        assert [part.body for part in got.parts] == theirs, entry.file.name
        assert {part.syntax for part in got.parts} == {instance.transfer_syntax_uid}
        media |= {part.media for part in got.parts}
        compared += 1
    assert compared > 60
    assert {"image/jpeg", "image/jls", "image/jp2", "image/jphc", "image/dicom-rle", "image/jxl"} <= media


def test_a_video_is_one_stream_and_its_only_frame(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    seen = 0
    for house, entry in _each(stored):
        if entry.instance.transfer_syntax_uid not in uids.VIDEO:
            continue
        data_set = as_pydicom(entry.instance.data, entry.instance.transfer_syntax_uid)
        if "PixelData" not in data_set:
            continue
        got = house.get(f"{_path(entry)}/frames/1", "video/*; transfer-syntax=*")
        assert got.media in ("video/mp4", "video/mpeg")
        assert got.body == b"".join(list(generate_fragments(data_set.PixelData))[1:])
        assert house.get(f"{_path(entry)}/frames/2").status == 404
        assert house.get(f"{_path(entry)}/frames/1", "application/octet-stream").status == 406
        seen += 1
    if not seen:
        pytest.skip("The corpus holds no video.")


def test_whatever_is_compressed_by_us_is_read_by_pydicom_as_before(
    stored: list[tuple[WadoHouse, list[Entry]]],
) -> None:
    """A few of each kind; ``tests/dicom/test_encode.py`` tries the codecs themselves."""
    seen: set[tuple[str, str]] = set()
    for house, entry in _each(stored):
        for target in (uids.RLE_LOSSLESS, uids.JPEG_2000_LOSSLESS):
            if (entry.instance.transfer_syntax_uid, target) in seen or not entry.file.pixel_sha256:
                continue
            if entry.instance.transfer_syntax_uid in LOSSY or len(entry.instance.data) > 1 << 20:
                continue
            got = house.get(_path(entry), f"application/dicom; transfer-syntax={target}")
            if got.status != 200:
                assert got.status in (406, 501), entry.file.name
                continue
            data_set = as_pydicom(got.body[_meta_length(got.body) :], target)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    array = data_set.pixel_array
            except RuntimeError:
                continue  # pydicom has no decoder for samples of this kind
            assert hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32] == entry.file.pixel_sha256
            seen.add((entry.instance.transfer_syntax_uid, target))
    assert len(seen) > 10


def test_base64_is_not_needed_for_what_is_long(stored: list[tuple[WadoHouse, list[Entry]]]) -> None:
    longest = 0
    for house, entry in _each(stored):
        [attributes] = json.loads(house.get(f"{_path(entry)}/metadata").body)
        for element in attributes.values():
            longest = max(longest, len(base64.b64decode(element.get("InlineBinary", ""))))
    assert 0 < longest <= LIMITS.inline_bytes
