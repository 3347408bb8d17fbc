import copy
import pickle
from dataclasses import replace
from itertools import combinations
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import Denied
from leadglass.policy import permit as permit_module
from leadglass.policy.action import DEVICE_ACTIONS, Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit, decide
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device
from tests.policy.scopes import FACTS, SCOPES

HERE = StudyFacts("1.2.3", "P1")
ELSEWHERE = StudyFacts("9.9.9", "P9")
GRANTS = st.lists(
    st.builds(
        Grant,
        st.frozensets(st.sampled_from(Action), max_size=4),
        SCOPES,
        st.builds(View, st.frozensets(st.sampled_from([1, 2, 3]))),
        st.sampled_from(["role", "enrolment", "break-glass"]),
    ),
    max_size=4,
).map(tuple)


def caller(*grants: Grant) -> Caller:
    return replace(device("CT1"), grants=grants)


def grant(*actions: Action, scope: Scope | None = None, masked: frozenset[int] = frozenset()) -> Grant:
    return Grant(
        frozenset(actions), Scope.everything() if scope is None else scope, View(masked), f"{len(masked)} masked"
    )


# --- making one ---------------------------------------------------------------


@pytest.mark.parametrize("seal", [None, object(), True, "seal", 0])
def test_a_permit_cannot_be_made_by_hand(seal: object) -> None:
    with pytest.raises(TypeError, match="nowhere else"):
        Permit(cast("permit_module._Seal", seal), device("CT1"), Action.GET, ())  # pyright: ignore[reportPrivateUsage]


def test_a_seal_of_ones_own_makes_no_permit() -> None:
    forged = permit_module._Seal()  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(TypeError, match="nowhere else"):
        Permit(forged, device("CT1"), Action.GET, ())


def test_a_permit_that_skipped_the_constructor_permits_nothing() -> None:
    empty = Permit.__new__(Permit)
    with pytest.raises(AttributeError):
        _ = empty.scope
    with pytest.raises(AttributeError):
        empty.view_of(HERE)


def test_a_permit_is_neither_pickled_nor_copied() -> None:
    permit = decide(device("CT1", Action.GET), Action.GET)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(permit, protocol)
    for copying in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="decided anew"):
            copying(permit)


def test_a_permit_does_not_change_after_it_was_given() -> None:
    permit = decide(device("CT1", Action.GET, scope=Scope.where(Field.STUDY, "1.2.3")), Action.GET)
    for name, value in (("scope", Scope.everything()), ("action", Action.DELETE), ("caller", device("WS1"))):
        with pytest.raises(AttributeError):
            setattr(permit, name, value)
        with pytest.raises(AttributeError):
            delattr(permit, name)
    assert permit.scope == Scope.where(Field.STUDY, "1.2.3")


# --- deciding -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("grants", "action", "facts", "yes"),
    [
        ((), Action.GET, None, False),
        ((), Action.ECHO, None, False),
        ((grant(Action.GET),), Action.GET, None, True),
        ((grant(Action.GET),), Action.GET, HERE, True),
        ((grant(Action.GET),), Action.MOVE, None, False),
        ((grant(Action.FIND),), Action.GET, None, False),
        ((grant(),), Action.GET, None, False),
        ((grant(Action.GET, scope=Scope.nothing()),), Action.GET, None, False),
        ((grant(Action.GET, scope=Scope.nothing()),), Action.GET, HERE, False),
        ((grant(Action.GET, scope=Scope.where(Field.STUDY, "1.2.3")),), Action.GET, HERE, True),
        ((grant(Action.GET, scope=Scope.where(Field.STUDY, "1.2.3")),), Action.GET, ELSEWHERE, False),
        ((grant(Action.GET, scope=Scope.where(Field.STUDY)),), Action.GET, HERE, False),
        (
            (grant(Action.FIND), grant(Action.GET, scope=Scope.where(Field.STUDY, "1.2.3"))),
            Action.GET,
            ELSEWHERE,
            False,
        ),
        ((grant(Action.GET, scope=Scope.nothing()), grant(Action.GET)), Action.GET, HERE, True),
    ],
)
def test_the_table_of_decisions(
    grants: tuple[Grant, ...], action: Action, facts: StudyFacts | None, *, yes: bool
) -> None:
    if yes:
        assert decide(caller(*grants), action, facts).action is action
    else:
        with pytest.raises(Denied):
            decide(caller(*grants), action, facts)


@pytest.mark.parametrize("granted", list(Action))
def test_a_grant_of_one_action_is_a_grant_of_no_other(granted: Action) -> None:
    one = device("CT1", granted)
    for action in Action:
        if action is granted:
            assert decide(one, action).caller is one
        else:
            with pytest.raises(Denied, match=f"not granted {action}"):
                decide(one, action)


@given(GRANTS, st.sampled_from(Action), FACTS)
def test_a_yes_about_a_study_means_that_a_grant_says_so(
    grants: tuple[Grant, ...], action: Action, facts: StudyFacts
) -> None:
    said = any(action in g.actions and g.scope.covers(facts) for g in grants)
    try:
        permit = decide(caller(*grants), action, facts)
    except Denied:
        assert not said
    else:
        assert said
        assert permit.scope.covers(facts)


@given(GRANTS, st.sampled_from(Action), FACTS)
def test_the_scope_of_a_permit_is_what_the_grants_of_its_action_cover(
    grants: tuple[Grant, ...], action: Action, facts: StudyFacts
) -> None:
    covered = any(action in g.actions and g.scope.covers(facts) for g in grants)
    try:
        permit = decide(caller(*grants), action)
    except Denied:
        assert not covered
    else:
        assert permit.scope.covers(facts) == covered


@given(GRANTS, st.sampled_from(Action), FACTS)
def test_taking_a_grant_away_never_turns_a_no_into_a_yes(
    grants: tuple[Grant, ...], action: Action, facts: StudyFacts
) -> None:
    def yes(some: tuple[Grant, ...]) -> bool:
        try:
            decide(caller(*some), action, facts)
        except Denied:
            return False
        return True

    if not yes(grants):
        assert not any(yes(fewer) for count in range(len(grants)) for fewer in combinations(grants, count))


def test_a_refusal_says_who_and_what_and_never_which_study() -> None:
    narrow = device("CT1", Action.GET, scope=Scope.where(Field.PATIENT, "P1"))
    with pytest.raises(Denied) as refused:
        decide(narrow, Action.GET, StudyFacts("9.9.9", "P-SECRET"))
    assert refused.value.message == "device:CT1 is granted get, but not for this study."


def test_a_permit_says_why_and_names_no_study() -> None:
    permit = decide(caller(grant(Action.GET), grant(Action.GET), grant(Action.GET, masked=frozenset({1}))), Action.GET)
    assert permit.reason == "0 masked; 1 masked"
    assert repr(permit) == "Permit(device:CT1, get, because 0 masked; 1 masked)"


# --- what may leave -----------------------------------------------------------


def test_a_masked_grant_masks_and_a_fuller_one_beside_it_masks_least() -> None:
    masked = grant(Action.GET, masked=frozenset({1, 2}))
    full_here = grant(Action.GET, scope=Scope.where(Field.STUDY, "1.2.3"))
    permit = decide(caller(masked, full_here), Action.GET)
    assert permit.view_of(HERE).is_full
    assert permit.view_of(ELSEWHERE) == View(frozenset({1, 2}))
    assert not permit.is_always_full
    assert decide(caller(full_here), Action.GET).is_always_full


def test_a_fuller_grant_of_another_action_does_not_unmask() -> None:
    permit = decide(caller(grant(Action.GET, masked=frozenset({1})), grant(Action.FIND)), Action.GET)
    assert permit.view_of(HERE).masked == {1}


def test_there_is_no_view_of_a_study_outside() -> None:
    permit = decide(caller(grant(Action.GET, scope=Scope.where(Field.STUDY, "1.2.3"))), Action.GET)
    with pytest.raises(Denied):
        permit.view_of(ELSEWHERE)


@given(GRANTS, st.sampled_from(Action), FACTS)
def test_a_view_is_always_one_that_a_grant_gives_for_that_study(
    grants: tuple[Grant, ...], action: Action, facts: StudyFacts
) -> None:
    given_views = [g.view for g in grants if action in g.actions and g.scope.covers(facts)]
    if given_views:
        assert decide(caller(*grants), action, facts).view_of(facts) in given_views


@given(st.frozensets(st.integers()), st.frozensets(st.integers()))
def test_views_together_mask_what_either_masks(a: frozenset[int], b: frozenset[int]) -> None:
    assert (View(a) & View(b)).masked == a | b
    assert View.full() & View(a) == View(a)
    assert View(a).is_full == (not a)


# --- callers ------------------------------------------------------------------


def test_a_device_action_is_never_one_of_those_that_manage_or_destroy() -> None:
    assert not DEVICE_ACTIONS & {
        Action.EXPORT, Action.DELETE, Action.RESOLVE, Action.VERIFY, Action.AUDIT, Action.MANAGE,
    }  # fmt: skip


def test_a_caller_is_named_as_in_the_log_and_each_has_a_session_of_its_own() -> None:
    assert str(device("CT1")) == "device:CT1"
    assert device("CT1").session != device("CT1").session
    assert {kind.value for kind in CallerKind} == {
        "device", "cli", "person", "token", "link", "webhook", "client", "provider",
    }  # fmt: skip


def test_a_caller_cannot_be_changed() -> None:
    one = device("CT1", Action.STORE)
    with pytest.raises(AttributeError):
        one.grants = ()  # pyright: ignore[reportAttributeAccessIssue]
    assert copy.deepcopy(one) == one


# --- what may be seen later ---------------------------------------------------


OPEN = replace(HERE, labels=frozenset({"open"}))
BY_LABEL = Scope.where(Field.LABEL, "open")


def test_what_was_to_leave_in_full_may_not_leave_so_when_its_label_is_gone() -> None:
    permit = decide(caller(grant(Action.GET, scope=BY_LABEL), grant(Action.GET, masked=frozenset({1}))), Action.GET)
    assert not permit.has_one_view
    assert not permit.still_shows(OPEN, HERE)
    assert permit.still_shows(HERE, OPEN), "more stays masked than has to be"
    assert permit.still_shows(OPEN, replace(OPEN, sources=frozenset({"CT1", "CT2"})))


def test_views_of_which_neither_masks_all_of_the_other_do_not_stand_for_each_other() -> None:
    grants = grant(Action.GET, scope=BY_LABEL, masked=frozenset({1})), grant(Action.GET, masked=frozenset({2, 3}))
    permit = decide(caller(*grants), Action.GET)
    assert not permit.still_shows(OPEN, HERE)
    assert not permit.still_shows(HERE, OPEN)


@pytest.mark.parametrize("masked", [frozenset[int](), frozenset({1, 2})])
def test_grants_that_show_the_same_show_it_whatever_a_study_is(masked: frozenset[int]) -> None:
    grants = grant(Action.GET, scope=BY_LABEL, masked=masked), grant(Action.GET, masked=masked)
    permit = decide(caller(*grants), Action.GET)
    assert permit.has_one_view
    assert permit.still_shows(OPEN, HERE)


@given(GRANTS, FACTS, FACTS)
def test_what_still_shows_masks_at_least_what_is_to_be_masked_now(
    grants: tuple[Grant, ...], then: StudyFacts, now: StudyFacts
) -> None:
    if not all(any(Action.GET in each.actions and each.scope.covers(one) for each in grants) for one in (then, now)):
        return
    permit = decide(caller(*grants), Action.GET)
    assert permit.still_shows(then, now) == (permit.view_of(then).masked >= permit.view_of(now).masked)
