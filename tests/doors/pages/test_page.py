"""What holds for every page: nothing runs or loads but our own files, and everybody can read it."""

import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest

from leadglass.doors.pages.page import PAGE_POLICY, environment
from leadglass.doors.pages.statics import TYPES, names
from tests.doors.pages.browser import Browser
from tests.peers.web import Web

PACKAGE = files("leadglass.doors.pages")
ROOT = Path(str(PACKAGE.joinpath("templates")))
TEMPLATES = sorted(str(each.relative_to(ROOT)) for each in ROOT.rglob("*.html"))
STYLE = PACKAGE.joinpath("static", "leadglass.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_has_a_script_a_style_or_an_event_inside_or_turns_escaping_off(name: str) -> None:
    text = PACKAGE.joinpath("templates", name).read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text, re.IGNORECASE)
    assert not re.search(r"\|\s*safe|autoescape|Markup", text)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), "nothing is loaded from elsewhere"
    for form in re.findall(r"<form.*?</form>", text, re.DOTALL):
        assert 'method="post"' in form


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_field_of_every_form_has_a_label(name: str) -> None:
    text = PACKAGE.joinpath("templates", name).read_text(encoding="utf-8")
    labelled = set(re.findall(r'<label for="([^"]+)"', text))
    for field in re.findall(r"<(?:input|textarea|select)\s[^>]*>", text):
        if not re.search(r'type="hidden"|\shidden\b', field):
            found = re.search(r'\sid="([^"]+)"', field)
            assert found, field
            assert found[1] in labelled, field


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


LIGHT, DARK = (_colours(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))

READ_ON = [
    *product(("ink", "quiet", "main"), ("paper", "card")),
    ("main-ink", "main"),
    ("main-ink", "main-dark"),
    ("bad", "card"),
    ("bad", "bad-paper"),
    ("good", "good-paper"),
]


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("colours", "pair"), list(product((LIGHT, DARK), READ_ON)))
def test_text_stands_out_from_its_ground_by_wcag_aa(colours: dict[str, str], pair: tuple[str, str]) -> None:
    assert _contrast(colours[pair[0]], colours[pair[1]]) >= 4.5


@pytest.mark.parametrize(("colours", "edge"), list(product((LIGHT, DARK), ("edge", "focus"))))
def test_edges_of_fields_and_the_focus_stand_out_too(colours: dict[str, str], edge: str) -> None:
    assert _contrast(colours[edge], colours["card"]) >= 3.0
    assert _contrast(colours[edge], colours["paper"]) >= 3.0


def test_pages_let_nothing_run_or_load_but_our_own_files_and_are_kept_by_nobody(web: Web) -> None:
    with Browser(web) as browser:
        for path in ("/sign-in", "/set-up", "/sign-in/link", "/account"):
            answer = browser.get(path)
            assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
            assert "unsafe" not in PAGE_POLICY
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            for asked in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
                assert browser.client.get(asked).status_code == 200


@pytest.mark.parametrize("name", names())
def test_our_own_files_are_served_with_their_type_and_asked_for_anew(web: Web, name: str) -> None:
    with web.client() as client:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == TYPES[Path(name).suffix]
        again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/", "/static/../pages.py", "/static/pages.py", "/static/..%2fpages.py"])
def test_no_other_file_is_served(web: Web, path: str) -> None:
    with web.client() as client:
        assert client.get(path).status_code in {400, 401, 404}


def test_what_is_typed_comes_back_escaped(web: Web) -> None:
    with Browser(web) as browser:
        browser.sign_in('"><script>alert(1)</script>', "x")
        assert "<script>alert" not in browser.page
        assert "&lt;script&gt;alert(1)" in browser.page
        browser.get("/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        assert "<script>alert" not in browser.page


def test_a_value_that_a_template_has_translated_is_escaped_all_the_same() -> None:
    text = "{{ _(value) }} {{ ngettext(value, value, 2) }} {% trans value=value %}{{ value }}'s{% endtrans %}"
    shown = environment("en").from_string(text)
    assert "<" not in shown.render(value="<script>alert(1)</script>")


def test_a_path_is_broken_between_its_parts_and_is_escaped() -> None:
    shown = environment("en").from_string("{{ path|by_parts }}").render(path="/srv/<b>/archive.key")
    assert shown == "/<wbr>srv/<wbr>&lt;b&gt;/<wbr>archive.key"
