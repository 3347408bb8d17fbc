import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from leadglass.dicom import tags, uids
from leadglass.dicom.frame_scan import first_value
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.inflate import plain
from leadglass.dicom.ingest import describe
from leadglass.dicom.source import ReadAt
from leadglass.errors import Corrupt, NotHere, Unsupported
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, as_pydicom, stored
from tests.dicom.test_ingest import CANNOT_SAY_WHO


def _frame(source: ReadAt, table: FrameTable, index: int) -> bytes:
    return b"".join(source.read_at(offset, length) for offset, length in table.parts(index))


def _bits(frame: bytes, skip: int, count: int) -> str:
    bits = "".join(f"{byte:08b}"[::-1] for byte in frame)
    return bits[skip : skip + count]


def test_frames_of_every_good_file_are_those_that_pydicom_finds(
    manifest: tuple[CorpusFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    compared = 0
    for row in manifest:
        if row.is_malformed or row.name in CANNOT_SAY_WHO or row.tier == "series":
            continue
        file = stored(row)
        said = describe(file.source, file.syntax, LIMITS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data_set = as_pydicom(file.body, file.syntax)
            name = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in data_set), None)
            if name is None:
                assert said.frames is None, row.name
                continue
            pixels: bytes = data_set[name].value
            assert said.frames is not None, (row.name, said.warnings)
            table = FrameTable.from_bytes(said.frames.to_bytes())
            assert table == said.frames
            source = plain(file.source, file.syntax, LIMITS)
            count = table.number_of_frames
            if table.layout is Layout.NATIVE:
                theirs = [
                    pixels[at * table.frame_bits // 8 : -(-(at + 1) * table.frame_bits // 8)] for at in range(count)
                ]
            else:
                theirs = _pydicom_frames(data_set, pixels, 1 if table.layout is Layout.STREAM else count)
        if table.layout is Layout.STREAM:
            assert _frame(source, table, 0) == b"".join(theirs), row.name
        else:
            assert len(theirs) == count, row.name
            for index in range(count):
                assert _frame(source, table, index) == theirs[index], (row.name, index)
        assert count == row.frames, row.name
        compared += 1
    assert compared > 250


def _pydicom_frames(data_set: Dataset, pixels: bytes, count: int) -> list[bytes]:
    if "ExtendedOffsetTable" in data_set:
        tables = (data_set["ExtendedOffsetTable"].value, data_set["ExtendedOffsetTableLengths"].value)
        return list(generate_frames(pixels, number_of_frames=count, extended_offsets=tables))
    return list(generate_frames(pixels, number_of_frames=count))


def test_bits_packed_across_frames_are_found_by_their_bit(manifest: tuple[CorpusFile, ...]) -> None:
    row = next(row for row in manifest if row.name == "pydicom-data/liver_nonbyte_aligned.dcm")
    file = stored(row)
    said = describe(file.source, file.syntax, LIMITS)
    assert said.frames is not None
    pixels = as_pydicom(file.body, file.syntax)["PixelData"].value
    count = first_value(said.attributes, tags.Rows) * first_value(said.attributes, tags.Columns)
    whole = _bits(pixels, 0, 3 * count)
    for index in range(3):
        frame = _frame(file.source, said.frames, index)
        assert _bits(frame, said.frames.bit_offset(index), count) == whole[index * count : (index + 1) * count]
    assert said.frames.bit_offset(1) == count % 8 == 4


def test_there_is_no_frame_beyond_the_last() -> None:
    table = FrameTable(2, Layout.NATIVE, start=100, frame_bits=80)
    assert table.parts(0) == [(100, 10)]
    assert table.parts(1) == [(110, 10)]
    for index in (-1, 2):
        with pytest.raises(NotHere):
            table.parts(index)


def test_the_frames_of_a_video_are_given_as_one() -> None:
    table = FrameTable(25, Layout.STREAM, spans=((10, 5), (23, 7)))
    assert table.parts(0) == [(10, 5), (23, 7)]
    with pytest.raises(Unsupported):
        table.parts(1)


SPANS = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 32)), min_size=1, max_size=20).map(tuple)


@given(SPANS, st.data())
def test_the_compact_form_is_the_table(spans: tuple[tuple[int, int], ...], data: st.DataObject) -> None:
    firsts = data.draw(st.lists(st.integers(0, len(spans) - 1), unique=True, min_size=1).map(sorted))
    table = FrameTable(len(firsts), Layout.FRAGMENTS, spans=spans, firsts=tuple(firsts))
    assert FrameTable.from_bytes(table.to_bytes()) == table


@given(st.binary(max_size=60))
def test_a_damaged_table_is_known_as_such(data: bytes) -> None:
    try:
        FrameTable.from_bytes(data)
    except Corrupt:
        return


def test_a_table_is_small() -> None:
    spans = tuple((8 + 5000 * index, 4992) for index in range(1000))
    table = FrameTable(1000, Layout.FRAGMENTS, spans=spans, firsts=tuple(range(1000)))
    assert len(table.to_bytes()) < 5000


def test_every_layout_occurs_in_the_corpus(manifest: tuple[CorpusFile, ...]) -> None:
    """The comparison above would not notice a way of finding frames that nothing takes."""
    names = {row.name for row in manifest}
    assert "synthetic/transfer_syntaxes/extended_offset_table.dcm" in names
    row = next(row for row in manifest if row.name == "synthetic/transfer_syntaxes/extended_offset_table.dcm")
    file = stored(row)
    said = describe(file.source, file.syntax, LIMITS)
    assert said.warnings == ()
    assert said.frames is not None
    assert {each.transfer_syntax_uid for each in manifest} & uids.VIDEO


@pytest.mark.parametrize(
    "table",
    [
        FrameTable(4, Layout.NATIVE, frame_bits=12),
        FrameTable(3, Layout.FRAGMENTS, spans=tuple((at, 1) for at in range(9)), firsts=(0, 1, 6)),
    ],
)
def test_how_many_parts_a_frame_has_is_known_without_them(table: FrameTable) -> None:
    for index in range(table.number_of_frames):
        assert table.count_of(index) == len(table.parts(index))
    video = FrameTable(100, Layout.STREAM, spans=((0, 1), (9, 1)))
    assert video.count_of(0) == len(video.parts(0)) == 2
