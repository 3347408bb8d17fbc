import pytest

from leadglass.dicom import tags, uids
from leadglass.dicom.compare import difference
from leadglass.dicom.recode import recode
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput, Unsupported
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, SEQUENCE_END, UNDEFINED, as_pydicom, element, even, implicit, item, stored

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
IMPLICIT = uids.IMPLICIT_VR_LITTLE_ENDIAN
PRIVATE = 0x00091001
INNER = element(tags.PatientID, "LO", b"4711")


def _difference(a: bytes, b: bytes, a_ts: str = EXPLICIT, b_ts: str = EXPLICIT) -> str | None:
    return difference(Bytes(a), a_ts, Bytes(b), b_ts, LIMITS)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (INNER, element(0x00100000, "UL", b"\x0c\0\0\0") + INNER),
        (element(tags.PatientID, "LO", b"471"), element(tags.PatientID, "LO", b"471 ")),
        (element(tags.StudyInstanceUID, "UI", b"1.2\0"), element(tags.StudyInstanceUID, "UI", b"1.2")),
        (
            element(tags.ReferencedStudySequence, "SQ", item(INNER)),
            element(
                tags.ReferencedStudySequence, "SQ", item(INNER, is_undefined=True) + SEQUENCE_END, length=UNDEFINED
            ),
        ),
        (INNER, INNER + element(tags.DataSetTrailingPadding, "OB", b"\0\0")),
        (element(PRIVATE, "OB", b"abc"), element(PRIVATE, "OB", b"abc\0")),
    ],
)
def test_what_the_standard_calls_insignificant_is_no_difference(a: bytes, b: bytes) -> None:
    assert a != b
    assert _difference(a, b) is None
    assert _difference(b, a) is None


@pytest.mark.parametrize(
    ("a", "b", "keyword"),
    [
        (INNER, element(tags.PatientID, "LO", b"4712"), "PatientID"),
        (INNER, b"", "PatientID"),
        (element(tags.PatientName, "PN", b"\xff\xfe"), element(tags.PatientName, "PN", b"\xfe\xff"), "PatientName"),
        (element(tags.PatientSize, "DS", b"1.0 "), element(tags.PatientSize, "DS", b"1.00"), "PatientSize"),
        (
            element(tags.ReferencedStudySequence, "SQ", item(INNER)),
            element(tags.ReferencedStudySequence, "SQ", item(INNER) + item(b"")),
            "ReferencedStudySequence",
        ),
        (
            element(tags.ReferencedStudySequence, "SQ", item(INNER)),
            element(tags.ReferencedStudySequence, "SQ", item(element(tags.PatientID, "LO", b"x "))),
            "PatientID",
        ),
        (element(tags.PixelData, "OW", b"\1\2\3\4"), element(tags.PixelData, "OW", b"\1\2\3\5"), "PixelData"),
        (element(PRIVATE, "LO", b"ab"), element(PRIVATE, "LO", b"AB"), "00091001"),
    ],
)
def test_other_content_is_a_difference_and_named(a: bytes, b: bytes, keyword: str) -> None:
    assert _difference(a, b) == keyword
    assert _difference(b, a) == keyword


def test_encodings_are_no_difference() -> None:
    rows = element(tags.Rows, "US", b"\x02\x01")
    assert _difference(rows, element(tags.Rows, "US", b"\x01\x02", order=">"), b_ts=uids.EXPLICIT_VR_BIG_ENDIAN) is None
    assert _difference(rows, implicit(tags.Rows, b"\x02\x01"), b_ts=IMPLICIT) is None
    assert _difference(rows, implicit(tags.Rows, b"\x01\x02"), b_ts=IMPLICIT) == "Rows"


def test_a_private_sequence_is_the_same_where_implicit_vr_cannot_show_that_it_is_one() -> None:
    explicit = element(PRIVATE, "SQ", item(element(tags.Rows, "US", b"\x02\x01")))
    hidden = implicit(PRIVATE, item(implicit(tags.Rows, b"\x02\x01")))
    other = implicit(PRIVATE, item(implicit(tags.Rows, b"\x02\x02")))
    assert _difference(explicit, hidden, b_ts=IMPLICIT) is None
    assert _difference(explicit, other, b_ts=IMPLICIT) == "Rows"


def test_what_cannot_be_read_cannot_be_compared() -> None:
    with pytest.raises(BadInput):
        _difference(INNER, INNER[:-1])


def test_every_uncompressed_file_keeps_its_content_in_every_uncompressed_encoding(
    manifest: tuple[CorpusFile, ...],
) -> None:
    turned = 0
    for row in manifest:
        if row.is_malformed or row.tier != "core" or row.transfer_syntax_uid not in uids.UNCOMPRESSED:
            continue
        file = stored(row)
        for syntax in uids.UNCOMPRESSED - {file.syntax}:
            there = recode(file.source, file.syntax, syntax, LIMITS)
            assert difference(file.source, file.syntax, Bytes(there), syntax, LIMITS) is None, (row.name, syntax)
            back = recode(Bytes(there), syntax, file.syntax, LIMITS)
            assert difference(file.source, file.syntax, Bytes(back), file.syntax, LIMITS) is None, (row.name, syntax)
            turned += 1
    assert turned > 300


def test_pydicom_reads_the_same_pixels_and_names_in_every_encoding(manifest: tuple[CorpusFile, ...]) -> None:
    row = next(row for row in manifest if row.name == "pydicom/MR_small.dcm")
    file = stored(row)
    before = as_pydicom(file.body, file.syntax)
    for syntax in uids.UNCOMPRESSED:
        after = as_pydicom(recode(file.source, file.syntax, syntax, LIMITS), syntax)
        assert (after.pixel_array == before.pixel_array).all()
        assert after["PatientName"].value == before["PatientName"].value


def test_samples_of_32_bits_are_the_same_image_in_every_encoding(manifest: tuple[CorpusFile, ...]) -> None:
    rows = [row for row in manifest if row.name in ("pydicom/rtdose.dcm", "pydicom/rtdose_expb.dcm")]
    truth, turned = [stored(row) for row in rows]
    assert turned.syntax == uids.EXPLICIT_VR_BIG_ENDIAN
    expected = as_pydicom(truth.body, truth.syntax).pixel_array
    for file in (truth, turned):
        for syntax in uids.UNCOMPRESSED:
            there = recode(file.source, file.syntax, syntax, LIMITS)
            assert (as_pydicom(there, syntax).pixel_array == expected).all(), syntax
            assert difference(file.source, file.syntax, Bytes(there), syntax, LIMITS) is None


def test_what_is_too_long_for_a_short_length_goes_as_unknown() -> None:
    long = b"1.5\\" * 20_000
    data = implicit(0x30060050, long)
    there = recode(Bytes(data), IMPLICIT, EXPLICIT, LIMITS)
    assert there[4:6] == b"UN"
    assert _difference(data, there, a_ts=IMPLICIT) is None
    numbers = implicit(tags.LUTDescriptor, b"\1\0" * 40_000)
    with pytest.raises(Unsupported):
        recode(Bytes(numbers), IMPLICIT, uids.EXPLICIT_VR_BIG_ENDIAN, LIMITS)


def test_odd_values_are_padded_when_written() -> None:
    data = element(tags.PatientID, "LO", b"471") + element(tags.StudyInstanceUID, "UI", b"1.2")
    assert recode(Bytes(data), EXPLICIT, EXPLICIT, LIMITS) == element(tags.PatientID, "LO", even("471")) + element(
        tags.StudyInstanceUID, "UI", b"1.2\0"
    )
