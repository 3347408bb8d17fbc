"""A language that nobody speaks: every text of the catalogue in brackets, so that what is not marked stands out.

Rule: a text is what the catalogue has; what was formatted into it is inside the brackets too.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from leadglass import languages
from tests.corpus import ROOT

PSEUDO: Final = "qps"
"""A tag of ISO 639-2's range for local use."""

_MARKED: Final = re.compile("⟦[^⟦⟧]*⟧")


def bracketed(text: str) -> str:
    """Translate a text into the language that nobody speaks."""
    return f"⟦{text}⟧"


def unmarked(text: str) -> str:
    """Give what is left of a shown text without what the catalogue gave."""
    while (less := _MARKED.sub(" ", text)) != text:
        text = less
    return text


def speaking(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tag: str = PSEUDO, say: Callable[[str], str] = bracketed
) -> None:
    """Have the archive know a language, made of the gathered texts, until the test ends."""
    with (ROOT / "src" / "leadglass" / "locale" / "leadglass.pot").open("rb") as file:
        catalogue = read_po(file)
    for message in catalogue:
        if message.id:
            message.string = say(message.id) if isinstance(message.id, str) else tuple(map(say, message.id))
    kept = folder / "locale" / tag / "LC_MESSAGES" / "leadglass.mo"
    kept.parent.mkdir(parents=True)
    made = io.BytesIO()
    write_mo(made, catalogue)
    kept.write_bytes(made.getvalue())

    def files(_: str) -> Path:
        return folder

    monkeypatch.setattr(languages, "files", files)
    for cached in (languages.known, languages.texts):
        monkeypatch.setattr(languages, cached.__name__, cached.__wrapped__)
