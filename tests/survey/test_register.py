"""Register: findings are followed exactly, by what runs prove and people say."""

from collections.abc import Generator
from dataclasses import replace
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.errors import BadInput, Conflict, NotHere
from leadglass.survey.entries import Asset, owner_of
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Vantage
from tests.survey.followed import QUERIES, STRANGERS, Followed, followed, found

DAY = date(2026, 3, 1)
HERE = ("192.0.2.10", 104)


@pytest.fixture
def kept(tmp_path: Path) -> Generator[Followed]:
    """Give an empty folder of surveys."""
    made = followed(tmp_path)
    yield made
    made.state.close()


def _told_and_fixed(kept: Followed) -> None:
    kept.register.told("192.0.2.10:104", "a nurse", "", DAY)
    kept.register.fixed("192.0.2.10", "a nurse", "", DAY)


def test_the_way_of_a_finding_from_open_to_regressed(kept: Followed) -> None:
    _, tally = kept.run([found()])
    assert (tally.new, tally.gone) == (1, 0)
    assert kept.standings() == ["open"]
    kept.register.told("192.0.2.10", "a nurse", "by telephone", DAY)
    assert kept.standings() == ["told"]
    kept.register.fixed("192.0.2.10:104", "a nurse", "", DAY)
    assert kept.standings() == ["fixed-unverified"]
    _, tally = kept.run([], day=DAY + timedelta(days=7))
    assert (tally.new, tally.gone, tally.back) == (0, 1, 0)
    assert kept.standings() == ["fixed-verified"]
    _, tally = kept.run([found()], day=DAY + timedelta(days=30))
    assert (tally.new, tally.gone, tally.back) == (0, 0, 1)
    assert kept.standings() == ["regressed"]
    entry = kept.register.entries()[0]
    assert [(each.was, each.became) for each in kept.register.steps(entry)] == [
        ("", "open"),
        ("open", "told"),
        ("told", "fixed-unverified"),
        ("fixed-unverified", "fixed-verified"),
        ("fixed-verified", "regressed"),
    ]
    assert (entry.since, entry.first_seen, entry.due) == (
        DAY + timedelta(days=30), DAY, DAY + timedelta(days=37)
    )  # fmt: skip


def test_new_and_gone_are_counted_apart(kept: Followed) -> None:
    kept.run([found()])
    _, tally = kept.run([found(port=11112)])
    assert (tally.new, tally.gone, tally.still) == (1, 1, 0)


def test_what_is_still_there_is_told_and_not_fixed(kept: Followed) -> None:
    kept.run([found()])
    _told_and_fixed(kept)
    entry = kept.register.entries()[0]
    kept.state.connection.execute("UPDATE entry SET said = '2020-01-01T00:00:00+00:00'")  # long before the next run
    _, tally = kept.run([found()])
    assert kept.standings() == ["told"]
    assert tally.still == 1
    assert entry.standing == "fixed-unverified"


def test_what_is_said_to_be_fixed_while_a_run_goes_on_is_not_contradicted_by_it(kept: Followed) -> None:
    kept.run([found()])
    _told_and_fixed(kept)
    kept.state.connection.execute("UPDATE entry SET said = '2999-01-01T00:00:00+00:00'")  # after the run began
    kept.run([found()])
    assert kept.standings() == ["fixed-unverified"]


@pytest.mark.parametrize(
    "blind",
    [
        {"looked": [("192.0.2.77", 104)]},
        {"checks": [STRANGERS]},
        {"untested": [QUERIES]},
        {"unproven": [QUERIES]},
        {"looked": [], "shut": [HERE]},
        {"looked": [], "stopped": True},
    ],
    ids=["another host", "another check", "not to its end", "what it builds on failed", "line down", "stopped before"],
)
def test_a_run_that_did_not_look_proves_nothing(kept: Followed, blind: dict[str, list[tuple[str, int]]]) -> None:
    kept.run([found()])
    _told_and_fixed(kept)
    _, tally = kept.run([], **blind)  # pyright: ignore[reportArgumentType] - one of the arguments each
    assert kept.standings() == ["fixed-unverified"]
    assert (tally.new, tally.gone, tally.still) == (0, 0, 0)


@pytest.mark.parametrize("heard", [{"looked": [("192.0.2.77", 80)]}, {"looked": [], "heard": True}])
def test_a_port_that_is_shut_is_closed_where_the_line_was_up(kept: Followed, heard: dict[str, bool]) -> None:
    kept.run([found()])
    _told_and_fixed(kept)
    kept.run([], shut=[HERE], **heard)  # pyright: ignore[reportArgumentType] - one of the arguments each
    assert kept.standings() == ["fixed-verified"]


def test_what_a_stopped_run_did_look_at_counts(kept: Followed) -> None:
    kept.run([found(), found("192.0.2.11")])
    kept.run([], looked=[HERE], stopped=True)
    assert sorted((each.address, each.standing.value) for each in kept.register.entries()) == [
        ("192.0.2.10", "gone"), ("192.0.2.11", "open"),
    ]  # fmt: skip


def test_a_run_is_concluded_once_for_each_finding(kept: Followed) -> None:
    run, first = kept.run([found()])
    _told_and_fixed(kept)
    assert kept.register.conclude(run, DAY) == first
    assert kept.standings() == ["fixed-unverified"]


def test_what_one_vantage_sees_says_nothing_of_another(kept: Followed) -> None:
    kept.run([found()])
    kept.scope = replace(kept.scope, vantage=Vantage.INTERNET)
    kept.run([])
    assert kept.standings() == ["open"]
    kept.run([found(vantage=Vantage.INTERNET)])
    assert sorted((each.vantage, each.standing.value) for each in kept.register.entries()) == [
        ("internal", "open"), ("internet", "open"),
    ]  # fmt: skip


def test_an_archive_that_now_turns_strangers_away_is_closed_though_it_answers(kept: Followed) -> None:
    kept.run([found(check=STRANGERS, exposure=Exposure.E2)])
    _told_and_fixed(kept)
    _, tally = kept.run([found(check=STRANGERS, exposure=Exposure.E1)])
    assert kept.standings() == ["fixed-verified"]
    assert tally.gone == 1
    _, tally = kept.run([found(check=STRANGERS, exposure=Exposure.E1)])
    assert (kept.standings(), tally.back) == (["fixed-verified"], 0)
    _, tally = kept.run([found(check=STRANGERS, exposure=Exposure.E2)])
    assert (kept.standings(), tally.back) == (["regressed"], 1)


def test_an_archive_that_turns_strangers_away_is_still_to_be_closed_where_the_internet_reaches_it(
    kept: Followed,
) -> None:
    kept.scope = replace(kept.scope, vantage=Vantage.INTERNET)
    kept.run([found(check=STRANGERS, exposure=Exposure.E2, vantage=Vantage.INTERNET)])
    _, tally = kept.run([found(check=STRANGERS, exposure=Exposure.E1, vantage=Vantage.INTERNET)])
    assert (kept.standings(), tally.gone, tally.still) == (["open"], 0, 1)


def test_what_turns_strangers_away_is_nothing_to_follow(kept: Followed) -> None:
    kept.run([found(exposure=Exposure.E1)])
    assert kept.standings() == []


def test_what_is_accepted_stays_so_until_its_day_though_it_is_seen(kept: Followed) -> None:
    kept.run([found()])
    kept.register.accept("192.0.2.10", "the head", "replaced in spring", DAY + timedelta(days=30), DAY)
    kept.run([found()], day=DAY + timedelta(days=30))
    assert kept.standings() == ["accepted"]
    kept.register.expire(DAY + timedelta(days=31))
    assert kept.standings() == ["open"]
    assert kept.register.steps(kept.register.entries()[0])[-1].note == "the acceptance ended"


def test_people_cannot_say_what_makes_no_sense(kept: Followed) -> None:
    kept.run([found()])
    register = kept.register
    with pytest.raises(BadInput):
        register.accept("192.0.2.10", "me", " ", DAY + timedelta(days=3), DAY)
    with pytest.raises(Conflict):
        register.accept("192.0.2.10", "me", "why not", DAY, DAY)
    for nobody in ("192.0.2.99", "192.0.2.10:105", "ffff", "", "*", "' OR 1=1 --", found().id[:5]):
        with pytest.raises(NotHere):
            register.told(nobody, "me", "", DAY)
    kept.run([])
    for move in (register.told, register.fixed):
        with pytest.raises(Conflict):
            move("192.0.2.10", "me", "", DAY)
    assert kept.standings() == ["gone"]


def test_a_finding_is_named_by_the_beginning_of_its_id(kept: Followed) -> None:
    kept.run([found(), found(port=11112)])
    assert [each.port for each in kept.register.told(found().id[:8], "me", "", DAY)] == [104]


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "\u202egnp.exe", "x" * 201, "nul\0"])
def test_what_people_write_is_one_printable_line(kept: Followed, text: str) -> None:
    kept.run([found()])
    with pytest.raises(BadInput):
        kept.register.told("192.0.2.10", text, "", DAY)
    with pytest.raises(BadInput):
        kept.register.told("192.0.2.10", "me", text, DAY)
    for asset in ({"unit": text}, {"owner": text}, {"contact": text}):
        with pytest.raises(BadInput):
            kept.register.assign(Asset(ip_network("192.0.2.0/24"), 0, **asset))
    assert kept.standings() == ["open"]


def test_the_narrowest_assignment_holds_and_the_wider_fills_in(kept: Followed) -> None:
    register = kept.register
    register.assign(Asset(ip_network("192.0.2.0/24"), 0, "Clinic", "IT", "4711"))
    register.assign(Asset(ip_network("192.0.2.10"), 0, "Radiology"))
    register.assign(Asset(ip_network("192.0.2.10"), 8042, owner="Vendor"))
    register.assign(Asset(ip_network("192.0.2.10"), 0, contact="4712"))  # what is empty stays
    assets = register.assets()

    def of(address: str, port: int) -> tuple[str, str, str]:
        asset = owner_of(assets, address, port)
        assert asset is not None
        return asset.unit, asset.owner, asset.contact

    assert of("192.0.2.10", 104) == ("Radiology", "IT", "4712")
    assert of("192.0.2.10", 8042) == ("Radiology", "Vendor", "4712")
    assert of("192.0.2.11", 104) == ("Clinic", "IT", "4711")
    assert owner_of(assets, "198.51.100.1", 104) is None
    assert owner_of(assets, "2001:db8::1", 104) is None


def test_a_retest_looks_where_something_is_to_be_closed_and_nowhere_else(kept: Followed) -> None:
    kept.run([found(), found("192.0.2.11"), found("192.0.2.12"), found("192.0.2.13")])
    kept.register.fixed("192.0.2.11", "me", "", DAY)
    kept.register.accept("192.0.2.12", "me", "it goes soon", DAY + timedelta(days=90), DAY)
    kept.run([found(), found("192.0.2.11")], looked=[("192.0.2.13", 104)])

    def wanted(day: date, *, due_only: bool) -> list[str]:
        return sorted(each[0] for each in kept.register.to_retest(day, due_only=due_only, vantage="internal"))

    assert wanted(DAY, due_only=False) == ["192.0.2.10", "192.0.2.11"]
    assert wanted(DAY + timedelta(days=6), due_only=True) == []
    assert wanted(DAY + timedelta(days=7), due_only=True) == ["192.0.2.10", "192.0.2.11"]
    assert wanted(DAY + timedelta(days=91), due_only=False) == ["192.0.2.10", "192.0.2.11", "192.0.2.12"]


_HOSTS = [f"192.0.2.{number}" for number in (10, 11, 12)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sets(st.sampled_from(_HOSTS)), st.sets(st.sampled_from(_HOSTS))), min_size=1, max_size=6))
def test_whatever_runs_see_the_tallies_add_up_to_the_register(
    tmp_path: Path, runs: list[tuple[set[str], set[str]]]
) -> None:
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    kept = followed(folder)
    there: dict[str, bool] = {}
    try:
        for seen, looked in runs:
            before = dict(there)
            _, tally = kept.run(map(found, sorted(seen)), looked=[(each, 104) for each in sorted(looked)])
            there |= dict.fromkeys(looked & set(there), False)
            there |= dict.fromkeys(seen, True)
            assert tally.new == len(seen - set(before))
            assert tally.back == sum(not before[each] for each in seen & set(before))
            assert tally.gone == sum(before[each] for each in (looked - seen) & set(before))
        entries = {each.address: each.standing.value for each in kept.register.entries()}
        assert set(entries) == set(there)
        assert {each for each, standing in entries.items() if standing in {"open", "regressed"}} == {
            each for each, is_there in there.items() if is_there
        }
    finally:
        kept.state.close()
