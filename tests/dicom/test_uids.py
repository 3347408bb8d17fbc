import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import sop_classes, uids
from leadglass.dicom.uids import is_encapsulated, is_transfer_syntax, parse_ae_title, parse_uid
from leadglass.errors import BadInput


@pytest.mark.parametrize("text", ["1.2.840.10008.1.2", "1.2.840.10008.1.2\0", " 1.2.3 ", "1", "1.02.3", "9" * 64])
def test_a_well_formed_uid_is_taken_without_its_padding(text: str) -> None:
    assert parse_uid(text) == text.strip(" \0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.2.a",
        "../../etc/passwd",
        "1" * 65,
        "1..2",
        ".1",
        "1.",
        "1.2\\1.3",
        "1.2\n",
        "1 2",
        "\u0661.\u0662",
        "1.2;--",
    ],
)
def test_anything_else_is_not_a_uid(text: str) -> None:
    with pytest.raises(BadInput):
        parse_uid(text)


@given(st.text(max_size=80))
def test_a_uid_holds_nothing_but_digits_and_dots_whatever_is_sent(text: str) -> None:
    try:
        uid = parse_uid(text)
    except BadInput:
        return
    assert 1 <= len(uid) <= 64
    assert set(uid) <= set("0123456789.")


def test_an_ae_title_loses_the_spaces_around_it() -> None:
    assert parse_ae_title("  CT 1           ") == "CT 1"


@pytest.mark.parametrize("text", ["", "   ", "A" * 17, "A\\B", "A\tB", "A\nB", "CT\0", "MÜHLE"])
def test_what_is_no_ae_title_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_ae_title(text)


def test_only_transfer_syntaxes_of_the_standard_are_known() -> None:
    assert is_transfer_syntax(uids.IMPLICIT_VR_LITTLE_ENDIAN)
    assert is_transfer_syntax("1.2.840.10008.1.2.4.250")
    assert not is_transfer_syntax("1.2.3.4.5.6")
    assert not is_transfer_syntax("1.2.840.10008.1.20")


def test_native_and_encapsulated_are_told_apart() -> None:
    assert not any(map(is_encapsulated, uids.UNCOMPRESSED))
    assert all(map(is_encapsulated, uids.DECODED | uids.VIDEO))


def test_storage_classes_are_those_of_the_standard() -> None:
    storage = sop_classes.STORAGE
    assert "1.2.840.10008.5.1.4.1.1.2" in storage
    assert "1.2.840.10008.5.1.4.1.1.7" in storage
    assert "1.2.840.10008.5.1.4.1.1.481.3" in storage
    assert "1.2.840.10008.5.1.4.1.1.6" in storage  # retired Ultrasound Image Storage
    assert len(storage) > 180


def test_services_and_directories_are_not_storage_classes() -> None:
    assert sop_classes.STORAGE.isdisjoint(
        {
            sop_classes.VERIFICATION,
            sop_classes.MEDIA_STORAGE_DIRECTORY,
            sop_classes.STORAGE_COMMITMENT_PUSH_MODEL,
            "1.2.840.10008.1.20",
            *sop_classes.QUERY_RETRIEVE,
        }
    )
