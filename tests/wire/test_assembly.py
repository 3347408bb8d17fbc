"""Messages and fragments: cut anywhere they come back, and a fragment out of place is a violation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.wire import command_set
from leadglass.wire.assembly import Assembler, CommandPart, DataPart, Fragmenter, fragment_size, fragments
from leadglass.wire.errors import ProtocolViolation
from leadglass.wire.messages import CEchoRq, CStoreRq
from leadglass.wire.pdu import PDV, PData, decode

STORE = CStoreRq(message_id=1, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3")
RAW = command_set.encode(STORE, has_data_set=True)


def pdv(fragment: bytes, *, command: bool = False, last: bool = False, context: int = 1) -> PDV:
    return PDV(context, command, last, fragment)


@given(
    blocks=st.lists(st.binary(max_size=300), max_size=8),
    size=st.integers(1, 60).map(lambda number: 2 * number),
)
def test_a_message_that_was_cut_comes_back_whole(blocks: list[bytes], size: int) -> None:
    buffers: list[bytes | memoryview] = []
    command = Fragmenter(1, size, command=True)
    written = command.feed(RAW, buffers) + command.finish(buffers)
    data = Fragmenter(1, size, command=False)
    for block in blocks:
        written += data.feed(block, buffers)
    written += data.finish(buffers)
    raw = b"".join(buffers)
    assert written == len(raw)

    assembler = Assembler({1}, 1000)
    parts: list[CommandPart | DataPart | None] = []
    offset = 0
    while offset < len(raw):
        length = int.from_bytes(raw[offset + 2 : offset + 6], "big")
        assert length <= size + 6
        body = decode(raw[offset], memoryview(raw)[offset + 6 : offset + 6 + length])
        assert isinstance(body, PData)
        parts += [assembler.feed(each) for each in body.pdvs]
        offset += 6 + length
    assert not assembler.mid_message
    assert [part for part in parts if isinstance(part, CommandPart)] == [CommandPart(1, STORE, has_data_set=True)]
    fragments = [part for part in parts if isinstance(part, DataPart)]
    assert b"".join(part.fragment for part in fragments) == b"".join(blocks)
    assert [part.is_last for part in fragments] == [False] * (len(fragments) - 1) + [True]


@pytest.mark.parametrize(
    ("fragments", "wrong"),
    [
        ([pdv(RAW, command=True, last=True, context=3)], "not accepted"),
        ([pdv(b"x")], "without its command"),
        ([pdv(RAW[:9], command=True), pdv(RAW[9:], command=True, last=True, context=5)], "half-way"),
        ([pdv(RAW, command=True, last=True), pdv(RAW, command=True, last=True)], "inside of a data set"),
        ([pdv(RAW, command=True, last=True), pdv(b"x", last=True, context=5)], "half-way"),
        ([pdv(RAW[:9], command=True), pdv(b"x")], "without its command"),
        ([pdv(bytes(600), command=True), pdv(bytes(600), command=True)], "longer than allowed"),
    ],
)
def test_a_fragment_out_of_place_is_a_violation(fragments: list[PDV], wrong: str) -> None:
    assembler = Assembler({1, 5}, 1000)
    *before, bad = fragments
    for each in before:
        assembler.feed(each)
    with pytest.raises(ProtocolViolation, match=wrong):
        assembler.feed(bad)


@given(data=st.binary(max_size=900), size=st.integers(1, 200).map(lambda number: 2 * number))
def test_a_small_message_at_once_is_cut_as_in_parts(data: bytes, size: int) -> None:
    parts: list[bytes | memoryview] = []
    for block, is_command in ((RAW, True), (data, False)):
        fragmenter = Fragmenter(1, size, command=is_command)
        fragmenter.feed(block, parts)
        fragmenter.finish(parts)
    once: list[bytes | memoryview] = []
    fragments(1, size, RAW, data, into=once)
    assert b"".join(once) == b"".join(parts)


def test_a_message_without_a_data_set_ends_with_its_command() -> None:
    echo = CEchoRq(message_id=1, affected_sop_class_uid="1.2")
    assembler = Assembler({1}, 1000)
    assembler.feed(pdv(command_set.encode(echo, has_data_set=False), command=True, last=True))
    assert not assembler.mid_message


@pytest.mark.parametrize(
    ("peer", "most", "size"), [(0, 1000, 994), (16384, 1 << 20, 16378), (257, 1 << 20, 250), (1, 100, 2)]
)
def test_a_fragment_is_even_and_fits_what_the_peer_takes(peer: int, most: int, size: int) -> None:
    assert fragment_size(peer, most) == size
