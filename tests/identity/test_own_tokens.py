"""One's own tokens: never more than the owner, at any moment."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.audit.event import Outcome
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity.own_tokens import MOST_TOKENS, NEVER, Bearable, OwnTokens, rights_within
from leadglass.identity.person import Person
from leadglass.identity.tokens import TokenRefused, Tokens, Why
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.facts import StudyFacts
from leadglass.policy.narrowing import narrowed
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role, grants_of
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from tests.callers import device, everything
from tests.identity.peoplehouse import ELSEWHERE, HERE, KEY, PeopleHouse, people_house

DAY = timedelta(days=1)
ALL = Scope.everything()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        yield made


@pytest.fixture
def own(house: PeopleHouse) -> Iterator[OwnTokens]:
    with _opened(house) as made:
        yield made


def _opened(house: PeopleHouse) -> OwnTokens:
    return OwnTokens(house.folder / "tokens.db", KEY, house.log, house.accounts.people, clock=house.clocks.wall)


def _refused(own: OwnTokens, secret: str) -> Why:
    assert own.known(secret, HERE) is None
    with pytest.raises(TokenRefused) as error:
        own.caller(secret, HERE)
    return error.value.why


def _met(own: OwnTokens, secret: str, peer: str = HERE) -> Caller:
    caller = own.caller(secret, peer)
    assert caller is not None
    return caller


def test_a_token_is_its_owners_and_may_what_it_was_made_for(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    created = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    caller = _met(own, created.secret)
    assert (caller.kind, caller.name) == (CallerKind.TOKEN, "jane/nightly")
    assert decide(caller, Action.GET).scope == ALL
    for action in (Action.STORE, Action.EXPORT, Action.MANAGE, Action.AUDIT):
        with pytest.raises(Denied):
            decide(caller, action)
    assert own.known(created.secret, HERE) == caller
    assert own.known(created.secret, ELSEWHERE) is None


def test_rights_are_those_the_owner_has_now(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    secret = own.create(house.caller(), "all", Role.RADIOLOGIST, ALL, DAY).secret
    assert decide(_met(own, secret), Action.STORE)
    patient = Scope.where(Field.PATIENT, "4711")
    house.accounts.people.set_role(everything(), "jane", Role.REFERRER, patient)
    assert own.known(secret, HERE) is None, "memory does not outlive a change"
    caller = _met(own, secret)
    assert decide(caller, Action.GET).scope == patient
    with pytest.raises(Denied):
        decide(caller, Action.STORE)
    house.accounts.people.set_role(everything(), "jane", Role.RESEARCHER)
    assert not decide(_met(own, secret), Action.GET).is_always_full
    house.accounts.people.set_role(everything(), "jane", Role.ADMIN)
    assert _met(own, secret).grants == ()


def test_what_is_opened_in_an_emergency_is_open_to_no_script(house: PeopleHouse, own: OwnTokens) -> None:
    house.person(role=Role.REFERRER, scope=Scope.where(Field.PATIENT, "1"))
    caller = house.caller()
    secret = own.create(caller, "nightly", Role.REFERRER, ALL, DAY).secret
    house.accounts.glass.open(caller, "patient=2", "found unconscious in room 3")
    other = StudyFacts(study_uid="1.2", patient_id="2", sources=frozenset(), labels=frozenset())
    with pytest.raises(Denied):
        decide(_met(own, secret), Action.GET, other)


@pytest.mark.parametrize("how", ["lock", "reset", "remove", "remove and make anew"])
def test_a_closed_account_closes_its_tokens(house: PeopleHouse, own: OwnTokens, how: str) -> None:
    house.person()
    token = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    _met(own, token.secret)
    people = house.accounts.people
    match how:
        case "lock":
            people.lock(everything(), "jane")
        case "reset":
            people.reset(everything(), "jane")
            people.set_password(everything(), "jane", "another violet tractor kneeling")
        case _:
            people.remove(everything(), "jane")
            if how.endswith("anew"):
                house.clocks.pass_by(1)
                house.person()
    assert _refused(own, token.secret) is Why.OWNER
    assert own.rights(token.token) == ()
    if how == "lock":
        people.unlock(everything(), "jane")
        assert _met(own, token.secret)


def test_a_token_ends_and_is_revoked_at_once_in_another_process_too(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    created = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    with _opened(house) as server:
        _met(server, created.secret)
        own.revoke(house.caller(), created.token.id)
        assert _refused(server, created.secret) is Why.REVOKED
        later = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
        _met(server, later.secret)
        house.clocks.pass_by(DAY.total_seconds() + 1)
        assert _refused(server, later.secret) is Why.EXPIRED


def test_only_the_owner_or_who_manages_revokes(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    house.person("john")
    created = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    for stranger in (house.caller("john"), device("CT1", Action.FIND)):
        for id_ in (created.token.id, "nothing"):
            with pytest.raises(Denied):
                own.revoke(stranger, id_)
        with pytest.raises(Denied):
            own.everybodys(stranger)
    assert own.mine(house.caller("john")) == []
    assert [token.label for token in own.everybodys(everything())] == ["nightly"]
    with pytest.raises(NotHere):
        own.revoke(everything(), "nothing")
    own.revoke(everything(), created.token.id)
    assert own.mine(house.caller()) == []


def test_what_cannot_be_a_token_is_refused(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    caller = house.caller()
    for label in ("", " x", "a/b", "x" * 41, "a\nb"):
        with pytest.raises(BadInput):
            own.create(caller, label, Role.REFERRER, ALL, DAY)
    for life in (timedelta(0), timedelta(days=91), timedelta.max):
        with pytest.raises(BadInput):
            own.create(caller, "x", Role.REFERRER, ALL, life)
    with pytest.raises(BadInput, match="nothing of what"):
        own.create(caller, "x", Role.ADMIN, ALL, DAY)
    with pytest.raises(Denied):
        own.create(everything(), "x", Role.REFERRER, ALL, DAY)
    own.create(caller, "x", Role.REFERRER, ALL, DAY)
    with pytest.raises(Conflict):
        own.create(caller, "x", Role.REFERRER, ALL, DAY)
    for number in range(MOST_TOKENS - 1):
        own.create(caller, str(number), Role.REFERRER, ALL, DAY)
    with pytest.raises(Conflict, match="Revoke one"):
        own.create(caller, "one more", Role.REFERRER, ALL, DAY)


def test_making_first_use_and_end_are_on_record_once(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    created = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    for _ in range(3):
        _met(own, created.secret)
    house.accounts.people.unlock(everything(), "jane")  # something changes: looked at anew, not recorded anew
    _met(own, created.secret)
    _met(own, created.secret, ELSEWHERE)
    events = [record.event for record in house.log.records()]
    made = [e for e in events if e.action == "account" and e.detail.get("token") == "jane/nightly"]
    assert [e.outcome for e in made] == [Outcome.DONE]
    uses = [e for e in events if e.action == "signin" and e.caller == "token:jane/nightly"]
    assert [e.peer for e in uses] == [HERE, ELSEWHERE]
    assert uses[0].detail["owner"] == "jane"
    assert all(created.secret not in str(e) for e in events)


def test_a_program_and_a_person_cannot_have_the_same_name_and_each_is_told_apart(
    house: PeopleHouse, own: OwnTokens
) -> None:
    house.person()
    with Tokens(house.folder / "tokens.db", KEY, house.log, clock=house.clocks.wall) as programs:
        with pytest.raises(BadInput, match="slash"):
            programs.create(everything(), "jane/nightly", Role.SERVICE, None, DAY)
        program = programs.create(everything(), "viewer", Role.SERVICE, None, DAY).secret
        mine = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY).secret
        ours = Bearable(programs, own)
        for _ in range(2):
            assert ours.caller(program, HERE).name == "viewer"
            assert ours.caller(mine, HERE).name == "jane/nightly"
        assert ours.known(program, HERE)
        assert ours.known(mine, HERE)
        with pytest.raises(TokenRefused):
            programs.caller(mine, HERE)
        with pytest.raises(TokenRefused):
            ours.caller("lg_nothing", HERE)


def test_the_last_use_is_written_down(house: PeopleHouse, own: OwnTokens) -> None:
    house.person()
    created = own.create(house.caller(), "nightly", Role.REFERRER, ALL, DAY)
    _met(own, created.secret)
    house.clocks.pass_by(600)
    assert own.known(created.secret, HERE)
    own.tidy()
    used = own.mine(house.caller())[0].used
    assert used is not None
    assert used >= house.clocks.now - timedelta(minutes=1)


# --- never more than the owner ------------------------------------------------------------

_SCOPES = st.sampled_from(
    [
        Scope.nothing(),
        ALL,
        Scope.where(Field.PATIENT, "1"),
        Scope.where(Field.PATIENT, "2") | Scope.where(Field.LABEL, "a"),
        Scope.where(Field.SOURCE, "CT1"),
    ]
)
_ROLES = st.sampled_from(list(Role))
_FACTS = st.builds(
    StudyFacts,
    study_uid=st.just("1.2"),
    patient_id=st.sampled_from(["1", "2", "3"]),
    sources=st.sampled_from([frozenset[str](), frozenset({"CT1"})]),
    labels=st.sampled_from([frozenset[str](), frozenset({"a"})]),
)
_GRANTS = st.lists(
    st.builds(
        Grant,
        st.frozensets(st.sampled_from(list(Action))),
        _SCOPES,
        st.builds(View, st.frozensets(st.integers(1, 3))),
        st.just("a test"),
        st.booleans(),
    ),
    max_size=3,
)


def _view(grants: tuple[Grant, ...], action: Action, facts: StudyFacts) -> View | None:
    try:
        return decide(Caller(CallerKind.TOKEN, "x", grants, HERE, "a test"), action, facts).view_of(facts)
    except Denied:
        return None


@given(_GRANTS, _GRANTS, st.sampled_from(list(Action)), _FACTS)
def test_what_is_left_of_rights_lies_within_both(
    one: list[Grant], other: list[Grant], action: Action, facts: StudyFacts
) -> None:
    left = _view(narrowed(one, other), action, facts)
    bounds = [_view(tuple(each), action, facts) for each in (one, other)]
    assert (left is None) == (None in bounds)
    assert _view(narrowed(one, other, never=frozenset({action})), action, facts) is None
    if left is not None:
        for bound, grants in zip(bounds, (one, other), strict=True):
            assert bound is not None
            views = [g.view for g in grants if action in g.actions and g.scope.covers(facts)]
            assert any(view.masked <= left.masked for view in views)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_ROLES, _SCOPES, _ROLES, _SCOPES, st.sampled_from(list(Action)), _FACTS)
def test_no_token_of_anybody_may_more_than_its_owner(
    role: Role, scope: Scope, owner: Role, theirs: Scope, action: Action, facts: StudyFacts
) -> None:
    person = Person("jane", owner, theirs, datetime.now(UTC))
    mine = _view(rights_within(role, scope, person), action, facts)
    whole = _view(grants_of(owner, theirs), action, facts)
    if mine is not None:
        assert whole is not None
        assert whole.masked <= mine.masked
        assert action not in NEVER
