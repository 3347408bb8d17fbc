"""PDUs and items: what is written is read back, and what is wrong is a violation and nothing else."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.items import Role, UserIdentity, decode_ae_title, decode_uid, decode_user_information, item
from leadglass.wire.pdu import (
    PDU,
    PDV,
    AssociateAccept,
    AssociateRequest,
    PData,
    PDUType,
    ProposedContext,
    Rejection,
    decode,
    encode,
    pdata_header,
)
from tests.wire.strategies import pdus

REQUEST = AssociateRequest(
    called_ae_title="LEADGLASS",
    calling_ae_title="CT1",
    contexts=(ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
    implementation_class_uid="1.2.3",
)


def body_of(pdu: bytes) -> memoryview:
    return memoryview(pdu)[6:]


@given(pdus)
def test_every_pdu_comes_back_as_it_was_written(pdu: PDU) -> None:
    raw = encode(pdu)
    kind, length = struct.unpack(">BxI", raw[:6])
    assert length == len(raw) - 6
    assert decode(kind, body_of(raw)) == pdu


@given(st.sampled_from(PDUType), st.binary(max_size=200))
def test_any_bytes_are_a_pdu_or_a_violation(kind: PDUType, body: bytes) -> None:
    with suppress(ProtocolViolation):
        decode(kind, memoryview(body))


@given(pdus, st.data())
def test_a_damaged_pdu_is_a_pdu_or_a_violation(pdu: PDU, data: st.DataObject) -> None:
    raw = bytearray(encode(pdu))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(6, len(raw) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(6, len(raw)))
    with suppress(ProtocolViolation):
        decode(raw[0], memoryview(raw)[6:end])


def test_unknown_items_are_skipped_wherever_they_stand() -> None:
    raw = encode(REQUEST)
    unknown = item(0x77, b"of the future")
    assert decode(1, memoryview(raw[6:] + unknown)) == REQUEST
    user = decode_user_information(memoryview(unknown + item(0x51, struct.pack(">I", 5000)) + unknown))
    assert user.max_length == 5000


def test_real_pdus_of_another_implementation_are_read() -> None:
    from pynetdicom.pdu import A_ASSOCIATE_RQ

    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encode(REQUEST))
    assert theirs.called_ae_title.strip() == "LEADGLASS"
    assert decode(1, body_of(theirs.encode())) == REQUEST


@pytest.mark.parametrize(
    "ids",
    [(2,), (1, 1)],
    ids=["even", "twice"],
)
def test_context_ids_are_odd_and_unique(ids: tuple[int, ...]) -> None:
    contexts = tuple(ProposedContext(each, "1.2", ("1.2.840.10008.1.2",)) for each in ids)
    raw = encode(AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=contexts))
    with pytest.raises(ProtocolViolation, match="even or comes twice"):
        decode(1, body_of(raw))


def test_a_request_without_contexts_is_a_violation() -> None:
    raw = encode(AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=()))
    with pytest.raises(ProtocolViolation, match="no presentation context"):
        decode(1, body_of(raw))


@pytest.mark.parametrize("raw", [b"CT1             ", b"   CT1          ", b"CT1\0\0\0\0\0\0\0\0\0\0\0\0\0"])
def test_padding_of_an_ae_title_is_not_significant(raw: bytes) -> None:
    assert decode_ae_title(raw) == "CT1"


@pytest.mark.parametrize("raw", [b"CT\n1", b"A\\B", b"\xc4RZTE", b"A\0B", b"\x7f"])
def test_an_ae_title_that_could_forge_a_log_line_is_a_violation(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_ae_title(raw)


@pytest.mark.parametrize("raw", [b"1.2\n3", b"1" * 65, b"1.\xff"])
def test_a_uid_that_is_no_text_is_a_violation(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_uid(raw)


def test_an_acceptance_with_strange_ae_titles_is_read_because_they_shall_not_be_tested() -> None:
    raw = bytearray(encode(AssociateAccept(called_ae_title="A", calling_ae_title="B", contexts={1: "1.2"})))
    raw[10:42] = bytes(range(32))
    pdu = decode(2, body_of(bytes(raw)))
    assert isinstance(pdu, AssociateAccept)
    assert pdu.contexts == {1: "1.2"}


def test_a_version_name_never_fails_an_association() -> None:
    user = decode_user_information(memoryview(item(0x55, b"\xff\x00weird\n name that is far too long")))
    assert user.implementation_version_name == "??weird? name th"


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0\x03\x01", b"\0\0\0\x01\x01\x03", b"\0\0\0\x03\x02\x03a", b"\xff\xff\xff\xff\x01\x03a"],
    ids=["no PDV", "header cut off", "too short for its header", "even context", "longer than the PDU"],
)
def test_a_bad_pdv_is_a_violation(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode(4, memoryview(body))


def test_a_header_made_for_one_fragment_is_what_encode_writes() -> None:
    pdu = PData((PDV(3, is_command=False, is_last=True, fragment=b"abcd"),))
    assert pdata_header(3, command=False, last=True, length=4) + b"abcd" == encode(pdu)


@pytest.mark.parametrize("uid", ["1" * 65, "1\n", " 1", "ä"])
def test_our_own_mistakes_are_not_sent(uid: str) -> None:
    with pytest.raises(ValueError, match="UID"):
        encode(AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=(ProposedContext(1, uid, ()),)))


def test_the_secret_of_a_user_identity_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(UserIdentity(2, b"ann", b"hunter2"))


def test_a_rejection_says_what_it_means() -> None:
    assert Rejection(1, 1, 7).text == "called AE title not recognized (permanent)"
    assert Rejection(2, 3, 2).text == "local limit exceeded (transient)"
    assert Rejection(9, 9, 9).text == "source 9, reason 9 (result 9)"


def test_a_request_that_proposes_more_than_anybody_knows_is_refused_before_it_is_read_through() -> None:
    many = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100))
    contexts = tuple(ProposedContext(2 * number + 1, "1.2.840.10008.1.1", many) for number in range(128))
    request = AssociateRequest(called_ae_title="A", calling_ae_title="B", contexts=contexts)
    with pytest.raises(ProtocolViolation, match="More than 8192 transfer syntaxes"):
        decode(PDUType.ASSOCIATE_RQ, memoryview(encode(request))[6:])


def test_user_information_of_thousands_of_sub_items_is_refused() -> None:
    roles = {f"1.2.{number}": Role(scu=True, scp=True) for number in range(1025)}
    request = AssociateRequest(
        called_ae_title="A", calling_ae_title="B", contexts=(ProposedContext(1, "1.2", ("1.2",)),), roles=roles
    )
    with pytest.raises(ProtocolViolation, match="more than 1024 sub-items"):
        decode(PDUType.ASSOCIATE_RQ, memoryview(encode(request))[6:])


@pytest.mark.parametrize("length", range(4))
def test_an_answer_to_a_context_that_ends_too_early_is_a_violation(length: int) -> None:
    head = b"\0\1\0\0" + b"ANY".ljust(16) + b"ANY".ljust(16) + bytes(32)
    with pytest.raises(ProtocolViolation):
        decode(PDUType.ASSOCIATE_AC, memoryview(head + bytes((0x21, 0, 0, length)) + b"\1\0\0\0"[:length]))
