import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.passphrase import Cost
from leadglass.errors import BadInput, Conflict, Denied, Misconfigured, NotHere
from leadglass.identity.accounts import Accounts, open_accounts
from leadglass.identity.passkeys import LIFE, MOST_KEYS, REFUSED, Passkeys
from leadglass.identity.relying_party import RelyingParty
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role
from tests.callers import device, everything
from tests.identity.conftest import KEY, SEED, Clock
from tests.peers.authenticator import BE, BS, UP, Authenticator, Json, b64, unb64

RP = RelyingParty.of("https://pacs.example.test:8443")
HERE = "10.1.2.3"


@dataclass(frozen=True)
class Site:
    clock: Clock
    log: AuditLog
    accounts: Accounts
    passkeys: Passkeys

    def person(self, name: str = "alice", *, origin: str = "") -> Caller:
        """Give somebody who is signed in."""
        there = self.accounts.people.find(name)
        if there is None:
            there = self.accounts.people.add(everything(), name, Role.RADIOLOGIST, origin=origin)
        opened = self.accounts.sessions.open(there, HERE, "a test")
        return self.accounts.sessions.caller(opened.secret, HERE)

    def key(self, caller: Caller, **claims: object) -> Authenticator:
        """Register a key for somebody."""
        key = Authenticator(RP.origin, RP.id)
        self.passkeys.finish_registration(caller, key.register(self.passkeys.begin_registration(caller)), "my key")
        return replace(key, **claims)  # pyright: ignore[reportArgumentType]

    def sign_in(self, key: Authenticator) -> str:
        return self.passkeys.finish_sign_in(key.sign_in(self.passkeys.begin_sign_in()), HERE).session.name

    def refused(self, answer: str) -> str:
        """Try in vain; gives the true reason, from the record."""
        with pytest.raises(Denied) as error:
            self.passkeys.finish_sign_in(answer, HERE)
        assert error.value.message == REFUSED
        event = self.events()[-1]
        assert (event.outcome, event.action) == (Outcome.REFUSED, "signin")
        return event.reason

    def events(self) -> list[Event]:
        return [record.event for record in self.log.records()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from a_site(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from a_site(tmp_path_factory.mktemp("shared"))


def a_site(tmp_path: Path) -> Iterator[Site]:
    clock = Clock()
    with (
        AuditLog(tmp_path / "audit.db", KEY, SEED, clock=clock) as log,
        open_accounts(tmp_path / "people.db", KEY, log, cost=Cost(8_192, 1, 1), clock=clock) as accounts,
    ):
        refusals = Refusals(log, singly=1_000)
        with Passkeys(
            tmp_path / "passkeys.db", KEY, RP, accounts.people, accounts.sessions, log, refusals, clock=clock
        ) as passkeys:
            yield Site(clock, log, accounts, passkeys)
        refusals.close()


def test_who_registered_a_passkey_signs_in_by_it_alone(site: Site) -> None:
    key = site.key(site.person())
    opened = site.passkeys.finish_sign_in(key.sign_in(site.passkeys.begin_sign_in()), HERE, agent="Firefox")
    caller = site.accounts.sessions.caller(opened.secret, HERE)
    assert (caller.name, caller.evidence) == ("alice", f"passkey {b64(key.id)[:16]}")
    assert [key.label for key in site.passkeys.list("alice")] == ["my key"]
    assert site.passkeys.counts() == {Passkeys.account_of(site.accounts.people.get("alice")): 1}
    site.accounts.people.reset(everything(), "alice")
    assert Passkeys.account_of(site.accounts.people.get("alice")) not in site.passkeys.counts()


def test_registering_and_removing_are_on_record(site: Site) -> None:
    alice = site.person()
    key = site.key(alice)
    site.passkeys.remove(alice, b64(key.id))
    done = [event for event in site.events() if event.action == "account"]
    assert [event.reason for event in done] == ["alice registered a passkey", "alice removed a passkey"]
    assert "not registered" in site.refused(key.sign_in(site.passkeys.begin_sign_in()))


def test_what_is_asked_gives_no_account_away(site: Site) -> None:
    before = site.passkeys.begin_sign_in()
    site.key(site.person())
    after = site.passkeys.begin_sign_in()
    assert before.keys() == after.keys()
    assert not after.get("allowCredentials")
    assert after["userVerification"] == "required"


def test_the_device_is_told_no_name_in_what_it_shows_by_itself(site: Site) -> None:
    options = site.passkeys.begin_registration(site.person())
    user = cast(Json, options["user"])
    assert b"alice" not in unb64(user["id"])


def test_an_answer_counts_once(site: Site) -> None:
    key = site.key(site.person())
    answer = key.sign_in(site.passkeys.begin_sign_in())
    site.passkeys.finish_sign_in(answer, HERE)
    assert "already" in site.refused(answer)


def test_an_answer_that_comes_late_does_not_count(site: Site) -> None:
    key = site.key(site.person())
    answer = key.sign_in(site.passkeys.begin_sign_in())
    site.clock.now += LIFE
    assert "over" in site.refused(answer)


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://pacs.example.test"},
        {"origin": "http://pacs.example.test:8443"},
        {"origin": "https://evil.example.test:8443"},
        {"rp_id": "example.test"},
        {"flags": UP},  # nobody was verified
        {"flags": 0},
        {"flags": 0x04},  # nobody was there
    ],
    ids=str,
)
def test_one_lie_is_enough(site: Site, lie: dict[str, object]) -> None:
    alice = site.person()
    key = site.key(alice)
    assert "proves nothing" in site.refused(
        replace(key, **lie).sign_in(site.passkeys.begin_sign_in())  # pyright: ignore[reportArgumentType]
    )
    liar = replace(Authenticator(RP.origin, RP.id), **lie)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput):
        site.passkeys.finish_registration(alice, liar.register(site.passkeys.begin_registration(alice)), "x")
    assert len(site.passkeys.list("alice")) == 1


def test_a_signature_by_another_key_does_not_count(site: Site) -> None:
    key = site.key(site.person())
    thief = Authenticator(RP.origin, RP.id, id=key.id, handle=key.handle)
    assert "proves nothing" in site.refused(thief.sign_in(site.passkeys.begin_sign_in()))


def test_a_key_of_one_account_is_none_of_anothers(site: Site) -> None:
    alice, bob = site.key(site.person("alice")), site.key(site.person("bob"))
    assert "another account" in site.refused(alice.sign_in(site.passkeys.begin_sign_in(), handle=bob.handle))


def test_a_counter_that_runs_backwards_is_refused_and_told(site: Site) -> None:
    key = site.key(site.person())
    for count in (1, 7):
        assert site.sign_in(replace(key, count=count)) == "alice"
    for count in (7, 3, 0):
        assert "copied" in site.refused(replace(key, count=count).sign_in(site.passkeys.begin_sign_in()))
    alerts = [event for event in site.events() if event.outcome is Outcome.ALERT]
    assert [event.detail["account"] for event in alerts] == ["alice"] * 3
    assert site.sign_in(replace(key, count=8)) == "alice"


def test_who_lacks_the_key_cannot_raise_that_alarm(site: Site) -> None:
    key = site.key(site.person())
    site.sign_in(replace(key, count=7))
    thief = Authenticator(RP.origin, RP.id, id=key.id, handle=key.handle, count=1)
    site.refused(thief.sign_in(site.passkeys.begin_sign_in()))
    assert not [event for event in site.events() if event.outcome is Outcome.ALERT]


def test_a_synced_passkey_has_no_counter_and_is_shown_as_what_it_is(site: Site) -> None:
    alice = site.person()
    key = Authenticator(RP.origin, RP.id, flags=0x05 | BE | BS)
    site.passkeys.finish_registration(alice, key.register(site.passkeys.begin_registration(alice)), "")
    for _ in range(2):
        assert site.sign_in(key) == "alice"
    (shown,) = site.passkeys.list("alice")
    assert (shown.is_synced, shown.label, shown.used) == (True, "passkey", site.clock.now)


@pytest.mark.parametrize("change", ["reset", "lock", "remove", "made anew"])
def test_a_passkey_ends_with_the_account_as_it_was(site: Site, change: str) -> None:
    key = site.key(site.person())
    people = site.accounts.people
    changes: dict[str, Callable[[], object]] = {
        "reset": lambda: people.reset(everything(), "alice"),
        "lock": lambda: people.lock(everything(), "alice"),
        "remove": lambda: people.remove(everything(), "alice"),
    }
    if change == "made anew":
        people.remove(everything(), "alice")
        site.clock.now += timedelta(seconds=1)
        people.add(everything(), "alice", Role.ADMIN)
    else:
        changes[change]()
    site.refused(key.sign_in(site.passkeys.begin_sign_in()))
    if change != "lock":
        assert site.passkeys.list("alice") == []


def test_who_a_provider_vouches_for_has_no_passkey_here(site: Site) -> None:
    carol = site.person("carol", origin="https://op.example.test#1")
    with pytest.raises(Denied, match="provider"):
        site.passkeys.begin_registration(carol)


def test_only_people_have_passkeys(site: Site) -> None:
    for caller in (device("CT1"), everything()):
        with pytest.raises(Denied):
            site.passkeys.begin_registration(caller)


def test_a_registration_ends_in_the_session_that_began_it(site: Site) -> None:
    alice = site.person()
    key = Authenticator(RP.origin, RP.id)
    answer = key.register(site.passkeys.begin_registration(alice))
    for other in (site.person("alice"), site.person("bob")):
        with pytest.raises(Denied):
            site.passkeys.finish_registration(other, answer, "x")
    with pytest.raises(Denied):
        site.passkeys.finish_registration(alice, key.register(site.passkeys.begin_sign_in() | USER), "x")
    assert site.passkeys.finish_registration(alice, answer, "x").person == "alice"
    with pytest.raises(Denied):
        site.passkeys.finish_registration(alice, answer, "x")


USER: Json = {"user": {"id": "AAAA"}}


def test_a_passkey_is_registered_once(site: Site) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    key = site.key(alice)
    options = site.passkeys.begin_registration(alice)
    assert options["excludeCredentials"] == [{"id": b64(key.id), "type": "public-key"}]
    with pytest.raises(Conflict):
        site.passkeys.finish_registration(bob, key.register(site.passkeys.begin_registration(bob)), "x")


def test_nobody_removes_anothers_passkey(site: Site) -> None:
    key = site.key(site.person("alice"))
    with pytest.raises(NotHere):
        site.passkeys.remove(site.person("bob"), b64(key.id))
    assert site.sign_in(key) == "alice"


def test_an_account_has_so_many_passkeys_and_no_more(site: Site) -> None:
    alice = site.person()
    for _ in range(MOST_KEYS):
        site.key(alice)
    with pytest.raises(Conflict, match="at most"):
        site.key(alice)


@given(text=st.text(max_size=50))
def test_any_text_is_refused(text: str, shared: Site) -> None:
    shared.refused(text)


def test_an_answer_cut_or_changed_anywhere_is_refused(site: Site) -> None:
    key = site.key(site.person())
    whole = json.loads(key.sign_in(site.passkeys.begin_sign_in()))
    for name in whole["response"]:
        for value in ("", "AAAA", whole["response"][name][:-4], 7, None, "[" * 9_000):
            if (name, value) in {("userHandle", ""), ("userHandle", None)}:
                continue  # it is not demanded: the credential says whose it is
            changed = {**whole, "response": {**whole["response"], name: value}}
            site.refused(json.dumps(changed))
    assert site.passkeys.finish_sign_in(json.dumps(whole), HERE)


@pytest.mark.parametrize("address", ["https://10.1.2.3", "https://[::1]:8443"])
def test_an_address_without_a_name_has_no_passkeys_and_says_so(address: str) -> None:
    with pytest.raises(Misconfigured, match="IP address"):
        RelyingParty.of(address)


@pytest.mark.parametrize("address", ["", "http://pacs.example.test", "pacs.example.test", "https://", "https://a/b"])
def test_what_is_no_public_address_is_refused(address: str) -> None:
    with pytest.raises(Misconfigured, match="address"):
        RelyingParty.of(address)


def test_the_port_belongs_to_the_origin_and_not_to_the_name() -> None:
    assert RelyingParty.of("https://Pacs.example.test:443/") == RelyingParty(
        "pacs.example.test", "https://pacs.example.test"
    )
    assert (RP.id, RP.origin) == ("pacs.example.test", "https://pacs.example.test:8443")
