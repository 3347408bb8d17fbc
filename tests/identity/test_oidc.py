"""Single sign-on against a real provider; the test plays the browser."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from leadglass.audit.event import Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import Refusals
from leadglass.crypto.passphrase import Cost
from leadglass.errors import Busy, Denied, Misconfigured
from leadglass.identity.accounts import Accounts, open_accounts
from leadglass.identity.oidc import LIFE, MOST_OF_NETWORK, REFUSED, Answer, Begun, SignOn
from leadglass.identity.oidc_claims import Expected, NotProven, UnknownKey, verify
from leadglass.identity.oidc_mapping import RoleMapping
from leadglass.identity.oidc_provider import AGAIN, OidcSettings, Provider
from leadglass.identity.outbound import Outbound
from leadglass.identity.sessions import OpenedSession
from leadglass.policy.roles import Role
from leadglass.policy.scope import Field, Scope
from leadglass.system import utc_now
from tests.callers import everything
from tests.identity.conftest import KEY, SEED
from tests.peers.oidc import CLIENT, OTHER_CLIENT, REDIRECT, SECRET, Op, running_op

HERE = "10.1.2.3"
GROUPS = RoleMapping.parse(
    ["radiology-readers -> radiologist", "gps-north -> referrer label=north", "gps-south -> referrer label=south"]
)


@dataclass
class Ticking:
    """A clock that a test may put forward."""

    ahead: timedelta = timedelta(0)
    seconds: float = 0.0

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def monotonic(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Site:
    """An archive's side of single sign-on."""

    op: Op
    accounts: Accounts
    provider: Provider
    settings: OidcSettings
    sign_on: SignOn
    clock: Ticking
    log: AuditLog

    def leave(self) -> Begun:
        return self.sign_on.begin(HERE)

    def come_back(self, begun: Begun, query: dict[str, str], *, secret: str | None = None) -> OpenedSession:
        answer = Answer(query.get("state", ""), query.get("code", ""), query.get("iss", ""), query.get("error", ""))
        return self.sign_on.finish(begun.secret if secret is None else secret, answer, HERE)

    def sign_in(self, subject: str) -> OpenedSession:
        begun = self.leave()
        return self.come_back(begun, self.op.sign_in(begun.url, subject))

    def refused(self, begun: Begun, query: dict[str, str], *, secret: str | None = None) -> str:
        """Come back in vain; gives the true reason, from the record."""
        before = len(self.log.records())
        with pytest.raises(Denied) as error:
            self.come_back(begun, query, secret=secret)
        assert error.value.message == REFUSED
        events = [record.event for record in self.log.records()[before:]]
        assert events[-1].outcome is Outcome.REFUSED
        return events[-1].reason


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Op]:
    with running_op(tmp_path_factory.mktemp("op")) as running:
        yield running


@pytest.fixture
def site(op: Op, tmp_path: Path) -> Iterator[Site]:
    yield from a_site(op, tmp_path)


def a_site(op: Op, folder: Path) -> Iterator[Site]:
    clock = Ticking()
    settings = OidcSettings(op.issuer, CLIENT, REDIRECT, SECRET, ("profile", "groups"), groups=GROUPS)
    with (
        AuditLog(folder / "audit.db", KEY, SEED) as log,
        Outbound(op.authority) as outbound,
        open_accounts(folder / "people.db", KEY, log, cost=Cost(8_192, 1, 1)) as accounts,
    ):
        refusals = Refusals(log, singly=1_000)
        provider = Provider(settings, outbound, clock=clock.monotonic)
        sign_on = SignOn(settings, provider, accounts.people, accounts.sessions, refusals, clock=clock)
        yield Site(op, accounts, provider, settings, sign_on, clock, log)
        refusals.close()


def test_who_is_in_a_mapped_group_is_signed_in_with_its_role(site: Site) -> None:
    opened = site.sign_in("sub-alice")
    caller = site.accounts.sessions.caller(opened.secret, HERE)
    assert str(caller) == "person:alice.arzte@example.org"
    person = site.accounts.people.get(caller.name)
    assert (person.role, person.origin, person.has_password) == (Role.RADIOLOGIST, f"{site.op.issuer}#sub-alice", False)
    signed_in = [r.event for r in site.log.records() if r.event.action == "signin"]
    assert [event.outcome for event in signed_in] == [Outcome.PERMITTED]
    assert site.op.issuer in str(signed_in[0].detail["evidence"])
    assert site.sign_in("sub-alice").session.name == person.name  # the same account again
    assert len(site.accounts.people.list()) == 1


@pytest.mark.parametrize("subject", ["sub-bob", "sub-eve"])
def test_who_is_in_no_mapped_group_is_nobody(site: Site, subject: str) -> None:
    begun = site.leave()
    reason = site.refused(begun, site.op.sign_in(begun.url, subject))
    assert "none of the groups" in reason
    assert ("groups_claim" in reason) == (subject == "sub-eve"), (
        "who is sent without groups is told where they come from"
    )
    assert site.accounts.people.list() == []


def test_scopes_of_several_groups_unite(site: Site) -> None:
    name = site.sign_in("sub-carol").session.name
    person = site.accounts.people.get(name)
    assert person.role is Role.REFERRER
    assert person.scope == Scope.where(Field.LABEL, "north", "south")


def test_somebody_of_the_same_name_is_somebody_else(site: Site) -> None:
    site.accounts.people.add(everything(), "carol", Role.ADMIN)
    names = {site.sign_in(subject).session.name for subject in ("sub-carol", "sub-dave")}
    assert len(names) == 2
    assert "carol" not in names
    assert site.accounts.people.get("carol").role is Role.ADMIN


def test_a_role_that_changed_counts_from_the_next_sign_in(site: Site, op: Op) -> None:
    name = site.sign_in("sub-alice").session.name
    fewer = replace(
        site.settings, groups=RoleMapping.parse(["everyone -> researcher", "radiology-readers -> radiologist"])
    )
    object.__setattr__(site.sign_on, "_settings", fewer)
    assert site.sign_in("sub-alice").session.name == name
    assert site.accounts.people.get(name).role is Role.RESEARCHER
    first = site.sign_in("sub-alice")
    object.__setattr__(site.sign_on, "_settings", replace(site.settings, groups=RoleMapping()))
    begun = site.leave()
    site.refused(begun, op.sign_in(begun.url, "sub-alice"))
    with pytest.raises(Denied):  # who lost every group is signed out where it still was in
        site.accounts.sessions.caller(first.secret, HERE)


def test_a_locked_account_stays_locked(site: Site) -> None:
    name = site.sign_in("sub-alice").session.name
    site.accounts.people.lock(everything(), name)
    begun = site.leave()
    assert "locked" in site.refused(begun, site.op.sign_in(begun.url, "sub-alice"))


def test_what_was_begun_in_one_browser_does_not_end_in_another(site: Site) -> None:
    begun, other = site.leave(), site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    assert "another browser" in site.refused(begun, query, secret=other.secret)
    assert "another browser" in site.refused(begun, query, secret="")
    assert site.come_back(begun, query).session.name  # the right one still may


def test_another_state_is_refused(site: Site) -> None:
    begun = site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    for state in ("", "x", query["state"][:-1], query["state"] + "A"):
        assert "not begun" in site.refused(begun, {**query, "state": state})


def test_a_code_counts_once(site: Site) -> None:
    begun = site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    site.come_back(begun, query)
    assert "not begun" in site.refused(begun, query)
    again = site.leave()
    fresh = site.op.sign_in(again.url, "sub-alice")
    assert "invalid_grant" in site.refused(again, {**fresh, "code": query["code"]})


def test_a_code_for_another_browsers_challenge_is_refused_by_the_provider(site: Site) -> None:
    mine, theirs = site.leave(), site.leave()
    stolen = site.op.sign_in(theirs.url, "sub-alice")["code"]
    query = site.op.sign_in(mine.url, "sub-alice")
    assert "invalid_grant" in site.refused(mine, {**query, "code": stolen})  # PKCE


def test_an_answer_of_another_issuer_is_refused(site: Site) -> None:
    for issuer in ("https://evil.example.test", ""):
        begun = site.leave()
        query = site.op.sign_in(begun.url, "sub-alice")
        assert query["iss"] == site.op.issuer
        assert "another provider" in site.refused(begun, {**query, "iss": issuer})


def test_an_error_of_the_provider_signs_nobody_in(site: Site) -> None:
    begun = site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    reason = site.refused(begun, {"state": query["state"], "iss": query["iss"], "error": "access_denied\n<script>"})
    assert "access_deniedscript" in reason


def test_who_takes_too_long_begins_anew(site: Site) -> None:
    begun = site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    site.clock.ahead = LIFE
    assert "too late" in site.refused(begun, query)


def test_a_token_that_expired_is_refused(site: Site) -> None:
    token, nonce = real_token(site, CLIENT)
    keys = site.provider.keys()
    expected = Expected(site.op.issuer, CLIENT, nonce)
    assert verify(token, keys, expected, utc_now())["sub"] == "sub-alice"
    with pytest.raises(NotProven, match="expired"):
        verify(token, keys, expected, utc_now() + timedelta(hours=1))
    with pytest.raises(NotProven, match="clocks"):
        verify(token, keys, expected, utc_now() - timedelta(minutes=5))


def test_a_token_of_another_nonce_audience_or_issuer_is_refused(site: Site) -> None:
    token, nonce = real_token(site, OTHER_CLIENT)
    keys, now = site.provider.keys(), utc_now()
    right = Expected(site.op.issuer, OTHER_CLIENT, nonce)
    assert verify(token, keys, right, now)
    for wrong, reason in (
        (replace(right, client_id=CLIENT), "another client"),
        (replace(right, nonce="other"), "another question"),
        (replace(right, issuer=site.op.issuer + "/"), "another issuer"),
        (replace(right, algorithms=("ES256",)), "algorithm"),
    ):
        with pytest.raises(NotProven, match=reason):
            verify(token, keys, wrong, now)


def real_token(site: Site, client: str) -> tuple[str, str]:
    """Give an ID token that the provider made for one of its clients, and its nonce."""
    verifier, nonce = "v" * 43, "n" * 43
    settings = replace(site.settings, client_id=client)
    with Outbound(site.op.authority) as outbound:
        provider = Provider(settings, outbound)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        url = provider.authorization_url(state="s" * 43, nonce=nonce, challenge=challenge)
        query = site.op.sign_in(url, "sub-alice")
        return provider.exchange(query["code"], verifier).id_token, nonce


def test_new_keys_are_fetched_when_they_are_needed_and_not_at_every_token(site: Site) -> None:
    site.sign_in("sub-alice")
    site.clock.seconds += AGAIN
    site.op.rotate()
    assert site.sign_in("sub-alice").session.name
    site.op.rotate()
    begun = site.leave()
    query = site.op.sign_in(begun.url, "sub-alice")
    assert "does not publish" in site.refused(begun, query)  # twice within AGAIN: not fetched for whoever wants it
    site.clock.seconds += AGAIN
    assert site.sign_in("sub-alice").session.name


def test_a_provider_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "op").mkdir()
    (tmp_path / "site").mkdir()
    with running_op(tmp_path / "op") as op:
        for site in a_site(op, tmp_path / "site"):
            begun = site.leave()
            query = op.sign_in(begun.url, "sub-alice")
            op.process.kill()
            op.process.wait()
            with pytest.raises(Busy, match="cannot be reached"):
                site.come_back(begun, query)
            site.clock.seconds += 4_000
            for _ in range(2):
                with pytest.raises(Busy, match="cannot be reached"):
                    site.leave()
            assert {r.event.outcome for r in site.log.records()} == {Outcome.REFUSED}


@pytest.mark.parametrize("algorithm", ["ES256", "PS256"])
def test_other_algorithms_and_claims_that_come_from_userinfo(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "op").mkdir()
    (tmp_path / "site").mkdir()
    with running_op(tmp_path / "op", algorithm=algorithm, userinfo=True) as op:
        for site in a_site(op, tmp_path / "site"):
            assert site.sign_in("sub-alice").session.name == "alice.arzte@example.org"
            begun = site.leave()
            site.refused(begun, op.sign_in(begun.url, "sub-bob"))


def test_a_provider_with_another_certificate_is_not_asked(site: Site, tmp_path: Path) -> None:
    with Outbound() as outbound, pytest.raises(Busy, match="not trusted"):
        Provider(site.settings, outbound).metadata()


def test_a_provider_that_calls_itself_otherwise_is_not_believed(site: Site) -> None:
    with Outbound(site.op.authority) as outbound, pytest.raises(Busy, match="another name"):
        Provider(replace(site.settings, issuer=site.op.issuer + "/"), outbound).metadata()


@pytest.mark.parametrize("issuer", ["http://localhost:1", "https://", "https://u@host", "https://h/?q", "ftp://h", "h"])
def test_only_an_https_address_is_an_issuer(site: Site, issuer: str) -> None:
    with Outbound(site.op.authority) as outbound, pytest.raises(Misconfigured):
        Provider(replace(site.settings, issuer=issuer), outbound)


def test_one_network_crowds_out_nobody_but_itself(site: Site) -> None:
    elsewhere = site.sign_on.begin("10.9.9.9")
    first = site.leave()
    for _ in range(MOST_OF_NETWORK):
        site.leave()
    assert "not begun" in site.refused(first, {"state": parse_qs(urlsplit(first.url).query)["state"][0]})
    assert site.come_back(elsewhere, site.op.sign_in(elsewhere.url, "sub-alice")).secret


def test_an_unknown_key_is_told_apart(site: Site) -> None:
    token, nonce = real_token(site, CLIENT)
    with pytest.raises(UnknownKey):
        verify(token, [], Expected(site.op.issuer, CLIENT, nonce), utc_now())
