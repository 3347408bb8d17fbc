"""Fuzzy matching of person names (PS3.4 C.2.2.2.1.1): which words of names are near to each other.

Rule: each word that is asked for must be near to a word of the name, in
whichever component or component group that stands. A word is near when it begins
like the one that is asked for, or when both begin with the same letter and are so
many slips apart: none below four letters, one below eight, else two. A slip is a
letter too many, one missing, another one, or two that changed places. Case,
accents and punctuation do not count.
"""

from collections.abc import Iterable
from typing import Final
from unicodedata import combining, normalize

_TEXT: Final = 1_024
"""Characters of a name that are looked at: three times the most that one may have."""
_WORDS: Final = 24
"""Words of a name that are looked at."""
_WORD: Final = 32
"""Letters of a word that are looked at."""
_TWO_SLIPS: Final = 8
_ONE_SLIP: Final = 4

_JOINED: Final = "'’‘`´ʼ"  # noqa: RUF001 - apostrophes, as people type them
"""What joins the parts of a word: O'Brien."""
_LETTERS: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}  # noqa: RUF001
    | dict.fromkeys(_JOINED, "")
    | {chr(code): chr(code - 0x60) for code in range(0x30A1, 0x30F7)}  # katakana as hiragana
)
"""Letters that no decomposition makes simple."""


def words(*texts: str) -> list[str]:
    """Give the words of names in the form in which they are compared, each once, in their order."""
    found: dict[str, None] = {}
    for text in texts:
        plain = normalize("NFKD", normalize("NFKD", text[:_TEXT]).casefold())
        bare = "".join([letter for letter in plain if not combining(letter)]).translate(_LETTERS)
        spaced = "".join([letter if letter.isalnum() else " " for letter in bare])
        found |= dict.fromkeys(word[:_WORD] for word in spaced.split())
    return list(found)[:_WORDS]


def is_near(word: str, wanted: str) -> bool:
    """Say whether a word of a name is near to one that is asked for; both as ``words`` gives them."""
    if word.startswith(wanted):
        return True
    slips = 0 if len(wanted) < _ONE_SLIP else 1 if len(wanted) < _TWO_SLIPS else 2
    if not slips or word[:1] != wanted[:1] or abs(len(word) - len(wanted)) > slips:
        return False
    return _are_apart(word, wanted, slips)


def is_like(named: Iterable[str], wanted: Iterable[str]) -> bool:
    """Say whether each wanted word is near to one of a name's."""
    of_name = tuple(named)
    return all(any(is_near(word, each) for word in of_name) for each in wanted)


def _are_apart(one: str, other: str, most: int) -> bool:
    """Say whether two words are at most so many slips apart (optimal string alignment)."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        line = [row]
        for column, wanted in enumerate(other, start=1):
            least = min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                least = min(least, before[column - 2] + 1)
            line.append(least)
        if min(line) > most and min(above) > most:
            return False
        before, above = above, line
    return above[-1] <= most
