"""Print: a report on paper, by a real browser: pages with a header, nothing cut at the right, dark screens or not."""

import re
from collections.abc import Generator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.entries import Asset
from leadglass.survey.findings import Exposure
from leadglass.survey.report import model
from leadglass.survey.report.model import Place
from leadglass.survey.report.page import page
from tests.peers.browser import chromium
from tests.survey.followed import STRANGERS, followed, found

A4_WITHIN_MARGINS = 672
"""Pixels of 1/96 inch: 210 mm, less 16 mm at each side."""

_TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(each => each.getBoundingClientRect().right > window.innerWidth + 1 || each.scrollWidth > each.clientWidth + 1
    && each.clientWidth && !each.closest('svg') && getComputedStyle(each).display !== 'inline')
  .map(each => each.outerHTML.slice(0, 120))"""

_PAGE = re.compile(rb"/Type\s*/Page\b")
_OWNER = 'Clinic "\\</style><script>alert(1)</script> } @page'


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Give a browser."""
    with chromium() as running:
        yield running


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Write a report with many findings, and names without a place to break."""
    kept = followed(tmp_path)
    many = [found(f"192.0.2.{number}", 4242, STRANGERS, Exposure.E2) for number in range(1, 40)]
    run, _ = kept.run([*many, found("192.0.2.200", proof={"answer": "P" * 300}), found("2001:db8::" + "f" * 4)])
    kept.register.assign(Asset(ip_network("192.0.2.0/27"), 0, "U" * 200, "W" * 200, "C" * 200))
    kept.state.connection.execute("UPDATE run SET owner = ?", (_OWNER,))
    made = model.build(
        kept.state, kept.register, kept.state.run(run.id), CHECKS, made=datetime(2026, 3, 1, 12, tzinfo=UTC),
        version="0", places=lambda _: Place("Y" * 80, "Z" * 80),
    )  # fmt: skip
    kept.state.close()
    file = tmp_path / "report.html"
    file.write_text(page(made), encoding="utf-8")
    return file


def test_a_report_prints_on_pages_with_nothing_cut_at_the_right(browser: Browser, report: Path) -> None:
    tab = browser.new_page(viewport={"width": A4_WITHIN_MARGINS, "height": 900}, color_scheme="dark")
    tab.goto(report.as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate(_TOO_WIDE) == []
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = tab.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF-")
    assert 10 <= len(_PAGE.findall(printed)) <= 60
    tab.close()


def test_each_page_says_whose_it_is_and_no_name_ends_the_style(browser: Browser, report: Path) -> None:
    tab = browser.new_page()
    console: list[str] = []
    tab.on("console", lambda message: console.append(message.text))
    tab.goto(report.as_uri())
    rules = tab.evaluate(
        "[...document.styleSheets[0].cssRules].filter(each => each instanceof CSSPageRule).map(each => each.cssText)"
    )
    assert len(rules) == 1
    said = str(rules[0])
    for part in ("@top-left", "@top-right", "@bottom-left", "counter(page)", "Survey 1, 20", "Clinic"):
        assert part in said
    assert tab.evaluate("document.scripts.length") == 0
    assert console == []
    tab.close()


def test_a_report_on_a_telephone_does_not_scroll_sideways(browser: Browser, report: Path) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(report.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tab.close()
