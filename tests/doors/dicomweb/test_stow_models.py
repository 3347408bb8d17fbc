"""STOW-RS of metadata and bulk data: what is put together is what pydicom says was sent."""

import json
import warnings
from collections.abc import Generator
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType]
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.sequence import Sequence as Items

from leadglass.dicom.native_xml import write_native
from leadglass.dicom.part10 import file_meta
from leadglass.policy.action import Action
from tests.callers import device
from tests.doors.dicomweb.stowhouse import BOUNDARY, Part, StowHouse, multipart, opened
from tests.vault.sets import content, data_set, located, objects

JSON = "application/dicom+json"
XML = "application/dicom+xml"
OCTETS = "application/octet-stream"
MODELS = pytest.mark.parametrize("media_type", [JSON, XML])


def related(media_type: str) -> str:
    return f'multipart/related; type="{media_type}"; boundary={BOUNDARY}'


def modelled(made: Dataset, threshold: int = 64) -> tuple[dict[str, Any], list[Part]]:
    """Give pydicom's JSON of a data set, and its long values as parts."""
    bulk: list[Part] = []

    def leave(element: Any) -> str:
        location = f"../bulk/{len(bulk)}"
        bulk.append(({"Content-Type": OCTETS, "Content-Location": location}, bytes(element.value)))
        return location

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.to_json_dict(bulk_data_threshold=threshold, bulk_data_element_handler=leave), bulk


def metadata(media_type: str, *models: dict[str, Any]) -> list[Part]:
    """Write models as parts: JSON as one, XML as one each."""
    if media_type == JSON:
        return [({"Content-Type": JSON}, json.dumps(models).encode())]
    return [({"Content-Type": XML}, write_native(model)) for model in models]


def read_back(house: StowHouse) -> list[Dataset]:
    """Read what is stored with pydicom."""
    found: list[Dataset] = []
    for record in located(house.vault):
        head = file_meta(record.sop_class_uid, record.sop_instance_uid, record.transfer_syntax_uid)
        data = content(house.vault, record)
        found.append(cast("Dataset", cast("Any", dcmread)(BytesIO(head + data))))
    return found


def without(made: Dataset, *keywords: str) -> dict[str, Any]:
    """Give pydicom's JSON without some attributes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = made.to_json_dict()
    left_out = {"00080005", *(f"{cast('Any', made)[keyword].tag:08X}" for keyword in keywords if keyword in made)}
    return {name: element for name, element in told.items() if name not in left_out}


def rich() -> Dataset:
    """Make an instance with a value of nearly every VR, in sequences too."""
    item = Dataset()
    item.CodeValue = "T-11300"
    item.CodingSchemeDesignator = "SRT"
    item.CodeMeaning = "Thorax, größer"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Items([item])
    outer.ReferencedSOPInstanceUID = "1.2.3"
    made = data_set(
        PatientName="Müller^Jörg=山田^太郎=やまだ",
        OtherPatientNames=["One^A", "Two^B"],
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        ImageComments="line one\r\nline two\\three",
        PixelSpacing=["0.703125", "0.703125"],
        ImagePositionPatient=[-180.5, 1e-7, 12345.678901234],
        FrameIncrementPointer=0x00181063,
        RetrieveURL="https://example.com/?a=1&b=2",
        AcquisitionDateTime="20260102101112.123456+0100",
        PatientAge="042Y",
        ReferencedImageSequence=Items([outer, Dataset()]),
        PatientComments="",
        RedPaletteColorLookupTableData=bytes(range(256)) * 2,
    )
    made.add_new(0x00281101, "US", [256, 0, 16])
    made.add_new(0x00090010, "LO", "MAKER 1.0")
    made.add_new(0x00091001, "FD", [1.5, -2.25])
    made.add_new(0x00091002, "UN", b"\1\2\3\4")
    made.add_new(0x00091003, "SL", [-1, 2**31 - 1])
    made.add_new(0x00091004, "UV", 2**63)
    made.add_new(0x00091005, "FL", [0.5])
    made.add_new(0x00091006, "SV", -(2**62))
    return made


@MODELS
def test_what_is_put_together_is_what_pydicom_described(stow: StowHouse, media_type: str) -> None:
    made = rich()
    model, bulk = modelled(made)
    assert len(bulk) == 2
    answer = stow.post(multipart(*metadata(media_type, model), *bulk), content_type=related(media_type))
    assert (answer.status, answer.stored) == (200, [made.SOPInstanceUID]), answer.body
    (stored,) = read_back(stow)
    assert without(stored) == without(made)
    assert stored.SpecificCharacterSet == "ISO_IR 192"
    assert stored.PixelData == made.PixelData


@MODELS
def test_bulk_data_may_come_before_its_metadata_and_in_any_order(stow: StowHouse, media_type: str) -> None:
    sets = [data_set(SOPInstanceUID=f"1.1.{n}", PixelData=bytes([n]) * 128) for n in range(3)]
    models: list[dict[str, Any]] = []
    parts: list[Part] = []
    for number, made in enumerate(sets):
        model, bulk = modelled(made)
        model["7FE00010"]["BulkDataURI"] = f"cid:{number}"
        models.append(model)
        parts.append((bulk[0][0] | {"Content-Location": f"cid:{number}"}, bulk[0][1]))
    body = multipart(parts[2], *metadata(media_type, *models), parts[1], parts[0])
    answer = stow.post(body, content_type=related(media_type))
    assert (answer.status, answer.stored) == (200, ["1.1.0", "1.1.1", "1.1.2"])
    assert {one.SOPInstanceUID: one.PixelData[0] for one in read_back(stow)} == {"1.1.0": 0, "1.1.1": 1, "1.1.2": 2}


@MODELS
def test_an_instance_without_bulk_data_may_be_the_whole_body(stow: StowHouse, media_type: str) -> None:
    model, _ = modelled(data_set(SOPInstanceUID="1.1", PixelData=None))
    ((_, text),) = metadata(media_type, model)
    answer = stow.post(text, content_type=media_type)
    assert (answer.status, answer.stored) == (200, ["1.1"])


def framed(made: Dataset, media_type: str) -> list[bytes]:
    """Give the frames of an instance, or its one video."""
    count = 1 if media_type.startswith("video/") else int(made.get("NumberOfFrames", 1))
    return list(generate_frames(made.PixelData, number_of_frames=count))


def test_compressed_frames_are_encapsulated_as_they_are(stow: StowHouse, corpus: Path) -> None:
    for number, (name, media_type, syntax) in enumerate(COMPRESSED):
        original = cast("Dataset", cast("Any", dcmread)(corpus / name))
        frames = framed(original, media_type)
        original.SOPInstanceUID = f"1.1.{number}"
        original.StudyInstanceUID, original.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
        original.PatientID = "4711"
        model, _ = modelled(original, 1 << 30)
        model["7FE00010"] = {"vr": "OB", "BulkDataURI": "frames"}
        parts = [({"Content-Type": media_type, "Content-Location": "frames"}, frame) for frame in frames]
        answer = stow.post(multipart(*metadata(JSON, model), *parts), content_type=related(JSON))
        assert (answer.status, answer.stored) == (200, [f"1.1.{number}"]), name
        record = next(each for each in located(stow.vault) if each.sop_instance_uid == f"1.1.{number}")
        assert record.transfer_syntax_uid == syntax, name
        stored = next(one for one in read_back(stow) if one.SOPInstanceUID == f"1.1.{number}")
        kept = framed(stored, media_type)
        assert [frame.rstrip(b"\0") for frame in kept] == [frame.rstrip(b"\0") for frame in frames], name


COMPRESSED = [
    ("pydicom/SC_rgb_small_odd_jpeg.dcm", "image/jpeg", "1.2.840.10008.1.2.4.50"),
    ("pydicom/SC_rgb_jpeg_gdcm.dcm", "image/jpeg", "1.2.840.10008.1.2.4.70"),
    ("pydicom-data/emri_small_jpeg_2k_lossless.dcm", "image/jp2", "1.2.840.10008.1.2.4.90"),
    ("highdicom/sm_image_jpegls_nobot.dcm", "image/jls", "1.2.840.10008.1.2.4.80"),
    ("synthetic/transfer_syntaxes/HTJ2KL_rgb_3frames.dcm", "image/jphc", "1.2.840.10008.1.2.4.201"),
    ("pydicom/SC_rgb_rle_16bit_2frame.dcm", "image/dicom-rle", "1.2.840.10008.1.2.5"),
    ("synthetic/video/h264_hp41.dcm", "video/mp4; transfer-syntax=1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102"),
]


def test_what_metadata_leaves_out_of_an_image_is_read_from_its_code_stream(stow: StowHouse, corpus: Path) -> None:
    original = cast("Dataset", cast("Any", dcmread)(corpus / "pydicom/SC_rgb_small_odd_jpeg.dcm"))
    (frame,) = generate_frames(original.PixelData, number_of_frames=1)
    original.StudyInstanceUID, original.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    described = (
        "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    )  # fmt: skip
    expected = {keyword: original[keyword].value for keyword in described}
    for keyword in described:
        del original[keyword]
    model, _ = modelled(original, 1 << 30)
    model["7FE00010"] = {"vr": "OB", "BulkDataURI": "it"}
    part = ({"Content-Type": "image/jpeg", "Content-Location": "it"}, frame)
    answer = stow.post(multipart(*metadata(JSON, model), part), content_type=related(JSON))
    assert answer.status == 200
    (stored,) = read_back(stow)
    found = {keyword: stored[keyword].value for keyword in described}
    assert found.pop("PhotometricInterpretation") in ("YBR_FULL", "YBR_FULL_422")
    del expected["PhotometricInterpretation"]
    assert found == expected


@pytest.mark.parametrize(
    ("change", "parts", "reason"),
    [
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "nowhere"}}, [], 0xC000),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "http://169.254.169.254/latest"}}, [], 0xC000),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "file:///etc/passwd"}}, [], 0xC000),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}, [("image/png", b"\x89PNG")], 0xC122),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}, [("image/jpeg", b"no jpeg")], 0xC000),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}, [("image/jls", b"\xff\xd8\xff\xda\0")], 0xC000),
        (
            {"7FE00010": {"vr": "OW", "BulkDataURI": "a"}},
            [("image/jpeg; transfer-syntax=1.2.840.10008.1.2", b"x")],
            0xC122,
        ),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}, [(OCTETS, b"xy"), (OCTETS, b"z")], 0xC000),
        ({"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}, [(OCTETS, b"xyz")], 0xC000),
        ({"00282000": {"vr": "OB", "BulkDataURI": "a"}}, [("image/jpeg", b"\xff\xd8\xff")], 0xC000),
        ({"00080016": {"vr": "UI", "Value": ["1.2.840.10008.1.1"]}}, [], 0x0122),
        ({"00080016": {"vr": "UI", "Value": ["1.3.46.670589.2.5.1.1"]}}, [], 0x0122),
        ({"0020000D": {"vr": "UI", "Value": ["../../etc"]}}, [], 0xC000),
        ({"0020000E": {"vr": "UI"}}, [], 0xC000),
        ({"00280010": {"vr": "US", "Value": [70_000]}}, [], 0xC000),
        ({"00091001": {"vr": "OB", "InlineBinary": "no base64!"}}, [], 0xC000),
    ],
)
def test_an_instance_that_cannot_be_put_together_fails_alone(
    stow: StowHouse, change: dict[str, Any], parts: list[tuple[str, bytes]], reason: int
) -> None:
    bad, _ = modelled(data_set(SOPInstanceUID="1.1", PixelData=None))
    good, _ = modelled(data_set(SOPInstanceUID="1.2", PixelData=None))
    bulk: list[Part] = [({"Content-Type": kind, "Content-Location": "a"}, data) for kind, data in parts]
    answer = stow.post(multipart(*metadata(JSON, bad | change, good), *bulk), content_type=related(JSON))
    assert (answer.status, answer.stored, answer.failed) == (202, ["1.2"], [("1.1", reason)])
    assert len(objects(stow.folder)) == 1


DEEP_JSON = b'{"00400275":{"vr":"SQ","Value":[' * 10_000 + b"{}" + b"]}}" * 10_000


@pytest.mark.parametrize(
    ("media_type", "text", "what"),
    [
        (JSON, b"{", "not JSON"),
        (JSON, b"[]", "no instance"),
        (JSON, b"[1]", "not an object"),
        (JSON, b'{"PatientName":{"vr":"PN"}}', "hexadecimal"),
        (JSON, b'{"00100010":{"vr":"XX"}}', "VR"),
        (JSON, b'{"00100010":{"vr":"PN","Value":[1]}}', "PatientName"),
        (JSON, b'{"00100010":{"vr":"PN","Value":[{}],"BulkDataURI":"x"}}', "or none"),
        (JSON, b'{"FFFEE000":{"vr":"UN"}}', "no data set"),
        (JSON, DEEP_JSON, "nested"),
        (JSON, b'{"00400275":{"vr":"SQ","Value":[' * 70 + b"{}" + b"]}}" * 70, "nested"),
        (JSON, b"[" * 200_000 + b"]" * 200_000, "nested"),
        (JSON, b"[" + b"{}," * 400_000 + b"{}]", "more than"),
        (JSON, b'{"00091001":{"vr":"US","Value":[' + b"1," * 3_000_000 + b"1]}}", "more than"),
        (JSON, b"[" + b"{}," * 20_000 + b"{}]", "10,000"),
        (JSON, b" " * (33 << 20), "longer than"),
        (JSON, b'{"00100010":{"vr":"PN","Value":["\xff"]}}', "not JSON"),
        (XML, b"<a/>", "NativeDicomModel"),
        (XML, b"<a", "not XML"),
        (XML, b'<!DOCTYPE a [<!ENTITY b "bb">]><NativeDicomModel>&b;</NativeDicomModel>', "entities"),
        (XML, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><NativeDicomModel/>', "entities"),
        (
            XML,
            b"<!DOCTYPE z [<!ENTITY a 'ha'>"
            + b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(20))
            + b"]><NativeDicomModel>&u;</NativeDicomModel>",
            "entities",
        ),
        (XML, b"<NativeDicomModel>" + b"<x/>" * 600_000 + b"</NativeDicomModel>", "more than"),
        (XML, b'<NativeDicomModel><DicomAttribute tag="00400275" vr="SQ"><Item>' * 100, "not XML"),
        (
            XML,
            b"<NativeDicomModel>"
            + b'<DicomAttribute tag="00400275" vr="SQ"><Item number="1">' * 10_000
            + b"</Item></DicomAttribute>" * 10_000
            + b"</NativeDicomModel>",
            "nested",
        ),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_metadata_that_cannot_be_read_or_costs_too_much_refuses_the_request(
    shared_models: StowHouse, media_type: str, text: bytes, what: str
) -> None:
    good, _ = modelled(data_set(SOPInstanceUID="1.2", PixelData=None))
    parts = (
        [*metadata(XML, good), ({"Content-Type": XML}, text)] if media_type == XML else [({"Content-Type": JSON}, text)]
    )
    answer = shared_models.post(multipart(*parts), content_type=related(media_type))
    assert answer.status == 400
    assert what in answer.detail
    assert objects(shared_models.folder) == []


@pytest.fixture(scope="module")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Generator[StowHouse]:
    """Open one archive for tests that store nothing."""
    with opened(tmp_path_factory.mktemp("models")) as house:
        yield house


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([({"Content-Type": OCTETS, "Content-Location": "a"}, b"x")], "no metadata"),
        ([({"Content-Type": OCTETS}, b"x")], "Content-Location"),
        (
            [
                ({"Content-Type": OCTETS, "Content-Location": "a"}, b"x"),
                ({"Content-Type": "image/jpeg", "Content-Location": "a"}, b"x"),
            ],
            "two media types",
        ),
        ([({"Content-Type": JSON, "Content-Encoding": "gzip"}, b"x")], "Content-Encoding"),
    ],
)
def test_parts_that_do_not_make_a_request_refuse_it(shared_models: StowHouse, parts: list[Part], what: str) -> None:
    answer = shared_models.post(multipart(*parts), content_type=related(JSON))
    assert answer.status == 400
    assert what in answer.detail


def test_a_location_is_a_name_and_no_path(stow: StowHouse, tmp_path: Path) -> None:
    model, bulk = modelled(data_set(SOPInstanceUID="1.1"))
    for location in ("../../../../tmp/evil", "/etc/passwd", "a\\..\\b", "C:\\x", "%00", "x" * 4000):
        model["7FE00010"]["BulkDataURI"] = location
        part = ({"Content-Type": OCTETS, "Content-Location": location}, bulk[0][1])
        assert stow.post(multipart(*metadata(JSON, model), part), content_type=related(JSON)).status == 200
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or "%" in path.name or "x" * 9 in path.name]
    assert len(objects(stow.folder)) == 1


def test_who_may_not_store_may_not_send_metadata_either(stow: StowHouse) -> None:
    model, bulk = modelled(data_set(SOPInstanceUID="1.1"))
    body = multipart(*metadata(JSON, model), *bulk)
    answer = stow.post(body, content_type=related(JSON), caller=device("READER", Action.GET))
    assert answer.status == 403
    assert objects(stow.folder) == []


def test_of_a_request_for_a_study_only_its_instances_are_put_together(stow: StowHouse) -> None:
    model, bulk = modelled(data_set(SOPInstanceUID="1.1"))
    answer = stow.post(multipart(*metadata(JSON, model), *bulk), content_type=related(JSON), study="1.9")
    assert (answer.status, answer.failed) == (409, [("1.1", 0xA901)])


def test_a_client_that_leaves_in_the_middle_of_bulk_data_leaves_nothing(stow: StowHouse) -> None:
    model, bulk = modelled(data_set(SOPInstanceUID="1.1", PixelData=bytes(3 << 20)))
    body = multipart(*metadata(JSON, model), *bulk)
    stow.post([body[: 2 << 20]], content_type=related(JSON), disconnects=True)
    assert objects(stow.folder) == []
