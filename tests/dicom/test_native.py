from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.dicom import native, tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.native import Words, native_frame, pixel_word, pixel_word_of
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput
from tests.dicom.pictures import said

BEFORE = b"other elements"


def _table(frames: int, bits: int) -> FrameTable:
    return FrameTable(frames, Layout.NATIVE, start=len(BEFORE), frame_bits=bits)


def _turned(data: bytes, word: int) -> bytes:
    padded = data + bytes(-len(data) % word)
    return np.frombuffer(padded, dtype=f"<u{word}").astype(f">u{word}").tobytes()


@pytest.mark.parametrize("piece", [1, 2, 3, 8, 1 << 20])
@given(
    st.integers(1, 4), st.integers(1, 200), st.sampled_from([1, 2, 4, 8]), st.randoms(use_true_random=False), st.data()
)
@settings(max_examples=60, deadline=None)
def test_a_frame_is_its_bits_of_all_pixel_data(
    piece: int, frames: int, bits: int, word: int, random: "np.random.Generator", data: st.DataObject
) -> None:
    """As one number of all bits, from which a frame is cut, whatever its pieces and words are."""
    pixels = bytes(random.getrandbits(8) for _ in range(-(-frames * bits // 8)))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    whole = int.from_bytes(pixels, "little")
    source = Bytes(BEFORE + _turned(pixels, word) + b"what follows")
    index = data.draw(st.integers(0, frames - 1))
    expected = (whole >> index * bits & (1 << bits) - 1).to_bytes(-(-bits // 8), "little")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_PIECE", piece)
        patch.setattr(native, "_SHIFTED", piece)
        pieces = list(native_frame(source, _table(frames, bits), index, word))
    assert b"".join(pieces) == expected
    assert max(map(len, pieces)) <= piece


def test_no_more_than_some_kilobytes_are_shifted_at_once() -> None:
    pixels = bytes(range(256)) * 2_048
    bits = len(pixels) * 4 - 4  # so that the second frame begins inside a byte
    pieces = list(native_frame(Bytes(BEFORE + pixels), _table(2, bits), 1, 1))
    assert max(map(len, pieces)) == 64 << 10
    expected = int.from_bytes(pixels, "little") >> bits & (1 << bits) - 1
    assert b"".join(pieces) == expected.to_bytes(len(pixels) // 2, "little")


def test_pixel_data_that_is_cut_off_gives_no_frame() -> None:
    for bits in (64, 60, 59):
        with pytest.raises(BadInput):
            list(native_frame(Bytes(BEFORE + bytes(14)), _table(2, bits), 1, 1))


def test_a_range_of_words_is_turned_from_any_byte_on() -> None:
    words = Words(Bytes(BEFORE + _turned(bytes(range(16)), 4)), len(BEFORE), 16, 4)
    for start in range(17):
        for length in range(17 - start):
            assert words.read_at(start, length) == bytes(range(16))[start : start + length]


@pytest.mark.parametrize(
    ("vr", "allocated", "word"),
    [
        ("OB", 8, 1),
        ("OW", 8, 2),
        ("OW", 1, 2),
        ("OB", 1, 1),
        ("OW", 16, 2),
        ("OW", 32, 4),
        ("OF", 32, 4),
        ("OD", 64, 8),
    ],
)
def test_words_are_those_of_samples_and_of_the_vr_where_samples_are_bytes(vr: str, allocated: int, word: int) -> None:
    assert pixel_word(vr, allocated) == word
    attributes = {tags.key(tags.PixelData): said(vr), tags.key(tags.BitsAllocated): said("US", allocated)}
    assert pixel_word_of(attributes, uids.EXPLICIT_VR_BIG_ENDIAN) == word
    assert pixel_word_of(attributes, uids.EXPLICIT_VR_LITTLE_ENDIAN) == 1


def test_floating_point_samples_are_turned_without_bits_allocated() -> None:
    value = pack(">f", 1.5)
    word = pixel_word_of({tags.key(tags.FloatPixelData): said("OF")}, uids.EXPLICIT_VR_BIG_ENDIAN)
    [frame] = native_frame(Bytes(BEFORE + value), _table(1, 32), 0, word)
    assert frame == pack("<f", 1.5)
