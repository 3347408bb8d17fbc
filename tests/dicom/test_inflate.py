import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.dicom import tags, uids
from leadglass.dicom.inflate import inflate
from leadglass.dicom.ingest import describe
from leadglass.dicom.limits import Limits
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput
from tests.dicom.sets import LIMITS, element
from tests.dicom.test_ingest import UIDS

SMALL = replace(LIMITS, inflation_free=1000, inflation_ratio=2000)


def _deflated(data: bytes, window_bits: int = -15) -> bytes:
    deflater = zlib.compressobj(wbits=window_bits)
    return deflater.compress(data) + deflater.flush()


DATA = bytes(range(256)) * 4000


@pytest.mark.parametrize("window_bits", [-15, 15])
@pytest.mark.parametrize("limits", [LIMITS, SMALL])
@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_what_was_deflated_is_read_whole(window_bits: int, limits: Limits, padding: bytes) -> None:
    inflated = inflate(Bytes(_deflated(DATA, window_bits) + padding), limits)
    assert inflated.size == len(DATA)
    assert inflated.read_at(0, len(DATA)) == DATA


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 300_000)), max_size=6))
def test_a_large_one_is_read_at_any_place_forward_and_back(reads: list[tuple[int, int]]) -> None:
    inflated = inflate(Bytes(_deflated(DATA)), SMALL)
    for offset, length in reads:
        assert inflated.read_at(offset, length) == DATA[offset : offset + length]


def test_pixels_of_a_large_deflated_data_set_are_found() -> None:
    pixels = bytes(range(256)) * 1000
    data = UIDS + b"".join(
        (
            element(tags.SamplesPerPixel, "US", b"\1\0"),
            element(tags.NumberOfFrames, "IS", b"4 "),
            element(tags.Rows, "US", b"\x00\x01"),
            element(tags.Columns, "US", (250).to_bytes(2, "little")),
            element(tags.BitsAllocated, "US", b"\x08\0"),
            element(tags.PixelData, "OB", pixels),
        )
    )
    deflated = Bytes(_deflated(data))
    said = describe(deflated, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, SMALL)
    assert said.frames is not None
    assert said.frames.is_inflated
    inflated = inflate(deflated, SMALL)
    ((offset, length),) = said.frames.parts(2)
    assert inflated.read_at(offset, length) == pixels[2 * 64_000 : 3 * 64_000]


def test_what_is_damaged_or_cut_off_is_refused() -> None:
    whole = _deflated(DATA)
    with pytest.raises(BadInput, match="cut off"):
        inflate(Bytes(whole[:-20]), LIMITS)
    with pytest.raises(BadInput, match="damaged"):
        inflate(Bytes(b"\xff" * 100), LIMITS)
    with pytest.raises(BadInput):
        inflate(Bytes(b""), LIMITS)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_inflated(data: bytes) -> None:
    try:
        inflated = inflate(Bytes(data), LIMITS)
    except BadInput:
        return
    assert inflated.size <= LIMITS.inflation_free
