"""The SQL reading of a Scope; ``policy/scope.py`` is the Python reading.

Rule: any of its clauses has to hold, and without one nothing does; so whatever
is forgotten here hides studies and never shows them. Values are bound, never text.
"""

from typing import assert_never

from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.vault.index.sql import Sql, all_of, any_of, one_of


def where(scope: Scope) -> Sql:
    """Give the condition on ``study`` that holds for exactly the studies the scope covers."""
    return any_of(
        all_of(_met(each) for each in sorted(clause, key=_condition_order))
        for clause in sorted(scope.clauses, key=_order)
    )


def _met(condition: Condition) -> Sql:
    match condition.field:
        case Field.STUDY:
            return one_of("study.study_uid", condition.values)
        case Field.PATIENT:
            return one_of("study.patient_id", condition.values)
        case Field.ISSUER:
            return one_of("study.issuer_of_patient_id", condition.values)
        case Field.SOURCE:
            met = one_of("study_source.source", condition.values)
            text = "EXISTS (SELECT 1 FROM study_source WHERE study_source.study_id = study.id AND " + met.text + ")"
        case Field.LABEL:
            met = one_of("study_label.label", condition.values)
            text = "EXISTS (SELECT 1 FROM study_label WHERE study_label.study_id = study.id AND " + met.text + ")"
        case Field.REFERRER:
            met = one_of("study_referrer.form", condition.values)
            text = "EXISTS (SELECT 1 FROM study_referrer WHERE study_referrer.study_id = study.id AND " + met.text + ")"
        case _ as never:
            assert_never(never)
    return Sql(text, met.values)


def _order(clause: Clause) -> list[tuple[str, list[str]]]:
    """Order clauses, so that equal scopes give equal SQL."""
    return sorted(map(_condition_order, clause))


def _condition_order(condition: Condition) -> tuple[str, list[str]]:
    return condition.field.value, sorted(condition.values)
