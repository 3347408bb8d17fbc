"""Places: the country and organisation of an address, by files that the operator gives.

Rule 1. Nothing is asked over a network. Rule 2. What a file says is shortened, and
without anything that a terminal would obey.
"""

import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import maxminddb
from maxminddb import InvalidDatabaseError, Reader

from leadglass.errors import Misconfigured
from leadglass.survey.report.model import Place
from leadglass.survey.scope import Address

_LONGEST: Final = 80

_DAMAGED: Final = (
    ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError, struct.error,
    InvalidDatabaseError,
)  # fmt: skip
"""What the reader raises where a file is not what it says."""

_COUNTRY: Final = (("country", "names", "en"), ("country", "iso_code"), ("country_code",), ("country",))
_ORGANISATION: Final = (("autonomous_system_organization",), ("organization",), ("as_name",), ("name",))
"""Where files of that format keep them."""


class Places:
    """Files in the MaxMind DB format (2.0): of countries, of organisations, or both.

    Parameters
    ----------
    files : sequence of Path
        The first that knows something of an address is believed.

    Raises
    ------
    Misconfigured
        When one cannot be read.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._open = ExitStack()
        self._readers: list[Reader] = []
        for file in files:
            try:
                # Not by its extension in C: a file from elsewhere is read by code that checks its bounds.
                self._readers.append(self._open.enter_context(maxminddb.open_database(file, maxminddb.MODE_FILE)))  # pyright: ignore[reportUnknownMemberType] - its os.PathLike
            except (OSError, *_DAMAGED) as error:
                self._open.close()
                raise Misconfigured(f"{file} is no file in the MaxMind DB format. Name another one.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def __call__(self, address: Address) -> Place:
        """Say where an address is; empty where no file knows."""
        country = organisation = ""
        for reader in self._readers:
            try:
                found = cast("object", reader.get(address))  # pyright: ignore[reportUnknownMemberType] - its records
            except _DAMAGED:  # or an address of a version that it does not have
                continue
            country = country or _first(found, _COUNTRY)
            organisation = organisation or _first(found, _ORGANISATION)
        return Place(country, organisation)


def _first(found: object, paths: Sequence[Sequence[str]]) -> str:
    for path in paths:
        inside = found
        for key in path:
            inside = cast("dict[str, object]", inside).get(key) if isinstance(inside, dict) else None
        if isinstance(inside, str) and inside:
            return "".join(each for each in inside[:_LONGEST] if each.isprintable())
    return ""
