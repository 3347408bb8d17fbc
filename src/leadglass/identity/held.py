"""What is open by a secret that somebody holds: sessions of people, and visits by links.

Rule 1. It is looked up in memory, and anew whenever a database has changed: what is
ended is over at once. Rule 2. It is over when nothing is asked for a while; when it
was last used is on stable storage to a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from leadglass.identity.store import LentStore, to_stored
from leadglass.policy.caller import Caller

_NOTE_EVERY: Final = timedelta(minutes=1)
"""How exactly it is written down when something was last used."""

_KEPT: Final = 4_096
"""What is remembered at most."""

_ADDRESSES: Final = 64
"""Addresses that one is remembered with."""

T = TypeVar("T")


class Living(Protocol):
    """What ends when nothing is asked for a while, and at a time in any case."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def seen(self) -> datetime: ...  # noqa: D102
    @property
    def until(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """Something open, as it was when the databases last changed.

    Parameters
    ----------
    id : str
        Its public name.
    seen, until : datetime
        When it was last used, as it is written down, and when it ends in any case (UTC).
    fresh_until : datetime
        Until when the rights are these, if nothing changes.
    what : object
        What its rights follow from.
    """

    id: str
    seen: datetime
    until: datetime
    fresh_until: datetime
    what: T
    _callers: dict[str, Caller] = field(default_factory=dict[str, Caller])

    def met(self, peer: str) -> Caller | None:
        """Give the caller at an address, when that was made already."""
        return self._callers.get(peer)

    def meet(self, peer: str, caller: Caller) -> Caller:
        """Remember the caller at an address."""
        if len(self._callers) >= _ADDRESSES:
            self._callers.clear()
        self._callers[peer] = caller
        return caller


class Held(Generic[T]):
    """What is open, by the digest of its secret. Safe for threads.

    Parameters
    ----------
    store : LentStore
        Where it is kept.
    table : str
        In which table, with the columns ``id`` and ``seen``.
    idle : timedelta
        How long nothing may be asked.
    versions : callable
        Gives something that changes whenever rights may have.
    read : callable
        Looks up a digest, at a time; None: it opens nothing.
    """

    def __init__(
        self,
        store: LentStore,
        table: str,
        idle: timedelta,
        versions: Callable[[], object],
        read: Callable[[bytes, datetime], Known[T] | None],
    ) -> None:
        self._store = store
        self._note_it = f"UPDATE {table} SET seen = ? WHERE id = ?"  # noqa: S608 - a name of ours
        self._idle = idle
        self._versions = versions
        self._read = read
        self._lock = Lock()
        self._version: object = None
        self._known: dict[bytes, Known[T]] = {}
        self._seen: dict[str, datetime] = {}

    def caller(self, hashed: bytes, peer: str) -> Caller | None:
        """Give the caller from memory, as of now; None does not mean no."""
        now = self._store.now
        version = self._versions()
        with self._lock:
            known = self._known.get(hashed) if version == self._version else None
            if known is None or now >= known.fresh_until or not self.is_alive(known, now):
                return None
            if now - self._last_seen(known) >= _NOTE_EVERY:
                return None
            return known.met(peer)

    def find(self, hashed: bytes) -> Known[T] | None:
        """Give what is open and not over: from memory, unless a database changed since."""
        now = self._store.now
        version = self._versions()
        with self._lock:
            if version != self._version:
                self._known, self._version = {}, version
            known = self._known.get(hashed)
        if known is None or now >= known.fresh_until:
            known = self._read(hashed, now)
            if known is None:
                return None
            with self._lock:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                if version == self._version:
                    self._known[hashed] = known
        return known if self.is_alive(known, now) else None

    def is_alive(self, each: Living, now: datetime) -> bool:
        """Say whether something is not over by itself."""
        return now < each.until and now - self._last_seen(each) < self._idle

    def note(self, each: Living) -> None:
        """Note that something is used; now and then on stable storage."""
        now = self._store.now
        with self._lock:
            if now - self._last_seen(each) < _NOTE_EVERY:
                return
            if len(self._seen) >= _KEPT:
                self._seen.clear()
            self._seen[each.id] = now
        with self._store.writing() as connection:
            connection.execute(self._note_it, (to_stored(now), each.id))

    def _last_seen(self, each: Living) -> datetime:
        return max(each.seen, self._seen.get(each.id, each.seen))
