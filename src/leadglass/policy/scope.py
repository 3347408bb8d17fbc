"""Scope: which studies, as one value with two readings.

Rule 1. The empty scope covers nothing. Rule 2. This module is the Python
reading, ``covers``; ``vault/index/scope_sql.py`` is the SQL reading, ``where``;
a property test proves that both agree. A condition that cannot be said in both
readings does not belong here.

A scope is a set of clauses of which any may hold, a clause a set of conditions
which all must hold: so union and intersection stay inside the form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from leadglass.policy.facts import StudyFacts


class Field(StrEnum):
    """What a condition can speak about. The value is the word shown to people."""

    STUDY = "study"
    PATIENT = "patient"
    ISSUER = "issuer"
    SOURCE = "source"
    LABEL = "label"
    REFERRER = "referrer"


@dataclass(frozen=True, slots=True)
class Condition:
    """One field has, or shares, one of some values; no values means it is never met.

    Parameters
    ----------
    field : Field
        What is looked at: ``STUDY`` the Study Instance UID, ``PATIENT`` the
        Patient ID (empty string when the study has none), ``ISSUER`` the Issuer
        of Patient ID (empty string when the study names none), ``SOURCE`` the
        callers that sent something of the study, ``LABEL`` its labels,
        ``REFERRER`` who referred the patient (``facts.referrer``).
    values : frozenset of str
        The values of which one must be there.
    """

    field: Field
    values: frozenset[str]

    def covers(self, facts: StudyFacts) -> bool:
        """Say whether the condition holds for ``facts``."""
        match self.field:
            case Field.STUDY:
                return facts.study_uid in self.values
            case Field.PATIENT:
                return facts.patient_id in self.values
            case Field.ISSUER:
                return facts.issuer_of_patient_id in self.values
            case Field.SOURCE:
                return not self.values.isdisjoint(facts.sources)
            case Field.LABEL:
                return not self.values.isdisjoint(facts.labels)
            case Field.REFERRER:
                return not self.values.isdisjoint(facts.referrers)

    def explain(self) -> str:
        """Say the condition in words, without naming patients."""
        if self.field is Field.PATIENT:
            return "one patient" if len(self.values) == 1 else f"one of {len(self.values)} patients"
        listed = ", ".join(sorted(self.values))
        return f"{self.field} {listed}" if len(self.values) == 1 else f"{self.field} in {{{listed}}}"


Clause = frozenset[Condition]
"""Conditions that must all hold. The empty clause holds for every study."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A set of studies: those for which any clause holds. No clause, no study."""

    clauses: frozenset[Clause] = frozenset()

    @classmethod
    def nothing(cls) -> Self:
        """Give the scope that covers no study."""
        return cls()

    @classmethod
    def everything(cls) -> Self:
        """Give the scope that covers every study."""
        return cls(frozenset({Clause()}))

    @classmethod
    def where(cls, field: Field, *values: str) -> Self:
        """Give the scope of the studies whose ``field`` has one of ``values``; of none when none is named."""
        return cls(frozenset({Clause({Condition(field, frozenset(values))})}))

    @classmethod
    def patients(cls, *patient_ids: str, issuer: str = "") -> Self:
        """Give the scope of some patients' studies by who issued their IDs; by default those that name no issuer.

        The same ID of another issuer is another patient (PS3.3 C.7.1.1).
        """
        of_issuer = Condition(Field.ISSUER, frozenset({issuer}))
        return cls(frozenset({Clause({Condition(Field.PATIENT, frozenset(patient_ids)), of_issuer})}))

    def covers(self, facts: StudyFacts) -> bool:
        """Say whether a study with ``facts`` is inside."""
        return any(all(condition.covers(facts) for condition in clause) for clause in self.clauses)

    def __or__(self, other: "Scope") -> "Scope":
        """Unite: what either covers."""
        return Scope(self.clauses | other.clauses)

    def __and__(self, other: "Scope") -> "Scope":
        """Intersect: what both cover."""
        return Scope(frozenset(mine | theirs for mine in self.clauses for theirs in other.clauses))

    @property
    def is_nothing(self) -> bool:
        """Whether the scope has no clause, and so covers no study."""
        return not self.clauses

    def explain(self, say: Callable[[Condition], str] = Condition.explain) -> str:
        """Say the scope in words, without naming patients; ``say`` says a condition."""
        if self.is_nothing:
            return "no study"
        return " or ".join(sorted(_spoken(clause, say) for clause in self.clauses))


def _spoken(clause: Clause, say: Callable[[Condition], str]) -> str:
    """Say a clause in words: of patients also who issued their IDs, unless that is nobody."""
    is_issued = any(each.field is Field.ISSUER for each in clause)
    said: list[str] = []
    for each in clause:
        if each.field is Field.PATIENT and not is_issued:
            said.append(f"{say(each)} of any issuer")
        elif each != Condition(Field.ISSUER, frozenset({""})):
            said.append(say(each))
    return " and ".join(sorted(said)) or ("studies without an issuer" if is_issued else "every study")
