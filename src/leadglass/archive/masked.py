"""Masked: an opened instance as a view lets it leave.

Rule: what is behind it is closed with it.
"""

from typing import Self, cast

from leadglass.archive.backroom import Reader
from leadglass.dicom.model import Attributes, bulk_location
from leadglass.dicom.source import ReadAt


class MaskedReader:
    """A ``Reader`` over what a mask left of another.

    Parameters
    ----------
    reader : Reader
        The instance as stored.
    seen : ReadAt
        What may leave of it, read from ``reader``.
    """

    __slots__ = ("_reader", "_seen")

    def __init__(self, reader: Reader, seen: ReadAt) -> None:
        self._reader = reader
        self._seen = seen

    @property
    def size(self) -> int:
        """Length in bytes of what may leave."""
        return self._seen.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``; raises ``Corrupt``."""
        return self._seen.read_at(offset, length)

    def view_at(self, offset: int, length: int) -> memoryview:
        """Give the same bytes, for who only hands them on; raises ``Corrupt``."""
        return memoryview(self.read_at(offset, length))

    def close(self) -> None:
        """Let go of the instance."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def masked_places(attributes: Attributes) -> list[tuple[int, int]]:
    """Give offset and length of every value that masked metadata points at, in sequences too."""
    places: list[tuple[int, int]] = []
    for element in attributes.values():
        place = bulk_location(element.get("BulkDataURI", ""))
        if place is not None:
            places.append(place)
        elif element["vr"] == "SQ":
            for item in cast("list[Attributes]", element.get("Value", [])):
                places += masked_places(item)
    return places
