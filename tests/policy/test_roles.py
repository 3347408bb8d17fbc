import pytest

from leadglass.errors import BadInput, Denied
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import decide
from leadglass.policy.roles import (
    IMAGE_ACTIONS,
    NEEDS_NO_IMAGES,
    Role,
    grants_of,
    may_break_glass,
    own_scope,
    parse_role,
)
from leadglass.policy.scope import Field, Scope

SOME = StudyFacts("1.2.3", patient_id="4711", labels=frozenset({"neuro"}))


def _caller(role: Role, scope: Scope | None = None) -> Caller:
    return Caller(CallerKind.PERSON, "somebody", grants_of(role, scope), "10.1.2.3", "made by a test")


TABLE = {
    Role.ADMIN: {"manage", "verify"},
    Role.RADIOLOGIST: {"echo", "find", "get", "store", "export", "worklist"},
    Role.TECHNOLOGIST: {"echo", "find", "get", "store", "commit", "worklist", "resolve", "delete"},
    Role.REFERRER: {"find", "get"},
    Role.RESEARCHER: {"find", "get"},
    Role.AUDITOR: {"audit"},
    Role.SERVICE: {"echo", "find", "get", "store", "commit", "worklist"},
}


def _may(caller: Caller, action: Action) -> bool:
    try:
        decide(caller, action, SOME)
    except Denied:
        return False
    return True


@pytest.mark.parametrize("role", Role)
def test_each_role_may_what_the_table_says_and_nothing_else(role: Role) -> None:
    caller = _caller(role, None if role in NEEDS_NO_IMAGES else Scope.everything())
    assert {action.value for action in Action if _may(caller, action)} == TABLE[role]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AUDITOR])
def test_who_manages_or_audits_touches_no_image_whatever_scope_is_given(role: Role) -> None:
    for scope in (None, Scope.everything(), Scope.where(Field.PATIENT, "4711")):
        caller = _caller(role, scope)
        assert not any(_may(caller, action) for action in IMAGE_ACTIONS)
    assert not may_break_glass(role)


def test_a_referrer_without_a_scope_sees_nothing_and_with_one_only_that() -> None:
    assert not _may(_caller(Role.REFERRER), Action.FIND)
    assert _may(_caller(Role.REFERRER, Scope.where(Field.PATIENT, "4711")), Action.GET)
    assert not _may(_caller(Role.REFERRER, Scope.where(Field.PATIENT, "4712")), Action.GET)


def test_only_a_researcher_is_kept_from_who_the_patients_are() -> None:
    for role in set(Role) - NEEDS_NO_IMAGES:
        (grant,) = grants_of(role, Scope.everything())
        assert grant.view.is_full is (role is not Role.RESEARCHER), role


def test_an_empty_scope_is_nothing_for_every_role_that_sees_images() -> None:
    for role in set(Role) - NEEDS_NO_IMAGES:
        assert not any(_may(_caller(role, Scope.nothing()), action) for action in IMAGE_ACTIONS)


def test_who_treats_patients_may_break_glass_and_nobody_else() -> None:
    assert {role for role in Role if may_break_glass(role)} == {Role.RADIOLOGIST, Role.TECHNOLOGIST, Role.REFERRER}


def test_the_reason_of_a_grant_names_the_role_and_no_patient() -> None:
    (grant,) = grants_of(Role.REFERRER, Scope.patients("4711", "4712"))
    assert grant.reason == "the role referrer on one of 2 patients"
    assert own_scope(Role.SERVICE) == Scope.everything()


def test_a_role_is_read_as_it_is_written() -> None:
    assert [parse_role(f" {role.upper()} ") for role in Role] == list(Role)
    with pytest.raises(BadInput, match="radiologist"):
        parse_role("owner")
