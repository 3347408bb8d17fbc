"""Scopes in words: which studies somebody may see, as pages say it to people.

Rule: as ``Scope.explain`` says it, without naming patients; only who referred them
is written as people write names.
"""

from leadglass.policy.scope import Condition, Field, Scope


def spoken(scope: Scope) -> str:
    """Say a scope in words."""
    return scope.explain(_spoken)


def _spoken(condition: Condition) -> str:
    if condition.field is not Field.REFERRER or not condition.values:
        return condition.explain()
    return f"referred by {' or by '.join(sorted(map(_person, condition.values)))}"


def _person(name: str) -> str:
    """Write a name that was folded (``doe^jane``) as people do: ``Doe, Jane``."""
    return ", ".join(part.title() for part in name.split("^") if part)
