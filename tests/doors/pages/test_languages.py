"""Texts are ready for translation: every word of a template is marked, and a catalogue changes what is shown."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from leadglass import languages
from leadglass.doors.pages import page
from tests.corpus import ROOT
from tests.tongues import PSEUDO, bracketed, speaking

PAGES = ROOT / "src" / "leadglass" / "doors" / "pages"
TEMPLATES = sorted((PAGES / "templates").rglob("*.html"))
NAMES = {"Leadglass", "· Leadglass", "DICOM", "FHIR", "CSV", "JSON", "UTC", "j.doe, CT1"}
"""What is the same in every language."""

_MARKED = re.compile(r"\{% trans .*?%\}.*?\{% endtrans %\}|\{% trans %\}.*?\{% endtrans %\}", re.DOTALL)
_ATTRIBUTES = re.compile(r"\{% block main_attributes %\}.*?\{% endblock %\}")
_CODE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_VERBATIM = re.compile(r"<(code|kbd|samp|style)\b.*?</\1>", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]{3}")
_MACHINES = re.compile(r"[=/_]|-----")
"""Addresses, commands and attributes, as no sentence has them."""
_SPOKEN = re.compile(r'\s(?:aria-label|placeholder|title|alt)="([^"]*)"')


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.relative_to(PAGES / "templates").as_posix())
def test_every_word_of_a_template_is_marked_for_translation(template: Path) -> None:
    text = _CODE.sub("", _ATTRIBUTES.sub("", _MARKED.sub("", template.read_text(encoding="utf-8"))))
    text = _VERBATIM.sub("", text)
    spoken = _SPOKEN.findall(text)
    shown = re.sub(r"<[^>]*>", "\n", text).split("\n")
    words = {each.strip() for each in (*spoken, *shown)}
    assert {each for each in words if _WORDS.search(each) and not _MACHINES.search(each)} - NAMES == set()


def test_a_catalogue_made_from_the_gathered_texts_is_what_pages_speak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (ROOT / "src" / "leadglass" / "locale" / "leadglass.pot").open("rb") as file:
        catalogue = read_po(file, locale="de")
    catalogue["Studies"].string = "Untersuchungen"
    kept = tmp_path / "locale" / "de" / "LC_MESSAGES" / "leadglass.mo"
    kept.parent.mkdir(parents=True)
    made = io.BytesIO()
    write_mo(made, catalogue)
    kept.write_bytes(made.getvalue())

    def files(_: str) -> Path:
        return tmp_path

    monkeypatch.setattr(languages, "files", files)
    for cached in (languages.known, languages.texts):
        monkeypatch.setattr(languages, cached.__name__, cached.__wrapped__)
    assert languages.wanted("fr, de-AT;q=0.8") == "de"
    assert languages.texts("de").gettext("Studies") == "Untersuchungen"
    assert languages.texts("de").gettext("Sign out") == "Sign out"


def test_what_was_wrong_is_said_in_the_language_and_never_taken_for_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking(tmp_path, monkeypatch)
    pages = page.environment.__wrapped__(PSEUDO)
    alert = pages.from_string("{% from 'parts.html' import alert %}{{ alert(text) }}")
    for text in ("That is not your password.", "Give the last day as in 2027-06-30.", "There is no such session."):
        assert bracketed(text) in alert.render(text=text)
    put_together = "A <b>name</b> of 100 %s and %(this)s characters."
    assert "A &lt;b&gt;name&lt;/b&gt; of 100 %s and %(this)s characters." in alert.render(text=put_together)
    assert alert.render(text="").strip() == ""
    fault = pages.get_template("fault.html")
    said = {"caller": None, "csrf": "", "menu": (), "here": "/", "language": PSEUDO}
    shown = fault.render(title="There is nothing here", detail="There is no such token.", **said)
    assert f"<h1>{bracketed('There is nothing here')}</h1>" in shown
    assert bracketed("There is no such token.") in shown
