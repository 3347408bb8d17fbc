"""Requests for Storage Commitment as an enemy writes them: refused in so many words, or read as what they say."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from leadglass.doors.dimse.commitment import pack, read_request, unpack
from leadglass.errors import BadInput, Full
from tests.doors.dimse.commitment import encode, request

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
SOUND = encode(request([("1.2.840.10008.5.1.4.1.1.2", f"1.2.{number}") for number in range(5)], "1.2.99"))

uids = st.from_regex(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){0,5}", fullmatch=True)


@settings(deadline=None)
@given(st.lists(st.tuples(uids, uids), min_size=1, max_size=20), uids)
def test_what_a_device_asks_is_read_as_it_says_and_kept_so(pairs: list[tuple[str, str]], transaction: str) -> None:
    asked = read_request(encode(request(pairs, transaction)), EXPLICIT, 20)
    assert asked.transaction_uid == transaction
    assert [(each.sop_class_uid, each.sop_instance_uid) for each in asked.references] == list(dict.fromkeys(pairs))
    assert unpack(pack("session", asked.references)) == ("session", asked.references)


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([EXPLICIT, DEFLATED, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"]))
def test_any_bytes_are_read_or_refused(data: bytes, transfer_syntax_uid: str) -> None:
    with suppress(BadInput, Full):
        assert 1 <= len(read_request(data, transfer_syntax_uid, 5).references) <= 5


@settings(deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(1, 255), st.integers(0, len(SOUND)))
def test_a_changed_or_cut_request_is_read_or_refused(position: int, flip: int, length: int) -> None:
    octets = bytearray(SOUND)
    octets[position] ^= flip
    for data in (bytes(octets), SOUND[:length]):
        with suppress(BadInput, Full):
            assert 1 <= len(read_request(data, EXPLICIT, 5).references) <= 5


def test_one_reference_more_than_allowed_is_too_many() -> None:
    assert len(read_request(SOUND, EXPLICIT, 5).references) == 5
    with pytest.raises(Full):
        read_request(SOUND, EXPLICIT, 4)


def nested(depth: int) -> Dataset:
    innermost: Any = request([("1.2", "1.3")])
    for _ in range(depth):
        outer: Any = Dataset()
        outer.ReferencedSOPSequence = Sequence([innermost])
        innermost = outer
    return innermost


def test_sequences_within_sequences_are_refused() -> None:
    with pytest.raises(BadInput):
        read_request(encode(nested(50)), EXPLICIT, 100)


@pytest.mark.parametrize("hostile", ["1.2'; DROP TABLE job; --", "../../etc/passwd", "1.2\r\nX: y", "1" * 65, "1..2"])
def test_a_transaction_uid_that_is_none_is_refused(hostile: str) -> None:
    data = SOUND.replace(
        b"UI\x06\x001.2.99", b"UI" + len(hostile.ljust(66)).to_bytes(2, "little") + hostile.ljust(66).encode()
    )
    assert data != SOUND
    with pytest.raises(BadInput):
        read_request(data, EXPLICIT, 5)
