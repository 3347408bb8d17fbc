"""Recent: the series that were read from lately, as the index has them now.

Rule 1. Nothing is given that the index would not give at this moment: whoever
commits anything, in whichever process, ends all of it. Rule 2. It is asked for by
the scope of who asks, and holds what that scope covers. Rule 3. Keys stay wrapped.
Rule 4. Memory is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.policy.scope import Scope

MOST_INSTANCES: Final = 20_000
"""Instances remembered, of all series together; some 30 MB."""

LARGEST_SERIES: Final = 5_000
"""Instances of a series that is remembered; of a larger one each is looked up by itself."""

_ASKED: Final = 256
"""Series of which it is known that they were asked for."""

_PAYS: Final = 32
"""Instances of a series for each time that it has to be asked for in vain before it is read again: while others store,
what is remembered does not last, and reading it anew each time would cost more than looking up one instance."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which series, for whom."""

    scope: Scope
    study_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One instance, and the columns that say where its object is and open it."""

    record: InstanceRecord
    shelf: bytes
    name: bytes
    key: bytes
    study_key: bytes


Rows = Mapping[str, Row]
"""By SOP Instance UID."""


class Recent:
    """The series. Safe for threads.

    Parameters
    ----------
    version : callable
        Gives a number that changes whenever anything is committed.
    load : callable
        Reads a series from the index, but for one that has more instances than it is told; then None.
    most, largest : int
        Bounds, in instances: of all together and of one series.
    """

    def __init__(
        self,
        version: Callable[[], int],
        load: Callable[[Key, int], Rows | None],
        *,
        most: int = MOST_INSTANCES,
        largest: int = LARGEST_SERIES,
    ) -> None:
        self._now = version
        self._load = load
        self._most = most
        self._largest = largest
        self._lock = Lock()
        self._version = -1
        self._series: OrderedDict[Key, Rows] = OrderedDict()
        self._asked: OrderedDict[tuple[Key, bool], int] = OrderedDict()
        """How often each has to be asked for in vain before it is read; who opens its instances is counted apart."""
        self._count = 0

    def known(self, key: Key) -> Rows | None:
        """Give a series that is remembered; None says nothing."""
        if not self._series:
            return None
        version = self._now()
        with self._lock:
            return self._found(key, version)

    def find(self, key: Key, *, to_open: bool = False) -> Rows | None:
        """Give a series; None where it does not pay to read it.

        Who asks for one instance of a series once is given that one; who asks
        again will ask for the others too. So it is with who opens one and then
        another (``to_open``), which who asked for one alone does not.
        """
        version = self._now() if self._series else None
        with self._lock:
            found = None if version is None else self._found(key, version)
            if found is not None or not self._is_due((key, to_open)):
                return found
        if version is None:
            version = self._now()
        rows = self._load(key, self._largest)
        with self._lock:
            self._asked[key, to_open] = self._largest if rows is None else len(rows) // _PAYS
            self._expire(version)
            if rows and key not in self._series:  # one that is not there weighs nothing, and there is no end of them
                self._series[key] = rows
                self._count += len(rows)
                while self._count > self._most:
                    self._count -= len(self._series.popitem(last=False)[1])
        return rows

    def _found(self, key: Key, version: int) -> Rows | None:
        self._expire(version)
        found = self._series.get(key)
        if found is not None:
            self._series.move_to_end(key)
        return found

    def _expire(self, version: int) -> None:
        if version != self._version:
            self._series.clear()
            self._count = 0
            self._version = version

    def _is_due(self, key: tuple[Key, bool]) -> bool:
        """Note that a series was asked for in vain; says whether that was often enough."""
        left = self._asked.pop(key, 1)
        self._asked[key] = max(0, left - 1)
        if len(self._asked) > _ASKED:
            self._asked.popitem(last=False)
        return left <= 0
