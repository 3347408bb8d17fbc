"""The SQL reading of a Scope; ``policy/scope.py`` is the Python reading.

Rule: it starts from ``false()`` and adds what is granted, so that whatever is
forgotten here hides studies and never shows them. Values are bound, never text.
"""

from collections.abc import Iterable
from typing import TypeVar, assert_never

import msgspec
from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select, true

from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.vault.index.tables import study, study_label, study_source

T = TypeVar("T", str, int)


def where(scope: Scope) -> ColumnElement[bool]:
    """Give the condition on ``study`` that holds for exactly the studies the scope covers."""
    condition: ColumnElement[bool] = false()
    for clause in sorted(scope.clauses, key=_order):
        condition = or_(condition, and_(true(), *(_met(each) for each in sorted(clause, key=_condition_order))))
    return condition


def one_of(column: ColumnElement[T], values: Iterable[T]) -> ColumnElement[bool]:
    """Say that a column has one of some values, with one bound parameter however many there are."""
    listed = func.json_each(msgspec.json.encode(sorted(values)).decode()).table_valued("value")
    return column.in_(select(listed.c.value))


def _met(condition: Condition) -> ColumnElement[bool]:
    match condition.field:
        case Field.STUDY:
            return one_of(study.c.study_uid, condition.values)
        case Field.PATIENT:
            return one_of(study.c.patient_id, condition.values)
        case Field.SOURCE:
            return exists().where(
                study_source.c.study_id == study.c.id, one_of(study_source.c.source, condition.values)
            )
        case Field.LABEL:
            return exists().where(study_label.c.study_id == study.c.id, one_of(study_label.c.label, condition.values))
        case _ as never:
            assert_never(never)


def _order(clause: Clause) -> list[tuple[str, list[str]]]:
    """Order clauses, so that equal scopes give equal SQL."""
    return sorted(map(_condition_order, clause))


def _condition_order(condition: Condition) -> tuple[str, list[str]]:
    return condition.field.value, sorted(condition.values)
