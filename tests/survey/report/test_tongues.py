"""Reports and letters in a language that nobody speaks: every word of ours is one that a translator was given."""

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from ipaddress import ip_network
from pathlib import Path

import pytest

from leadglass import languages
from leadglass.survey import letters
from leadglass.survey.entries import Asset
from leadglass.survey.report.page import page
from tests.survey.followed import followed, found
from tests.survey.report.reported import HOSTILE, second_run
from tests.tongues import PSEUDO, speaking, unmarked

DAY = date(2026, 3, 1)

_SAME = re.compile(
    r"It answers anybody's questions\.|Retrieval was not tried\.|the head of IT|\b[0-9a-f]{16,20}\b|\d[\d.:/-]*"
    r"|\bE[0-5]\b|PS3\.15 B\.12|\bUTC\b|CVSS 4\.0|\bClinic\b|\bstatus\b"
)
"""Numbers, addresses, ids, rungs, standards, what the operator wrote, names of proofs, and what these tests found."""


class _Reader(HTMLParser):
    """Reads what is shown, but for what is meant for machines and what people wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self._kept: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_ours = tag not in {"style", "pre"} and given.get("class") not in {"what", "vector"}
        self.shown += [str(given[name]) for name in ("aria-label", "title") if given.get(name)]
        if tag not in {"meta", "br"}:
            self._kept.append(is_ours)

    def handle_endtag(self, tag: str) -> None:
        self._kept.pop()

    def handle_data(self, data: str) -> None:
        if all(self._kept):
            self.shown.append(data)


def _left(text: str) -> set[str]:
    """Give the words that no catalogue gave, and that are ours."""
    text = unmarked(text.replace(HOSTILE, " "))
    return set(re.findall(r"[^\W\d_]{3,}", _SAME.sub(" ", text)))


def test_every_word_of_a_report_is_one_that_a_translator_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(tmp_path, monkeypatch)
    with second_run(tmp_path / "kept") as (kept, report):
        reader = _Reader()
        reader.feed(page(report, PSEUDO))
        assert [each for each in reader.shown if _left(each)] == []
        assert '<html lang="qps">' in page(report, PSEUDO)
        stopped, _ = kept.run([], looked=(), stopped=True, untested=("dicom-query",), checks=())
        reader = _Reader()
        reader.feed(page(kept.report(stopped), PSEUDO))
        assert [each for each in reader.shown if _left(each)] == []


def test_every_word_of_a_letter_is_one_that_a_translator_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(tmp_path, monkeypatch)
    kept = followed(tmp_path)
    kept.run([found(), found("192.0.2.11"), found("192.0.2.12"), found("192.0.2.13")])
    kept.register.assign(Asset(ip_network("192.0.2.0/28"), 0, "", HOSTILE, ""))
    kept.register.told("192.0.2.10", "me", "", DAY)
    kept.register.fixed("192.0.2.11", "me", "", DAY)
    kept.run([], looked=[("192.0.2.12", 104)])
    kept.run([found("192.0.2.12")], looked=())
    entries, register = letters.owed_to(kept.register, HOSTILE, "internal"), kept.register
    values = {kept.scope.contact: " ", kept.scope.authorised_by: " "}
    for day in (DAY, DAY + timedelta(days=7)):
        said = letters.letter(
            kept.scope, entries, register.found(entries), register.notices(), HOSTILE, day, language=PSEUDO
        ).text
        for value, nothing in values.items():
            said = said.replace(value, nothing)
        assert _left(said) == set()
    kept.state.close()


def test_a_placeholder_that_a_translation_moves_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(text: str) -> str:
        return f"{' '.join(re.findall(r'{[a-z_]+}', text))} {re.sub(r'{[a-z_]+}', '', text)}"

    speaking(tmp_path, monkeypatch, "xx", moved)
    kept = followed(tmp_path)
    kept.run([found()])
    kept.register.assign(Asset(ip_network("192.0.2.0/28"), 0, "", "Radiology IT", ""))
    entries = letters.owed_to(kept.register, "Radiology IT", "internal")
    said = letters.letter(kept.scope, entries, kept.register.found(entries), {}, "Radiology IT", DAY, language="xx-YY")
    assert said.body.startswith("Radiology IT To ,")
    kept.state.close()


def test_a_tag_is_found_by_its_language_and_else_is_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speaking(tmp_path, monkeypatch, "pt_BR")
    assert [languages.chosen(each) for each in ("pt-br", "PT_BR", "pt", "de", "", "../../etc")] == [
        "pt_BR", "pt_BR", "en", "en", "en", "en",
    ]  # fmt: skip
