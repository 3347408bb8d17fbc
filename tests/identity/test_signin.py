from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.crypto.passphrase import Cost
from leadglass.errors import BadInput, Denied, LeadglassError, Throttled
from leadglass.identity.lockout import FREE, FREE_ELSEWHERE, LONGEST, LONGEST_ELSEWHERE, Lockout
from leadglass.identity.onetime import SET_UP_LIFE, Purpose
from leadglass.identity.passwords import Hash, Passwords
from leadglass.identity.people import keep_password
from leadglass.identity.signin import REFUSED, NeedsSecond
from leadglass.policy.roles import Role
from tests.callers import everything
from tests.identity.peoplehouse import BETTER, ELSEWHERE, GOOD, HERE, PeopleHouse, people_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        made.person("jane")
        yield made


def _refusal(house: PeopleHouse, name: str, password: str, peer: str = HERE) -> LeadglassError:
    with pytest.raises(LeadglassError) as refused:
        house.door.sign_in(name, password, peer)
    return refused.value


def _fail(house: PeopleHouse, times: int, name: str = "jane", peer: str = HERE) -> None:
    """Fail so many times, waiting as long as one has to."""
    for _ in range(times):
        error = _refusal(house, name, "wrong", peer)
        if isinstance(error, Throttled):
            house.clocks.pass_by(error.retry_after)
            assert isinstance(_refusal(house, name, "wrong", peer), Denied)


def test_the_right_password_opens_whatever_the_case_of_the_name(house: PeopleHouse) -> None:
    assert house.opened(" JANE ").session.name == "jane"
    assert house.opened().session.evidence == "a password"


def test_whoever_is_not_let_in_hears_the_same(house: PeopleHouse) -> None:
    house.accounts.people.add(everything(), "nopass", Role.RADIOLOGIST)
    house.person("shut")
    house.accounts.people.lock(everything(), "shut")
    said = {
        (type(error), error.message)
        for error in (
            _refusal(house, "jane", "wrong"),
            _refusal(house, "nobody", GOOD),
            _refusal(house, "nopass", ""),
            _refusal(house, "shut", GOOD),
            _refusal(house, "' OR 1=1 --", GOOD),
            _refusal(house, "jane", "x" * 100_000),
        )
    }
    assert said == {(Denied, REFUSED)}


def test_the_true_reason_is_on_record_without_what_was_typed(house: PeopleHouse) -> None:
    _refusal(house, "jane", "wrong secret")
    _refusal(house, "my secret in the wrong field", "x")
    first, second = house.events("signin")
    assert (first.outcome, first.detail["why"], first.detail["account"]) == ("refused", "wrong password", "jane")
    assert (second.detail["why"], second.detail.get("account")) == ("unknown account", None)
    assert "secret" not in repr(first) + repr(second)


def test_guessing_gets_slower_and_what_waits_is_not_looked_at(house: PeopleHouse) -> None:
    _fail(house, FREE + 1)
    first = _refusal(house, "jane", GOOD)
    assert isinstance(first, Throttled), "even the right password waits"
    _fail(house, 8)
    later = _refusal(house, "jane", GOOD)
    assert isinstance(later, Throttled)
    assert first.retry_after < later.retry_after <= LONGEST
    house.clocks.pass_by(later.retry_after)
    assert house.opened().session.name == "jane"
    house.opened()  # and the count began anew
    assert isinstance(_refusal(house, "jane", "wrong"), Denied)


def test_the_owner_is_not_shut_out_elsewhere_by_who_guesses_here(house: PeopleHouse) -> None:
    _fail(house, 20)
    assert isinstance(_refusal(house, "jane", GOOD), Throttled)
    assert house.opened(peer=ELSEWHERE).session.name == "jane"


def test_guessing_from_many_networks_delays_unknown_ones_shortly_and_known_ones_not_at_all(house: PeopleHouse) -> None:
    house.opened(peer=ELSEWHERE)
    for number in range(FREE_ELSEWHERE + 10):
        error = _refusal(house, "jane", "wrong", f"10.77.{number}.1")
        if isinstance(error, Throttled):
            house.clocks.pass_by(error.retry_after)
            _refusal(house, "jane", "wrong", f"10.77.{number}.1")
    waiting = _refusal(house, "jane", GOOD, "10.200.0.1")
    assert isinstance(waiting, Throttled)
    assert waiting.retry_after <= LONGEST_ELSEWHERE
    assert house.opened(peer=ELSEWHERE).session.name == "jane"
    house.clocks.pass_by(waiting.retry_after)
    assert house.opened(peer="10.200.0.1").session.name == "jane"


def test_an_account_that_is_not_there_is_counted_like_one_that_is(house: PeopleHouse) -> None:
    def told(name: str) -> list[tuple[type[LeadglassError], float]]:
        seen: list[tuple[type[LeadglassError], float]] = []
        for _ in range(12):
            error = _refusal(house, name, "wrong", "10.50.0.1" if name == "jane" else "10.60.0.1")
            seen.append((type(error), error.retry_after if isinstance(error, Throttled) else 0.0))
            house.clocks.pass_by(1)
        return seen

    assert told("jane") == told("nobody")


def test_many_failures_are_an_alert_once_in_a_while(house: PeopleHouse) -> None:
    _fail(house, 10)
    (alert,) = [event for event in house.events("signin") if event.outcome == "alert"]
    assert "jane" in alert.reason
    assert HERE.rpartition(".")[0] in alert.reason


def test_guesses_at_one_account_from_many_networks_are_an_alert_too(house: PeopleHouse) -> None:
    for number in range(10):
        _refusal(house, "jane", "wrong", f"10.1.{number}.1")
    (alert,) = [event for event in house.events("signin") if event.outcome == "alert"]
    assert "jane" in alert.reason
    assert "several networks" in alert.reason


def test_one_guess_at_each_of_many_accounts_is_an_alert_too(house: PeopleHouse) -> None:
    for number in range(200):
        while isinstance(error := _refusal(house, f"name-{number}", "wrong"), Throttled):
            house.clocks.pass_by(error.retry_after)
    (alert,) = [event for event in house.events("signin") if event.outcome == "alert"]
    assert "at several accounts" in alert.reason


def test_who_guesses_many_at_a_time_gets_no_more_of_them(house: PeopleHouse) -> None:
    def guess(number: int) -> type[LeadglassError]:
        return type(_refusal(house, "jane", f"wrong {number}"))

    with ThreadPoolExecutor(12) as crowd:
        looked_at = list(crowd.map(guess, range(12))).count(Denied)
    assert looked_at <= FREE + 1
    house.clocks.pass_by(LONGEST)
    with ThreadPoolExecutor(12) as crowd:
        looked_at += list(crowd.map(guess, range(12))).count(Denied)
    assert looked_at <= FREE + 2


def test_what_is_being_looked_at_counts_as_if_it_had_failed() -> None:
    lockout = Lockout(clock=lambda: 0.0)
    with ExitStack() as held:
        for _ in range(FREE + 1):
            assert held.enter_context(lockout.attempt("jane", "here", is_known=True)) == 0
        assert lockout.wait("jane", "here", is_known=True) > 0
        assert lockout.wait("jane", "there", is_known=False) == 0
        assert lockout.wait("john", "here", is_known=False) == 0
    assert lockout.wait("jane", "here", is_known=True) == 0


def test_what_is_counted_is_bounded_and_forgets_the_quietest_first() -> None:
    now = 0.0
    lockout = Lockout(clock=lambda: now, most=30)
    for _ in range(FREE + 3):
        lockout.failed("jane", "here")
    assert lockout.wait("jane", "here", is_known=True) > 0
    for number in range(100):
        lockout.failed(f"name-{number}", "there")
    assert lockout.wait("jane", "here", is_known=True) == 0


def test_failures_are_forgotten_after_a_while(house: PeopleHouse) -> None:
    _fail(house, 9)
    house.clocks.pass_by(3_600)
    for _ in range(FREE):
        assert isinstance(_refusal(house, "jane", "wrong"), Denied)
    assert house.opened()


def test_a_password_of_another_cost_is_hashed_anew_when_it_is_known(house: PeopleHouse) -> None:
    outdated = Passwords(Cost(memory_kib=16_384, passes=1, lanes=1)).hash(GOOD)
    with house.accounts.store.writing() as connection:
        keep_password(connection, "jane", outdated, house.clocks.now)
    assert house.opened()
    with house.accounts.store.reading() as connection:
        assert connection.execute("SELECT memory_kib FROM password").fetchone()[0] == 8_192
    assert house.opened()


def test_a_password_that_is_changed_while_it_is_hashed_anew_does_not_come_back(
    house: PeopleHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.accounts.store.writing() as connection:
        keep_password(
            connection, "jane", Passwords(Cost(memory_kib=16_384, passes=1, lanes=1)).hash(GOOD), house.clocks.now
        )
    real = Passwords.hash

    def slowly(self: Passwords, password: str, network: str = "") -> Hash:
        monkeypatch.setattr(Passwords, "hash", real)
        house.accounts.people.set_password(everything(), "jane", BETTER)
        return real(self, password, network)

    monkeypatch.setattr(Passwords, "hash", slowly)
    with pytest.raises(Denied):
        house.opened()
    assert isinstance(_refusal(house, "jane", GOOD), Denied)
    assert house.opened(password=BETTER)


def test_a_password_that_is_changed_between_the_steps_opens_nothing(house: PeopleHouse) -> None:
    from tests.identity.test_totp import add_app, code_of

    add_app(house, house.caller())
    house.clocks.pass_by(timedelta(minutes=1).total_seconds())
    needs = house.door.sign_in("jane", GOOD, HERE)
    assert isinstance(needs, NeedsSecond)
    house.accounts.people.set_password(everything(), "jane", BETTER)
    with pytest.raises(Denied):
        house.door.second(needs.ticket, code_of(house, "jane"), HERE)


# --- one-time links -----------------------------------------------------------------


def test_a_set_up_link_sets_a_password_once(house: PeopleHouse) -> None:
    person = house.accounts.people.add(everything(), "new", Role.AUDITOR)
    secret = house.set_up_secret(person)
    with pytest.raises(BadInput):
        house.door.set_up(secret, "password1234", HERE)
    opened = house.door.set_up(secret, BETTER, HERE)
    assert (opened.session.name, opened.session.evidence) == ("new", "a set-up link")
    assert house.opened("new", BETTER)
    with pytest.raises(Denied):
        house.door.set_up(secret, "yet another set of words", HERE)


def test_a_link_ends_by_itself_by_a_newer_one_by_a_lock_and_for_its_purpose_only(house: PeopleHouse) -> None:
    person = house.accounts.people.get("jane")
    links, people = house.accounts.links, house.accounts.people
    first = house.set_up_secret(person)
    second = house.set_up_secret(person)
    with pytest.raises(Denied):
        house.door.set_up(first, BETTER, HERE)
    with pytest.raises(Denied):
        house.door.by_link(second, HERE)
    people.lock(everything(), "jane")
    with pytest.raises(Denied):
        house.door.set_up(second, BETTER, HERE)
    people.unlock(everything(), "jane")
    third = links.make(everything(), person, Purpose.SIGN_IN)
    assert house.door.by_link(third.secret, HERE).session.name == "jane"
    with pytest.raises(Denied):
        house.door.by_link(third.secret, HERE)
    fourth = house.set_up_secret(person)
    house.clocks.pass_by(SET_UP_LIFE.total_seconds() + 1)
    with pytest.raises(Denied):
        house.door.set_up(fourth, BETTER, HERE)


def test_a_link_shows_its_secret_nowhere_else(house: PeopleHouse) -> None:
    link = house.accounts.links.make(everything(), house.accounts.people.get("jane"), Purpose.SET_UP)
    assert link.secret not in repr(link)
    assert link.until - house.clocks.now == SET_UP_LIFE
    assert all(link.secret not in repr(event) for event in house.events("manage"))
    assert link.secret.encode() not in house.everything_on_disk()


# --- one's own password ---------------------------------------------------------------


def test_a_new_password_ends_all_other_sessions_and_this_one_goes_on(house: PeopleHouse) -> None:
    mine, other = house.opened(), house.opened()
    sessions = house.accounts.sessions
    caller = sessions.caller(mine.secret, HERE)
    house.door.change_password(caller, GOOD, BETTER)
    assert sessions.caller(mine.secret, HERE)
    with pytest.raises(Denied):
        sessions.caller(other.secret, HERE)
    assert isinstance(_refusal(house, "jane", GOOD), Denied)
    assert house.opened("jane", BETTER)
    (event,) = house.events("account")
    assert BETTER not in repr(event)


def test_a_password_is_not_changed_without_the_one_of_now_nor_to_a_bad_one(house: PeopleHouse) -> None:
    caller = house.caller()
    with pytest.raises(Denied):
        house.door.change_password(caller, "wrong", BETTER)
    for bad in ("", "short", "jane-jane-jane", GOOD):
        with pytest.raises(BadInput):
            house.door.change_password(caller, GOOD, bad)
    assert house.opened()


def test_who_has_a_session_cannot_guess_the_password_with_it_for_long(house: PeopleHouse) -> None:
    caller = house.caller()
    kinds: set[type[LeadglassError]] = set()
    for _ in range(FREE + 3):
        with pytest.raises(LeadglassError) as refused:
            house.door.confirm(caller, "wrong")
        kinds.add(type(refused.value))
    assert kinds == {Denied, Throttled}


def test_somebody_locked_between_the_steps_is_not_let_in(house: PeopleHouse) -> None:
    from tests.identity.test_totp import add_app

    add_app(house, house.caller())
    house.clocks.pass_by(timedelta(minutes=1).total_seconds())
    needs = house.door.sign_in("jane", GOOD, HERE)
    assert isinstance(needs, NeedsSecond)
    house.accounts.people.lock(everything(), "jane")
    from tests.identity.test_totp import code_of

    with pytest.raises(Denied):
        house.door.second(needs.ticket, code_of(house, "jane"), HERE)
