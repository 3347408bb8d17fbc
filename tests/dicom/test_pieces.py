"""Pieces: whatever is read of them, it is that of the whole."""

from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.pieces import Piece, Pieces, Turned, Zeros
from leadglass.dicom.source import Bytes
from leadglass.dicom.values import swapped

SOURCE = bytes(range(256)) * 2
PLACES = st.tuples(st.integers(0, 400), st.integers(0, 100))


def _turned(place: tuple[int, int], word: int) -> Turned:
    return Turned(*place, word)


def _whole(piece: Piece) -> bytes:
    match piece:
        case bytes() | memoryview():
            return bytes(piece)
        case Zeros(length):
            return bytes(length)
        case Turned(offset, length, word):
            return swapped(SOURCE[offset : offset + length], word)
        case (offset, length):
            return SOURCE[offset : offset + length]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.binary(max_size=30).map(memoryview),
            PLACES,
            st.builds(_turned, PLACES, st.sampled_from([2, 4, 8])),
            st.builds(Zeros, st.integers(0, 30)),
        ),
        max_size=8,
    ),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_any_part_is_that_of_the_whole(pieces: list[Piece], offset: int, length: int) -> None:
    whole = b"".join(map(_whole, pieces))
    made = Pieces(pieces, Bytes(SOURCE))
    assert made.size == len(whole)
    assert made.read_at(offset, length) == whole[offset : offset + length]


def test_what_is_in_memory_is_told() -> None:
    assert Pieces([b"abc", (0, 99), memoryview(b"d"), Zeros(7)], Bytes(SOURCE)).kept == 4
