import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.event import Outcome
from leadglass.crypto.database import open_sealed
from leadglass.errors import BadInput, Conflict, Denied, NotHere
from leadglass.identity import token_text
from leadglass.identity.token_store import LONGEST_LIFE
from leadglass.identity.tokens import TokenRefused, Tokens, Why
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind
from leadglass.policy.permit import decide
from leadglass.policy.roles import IMAGE_ACTIONS, Role
from leadglass.policy.scope import Scope
from tests.callers import device, everything
from tests.identity.conftest import KEY, House

HOUR = timedelta(hours=1)
HERE = "10.1.2.3"
PATIENT = Scope.patients("4711")


@pytest.fixture
def tokens(house: House) -> Iterator[Tokens]:
    with another(house) as made:
        yield made


def another(house: House) -> Tokens:
    """Open the same tokens as another process does."""
    return Tokens(house.folder / "tokens.db", KEY, house.log, clock=house.clock)


def create(tokens: Tokens, name: str = "viewer", role: Role = Role.SERVICE, scope: Scope | None = None) -> str:
    return tokens.create(everything(), name, role, scope, HOUR).secret


def refused(tokens: Tokens, text: str) -> Why:
    with pytest.raises(TokenRefused) as error:
        tokens.caller(text, HERE)
    return error.value.why


def test_a_token_proves_the_program_it_was_made_for(tokens: Tokens) -> None:
    caller = tokens.caller(create(tokens), HERE)
    assert (caller.kind, caller.name, caller.peer) == (CallerKind.TOKEN, "viewer", HERE)
    assert decide(caller, Action.FIND).scope == Scope.everything()
    with pytest.raises(Denied):
        decide(caller, Action.DELETE)


def test_no_brakes_apply_to_a_token_with_bulk_and_its_reason_is_on_record(tokens: Tokens, house: House) -> None:
    braked = tokens.caller(create(tokens), HERE)
    made = tokens.create(everything(), "nightly", Role.RESEARCHER, None, HOUR, bulk=" export of trial 7 ")
    assert not any(grant.bulk for grant in braked.grants)
    with another(house) as opened:
        assert all(grant.bulk for grant in opened.caller(made.secret, HERE).grants)
    assert {token.name: token.bulk for token in tokens.list()} == {"nightly": "export of trial 7", "viewer": ""}
    said = [record.event.detail.get("bulk") for record in house.log.records() if "change" in record.event.detail]
    assert said == [None, "export of trial 7"]


@pytest.mark.parametrize("reason", ["x" * 201, "a\nb", "\x1b[2J"])
def test_a_reason_for_bulk_is_one_short_line(tokens: Tokens, reason: str) -> None:
    with pytest.raises(BadInput, match="bulk"):
        tokens.create(everything(), "nightly", Role.RESEARCHER, None, HOUR, bulk=reason)
    assert tokens.list() == []


def test_the_scope_of_a_token_is_what_it_was_given(tokens: Tokens) -> None:
    caller = tokens.caller(create(tokens, role=Role.REFERRER, scope=PATIENT), HERE)
    assert decide(caller, Action.GET).scope == PATIENT


def test_a_referrers_token_without_a_scope_covers_nothing(tokens: Tokens) -> None:
    caller = tokens.caller(create(tokens, role=Role.REFERRER), HERE)
    for action in Action:
        with pytest.raises(Denied):
            decide(caller, action)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AUDITOR])
def test_no_scope_lets_an_administrators_or_auditors_token_touch_images(tokens: Tokens, role: Role) -> None:
    caller = tokens.caller(create(tokens, role=role, scope=Scope.everything()), HERE)
    for action in IMAGE_ACTIONS:
        with pytest.raises(Denied):
            decide(caller, action)


def test_what_one_process_makes_and_revokes_the_server_knows_at_once(house: House, tokens: Tokens) -> None:
    with another(house) as server:
        secret = create(tokens)
        assert server.caller(secret, HERE).name == "viewer"
        assert server.known(secret, HERE) is not None
        tokens.revoke(everything(), "viewer")
        assert server.known(secret, HERE) is None
        assert refused(server, secret) is Why.REVOKED


def test_a_token_that_was_revoked_does_not_come_back_with_another_of_its_name(tokens: Tokens) -> None:
    old = create(tokens)
    tokens.revoke(everything(), "viewer")
    new = create(tokens)
    assert refused(tokens, old) is Why.REVOKED
    assert tokens.caller(new, HERE).name == "viewer"


def test_a_token_ends_at_its_time_though_nothing_is_written(house: House, tokens: Tokens) -> None:
    secret = create(tokens)
    house.clock.now += HOUR - timedelta(seconds=1)
    tokens.caller(secret, HERE)
    house.clock.now += timedelta(seconds=1)
    assert tokens.known(secret, HERE) is None
    assert refused(tokens, secret) is Why.EXPIRED


def test_the_name_of_a_token_that_ran_out_is_free_again(house: House, tokens: Tokens) -> None:
    old = create(tokens)
    house.clock.now += HOUR
    create(tokens)
    assert refused(tokens, old) is Why.EXPIRED
    assert [token.counts(tokens.now) for token in tokens.list()] == [False, True]


def test_a_token_is_forgotten_a_year_after_its_time(house: House, tokens: Tokens) -> None:
    old = create(tokens, "old")
    house.clock.now += timedelta(days=365)
    create(tokens, "middle")
    assert refused(tokens, old) is Why.EXPIRED
    house.clock.now += timedelta(days=2)
    create(tokens, "new")
    assert refused(tokens, old) is Why.UNKNOWN
    assert [token.name for token in tokens.list()] == ["middle", "new"]


def test_two_tokens_that_count_do_not_share_a_name(tokens: Tokens) -> None:
    secret = create(tokens)
    with pytest.raises(Conflict, match="viewer"):
        create(tokens)
    assert tokens.caller(secret, HERE).name == "viewer"


def test_an_end_is_demanded_and_bounded(tokens: Tokens) -> None:
    for ttl in (timedelta(0), -HOUR, timedelta(seconds=59), LONGEST_LIFE + timedelta(seconds=1), timedelta.max):
        with pytest.raises(BadInput, match="longest_days"):
            tokens.create(everything(), "viewer", Role.SERVICE, None, ttl)
    assert tokens.list() == []


@pytest.mark.parametrize("name", ["", " viewer", "viewer\n", "v" * 65, "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(BadInput):
        create(tokens, name)


def test_the_database_itself_refuses_a_token_without_an_end_and_two_of_a_name(house: House, tokens: Tokens) -> None:
    create(tokens)
    connection = open_sealed(house.folder / "tokens.db", KEY)
    with pytest.raises(Exception, match="NOT NULL"):
        connection.execute("UPDATE token SET until = NULL")
    with pytest.raises(Exception, match="UNIQUE"):
        connection.execute(
            "INSERT INTO token SELECT 'x', name, role, scope, zeroblob(32), made, made_by, until, NULL, NULL FROM token"
        )
    connection.close()


def test_only_a_digest_is_kept_and_the_token_is_shown_nowhere(house: House, tokens: Tokens) -> None:
    created = tokens.create(everything(), "viewer", Role.SERVICE, PATIENT, HOUR)
    connection = open_sealed(house.folder / "tokens.db", KEY)
    (row,) = connection.execute("SELECT * FROM token").fetchall()
    connection.close()
    body = created.secret.removeprefix("lg_")
    for shown in (repr(row), repr(created), repr(tokens.list()), repr(house.log.records())):
        assert body not in shown
        assert body[:20] not in shown


def test_who_may_not_manage_makes_and_revokes_no_token(tokens: Tokens, house: House) -> None:
    secret = create(tokens)
    stranger = device("CT1", Action.STORE)
    with pytest.raises(Denied):
        tokens.create(stranger, "mine", Role.ADMIN, None, HOUR)
    with pytest.raises(Denied):
        tokens.revoke(stranger, "viewer")
    assert tokens.caller(secret, HERE).name == "viewer"
    assert [record.event.outcome for record in house.log.records() if record.event.caller == "device:CT1"] == [
        Outcome.REFUSED,
        Outcome.REFUSED,
    ]


def test_every_change_is_on_record_without_patients(tokens: Tokens, house: House) -> None:
    create(tokens, role=Role.REFERRER, scope=PATIENT)
    tokens.revoke(everything(), "viewer")
    events = [record.event for record in house.log.records()]
    assert [event.detail["change"] for event in events] == ["create token", "revoke token"]
    assert events[0].detail["scope"] == "one patient"
    assert "4711" not in repr(events)


def test_the_first_use_from_each_address_is_on_record_before_it_counts(tokens: Tokens, house: House) -> None:
    secret = create(tokens)
    sessions = {peer: tokens.caller(secret, peer).session for peer in (HERE, "10.1.2.4")}
    for peer, session in sessions.items():
        assert tokens.caller(secret, peer).session == session  # what is done within the hour is joined by it
    signins = [record.event for record in house.log.records() if record.event.action == "signin"]
    assert [(event.peer, event.session, event.outcome) for event in signins] == [
        (peer, session, Outcome.PERMITTED) for peer, session in sessions.items()
    ]
    house.clock.now += timedelta(minutes=59)
    assert tokens.known(secret, HERE) is not None


def test_a_token_does_not_count_while_its_use_cannot_be_recorded(tokens: Tokens, house: House) -> None:
    secret = create(tokens)
    house.log.close()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a closed log says
        tokens.caller(secret, HERE)
    assert tokens.known(secret, HERE) is None


def test_when_a_token_was_last_used_is_kept_without_a_write_for_each_request(house: House, tokens: Tokens) -> None:
    secret = create(tokens)
    before = (house.folder / "tokens.db-wal").stat().st_mtime_ns
    for _ in range(10):
        tokens.caller(secret, HERE)
    assert (house.folder / "tokens.db-wal").stat().st_mtime_ns == before
    (token,) = tokens.list()
    assert token.used is None
    tokens.tidy()
    (token,) = tokens.list()
    assert token.used == house.clock.now


def test_a_slip_of_the_hand_is_told_apart_from_an_unknown_token(tokens: Tokens) -> None:
    secret = create(tokens)
    assert refused(tokens, token_text.make()) is Why.UNKNOWN
    for wrong in ("", "lg_", secret[:-1], secret + "x", secret.swapcase(), " " + secret, "é" * 52, secret + "\n"):
        assert refused(tokens, wrong) is Why.NO_TOKEN


def test_a_name_nobody_has_cannot_be_revoked(tokens: Tokens) -> None:
    with pytest.raises(NotHere, match="token list"):
        tokens.revoke(everything(), "nobody")


def test_threads_may_ask_make_and_revoke_at_once(tokens: Tokens) -> None:
    def live(number: int) -> bool:
        secret = create(tokens, f"t{number}")
        is_known = all(tokens.caller(secret, HERE).name == f"t{number}" for _ in range(20))
        tokens.revoke(everything(), f"t{number}")
        return is_known and refused(tokens, secret) is Why.REVOKED

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(live, range(12)))


def test_a_token_has_256_random_bits_and_the_form_that_scanners_find() -> None:
    made = {token_text.make() for _ in range(200)}
    assert len(made) == 200
    for text in made:
        assert re.fullmatch(token_text.PATTERN, text)
        assert len(token_text.digest(text)) == 32


@given(at=st.integers(0, 51), other=st.sampled_from("0aZ_-é "))
def test_no_changed_character_passes(at: int, other: str) -> None:
    text = token_text.make()
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(BadInput):
            token_text.digest(changed)


@given(text=st.text(max_size=80))
def test_whatever_is_shown_is_a_token_or_said_to_be_none(text: str) -> None:
    with pytest.raises(BadInput):
        token_text.digest(text)


def test_the_tokens_of_a_closed_archive_are_read_again(house: House) -> None:
    with another(house) as first:
        secret = create(first)
        first.caller(secret, HERE)
    with another(house) as second:
        assert second.caller(secret, HERE).name == "viewer"
        assert second.list()[0].used == house.clock.now
