"""Whatever a data set holds, what is made of it for a page is bounded, printable and there."""

import base64
import struct
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom import dictionary
from leadglass.dicom.model import Attributes
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.listing import DEEPEST, MOST_ROWS, listed
from leadglass.doors.pages.study.report import Item, report_of
from leadglass.doors.pages.study.waveform import HEIGHT, WIDTH, curves_of

KEYWORDS = (
    "ContentSequence", "ConceptNameCodeSequence", "ValueType", "TextValue", "MeasuredValueSequence", "NumericValue",
    "MeasurementUnitsCodeSequence", "CodeValue", "CodeMeaning", "ReferencedSOPSequence", "ReferencedSOPInstanceUID",
    "ReferencedFrameNumber", "Date", "DateTime", "PersonName", "PatientName", "PatientAge", "StudyDate", "StudyTime",
    "WaveformSequence", "SamplingFrequency", "NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformData",
    "WaveformBitsAllocated", "WaveformSampleInterpretation", "ChannelDefinitionSequence", "ChannelSensitivity",
    "WaveformPaddingValue", "GraphicData",
)  # fmt: skip
TYPES = ("TEXT", "NUM", "CODE", "CONTAINER", "IMAGE", "DATE", "DATETIME", "PNAME", "SCOORD", "")

_scalars = st.one_of(
    st.none(), st.text(max_size=20), st.integers(-5, 70_000), st.floats(), st.sampled_from(TYPES), st.sampled_from(
        ("SS", "US", "SB", "20240230", "235960", "048Y", "\x1b[0m‮x", "X" * 5_000)
    ), st.dictionaries(st.sampled_from(("Alphabetic", "Ideographic", "Phonetic")), st.text(max_size=10), max_size=3),
)  # fmt: skip


def _element(values: object, keyword: str) -> dict[str, object]:
    tag = int(reading.key_of(keyword), 16)
    return {"vr": dictionary.vr(tag).split(" ")[0], "Value": values}


def _data_sets(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    def one(keyword: str) -> st.SearchStrategy[dict[str, object]]:
        values = st.lists(children if keyword.endswith("Sequence") else _scalars, max_size=4)
        return values.map(lambda chosen: {reading.key_of(keyword): _element(chosen, keyword)})

    def joined(parts: list[dict[str, object]]) -> object:
        return {key: element for part in parts for key, element in part.items()}

    return st.lists(st.sampled_from(KEYWORDS).flatmap(one), max_size=8).map(joined)


def _nothing(offset: int, length: int) -> bytes:
    del offset, length
    return b""


data_sets = st.recursive(st.just(cast("object", {})), _data_sets, max_leaves=20)


def _is_plain(text: str, longest: int) -> bool:
    return len(text) <= longest and all(c.isprintable() or c in "\n‌‍" for c in text)


def _check(items: tuple[Item, ...], depth: int) -> None:
    assert depth <= DEEPEST + 1
    for item in items:
        assert _is_plain(item.name, 500)
        assert _is_plain(item.value, 21_000)
        _check(item.children, depth + 1)


@given(data_sets)
def test_no_report_breaks_its_page(attributes: object) -> None:
    report = report_of(cast("Attributes", attributes), {})
    assert _is_plain(report.title, 500)
    _check(report.items, 0)


@given(data_sets, st.sampled_from(("", "x", "0040", "value")))
def test_no_data_set_breaks_the_table_of_attributes(attributes: object, sought: str) -> None:
    for row in listed(cast("Attributes", attributes), sought).rows:
        assert _is_plain(row.value, 700)
        assert row.depth <= DEEPEST


@given(data_sets, st.floats(0, 1e9))
def test_no_waveform_breaks_its_page(attributes: object, start: float) -> None:
    for group in curves_of(cast("Attributes", attributes), start, lambda _, length: bytes(length), is_big_endian=False):
        assert group.problem or group.lines


def test_a_table_has_an_end_however_much_there_is() -> None:
    item = {reading.key_of("TextValue"): {"vr": "UT", "Value": ["x"]}}
    many = cast("Attributes", {reading.key_of("ContentSequence"): {"vr": "SQ", "Value": [item] * 100_000}})
    found = listed(many)
    assert (len(found.rows), found.is_cut) == (MOST_ROWS, True)
    assert report_of(many, {}).is_cut


def test_sequences_within_sequences_end_somewhere() -> None:
    deep: dict[str, object] = {}
    for _ in range(300):
        deep = {reading.key_of("ContentSequence"): {"vr": "SQ", "Value": [deep]}}
    assert max(row.depth for row in listed(cast("Attributes", deep)).rows) <= DEEPEST
    assert report_of(cast("Attributes", deep), {}).is_cut


def _wave(samples: list[int], *, rate: str = "100", channels: int = 2) -> Attributes:
    data = base64.b64encode(struct.pack(f"<{len(samples)}h", *samples)).decode()
    unit = {"003A0210": {"vr": "DS", "Value": [0.5]}}
    group = {
        reading.key_of("SamplingFrequency"): {"vr": "DS", "Value": [rate]},
        reading.key_of("NumberOfWaveformChannels"): {"vr": "US", "Value": [channels]},
        reading.key_of("NumberOfWaveformSamples"): {"vr": "UL", "Value": [len(samples) // channels]},
        reading.key_of("WaveformBitsAllocated"): {"vr": "US", "Value": [16]},
        reading.key_of("WaveformSampleInterpretation"): {"vr": "CS", "Value": ["SS"]},
        reading.key_of("WaveformData"): {"vr": "OW", "InlineBinary": data},
        reading.key_of("ChannelDefinitionSequence"): {"vr": "SQ", "Value": [unit] * channels},
    }
    return cast("Attributes", {reading.key_of("WaveformSequence"): {"vr": "SQ", "Value": [group]}})


def test_a_curve_is_what_was_recorded() -> None:
    [group] = curves_of(_wave([0, 100, -100, 100, 200, 100]), 0.0, _nothing, is_big_endian=False)
    assert [line.name for line in group.lines] == ["1", "2"]
    assert [(line.low, line.high) for line in group.lines] == [("-50", "100"), ("-50", "100")], "one scale for all"
    assert group.lines[0].path == "M0.0 65.0L500.0 95.0L1000.0 5.0"
    assert (group.rate, group.seconds, group.has_more) == (100.0, 0.03, False)


def test_a_long_recording_is_shown_in_parts_with_no_more_points_than_a_screen_has() -> None:
    samples = [number % 1_000 for number in range(60_000)]
    [group] = curves_of(_wave(samples, rate="1000", channels=1), 20.0, _nothing, is_big_endian=False)
    assert (group.start, group.seconds, group.whole, group.has_more) == (20.0, 10.0, 60.0, True)
    assert group.lines[0].path.count("L") < 4 * WIDTH
    assert all(0 <= float(point.split(" ")[1]) <= HEIGHT for point in group.lines[0].path[1:].split("L"))


@pytest.mark.parametrize("rate", ["0", "-1", "1e300", "1e-300", "inf", "nan", "x", ""])
@pytest.mark.parametrize("channels", [1, 2, 60_000])
def test_a_waveform_that_lies_about_itself_says_why_it_is_not_drawn(rate: str, channels: int) -> None:
    attributes = _wave([1, 2, 3, 4], rate=rate, channels=min(channels, 2))
    group = cast("list[Attributes]", attributes[reading.key_of("WaveformSequence")].get("Value"))[0]
    group[reading.key_of("NumberOfWaveformChannels")] = {"vr": "US", "Value": [channels]}
    group[reading.key_of("NumberOfWaveformSamples")] = {"vr": "UL", "Value": [4_000_000_000]}
    [found] = curves_of(attributes, 5.0, _nothing, is_big_endian=False)
    assert found.problem or found.lines
