"""Room: how many bytes may be in memory at one time, of all who ask.

Rule: who is going to hold much says so before it is there, and gives it back
however that ends.
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from leadglass.errors import Busy

_SMALL: Final = 1 << 20
"""Bytes that are not counted: every connection holds as much."""


class Held:
    """What somebody holds; as long as it is estimated, more than it will be."""

    __slots__ = ("_room", "size")

    def __init__(self, room: "Room", size: int) -> None:
        self._room = room
        self.size = size

    def becomes(self, size: int) -> None:
        """Say how much it is, now that it is there: from now on that is counted, whatever others hold."""
        before, self.size = self.size, _counted(size)
        self._room.change(self.size - before)


class Room:
    """Counts bytes. Safe for threads.

    Parameters
    ----------
    most : int
        Bytes. What is larger is held when it is alone.
    seconds : float
        How long ``hold`` waits for others to give back.
    """

    __slots__ = ("_changed", "_held", "_most", "_seconds")

    def __init__(self, most: int, seconds: float = 0.0) -> None:
        self._changed = Condition()
        self._most = most
        self._seconds = seconds
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are held."""
        return self._held

    def take(self, size: int) -> bool:
        """Take so many bytes if there is room now; gives whether there was. Who took them gives them back."""
        with self._changed:
            if not self._has_room(size):
                return False
            self._held += size
            return True

    def change(self, size: int) -> None:
        """Count more bytes, or fewer where it is negative."""
        with self._changed:
            self._held += size
            if size < 0:
                self._changed.notify_all()

    @contextmanager
    def hold(self, size: int) -> Generator[Held]:
        """Hold so many bytes inside the block (blocking, until there is room).

        Raises
        ------
        Busy
            When there is none in time.
        """
        size = _counted(size)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size), self._seconds):
                raise Busy("Too many large images that were made for others are still being sent. Ask again later.")
            self._held += size
        held = Held(self, size)
        try:
            yield held
        finally:
            held.becomes(0)

    def _has_room(self, size: int) -> bool:
        return not size or not self._held or self._held + size <= self._most


def _counted(size: int) -> int:
    return size if size > _SMALL else 0
