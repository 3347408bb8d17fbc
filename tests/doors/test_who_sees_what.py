"""Who sees what: one table, asked through every door. A row that one door answers otherwise is a hole.

The callers are those that there can be: devices of each right, every role with
and without a scope, somebody who broke the glass, the command line, and nobody
in particular. Two studies: one that every scope names, one that none does.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.app import App
from leadglass.archive.backroom import Resolution
from leadglass.errors import Denied
from leadglass.identity.share import LOOKING, TAKING, Share, ShareKind, rights_of
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.roles import Role, grants_of
from leadglass.policy.scope import Clause, Condition, Field, Scope
from leadglass.policy.view import View
from tests.callers import device, everything
from tests.doors.cli.clihouse import Cli, cli_on, uid, write_study
from tests.doors.everywhere import Everywhere, Sight, opened

INSIDE, OUTSIDE, ELSEWHERE = "1.2.826.77.1", "1.2.826.77.2", "1.2.826.77.3"
S, M, N, R = Sight.SEEN, Sight.MASKED, Sight.NOT_HERE, Sight.REFUSED

NARROW = Scope.where(Field.STUDY, INSIDE)
SCOPED = "in scope "


def of_role(role: Role, scope: Scope | None = None, *more: Grant) -> Caller:
    return Caller(CallerKind.TOKEN, role.value, (*grants_of(role, scope), *more), "127.0.0.1", "made by a test")


def emergency() -> Grant:
    return Grant(
        frozenset({Action.FIND, Action.GET}), Scope.where(Field.STUDY, OUTSIDE), View.full(), "broke the glass"
    )


CALLERS: dict[str, Caller] = {
    "device echo": device("A", Action.ECHO),
    "device store": device("B", Action.STORE),
    "device find": device("C", Action.FIND),
    "device get": device("D", Action.GET),
    "device of nothing": device("E"),
    **{role.value: of_role(role) for role in Role},
    **{SCOPED + role.value: of_role(role, NARROW) for role in Role},
    "glass broken": of_role(Role.REFERRER, NARROW, emergency()),
    "command line": everything(),
}

#                    find            get           store   delete
#                 in     out     in     out      new     in     out
TABLE: dict[str, tuple[Sight, Sight, Sight, Sight, Sight, Sight, Sight]] = {
    "device echo": (R, R, R, R, R, R, R),
    "device store": (R, R, R, R, S, R, R),
    "device find": (S, S, R, R, R, R, R),
    "device get": (R, R, S, S, R, R, R),
    "device of nothing": (R, R, R, R, R, R, R),
    "admin": (R, R, R, R, R, R, R),
    "radiologist": (S, S, S, S, S, R, R),
    "technologist": (S, S, S, S, S, S, S),
    "referrer": (R, R, R, R, R, R, R),
    "researcher": (M, M, M, M, R, R, R),
    "auditor": (R, R, R, R, R, R, R),
    "service": (S, S, S, S, S, R, R),
    "in scope admin": (R, R, R, R, R, R, R),
    "in scope radiologist": (S, N, S, N, R, R, R),
    "in scope technologist": (S, N, S, N, R, S, N),
    "in scope referrer": (S, N, S, N, R, R, R),
    "in scope researcher": (M, N, M, N, R, R, R),
    "in scope auditor": (R, R, R, R, R, R, R),
    "in scope service": (S, N, S, N, R, R, R),
    "glass broken": (S, S, S, S, R, R, R),
    "command line": (S, S, S, S, S, S, S),
}


def test_the_table_speaks_of_every_caller() -> None:
    assert TABLE.keys() == CALLERS.keys()


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everywhere]:
    with opened(tmp_path_factory.mktemp("everywhere")) as doors:
        for number, caller in enumerate(CALLERS.values()):
            doors.callers[f"CALLER{number}"] = caller
        yield doors


@pytest.fixture(scope="module")
def instances(everywhere: Everywhere) -> dict[str, str]:
    """Store an instance of each study."""
    return {study: everywhere.store(study, PatientID=f"P{study[-1]}") for study in (INSIDE, OUTSIDE)}


def title_of(name: str) -> str:
    return f"CALLER{list(CALLERS).index(name)}"


STATUS = {S: 200, M: 200, N: 404, R: 403}


@pytest.mark.parametrize("name", TABLE)
def test_every_door_gives_the_answer_of_the_table(name: str, everywhere: Everywhere, instances: dict[str, str]) -> None:
    find_in, find_out, get_in, get_out, new, delete_in, delete_out = TABLE[name]
    title = title_of(name)
    for study, found, got in ((INSIDE, find_in, get_in), (OUTSIDE, find_out, get_out)):
        instance = f"/dicom-web/studies/{study}/series/{study}.1/instances/{instances[study]}"
        assert everywhere.c_find(title, study) is found
        assert everywhere.qido(title, study) is found
        assert everywhere.c_get(title, study) is got
        assert everywhere.wado(title, study) is got
        assert everywhere.metadata(title, study) is got
        assert everywhere.wado_uri(title, study, instances[study]) is got
        assert everywhere.status(title, f"{instance}/frames/1") == STATUS[got]
        assert everywhere.status(title, f"{instance}/rendered", "image/png") == STATUS[got]
        assert everywhere.status(title, f"/dicom-web/studies/{study}/bulkdata") in (STATUS[got], 204)
    asker = everything()
    archive = everywhere.house.archive
    rows = ((Action.FIND, find_in, find_out), (Action.GET, get_in, get_out), (Action.DELETE, delete_in, delete_out))
    for action, inside, outside in rows:
        for study, sight in ((INSIDE, inside), (OUTSIDE, outside)):
            allowed, _ = archive.explain(asker, CALLERS[name], action, study)
            assert allowed is (sight in (S, M)), (action, study)
    for study, sight in ((INSIDE, delete_in), (OUTSIDE, delete_out)):
        if sight is not S:
            assert everywhere.delete(title, study) is sight
    new_study = f"{ELSEWHERE}.{title.removeprefix('CALLER')}"
    assert everywhere.c_store(title, f"{new_study}.1") is new
    assert everywhere.stow(title, f"{new_study}.2") is new
    if delete_out is S and new is S:
        assert everywhere.delete(title, f"{new_study}.1") is S
        assert everywhere.qido(title_of("command line"), f"{new_study}.1") is N


def test_nobody_is_told_more_of_what_is_outside_than_of_what_was_never_there(
    everywhere: Everywhere, instances: dict[str, str]
) -> None:
    """The same status, the same body, on every path below a study."""
    title = title_of(SCOPED + "service")
    for path in ("", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/series/1.2/instances/1.3/frames/1"):
        there = everywhere.ask(title, "GET", f"/dicom-web/studies/{OUTSIDE}{path}")
        never = everywhere.ask(title, "GET", f"/dicom-web/studies/1.2.3.4.5.6.7.8{path}")
        assert (there.status_code, there.content) == (never.status_code, never.content)
        assert there.status_code == 404
    assert instances[OUTSIDE]


def test_what_who_may_only_hand_in_sends_is_seen_by_nobody_before_it_was_accepted(everywhere: Everywhere) -> None:
    """By each door and for each caller of the table the study is not here, and then it is what the table says."""
    study = f"{ELSEWHERE}.99"
    grant = Grant(frozenset({Action.SUBMIT}), Scope.everything(), View.full(), "a receive link")
    link = Caller(CallerKind.TOKEN, "link-1", (grant,), "127.0.0.1", "made by a test")
    everywhere.callers["LINK"] = link
    assert everywhere.stow("LINK", study) is S
    assert everywhere.qido("LINK", study) is R
    assert everywhere.wado("LINK", study) is R
    assert everywhere.delete("LINK", study) is R
    archive = everywhere.house.archive
    [kept] = [each for each in archive.quarantine.kept(everything()) if each.study_uid == study]
    for name, row in TABLE.items():
        if SCOPED in name:
            continue
        title = title_of(name)
        assert everywhere.qido(title, study) is (R if row[0] is R else N)
        assert everywhere.wado(title, study) is (R if row[2] is R else N)
        assert everywhere.c_find(title, study) is (R if row[0] is R else N)
        if row[4] is not R and name != "command line" and name != "technologist":
            with pytest.raises(Denied):
                archive.quarantine.look(CALLERS[name], kept.number)
    with pytest.raises(Denied):
        archive.quarantine.look(link, kept.number)
    with pytest.raises(Denied):
        archive.resolve(link, kept.number, Resolution.ACCEPT)
    archive.resolve(CALLERS["technologist"], kept.number, Resolution.ACCEPT)
    for name in ("radiologist", "researcher", "referrer"):
        assert everywhere.qido(title_of(name), study) is TABLE[name][0]
    assert everywhere.qido("LINK", study) is R


def test_who_sees_through_a_mask_cannot_ask_about_what_it_hides(
    everywhere: Everywhere, instances: dict[str, str]
) -> None:
    title = title_of("researcher")
    for key in ("PatientName=Doe*", "PatientID=P1", "AccessionNumber=A1"):
        assert everywhere.status(title, f"/dicom-web/studies?{key}") == 403
    assert everywhere.status(title, "/dicom-web/studies?PatientSex=F") == 200
    assert instances


# --- links -------------------------------------------------------------------


def by_link(role: Role, *studies: str, scope: Scope | None = None, takes: bool = True, masked: bool = False) -> Caller:
    """Give who is here by a link that somebody of a role made."""
    issuer, epoch = of_role(role, scope), datetime(2026, 1, 1, tzinfo=UTC)
    share = Share(
        "0" * 16, ShareKind.GIVE, "person:x", epoch, epoch, studies=studies, may_download=takes, is_masked=masked
    )
    return Caller(CallerKind.LINK, share.id, rights_of(share, issuer), "127.0.0.1", "made by a test")


LINKS: dict[str, tuple[Caller, tuple[Sight, Sight, Sight, Sight, Sight, Sight]]] = {
    #                                             find    pictures  images
    #                                            in  out   in  out   in  out
    "to take": (by_link(Role.RADIOLOGIST, INSIDE), (S, N, S, N, S, N)),
    "masked": (by_link(Role.RADIOLOGIST, INSIDE, masked=True), (M, N, S, N, M, N)),
    "to look": (by_link(Role.RADIOLOGIST, INSIDE, takes=False), (N, N, S, N, N, N)),
    "of more than its maker has": (by_link(Role.RADIOLOGIST, INSIDE, OUTSIDE, scope=NARROW), (S, N, S, N, S, N)),
    "of two": (by_link(Role.RADIOLOGIST, INSIDE, OUTSIDE), (S, S, S, S, S, S)),
    "of who may not take out": (by_link(Role.TECHNOLOGIST, INSIDE), (N, N, R, R, N, N)),
    "of who sees no image": (by_link(Role.ADMIN, INSIDE), (N, N, R, R, N, N)),
}
"""On the web a link reaches what is listed for links; the rest is not here, which tells less than a refusal."""


@pytest.mark.parametrize("name", LINKS)
def test_a_link_sees_what_the_table_says(name: str, everywhere: Everywhere, instances: dict[str, str]) -> None:
    caller, (find_in, find_out, look_in, look_out, get_in, get_out) = LINKS[name]
    everywhere.callers["LINK"] = caller
    for study, found, looked, got in ((INSIDE, find_in, look_in, get_in), (OUTSIDE, find_out, look_out, get_out)):
        instance = f"/dicom-web/studies/{study}/series/{study}.1/instances/{instances[study]}"
        answer = everywhere.status("LINK", f"/dicom-web/studies?StudyInstanceUID={study}")
        assert (everywhere.qido("LINK", study) if answer == 200 else N) is found
        for path in (f"{instance}/rendered", f"{instance}/frames/1/rendered", f"/dicom-web/studies/{study}/rendered"):
            assert everywhere.status("LINK", path, "image/png") == STATUS[looked], path
        assert everywhere.status("LINK", f"/dicom-web/studies/{study}/thumbnail") == STATUS[looked]
        assert everywhere.wado("LINK", study) is got
        assert everywhere.metadata("LINK", study) is got
        assert everywhere.status("LINK", f"{instance}/frames/1") == STATUS[got]
        assert everywhere.wado_uri("LINK", study, instances[study]) is N
        assert everywhere.delete("LINK", study) is N
    explain, asker = everywhere.house.archive.explain, everything()
    for action in set(Action) - LOOKING - TAKING:
        assert not any(explain(asker, caller, action, study)[0] for study in (INSIDE, OUTSIDE, ""))
    for study, looked, got in ((INSIDE, look_in, get_in), (OUTSIDE, look_out, get_out)):
        assert explain(asker, caller, Action.GET, study)[0] is (got in (S, M))
        assert explain(asker, caller, Action.EXPORT, study)[0] is (got in (S, M))
        may_look = explain(asker, caller, Action.LOOK, study)[0] or explain(asker, caller, Action.GET, study)[0]
        assert may_look is (looked is S)
    stow = everywhere.ask("LINK", "POST", "/dicom-web/studies", "application/dicom+json", content=b"")
    assert stow.status_code == 404
    assert everywhere.c_store("LINK", f"{ELSEWHERE}.99") is R


# --- any grants ---------------------------------------------------------------

STUDIES = tuple(f"1.2.826.78.{number}" for number in range(1, 7))
PATIENTS = ("P1", "P2", "P3")


def conditions() -> st.SearchStrategy[Condition]:
    return st.one_of(
        st.frozensets(st.sampled_from(STUDIES), max_size=3).map(lambda values: Condition(Field.STUDY, values)),
        st.frozensets(st.sampled_from((*PATIENTS, "")), max_size=2).map(lambda v: Condition(Field.PATIENT, v)),
        st.frozensets(st.sampled_from(("test", "other")), max_size=1).map(lambda v: Condition(Field.SOURCE, v)),
    )


def scopes() -> st.SearchStrategy[Scope]:
    clauses = st.frozensets(conditions(), max_size=2).map(lambda found: Clause(found))
    return st.frozensets(clauses, max_size=3).map(lambda found: Scope(found))


def grants() -> st.SearchStrategy[Grant]:
    actions = st.frozensets(st.sampled_from([Action.FIND, Action.GET, Action.STORE]), min_size=1)
    return st.builds(_drawn, actions, scopes())


def _drawn(actions: frozenset[Action], scope: Scope) -> Grant:
    return Grant(actions, scope, View.full(), "drawn")


@pytest.fixture(scope="module")
def many(everywhere: Everywhere) -> Everywhere:
    for number, study in enumerate(STUDIES):
        everywhere.store(study, PatientID=PATIENTS[number % 3] if number < 5 else None)
    return everywhere


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(grants(), max_size=3))
def test_any_grants_show_the_same_studies_through_every_door_and_in_python(
    drawn: list[Grant], many: Everywhere
) -> None:
    caller = Caller(CallerKind.PERSON, "drawn", tuple(drawn), "127.0.0.1", "made by a test")
    many.callers["DRAWN"] = caller
    counted = [grant for grant in drawn if Action.FIND in grant.actions and not grant.scope.is_nothing]
    archive = many.house.archive
    explained = {study for study in STUDIES if archive.explain(everything(), caller, Action.FIND, study)[0]}
    by_dimse, by_web = many.every_c_find("DRAWN"), many.every_qido("DRAWN")
    assert by_dimse == by_web
    if not counted:
        assert by_web is None
        assert not explained
    else:
        assert by_web is not None
        assert by_web & set(STUDIES) == explained


# --- the command line ---------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    App().initialise(tmp_path / "data")
    return cli_on(tmp_path / "data", capsys)


def test_the_command_line_explains_what_the_table_says(cli: Cli, tmp_path: Path) -> None:
    """``policy explain`` for tokens as they are made, and what has ended explains no more."""
    cli.do("import", *write_study(tmp_path / "a", study=1, series=1, instances=1))
    cli.do("import", *write_study(tmp_path / "b", study=2, series=1, instances=1))
    inside, outside = uid(1), uid(2)

    def explains(name: str, action: str, study: str) -> bool:
        return cli("policy", "explain", "--caller", name, "--action", action, "--study", study).code == 0

    for role in Role:
        cli.do("token", "create", role.value, "--role", role.value)
        cli.do("token", "create", f"narrow-{role.value}", "--role", role.value, "--scope", f"study={inside}")
        for name, row in ((role.value, TABLE[role.value]), (f"narrow-{role.value}", TABLE[SCOPED + role.value])):
            assert explains(f"token:{name}", "find", inside) is (row[0] in (S, M))
            assert explains(f"token:{name}", "find", outside) is (row[1] in (S, M))
            assert explains(f"token:{name}", "get", outside) is (row[3] in (S, M))
    cli.do("token", "revoke", "service")
    assert not explains("token:service", "find", inside)
    cli.do("user", "add", "j.doe", "--role", "radiologist")
    assert explains("person:j.doe", "get", outside)
    cli.do("user", "lock", "j.doe")
    assert not explains("person:j.doe", "get", outside)
    assert cli("export", "--study", outside, "--out", tmp_path / "out").code == 0
    assert cli("export", "--study", "1.2.3", "--out", tmp_path / "none").code == 1
