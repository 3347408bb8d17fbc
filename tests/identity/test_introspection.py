"""Tokens of another authorization server: a real one, and one that lies."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from leadglass.audit.event import Outcome
from leadglass.audit.log import AuditLog
from leadglass.errors import Busy, Denied, Misconfigured, Throttled
from leadglass.identity.introspection import KEEP, KEEP_NO, MOST_WRONG, Bearers, Introspection, IntrospectionSettings
from leadglass.identity.oidc_mapping import RoleMapping
from leadglass.identity.outbound import Outbound
from leadglass.identity.tokens import Tokens
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.permit import decide
from leadglass.policy.roles import Role
from leadglass.policy.scope import Scope
from leadglass.system import utc_now
from tests.callers import everything
from tests.identity.conftest import KEY, SEED
from tests.peers.liar import Liar, lying
from tests.peers.oidc import ARCHIVE, AUDIENCE, SECRET, Op, running_op

HERE = "10.1.2.3"
SCOPES = RoleMapping.parse(
    ["system/ImagingStudy.read -> service", "patient/ImagingStudy.read -> referrer patient={patient}"], "scopes"
)


@dataclass
class Ticking:
    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@dataclass(frozen=True)
class Desk:
    log: AuditLog
    clock: Ticking
    introspection: Introspection

    def refused(self, text: str = "x", peer: str = HERE) -> str:
        with pytest.raises(Denied) as error:
            self.introspection.caller(text, peer)
        return error.value.message


def settings(endpoint: str) -> IntrospectionSettings:
    return IntrospectionSettings(endpoint, ARCHIVE, SECRET, AUDIENCE, scopes=SCOPES, patient_claim="patient_id")


Desks = Callable[[IntrospectionSettings, Path], Desk]


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    opened: list[Outbound] = []
    with AuditLog(tmp_path / "audit.db", KEY, SEED) as log:

        def make(said: IntrospectionSettings, authority: Path) -> Desk:
            clock = Ticking()
            opened.append(Outbound(authority, patience=60.0))
            return Desk(log, clock, Introspection(said, opened[-1], log, clock=clock))

        yield make
        for each in opened:
            each.close()


# --- a real server ---------------------------------------------------------------


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Op]:
    with running_op(tmp_path_factory.mktemp("op")) as running:
        yield running


@pytest.fixture
def desk(op: Op, desks: Desks) -> Desk:
    return desks(settings(f"{op.issuer}/token/introspection"), op.authority)


def test_a_token_of_the_right_scope_is_a_program_with_that_role(op: Op, desk: Desk) -> None:
    caller = desk.introspection.caller(op.token("system/ImagingStudy.read"), HERE)
    assert (caller.kind, caller.name, caller.peer) == (CallerKind.CLIENT, "smart", HERE)
    assert decide(caller, Action.FIND).scope == Scope.everything()
    with pytest.raises(Denied):
        decide(caller, Action.MANAGE)


def test_its_first_use_is_on_record_and_joins_what_follows(op: Op, desk: Desk) -> None:
    token = op.token("system/ImagingStudy.read")
    first = desk.introspection.caller(token, HERE)
    known = desk.introspection.known(token, HERE)
    assert known is not None
    assert known.session == first.session
    desk.clock.ahead = KEEP
    assert desk.introspection.known(token, HERE) is None  # it is asked about anew …
    assert desk.introspection.caller(token, HERE).session == first.session  # … and is the same work
    (event,) = [record.event for record in desk.log.records()]
    assert (event.action, event.outcome, event.caller) == ("signin", Outcome.PERMITTED, "client:smart")
    assert token not in repr(event)


@pytest.mark.parametrize("scope", ["system/Patient.read"])
def test_a_scope_that_nobody_named_is_nothing(op: Op, desk: Desk, scope: str) -> None:
    assert "scopes" in desk.refused(op.token(scope))


def test_a_token_for_somebody_else_is_nothing(op: Op, desk: Desk) -> None:
    assert "audience" in desk.refused(op.token("system/ImagingStudy.read", audience="https://other.example.test/"))


def test_a_scope_of_a_patient_without_one_covers_nothing(op: Op, desk: Desk) -> None:
    caller = desk.introspection.caller(op.token("patient/ImagingStudy.read"), HERE)
    with pytest.raises(Denied):
        decide(caller, Action.FIND)


def test_a_token_that_was_revoked_ends_within_the_minute(op: Op, desk: Desk) -> None:
    token = op.token("system/ImagingStudy.read")
    assert desk.introspection.caller(token, HERE)
    op.revoke(token)
    desk.clock.ahead = KEEP
    assert desk.introspection.known(token, HERE) is None
    assert "not active" in desk.refused(token)


def test_a_made_up_token_is_nothing_and_a_flood_of_them_does_not_reach_the_server(op: Op, desk: Desk) -> None:
    good = op.token("system/ImagingStudy.read")
    desk.introspection.caller(good, HERE)
    for number in range(MOST_WRONG):
        assert "not active" in desk.refused(f"made up {number}")
    with pytest.raises(Throttled):
        desk.introspection.caller("one more", HERE)
    assert desk.introspection.caller(good, HERE)  # who is known goes on
    assert "not active" in desk.refused("one more", peer="10.9.9.9")
    desk.clock.ahead = timedelta(minutes=1)
    assert "not active" in desk.refused("one more")


def test_the_wrong_secret_lets_nobody_in(op: Op, desks: Desks) -> None:
    said = replace(settings(f"{op.issuer}/token/introspection"), client_secret="wrong")
    with pytest.raises(Busy, match="status 401"):
        desks(said, op.authority).introspection.caller(op.token("system/ImagingStudy.read"), HERE)


# --- one that lies ---------------------------------------------------------------


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liar]:
    with lying(tmp_path_factory.mktemp("liar")) as running:
        yield running


def answer(**changed: object) -> bytes:
    said: dict[str, object] = {
        "active": True,
        "aud": AUDIENCE,
        "client_id": "smart",
        "exp": utc_now().timestamp() + 600,
        "scope": "patient/ImagingStudy.read launch",
        "patient_id": "4711",
    }
    return json.dumps({name: value for name, value in (said | changed).items() if value is not None}).encode()


@pytest.fixture
def lied(liar: Liar, desks: Desks) -> Callable[..., Caller]:
    desk = desks(settings(liar.url + "/introspect"), liar.authority)
    number = iter(range(1_000))

    def ask(**changed: object) -> Caller:
        liar.says(answer(**changed))
        return desk.introspection.caller(f"token {next(number)}", f"10.{next(number)}.1.1")

    return ask


def test_the_patient_a_token_names_is_the_one_it_is_for(lied: Callable[..., Caller]) -> None:
    assert decide(lied(), Action.GET).scope == Scope.patients("4711")
    assert lied(sub="u-17").name == "smart/u-17"


def test_the_patient_is_of_the_issuers_that_the_operator_named(liar: Liar, desks: Desks) -> None:
    line = "patient/ImagingStudy.read -> referrer patient={patient} patient@HOSPA={patient} patient@HOSPB=1"
    asking = replace(settings(liar.url + "/introspect"), scopes=RoleMapping.parse([line], "scopes"))
    desk = desks(asking, liar.authority)
    liar.says(answer())
    named = Scope.patients("4711") | Scope.patients("4711", issuer="HOSPA") | Scope.patients("1", issuer="HOSPB")
    assert decide(desk.introspection.caller("token", HERE), Action.GET).scope == named


@pytest.mark.parametrize("patient", [None, "", "{patient}", "x" * 65, 4711, ["4711"], "a\nb"], ids=repr)
def test_a_patient_that_is_none_is_nothing(lied: Callable[..., Caller], patient: object) -> None:
    with pytest.raises(Denied):
        decide(lied(patient_id=patient), Action.GET)


@pytest.mark.parametrize(
    "changed",
    [
        {"active": False},
        {"active": "true"},
        {"active": 1},
        {"active": None},
        {"aud": None},
        {"aud": [AUDIENCE + "/"]},
        {"exp": None},
        {"exp": "later"},
        {"exp": True},
        {"exp": 1},
        {"exp": 1e300},
        {"nbf": 9e9},
        {"scope": None},
        {"scope": ["system/ImagingStudy.read"]},
        {"scope": "system/ImagingStudy.readX"},
        {"client_id": None},
        {"client_id": {"a": 1}},
        {"cnf": {"jkt": "x"}},
        {"token_type": "DPoP"},
    ],
    ids=str,
)
def test_one_thing_that_is_wrong_is_enough(lied: Callable[..., Caller], changed: dict[str, object]) -> None:
    with pytest.raises(Denied):
        lied(**changed)


def test_a_server_that_answers_rubbish_lets_nobody_in(liar: Liar, desks: Desks) -> None:
    desk = desks(settings(liar.url), liar.authority)
    for body, status in ((b"<html>", "200 OK"), (answer(), "500 Oops"), (answer(), "302 Found"), (b"[]", "200 OK")):
        liar.says(body, status=status)
        with pytest.raises(Busy):
            desk.introspection.caller("x", HERE)


def test_another_issuer_is_another_server(liar: Liar, desks: Desks) -> None:
    desk = desks(replace(settings(liar.url), issuer="https://as.example.test"), liar.authority)
    liar.says(answer(iss="https://other.example.test"))
    assert "issuer" in desk.refused()
    desk.clock.ahead = KEEP_NO
    liar.says(answer(iss="https://as.example.test"))
    assert desk.introspection.caller("x", HERE)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AUDITOR])
def test_nobody_manages_by_a_token_of_somebody_else(liar: Liar, desks: Desks, role: Role) -> None:
    said = replace(settings(liar.url), scopes=RoleMapping.parse([f"x -> {role}"]))
    with pytest.raises(Misconfigured, match="token create"):
        desks(said, liar.authority)


@pytest.mark.parametrize("missing", ["audience", "client_id", "client_secret"])
def test_what_is_needed_has_to_be_said(liar: Liar, desks: Desks, missing: str) -> None:
    with pytest.raises(Misconfigured, match="audience"):
        desks(replace(settings(liar.url), **{missing: ""}), liar.authority)  # pyright: ignore[reportArgumentType]


def test_the_archives_own_tokens_are_never_shown_to_the_other_server(liar: Liar, desks: Desks, tmp_path: Path) -> None:
    desk = desks(settings(liar.url), liar.authority)
    with Tokens(tmp_path / "tokens.db", KEY, desk.log) as own:
        bearers = Bearers(own, desk.introspection)
        secret = own.create(everything(), "viewer", Role.SERVICE, None, timedelta(hours=1)).secret
        before = len(liar.requests)
        assert bearers.caller(secret, HERE).name == "viewer"
        assert bearers.known(secret, HERE) is not None
        own.revoke(everything(), "viewer")
        for wrong in (secret, secret[:-1], "lg_"):
            with pytest.raises(Denied):
                bearers.caller(wrong, HERE)
        assert len(liar.requests) == before
        liar.says(answer())
        assert bearers.caller("another", HERE).kind is CallerKind.CLIENT
