from collections.abc import Callable, Iterator

import pytest

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.refusals import OTHERS, QUIET, Refusals
from leadglass.errors import LeadglassError
from tests.audit.conftest import Tampering


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(log: AuditLog, clock: Clock) -> Iterator[Refusals]:
    made = Refusals(log, window=60, max_peers=4, max_networks=2, singly=1, clock=clock)
    yield made
    made.close()


def refusal(peer: str = "10.1.2.3", calling: str = "CT1") -> Event:
    return Event(outcome=Outcome.REFUSED, action="associate", peer=peer, reason="no", detail={"calling": calling})


def written(log: AuditLog) -> list[tuple[str, int | str]]:
    return [(record.event.peer, record.event.detail.get("repeated", 0)) for record in log.records()]


def test_the_first_refusal_is_written_at_once(log: AuditLog, refusals: Refusals) -> None:
    refusals.add(refusal(), "unknown")
    assert written(log) == [("10.1.2.3", 0)]


def test_repeats_are_counted_and_written_when_the_window_ends(log: AuditLog, refusals: Refusals, clock: Clock) -> None:
    for number in range(10):
        refusals.add(refusal(calling=f"TRY{number}"), "unknown")
    refusals.expire()
    assert written(log) == [("10.1.2.3", 0)]
    clock.now += 60
    refusals.expire()
    assert written(log) == [("10.1.2.3", 0), ("10.1.2.3", 9)]
    assert log.records()[-1].event.detail["calling"] == "TRY9"
    refusals.expire()
    assert len(written(log)) == 2


def test_the_first_few_repeats_are_written_one_by_one(log: AuditLog, clock: Clock) -> None:
    refusals = Refusals(log, singly=3, clock=clock)
    for _ in range(10):
        refusals.add(refusal(), "unknown")
    assert written(log) == [("10.1.2.3", 0)] * 3
    refusals.close()
    assert written(log) == [*[("10.1.2.3", 0)] * 3, ("10.1.2.3", 7)]


def test_in_a_flood_only_the_first_of_each_is_written_at_once(log: AuditLog, clock: Clock) -> None:
    refusals = Refusals(log, singly=3, clock=clock)
    for host in range(QUIET + 1):
        refusals.add(refusal(f"10.1.2.{host}"), "unknown")
    for host in range(QUIET + 1):
        refusals.add(refusal(f"10.1.2.{host}"), "unknown")
    assert len(written(log)) == QUIET + 1
    refusals.close()


def test_a_repeat_after_the_window_closes_it_and_opens_another(log: AuditLog, refusals: Refusals, clock: Clock) -> None:
    for _ in range(3):
        refusals.add(refusal(), "unknown")
    clock.now += 60
    refusals.add(refusal(), "unknown")
    assert written(log) == [("10.1.2.3", 0), ("10.1.2.3", 2), ("10.1.2.3", 0)]


def test_other_peers_and_other_reasons_are_told_apart(log: AuditLog, refusals: Refusals) -> None:
    refusals.add(refusal(), "unknown")
    refusals.add(refusal("10.1.2.4"), "unknown")
    refusals.add(refusal(), "no certificate")
    refusals.add(refusal(), "unknown", "CT2")
    assert len(written(log)) == 4


def test_a_peer_that_tries_many_names_writes_a_bounded_number_of_records(log: AuditLog, refusals: Refusals) -> None:
    for number in range(200):
        refusals.add(refusal(calling=f"TRY{number}"), "unknown", f"TRY{number}")
    refusals.close()
    assert written(log)[4:] == [("10.1.2.3", 0), ("10.1.2.0/24", 195)]


def test_closing_writes_what_was_counted(log: AuditLog, refusals: Refusals) -> None:
    for _ in range(3):
        refusals.add(refusal(), "unknown")
    refusals.close()
    refusals.close()
    assert written(log) == [("10.1.2.3", 0), ("10.1.2.3", 2)]


def test_a_flood_from_one_network_is_counted_as_that_network(log: AuditLog, refusals: Refusals) -> None:
    for host in range(200):
        refusals.add(refusal(f"10.1.2.{host}"), "unknown")
    refusals.close()
    assert written(log)[-1] == ("10.1.2.0/24", 195)
    assert log.records()[-1].event.detail["peers"] == 4  # counted up to the bound
    assert len(written(log)) == 6


@pytest.mark.parametrize("address", ["10.{}.0.1", "2001:db8:{:x}::1", "fd00::{:x}", "nonsense {}"])
def test_a_flood_from_everywhere_writes_a_bounded_number_of_records(
    log: AuditLog, refusals: Refusals, address: str
) -> None:
    for number in range(250):
        refusals.add(refusal(address.format(number)), f"reason {number}")
    assert len(written(log)) <= 4 + 2 + 1
    refusals.close()
    assert len(written(log)) <= 2 * (4 + 2 + 1)
    assert sum(1 + int(repeated) if not repeated else int(repeated) for _, repeated in written(log)) == 250
    assert written(log)[-1][0] in {OTHERS, "fd00::/48"}


def test_peers_are_told_apart_again_after_a_flood(log: AuditLog, refusals: Refusals, clock: Clock) -> None:
    for number in range(50):
        refusals.add(refusal(f"10.{number}.0.1"), "unknown")
    clock.now += 61
    refusals.expire()
    before = len(written(log))
    refusals.add(refusal("10.99.99.99"), "unknown")
    assert written(log)[before:] == [("10.99.99.99", 0)]


def test_windows_end_by_themselves(log: AuditLog) -> None:
    from threading import Event as Signal

    ended = Signal()

    class Watching(Refusals):
        def expire(self) -> None:
            super().expire()
            ended.set()

    watching = Watching(log, window=0.05, singly=1)
    watching.add(refusal(), "unknown")
    watching.add(refusal(), "unknown")
    assert ended.wait(30)
    assert written(log) == [("10.1.2.3", 0), ("10.1.2.3", 1)]
    watching.close()


def test_a_refusal_that_cannot_be_written_raises_and_counts_are_kept(
    opened: Callable[..., AuditLog], refusals: Refusals, clock: Clock, tampering: Tampering, log: AuditLog
) -> None:
    for _ in range(3):
        refusals.add(refusal(), "unknown")
    tampering.run("CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(LeadglassError):
        refusals.add(refusal("10.9.9.9"), "unknown")
    clock.now += 60
    with pytest.raises(LeadglassError):
        refusals.expire()
    tampering.run("DROP TRIGGER t")
    refusals.expire()
    assert written(log) == [("10.1.2.3", 0), ("10.1.2.3", 2), ("10.9.9.9", 1)]
