"""Scopes as an operator writes them: ``study=UID``, ``patient=ID``, ``source=AE``, ``label=NAME``, …, or ``all``.

The same Patient ID of another issuer is another patient. ``patient=ID`` is the one
whose studies name no issuer, as most do; ``patient@ISSUER=ID`` the one of an issuer;
``patient@*=ID`` whoever has that ID. The issuer stands before the ``=``, because an
ID may hold any character.

Rule 1. Several words mean any of them; no word means nothing, and never
everything. Rule 2. What was read is written the same way, so that these words
are also how a scope is kept. Rule 3. A word is not guessed at: an unknown field,
or a value that nothing can have, is refused.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from leadglass.errors import BadInput
from leadglass.policy.facts import referrer
from leadglass.policy.scope import Clause, Field, Scope

ALL: Final = "all"
"""The word for every study."""

MOST_WORDS: Final = 256
"""Words of one scope: more are a group, and that is what labels are for."""

_LONGEST: Final = 64
"""Characters of a value: those of a Patient ID (LO, PS3.5 6.2)."""

_UID: Final = re.compile(r"(?=[0-9.]{1,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
"""PS3.5 9.1."""

ANY_ISSUER: Final = "*"
"""In place of an issuer: all of them, and none."""

SYNTAX: Final = "study=UID, patient=ID, patient@ISSUER=ID, source=AE, label=NAME, referrer=NAME, or all"
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
    for (field, issuer), values in _by_field(map(_parse, given)).items():
        if field is Field.PATIENT and issuer != ANY_ISSUER:
            scope |= Scope.patients(*values, issuer=issuer)
        else:
            scope |= Scope.where(field, *values)
    return scope


def label_of(text: str) -> str:
    """Give a label as scopes name it; raises ``BadInput`` when it is none."""
    return _parse(f"{Field.LABEL}={text}").value


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
        words.update(_words(clause))
    return tuple(sorted(words))


class _Word(NamedTuple):
    """What a word says; ``issuer`` beside a patient."""

    field: Field
    issuer: str
    value: str


def _by_field(words: Iterable[_Word]) -> dict[tuple[Field, str], set[str]]:
    values: dict[tuple[Field, str], set[str]] = {}
    for field, issuer, value in words:
        values.setdefault((field, issuer), set()).add(value)
    return values


def _parse(word: str) -> _Word:
    name, equals, value = word.partition("=")
    name, at, issuer = (part.strip() for part in name.partition("@"))
    if name not in _EXAMPLES or (at and name != Field.PATIENT):
        raise BadInput(f"A scope is written {SYNTAX}.")
    field = Field(name)
    value = value.strip()
    if at and not issuer:
        raise BadInput("The scope patient@ needs an issuer, as in patient@HOSPITAL=4711; without one: patient=4711.")
    if not equals or not value:
        raise BadInput(f"The scope {field} needs a value, as in {field}={_EXAMPLES[field]}.")
    if any(len(each) > _LONGEST or not each.isprintable() for each in (issuer, value)):
        raise BadInput(f"The value of the scope {field} has at most {_LONGEST} plain characters.")
    if field is Field.STUDY and _UID.fullmatch(value) is None:
        raise BadInput("The scope study needs a Study Instance UID: digits with dots between, as in study=1.2.840.1.")
    if field is Field.REFERRER:
        value = referrer(value)
        if not value:
            raise BadInput("The scope referrer needs a family name, as in referrer=Doe^Jane.")
    return _Word(field, issuer, value)


_EXAMPLES: Final = {
    Field.STUDY: "1.2.840.1",
    Field.PATIENT: "4711",
    Field.SOURCE: "CT1",
    Field.LABEL: "neurology",
    Field.REFERRER: "Doe^Jane",
}


def _words(clause: Clause) -> list[str]:
    """Write the conditions of a clause: one alone, or a patient and an issuer; raises ``BadInput`` at others."""
    by_field = {condition.field: condition.values for condition in clause}
    if len(clause) == 1:
        ((field, values),) = by_field.items()
        if field is not Field.ISSUER:
            name = f"{field}@{ANY_ISSUER}" if field is Field.PATIENT else field.value
            return [f"{name}={value}" for value in values]
    elif len(clause) == len(by_field) == 2 and by_field.keys() == {Field.PATIENT, Field.ISSUER}:
        issuers, patients = by_field[Field.ISSUER], by_field[Field.PATIENT]
        if all("=" not in issuer and issuer != ANY_ISSUER for issuer in issuers):
            names = [f"{Field.PATIENT}@{issuer}" if issuer else Field.PATIENT.value for issuer in issuers]
            return [f"{name}={patient}" for name in names for patient in patients]
    raise BadInput("A scope of conditions that must hold together cannot be written in words. Name one.")
