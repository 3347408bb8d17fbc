import itertools
from pathlib import Path
from xml.etree import ElementTree as ET

from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType]

from benchmarks import plot
from benchmarks.growth import STORED, Cost, growth, markdown, picture, write_slices
from benchmarks.made_up import study

SIZES = (1_000, 10_000, 100_000)


def cost(name: str, *repetitions: tuple[float, float, float]) -> Cost:
    made = Cost(name)
    for repetition in repetitions:
        for size, seconds in zip(SIZES, repetition, strict=True):
            made.add(size, seconds, seconds)
    return made


def test_growth_is_the_median_of_each_repetitions_own_ratio() -> None:
    # The machine was three times as slow in the second repetition, which says nothing of growth.
    assert growth(cost("C-STORE", (1, 1, 1.1), (3, 3, 3.3), (1, 1, 1.0)).cpu) == 1.1


def test_the_table_says_whether_storing_keeps_its_limit() -> None:
    assert "x 1.10, met" in markdown([cost("C-STORE, 12 kB", (1, 1, 1.1))], SIZES, "")
    assert "x 1.30, not met" in markdown([cost("C-STORE, 12 kB", (1, 1, 1.3))], SIZES, "")


def test_the_picture_names_every_line_and_axis() -> None:
    drawn = picture([cost("one & two", (1, 2, 3)), cost("three", (0.001, 0.001, 0.002))], SIZES, "a machine")
    said = [each.text or "" for each in ET.fromstring(drawn).iter() if each.tag.endswith("text")]  # noqa: S314
    for wanted in ("one & two: 3,000.00", "three: 2.00", "1,000", "100,000", "a machine"):
        assert wanted in said
    assert sum("ms" in each for each in said) == 1


def test_labels_keep_apart_and_inside_of_their_panel() -> None:
    placed = plot._apart([(90.0, name) for name in "abcd"], 100.0)  # pyright: ignore[reportPrivateUsage]
    heights = sorted(placed.values())
    assert all(below - above >= 16 for above, below in itertools.pairwise(heights))
    assert heights[-1] <= 100


def test_slices_to_send_are_in_as_many_new_studies_as_asked_for(tmp_path: Path) -> None:
    first = write_slices(tmp_path / "few", 3, studies=3)
    read = [dcmread(path) for path in sorted((tmp_path / "few").iterdir())]
    assert len({str(each.SOPInstanceUID) for each in read}) == STORED
    assert sum(str(each.StudyInstanceUID) == first for each in read) == STORED // 3
    assert first not in {study(number).uid for number in range(1_000)}
    assert all(len(each.PixelData) == each.Rows * each.Columns * 2 for each in read)
