"""Bytes that lie in several blocks read like bytes that lie in one."""

from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.source import Blocks


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 200), st.integers(0, 200))
def test_blocks_read_like_one_piece(blocks: list[bytes], offset: int, length: int) -> None:
    whole = b"".join(blocks)
    source = Blocks(blocks)
    assert source.size == len(whole)
    assert source.read_at(offset, length) == whole[offset : offset + length]
