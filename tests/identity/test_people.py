import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.audit.event import Outcome
from leadglass.crypto.database import driver, open_sealed
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity.accounts import open_accounts
from leadglass.identity.onetime import Purpose
from leadglass.identity.overview import Overview
from leadglass.identity.person import parse_name
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role
from leadglass.policy.scope import Field, Scope
from tests.callers import device, everything
from tests.identity.peoplehouse import BETTER, CHEAP, GOOD, HERE, KEY, PeopleHouse, people_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        yield made


def _may(caller: Caller, action: Action, facts: StudyFacts | None = None) -> bool:
    try:
        decide(caller, action, facts)
    except Denied:
        return False
    return True


def test_an_account_comes_back_as_it_was_made(house: PeopleHouse) -> None:
    scope = Scope.where(Field.PATIENT, "4711", "it's 4712") | Scope.where(Field.LABEL, "neuro")
    made = house.person("Jane.Doe", Role.REFERRER, scope)
    people = house.accounts.people
    assert people.find("jane.doe") == made
    assert people.get(" JANE.DOE ") == made
    assert (made.role, made.scope, made.has_password, made.has_totp, made.is_locked) == (
        Role.REFERRER,
        scope,
        True,
        False,
        False,
    )
    assert people.list() == [made]
    assert people.find("john") is None
    with pytest.raises(NotHere):
        people.get("john")


@pytest.mark.parametrize(
    "name", ["", "-jane", "jane-", "ja ne", "jané", "ja\nne", "j" * 65, "<b>", "jane;--", "\u0130"]
)
def test_names_are_plain_so_that_no_two_look_alike(name: str) -> None:
    with pytest.raises(BadInput):
        parse_name(name)


def test_a_name_is_there_once_in_whatever_case(house: PeopleHouse) -> None:
    house.person("jane")
    with pytest.raises(Conflict):
        house.person("JANE")


def test_only_who_manages_changes_accounts_and_each_change_is_on_record_first(house: PeopleHouse) -> None:
    people = house.accounts.people
    house.person("jane")
    stranger = device("CT1", Action.STORE)
    for change in (
        lambda: people.add(stranger, "eve", Role.ADMIN),
        lambda: people.set_role(stranger, "jane", Role.ADMIN),
        lambda: people.lock(stranger, "jane"),
        lambda: people.unlock(stranger, "jane"),
        lambda: people.reset(stranger, "jane"),
        lambda: people.remove(stranger, "jane"),
        lambda: people.set_password(stranger, "jane", BETTER),
        lambda: people.ensure(stranger, "eve", Role.ADMIN, origin="elsewhere"),
        lambda: house.accounts.sessions.end_all(stranger, "jane"),
    ):
        with pytest.raises(Denied):
            change()
    assert [person.name for person in people.list()] == ["jane"]
    refused = [event for event in house.events("manage") if event.outcome == "refused"]
    assert len(refused) == 9
    assert all(event.caller == "device:CT1" for event in refused)


def test_a_person_is_a_caller_with_the_rights_of_now(house: PeopleHouse) -> None:
    person = house.person("jane", Role.REFERRER, Scope.where(Field.PATIENT, "4711"))
    people = house.accounts.people
    caller = people.caller_of(person, HERE, "a passkey")
    assert str(caller) == "person:jane"
    assert (caller.peer, caller.evidence) == (HERE, "a passkey")
    assert _may(caller, Action.GET, StudyFacts("1.2", patient_id="4711"))
    assert not _may(caller, Action.GET, StudyFacts("1.2", patient_id="4712"))
    people.lock(everything(), "jane")
    with pytest.raises(Denied):
        people.caller_of(people.get("jane"), HERE, "a passkey")


def test_a_scope_says_nothing_for_who_sees_no_images(house: PeopleHouse) -> None:
    with pytest.raises(BadInput, match="no images"):
        house.person("boss", Role.ADMIN, Scope.where(Field.LABEL, "neuro"))


def test_an_account_that_somebody_else_vouches_for_takes_over_none_of_ours(house: PeopleHouse) -> None:
    people = house.accounts.people
    house.person("boss", Role.ADMIN)
    with pytest.raises(Conflict):
        people.ensure(everything(), "boss", Role.RADIOLOGIST, origin="https://sso.example")
    made = people.ensure(everything(), "jane", Role.RADIOLOGIST, origin="https://sso.example")
    assert not made.has_password
    again = people.ensure(everything(), "jane", Role.AUDITOR, origin="https://sso.example")
    assert again.role is Role.AUDITOR
    with pytest.raises(Conflict):
        people.ensure(everything(), "jane", Role.ADMIN, origin="https://other.example")
    with pytest.raises(BadInput):
        people.ensure(everything(), "joe", Role.ADMIN, origin="")


def test_a_reset_account_is_proven_by_nothing_it_had_before(house: PeopleHouse) -> None:
    before = house.person("jane")
    opened = house.opened()
    after = house.accounts.people.reset(everything(), "jane")
    assert not after.has_password
    assert after.epoch == before.epoch + 1
    with pytest.raises(Denied):
        house.accounts.sessions.caller(opened.secret, HERE)
    with pytest.raises(Denied):
        house.door.sign_in("jane", GOOD, HERE)
    with pytest.raises(Denied):
        house.accounts.sessions.open(before, HERE, "a passkey of before")


def test_a_removed_account_is_gone_with_all_it_had(house: PeopleHouse) -> None:
    house.person("jane")
    opened = house.opened()
    house.accounts.people.remove(everything(), "jane")
    with pytest.raises(Denied):
        house.accounts.sessions.caller(opened.secret, HERE)
    house.person("jane", Role.AUDITOR)
    assert house.accounts.sessions.list("jane") == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO password VALUES ('jane', zeroblob(16), zeroblob(32), 65536, 3, 1, 'now')",
        "INSERT INTO password VALUES ('jane', randomblob(16), randomblob(32), 65536, 3, 4, 'now')",
        "INSERT INTO password VALUES ('jane', zeroblob(16), x'', 65536, 3, 1, 'now')",
        "INSERT INTO password VALUES ('jane', x'', randomblob(32), 65536, 3, 1, 'now')",
        "INSERT INTO password VALUES ('jane', randomblob(16), NULL, 65536, 3, 1, 'now')",
        "INSERT INTO password VALUES ('jane', randomblob(16), 'password', 65536, 3, 1, 'now')",
        "INSERT INTO password VALUES ('jane', randomblob(16), randomblob(32), 8, 3, 4, 'now')",
        "INSERT INTO password VALUES ('nobody', randomblob(16), randomblob(32), 65536, 3, 1, 'now')",
        "INSERT INTO person (name, role, scope, made) VALUES ('', 'admin', '', 'now')",
        "INSERT INTO person (name, role, scope, made) VALUES ('Eve', 'admin', '', 'now')",
        "INSERT INTO person (name, role, scope, made) VALUES ('eve', 'owner', '', 'now')",
        "UPDATE person SET role = NULL",
        "INSERT INTO session VALUES ('x', randomblob(32), 'jane', 'a', 'b', 'c', '', '', 'd')",
        "INSERT INTO glass (name, field, value, reason, made, until, peer, reviewed, reviewer)"
        " VALUES ('jane', 'study', '1.2', 'an emergency', 'a', 'b', '', 'c', 'person:jane')",
        "INSERT INTO glass (name, field, value, reason, made, until, peer)"
        " VALUES ('jane', 'study', '1.2', ' ', 'a', 'b', '')",
    ],
)
def test_the_schema_itself_refuses_what_no_account_may_be(house: PeopleHouse, statement: str) -> None:
    house.person("jane")
    connection = open_sealed(house.folder / "people.db", KEY)
    connection.execute("DELETE FROM password")
    with pytest.raises((driver.IntegrityError, sqlite3.IntegrityError)):
        connection.execute(statement)
    connection.close()


def test_what_one_process_changes_the_others_see_at_once(house: PeopleHouse) -> None:
    house.person("jane")
    opened = house.opened()
    assert house.accounts.sessions.caller(opened.secret, HERE).name == "jane"
    with open_accounts(house.folder / "people.db", KEY, house.log, cost=CHEAP, clock=house.clocks.wall) as other:
        other.people.set_role(everything(), "jane", Role.AUDITOR)
        caller = house.accounts.sessions.known(opened.secret, HERE) or house.accounts.sessions.caller(
            opened.secret, HERE
        )
        assert _may(caller, Action.AUDIT)
        assert not _may(caller, Action.FIND)
        other.people.lock(everything(), "jane")
        assert house.accounts.sessions.known(opened.secret, HERE) is None
        with pytest.raises(Denied):
            house.accounts.sessions.caller(opened.secret, HERE)


def test_nothing_of_an_account_lies_on_the_disk_in_plain(house: PeopleHouse) -> None:
    house.person("jane.of.the.house")
    opened = house.opened("jane.of.the.house")
    on_disk = house.everything_on_disk()
    for secret in (b"jane.of.the.house", GOOD.encode(), opened.secret.encode()):
        assert secret not in on_disk


def test_whom_a_provider_vouches_for_gets_no_password_here(house: PeopleHouse) -> None:
    people, links = house.accounts.people, house.accounts.links
    person = people.ensure(everything(), "sso.jane", Role.RADIOLOGIST, origin="https://sso.example#1")
    for purpose in Purpose:
        with pytest.raises(BadInput, match="provider"):
            links.make(everything(), people.reset(everything(), person.name), purpose)
    with pytest.raises(BadInput, match="provider"):
        people.set_password(everything(), person.name, GOOD)
    assert not people.get(person.name).has_password


def _admin_over_the_network(kind: CallerKind = CallerKind.TOKEN, name: str = "hr-system") -> Caller:
    return replace(everything(), kind=kind, name=name)


@pytest.mark.parametrize("act", ["role", "lock", "remove", "reset"])
def test_the_last_administrator_who_can_sign_in_stays_unless_at_the_archives_own_machine(
    house: PeopleHouse, act: str
) -> None:
    people = house.accounts.people
    house.person("chief", Role.ADMIN)
    people.add(everything(), "not.yet", Role.ADMIN)  # has no password, so nobody can sign in with it
    house.person("locked", Role.ADMIN)
    people.lock(everything(), "locked")

    def do(caller: Caller) -> None:
        match act:
            case "role":
                people.set_role(caller, "chief", Role.AUDITOR)
            case "lock":
                people.lock(caller, "chief")
            case "remove":
                people.remove(caller, "chief")
            case _:
                people.reset(caller, "chief")

    before = people.get("chief")
    for kind in (CallerKind.TOKEN, CallerKind.PERSON):
        with pytest.raises(Conflict, match="last administrator"):
            do(_admin_over_the_network(kind))
    assert people.get("chief") == before
    people.set_role(_admin_over_the_network(), "chief", Role.ADMIN)
    people.unlock(everything(), "locked")
    do(_admin_over_the_network())
    people.lock(everything(), "locked")
    assert people.get("locked").is_locked


def test_nobody_changes_their_own_account_and_that_is_on_record(house: PeopleHouse) -> None:
    house.person("chief", Role.ADMIN)
    house.person("other", Role.ADMIN)
    people, caller = house.accounts.people, house.caller("chief")
    for act in (people.lock, people.unlock, people.remove, people.reset):
        with pytest.raises(Conflict, match="another administrator"):
            act(caller, "Chief ")
    with pytest.raises(Conflict):
        people.set_role(caller, "chief", Role.RADIOLOGIST)
    with pytest.raises(Conflict):
        people.set_password(caller, "chief", BETTER)
    assert people.get("chief").role is Role.ADMIN
    refused = [each.event for each in house.log.records() if each.event.outcome is Outcome.REFUSED]
    assert [event.detail["change"] for event in refused[-6:]] == [
        "lock",
        "unlock",
        "remove",
        "reset",
        "role",
        "password",
    ]


def test_who_may_not_manage_does_not_hear_which_accounts_there_are(house: PeopleHouse) -> None:
    house.person()
    people, caller = house.accounts.people, house.caller()
    for name in ("jane", "nobody"):
        for act in (people.lock, people.unlock, people.remove, people.reset):
            with pytest.raises(Denied):
                act(caller, name)
        with pytest.raises(Denied):
            people.set_role(caller, name, Role.ADMIN)
    overview = Overview(house.accounts)
    with pytest.raises(Denied):
        overview.everybody(caller)
    for name in ("jane", "nobody"):
        with pytest.raises(Denied):
            overview.one(caller, name)


def test_the_overview_says_when_somebody_last_signed_in_and_changes_its_stamp_with_the_account(
    house: PeopleHouse,
) -> None:
    house.person()
    overview = Overview(house.accounts)
    assert overview.one(everything(), "jane").signed_in is None
    house.opened()
    seen = overview.one(everything(), "jane")
    assert seen.signed_in == house.clocks.now
    assert len(seen.sessions) == 1
    stamps = {seen.stamp}
    for change in (
        lambda: house.accounts.people.set_role(everything(), "jane", Role.REFERRER, Scope.where(Field.PATIENT, "1")),
        lambda: house.accounts.people.set_role(everything(), "jane", Role.REFERRER, Scope.where(Field.PATIENT, "2")),
        lambda: house.accounts.people.lock(everything(), "jane"),
        lambda: house.accounts.people.reset(everything(), "jane"),
    ):
        change()
        stamps.add(overview.one(everything(), "jane").stamp)
    assert len(stamps) == 5
    assert [each.person.name for each in overview.everybody(everything())] == ["jane"]
