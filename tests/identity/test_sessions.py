from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import Denied, NotHere
from leadglass.identity.places import network_of
from leadglass.identity.sessions import IDLE, LONGEST, MOST_SESSIONS, csrf_of, is_csrf
from leadglass.policy.roles import Role
from tests.callers import everything
from tests.identity.peoplehouse import ELSEWHERE, HERE, PeopleHouse, people_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        made.person("jane")
        yield made


def test_a_session_proves_its_person_from_wherever_and_joins_its_records(house: PeopleHouse) -> None:
    opened = house.opened()
    for peer in (HERE, ELSEWHERE, HERE):
        caller = house.accounts.sessions.caller(opened.secret, peer)
        assert (str(caller), caller.peer, caller.session) == ("person:jane", peer, opened.session.id)
        assert house.accounts.sessions.known(opened.secret, peer) == caller


@pytest.mark.parametrize("secret", ["", "x", "a" * 43, "\ud800", "' OR 1=1 --"])
def test_what_is_no_secret_proves_nobody(house: PeopleHouse, secret: str) -> None:
    house.opened()
    with pytest.raises(Denied):
        house.accounts.sessions.caller(secret, HERE)
    assert house.accounts.sessions.known(secret, HERE) is None
    assert house.accounts.sessions.session_of(secret) is None


def test_a_session_ends_when_nothing_is_asked_for_a_while(house: PeopleHouse) -> None:
    opened = house.opened()
    sessions = house.accounts.sessions
    for _ in range(5):
        house.clocks.pass_by(IDLE.total_seconds() - 120)
        assert sessions.caller(opened.secret, HERE)
    house.clocks.pass_by(IDLE.total_seconds() + 60)
    with pytest.raises(Denied):
        sessions.caller(opened.secret, HERE)
    assert sessions.list("jane") == []


def test_a_session_ends_in_any_case(house: PeopleHouse) -> None:
    opened = house.opened()
    sessions = house.accounts.sessions
    while house.clocks.now < opened.session.made + LONGEST - timedelta(minutes=10):
        house.clocks.pass_by(600)
        assert sessions.caller(opened.secret, HERE)
    house.clocks.pass_by(601)
    assert sessions.known(opened.secret, HERE) is None
    with pytest.raises(Denied):
        sessions.caller(opened.secret, HERE)


def test_one_ends_ones_own_sessions_and_nobody_elses(house: PeopleHouse) -> None:
    house.person("john")
    mine, other, johns = house.opened(), house.opened(), house.opened("john")
    sessions = house.accounts.sessions
    caller = sessions.caller(mine.secret, HERE)
    for ending in (sessions.end, sessions.end_own):
        with pytest.raises(NotHere):
            ending(caller, johns.session.id)
    sessions.end_own(caller, other.session.id)
    assert [each.id for each in sessions.list("jane")] == [mine.session.id]
    assert sessions.caller(johns.secret, HERE)
    with pytest.raises(Denied):
        sessions.end_all(caller, "john")
    sessions.end(caller, mine.session.id)
    with pytest.raises(Denied):
        sessions.caller(mine.secret, HERE)


def test_all_others_end_and_this_one_goes_on(house: PeopleHouse) -> None:
    mine, *others = [house.opened() for _ in range(4)]
    sessions = house.accounts.sessions
    caller = sessions.caller(mine.secret, HERE)
    assert sessions.end_all(caller, "jane", but=caller.session) == 3
    assert sessions.caller(mine.secret, HERE)
    for other in others:
        with pytest.raises(Denied):
            sessions.caller(other.secret, HERE)


def test_who_manages_signs_somebody_out(house: PeopleHouse) -> None:
    opened = house.opened()
    house.accounts.sessions.end(everything(), opened.session.id)
    with pytest.raises(Denied):
        house.accounts.sessions.caller(opened.secret, HERE)
    with pytest.raises(NotHere):
        house.accounts.sessions.end(everything(), opened.session.id)


def test_a_lock_ends_every_session_at_once_and_unlocking_revives_none(house: PeopleHouse) -> None:
    opened = house.opened()
    house.accounts.people.lock(everything(), "jane")
    house.accounts.people.unlock(everything(), "jane")
    with pytest.raises(Denied):
        house.accounts.sessions.caller(opened.secret, HERE)


def test_who_was_proven_before_the_account_was_made_anew_is_somebody_else(house: PeopleHouse) -> None:
    before = house.accounts.people.get("jane")
    house.accounts.people.remove(everything(), "jane")
    house.clocks.pass_by(1)
    house.person("jane")
    with pytest.raises(Denied):
        house.accounts.sessions.open(before, HERE, "a one-time link")


def test_sessions_of_one_account_are_bounded_and_the_oldest_makes_room(house: PeopleHouse) -> None:
    first = last = house.opened()
    for _ in range(MOST_SESSIONS):
        house.clocks.pass_by(1)
        last = house.opened()
    assert len(house.accounts.sessions.list("jane")) == MOST_SESSIONS
    assert house.accounts.sessions.caller(last.secret, HERE)
    with pytest.raises(Denied):
        house.accounts.sessions.caller(first.secret, HERE)


def test_signing_in_is_on_record_before_the_session_is_there(house: PeopleHouse) -> None:
    opened = house.opened()
    (event,) = house.events("signin")
    assert (event.outcome, event.caller, event.session) == ("permitted", "person:jane", opened.session.id)
    assert event.detail == {"evidence": "a password", "role": Role.RADIOLOGIST.value}
    assert opened.secret not in repr(opened)


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_form_is_of_its_own_session_alone(secret: str, other: str) -> None:
    assert is_csrf(secret, csrf_of(secret))
    assert is_csrf(secret, csrf_of(other)) is (secret == other)
    assert not is_csrf(secret, other)


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("10.1.2.3", "10.1.2.0/24"),
        ("::ffff:10.1.2.9", "10.1.2.0/24"),
        ("2001:db8:1:2::5", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("local", "local"),
    ],
)
def test_places_are_counted_by_network(peer: str, network: str) -> None:
    assert network_of(peer) == network
