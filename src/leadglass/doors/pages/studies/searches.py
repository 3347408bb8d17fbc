"""Searches: what people typed, remembered for their session under a random id.

Rule 1. What was typed names patients: it is in no address, no log and on no disk.
Rule 2. An id is worth something in the session that it was made in, and nowhere
else. Rule 3. Memory is bounded; what is forgotten is searched for again.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe
from threading import Lock
from time import monotonic
from typing import Final

from leadglass.archive.lists import Order, Position
from leadglass.policy.caller import Caller

MOST_SEARCHES: Final = 64
"""Searches remembered for one session."""

MOST_SESSIONS: Final = 1_000
"""Sessions for which some are remembered; with the longest words everywhere some 100 MB."""

MOST_PAGES: Final = 1_000
"""Pages of one search whose beginnings are remembered."""

LASTS: Final = 12 * 3_600.0
"""Seconds for which a session's searches are remembered that nobody asks about."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was typed into the boxes, as it was typed; an empty box asks nothing.

    Parameters
    ----------
    anything : str
        Looked for in names, numbers and descriptions.
    name, patient_id, accession, description : str
        Looked for there.
    modality : str
        A code.
    period : str
        ``all``, ``today``, ``yesterday``, ``7``, ``30`` or ``range``.
    since, until : str
        Days (``2026-11-22``) of a range.
    is_fuzzy : bool
        Whether names that sound alike are found too.
    """

    anything: str = ""
    name: str = ""
    patient_id: str = ""
    accession: str = ""
    description: str = ""
    modality: str = ""
    period: str = "all"
    since: str = ""
    until: str = ""
    is_fuzzy: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked at all."""
        return self == Search(is_fuzzy=self.is_fuzzy)

    @property
    def has_details(self) -> bool:
        """Whether something is asked in one of the boxes that are seldom used."""
        return any((self.name, self.patient_id, self.accession, self.description)) or self.period == "range"


@dataclass(slots=True)
class Kept:
    """A search that is remembered.

    Parameters
    ----------
    id : str
        Its id; empty for the list that asks nothing.
    search : Search
        What was typed.
    is_passing : bool
        Whether it was sent while somebody typed on: the next one takes its place.
    starts : dict
        By order and whether it is turned: the positions behind which its pages
        begin, as far as they were shown.
    total : int
        How many there are; -1 while that is not known.
    is_counted : bool
        Whether ``total`` is exact; otherwise there are more.
    """

    id: str
    search: Search
    is_passing: bool = False
    starts: dict[tuple[Order, bool], list[Position]] = field(default_factory=dict[tuple[Order, bool], list[Position]])
    total: int = -1
    is_counted: bool = True


@dataclass(slots=True)
class _Session:
    """What is remembered of one session."""

    kept: OrderedDict[str, Kept] = field(default_factory=OrderedDict[str, Kept])
    has_pictures: bool = False
    used: float = 0.0


class Searches:
    """The searches of every session. Safe for threads.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def keep(self, caller: Caller, search: Search, *, instead: str = "", is_passing: bool = False) -> Kept:
        """Remember a search; gives it with its id.

        Parameters
        ----------
        caller : Caller
            Whose session.
        search : Search
            What was typed.
        instead : str
            A passing search whose place it takes.
        is_passing : bool
            Whether it was sent while somebody typed on.
        """
        kept = Kept(token_urlsafe(12), search, is_passing)
        with self._lock:
            session = self._session(caller)
            before = session.kept.get(instead)
            if before is not None and before.is_passing:
                del session.kept[instead]
            session.kept[kept.id] = kept
            while len(session.kept) > MOST_SEARCHES:
                session.kept.popitem(last=False)
        return kept

    def find(self, caller: Caller, id: str) -> Kept | None:  # noqa: A002 - what it is
        """Give a search of the caller's session; None when there is none of this id."""
        with self._lock:
            session = self._session(caller)
            kept = session.kept.get(id)
            if kept is not None:
                session.kept.move_to_end(id)
            return kept

    def settle(self, kept: Kept) -> None:
        """Note that a search was come back to: nothing takes its place any more."""
        kept.is_passing = False

    def start(self, kept: Kept, order: Order, number: int, *, is_turned: bool) -> tuple[Position, int]:
        """Give behind which position a page begins, and its number: the last that is known, where it is not."""
        with self._lock:
            starts = kept.starts.setdefault((order, is_turned), [()])
            known = min(max(number, 1), len(starts))
            return starts[known - 1], known

    def shown(self, kept: Kept, order: Order, number: int, last: Position, *, is_turned: bool) -> None:
        """Note behind which position the page after this one begins."""
        with self._lock:
            starts = kept.starts.setdefault((order, is_turned), [()])
            if last and len(starts) == number < MOST_PAGES:
                starts.append(last)
            elif last and number < len(starts):
                starts[number] = last
                del starts[number + 1 :]

    def pictures(self, caller: Caller, *, are_wanted: bool | None = None) -> bool:
        """Say whether pictures are shown in the lists of a session, after changing it where that is wanted."""
        with self._lock:
            session = self._session(caller)
            if are_wanted is not None:
                session.has_pictures = are_wanted
            return session.has_pictures

    def _session(self, caller: Caller) -> _Session:
        """Give what is remembered of a session; who is not used any more makes room."""
        now, name = self._clock(), f"{caller}\n{caller.session}"
        while self._sessions:
            first = next(iter(self._sessions))
            if len(self._sessions) <= MOST_SESSIONS and now - self._sessions[first].used <= LASTS:
                break
            del self._sessions[first]
        session = self._sessions.setdefault(name, _Session())
        session.used = now
        self._sessions.move_to_end(name)
        return session
