"""Page: one file that needs nothing, runs nothing and escapes everything."""

from collections.abc import Generator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from leadglass.survey.findings import Exposure
from leadglass.survey.report import charts
from leadglass.survey.report.model import Report
from leadglass.survey.report.page import page, verdict
from leadglass.survey.scope import Vantage
from tests.survey.followed import followed, found
from tests.survey.report.reported import HOSTILE, second_run

_VOID = {"meta", "link", "br", "img", "hr", "input"}


class _Reader(HTMLParser):
    """Reads a page: its elements, its words, and whether it is well formed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def end(self) -> None:
        """Say that it is over."""
        assert self._open == []


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end()
    return reader


@pytest.fixture
def report(tmp_path: Path) -> Generator[Report]:
    """Give the report of a second run."""
    with second_run(tmp_path) as (_, made):
        yield made


def test_a_page_loads_and_runs_nothing(report: Report) -> None:
    text = page(report)
    read = _read(text)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    for _, attributes in read.elements:
        assert not any(name.startswith("on") or name in {"src", "style"} for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text


def test_what_people_wrote_is_shown_as_they_wrote_it(report: Report) -> None:
    read = _read(page(report))
    assert HOSTILE in read.words
    assert "{{ 7*7 }}" in read.words


def test_every_link_in_a_page_leads_to_something_in_it(report: Report) -> None:
    elements = _read(page(report)).elements
    ids = {attributes.get("id") for _, attributes in elements}
    links = {attributes["href"] for _, attributes in elements if attributes.get("href")}
    assert links
    assert {str(each)[1:] for each in links} <= ids


def test_a_page_begins_with_what_management_has_to_know(report: Report) -> None:
    words = " ".join(_read(page(report)).words.split())
    assert words.index("For management") < words.index("For engineers")
    assert "3 of these hosts would have been some of the 590" in words
    assert "inferred from the version, not tried" in words
    assert "Retrieval was not tried." in words
    assert "Known, and not looked at in this run" in words


def test_every_endpoint_and_figure_stands_as_text(report: Report) -> None:
    words = _read(page(report)).words
    for item in (*report.items, *report.absent, *report.unlooked):
        assert item.where in words
    for rung, count in report.ladder.items():
        assert rung.name in words
        assert f"{count}" in words


@pytest.mark.parametrize(
    ("exposure", "said"),
    [
        (Exposure.E1, "turned strangers away"),
        (Exposure.E2, "let a stranger in"),
        (Exposure.E3, "answered questions"),
        (Exposure.E4, "closed today"),
        (Exposure.E5, "closed today"),
    ],
)
def test_the_verdict_follows_the_ladder(tmp_path: Path, exposure: Exposure, said: str) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([found(exposure=exposure)])
    assert said in verdict(kept.report(run))
    kept.state.close()


@pytest.mark.parametrize(("exposed", "said"), [(0, "hosts"), (1, "host"), (2, "hosts")])
def test_one_host_is_no_hosts(report: Report, exposed: int, said: str) -> None:
    ladder = dict.fromkeys(Exposure, 0) | {Exposure.E2: exposed}
    words = " ".join(_read(page(replace(report, ladder=ladder))).words.split())
    assert f"{exposed}{said} open to strangers" in words


def test_a_run_in_which_nothing_answered_is_no_good_news_by_itself(tmp_path: Path) -> None:
    kept = followed(tmp_path, Vantage.INTERNET)
    run, _ = kept.run([], looked=[], stopped=True)
    report = kept.report(run)
    assert "only if the survey could reach" in verdict(report)
    assert "was stopped before its end" in _read(page(report)).words
    kept.state.close()


def test_charts_draw_new_above_and_gone_below() -> None:
    drawn = _read(str(charts.trend("t", [charts.Moment("2026-03-01", 4, 2, 3), charts.Moment("<b>", 0, 0, 0)])))
    rows = {attributes["class"]: attributes for tag, attributes in drawn.elements if tag == "rect"}
    axis = next(int(str(attributes["y1"])) for tag, attributes in drawn.elements if tag == "line")
    first = [attributes for tag, attributes in drawn.elements if tag == "rect"][:3]
    new, back, gone = ((int(str(each["y"])), int(str(each["height"]))) for each in first)
    assert sum(new) == axis
    assert sum(back) == new[0]
    assert gone[0] == axis
    assert (new[1] > gone[1] > back[1], set(rows)) == (True, {"new", "back", "gone"})
    assert "<b>" in drawn.words


def test_charts_of_nothing_are_drawn_too() -> None:
    assert _read(str(charts.bars("t", []))).elements
    assert _read(str(charts.bars("t", [charts.Bar("E0", 0, "e0")]))).elements
    assert _read(str(charts.trend("t", []))).elements
    assert len(_read(str(charts.trend("t", [charts.Moment("d", 1, 0, 0)] * 99))).elements) < 150
