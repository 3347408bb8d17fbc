"""The self-check: kept, on record, accepted until a day, and told what changed."""

from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.audit.event import Event, Outcome
from leadglass.errors import BadInput, Busy, Denied, NotHere
from leadglass.exposure.facts import Facts, Opened, Reach, Running, Stranger
from leadglass.exposure.report import Occasion
from leadglass.exposure.selfcheck import ACTION, LONGEST, SelfCheck, seconds_until
from leadglass.exposure.store import ExposureStore, Mark, ServerNote
from leadglass.identity.os_user import command_line_caller
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import Role, grants_of
from tests.exposure.facts_of import HEALTHY, NOW, days

UNTIL = date(2027, 3, 1)
WHY = "the old CT is replaced in spring"


class House:
    """A self-check over facts that a test sets."""

    def __init__(self, path: Path) -> None:
        self.facts: Facts = HEALTHY
        self.now = NOW
        self.events: list[Event] = []
        self.store = ExposureStore(path / "exposure.db", bytes(32), keep=5, clock=lambda: self.now)
        self.check = SelfCheck(self.store, lambda: replace(self.facts, now=self.now), self.events.append, door="cli")

    def of(self, outcome: Outcome) -> list[Event]:
        return [event for event in self.events if event.action == ACTION and event.outcome is outcome]


@pytest.fixture
def house(tmp_path: Path) -> Generator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


ADMIN = command_line_caller()
READER = Caller(CallerKind.PERSON, "r", grants_of(Role.RADIOLOGIST), "10.1.2.3", "a password")


def test_a_run_is_one_record_and_no_alert_when_all_is_well(house: House) -> None:
    report = house.check.run(Occasion.START)
    assert (report.points, report.is_fine, report.findings) == (100, True, ())
    [event] = house.events
    assert (event.outcome, event.caller, event.detail["points"]) == (Outcome.DONE, "", 100)


def test_what_is_new_and_bad_is_an_alert_once(house: House) -> None:
    house.check.run(Occasion.START)
    house.facts = replace(HEALTHY, doors=(Opened("https", "x:1", Reach.PUBLIC),), backup=None, unreviewed=1)
    house.check.run(Occasion.NIGHT)
    house.check.run(Occasion.NIGHT)
    assert [event.detail["check"] for event in house.of(Outcome.ALERT)] == ["public-listener", "no-backup"]
    assert len(house.of(Outcome.DONE)) == 3


def test_what_gets_worse_is_an_alert_again(house: House) -> None:
    house.facts = replace(HEALTHY, doors=(Opened("dicom", "x:1", Reach.PUBLIC),), backup=NOW - days(3))
    house.check.run(Occasion.NIGHT)
    house.facts = replace(house.facts, backup=NOW - days(30))
    house.check.run(Occasion.NIGHT)
    assert [event.detail["severity"] for event in house.of(Outcome.ALERT)] == ["critical", "high"]


def test_what_is_new_and_what_is_gone_is_told(house: House) -> None:
    house.facts = replace(HEALTHY, unreviewed=1)
    house.check.run(Occasion.NIGHT)
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.NIGHT)
    standing = house.check.standing(ADMIN)
    assert [each.check for each in standing.new] == ["no-backup"]
    assert [each.check for each in standing.gone] == ["unreviewed-emergency"]
    assert [report.points for report in standing.history] == [69, 98]


def test_of_the_first_run_nothing_is_called_new(house: House) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    assert house.check.standing(ADMIN).new == ()


def test_results_are_kept_up_to_their_number(house: House) -> None:
    for _ in range(9):
        house.check.run(Occasion.NIGHT)
    assert [report.number for report in house.check.standing(ADMIN, 50).history] == [9, 8, 7, 6, 5]


def test_an_accepted_finding_costs_nothing_until_its_day_and_is_told_apart(house: House) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    house.check.accept(ADMIN, "no-backup", UNTIL, WHY)
    report = house.check.run(Occasion.ASKED, ADMIN)
    assert (report.points, report.points_without, report.accepted, report.is_fine) == (100, 69, ("no-backup",), True)
    assert report.open == ()
    house.now = datetime(2027, 3, 1, 23, 0, tzinfo=UTC)
    assert house.check.run(Occasion.NIGHT).accepted == ("no-backup",)
    house.now = datetime(2027, 3, 2, 1, 0, tzinfo=UTC)
    assert [each.check for each in house.check.run(Occasion.NIGHT).open if each.check == "no-backup"] == ["no-backup"]


def test_what_gets_worse_than_it_was_accepted_is_open_again(house: House) -> None:
    house.facts = replace(HEALTHY, backup=NOW - days(3))
    house.check.run(Occasion.NIGHT)
    house.check.accept(ADMIN, "no-backup", UNTIL, WHY)
    house.facts = replace(HEALTHY, backup=None)
    assert [each.check for each in house.check.run(Occasion.NIGHT).open] == ["no-backup"]


def test_accepting_is_on_record_with_its_reason_before_it_counts(house: House) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    house.check.accept(ADMIN, "no-backup", UNTIL, f"  {WHY} ")
    event = house.events[-1]
    assert (event.action, event.outcome, event.detail["why"], event.detail["until"]) == (
        Action.MANAGE,
        Outcome.PERMITTED,
        WHY,
        "2027-03-01",
    )
    [kept] = house.check.standing(ADMIN).acceptances
    assert (kept.reason, kept.by, kept.severity) == (WHY, str(ADMIN), "high")


def test_an_acceptance_can_be_withdrawn(house: House) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    house.check.accept(ADMIN, "no-backup", UNTIL, WHY)
    house.check.withdraw(ADMIN, "no-backup")
    assert not house.check.run(Occasion.NIGHT).is_fine
    with pytest.raises(NotHere):
        house.check.withdraw(ADMIN, "no-backup")


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        (NOW.date() - timedelta(days=1), WHY),
        (NOW.date() + LONGEST + timedelta(days=1), WHY),
        (UNTIL, "short"),
        (UNTIL, "x" * 201),
        (UNTIL, "two\nlines of it"),
        (UNTIL, " " * 50),
    ],
)
def test_an_acceptance_needs_a_near_day_and_a_reason(house: House, until: date, reason: str) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    with pytest.raises(BadInput):
        house.check.accept(ADMIN, "no-backup", until, reason)
    assert house.check.standing(ADMIN).acceptances == ()


def test_what_was_not_found_is_not_accepted(house: House) -> None:
    house.check.run(Occasion.START)
    with pytest.raises(NotHere):
        house.check.accept(ADMIN, "no-backup", UNTIL, WHY)


def test_who_does_not_manage_hears_nothing(house: House) -> None:
    house.facts = replace(HEALTHY, backup=None)
    house.check.run(Occasion.START)
    for refused in (
        lambda: house.check.run(Occasion.ASKED, READER),
        lambda: house.check.standing(READER),
        lambda: house.check.accept(READER, "no-backup", UNTIL, WHY),
        lambda: house.check.withdraw(READER, "no-backup"),
    ):
        with pytest.raises(Denied):
            refused()
        assert house.events[-1].outcome is Outcome.REFUSED
    assert len(house.check.standing(ADMIN).history) == 1


def test_a_run_that_cannot_be_put_on_record_is_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_event: Event) -> None:
        raise NotHere("The log is gone.")

    monkeypatch.setattr(house.check, "_append", fail)
    with pytest.raises(NotHere):
        house.check.run(Occasion.NIGHT)
    assert house.store.newest(5) == []


def test_when_the_archive_ends_no_look_begins(house: House) -> None:
    house.check.end()
    with pytest.raises(Busy):
        house.check.run(Occasion.NIGHT)
    assert house.events == []


def test_marks_are_kept_with_their_time(house: House) -> None:
    assert house.store.marked(Mark.BACKUP) is None
    house.check.backed_up()
    house.check.verified(0)
    house.now = NOW + days(1)
    house.check.checked(3)
    marks = [house.store.marked(mark) for mark in Mark]
    assert [(mark.when, mark.faults) for mark in marks if mark] == [(NOW, 0), (NOW, 0), (NOW + days(1), 3)]


def test_what_the_server_says_of_itself_lies_there_for_the_command_line(house: House) -> None:
    assert house.store.server() is None
    note = ServerNote(
        Running(NOW, "1.0", "s"), (Opened("https", "[::1]:443", Reach.LOCAL),), (Stranger("10.9.9.9", 2, NOW),)
    )
    house.store.note_server(note)
    assert house.store.server() == note
    house.store.note_server(None)
    assert house.store.server() is None


@pytest.mark.parametrize(
    ("at", "now", "hours"),
    [("03:30", "2026-11-22T01:30", 2.0), ("03:30", "2026-11-22T03:30", 24.0), ("00:00", "2026-12-31T23:00", 1.0)],
)
def test_it_runs_at_the_time_that_was_said(at: str, now: str, hours: float) -> None:
    assert seconds_until(at, datetime.fromisoformat(now).replace(tzinfo=UTC)) == hours * 3_600


@pytest.mark.parametrize("at", ["", "25:00", "3", "aa:bb", "03:61", "-1:00"])
def test_what_is_no_time_of_day_is_refused(at: str) -> None:
    with pytest.raises(BadInput):
        seconds_until(at, NOW)
