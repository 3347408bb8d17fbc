"""Gathers the texts of pages, reports and letters into a catalogue for translators: ``locale/leadglass.pot``.

Rule: a text is in the catalogue when a template marks it (``_("…")``, ``{% trans %}``)
or a table that templates name by (roles, the menu, modalities …) holds it.
``make docs`` writes it; ``tests/test_docs.py`` fails when it is stale.
"""

import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po

from leadglass.audit.event import Outcome
from leadglass.doors.pages.menu import ENTRIES
from leadglass.doors.pages.studies.asking import MODALITIES
from leadglass.doors.pages.study.kinds import Kind
from leadglass.exposure.finding import Severity
from leadglass.policy.roles import Role

PAGES: Final = Path(__file__).resolve().parent.parent / "src" / "leadglass" / "doors" / "pages"
CATALOGUE: Final = PAGES.parent.parent / "locale" / "leadglass.pot"

_HEADER: Final = """\
# Texts of Leadglass's pages, reports and letters. Written by docs/texts.py; `make docs` writes it anew.
# How a language is added: CONTRIBUTING.md.
"""
_OPTIONS: Final = {"extensions": "jinja2.ext.i18n", "trimmed": "false", "silent": "false"}
_ENUMS: Final[tuple[type[StrEnum], ...]] = (Role, Outcome, Severity, Kind)


def _marked() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text that a template marks, and its template; a plural with its singular."""
    for template in sorted((PAGES / "templates").rglob("*.html")):
        with template.open("rb") as file:
            for _, text, _, _ in extract("jinja2.ext:babel_extract", file, options=_OPTIONS):
                yield template.relative_to(PAGES).as_posix(), (text,) if isinstance(text, str) else tuple(text)


def _named() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text that a template takes from a table."""
    for entry in ENTRIES:
        yield "menu.py", (entry.label,)
    for _, meaning in MODALITIES:
        yield "studies/asking.py", (meaning,)
    for kind in _ENUMS:
        for each in kind:
            yield kind.__name__, (each.value,)


def catalogue() -> str:
    """Give the catalogue: in the order of its texts' first places, without dates, so that it changes with them only."""
    made = Catalog(project="Leadglass", charset="utf-8", fuzzy=False, header_comment=_HEADER.rstrip())
    for place, text in (*_marked(), *_named()):
        made.add(text if len(text) > 1 else "".join(text), locations=[(place, 0)])
    kept = io.BytesIO()
    write_po(kept, made, width=110, omit_header=True, include_lineno=False)
    head = 'msgid ""\nmsgstr ""\n"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    return _HEADER + head + kept.getvalue().decode("utf-8").strip() + "\n"
