"""What somebody searched for, remembered under a random word: searches may name patients, and addresses must not.

Rule 1. A word leads its own session to what it asked, and nobody else. Rule 2. It
is kept in memory alone, and only so many of each session: the oldest is forgotten.
"""

from collections import OrderedDict
from secrets import token_urlsafe
from threading import Lock
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST_OF_ONE: Final = 32
"""Searches of one session: more tabs than anybody has open."""

MOST_SESSIONS: Final = 1_024


class Remembered(Generic[T]):
    """What was searched for, by session. Safe for threads.

    Parameters
    ----------
    most_of_one : int
        How many of one session are remembered.
    most_sessions : int
        Of how many sessions.
    """

    def __init__(self, most_of_one: int = MOST_OF_ONE, most_sessions: int = MOST_SESSIONS) -> None:
        self._most_of_one = most_of_one
        self._most_sessions = most_sessions
        self._lock = Lock()
        self._kept: OrderedDict[str, OrderedDict[str, T]] = OrderedDict()

    def keep(self, session: str, asked: T) -> str:
        """Remember what a session asked; gives the word for its address."""
        word = token_urlsafe(9)
        with self._lock:
            mine = self._kept.setdefault(session, OrderedDict())
            self._kept.move_to_end(session)
            mine[word] = asked
            while len(mine) > self._most_of_one:
                mine.popitem(last=False)
            while len(self._kept) > self._most_sessions:
                self._kept.popitem(last=False)
        return word

    def get(self, session: str, word: str) -> T | None:
        """Give what a session asked under a word; None when it is forgotten, or another's."""
        with self._lock:
            mine = self._kept.get(session)
            if mine is None or word not in mine:
                return None
            self._kept.move_to_end(session)
            mine.move_to_end(word)
            return mine[word]
