"""Links: never worth more than they say nor than who made them, and guessed at by nobody."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.event import Outcome
from leadglass.audit.refusals import Refusals
from leadglass.errors import BadInput, Denied, Full, NotHere, Throttled
from leadglass.identity.share import LOOKING, TAKING, Share, ShareKind, ShareLock, rights_of
from leadglass.identity.share_store import ShareStore
from leadglass.identity.share_visits import CLOSED, IDLE, Asks, OpenedShare, PeopleWhoShare, Visits
from leadglass.identity.shares import CreatedShare, Shares
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.facts import StudyFacts
from leadglass.policy.masking import without_identity
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role, grants_of
from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.policy.view import View
from tests.callers import everything
from tests.identity.peoplehouse import ELSEWHERE, HERE, KEY, PeopleHouse, people_house

STUDY, OTHER = "1.2.3", "1.2.4"


@dataclass(frozen=True)
class ShareHouse:
    """A house of people with links."""

    people: PeopleHouse
    store: ShareStore
    shares: Shares
    visits: Visits

    def person(self, name: str = "jane", role: Role = Role.RADIOLOGIST, scope: Scope | None = None) -> Caller:
        """Make somebody and give the caller that they are."""
        return self.caller(self.people.person(name, role, scope).name)

    def caller(self, name: str) -> Caller:
        """Give the caller that somebody is now."""
        people = self.people.accounts.people
        return people.caller_of(people.get(name), HERE, "made by a test")

    def open(self, made: CreatedShare, code: str = "", peer: str = ELSEWHERE) -> OpenedShare:
        """Open a link that opens."""
        opened = self.visits.open(made.share.id, made.secret, code, peer)
        assert isinstance(opened, OpenedShare)
        return opened

    def closed(self, made: CreatedShare) -> bool:
        """Say whether a link opens nothing."""
        try:
            self.visits.open(made.share.id, made.secret, made.code, ELSEWHERE)
        except NotHere as error:
            return error.message == CLOSED
        return False


@pytest.fixture
def house(tmp_path: Path) -> Generator[ShareHouse]:
    with people_house(tmp_path) as people:
        clocks = people.clocks
        refusals = Refusals(people.log, clock=clocks.monotonic)
        with ShareStore(tmp_path / "shares.db", KEY, people.log, door="pages", clock=clocks.wall) as store:
            visits = Visits(store, PeopleWhoShare(people.accounts.people), refusals)
            yield ShareHouse(people, store, Shares(store), visits)
        refusals.close()


def may(caller: Caller, action: Action, study: str = STUDY) -> bool:
    try:
        decide(caller, action, StudyFacts(study))
    except Denied:
        return False
    return True


# --- link ∩ maker ----------------------------------------------------------------------------


def scopes() -> st.SearchStrategy[Scope]:
    condition = st.frozensets(st.sampled_from([STUDY, OTHER, "1.2.5"]), max_size=2).map(
        lambda values: Condition(Field.STUDY, values)
    )
    clauses = st.frozensets(condition, max_size=2).map(lambda found: Clause(found))
    return st.frozensets(clauses, max_size=2).map(lambda found: Scope(found))


def grants() -> st.SearchStrategy[Grant]:
    return st.builds(
        Grant,
        st.frozensets(st.sampled_from(list(Action))),
        st.one_of(st.just(Scope.everything()), scopes()),
        st.sampled_from([View.full(), without_identity()]),
        st.just("drawn"),
        st.booleans(),
    )


@given(
    drawn=st.lists(grants(), max_size=3),
    studies=st.lists(st.sampled_from([STUDY, OTHER, "1.2.5"]), min_size=1, max_size=3, unique=True),
    is_masked=st.booleans(),
    may_download=st.booleans(),
    kind=st.sampled_from(ShareKind),
)
def test_a_link_has_no_right_that_it_does_not_say_or_its_maker_does_not_have(
    drawn: list[Grant], studies: list[str], *, is_masked: bool, may_download: bool, kind: ShareKind
) -> None:
    issuer = Caller(CallerKind.PERSON, "drawn", tuple(drawn), HERE, "made by a test")
    epoch = everything_begins()
    share = Share(
        "0" * 16, kind, "person:drawn", epoch, epoch, studies=tuple(studies), is_masked=is_masked,
        may_download=may_download,
    )  # fmt: skip
    link = Caller(CallerKind.LINK, "0" * 16, rights_of(share, issuer), ELSEWHERE, "made by a test")
    assert not any(grant.bulk for grant in link.grants)
    wanted = {Action.SUBMIT} if kind is ShareKind.RECEIVE else (TAKING if may_download else LOOKING)
    for action in Action:
        for study in (STUDY, OTHER, "1.2.5", "9.9"):
            if not may(link, action, study):
                continue
            assert action in wanted
            if kind is ShareKind.RECEIVE:
                assert may(issuer, Action.RESOLVE, study)
                continue
            assert study in studies
            assert may(issuer, Action.EXPORT, study), "what is lent may be taken out"
            needed = Action.GET if action is Action.LOOK and not may(issuer, Action.LOOK, study) else action
            assert may(issuer, needed, study)
            seen = decide(link, action, StudyFacts(study)).view_of(StudyFacts(study))
            of_issuer = decide(issuer, needed, StudyFacts(study)).view_of(StudyFacts(study))
            assert seen.masked >= of_issuer.masked
            assert not is_masked or not seen.is_full
    assert rights_of(share, None) == ()


def everything_begins() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("role", Role)
def test_of_each_role_a_link_is_worth_what_the_table_says(role: Role) -> None:
    issuer = Caller(
        CallerKind.PERSON, "x", grants_of(role, Scope.everything() if role is Role.REFERRER else None), HERE, ""
    )
    epoch = everything_begins()
    give = Share("0" * 16, ShareKind.GIVE, "person:x", epoch, epoch, studies=(STUDY,), may_download=True)
    receive = Share("0" * 16, ShareKind.RECEIVE, "person:x", epoch, epoch)
    assert bool(rights_of(give, issuer)) is (role is Role.RADIOLOGIST)
    assert bool(rights_of(receive, issuer)) is (role is Role.TECHNOLOGIST)


# --- making and opening -------------------------------------------------------------------------


def test_a_link_opens_what_it_is_for(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], may_download=False)
    caller = house.visits.caller(house.open(made).secret, ELSEWHERE)
    assert (caller.kind, caller.name, str(caller)) == (CallerKind.LINK, made.share.id, made.share.name)
    assert may(caller, Action.LOOK)
    assert may(caller, Action.FIND)
    assert not may(caller, Action.LOOK, OTHER)
    for action in set(Action) - LOOKING:
        assert not may(caller, action)


def test_it_ends_at_its_time_and_a_visit_with_it(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], life=timedelta(minutes=20))
    visit = house.open(made)
    assert house.visits.caller(visit.secret, ELSEWHERE)
    house.people.clocks.pass_by(20 * 60)
    with pytest.raises(Denied):
        house.visits.caller(visit.secret, ELSEWHERE)
    assert house.visits.known(visit.secret, ELSEWHERE) is None
    assert house.closed(made)


def test_a_visit_ends_when_nothing_is_asked_and_the_link_opens_again(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY])
    visit = house.open(made)
    for _ in range(4):
        house.people.clocks.pass_by(IDLE.total_seconds() * 0.6)
        assert house.visits.caller(visit.secret, ELSEWHERE)
    house.people.clocks.pass_by(IDLE.total_seconds())
    with pytest.raises(Denied):
        house.visits.caller(visit.secret, ELSEWHERE)
    assert house.open(made)


@pytest.mark.parametrize("what", ["lock", "role", "scope", "remove", "revoke"])
def test_what_ends_its_makers_right_ends_it_at_the_next_request(house: ShareHouse, what: str) -> None:
    jane = house.person()
    made, people = house.shares.give(jane, [STUDY]), house.people.accounts.people
    visit = house.open(made)
    assert may(house.visits.caller(visit.secret, ELSEWHERE), Action.GET)
    assert house.visits.known(visit.secret, ELSEWHERE)
    match what:
        case "lock":
            people.lock(everything(), "jane")
        case "role":
            people.set_role(everything(), "jane", Role.TECHNOLOGIST)
        case "scope":
            people.set_role(everything(), "jane", Role.RADIOLOGIST, Scope.where(Field.LABEL, "other"))
        case "remove":
            people.remove(everything(), "jane")
        case _:
            house.shares.revoke(jane, made.share.id)
    assert house.visits.known(visit.secret, ELSEWHERE) is None
    try:
        caller = house.visits.caller(visit.secret, ELSEWHERE)
    except Denied:
        assert what != "scope"
        assert house.closed(made)
    else:
        assert what == "scope", "whether the study has the label is the archive's to say"
        assert not may(caller, Action.GET)


def test_another_of_the_same_name_is_not_the_maker(house: ShareHouse) -> None:
    made, people = house.shares.give(house.person(), [STUDY]), house.people.accounts.people
    people.remove(everything(), "jane")
    house.people.clocks.pass_by(60)
    house.person()
    assert house.closed(made)


def test_only_people_with_the_right_make_links_and_a_no_is_on_record(house: ShareHouse) -> None:
    for name, role in (("tech", Role.TECHNOLOGIST), ("adm", Role.ADMIN), ("ref", Role.REFERRER)):
        with pytest.raises(Denied):
            house.shares.give(house.person(name, role), [STUDY])
    with pytest.raises(Denied):
        house.shares.receive(house.person(), note="Practice B")
    refused = [each for each in house.people.events("export") if each.outcome is Outcome.REFUSED]
    assert {each.caller for each in refused} == {"person:tech", "person:adm", "person:ref"}
    program = Caller(CallerKind.TOKEN, "viewer", everything().grants, HERE, "made by a test")
    with pytest.raises(Denied):
        house.shares.give(program, [STUDY])
    of_link = house.visits.caller(house.open(house.shares.give(house.caller("jane"), [STUDY])).secret, HERE)
    with pytest.raises(Denied):
        house.shares.give(of_link, [STUDY])


@pytest.mark.parametrize("days", [0, 91, -1])
def test_a_life_has_its_bounds(house: ShareHouse, days: int) -> None:
    with pytest.raises(BadInput):
        house.shares.give(house.person(), [STUDY], life=timedelta(days=days))


def test_a_link_has_some_studies_and_a_note_that_can_be_printed(house: ShareHouse) -> None:
    jane = house.person()
    for studies in ([], [f"1.2.{number}" for number in range(21)]):
        with pytest.raises(BadInput):
            house.shares.give(jane, studies)
    for note in ("x" * 201, "\x00", "a\u202eb"):
        with pytest.raises(BadInput):
            house.shares.give(jane, [STUDY], note=note)


def test_what_is_kept_shows_nobody_what_opens_it(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.PIN, note="for the patient")
    visit = house.open(made, made.code)
    with house.store.reading() as connection:
        rows = (
            connection.execute("SELECT * FROM share").fetchall() + connection.execute("SELECT * FROM visit").fetchall()
        )
    for secret in (made.secret, made.code, visit.secret):
        assert secret not in str(rows)
        assert secret not in repr(made)
        assert secret not in repr(visit)
        assert secret.encode() not in house.people.everything_on_disk() or secret == made.code
    everything_said = str([record.event for record in house.people.log.records()])
    for word in (made.secret, made.code, visit.secret, "for the patient"):
        assert word not in everything_said


def test_whoever_lists_sees_their_own_and_who_manages_all(house: ShareHouse) -> None:
    jane, joe, boss = house.person(), house.person("joe"), house.person("boss", Role.ADMIN)
    made = house.shares.give(jane, [STUDY])
    assert [each.id for each in house.shares.list(jane)] == [made.share.id]
    assert house.shares.list(joe) == []
    assert [each.id for each in house.shares.list(boss, everybodys=True)] == [made.share.id]
    with pytest.raises(Denied):
        house.shares.list(joe, everybodys=True)
    for act in (house.shares.get, house.shares.revoke, house.shares.accesses):
        with pytest.raises(NotHere):
            act(joe, made.share.id)
    assert house.shares.revoke(boss, made.share.id).ended
    assert house.closed(made)


# --- numbers --------------------------------------------------------------------------------------


def wrong_code(made: CreatedShare) -> str:
    return "000000" if made.code != "000000" else "111111"


def test_without_the_number_nothing_opens_and_with_it_it_does(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.PIN)
    assert house.visits.open(made.share.id, made.secret, "", ELSEWHERE) == Asks(ShareLock.PIN)
    with pytest.raises(Denied, match="not right"):
        house.visits.open(made.share.id, made.secret, wrong_code(made), ELSEWHERE)
    assert house.open(made, f"{made.code[:3]} {made.code[3:]}")
    assert house.open(made, made.code)


def test_guesses_wait_longer_and_longer_and_then_the_link_ends(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.PIN)
    waits: list[float] = []
    wrong, tries = wrong_code(made), 0
    while tries < 10:
        try:
            house.visits.open(made.share.id, made.secret, wrong, ELSEWHERE)
        except Throttled as error:
            waits.append(error.retry_after)
            with pytest.raises(Throttled):
                house.visits.open(made.share.id, made.secret, made.code, ELSEWHERE)
            house.people.clocks.pass_by(error.retry_after)
        except Denied:
            tries += 1
        except NotHere:
            tries += 1
            break
    assert tries == 10
    assert len(waits) >= 6
    assert waits == sorted(waits)
    house.people.clocks.pass_by(3_600)
    assert house.closed(made), "the right number opens it no more"
    ended = [each for each in house.people.events("signin") if each.outcome is Outcome.ALERT]
    assert len(ended) == 1
    assert made.share.id in ended[0].reason


def test_many_guesses_at_a_time_are_no_more_than_one_by_one(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.PIN)
    wrong = wrong_code(made)

    def guess(_: int) -> str:
        try:
            house.visits.open(made.share.id, made.secret, wrong, ELSEWHERE)
        except (Throttled, Denied, NotHere) as error:
            return type(error).__name__
        return "open"

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(guess, range(64)))
    assert told.count("Denied") == 3, "two are free, the third has the next ones wait"
    assert told.count("Throttled") == 61
    assert house.shares.get(house.caller("jane"), made.share.id).wrong == 3


def test_nobody_ends_a_link_without_its_secret(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.PIN)
    other = house.shares.give(house.caller("jane"), [OTHER])
    for secret in ("", "x" * 43, other.secret, "\x00\udcff", "x" * 10_000):
        for _ in range(5):
            with pytest.raises(NotHere, match="does not open"):
                house.visits.open(made.share.id, secret, "123456", ELSEWHERE)
    assert house.shares.get(house.caller("jane"), made.share.id).wrong == 0
    assert house.open(made, made.code)


def test_a_one_time_code_opens_one_time_even_when_shown_twice_at_once(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY], lock=ShareLock.ONCE)

    def try_it(_: int) -> bool:
        try:
            return isinstance(house.visits.open(made.share.id, made.secret, made.code, ELSEWHERE), OpenedShare)
        except (NotHere, Denied):
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(8))) == 1
    assert house.closed(made)


# --- what is on record, and what comes in -------------------------------------------------------------


def test_what_is_not_on_record_does_not_open(house: ShareHouse) -> None:
    made = house.shares.give(house.person(), [STUDY])
    house.people.log.close()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a closed log says
        house.visits.open(made.share.id, made.secret, "", ELSEWHERE)
    with house.store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM visit").fetchone()[0] == 0


def test_making_opening_and_ending_are_on_record_with_the_study(house: ShareHouse) -> None:
    jane = house.person()
    made = house.shares.give(jane, [STUDY, OTHER])
    house.open(made)
    house.shares.revoke(jane, made.share.id)
    shared = house.people.events("share")
    assert [(each.detail["change"], each.study_uid) for each in shared] == [
        ("create", STUDY), ("create", OTHER), ("revoke", STUDY), ("revoke", OTHER)
    ]  # fmt: skip
    (note,) = house.shares.accesses(jane, made.share.id)
    assert (note.action, note.peer) == ("signin", ELSEWHERE)


def test_a_receive_link_lets_in_and_counts(house: ShareHouse) -> None:
    tech = house.person("tech", Role.TECHNOLOGIST)
    with pytest.raises(BadInput):
        house.shares.receive(tech, note=" ")
    made = house.shares.receive(tech, note="Practice B", most_files=3, most_octets=1_000)
    caller = house.visits.caller(house.open(made).secret, ELSEWHERE)
    assert {action for action in Action if may(caller, action)} == {Action.SUBMIT}
    house.shares.took(made.share.id, 2, 600)
    for files, octets in ((2, 1), (1, 401)):
        with pytest.raises(Full):
            house.shares.took(made.share.id, files, octets)
    house.shares.took(made.share.id, 1, 400)
    share = house.shares.get(tech, made.share.id)
    assert (share.files, share.octets) == (3, 1_000)
    house.shares.revoke(tech, made.share.id)
    with pytest.raises(NotHere):
        house.shares.took(made.share.id, 0, 1)


def test_a_link_of_the_command_line_counts_as_long_as_nobody_ends_it(house: ShareHouse) -> None:
    made = house.shares.give(everything(), [STUDY])
    assert may(house.visits.caller(house.open(made).secret, HERE), Action.GET)
