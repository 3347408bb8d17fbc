"""Lists: which of a query's matches are wanted, in which order, and how they are given.

Rule: what is given is what the permit covers; an order tells nobody what the view hides (``finding``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from leadglass.dicom.model import Attributes


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the matches are wanted, newest study first (PS3.18 8.3.4.4).

    Parameters
    ----------
    offset : int
        Matches that are skipped.
    limit : int
        Matches at most.
    by_date : bool
        False where the dates of studies are not to be seen: then their UIDs
        alone give the order.
    """

    offset: int
    limit: int
    by_date: bool = True


class Listing(Protocol):
    """The matches in a window, one by one, with ``matching.NO_MATCH`` between them as ``BackRoom.find`` gives it."""

    @property
    def remaining(self) -> int:
        """Matches after the window, once all in it were given: their number, or a lower bound that is not 0."""
        ...

    def __iter__(self) -> Iterator[Attributes]: ...

    def __next__(self) -> Attributes: ...


class Order(StrEnum):
    """What a list of studies is sorted by: only what an index gives, however many they are.

    Not by description or modality: that would sort a million studies for fifty, or
    cost every store one index more.
    """

    DATE = "date"
    """Newest first."""
    PATIENT = "patient"
    """By name, each patient's newest study first."""
    PATIENT_ID = "patient-id"
    RECEIVED = "received"
    """Received last first."""
    UID = "uid"
    """Says nothing; where nothing else may be said."""


Position = tuple[str | int, ...]
"""Where a match stands in an order; only whoever made it can read it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list of studies, which begins behind a match that was given before.

    So the matches of joined pages are each given once, in their order, whatever
    arrives meanwhile, and the last page costs no more than the first.

    Parameters
    ----------
    limit : int
        Matches at most.
    order : Order
        In which order.
    is_turned : bool
        Whether in the opposite order.
    after : tuple
        ``Sheet.last`` of the page before; empty for the first page.
    skipped : int
        Matches that are passed over behind it.
    counted : int
        Matches after the page that are counted at most.
    """

    limit: int
    order: Order = Order.DATE
    is_turned: bool = False
    after: Position = ()
    skipped: int = 0
    counted: int = 1_000


class Sheet(Listing, Protocol):
    """The matches of a page."""

    @property
    def is_counted(self) -> bool:
        """Whether ``remaining`` is exact, once all matches were given."""
        ...

    @property
    def last(self) -> Position:
        """Where the last match of the page stands; empty when there was none."""
        ...

    @property
    def received(self) -> Mapping[str, str]:
        """When each study of the page was first received (ISO 8601, UTC), by its UID."""
        ...
