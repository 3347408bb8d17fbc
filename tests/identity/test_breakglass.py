from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.errors import BadInput, Conflict, Denied, NotHere, Throttled
from leadglass.identity.breakglass import MOST_MINUTES, MOST_OPEN
from leadglass.identity.sessions import OpenedSession
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role
from leadglass.policy.scope import Field, Scope
from tests.callers import device, everything
from tests.identity.peoplehouse import GOOD, HERE, PeopleHouse, people_house

WANTED = StudyFacts("1.2.3.4", patient_id="4711")
OTHER = StudyFacts("1.2.3.5", patient_id="4712")
WHY = "Trauma, no history at hand"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        made.person("jane", Role.REFERRER, Scope.where(Field.PATIENT, "1"))
        made.person("audrey", Role.AUDITOR)
        made.person("boss", Role.ADMIN)
        yield made


def _now(house: PeopleHouse, opened: OpenedSession) -> Caller:
    sessions = house.accounts.sessions
    return sessions.known(opened.secret, HERE) or sessions.caller(opened.secret, HERE)


def _may(caller: Caller, action: Action, facts: StudyFacts) -> bool:
    try:
        decide(caller, action, facts)
    except Denied:
        return False
    return True


@pytest.mark.parametrize("word", ["study=1.2.3.4", "patient=4711"])
def test_it_opens_what_was_asked_for_at_once_in_full_and_nothing_else(house: PeopleHouse, word: str) -> None:
    opened = house.opened()
    assert not _may(_now(house, opened), Action.GET, WANTED)
    house.accounts.glass.open(_now(house, opened), word, WHY)
    caller = _now(house, opened)
    assert _may(caller, Action.FIND, WANTED)
    assert decide(caller, Action.GET, WANTED).view_of(WANTED).is_full
    assert not _may(caller, Action.GET, OTHER)
    for action in (Action.STORE, Action.DELETE, Action.EXPORT, Action.MOVE):
        assert not _may(caller, action, WANTED)


@pytest.mark.parametrize(
    ("word", "opened"),
    [
        ("patient=4711", [True, False, False]),
        ("patient@HOSPA=4711", [False, True, False]),
        ("patient@*=4711", [True, True, True]),
    ],
)
def test_it_opens_the_patient_of_the_issuer_that_was_named(house: PeopleHouse, word: str, opened: list[bool]) -> None:
    made = house.accounts.glass.open(house.caller(), word, WHY)
    caller = house.caller()
    studies = [StudyFacts(f"1.{number}", "4711", issuer) for number, issuer in enumerate(("", "HOSPA", "HOSPB"))]
    assert [_may(caller, Action.GET, each) for each in studies] == opened
    assert house.accounts.glass.mine(caller) == [made]
    assert (made.word, made.value) == (word, "4711")


def test_it_ends_by_itself(house: PeopleHouse) -> None:
    opened = house.opened()
    house.accounts.glass.open(_now(house, opened), "study=1.2.3.4", WHY, minutes=10)
    house.clocks.pass_by(9 * 60)
    assert _may(_now(house, opened), Action.GET, WANTED)
    house.clocks.pass_by(61)
    assert not _may(_now(house, opened), Action.GET, WANTED)


def test_the_alert_is_on_record_with_the_study_and_without_the_reason_or_a_patient(house: PeopleHouse) -> None:
    caller = house.caller()
    house.accounts.glass.open(caller, "study=1.2.3.4", WHY)
    house.accounts.glass.open(caller, "patient=4711", WHY)
    first, second = house.events("break-glass")
    assert (first.outcome, first.caller, first.study_uid) == ("alert", "person:jane", "1.2.3.4")
    assert (second.outcome, second.study_uid) == ("alert", "")
    for event in (first, second):
        assert "4711" not in repr(event)
        assert "Trauma" not in repr(event)


def test_it_waits_on_the_list_until_somebody_else_who_may_has_reviewed_it(house: PeopleHouse) -> None:
    glass = house.accounts.glass
    made = glass.open(house.caller(), "patient=4711", WHY)
    auditor = house.caller("audrey")
    (listed,) = glass.list(auditor)
    assert (listed.name, listed.value, listed.reason, listed.reviewed) == ("jane", "4711", WHY, None)
    assert glass.waiting() == 1
    for stranger in (house.caller(), device("CT1", Action.FIND)):
        with pytest.raises(Denied):
            glass.list(stranger)
        with pytest.raises(Denied):
            glass.review(stranger, made.number)
    done = glass.review(auditor, made.number, "on call,\n justified")
    assert (done.reviewer, done.note) == ("person:audrey", "on call, justified")
    assert glass.list(house.caller("boss")) == []
    assert [each.number for each in glass.list(auditor, reviewed=True)] == [made.number]
    with pytest.raises(Conflict):
        glass.review(house.caller("boss"), made.number)
    with pytest.raises(NotHere):
        glass.review(auditor, 999)


def test_nobody_reviews_their_own_even_after_a_change_of_role(house: PeopleHouse) -> None:
    glass = house.accounts.glass
    made = glass.open(house.caller(), "patient=4711", WHY)
    house.accounts.people.set_role(everything(), "jane", Role.AUDITOR)
    with pytest.raises(Denied, match="themselves"):
        glass.review(house.caller(), made.number)
    assert glass.waiting() == 1


@pytest.mark.parametrize("name", ["audrey", "boss"])
def test_who_does_not_treat_patients_opens_nothing(house: PeopleHouse, name: str) -> None:
    caller = house.caller(name)
    with pytest.raises(Denied):
        house.accounts.glass.open(caller, "patient=4711", WHY)
    assert not house.accounts.glass.may_open(caller)
    assert [event.outcome for event in house.events("break-glass")] == ["refused"]
    assert not _may(house.caller(name), Action.GET, WANTED)


def test_a_token_or_device_breaks_no_glass(house: PeopleHouse) -> None:
    with pytest.raises(Denied):
        house.accounts.glass.open(device("jane", Action.FIND), "patient=4711", WHY)


def test_a_role_that_may_no_longer_loses_what_it_opened(house: PeopleHouse) -> None:
    opened = house.opened()
    house.accounts.glass.open(_now(house, opened), "patient=4711", WHY)
    house.accounts.people.set_role(everything(), "jane", Role.ADMIN)
    assert not _may(_now(house, opened), Action.GET, WANTED)


@pytest.mark.parametrize("reason", ["", " " * 20, "short", "aaaaaaaaaaaaaa", "x y" * 400])
def test_it_needs_a_reason(house: PeopleHouse, reason: str) -> None:
    with pytest.raises(BadInput):
        house.accounts.glass.open(house.caller(), "patient=4711", reason)


@pytest.mark.parametrize(
    "word",
    ["", "all", "label=neuro", "source=CT1", "study=abc", "patient=", "patient@=1", "patient=47\\11", "patient@A\\B=1"],
)
def test_it_opens_one_study_or_one_patient_and_nothing_wider(house: PeopleHouse, word: str) -> None:
    with pytest.raises(BadInput):
        house.accounts.glass.open(house.caller(), word, WHY)


def test_it_is_short_and_few(house: PeopleHouse) -> None:
    caller = house.caller()
    for minutes in (0, -1, MOST_MINUTES + 1):
        with pytest.raises(BadInput):
            house.accounts.glass.open(caller, "patient=4711", WHY, minutes=minutes)
    for number in range(MOST_OPEN):
        house.accounts.glass.open(caller, f"patient={number}", WHY)
    with pytest.raises(Throttled) as refused:
        house.accounts.glass.open(caller, "patient=4711", WHY)
    house.clocks.pass_by(refused.value.retry_after)
    house.accounts.glass.open(caller, "patient=4711", WHY)
    assert len(house.accounts.glass.mine(caller)) == 1


def test_what_was_opened_is_reviewed_even_when_the_account_is_gone(house: PeopleHouse) -> None:
    made = house.accounts.glass.open(house.caller(), "patient=4711", WHY)
    house.accounts.people.remove(everything(), "jane")
    assert [each.number for each in house.accounts.glass.list(house.caller("audrey"))] == [made.number]


@pytest.mark.parametrize("end", ["remove", "lock", "reset"])
def test_what_was_opened_ends_with_the_account_and_whoever_bears_its_name_next_has_opened_nothing(
    house: PeopleHouse, end: str
) -> None:
    people, glass = house.accounts.people, house.accounts.glass
    number = glass.open(house.caller(), "study=1.2.3.4", WHY).number
    match end:
        case "remove":
            people.remove(everything(), "jane")
            house.person("jane", Role.REFERRER)
        case "lock":
            people.lock(everything(), "jane")
            people.unlock(everything(), "jane")
        case _:
            people.reset(everything(), "jane")
            people.set_password(everything(), "jane", GOOD)
    caller = house.caller()
    assert not _may(caller, Action.GET, WANTED)
    assert glass.mine(caller) == []
    assert [each.number for each in glass.list(house.caller("audrey"))] == [number]  # to be reviewed all the same
