import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from leadglass.dicom import uids
from leadglass.dicom.native_xml import NAMESPACE
from leadglass.dicom.room import Room
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.dicomweb.bulk import range_of
from leadglass.doors.dicomweb.frames import parse_frames
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import BadInput
from leadglass.policy.action import Action
from leadglass.policy.masking import without_identity
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device
from tests.corpus import CorpusFile
from tests.dicom.sets import stored as stored_file
from tests.doors.dicomweb.wadohouse import ROOT, WadoHouse, opened
from tests.vault.sets import EXPLICIT, IMPLICIT, PIXELS, data_set, encoded

RELATED = 'multipart/related; type="application/dicom"'
STUDY = "/studies/1.2.3.4"
SERIES = f"{STUDY}/series/1.2.3.4.1"
INSTANCE = f"{SERIES}/instances/1.2.3.4.1.1"
LONG = bytes(range(256)) * 20


def _instance(number: int = 1, **more: object) -> bytes:
    return encoded(data_set(SOPInstanceUID=f"1.2.3.4.1.{number}", InstanceNumber=number, **more))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WadoHouse]:
    """Three CT instances, one of them with three frames and bulk data in a sequence, and another patient's study."""
    with opened(tmp_path_factory.mktemp("wado")) as house:
        house.store(_instance(1), EXPLICIT)
        nested = Dataset()
        nested.add_new(0x00091001, "OB", LONG)
        pixels = np.arange(3 * 64, dtype="<u2").tobytes()
        house.store(
            _instance(2, NumberOfFrames=3, PixelData=pixels, RequestAttributesSequence=Sequence([nested])), EXPLICIT
        )
        house.store(encoded(data_set(SOPInstanceUID="1.2.3.4.1.3", InstanceNumber=3), IMPLICIT), IMPLICIT)
        house.store(
            encoded(
                data_set(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", SOPInstanceUID="1.9.1.1", PatientID="0815")
            ),
            EXPLICIT,
        )
        yield house


# --- instances ----------------------------------------------------------------


@pytest.mark.parametrize(("path", "count"), [(STUDY, 3), (SERIES, 3), (INSTANCE, 1)])
def test_each_level_is_given_as_multipart_by_default(house: WadoHouse, path: str, count: int) -> None:
    for accept in ("", "*/*", RELATED, "multipart/related"):
        parts = house.get(path, accept).parts
        assert len(parts) == count
        assert {part.media for part in parts} == {"application/dicom"}
        # Explicit VR Little Endian where no transfer syntax is named, whatever is stored.
        assert {part.syntax for part in parts} == {EXPLICIT}


def test_what_is_sent_as_stored_says_its_length_however_long_it_is(tmp_path: Path) -> None:
    large = bytes(2 * 1024 * 512)
    any_syntax = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    with opened(tmp_path) as house:
        for number in (1, 20, 300):
            house.store(_instance(number, Rows=1024, Columns=512, PixelData=large), EXPLICIT)
        house.store(
            encoded(data_set(SOPInstanceUID="1.2.3.4.1.4", Rows=1024, Columns=512, PixelData=large), IMPLICIT), IMPLICIT
        )
        for path, count in ((STUDY, 4), (SERIES, 4), (f"{SERIES}/instances/1.2.3.4.1.20", 1)):
            got = house.get(path, any_syntax)
            assert len(got.parts) == count
            assert got.headers["content-length"] == str(len(got.body))
        made = house.get(SERIES, f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}')
        assert {part.syntax for part in made.parts} == {EXPLICIT}
        assert "content-length" not in made.headers, "what is made anew is as long as it turns out"
        house.caller = device("RESEARCH", Action.GET, view=without_identity())
        assert "content-length" not in house.get(SERIES, any_syntax).headers


def test_any_transfer_syntax_gives_what_is_stored_and_a_list_is_weighed(house: WadoHouse) -> None:
    def syntaxes(accept: str) -> list[str]:
        return [part.syntax for part in house.get(SERIES, accept).parts]

    assert syntaxes(f"{RELATED}; transfer-syntax=*") == [EXPLICIT, EXPLICIT, IMPLICIT]
    rle = uids.RLE_LOSSLESS
    assert syntaxes(f"{RELATED}; transfer-syntax={rle};q=0.9, {RELATED}; transfer-syntax={IMPLICIT};q=0.5") == [rle] * 3
    assert (
        syntaxes(f"{RELATED}; transfer-syntax={rle};q=0.4, {RELATED}; transfer-syntax={IMPLICIT};q=0.5")
        == [IMPLICIT] * 3
    )


def test_a_report_withholds_no_study_from_who_takes_compressed_images_only(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(1), EXPLICIT)
        report = data_set(SOPInstanceUID="1.2.3.4.1.2", Modality="SR", InstanceNumber=2)
        for keyword in ("PixelData", "Rows", "Columns"):
            if keyword in report:
                delattr(report, keyword)
        house.store(encoded(report, IMPLICIT), IMPLICIT)
        ls = uids.JPEG_LS_LOSSLESS
        accept = f"{RELATED}; transfer-syntax={ls}"
        assert [part.syntax for part in house.get(STUDY, accept).parts] == [ls, EXPLICIT]
        alone = house.get(f"{SERIES}/instances/1.2.3.4.1.2", accept)
        assert [part.syntax for part in alone.parts] == [EXPLICIT]
        stored = f"{accept};q=0.5, {RELATED}; transfer-syntax={IMPLICIT};q=0.1"
        assert [part.syntax for part in house.get(STUDY, stored).parts] == [ls, IMPLICIT]
        lossy = f"{RELATED}; transfer-syntax={uids.JPEG_BASELINE}"
        assert house.get(STUDY, lossy).status == 406, "the image cannot be had so"
        assert house.get(STUDY, f"{RELATED}; transfer-syntax=1.2.3.4.5").status == 406
        assert house.get(f"{SERIES}/instances/1.2.3.4.1.2", "image/jpeg").status == 406


@pytest.mark.parametrize(
    "accept",
    [
        "image/jpeg",
        f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.4.50",
        f"{RELATED}; transfer-syntax=1.2.3.4.5",
        "application/dicom+json",
    ],
)
def test_what_cannot_be_given_is_406_with_what_could_be(house: WadoHouse, accept: str) -> None:
    got = house.get(INSTANCE, accept)
    assert (got.status, got.media) == (406, "application/problem+json")
    assert EXPLICIT in json.loads(got.body)["detail"]


def test_a_series_cannot_be_given_as_one_file(house: WadoHouse) -> None:
    assert house.get(SERIES, "application/dicom").status == 406
    assert house.get(INSTANCE, "application/dicom").media == "application/dicom"


def test_the_query_parameter_stands_in_for_the_header(house: WadoHouse) -> None:
    assert house.get(f"{INSTANCE}?accept=application/dicom", "text/html").media == "application/dicom"
    assert house.get(f"{INSTANCE}/metadata?accept=application/dicom+json", "text/html").status == 200


# --- who may ------------------------------------------------------------------

PATHS = [
    *(path for path in (STUDY, SERIES, INSTANCE)),
    *(f"{path}/metadata" for path in (STUDY, SERIES, INSTANCE)),
    *(f"{path}/bulkdata" for path in (STUDY, SERIES, INSTANCE)),
    f"{INSTANCE}/frames/1",
    f"{INSTANCE}/bulkdata/bulk:1,2",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_yours_is_not_here_by_the_same_answer(house: WadoHouse, path: str) -> None:
    mine = house.caller
    try:
        house.caller = device("OTHER", Action.GET, scope=Scope.where(Field.STUDY, "1.9"))
        foreign = house.get(path)
        missing = house.get(path.replace("1.2.3.4", "1.2.3.5"))
        house.caller = device("NOBODY", Action.FIND)
        assert house.get(path).status == 403
    finally:
        house.caller = mine
    assert foreign.status == 404
    assert (foreign.status, foreign.body, foreign.headers) == (missing.status, missing.body, missing.headers)


def test_a_masked_caller_sees_masked_metadata_under_another_entity_tag(house: WadoHouse) -> None:
    full = house.get(f"{INSTANCE}/metadata")
    mine = house.caller
    try:
        house.caller = device("MASKED", Action.GET, view=View(frozenset({0x00100010, 0x00091001})))
        masked = house.get(f"{INSTANCE}/metadata", if_none_match=full.headers["etag"])
        nested = house.get(f"{SERIES}/instances/1.2.3.4.1.2/metadata")
    finally:
        house.caller = mine
    assert json.loads(full.body)[0]["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert masked.status == 200
    assert b"Doe" not in masked.body
    assert masked.headers["etag"] != full.headers["etag"]
    [uri] = _uris(json.loads(house.get(f"{SERIES}/instances/1.2.3.4.1.2/metadata").body)[0]["00400275"])
    assert uri not in nested.body.decode()
    try:
        house.caller = device("MASKED", Action.GET, view=View(frozenset({0x00100010, 0x00091001})))
        assert house.get(uri).status == 404, "a place that the caller's metadata does not name is not here"
    finally:
        house.caller = mine
    assert house.get(uri).status == 200


def _uris(element: object) -> list[str]:
    return [line.split('"')[0] for line in json.dumps(element).split('"BulkDataURI": "')[1:]]


def test_metadata_is_on_record_once_for_each_window(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(), EXPLICIT)
        before = len(house.events("permitted"))
        for _ in range(5):
            assert house.get(f"{STUDY}/metadata").status == 200
            assert house.get(f"{INSTANCE}/frames/1").status == 200
        opened_for_study = [event for event in house.events("permitted")[before:] if event.study_uid == "1.2.3.4"]
        assert len(opened_for_study) == 1
        house.archive.end(house.caller)
        [closed] = [event for event in house.events("done") if event.action == "get" and event.study_uid]
        assert closed.detail["instances"] == 10
        assert int(closed.detail["octets"]) > 0


def test_frames_weigh_what_they_are_not_what_the_instance_is(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        pixels = bytes(64 * 1024 * 2)
        house.store(_instance(NumberOfFrames=1024, PixelData=pixels), EXPLICIT)
        assert house.get(f"{INSTANCE}/frames/1").status == 200
        house.archive.end(house.caller)
        [closed] = [event for event in house.events("done") if event.action == "get" and event.study_uid]
        assert closed.detail["octets"] == 128


# --- metadata -----------------------------------------------------------------


def test_metadata_of_a_series_is_one_array_in_order_whole_or_deflated(house: WadoHouse) -> None:
    plain = house.get(f"{SERIES}/metadata", "application/dicom+json")
    assert plain.media == "application/dicom+json"
    listed = json.loads(plain.body)
    assert [each["00200013"]["Value"][0] for each in listed] == [1, 2, 3]
    deflated = house.get(f"{SERIES}/metadata", "application/json", accept_encoding="br, deflate;q=0.5")
    assert (deflated.media, deflated.headers["content-encoding"]) == ("application/json", "deflate")
    assert deflated.body == plain.body
    assert "content-encoding" not in house.get(f"{SERIES}/metadata", accept_encoding="gzip, deflate;q=0").headers


def test_an_entity_tag_is_strong_and_spares_the_body(house: WadoHouse) -> None:
    first = house.get(f"{SERIES}/metadata")
    tag = first.headers["etag"]
    assert not tag.startswith("W/")
    for listed in (tag, f'"other", W/{tag}', "*"):
        again = house.get(f"{SERIES}/metadata", if_none_match=listed)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert house.get(f"{SERIES}/metadata", if_none_match='"other"').status == 200
    tags = {
        house.get(f"{SERIES}/metadata", accept_encoding="deflate").headers["etag"],
        house.get(f"{STUDY}/metadata", 'multipart/related; type="application/dicom+xml"').headers["etag"],
        house.get(f"{INSTANCE}/metadata").headers["etag"],
        tag,
    }
    assert len(tags) == 4


def test_an_entity_tag_changes_with_what_is_stored(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(1), EXPLICIT)
        before = house.get(f"{SERIES}/metadata").headers["etag"]
        house.store(_instance(2), EXPLICIT)
        assert house.get(f"{SERIES}/metadata", if_none_match=before).status == 200


def test_metadata_as_xml_holds_the_same(house: WadoHouse) -> None:
    parts = house.get(f"{SERIES}/metadata", 'multipart/related; type="application/dicom+xml"').parts
    assert len(parts) == 3
    plain = json.loads(house.get(f"{SERIES}/metadata").body)
    for part, attributes in zip(parts, plain, strict=True):
        root = ET.fromstring(part.body)  # noqa: S314 - our own
        found = {each.attrib["tag"]: each for each in root.findall(f"{{{NAMESPACE}}}DicomAttribute")}
        assert sorted(found) == sorted(attributes)
        assert found["00100010"].attrib["keyword"] == "PatientName"
        names = found["00100010"].find(f"{{{NAMESPACE}}}PersonName/{{{NAMESPACE}}}Alphabetic")
        assert names is not None
        assert [each.text for each in names] == ["Doe", "Jane"]
        for element in found.values():
            for value in element.findall(f"{{{NAMESPACE}}}Value"):
                assert value.text == str(attributes[element.attrib["tag"]]["Value"][int(value.attrib["number"]) - 1])
            for place in element.findall(f"{{{NAMESPACE}}}BulkData"):
                assert place.attrib["uri"] == attributes[element.attrib["tag"]]["BulkDataURI"]


# --- frames -------------------------------------------------------------------

FRAMES = f"{SERIES}/instances/1.2.3.4.1.2/frames"


def test_frames_are_given_in_the_order_asked_for(house: WadoHouse) -> None:
    parts = house.get(f"{FRAMES}/3,1").parts
    assert [np.frombuffer(part.body, "<u2")[0] for part in parts] == [128, 0]
    assert [part.headers["content-location"] for part in parts] == [f"{ROOT}{FRAMES}/{n}" for n in (3, 1)]
    assert {(part.media, part.syntax) for part in parts} == {("application/octet-stream", EXPLICIT)}


def test_one_frame_may_be_given_alone_and_several_may_not(house: WadoHouse) -> None:
    got = house.get(f"{FRAMES}/2", "application/octet-stream")
    assert got.headers["content-type"] == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    assert np.frombuffer(got.body, "<u2")[0] == 64
    assert house.get(f"{FRAMES}/1,2", "application/octet-stream").status == 406


@pytest.mark.parametrize(
    ("media", "syntax"),
    [
        ("image/jls", uids.JPEG_LS_LOSSLESS),
        ("image/jp2", uids.JPEG_2000_LOSSLESS),
        ("image/jphc", uids.HTJ2K_LOSSLESS),
        ("image/dicom-rle", uids.RLE_LOSSLESS),
    ],
)
def test_a_frame_is_compressed_without_loss_when_asked_for(house: WadoHouse, media: str, syntax: str) -> None:
    for accept in (media, f"{media}; transfer-syntax={syntax}", f"image/*; transfer-syntax={syntax}"):
        got = house.get(f"{FRAMES}/2", accept)
        assert got.headers["content-type"] == f"{media}; transfer-syntax={syntax}"
    assert house.get(f"{FRAMES}/2", "image/jpeg").status == 406, "lossy never on our own"


NEXT = "image/jls, image/jphc, application/octet-stream; q=0.5"


@pytest.mark.parametrize(
    "name",
    [
        "dcmqi/seg.dcm",
        "synthetic/families/pmap_float.dcm",
        "cornerstone3D/US-YBR_FULL_422-EVRLE.dcm",
        "pydicom/rtdose.dcm",
    ],
)
def test_a_frame_for_which_there_is_no_encoder_is_given_as_is_liked_next(
    name: str, manifest: tuple[CorpusFile, ...], tmp_path: Path
) -> None:
    """Of one bit, floating point, with chroma that pixels share, and of 32 bits."""
    [row] = [row for row in manifest if row.name == name]
    file = stored_file(row)
    path = f"/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}/frames/1"
    with opened(tmp_path) as house:
        house.store(file.body, file.syntax)
        plain = house.get(path, "application/octet-stream")
        assert plain.status == 200
        given = house.get(path, NEXT)
        assert (given.status, given.media, given.body) == (200, "application/octet-stream", plain.body)
        several = house.get(path, 'multipart/related; type="image/jls", multipart/related; q=0.1')
        assert [(part.media, part.body) for part in several.parts] == [("application/octet-stream", plain.body)]
        for accept in ("image/jls", 'multipart/related; type="image/jphc"'):
            got = house.get(path, accept)
            assert got.status == 406
            assert "Available: " in json.loads(got.body)["detail"]


def test_a_frame_that_an_encoder_refuses_is_given_as_is_liked_next_and_none_is_encoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words have bits beside their samples, which is seen only when it is read."""
    made: list[str] = []
    encode = Transcoder.encode_frame

    def counting(self: Transcoder, frame: bytes, from_ts: str, to_ts: str, *rest: Any, **more: Any) -> bytes:
        made.append(to_ts)
        return encode(self, frame, from_ts, to_ts, *rest, **more)

    monkeypatch.setattr(Transcoder, "encode_frame", counting)
    with opened(tmp_path) as house:
        house.store(_instance(BitsStored=12, HighBit=11, NumberOfFrames=1), EXPLICIT)
        path = f"{INSTANCE}/frames/1"
        given = house.get(path, NEXT)
        assert (given.status, given.media, given.body) == (200, "application/octet-stream", PIXELS)
        assert sorted(made) == sorted({uids.JPEG_LS_LOSSLESS, uids.HTJ2K_LOSSLESS})
        made.clear()
        given = house.get(path, "image/jls, image/dicom-rle; q=0.7, application/octet-stream; q=0.5")
        assert (given.status, given.media) == (200, "image/dicom-rle")
        assert made == [uids.JPEG_LS_LOSSLESS, uids.RLE_LOSSLESS]
        for accept in ("image/jls", 'multipart/related; type="image/jphc"'):
            got = house.get(path, accept)
            assert got.status == 406
            assert "transfer-syntax=*" in json.loads(got.body)["detail"]


@pytest.mark.parametrize("number", [4, 10**9, 9_999_999_999])
def test_a_frame_that_is_not_there_is_404_and_named(house: WadoHouse, number: int) -> None:
    got = house.get(f"{FRAMES}/1,{number}")
    assert got.status == 404
    assert str(number) in json.loads(got.body)["detail"]


@pytest.mark.parametrize(
    "listed", ["0", "-1", "x", "1,", ",1", "1,,2", "1,1", "01", "1.0", "+1", "%D9%A1", "1;2", "10000000000", "1%20"]
)
def test_a_malformed_frame_list_is_400(house: WadoHouse, listed: str) -> None:
    assert house.get(f"{FRAMES}/{listed}").status == 400


def test_a_very_long_frame_list_costs_nothing() -> None:
    with pytest.raises(BadInput, match="twice"):
        parse_frames(",".join(["1"] * 10_000))
    with pytest.raises(BadInput, match="More than"):
        parse_frames(",".join(["1"] * 1_000_000))
    with pytest.raises(BadInput, match="More than"):
        parse_frames(",".join(str(number) for number in range(1, 10_002)))


@given(st.text(alphabet="0123456789,- .", max_size=40))
def test_a_frame_list_is_numbers_from_one_each_once_or_refused(text: str) -> None:
    try:
        numbers = parse_frames(text)
    except BadInput:
        return
    assert ",".join(str(number) for number in numbers) == text
    assert all(number > 0 for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_an_instance_without_pixels_has_no_frames(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(PixelData=None), EXPLICIT)
        assert house.get(f"{INSTANCE}/frames/1").status == 404
        whole = house.get(INSTANCE, f"application/dicom; transfer-syntax={uids.RLE_LOSSLESS}")
        assert (whole.status, whole.headers["content-type"]) == (200, f"application/dicom; transfer-syntax={EXPLICIT}")


def test_an_image_that_cannot_be_decoded_withholds_no_study(tmp_path: Path) -> None:
    """Who named no transfer syntax gets it as it is stored, and who named one is told what to ask for."""
    stored = uids.JPEG_LOSSLESS_SV1
    jpeg = encapsulate([b"\xff\xd8 no JPEG at all \xff\xd9"])
    with opened(tmp_path) as house:
        made = data_set(SOPInstanceUID="1.2.3.4.1.1", PixelData=jpeg)
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        damaged = encoded(made)
        house.store(damaged, stored)
        house.store(encoded(data_set(SOPInstanceUID="1.2.3.4.1.2", InstanceNumber=2), IMPLICIT), IMPLICIT)
        for accept in ("", RELATED, f"{RELATED}; transfer-syntax={EXPLICIT}, */*; q=0.1"):
            parts = house.get(STUDY, accept).parts
            assert [part.syntax for part in parts] == [stored, EXPLICIT]
            assert parts[0].body.endswith(damaged)
        alone = house.get(INSTANCE, "application/dicom")
        assert alone.headers["content-type"] == f"application/dicom; transfer-syntax={stored}"
        assert alone.body.endswith(damaged)
        assert house.get(f"{URI}&contentType=application/dicom&transferSyntax={EXPLICIT}").body.endswith(damaged)
        for path, accept in (
            (STUDY, f"{RELATED}; transfer-syntax={EXPLICIT}"),
            (INSTANCE, f"application/dicom; transfer-syntax={EXPLICIT}"),
            (f"{INSTANCE}/frames/1", ""),
            (f"{INSTANCE}/frames/1", "image/jls"),
        ):
            got = house.get(path, accept)
            assert (got.status, "transfer-syntax=*" in json.loads(got.body)["detail"]) == (406, True), path
        got = house.get(f"{INSTANCE}/frames/1", "multipart/related; transfer-syntax=*")
        assert (got.status, got.parts[0].syntax) == (200, stored)


def test_while_there_is_no_room_for_what_would_be_made_it_is_503_and_what_is_stored_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = encapsulate([bytes(range(256)) * (8 << 10)])
    large = data_set(SOPInstanceUID="1.2.3.4.1.1", Rows=1024, Columns=1024, PixelData=pixels)
    large["PixelData"].VR, large["PixelData"].is_undefined_length = "OB", True
    stored = uids.ENCAPSULATED_UNCOMPRESSED
    room = Room(2 << 20)
    with opened(tmp_path) as house:
        monkeypatch.setattr(house.transcoder, "_room", room)
        house.store(encoded(large), stored)
        asked = ((INSTANCE, "application/dicom"), (STUDY, f"{RELATED}; transfer-syntax={EXPLICIT}"))
        with room.hold(2 << 20):
            for path, accept in asked:
                got = house.get(path, accept)
                assert (got.status, "retry-after" in got.headers) == (503, True)
            assert house.get(STUDY, f"{RELATED}; transfer-syntax=*").parts[0].syntax == stored
        for path, accept in asked:
            got = house.get(path, accept)
            assert (got.status, len(got.body) > 2 << 20) == (200, True)
            assert room.held == 0


def test_an_image_that_is_too_large_to_be_decoded_is_given_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as house:
        monkeypatch.setattr(house.transcoder, "_max_bytes", 100)
        house.store(encoded(data_set(SOPInstanceUID="1.2.3.4.1.1"), IMPLICIT), IMPLICIT)
        assert [part.syntax for part in house.get(STUDY).parts] == [IMPLICIT]
        assert house.get(STUDY, f"{RELATED}; transfer-syntax={EXPLICIT}").status == 406


def test_pixels_of_one_bit_are_given_from_their_first_bit(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        bits = np.arange(3 * 15) % 7 == 0
        packed = np.packbits(bits, bitorder="little").tobytes()
        house.store(
            _instance(NumberOfFrames=3, Rows=3, Columns=5, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed),
            EXPLICIT,
        )
        for number, part in enumerate(house.get(f"{INSTANCE}/frames/1,2,3").parts):
            found = np.unpackbits(np.frombuffer(part.body, np.uint8), bitorder="little")[:15]
            assert (found == bits[15 * number : 15 * number + 15]).all()


def test_only_the_frames_that_are_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as house:
        size = 64 * 64 * 2
        pixels = b"".join(number.to_bytes(2, "little") * (size // 2) for number in range(600))
        house.store(_instance(NumberOfFrames=600, Rows=64, Columns=64, PixelData=pixels), EXPLICIT)
        seen: list[int] = []
        room_open = house.vault.open

        def opening(*arguments: object) -> object:
            reader = room_open(*arguments)  # pyright: ignore[reportArgumentType]
            read_at = reader.read_at

            class Counting:
                size = reader.size

                def read_at(self, offset: int, length: int) -> bytes:
                    seen.append(length)
                    return read_at(offset, length)

                def close(self) -> None:
                    reader.close()

                def __enter__(self) -> Self:
                    return self

                def __exit__(self, *_: object) -> None:
                    reader.close()

            return Counting()

        monkeypatch.setattr(house.vault, "open", opening)
        got = house.get(f"{INSTANCE}/frames/500", "application/octet-stream")
        assert got.body == (499).to_bytes(2, "little") * (size // 2)
        assert seen == [size]


# --- bulk data ----------------------------------------------------------------


@pytest.fixture(scope="module")
def bulk_uri(house: WadoHouse) -> str:
    """Give the URI of a value inside a sequence."""
    [attributes] = json.loads(house.get(f"{SERIES}/instances/1.2.3.4.1.2/metadata").body)
    [uri] = _uris(attributes["00400275"])
    return uri


def test_a_bulk_data_uri_is_absolute_and_given_as_multipart_or_alone(house: WadoHouse, bulk_uri: str) -> None:
    assert bulk_uri.startswith(f"{ROOT}{SERIES}/instances/1.2.3.4.1.2/bulkdata/")
    [part] = house.get(bulk_uri).parts
    assert (part.media, part.headers["content-location"], part.body) == ("application/octet-stream", bulk_uri, LONG)
    alone = house.get(bulk_uri, "application/octet-stream")
    assert (alone.media, alone.body) == ("application/octet-stream", LONG)


@given(st.one_of(st.none(), st.integers(0, 6000)), st.one_of(st.none(), st.integers(0, 6000)))
def test_any_range_is_given_as_the_rfc_says(
    house: WadoHouse, bulk_uri: str, first: int | None, last: int | None
) -> None:
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    got = house.get(bulk_uri, range=asked)
    size = len(LONG)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert got.status == 200  # not a range: passed over
        return
    expected = LONG[max(0, size - (last or 0)) :] if first is None else LONG[first : None if last is None else last + 1]
    if not expected:
        assert (got.status, got.headers["content-range"]) == (416, f"bytes */{size}")
        return
    start = max(0, size - (last or 0)) if first is None else first
    assert (got.status, got.body) == (206, expected)
    assert got.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{size}"
    assert got.headers["content-length"] == str(len(expected))


def test_if_range_and_if_none_match_look_at_the_entity_tag(house: WadoHouse, bulk_uri: str) -> None:
    tag = house.get(bulk_uri, "application/octet-stream").headers["etag"]
    assert house.get(bulk_uri, range="bytes=0-9", if_range=tag).status == 206
    whole = house.get(bulk_uri, range="bytes=0-9", if_range='"other"')
    assert (whole.status, len(whole.body)) == (200, len(LONG))
    assert house.get(bulk_uri, if_none_match=tag).status == 304


def test_a_range_of_multipart_is_that_of_its_part(house: WadoHouse, bulk_uri: str) -> None:
    """So dicomweb-client asks, in Python and in JavaScript."""
    got = house.get(bulk_uri, 'multipart/related; type="application/octet-stream"', range="bytes=0-9")
    assert (got.status, [part.body for part in got.parts]) == (206, [LONG[:10]])
    assert got.parts[0].headers["content-range"] == f"bytes 0-9/{len(LONG)}"


def test_encapsulated_pixel_data_is_its_items_without_what_ends_them_and_says_its_transfer_syntax(
    tmp_path: Path,
) -> None:
    rle, octets = uids.RLE_LOSSLESS, "application/octet-stream"
    with opened(tmp_path) as house:
        made = data_set(SOPInstanceUID="1.2.3.4.1.1", PixelData=encapsulate([bytes(64), bytes(66)]))
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
        house.store(encoded(made), rle)
        [attributes] = json.loads(house.get(f"{INSTANCE}/metadata").body)
        uri = attributes["7FE00010"]["BulkDataURI"]
        alone = house.get(uri, octets)
        assert alone.body == encapsulate([bytes(64), bytes(66)])
        assert alone.headers["content-type"] == f"{octets}; transfer-syntax={rle}"
        assert alone.headers["content-length"] == str(len(alone.body))
        [part] = house.get(uri).parts
        assert (part.body, part.syntax) == (alone.body, rle)
        [part] = house.get(f"{INSTANCE}/bulkdata").parts
        assert (part.body, part.syntax) == (alone.body, rle)
        end = house.get(uri, octets, range="bytes=-4")
        assert (end.body, end.headers["content-range"].partition("/")[2]) == (alone.body[-4:], str(len(alone.body)))
        for accept in (octets, 'multipart/related; type="application/octet-stream"'):
            assert house.get(uri, f"{accept}; transfer-syntax={EXPLICIT}").status == 406
            assert house.get(uri, f"{accept}; transfer-syntax={rle}").status == 200


@given(st.text(max_size=30) | st.from_regex(r"bytes=[0-9]{0,30}-[0-9]{0,30}(,[0-9]+-)?", fullmatch=True))
def test_no_range_breaks_anything(text: str) -> None:
    try:
        found = range_of(text, 100)
    except HttpFault:
        return
    assert found is None or 0 <= found[0] <= found[1] < 100


@pytest.mark.parametrize(
    "place",
    ["bulk:0,10", "bulk:1,1", "fragments:0,10", "bulk:0,999999999999", "..", "%2e%2e", "x", "bulk:-1,4", "bulk:0,0"],
)
def test_a_place_that_metadata_does_not_name_is_not_here(house: WadoHouse, place: str) -> None:
    assert house.get(f"{INSTANCE}/bulkdata/{place}").status == 404


def test_all_bulk_data_of_a_study_is_given_with_where_each_is(house: WadoHouse) -> None:
    for path in (STUDY, SERIES, f"{SERIES}/instances/1.2.3.4.1.2"):
        parts = house.get(f"{path}/bulkdata").parts
        named = _uris(json.loads(house.get(f"{path}/metadata").body))
        assert [part.headers["content-location"] for part in parts] == named
        assert any(part.body == LONG for part in parts)


# --- paths --------------------------------------------------------------------


@pytest.mark.parametrize(
    "uid",
    ["..%2f..%2fetc%2fpasswd", "%2e%2e", "1..2", "1.2'--", "1.2%00", "x" * 64, "1" * 65, "%3Cscript%3E", "*", "1%5C2"],
)
def test_a_uid_that_is_none_is_400_and_said_which(house: WadoHouse, uid: str) -> None:
    for path, said in (
        (f"/studies/{uid}", "Study"),
        (f"/studies/1.2/series/{uid}/metadata", "Series"),
        (f"/studies/1.2/series/1.3/instances/{uid}/frames/1", "SOP"),
    ):
        got = house.get(path)
        if "%2f" in uid and got.status == 404:
            continue  # no path at all
        assert got.status == 400, got.body
        assert json.loads(got.body)["detail"].startswith(f"The {said} Instance UID")
        assert "passwd" not in got.body.decode()


def test_ten_thousand_accept_entries_are_refused(house: WadoHouse) -> None:
    assert house.get(INSTANCE, ", ".join(["application/dicom"] * 10_000)).status == 400


# --- WADO-URI -----------------------------------------------------------------

URI = "https://pacs.example/wado?requestType=WADO&studyUID=1.2.3.4&seriesUID=1.2.3.4.1&objectUID=1.2.3.4.1.1"


def test_wado_uri_gives_the_same_file(house: WadoHouse) -> None:
    expected = house.get(INSTANCE, "application/dicom").body
    got = house.get(f"{URI}&contentType=application/dicom")
    assert (got.media, got.body) == ("application/dicom", expected)
    other = house.get(f"{URI}&contentType=application%2Fdicom&transferSyntax={IMPLICIT}")
    assert other.headers["content-type"] == f"application/dicom; transfer-syntax={IMPLICIT}"


@pytest.mark.parametrize(
    "query",
    [
        "&contentType=application/dicom&shoeSize=42",
        "&contentType=application/dicom&studyUID=1.2.3.4",
        "&contentType=application/dicom&transferSyntax=../x",
        "&contentType=application/dicom&rows=512",
        "&contentType=application/dicom&anonymize=no",
        "&contentType=image/jpeg&transferSyntax=1.2.840.10008.1.2.1",
        "&contentType=no",
    ],
)
def test_a_parameter_that_is_unknown_or_malformed_is_400(house: WadoHouse, query: str) -> None:
    assert house.get(URI + query).status == 400


@pytest.mark.parametrize("name", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_a_parameter_that_is_missing_is_400_and_named(house: WadoHouse, name: str) -> None:
    kept = "&".join(part for part in URI.split("?")[1].split("&") if not part.startswith(name))
    got = house.get(f"https://pacs.example/wado?{kept}&contentType=application/dicom")
    assert got.status == 400
    assert name in json.loads(got.body)["detail"]


def test_what_is_not_de_identified_is_not_given_for_it(house: WadoHouse) -> None:
    assert house.get(f"{URI}&contentType=application/dicom&anonymize=yes").status == 501


# --- deleting -----------------------------------------------------------------


def test_a_study_is_deleted_by_who_may_and_only_whole(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(), EXPLICIT)
        assert house.delete(STUDY).status == 403
        house.caller = device("KEEPER", Action.GET, Action.DELETE)
        assert house.delete(SERIES).status == 405
        assert house.delete("/studies/1.2.3.5").status == 404
        assert house.get(STUDY).status == 200
        assert house.delete(STUDY).status == 204
        assert house.get(STUDY).status == 404
        assert house.delete(STUDY).status == 404


# --- damage and bombs ---------------------------------------------------------


def test_a_damaged_object_is_never_sent_as_a_whole_answer(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.store(_instance(Rows=512, Columns=512, PixelData=bytes(512 << 10)), EXPLICIT)
        [path] = [each for each in (tmp_path / "objects").glob("*/*") if len(each.name) == 32]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert house.get(INSTANCE, "application/dicom").status == 500
        assert house.get(f"{INSTANCE}/frames/1").status == 500
        house.archive.end(house.caller)
        assert any(event.detail.get("failed") for event in house.events("failed"))


def test_an_image_of_a_hundred_thousand_pixels_squared_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        head = encoded(data_set(SOPInstanceUID="1.2.3.4.1.1", Rows=60_000, Columns=60_000, PixelData=None))
        item = b"\xfe\xff\x00\xe0"
        stream = b"\xff\xd8\xff\xd9"
        pixels = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + item + bytes(4)
        pixels += item + len(stream).to_bytes(4, "little") + stream + b"\xfe\xff\xdd\xe0" + bytes(4)
        house.store(head + pixels, uids.JPEG_BASELINE)
        got = house.get(f"{INSTANCE}/frames/1")
        assert got.status == 406
        assert "transfer-syntax=*" in json.loads(got.body)["detail"]
        stored = house.get(f"{INSTANCE}/frames/1", "image/jpeg")
        assert stored.body == stream
