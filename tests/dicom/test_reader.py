import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.dicom import tags
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, bulk_location, is_encapsulated_bulk
from leadglass.dicom.reader import Reading, read
from leadglass.dicom.source import Bytes
from leadglass.dicom.vocabulary import BIG_ENDIAN, EXPLICIT, IMPLICIT, Encoding
from leadglass.errors import BadInput
from tests.dicom.sets import LIMITS, SEQUENCE_END, UNDEFINED, bulk, element, even, implicit, item, values

PRIVATE = 0x00091001
PRIVATE_CREATOR = 0x00090010


def _read(data: bytes, encoding: Encoding = EXPLICIT, limits: Limits = LIMITS) -> Reading:
    return read(Bytes(data), encoding, limits)


def _attributes(data: bytes, encoding: Encoding = EXPLICIT) -> Attributes:
    return _read(data, encoding).attributes


# --- values -------------------------------------------------------------------


def test_each_vr_becomes_what_the_json_model_says() -> None:
    data = b"".join(
        (
            element(tags.ImageType, "CS", even("ORIGINAL\\PRIMARY\\\\AXIAL")),
            element(tags.StudyDate, "DA", b"20200131"),
            element(tags.PatientName, "PN", even("Doe^Jane=山田")),
            element(tags.PatientSize, "DS", even(" 1.75 ")),
            element(tags.PatientComments, "LT", even("  two\r\nlines  ")),
            element(PRIVATE, "OB", b"\x01\x02"),
            element(tags.StudyInstanceUID, "UI", b"1.2.3\0"),
            element(tags.InstanceNumber, "IS", b"-7"),
            element(tags.Rows, "US", b"\x00\x02"),
        )
    )
    assert _attributes(data) == {
        "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", None, "AXIAL"]},
        "00080020": {"vr": "DA", "Value": ["20200131"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "山田"}]},
        "00101020": {"vr": "DS", "Value": [1.75]},
        "00104000": {"vr": "LT", "Value": ["  two\r\nlines"]},
        "00091001": {"vr": "OB", "InlineBinary": "AQI="},
        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        "00200013": {"vr": "IS", "Value": [-7]},
        "00280010": {"vr": "US", "Value": [512]},
    }


@pytest.mark.parametrize(
    ("vr", "raw", "expected"),
    [
        ("DS", b"1e400 ", ["1e400"]),
        ("DS", b"NaN ", ["NaN"]),
        ("DS", b"--1 ", ["--1"]),
        ("DS", b"1_0 ", ["1_0"]),
        ("DS", b"1\\\\2", [1.0, None, 2.0]),
        ("IS", b"1.5 ", ["1.5"]),
        ("IS", b"9007199254740993", ["9007199254740993"]),
        ("FL", b"\x00\x00\xc0\x7f", ["NaN"]),
        ("FL", b"\x00\x00\x80\xff", ["-inf"]),
        ("UV", b"\xff" * 8, ["18446744073709551615"]),
        ("SV", b"\xff" * 8, [-1]),
        ("AT", b"\x10\x00\x20\x00", ["00100020"]),
        ("SS", b"\xff\xff\x01\x00", [-1, 1]),
        ("US", b"\x01\x00\x02", [1]),
        ("LO", b"a\0b\0", ["ab"]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
    ],
)
def test_values_that_json_cannot_hold_as_numbers_are_kept_as_text(vr: str, raw: bytes, expected: list[object]) -> None:
    assert _attributes(element(PRIVATE, vr, raw)) == {"00091001": {"vr": vr, "Value": expected}}


@pytest.mark.parametrize("vr", ["LO", "PN", "DS", "US", "SQ", "OB", "UN", "UT", "DA"])
def test_an_empty_value_is_an_element_without_value(vr: str) -> None:
    assert _attributes(element(PRIVATE, vr, b"")) == {"00091001": {"vr": vr}}


def test_the_same_values_come_out_of_every_encoding() -> None:
    little = element(tags.PatientID, "LO", b"4711") + element(tags.Rows, "US", b"\x02\x01")
    big = element(tags.PatientID, "LO", b"4711", order=">") + element(tags.Rows, "US", b"\x01\x02", order=">")
    bare = implicit(tags.PatientID, b"4711") + implicit(tags.Rows, b"\x02\x01")
    assert _attributes(little) == _attributes(big, BIG_ENDIAN) == _attributes(bare, IMPLICIT)


def test_binary_words_of_big_endian_are_given_as_little_endian() -> None:
    assert _attributes(element(PRIVATE, "OW", b"\x01\x02", order=">"), BIG_ENDIAN) == _attributes(
        element(PRIVATE, "OW", b"\x02\x01")
    )


def test_pixel_representation_decides_over_us_or_ss() -> None:
    unsigned = implicit(tags.PixelRepresentation, b"\x00\x00") + implicit(tags.SmallestImagePixelValue, b"\xff\xff")
    signed = implicit(tags.PixelRepresentation, b"\x01\x00") + implicit(tags.SmallestImagePixelValue, b"\xff\xff")
    assert _attributes(unsigned, IMPLICIT)["00280106"] == {"vr": "US", "Value": [65535]}
    assert _attributes(signed, IMPLICIT)["00280106"] == {"vr": "SS", "Value": [-1]}


def test_group_lengths_are_left_out_and_private_elements_kept() -> None:
    data = element(0x00080000, "UL", b"\x00\x00\x00\x00") + element(PRIVATE_CREATOR, "LO", b"ACME") + implicit(0, b"")
    data = data[:-8] + element(PRIVATE, "LO", b"kept")
    assert set(_attributes(data)) == {"00090010", "00091001"}


# --- sequences ----------------------------------------------------------------


INNER = element(tags.PatientID, "LO", b"4711")


@pytest.mark.parametrize(
    "sequence",
    [
        element(tags.ReferencedStudySequence, "SQ", item(INNER) + item(b"")),
        element(tags.ReferencedStudySequence, "SQ", item(INNER, is_undefined=True) + item(b"")),
        element(tags.ReferencedStudySequence, "SQ", item(INNER) + item(b"") + SEQUENCE_END, length=UNDEFINED),
        element(
            tags.ReferencedStudySequence,
            "SQ",
            item(INNER, is_undefined=True) + item(b"", is_undefined=True) + SEQUENCE_END,
            length=UNDEFINED,
        ),
    ],
)
def test_every_form_of_a_sequence_reads_the_same(sequence: bytes) -> None:
    data = sequence + element(tags.StudyID, "SH", b"S1")
    assert _attributes(data) == {
        "00081110": {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["4711"]}}, {}]},
        "00200010": {"vr": "SH", "Value": ["S1"]},
    }


def test_a_sequence_of_unknown_vr_is_implicit_inside() -> None:
    data = element(PRIVATE, "UN", item(implicit(tags.PatientID, b"4711")) + SEQUENCE_END, length=UNDEFINED)
    data += element(tags.StudyID, "SH", b"S1")
    read_back = _attributes(data)
    assert values(read_back, PRIVATE) == [{"00100020": {"vr": "LO", "Value": ["4711"]}}]
    assert values(read_back, tags.StudyID) == ["S1"]


def test_a_known_element_written_as_unknown_is_read_by_the_dictionary() -> None:
    assert _attributes(element(tags.PatientID, "UN", b"4711"))["00100020"] == {"vr": "LO", "Value": ["4711"]}


def test_an_item_may_have_its_own_character_set() -> None:
    own = element(tags.SpecificCharacterSet, "CS", even("ISO_IR 144")) + element(tags.PatientID, "LO", b"\xbb\xee")
    data = element(tags.SpecificCharacterSet, "CS", even("ISO_IR 100"))
    data += element(tags.ReferencedStudySequence, "SQ", item(own)) + element(tags.StudyID, "SH", b"\xe9\xe8")
    read_back = _attributes(data)
    assert values(values(read_back, tags.ReferencedStudySequence)[0], tags.PatientID) == ["Лю"]
    assert values(read_back, tags.StudyID) == ["éè"]


# --- what is long stays where it is -------------------------------------------


def test_long_values_are_recorded_by_place_and_not_kept() -> None:
    long = b"x" * (LIMITS.inline_bytes + 2)
    data = element(PRIVATE, "OB", long) + element(tags.PixelData, "OW", b"\x01\x02")
    read_back = _read(data)
    place = bulk_location(bulk(read_back.attributes["00091001"]))
    assert place is not None
    assert data[place[0] : place[0] + place[1]] == long
    assert read_back.pixels is not None
    assert data[read_back.pixels.offset : read_back.pixels.offset + read_back.pixels.length] == b"\x01\x02"


def test_fragments_are_found_and_the_offset_table_is_not_one_of_them() -> None:
    stream = item(b"") + item(b"ab") + item(b"cdef") + SEQUENCE_END
    data = element(tags.PixelData, "OB", stream, length=UNDEFINED)
    read_back = _read(data)
    assert read_back.pixels is not None
    assert read_back.pixels.fragments is not None
    assert [data[at : at + length] for at, length in read_back.pixels.fragments] == [b"ab", b"cdef"]
    assert is_encapsulated_bulk(bulk(read_back.attributes["7FE00010"]))


class Counting:
    """A source that says how many bytes were asked of it."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head = head
        self._size = size
        self.given = 0

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        given = max(0, min(length, self._size - offset))
        self.given += given
        return self._head[offset : offset + given].ljust(given, b"\0")


def test_pixels_are_skipped_without_being_read() -> None:
    size = 3 << 30
    head = element(tags.PixelData, "OW", b"", length=size)
    source = Counting(head, len(head) + size)
    read_back = read(source, EXPLICIT, LIMITS)
    assert read_back.pixels is not None
    assert read_back.pixels.length == size
    assert source.given <= 1 << 20


# --- limits -------------------------------------------------------------------


def _nested(depth: int, *, is_undefined: bool) -> bytes:
    content = b""
    for _ in range(depth):
        if is_undefined:
            content = item(content, is_undefined=True) + SEQUENCE_END
            content = element(tags.ReferencedStudySequence, "SQ", content, length=UNDEFINED)
        else:
            content = element(tags.ReferencedStudySequence, "SQ", item(content))
    return content


@pytest.mark.parametrize("is_undefined", [True, False])
def test_nesting_is_limited_and_nothing_recurses(is_undefined: bool) -> None:
    assert "00081110" in _attributes(_nested(LIMITS.depth, is_undefined=is_undefined))
    before = sys.getrecursionlimit()
    for depth in (LIMITS.depth + 1, 5000):
        with pytest.raises(BadInput, match="nested"):
            _read(_nested(depth, is_undefined=is_undefined))
    assert sys.getrecursionlimit() == before


def test_the_number_of_elements_is_limited_even_where_they_are_empty_items() -> None:
    limits = replace(LIMITS, elements=1000)
    many = element(tags.ReferencedStudySequence, "SQ", item(b"") * 20_000)
    with pytest.raises(BadInput, match="elements"):
        _read(many, limits=limits)
    plain = b"".join(element(0x00090000 + number, "US", b"\0\0") for number in range(0x1000, 0x8000))
    with pytest.raises(BadInput, match="elements"):
        _read(plain, limits=limits)


def test_the_length_of_the_header_is_limited() -> None:
    limits = replace(LIMITS, header_bytes=1 << 20, value_bytes=1 << 16)
    data = b"".join(element(0x00090000 + number, "UT", b"x" * 60_000) for number in range(0x1000, 0x1040))
    with pytest.raises(BadInput, match="header"):
        _read(data, limits=limits)


def test_when_much_was_kept_only_short_values_are() -> None:
    limits = replace(LIMITS, kept_bytes=1 << 18)
    data = b"".join(element(0x00090000 + number, "UT", b"x" * 30_000) for number in range(0x1000, 0x1040))
    kept = [each for each in _read(data, limits=limits).attributes.values() if "Value" in each]
    assert sum(len(each.get("Value", [""])[0]) for each in kept) < 1 << 20


def test_only_headers_are_read_between_large_fragments() -> None:
    fragments, size = 200, 1 << 20
    stream = item(b"") + b"".join(item(bytes(size)) for _ in range(fragments)) + SEQUENCE_END
    data = element(tags.PixelData, "OB", stream, length=UNDEFINED)
    source = Counting(data, len(data))
    read_back = read(source, EXPLICIT, LIMITS)
    assert read_back.pixels is not None
    assert len(read_back.pixels.fragments or ()) == fragments
    assert source.given < 1 << 20


def test_warnings_do_not_grow_without_end() -> None:
    twice = b"".join(element(0x00090000 + number, "US", b"\0\0") for number in range(0x1000, 0x2000))
    assert 1 < len(_read(twice + twice).warnings) <= 32


# --- what is wrong ------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (element(tags.PatientID, "LO", b"47", length=10), "PatientID is longer"),
        (element(tags.PatientID, "LO", b"4711")[:6], "inside an element's header"),
        (element(PRIVATE, "UN", b"", length=0xFFFFFFF0), "longer than what is left"),
        (element(PRIVATE, "UT", b"", length=UNDEFINED), "undefined length"),
        (element(tags.ReferencedStudySequence, "SQ", item(INNER), length=UNDEFINED), "never closed"),
        (element(tags.ReferencedStudySequence, "SQ", INNER), "not an item"),
        (element(tags.ReferencedStudySequence, "SQ", item(INNER)[:-2]), "longer than what is left"),
        (element(tags.PixelData, "OB", item(b"") + item(b"ab"), length=UNDEFINED), "never closed"),
        (element(tags.PixelData, "OB", item(b"") + item(b"ab")[:-1], length=UNDEFINED), "fragment is longer"),
        (element(tags.PatientID, "\x01\x02", b""), "no value representation"),
        (element(0x00020010, "UI", b""), "Group 0002"),
        (element(0x00000100, "US", b"\1\0"), "Group 0000"),
        (INNER + INNER, "PatientID occurs twice"),
    ],
)
def test_damage_is_named_and_never_quoted(data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        _read(data)
    assert "4711" not in caught.value.message


def test_disorder_and_repetition_of_harmless_elements_are_tolerated_and_told() -> None:
    data = element(tags.StudyID, "SH", b"S1") + INNER + element(tags.StudyID, "SH", b"S2")
    read_back = _read(data)
    assert values(read_back.attributes, tags.StudyID) == ["S2"]
    assert any("order" in warning for warning in read_back.warnings)
    assert any("StudyID occurs twice" in warning for warning in read_back.warnings)


def test_zeros_after_the_data_set_are_tolerated_and_told() -> None:
    for zeros in (3, 8, 5000):
        read_back = _read(INNER + b"\0" * zeros)
        assert set(read_back.attributes) == {"00100020"}
        assert "zeros follow the data set" in read_back.warnings


# --- hostile input ------------------------------------------------------------

SAMPLE = b"".join(
    (
        element(tags.SpecificCharacterSet, "CS", even("ISO_IR 192")),
        element(tags.ReferencedStudySequence, "SQ", item(INNER, is_undefined=True) + SEQUENCE_END, length=UNDEFINED),
        element(PRIVATE, "UN", item(implicit(tags.PatientID, b"4711")) + SEQUENCE_END, length=UNDEFINED),
        element(tags.PatientName, "PN", even("Doe^Jane")),
        element(tags.Rows, "US", b"\x01\x00"),
        element(tags.PixelData, "OB", item(b"") + item(b"abcd") + SEQUENCE_END, length=UNDEFINED),
    )
)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, len(SAMPLE)),
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=6),
    st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]),
)
def test_damaged_data_sets_are_read_or_refused_and_nothing_else(
    cut: int, damage: list[tuple[int, int]], encoding: Encoding
) -> None:
    data = bytearray(SAMPLE)
    for place, value in damage:
        data[place] = value
    for keeps_bytes in (False, True):
        try:
            read_back = read(Bytes(data[:cut]), encoding, LIMITS, keeps_bytes=keeps_bytes)
        except BadInput:
            continue
        assert read_back.size <= cut


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
def test_noise_is_read_or_refused_and_nothing_else(data: bytes, encoding: Encoding) -> None:
    try:
        read(Bytes(data), encoding, LIMITS)
    except BadInput:
        return
