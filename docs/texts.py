"""Gathers the texts of pages, reports and letters into a catalogue for translators: ``locale/leadglass.pot``.

Rule: a text is in the catalogue when a template marks it (``_("…")``, ``{% trans %}``)
or a table that templates name by (roles, the menu, modalities …) holds it, or when
code of pages, of the web door or of ``identity`` says it of an error as it stands.
``make docs`` writes it; ``tests/test_docs.py`` fails when it is stale.
"""

import ast
import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po

from leadglass.audit.event import Outcome
from leadglass.doors.pages.audit.words import ACTIONS, DOORS
from leadglass.doors.pages.menu import ENTRIES
from leadglass.doors.pages.studies.asking import MODALITIES, RARER
from leadglass.doors.pages.study.kinds import Kind
from leadglass.doors.pages.survey.choosing import SHOWN
from leadglass.doors.pages.survey.pages import DONE, ENDED, STANDINGS
from leadglass.exposure.finding import Severity
from leadglass.policy.roles import Role
from leadglass.survey import letters
from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.findings import Severity as SurveySeverity
from leadglass.survey.looking import Change
from leadglass.survey.recipes import RECIPES
from leadglass.survey.report.model import Grade
from leadglass.survey.report.page import CALMER, RUNGS, VANTAGES, VERDICTS
from leadglass.survey.standing import Standing

PAGES: Final = Path(__file__).resolve().parent.parent / "src" / "leadglass" / "doors" / "pages"
SURVEY: Final = PAGES.parent.parent / "survey"
CATALOGUE: Final = PAGES.parent.parent / "locale" / "leadglass.pot"

_HEADER: Final = """\
# Texts of Leadglass's pages, reports and letters. Written by docs/texts.py; `make docs` writes it anew.
# How a language is added: CONTRIBUTING.md.
"""
_OPTIONS: Final = {"extensions": "jinja2.ext.i18n", "trimmed": "false", "silent": "false"}
_ERRORS: Final = frozenset({"BadInput", "Busy", "Conflict", "Denied", "HttpFault", "NotHere", "Throttled"})
_ENUMS: Final[tuple[type[StrEnum], ...]] = (Role, Outcome, Severity, Kind, SurveySeverity, Standing, Change, Grade)


def _marked() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text that a template marks, and its template; a plural with its singular."""
    for template in sorted((PAGES / "templates").rglob("*.html")):
        with template.open("rb") as file:
            for _, text, _, _ in extract("jinja2.ext:babel_extract", file, options=_OPTIONS):
                yield template.relative_to(PAGES).as_posix(), (text,) if isinstance(text, str) else tuple(text)


def _spoken() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text of a survey's report, and what its checks say."""
    for template in sorted((SURVEY / "report" / "templates").glob("*.html")):
        with template.open("rb") as file:
            for _, text, _, _ in extract("jinja2.ext:babel_extract", file, options=_OPTIONS):
                yield f"survey/report/{template.name}", (text,) if isinstance(text, str) else tuple(text)
    with (SURVEY / "report" / "page.py").open("rb") as file:
        for _, text, _, _ in extract("python", file, keywords={"say": None}):
            yield "survey/report/page.py", (text,) if isinstance(text, str) else tuple(text)
    for source in sorted((SURVEY / "checks").glob("*.py")):
        for text in _said_by(source):
            yield f"survey/checks/{source.name}", (text,)


def _tabled() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text that stands in a table of the survey."""
    for table in (RUNGS, VANTAGES, letters.TEXTS):
        for text in table.values():
            yield "survey", (text,)
    for texts in VERDICTS.values():
        yield "survey/report/page.py", texts
    for text in (*CALMER, *SHOWN.values(), *(text for text, _ in STANDINGS.values()), *DONE.values(), *ENDED.values()):
        yield "survey", (text,)
    for recipe in RECIPES.values():
        for text in (recipe.title, recipe.why, *(text for step in recipe.steps for text in (step.product, step.text))):
            if text:
                yield "survey/recipes.py", (text,)
    for check in CHECKS:
        yield "survey/checks", (check.title,)
        yield "survey/checks", (check.sends,)


def _said_by(source: Path) -> Iterator[str]:
    """Give the titles and limits that a check states as they stand; one that is put together is not translated."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in {"title", "not_tested"}:
            for each in ast.walk(node.value):
                if isinstance(each, ast.JoinedStr):
                    break
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " in each.value:
                    yield each.value


def _named() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text that a template takes from a table."""
    for entry in ENTRIES:
        yield "menu.py", (entry.label,)
    for _, meaning in (*MODALITIES, *RARER):
        yield "studies/asking.py", (meaning,)
    for called in (*ACTIONS.values(), *DOORS.values()):
        yield "audit/words.py", (called,)
    for kind in _ENUMS:
        for each in kind:
            yield kind.__name__, (each.value,)


def _told() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give what pages say of errors, and of what was done, as far as it is one text as it stands."""
    package = PAGES.parent.parent
    for folder in (package / "identity", package / "doors" / "web", PAGES):
        for source in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                for text in _texts_of(node):
                    yield source.relative_to(package).as_posix(), (text,)


def _texts_of(node: ast.AST) -> Iterator[str]:
    given: list[ast.expr | None] = []
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _ERRORS:
            given = [*node.args]
        case ast.Call(func=ast.Attribute(attr="_done")):
            given = [*node.args]
        case ast.keyword(arg="denied"):
            given = [node.value]
        case ast.AnnAssign(target=ast.Name(id="_DONE" | "_TITLES" | "_WHAT_NEXT"), value=ast.Dict(values=values)):
            given = [*values]
        case _:
            pass
    for each in given:
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " in each.value:
            yield each.value


def catalogue() -> str:
    """Give the catalogue: in the order of its texts' first places, without dates, so that it changes with them only."""
    made = Catalog(project="Leadglass", charset="utf-8", fuzzy=False, header_comment=_HEADER.rstrip())
    for place, text in (*_marked(), *_named(), *_told(), *_spoken(), *_tabled()):
        made.add(text if len(text) > 1 else "".join(text), locations=[(place, 0)])
    kept = io.BytesIO()
    write_po(kept, made, width=110, omit_header=True, include_lineno=False)
    head = 'msgid ""\nmsgstr ""\n"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    return _HEADER + head + kept.getvalue().decode("utf-8").strip() + "\n"
