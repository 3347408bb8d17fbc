from base64 import b32encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyotp.totp import TOTP

from leadglass.errors import BadInput, Conflict, Denied, NotHere, Throttled
from leadglass.identity.signin import TICKET_LIFE, TICKET_TRIES, NeedsSecond
from leadglass.identity.totp import RECOVERY_CODES
from leadglass.policy.caller import Caller
from tests.callers import everything
from tests.identity.peoplehouse import GOOD, HERE, PeopleHouse, people_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        made.person("jane")
        yield made


def code_of(house: PeopleHouse, name: str, *, steps: int = 0) -> str:
    """Give the code that the app of somebody shows now, or some steps from now."""
    with house.accounts.store.reading() as connection:
        row = connection.execute("SELECT secret FROM totp WHERE name = ?", (name,)).fetchone()
    return TOTP(b32encode(bytes(row[0])).decode()).at(int(house.clocks.now.timestamp()) + 30 * steps)


def add_app(house: PeopleHouse, caller: Caller) -> tuple[str, ...]:
    """Add an authenticator app; gives the recovery codes."""
    house.accounts.factors.begin(caller)
    return house.accounts.factors.confirm(caller, code_of(house, caller.name))


def _ticket(house: PeopleHouse) -> str:
    needs = house.door.sign_in("jane", GOOD, HERE)
    assert isinstance(needs, NeedsSecond)
    return needs.ticket


def test_an_app_counts_only_after_it_showed_a_code(house: PeopleHouse) -> None:
    caller = house.caller()
    factors = house.accounts.factors
    with pytest.raises(NotHere):
        factors.confirm(caller, "123456")
    enrolment = factors.begin(caller)
    assert house.opened(), "not asked for yet"
    with pytest.raises(BadInput):
        factors.confirm(caller, "12345x")
    codes = factors.confirm(caller, code_of(house, "jane"))
    assert len(set(codes)) == RECOVERY_CODES
    assert isinstance(house.door.sign_in("jane", GOOD, HERE), NeedsSecond)
    assert enrolment.secret.replace(" ", "") in enrolment.uri
    assert enrolment.uri.startswith("otpauth://totp/Leadglass%3Ajane?")
    with pytest.raises(Conflict):
        factors.begin(caller)


def test_a_password_and_a_code_open_and_a_code_counts_once(house: PeopleHouse) -> None:
    add_app(house, house.caller())
    house.clocks.pass_by(60)
    code = code_of(house, "jane")
    opened = house.door.second(_ticket(house), code, HERE)
    assert opened.session.evidence == "a password and an authenticator code"
    with pytest.raises(Denied):
        house.door.second(_ticket(house), code, HERE)
    with pytest.raises(Denied, match="not right"):
        house.door.second(_ticket(house), code_of(house, "jane", steps=-1), HERE)
    house.clocks.pass_by(30)
    assert house.door.second(_ticket(house), code_of(house, "jane"), HERE)


def test_a_clock_may_be_a_step_off_and_no_more(house: PeopleHouse) -> None:
    add_app(house, house.caller())
    house.clocks.pass_by(120)
    with pytest.raises(Denied):
        house.door.second(_ticket(house), code_of(house, "jane", steps=-2), HERE)
    with pytest.raises(Denied):
        house.door.second(_ticket(house), code_of(house, "jane", steps=2), HERE)
    assert house.door.second(_ticket(house), code_of(house, "jane", steps=1), HERE)


def test_each_recovery_code_opens_once_however_it_is_typed(house: PeopleHouse) -> None:
    codes = add_app(house, house.caller())
    assert house.accounts.factors.codes_left("jane") == RECOVERY_CODES
    typed = codes[3].upper().replace("-", " ")
    opened = house.door.second(_ticket(house), typed, HERE)
    assert opened.session.evidence == "a password and a recovery code"
    assert house.accounts.factors.codes_left("jane") == RECOVERY_CODES - 1
    with pytest.raises(Denied):
        house.door.second(_ticket(house), codes[3], HERE)
    assert house.door.second(_ticket(house), codes[4], HERE)


def test_a_recovery_code_of_somebody_else_opens_nothing(house: PeopleHouse) -> None:
    house.person("john")
    add_app(house, house.caller())
    codes = add_app(house, house.caller("john"))
    with pytest.raises(Denied):
        house.door.second(_ticket(house), codes[0], HERE)


def test_a_ticket_is_not_a_session_and_ends_soon_and_after_few_tries(house: PeopleHouse) -> None:
    add_app(house, house.caller())
    ticket = _ticket(house)
    with pytest.raises(Denied):
        house.accounts.sessions.caller(ticket, HERE)
    house.clocks.pass_by(TICKET_LIFE.total_seconds())
    with pytest.raises(Denied, match="too long"):
        house.door.second(ticket, code_of(house, "jane"), HERE)
    ticket = _ticket(house)
    for _ in range(TICKET_TRIES):
        try:
            house.door.second(ticket, "000000", HERE)
        except Throttled as error:
            house.clocks.pass_by(error.retry_after)
        except Denied:
            pass
    house.clocks.pass_by(30)
    with pytest.raises(Denied, match="too long"):
        house.door.second(ticket, code_of(house, "jane"), HERE)


def test_codes_are_guessed_ever_more_slowly_by_who_has_the_password(house: PeopleHouse) -> None:
    add_app(house, house.caller())
    waits: list[float] = []
    for _ in range(40):
        try:
            house.door.second(_ticket(house), "000000", HERE)
        except Throttled as error:
            waits.append(error.retry_after)
            house.clocks.pass_by(error.retry_after)
        except Denied:
            pass
    assert max(waits) > 300
    assert any(event.outcome == "alert" for event in house.events("signin"))


def test_new_recovery_codes_end_the_old_ones_and_without_the_app_there_are_none(house: PeopleHouse) -> None:
    caller = house.caller()
    with pytest.raises(NotHere):
        house.accounts.factors.renew_codes(caller)
    old = add_app(house, caller)
    new = house.accounts.factors.renew_codes(caller)
    with pytest.raises(Denied):
        house.door.second(_ticket(house), old[0], HERE)
    assert house.door.second(_ticket(house), new[0], HERE)
    house.accounts.factors.remove(caller)
    assert house.opened()
    assert house.accounts.factors.codes_left("jane") == 0


def test_a_reset_takes_the_app_away(house: PeopleHouse) -> None:
    add_app(house, house.caller())
    person = house.accounts.people.reset(everything(), "jane")
    assert not person.has_totp
    assert house.door.set_up(house.set_up_secret(person), GOOD, HERE)
    assert house.opened()


def test_no_code_nor_secret_is_on_record_or_on_the_disk(house: PeopleHouse) -> None:
    codes = add_app(house, house.caller())
    with house.accounts.store.reading() as connection:
        secret = bytes(connection.execute("SELECT secret FROM totp").fetchone()[0])
    said = "".join(repr(record) for record in house.log.records())
    on_disk = house.everything_on_disk()
    assert secret not in on_disk
    assert b32encode(secret).decode() not in said
    for code in codes:
        assert code not in said
        assert code.encode() not in on_disk
