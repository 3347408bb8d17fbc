import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import tags, uids
from leadglass.dicom.codec_io import charset_of_identifier, decode_identifier, encode_identifier
from leadglass.dicom.model import Attributes
from leadglass.errors import BadInput, Unsupported
from tests.dicom.sets import as_pydicom, element

SYNTAXES = sorted(uids.UNCOMPRESSED)
ANSWER: Attributes = {
    "00080020": {"vr": "DA", "Value": ["20200131"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-A0100"]}}, {}]},
    "00081110": {"vr": "SQ"},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00101020": {"vr": "DS", "Value": [1.75]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00201208": {"vr": "IS", "Value": [12]},
    "00280010": {"vr": "US", "Value": [512]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00081140": {"vr": "SQ", "Value": [{}]},
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_written_is_read_back_the_same(syntax: str) -> None:
    written = encode_identifier(ANSWER, syntax)
    assert len(written) % 2 == 0
    assert decode_identifier(written, syntax) == ANSWER


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_what_is_written(syntax: str) -> None:
    data_set = as_pydicom(encode_identifier(ANSWER, syntax), syntax)
    assert str(data_set["PatientName"].value) == "Doe^Jane"
    assert list(data_set["ModalitiesInStudy"].value) == ["CT", "MR"]
    assert data_set["NumberOfStudyRelatedInstances"].value == 12
    assert data_set["Rows"].value == 512
    assert data_set["ProcedureCodeSequence"].value[0]["CodeValue"].value == "T-A0100"


GROUPS = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
NAME: Attributes = {"00100010": {"vr": "PN", "Value": [GROUPS]}}


@pytest.mark.parametrize(
    ("asked_in", "answered_in"),
    [
        ((), ("ISO_IR 192",)),
        (("ISO_IR 100",), ("ISO_IR 192",)),
        (("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 87")),
        (("GB18030",), ("GB18030",)),
        (("ISO_IR 999",), ("ISO_IR 192",)),
    ],
)
def test_an_answer_is_in_the_askers_character_set_where_that_can_carry_it(
    asked_in: tuple[str, ...], answered_in: tuple[str, ...]
) -> None:
    read = decode_identifier(
        encode_identifier(NAME, uids.EXPLICIT_VR_LITTLE_ENDIAN, asked_in), uids.EXPLICIT_VR_LITTLE_ENDIAN
    )
    assert charset_of_identifier(read) == answered_in
    assert read["00100010"] == NAME["00100010"]


def test_plain_text_needs_no_character_set() -> None:
    written = encode_identifier(ANSWER, uids.IMPLICIT_VR_LITTLE_ENDIAN, ("ISO_IR 192",))
    assert charset_of_identifier(decode_identifier(written, uids.IMPLICIT_VR_LITTLE_ENDIAN)) == ()


def test_a_stranger_reads_the_name_in_the_same_groups() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = as_pydicom(
            encode_identifier(NAME, uids.EXPLICIT_VR_LITTLE_ENDIAN, ("", "ISO 2022 IR 87")),
            uids.EXPLICIT_VR_LITTLE_ENDIAN,
        )
        assert str(data_set["PatientName"].value) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    "wrong",
    [
        {"00280010": {"vr": "US", "Value": ["many"]}},
        {"00280010": {"vr": "US", "Value": [70000]}},
        {"0028001": {"vr": "ÜS"}},
        {"00091001": {"vr": "OB", "InlineBinary": "?"}},
        {"00100020": {"vr": "LO", "Value": ["x" * 70_000]}},
    ],
)
def test_what_a_vr_cannot_hold_is_refused(wrong: Attributes) -> None:
    with pytest.raises(BadInput):
        encode_identifier(wrong, uids.EXPLICIT_VR_LITTLE_ENDIAN)


def test_identifiers_are_not_compressed() -> None:
    with pytest.raises(Unsupported):
        encode_identifier(ANSWER, uids.JPEG_BASELINE)


def test_an_identifier_too_large_to_be_one_is_refused() -> None:
    many = element(tags.ReferencedStudySequence, "SQ", b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 30_000)
    with pytest.raises(BadInput, match="elements"):
        decode_identifier(many, uids.EXPLICIT_VR_LITTLE_ENDIAN)


def test_a_long_list_of_uids_is_read() -> None:
    listed: Attributes = {"0020000D": {"vr": "UI", "Value": [f"1.2.840.113619.{number}" for number in range(20_000)]}}
    written = encode_identifier(listed, uids.IMPLICIT_VR_LITTLE_ENDIAN)
    assert decode_identifier(written, uids.IMPLICIT_VR_LITTLE_ENDIAN) == listed


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\\=^ \0\x1b\r\n\t\f", exclude_categories=("Cc", "Cs")))


@given(TEXT.filter(bool), st.sampled_from(SYNTAXES), st.sampled_from([(), ("ISO_IR 100",), ("", "ISO 2022 IR 149")]))
def test_any_text_survives_the_wire(text: str, syntax: str, charset: tuple[str, ...]) -> None:
    asked: Attributes = {
        "00081030": {"vr": "LO", "Value": [text]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]},
    }
    read = decode_identifier(encode_identifier(asked, syntax, charset), syntax)
    assert read["00081030"] == asked["00081030"]
    assert read["00100010"] == asked["00100010"]


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_noise_is_read_or_refused(data: bytes, syntax: str) -> None:
    try:
        decode_identifier(data, syntax)
    except BadInput:
        return
