from collections.abc import Iterator
from struct import pack

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.dicom import tags, uids
from leadglass.dicom.model import Attributes
from leadglass.dicom.shape import Shape, shape_of
from leadglass.dicom.source import Bytes
from leadglass.dicom.transcode import Transcoder
from leadglass.errors import Full, LeadglassError, Unsupported
from tests.corpus import CorpusFile
from tests.dicom.sets import as_pydicom, element, even, stored

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
ENCODED = sorted(uids.ENCODED)
FILES = (
    "pydicom/CT_small.dcm",
    "pydicom/MR_small_bigendian.dcm",
    "pydicom/SC_rgb_small_odd.dcm",
    "pydicom/SC_rgb_small_odd_big_endian.dcm",
    "pydicom/MR_small_RLE.dcm",
    "pydicom/SC_rgb_dcmtk_+eb+cr.dcm",
    "pydicom-data/SC_rgb_expb_16bit.dcm",
    "synthetic/transfer_syntaxes/J2KR_rgb_3frames.dcm",
    "pydicom/SC_rgb_rle_16bit_2frame.dcm",
    "cornerstone3D/TestPattern_RGB.dcm",
)


@pytest.fixture(scope="module")
def transcoder() -> Iterator[Transcoder]:
    made = Transcoder(deadline=60)
    yield made
    made.close()


def _rows(manifest: tuple[CorpusFile, ...]) -> list[CorpusFile]:
    rows = [row for row in manifest if row.name in FILES]
    assert len(rows) >= 8
    return rows


@pytest.mark.parametrize("syntax", ENCODED)
def test_what_is_compressed_comes_back_bit_by_bit_and_as_pydicom_reads_it(
    syntax: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    for row in _rows(manifest):
        file = stored(row)
        made = transcoder.transcode(file.source, file.syntax, syntax)
        plain = transcoder.transcode(file.source, file.syntax, EXPLICIT)
        again = transcoder.transcode(Bytes(made), syntax, EXPLICIT)
        expected, found = as_pydicom(plain, EXPLICIT), as_pydicom(again, EXPLICIT)
        assert np.array_equal(found.pixel_array, expected.pixel_array), row.name
        if syntax != uids.HTJ2K_LOSSLESS and "16bit" not in row.name:  # pydicom has no decoder for those
            strange = as_pydicom(made, syntax)
            assert np.array_equal(strange.pixel_array, expected.pixel_array), row.name
        for name in ("PixelData", "PlanarConfiguration"):
            if name in expected:
                del expected[name]
            if name in found:
                del found[name]
        assert found.to_json_dict() == expected.to_json_dict(), row.name


def _big_endian(pixels: bytes, frames: int, rows: int, columns: int, samples: int) -> bytes:
    """Write an image whose bytes lie in words of Big Endian."""
    numbers = (
        (tags.SamplesPerPixel, "US", pack(">H", samples)),
        (tags.PhotometricInterpretation, "CS", b"RGB " if samples == 3 else b"MONOCHROME2 "),
        *([(tags.PlanarConfiguration, "US", pack(">H", 0))] if samples == 3 else []),
        (tags.NumberOfFrames, "IS", even(str(frames))),
        (tags.Rows, "US", pack(">H", rows)),
        (tags.Columns, "US", pack(">H", columns)),
        (tags.BitsAllocated, "US", pack(">H", 8)),
        (tags.BitsStored, "US", pack(">H", 8)),
        (tags.HighBit, "US", pack(">H", 7)),
        (tags.PixelRepresentation, "US", pack(">H", 0)),
    )
    padded = pixels + bytes(len(pixels) % 2)
    turned = np.frombuffer(padded, dtype="<u2").astype(">u2").tobytes()
    return b"".join(element(tag, vr, value, order=">") for tag, vr, value in (*numbers, (tags.PixelData, "OW", turned)))


@pytest.mark.parametrize("syntax", ENCODED)
@pytest.mark.parametrize("samples", [1, 3])
def test_bytes_that_lie_in_words_of_big_endian_are_compressed_in_their_order(
    syntax: str, samples: int, transcoder: Transcoder
) -> None:
    """Of frames of an odd length every other one begins inside a word, and the last one ends there."""
    shape = (3, 3, 3) if samples == 1 else (3, 3, 3, 3)
    truth = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 3
    source = Bytes(_big_endian(truth.tobytes(), 3, 3, 3, samples))
    made = transcoder.transcode(source, uids.EXPLICIT_VR_BIG_ENDIAN, syntax)
    again = as_pydicom(transcoder.transcode(Bytes(made), syntax, EXPLICIT), EXPLICIT)
    assert np.array_equal(again.pixel_array, truth)
    if syntax != uids.HTJ2K_LOSSLESS:  # pydicom has no decoder for it
        assert np.array_equal(as_pydicom(made, syntax).pixel_array, truth)


def test_a_big_endian_file_is_compressed_to_the_pixels_of_its_little_endian_twin(
    manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    compared = 0
    for row in manifest:
        if row.name not in ("pydicom/SC_rgb_small_odd_big_endian.dcm", "pydicom/rtdose_expb.dcm"):
            continue
        twin = next(each for each in manifest if each.name == row.name.replace("_big_endian", "").replace("_expb", ""))
        truth, file = stored(twin), stored(row)
        expected = as_pydicom(truth.body, truth.syntax).pixel_array
        made = transcoder.transcode(file.source, file.syntax, uids.RLE_LOSSLESS)
        assert np.array_equal(as_pydicom(made, uids.RLE_LOSSLESS).pixel_array, expected), row.name
        compared += 1
    assert compared == 2


shapes = st.builds(
    Shape,
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    samples=st.sampled_from([1, 3]),
    allocated=st.sampled_from([8, 16]),
    stored=st.integers(1, 16),
    is_signed=st.booleans(),
    photometric=st.just("MONOCHROME2"),
).map(
    lambda shape: Shape(
        shape.rows,
        shape.columns,
        shape.samples,
        shape.allocated,
        min(shape.stored, shape.allocated),
        shape.is_signed,
        "RGB" if shape.samples == 3 else "MONOCHROME2",
    )
)


@given(shapes, st.sampled_from(ENCODED), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frame_is_encoded_without_loss_or_refused(
    transcoder: Transcoder, shape: Shape, syntax: str, random: "np.random.Generator", is_flat: bool
) -> None:
    length = shape.decoded_bytes
    frame = bytes(length) if is_flat else bytes(random.getrandbits(8) for _ in range(length))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    try:
        encoded = transcoder.encode_frame(frame, EXPLICIT, syntax, shape)
    except Unsupported:
        return
    assert len(encoded) % 2 == 0
    assert transcoder.decode_frame(encoded, syntax, shape).data == frame


def _words(shape: Shape, random: "np.random.Generator") -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Give samples of as many bits as are stored."""
    low = -(1 << shape.stored - 1) if shape.is_signed else 0
    count = shape.rows * shape.columns * shape.samples
    return np.array([random.randrange(low, low + (1 << shape.stored)) for _ in range(count)])  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]


@given(shapes, st.sampled_from(ENCODED), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_samples_that_are_continued_by_their_sign_are_never_refused(
    transcoder: Transcoder, shape: Shape, syntax: str, random: "np.random.Generator"
) -> None:
    frame = _words(shape, random).astype(f"<i{shape.allocated // 8}").tobytes()
    encoded = transcoder.encode_frame(frame, EXPLICIT, syntax, shape)
    assert transcoder.decode_frame(encoded, syntax, shape).data == frame


@pytest.mark.parametrize("name", ["pydicom-data/mlut_18.dcm", "dcm4che/ovly_p01.dcm"])
def test_bits_that_belong_to_no_sample_are_kept_by_rle_and_refused_by_all_else(
    name: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    """The sign of one is not continued above High Bit, and the other has an overlay there."""
    [file] = [stored(row) for row in manifest if row.name == name]
    for syntax in ENCODED:
        if syntax == uids.RLE_LOSSLESS:
            made = transcoder.transcode(file.source, file.syntax, syntax)
            expected = as_pydicom(file.body, file.syntax).pixel_array
            assert np.array_equal(as_pydicom(made, syntax).pixel_array, expected)
        else:
            with pytest.raises(Unsupported, match="RLE"):
                transcoder.transcode(file.source, file.syntax, syntax)


@pytest.mark.parametrize(
    ("word", "is_signed", "high_bit", "is_exact"),
    [
        (0x0FFF, False, None, True),
        (0x8000, False, None, False),
        (0x1000, False, None, False),
        (0xFFFF, True, None, True),
        (0x07FF, True, None, True),
        (0x0FFF, True, None, False),
        (0x0800, True, None, False),
        (0x0FF0, False, 15, False),
    ],
)
def test_what_a_reader_would_take_for_another_value_is_kept_by_rle_only(
    transcoder: Transcoder, word: int, high_bit: int | None, *, is_signed: bool, is_exact: bool
) -> None:
    shape = Shape(4, 4, 1, 16, 12, is_signed, "MONOCHROME2", high_bit)
    frame = np.full(16, word, dtype="<u2").tobytes()
    for syntax in ENCODED:
        if is_exact or syntax == uids.RLE_LOSSLESS:
            encoded = transcoder.encode_frame(frame, EXPLICIT, syntax, shape)
            assert transcoder.decode_frame(encoded, syntax, shape).data == frame
        else:
            with pytest.raises(Unsupported):
                transcoder.encode_frame(frame, EXPLICIT, syntax, shape)


@pytest.mark.parametrize(("said", "known"), [(11, None), (15, 15), (16, None), (0, None), (None, None)])
def test_high_bit_is_known_where_it_is_not_the_usual_one(said: int | None, known: int | None) -> None:
    numbers = {tags.Rows: 4, tags.Columns: 4, tags.BitsAllocated: 16, tags.BitsStored: 12, tags.HighBit: said}
    attributes: Attributes = {
        tags.key(tag): {"vr": "US", "Value": [value]} for tag, value in numbers.items() if value is not None
    }
    assert shape_of(attributes).high_bit == known


@pytest.mark.parametrize("syntax", ENCODED)
def test_a_common_frame_is_not_refused(transcoder: Transcoder, syntax: str) -> None:
    frame = np.arange(64 * 64, dtype="<u2").tobytes()
    shape = Shape(64, 64, 1, 16, 12, is_signed=False, photometric="MONOCHROME2")
    assert transcoder.encode_frame(frame, EXPLICIT, syntax, shape)
    signed = np.arange(-2048, 2048, dtype="<i2").tobytes()
    assert transcoder.encode_frame(
        signed, EXPLICIT, syntax, Shape(64, 64, 1, 16, 12, is_signed=True, photometric="MONOCHROME2")
    )


def test_color_by_plane_is_turned_into_color_by_pixel(transcoder: Transcoder) -> None:
    shape = Shape(2, 2, 3, 8, 8, is_signed=False, photometric="RGB")
    encoded = transcoder.encode_frame(b"rrrrggggbbbb", EXPLICIT, uids.RLE_LOSSLESS, shape, is_by_plane=True)
    assert transcoder.decode_frame(encoded, uids.RLE_LOSSLESS, shape).data == b"rgb" * 4


def test_a_frame_larger_than_the_limit_is_refused_before_a_worker_hears_of_it(transcoder: Transcoder) -> None:
    shape = Shape(100_000, 100_000, 1, 16, 16, is_signed=False, photometric="MONOCHROME2")
    with pytest.raises(Full):
        transcoder.decode_frame(b"\xff\xd8", uids.JPEG_BASELINE, shape)
    with pytest.raises(Full):
        transcoder.encode_frame(b"\xff\xd8", uids.JPEG_BASELINE, uids.RLE_LOSSLESS, shape)


@pytest.mark.parametrize("syntax", ENCODED)
def test_what_there_is_nothing_to_encode_of_is_refused(
    syntax: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    row = next(
        row for row in manifest if row.sop_class_uid.startswith("1.2.840.10008.5.1.4.1.1.88") and row.kind == "real"
    )
    file = stored(row)
    assert transcoder.can_encode(file.syntax, syntax)
    with pytest.raises(LeadglassError):
        transcoder.transcode(file.source, file.syntax, syntax)
