"""Languages: what pages, reports and letters say, in the one that is asked for, as far as there is a catalogue of it.

Rule: English is what stands in the templates. A catalogue is a GNU gettext file,
``locale/LANGUAGE/LC_MESSAGES/leadglass.mo`` beside this module; a text that it
lacks stays English.
"""

from collections.abc import Callable
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Final, Protocol, cast

from jinja2 import Environment
from markupsafe import escape

ENGLISH: Final = "en"

_DOMAIN: Final = "leadglass"

_MOST: Final = 16
"""Languages of an Accept-Language field that are looked at; browsers send two to six."""


@cache
def known() -> tuple[str, ...]:
    """Give the languages there are texts in, English first."""
    folder = files(__package__ or "leadglass").joinpath("locale")
    others = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return (ENGLISH, *others)


@cache
def texts(language: str) -> NullTranslations:
    """Give the texts of a known language."""
    if language == ENGLISH:
        return NullTranslations()
    kept = files(__package__ or "leadglass").joinpath("locale", language, "LC_MESSAGES", f"{_DOMAIN}.mo")
    with kept.open("rb") as file:
        return GNUTranslations(file)


def chosen(name: str) -> str:
    """Give the known language that somebody names (``de``, ``pt-BR``); English where there is none."""
    return _found(name.strip()) or ENGLISH


class _International(Protocol):
    """What the extension for translations adds to an environment."""

    def install_gettext_callables(
        self, gettext: Callable[[str], str], ngettext: Callable[[str, str, int], str], *, newstyle: bool
    ) -> None: ...


def speak(environment: Environment, language: str) -> None:
    """Have the templates of an environment with ``jinja2.ext.i18n`` speak a language.

    Texts are taken for safe once they are translated, also where a template has a
    value translated: so all are escaped here, and none has mark-up inside.

    What code says, errors above all, passes the filter ``told``: in the language
    where it is a text as it stands, in English where it was put together.
    """
    kept = texts(language)

    def told(text: str) -> str:
        return kept.gettext(text) if text else ""  # what is empty, a catalogue has its own description of

    def one(text: str) -> str:
        return str(escape(kept.gettext(text)))

    def one_or_many(text: str, many: str, number: int) -> str:
        return str(escape(kept.ngettext(text, many, number)))

    environment.filters["told"] = told
    cast("_International", environment).install_gettext_callables(one, one_or_many, newstyle=True)


def _found(tag: str) -> str | None:
    there = {name.lower().replace("_", "-"): name for name in known()}
    tag = tag.lower().replace("_", "-")
    return there.get(tag) or there.get(tag.partition("-")[0])


def wanted(field: str) -> str:
    """Give the language of a page, by an Accept-Language field (RFC 9110 12.5.4)."""
    weighted: list[tuple[float, str]] = []
    for part in field.split(",")[:_MOST]:
        tag, _, rest = part.partition(";")
        name, _, weight = rest.strip().partition("=")
        try:
            quality = float(weight) if name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        weighted.append((quality, tag.strip().lower()))
    for quality, tag in sorted(weighted, key=lambda each: -each[0]):
        found = _found(tag)
        if quality > 0 and found is not None:
            return found
    return ENGLISH
