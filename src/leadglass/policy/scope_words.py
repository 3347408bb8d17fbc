"""Scopes as an operator writes them: ``study=UID``, ``patient=ID``, ``source=AE``, ``label=NAME``, …, or ``all``.

Rule 1. Several words mean any of them; no word means nothing, and never
everything. Rule 2. What was read is written the same way, so that these words
are also how a scope is kept. Rule 3. A word is not guessed at: an unknown field,
or a value that nothing can have, is refused.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from leadglass.errors import BadInput
from leadglass.policy.facts import referrer
from leadglass.policy.scope import Condition, Field, Scope

ALL: Final = "all"
"""The word for every study."""

MOST_WORDS: Final = 256
"""Words of one scope: more are a group, and that is what labels are for."""

_LONGEST: Final = 64
"""Characters of a value: those of a Patient ID (LO, PS3.5 6.2)."""

_UID: Final = re.compile(r"(?=[0-9.]{1,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
"""PS3.5 9.1."""

SYNTAX: Final = "study=UID, patient=ID, source=AE, label=NAME, referrer=NAME, or all"
"""How a scope is written, for help texts and messages."""


def parse_scope(words: Iterable[str]) -> Scope:
    """Read a scope.

    Parameters
    ----------
    words : iterable of str
        Any of them; none: nothing.

    Raises
    ------
    BadInput
        With what is wrong, never with a Patient ID.
    """
    given = list(islice(words, MOST_WORDS + 1))
    if len(given) > MOST_WORDS:
        raise BadInput(f"A scope has at most {MOST_WORDS} words. Give the studies a label, and name that.")
    if ALL in given:
        if set(given) != {ALL}:  # who narrows and widens at once has mistyped one of them
            raise BadInput("A scope is either all, or some studies. Leave one of them away.")
        return Scope.everything()
    scope = Scope.nothing()
    for field, values in _by_field(map(_parse, given)).items():
        scope |= Scope.where(field, *values)
    return scope


def label_of(text: str) -> str:
    """Give a label as scopes name it; raises ``BadInput`` when it is none."""
    return _parse(f"{Field.LABEL}={text}")[1]


def write_scope(scope: Scope) -> tuple[str, ...]:
    """Write a scope as ``parse_scope`` reads it, in order.

    Raises
    ------
    BadInput
        When the words cannot say it: conditions that must hold together.
    """
    words: set[str] = set()
    for clause in scope.clauses:
        if not clause:
            return (ALL,)
        if len(clause) > 1:
            raise BadInput("A scope of conditions that must hold together cannot be written in words. Name one.")
        words.update(_words(next(iter(clause))))
    return tuple(sorted(words))


def _by_field(conditions: Iterable[tuple[Field, str]]) -> dict[Field, set[str]]:
    values: dict[Field, set[str]] = {}
    for field, value in conditions:
        values.setdefault(field, set()).add(value)
    return values


def _parse(word: str) -> tuple[Field, str]:
    name, equals, value = word.partition("=")
    try:
        field = Field(name.strip())
    except ValueError:
        raise BadInput(f"A scope is written {SYNTAX}.") from None
    value = value.strip()
    if not equals or not value:
        raise BadInput(f"The scope {field} needs a value, as in {field}={_EXAMPLES[field]}.")
    if len(value) > _LONGEST or not value.isprintable():
        raise BadInput(f"The value of the scope {field} has at most {_LONGEST} plain characters.")
    if field is Field.STUDY and _UID.fullmatch(value) is None:
        raise BadInput("The scope study needs a Study Instance UID: digits with dots between, as in study=1.2.840.1.")
    if field is Field.REFERRER:
        value = referrer(value)
        if not value:
            raise BadInput("The scope referrer needs a family name, as in referrer=Doe^Jane.")
    return field, value


_EXAMPLES: Final = {
    Field.STUDY: "1.2.840.1",
    Field.PATIENT: "4711",
    Field.SOURCE: "CT1",
    Field.LABEL: "neurology",
    Field.REFERRER: "Doe^Jane",
}


def _words(condition: Condition) -> list[str]:
    return [f"{condition.field}={value}" for value in condition.values]
