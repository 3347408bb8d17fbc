"""Words: what people type into a box, compared with what attributes hold by how their words begin.

Rule 1. Each word that is typed begins some word of one text, in any order; or all
that is typed begins one identifier. Case, accents and punctuation between words do
not count. Rule 2. What is compared is bounded, on both sides. Rule 3. An
identifier of several values, which the Standard does not know, has no beginning.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from leadglass.dicom import fuzzy, tags
from leadglass.dicom.model import Attributes

PADDING: Final = " \0"
_FOLDED: Final = 1_024
"""Characters of a text that its folded form is made of; a name has at most 324."""


@dataclass(frozen=True, slots=True)
class Words:
    """Something that was typed.

    Parameters
    ----------
    wanted : str
        As it was typed.
    texts : frozenset of int
        Attributes in whose words it is looked for: all of its words in one of them.
    identifiers : frozenset of int
        Attributes that may begin with it as a whole.
    """

    wanted: str
    texts: frozenset[int]
    identifiers: frozenset[int] = frozenset()
    words: tuple[str, ...] = field(init=False, compare=False)
    beginning: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(fuzzy.words(self.wanted)))
        object.__setattr__(self, "beginning", beginning_of(self.wanted))

    @property
    def tags(self) -> frozenset[int]:
        """Every attribute that is looked at."""
        return self.texts | self.identifiers

    def holds(self, attributes: Attributes) -> bool:
        """Say whether attributes answer it."""
        if self.words and any(_all_begin(self.words, words_of(attributes, tag)) for tag in self.texts):
            return True
        return bool(self.beginning) and any(
            (found := _only(attributes, tag)) is not None and fold(found).startswith(self.beginning)
            for tag in self.identifiers
        )


def _all_begin(wanted: Iterable[str], there: Iterable[str]) -> bool:
    words = tuple(there)
    return all(any(word.startswith(each) for word in words) for each in wanted)


def words_of(attributes: Attributes, tag: int) -> list[str]:
    """Give the words of each value of an attribute in the form in which they are compared, each once."""
    found: dict[str, None] = {}
    element = attributes.get(tags.key(tag))
    for each in cast("list[object]", element.get("Value", [])) if element is not None else []:
        if isinstance(each, dict):
            found |= dict.fromkeys(fuzzy.words(*map(str, cast("dict[str, object]", each).values())))
        elif each is not None:
            found |= dict.fromkeys(fuzzy.words(str(each)))
    return list(found)


def fold(value: str) -> str:
    """Give the form in which texts are compared: without padding and case, decomposed.

    Decomposed, because then the beginning of a text is the beginning of its form.
    Only its beginning is folded: decomposing takes time with the square of the
    combining marks in a row, and nobody asks for more.
    """
    decomposed = unicodedata.normalize("NFD", value.strip(PADDING)[:_FOLDED])
    return unicodedata.normalize("NFD", decomposed.casefold())


def beginning_of(literal: str) -> str:
    """Give the form of a beginning, up to its last whole letter."""
    folded = fold(literal)
    # An accent that follows in the text could be sorted before one that is last here.
    while folded and is_mark(folded[-1]):
        folded = folded[:-1]
    return folded


def is_mark(character: str) -> bool:
    """Say whether a character is an accent or the like, which joins the letter before it."""
    return unicodedata.combining(character) != 0


def _only(attributes: Attributes, tag: int) -> str | None:
    """Give the one text of an attribute; None when there is none, or several."""
    element = attributes.get(tags.key(tag))
    values = cast("list[object]", element.get("Value", [])) if element is not None else []
    return str(values[0]) if len(values) == 1 and values[0] is not None else None
