import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import tags, uids
from leadglass.dicom.part10 import file_meta, read_file
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput
from tests.dicom.sets import CT, as_pydicom, element, even, implicit

BODY = element(tags.SOPClassUID, "UI", even(CT, "\0"))


def test_what_is_written_is_read_back() -> None:
    head = file_meta(CT, "1.2.3", uids.JPEG_BASELINE, "CT1")
    read = read_file(Bytes(head + BODY))
    assert read.dataset_offset == len(head)
    assert (read.meta.sop_class_uid, read.meta.sop_instance_uid) == (CT, "1.2.3")
    assert (read.meta.transfer_syntax_uid, read.meta.source_ae) == (uids.JPEG_BASELINE, "CT1")
    assert read.meta.implementation_class_uid == uids.IMPLEMENTATION_CLASS_UID
    assert not read.guessed
    assert read.warnings == ()


def test_the_preamble_is_empty_so_that_a_file_is_nothing_but_dicom() -> None:
    assert file_meta(CT, "1.2.3", uids.IMPLICIT_VR_LITTLE_ENDIAN)[:132] == bytes(128) + b"DICM"


def test_pydicom_reads_the_file_meta_information() -> None:
    data_set = as_pydicom(BODY, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    assert data_set["SOPClassUID"].value == CT


@pytest.mark.parametrize(
    ("body", "syntax"),
    [
        (BODY, uids.EXPLICIT_VR_LITTLE_ENDIAN),
        (implicit(tags.SOPClassUID, even(CT, "\0")), uids.IMPLICIT_VR_LITTLE_ENDIAN),
        (element(tags.SOPClassUID, "UI", even(CT, "\0"), order=">"), uids.EXPLICIT_VR_BIG_ENDIAN),
    ],
)
@pytest.mark.parametrize("preamble", [b"", bytes(128)])
def test_a_bare_data_set_is_taken_with_a_guess_that_is_told(body: bytes, syntax: str, preamble: bytes) -> None:
    read = read_file(Bytes(preamble + body))
    assert read.guessed
    assert read.meta.transfer_syntax_uid == syntax
    assert read.dataset_offset == len(preamble)
    assert read.warnings


def test_meta_information_without_preamble_is_taken_and_told() -> None:
    head = file_meta(CT, "1.2.3", uids.EXPLICIT_VR_LITTLE_ENDIAN)[132:]
    read = read_file(Bytes(head + BODY))
    assert read.dataset_offset == len(head)
    assert read.warnings == ("the file has no preamble",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"D",
        b"GIF89a" + bytes(300),
        bytes(128) + b"DICM",
        bytes(128),
        bytes(4096),
        b"DICM" + BODY,
        file_meta(CT, "1.2.3", uids.EXPLICIT_VR_LITTLE_ENDIAN)[:180],
        file_meta(CT, "1.2.3", ""),
    ],
)
def test_what_is_no_dicom_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        read_file(Bytes(data))


def test_a_wrong_group_length_is_told_and_a_huge_one_refused() -> None:
    head = bytearray(file_meta(CT, "1.2.3", uids.EXPLICIT_VR_LITTLE_ENDIAN))
    head[140:144] = b"\0\0\0\0"
    assert read_file(Bytes(bytes(head) + BODY)).warnings
    head[140:144] = b"\xff\xff\xff\x7f"
    with pytest.raises(BadInput, match="announces a length"):
        read_file(Bytes(bytes(head) + BODY))


@given(st.binary(max_size=400), st.booleans())
def test_noise_is_refused_or_read_within_its_bounds(data: bytes, has_prefix: bool) -> None:
    whole = bytes(128) + b"DICM" + data if has_prefix else data
    try:
        read = read_file(Bytes(whole))
    except BadInput:
        return
    assert 0 <= read.dataset_offset <= len(whole)
