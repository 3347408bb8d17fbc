"""Languages: the texts of pages in the one a browser asks for, as far as there is a catalogue of it.

Rule: English is what stands in the templates. A catalogue is a GNU gettext file,
``locale/LANGUAGE/LC_MESSAGES/leadglass.mo`` beside this module; a text that it
lacks stays English.
"""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Final

ENGLISH: Final = "en"

_DOMAIN: Final = "leadglass"

_MOST: Final = 16
"""Languages of an Accept-Language field that are looked at; browsers send two to six."""


@cache
def known() -> tuple[str, ...]:
    """Give the languages there are texts in, English first."""
    folder = files(__package__ or "leadglass.doors.pages").joinpath("locale")
    others = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return (ENGLISH, *others)


@cache
def texts(language: str) -> NullTranslations:
    """Give the texts of a known language."""
    if language == ENGLISH:
        return NullTranslations()
    kept = files(__package__ or "leadglass.doors.pages").joinpath("locale", language, "LC_MESSAGES", f"{_DOMAIN}.mo")
    with kept.open("rb") as file:
        return GNUTranslations(file)


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
    there = {name.lower().replace("_", "-"): name for name in known()}
    for quality, tag in sorted(weighted, key=lambda each: -each[0]):
        found = there.get(tag) or there.get(tag.partition("-")[0])
        if quality > 0 and found is not None:
            return found
    return ENGLISH
