"""Room: what is counted, when it is refused, and that it comes back."""

from threading import Event, Thread

import pytest

from leadglass.dicom.room import Room
from leadglass.errors import Busy

MIB = 1 << 20


def test_nobody_holds_more_than_there_is_room_for_and_what_is_given_back_is_there_again() -> None:
    room = Room(10 * MIB)
    with room.hold(6 * MIB):
        with pytest.raises(Busy), room.hold(5 * MIB):
            pass
        assert not room.take(5 * MIB)
        with room.hold(4 * MIB):
            assert room.held == 10 * MIB
    assert room.held == 0
    assert room.take(10 * MIB)


def test_what_is_larger_than_the_room_is_held_alone() -> None:
    room = Room(2 * MIB)
    with room.hold(9 * MIB), pytest.raises(Busy), room.hold(2 * MIB):
        pass
    with room.hold(2 * MIB), pytest.raises(Busy), room.hold(9 * MIB):
        pass


def test_what_is_small_is_not_counted() -> None:
    room = Room(2 * MIB)
    with room.hold(2 * MIB), room.hold(MIB), room.hold(MIB):
        assert room.held == 2 * MIB


def test_an_estimate_is_made_right() -> None:
    room = Room(10 * MIB)
    with room.hold(9 * MIB) as held:
        held.becomes(2 * MIB)
        assert room.held == 2 * MIB
        with room.hold(8 * MIB):
            held.becomes(4 * MIB)
            assert room.held == 12 * MIB, "what is there is there"
    assert room.held == 0


def test_what_fails_gives_back_too() -> None:
    room = Room(10 * MIB)

    def fail() -> None:
        raise Busy("The worker is.")

    with pytest.raises(Busy, match="worker"), room.hold(9 * MIB):
        fail()
    assert room.held == 0


@pytest.mark.parametrize("becomes", [MIB, None])
def test_who_waits_goes_on_when_there_is_room(becomes: int | None) -> None:
    room = Room(10 * MIB, 60.0)
    done = Event()

    def wait() -> None:
        with room.hold(9 * MIB):
            done.set()

    with room.hold(2 * MIB) as held:
        waiting = Thread(target=wait)
        waiting.start()
        assert not done.is_set()
        if becomes is not None:
            held.becomes(becomes)
            assert done.wait(20)
    assert done.wait(20)
    waiting.join(20)
    assert room.held == 0
