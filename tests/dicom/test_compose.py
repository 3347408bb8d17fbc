"""From the models of the Standard to a data set: nothing is lost, nothing is fetched, and what is wrong is named."""

import json
import warnings
from base64 import b64decode
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType]
from pydicom.dataset import Dataset

from leadglass.dicom import codestream, uids
from leadglass.dicom.compose import Sent, compose
from leadglass.dicom.json_reader import ModelLimits, read_json
from leadglass.dicom.model import Attributes
from leadglass.dicom.native_xml import write_native
from leadglass.dicom.native_xml_reader import read_native
from leadglass.dicom.part10 import file_meta
from leadglass.dicom.source import Bytes
from leadglass.dicom.values import BINARY, LONG_FORM, NUMBERS
from leadglass.errors import BadInput
from tests.corpus import CorpusFile

LIMITS = ModelLimits()


def composed(attributes: Attributes, sent: dict[str, Sent] | None = None) -> Dataset:
    """Write attributes and read them with pydicom."""
    made = compose(attributes, sent or {})
    data = file_meta("1.2", "1.3", made.transfer_syntax_uid) + b"".join(made.blocks())
    return cast("Dataset", cast("Any", dcmread)(BytesIO(data)))


def told(made: Dataset) -> dict[str, Any]:
    """Give pydicom's JSON, without the character set, file meta information and group lengths."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = made.to_json_dict()
    return {tag: element for tag, element in model.items() if tag != "00080005" and tag[4:] != "0000"}


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\\=^\0", exclude_categories=["C", "Z"]), max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "LO": TEXTS.filter(bool), "UC": TEXTS.filter(bool), "UT": TEXTS.filter(bool), "LT": TEXTS.filter(bool),
    "CS": st.sampled_from(["A", "B_C"]), "UI": st.sampled_from(["1.2", "1.2.3"]),
    "US": st.integers(0, 2**16 - 1), "SS": st.integers(-(2**15), 2**15 - 1), "UL": st.integers(0, 2**32 - 1),
    "SL": st.integers(-(2**31), 2**31 - 1), "UV": st.integers(0, 2**64 - 1), "SV": st.integers(-(2**63), 2**63 - 1),
    "FD": st.floats(allow_nan=False, allow_infinity=False),
    "FL": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "AT": st.sampled_from(["00100010", "7FE00010"]), "IS": st.integers(-(10**11), 10**11),
    "PN": TEXTS.filter(bool).map(lambda text: {"Alphabetic": text}),
}  # fmt: skip


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Make one element of the JSON model."""
    vr = draw(st.sampled_from([*VALUES, "OB", "SQ"] if depth else list(VALUES)))
    if vr == "SQ":
        return {"vr": vr, "Value": draw(st.lists(models(depth - 1), max_size=2))}
    if vr == "OB":
        return {"vr": vr, "InlineBinary": draw(st.sampled_from(["", "AAE=", "AAEC"]))}
    one = vr in ("UT", "LT")
    return {"vr": vr, "Value": draw(st.lists(VALUES[vr], max_size=1 if one else 3))}


def models(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Make a data set of the JSON model, of private elements."""
    tags = st.sampled_from([f"000910{n:02X}" for n in range(0x10, 0x18)])
    return st.dictionaries(tags, elements(depth), max_size=4).map(
        lambda found: {"00090010": {"vr": "LO", "Value": ["MAKER"]}, **found} if found else found
    )


def plain(model: dict[str, Any]) -> dict[str, Any]:
    """Give a model with what says the same said in one way."""
    same: dict[str, Any] = {}
    for tag, element in sorted(model.items()):
        vr: str = element["vr"]
        values: list[Any] = element.get("Value") or []
        if vr == "SQ":
            same[tag] = (vr, [plain(item) for item in values])
        elif vr in BINARY:
            raw: str = element.get("InlineBinary", "")
            same[tag] = (vr, raw if raw != "AAEC" else "AAECAA==")
        elif vr in ("FL", "FD"):
            same[tag] = (vr, [float(value) for value in values])
        elif vr in NUMBERS or vr == "IS":
            same[tag] = (vr, [str(value) for value in values])
        else:
            same[tag] = (vr, values)
    return same


@given(models())
def test_pydicom_reads_what_was_composed_as_it_was_described(model: dict[str, Any]) -> None:
    (read,) = read_json(json.dumps(model).encode(), LIMITS)
    assert plain(told(composed(read.attributes))) == plain(model)


@given(models())
def test_xml_says_the_same_as_json(model: dict[str, Any]) -> None:
    (read,) = read_json(json.dumps(model).encode(), LIMITS)
    again = read_native(write_native(read.attributes), LIMITS)
    assert b"".join(compose(again.attributes, {}).blocks()) == b"".join(compose(read.attributes, {}).blocks())


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["PN", "SQ", "US", "OB", "00100010"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["vr", "Value", "InlineBinary", "BulkDataURI", "00100010", "7FE00010"]), inner),
    max_leaves=20,
))  # fmt: skip
def test_whatever_json_there_is_it_is_read_or_refused(found: object) -> None:
    try:
        for each in read_json(json.dumps(found).encode(), LIMITS):
            b"".join(compose(each.attributes, {}).blocks())
    except BadInput:
        pass


def test_of_every_file_of_the_corpus_the_json_of_pydicom_makes_the_same_data_set_again(
    manifest: tuple[CorpusFile, ...],
) -> None:
    count = 0
    for file in manifest:
        if file.is_malformed or file.is_directory or file.path.stat().st_size > 60_000 or not file.sop_instance_uid:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            original = cast("Dataset", cast("Any", dcmread)(file.path, force=True))
            try:
                model = told(original)
            except Exception:  # noqa: BLE001, S112 - what pydicom cannot describe is no question of ours
                continue
            (read,) = read_json(json.dumps(model).encode(), LIMITS)
            if "7FE00010" in model and uids.is_encapsulated(file.transfer_syntax_uid):
                del read.attributes["7FE00010"], model["7FE00010"]
            again = told(composed(read.attributes))
        assert spelled(again) == spelled(model), file.name
        count += 1
    assert count > 100


def spelled(model: object) -> object:
    """Give a model with numbers as numbers, binary values padded, and empty ones left out."""
    if isinstance(model, list):
        return [spelled(each) for each in cast("list[object]", model)]
    if not isinstance(model, dict):
        return float(model) if isinstance(model, int | float) else model
    same: dict[str, object] = {}
    for key, value in cast("dict[str, Any]", model).items():
        if key == "InlineBinary":
            raw = b64decode(value)
            value = raw + b"\0" * (len(raw) % 2)
        elif value not in (None, [], ""):
            value = spelled(value)
        if value not in (None, [], "", b""):
            same[key] = value
    return same


@pytest.mark.parametrize("vr", sorted({"US", "UL", "FD", "DS", "LT", "LO"} - LONG_FORM))
def test_what_is_too_long_for_its_vr_is_written_as_unknown_and_not_cut(vr: str) -> None:
    values: list[Any] = ["x" * 70_000] if vr in ("LT", "LO") else [1] * 40_000
    (read,) = read_json(json.dumps({"00091001": {"vr": vr, "Value": values}}).encode(), LIMITS)
    element = composed(read.attributes)[0x00091001]
    assert element.VR == "UN"
    assert len(cast("bytes", element.value)) >= 70_000


def test_what_belongs_to_a_file_or_an_encoding_is_not_taken_over() -> None:
    model = {
        "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]},
        "00080000": {"vr": "UL", "Value": [12]},
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "M\u00fcller"}]},
    }
    (read,) = read_json(json.dumps(model).encode(), LIMITS)
    assert (list(read.attributes), read.transfer_syntax_uid) == (["00100010"], "1.2.840.10008.1.2.1")
    stored = composed(read.attributes)
    assert (stored.SpecificCharacterSet, str(stored.PatientName)) == ("ISO_IR 192", "M\u00fcller")


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "CS", "Value": ["\u00e9"]},
        {"vr": "LO", "Value": ["a\\b"]},
        {"vr": "LO", "Value": ["a\0"]},
        {"vr": "LO", "Value": "text"},
        {"vr": "LT", "Value": ["a", "b"]},
        {"vr": "PN", "Value": [{"Alphabetic": "a=b"}]},
        {"vr": "PN", "Value": [{"Roman": "a"}]},
        {"vr": "US", "Value": ["x"]},
        {"vr": "US", "Value": [1.5]},
        {"vr": "US", "Value": [True]},
        {"vr": "US", "Value": [1, None]},
        {"vr": "FD", "Value": ["nano"]},
        {"vr": "DS", "Value": ["1_000"]},
        {"vr": "DS", "Value": ["inf"]},
        {"vr": "IS", "Value": ["1.5"]},
        {"vr": "IS", "Value": [10**13]},
        {"vr": "AT", "Value": ["0010"]},
        {"vr": "OB", "Value": [1]},
        {"vr": "LO", "InlineBinary": "AAE="},
        {"vr": "SQ", "BulkDataURI": "x"},
        {"vr": "OB", "BulkDataURI": ""},
        {"vr": "OB", "BulkDataURI": "x" * 5000},
        {"vr": "LO", "Value": [], "Other": 1},
        {"Value": ["no VR and none known"], "vr": 3},
    ],
)
def test_a_value_that_is_not_one_of_its_vr_is_refused_by_its_tag_and_not_repeated(element: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="0009,1001") as caught:
        read_json(json.dumps({"00091001": element}).encode(), LIMITS)
    assert "nano" not in str(caught.value)


def test_a_vr_that_is_not_said_is_the_dictionarys() -> None:
    (read,) = read_json(b'{"00100020":{"Value":["4711"]}}', LIMITS)
    assert read.attributes == {"00100020": {"vr": "LO", "Value": ["4711"]}}


@pytest.mark.parametrize(
    ("tag", "element", "vr"),
    [
        ("00280106", {"Value": [1]}, "US"),
        ("00280106", {"vr": "US or SS", "Value": [-1]}, "SS"),
        ("00283006", {"vr": "US or OW", "InlineBinary": "AAA="}, "OW"),
        ("50003000", {"vr": "OB or OW", "InlineBinary": "AAA="}, "OW"),
    ],
)
def test_of_several_vrs_of_the_dictionary_the_one_that_fits_is_taken(
    tag: str, element: dict[str, Any], vr: str
) -> None:
    (read,) = read_json(json.dumps({tag: element}).encode(), LIMITS)
    assert read.attributes[tag]["vr"] == vr


def test_several_vrs_are_taken_only_where_the_dictionary_has_them() -> None:
    with pytest.raises(BadInput, match="VR"):
        read_json(b'{"00100020":{"vr":"US or SS","Value":[1]}}', LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        '<DicomAttribute tag="00100010" vr="PN"><Value number="1">x</Value></DicomAttribute>',
        '<DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Roman/></PersonName></DicomAttribute>',
        '<DicomAttribute tag="00100020" vr="LO"><Value number="1"/><Value number="1"/></DicomAttribute>',
        '<DicomAttribute tag="00100020" vr="LO"><Value number="99999999">x</Value></DicomAttribute>',
        '<DicomAttribute tag="00100020" vr="LO"/><DicomAttribute tag="00100020" vr="LO"/>',
        '<DicomAttribute tag="00100020" vr="LO"><Item number="1"/></DicomAttribute>',
        '<DicomAttribute tag="00100020" vr="LO"><Value/><InlineBinary/></DicomAttribute>',
        '<DicomAttribute vr="LO"/>',
        "<Other/>",
    ],
)
def test_xml_that_is_not_the_native_model_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_native(f"<NativeDicomModel>{text}</NativeDicomModel>".encode(), LIMITS)


def test_values_that_are_left_out_of_a_numbered_list_are_empty() -> None:
    text = (
        '<DicomAttribute tag="00080008" vr="CS"><Value number="3">C</Value><Value number="1">A</Value></DicomAttribute>'
    )
    read = read_native(f"<NativeDicomModel>{text}</NativeDicomModel>".encode("utf-16"), LIMITS)
    assert read.attributes == {"00080008": {"vr": "CS", "Value": ["A", None, "C"]}}


def test_frames_have_a_table_of_offsets_and_a_fragment_each() -> None:
    frames = [Bytes(b"one"), Bytes(b"four"), Bytes(b"")]
    attributes: Attributes = {"7FE00010": {"vr": "OB", "BulkDataURI": "x"}}
    made = compose(attributes, {"x": Sent(frames, uids.RLE_LOSSLESS)})
    assert made.transfer_syntax_uid == uids.RLE_LOSSLESS
    written = b"".join(made.blocks())
    table = bytes.fromhex("feff00e00c000000 00000000 0c000000 18000000")
    assert table + bytes.fromhex("feff00e004000000") + b"one\0" in written
    assert written.endswith(bytes.fromhex("feff00e000000000 feffdde000000000"))


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xc0\0\x11", b"\xff\x4f\xff\x51\0\x29"]
)
def test_a_code_stream_that_is_cut_off_is_refused(head: bytes) -> None:
    with pytest.raises(BadInput):
        codestream.look(head)


@given(st.binary(max_size=60), st.sampled_from([b"\xff\xd8\xff", b"\xff\x4f\xff\x51"]))
def test_whatever_follows_the_beginning_of_a_code_stream_it_is_read_or_refused(rest: bytes, start: bytes) -> None:
    with suppress(BadInput):
        codestream.look(start + rest)
