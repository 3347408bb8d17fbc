"""Strangers: who sends proxy fields is counted, and nobody fills the list."""

from datetime import UTC, datetime

from leadglass.doors.web.strangers import MOST, Strangers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_each_is_counted_with_the_time_it_was_last_there() -> None:
    strangers = Strangers(lambda: NOON)
    for peer in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        strangers.note(peer)
    assert [(each.peer, each.times, each.last) for each in strangers.seen()] == [
        ("10.0.0.1", 2, NOON),
        ("10.0.0.2", 1, NOON),
    ]


def test_many_peers_do_not_fill_it() -> None:
    strangers = Strangers()
    for number in range(5_000):
        strangers.note(f"10.0.{number // 250}.{number % 250}")
    assert len(strangers.seen()) == MOST
    assert strangers.seen()[0].peer == "10.0.19.249"
