"""Rows: a page of the index as it is kept, packed, of which one row at a time is unpacked.

Unpacked, a row takes up to fifty times what it is packed, and deflated a row of some
kB may be one of millions of bytes: so what an instance was made of decides what a
search costs, unless pages end by bytes and are not unpacked as a whole.

Rule: what is remembered unpacked is small and few; everything else is given, and
not held.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from leadglass.crypto.database import driver
from leadglass.dicom.matching import NO_MATCH, Query
from leadglass.dicom.model import Attributes
from leadglass.vault.index import packed

_MOST: Final = 1 << 20
"""Bytes, packed, of a page's rows of one table. 500 ordinary instances have some 700 kB."""

_SMALL: Final = 8 << 10
"""Bytes of JSON of a row that is remembered unpacked."""
_REMEMBERED: Final = 16
"""Rows that are remembered: pages go from series to series, and come back to few."""


def taken(cursor: "driver.Cursor", most: int = _MOST) -> tuple[list[tuple[Any, ...]], bool]:
    """Give rows whose last column is packed, as far as they are not too large together; and whether there were more.

    The first is given in any case.
    """
    rows: list[tuple[Any, ...]] = []
    octets = 0
    for row in cursor:
        octets += len(row[-1])
        if octets > most and rows:
            cursor.close()
            return rows, True
        rows.append(row)
    return rows, False


class Rows:
    """What a query needs of some rows, made when it is asked for.

    Parameters
    ----------
    packed_rows : mapping of int to bytes
        Which rows there are, and what says how large each is.
    make : callable
        Gives a row's attributes, those of what is above it too; None when that is gone, or not for the permit.
    is_cut : bool
        Whether there was more than is read at once: then some rows may be missing.
    """

    __slots__ = ("_kept", "_make", "_packed", "is_cut")

    def __init__(
        self, packed_rows: Mapping[int, bytes], make: Callable[[int], Attributes | None], *, is_cut: bool
    ) -> None:
        self._packed = packed_rows
        self._make = make
        self._kept: dict[int, Attributes] = {}
        self.is_cut = is_cut

    def judged(self, query: Query, row: int) -> Attributes | None:
        """Give what an answer holds of a row, ``NO_MATCH`` when it is none, None when it is not here any more."""
        attributes = self._make(row) if row in self._packed else None
        if attributes is None:
            return None
        return query.project(attributes) if query.matches(attributes) else NO_MATCH

    def kept(self, row: int) -> Attributes | None:
        """Give a row's attributes, which the next rows are likely to ask for too."""
        found = self._kept.get(row)
        if found is None and row in self._packed:
            found = self._make(row)
            if found is not None and packed.length(self._packed[row]) <= _SMALL:
                if len(self._kept) >= _REMEMBERED:
                    self._kept.clear()
                self._kept[row] = found
        return found
