"""Command sets: what is written is read back, and hostile ones are violations."""

import struct
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as pydicom_decode

from leadglass.wire.command_set import decode, encode
from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.messages import (
    FIELD_OF,
    CCancelRq,
    CEchoRq,
    CFindRsp,
    CMoveRq,
    Command,
    CommandField,
    CStoreRq,
    CStoreRsp,
    Status,
    Suboperations,
    is_pending,
    is_warning,
)
from tests.wire.strategies import commands

ECHO = CEchoRq(message_id=7, affected_sop_class_uid="1.2.840.10008.1.1")


def element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, tag, len(value)) + value


def us(tag: int, value: int) -> bytes:
    return element(tag, struct.pack("<H", value))


@given(commands, st.booleans())
def test_every_command_comes_back_as_it_was_written(command: Command, has_data_set: bool) -> None:
    assert decode(encode(command, has_data_set=has_data_set)) == (command, has_data_set)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_violation(raw: bytes) -> None:
    with suppress(ProtocolViolation):
        decode(raw)


@given(commands, st.data())
def test_a_damaged_command_is_a_command_or_a_violation(command: Command, data: st.DataObject) -> None:
    raw = bytearray(encode(command, has_data_set=True))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolViolation):
        decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


def test_there_is_one_class_for_every_command_field() -> None:
    assert set(FIELD_OF.values()) == set(CommandField)


@given(commands)
def test_another_implementation_reads_the_same_elements(command: Command) -> None:
    theirs: Dataset = pydicom_decode(BytesIO(encode(command, has_data_set=False)), True, True)
    assert theirs.CommandField == FIELD_OF[type(command)]
    assert theirs.CommandGroupLength == len(encode(command, has_data_set=False)) - 12
    assert theirs.CommandDataSetType == 0x0101


def test_unknown_elements_are_ignored() -> None:
    raw = encode(ECHO, has_data_set=False) + element(0x5110, b"retired ")
    assert decode(raw) == (ECHO, False)


def test_a_wrong_or_missing_group_length_does_not_matter() -> None:
    raw = encode(ECHO, has_data_set=False)
    assert decode(raw[12:]) == (ECHO, False)
    assert decode(element(0, b"\xff\xff\xff\xff") + raw[12:]) == (ECHO, False)


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (b"", "no Command Field"),
        (us(0x100, 0x30), "no Command Data Set Type"),
        (us(0x100, 0x30) + us(0x800, 0x101), "affected_sop_class_uid"),
        (us(0x100, 0x7777) + us(0x800, 0x101), "not one of PS3.7"),
        (us(0x800, 0x101) + us(0x100, 0x30), "not ascending"),
        (us(0x100, 0x30) + us(0x100, 0x30), "not ascending"),
        (us(0x100, 0x30) + struct.pack("<HHI", 0, 0x110, 0xFFFFFFFF), "longer than"),
        (us(0x100, 0x30) + b"\0\0", "cut off"),
        (struct.pack("<HHI", 8, 0x16, 0), "not of group 0000"),
        (element(2, b"1.2\n") + us(0x100, 0x30) + us(0x110, 1) + us(0x800, 0x101), "does not allow"),
        (element(2, b"1" * 66) + us(0x100, 0x30) + us(0x110, 1) + us(0x800, 0x101), "more than 64"),
        (element(2, b"1.2 ") + us(0x100, 0x30) + element(0x110, b"\1\0\0\0") + us(0x800, 0x101), "2 bytes"),
    ],
)
def test_a_bad_command_set_is_a_violation_that_says_why(raw: bytes, wrong: str) -> None:
    with pytest.raises(ProtocolViolation, match=wrong):
        decode(raw)


def test_a_violation_never_repeats_what_the_peer_sent() -> None:
    raw = element(2, b"DOE^JANE\n ") + us(0x100, 0x30) + us(0x110, 1) + us(0x800, 0x101)
    with pytest.raises(ProtocolViolation) as caught:
        decode(raw)
    assert "DOE" not in caught.value.message


def test_an_error_comment_is_cut_and_cleaned_instead_of_failing() -> None:
    response = CStoreRsp(message_id_being_responded_to=1, status=0xA700, error_comment="Größe\n" + "x" * 100)
    command, _ = decode(encode(response, has_data_set=False))
    assert isinstance(command, CStoreRsp)
    assert command.error_comment == "Gr??e?" + "x" * 58


def test_a_priority_that_is_left_out_is_medium_and_a_move_originator_is_optional() -> None:
    raw = element(2, b"1.2 ") + us(0x100, 1) + us(0x110, 1) + us(0x800, 1) + element(0x1000, b"1.2.3 ")
    assert decode(raw) == (
        CStoreRq(message_id=1, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3"),
        True,
    )


def test_a_response_is_made_by_its_request() -> None:
    request = CMoveRq(message_id=9, affected_sop_class_uid="1.2", move_destination="WS1")
    response = request.response(Status.PENDING, Suboperations(remaining=3, completed=0, failed=0, warning=0))
    assert response.message_id_being_responded_to == 9
    assert response.number_of_remaining_suboperations == 3
    decoded, _ = decode(encode(response, has_data_set=False))
    assert decoded == response


def test_a_number_that_does_not_fit_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="message_id_being_responded_to"):
        encode(CCancelRq(message_id_being_responded_to=70000), has_data_set=False)


def test_statuses_are_told_apart() -> None:
    assert is_pending(0xFF00)
    assert is_pending(0xFF01)
    assert not is_pending(CFindRsp(message_id_being_responded_to=1, status=Status.CANCEL).status)
    assert is_warning(0xB000)
    assert not is_warning(0xA700)
