"""Matching: what a query asks and whether attributes answer it (PS3.4 section C.2.2.2).

Rule: one reading of a key, here; a back room may narrow by SQL first, but what
it gives has passed ``Query.matches``.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from leadglass.dicom.model import Attributes


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Root(StrEnum):
    """Information model: which level stands on top (PS3.4 section C.6)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"


@dataclass(frozen=True, slots=True)
class Universal:
    """Matches everything; asks for the attribute's value (C.2.2.2.3)."""


@dataclass(frozen=True, slots=True)
class Single:
    """One of some values, literally (C.2.2.2.1); several where the key had several."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wild:
    """A pattern with ``*`` and ``?`` (C.2.2.2.4); several where the key had several."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A person name, with or without wild cards: component groups of one or several patterns (VR PN)."""

    patterns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of VR DS, IS, FL, FD, SS, … equal in value, whatever its spelling."""

    values: tuple[float | int | str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """From ``low`` to ``high``, both included; empty means open (C.2.2.2.5). As written in the key."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class UidList:
    """One of some UIDs (C.2.2.2.2)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    """Matches only what has no value (empty value matching)."""


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """An item in which all inner keys match (C.2.2.2.6)."""

    keys: "dict[str, Key]"


Key = Universal | Single | Wild | Name | Number | Range | UidList | Empty | SequenceKey
"""What a key asks of one attribute."""


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """A date key and its time key read as one range (combined date-time matching, C.2.2.2.5)."""

    date_tag: str
    time_tag: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question at one level.

    Parameters
    ----------
    level : Level
        What is looked for.
    root : Root
        The information model.
    keys : dict of str to Key
        By tag (eight hexadecimal digits): all keys at or above the level that
        were asked, universal ones too.
    vrs : dict of str to str
        VR of each key, for answers where the attribute is absent.
    combined : tuple of DateTimeRange
        Date and time keys that were read as one; their tags are universal in ``keys``.
    ignored : frozenset of str
        Keys below the level, or such that cannot be matched: not looked at, not returned.
    """

    level: Level
    root: Root
    keys: dict[str, Key]
    vrs: dict[str, str] = field(default_factory=dict[str, str])
    combined: tuple[DateTimeRange, ...] = ()
    ignored: frozenset[str] = frozenset()

    def matches(self, attributes: Attributes) -> bool:
        """Say whether attributes (those of the level and of all above) answer the question."""
        raise NotImplementedError(attributes)

    def project(self, attributes: Attributes) -> Attributes:
        """Give what an answer holds: the unique keys of the level and above, and what was asked (empty when absent)."""
        raise NotImplementedError(attributes)

    def describe_keys(self) -> str:
        """Give the keywords that were asked, without values, for the audit log."""
        raise NotImplementedError


def query_from_identifier(
    identifier: Attributes,
    *,
    root: Root,
    relational: bool,
    combined_date_time: bool = False,
    empty_value: bool = False,
) -> Query:
    """Read a C-FIND identifier as a query.

    Parameters
    ----------
    identifier : Attributes
        As ``decode_identifier`` gives it.
    root : Root
        The information model of the SOP class.
    relational, combined_date_time, empty_value : bool
        What was negotiated (PS3.4 section C.5.1.1).

    Raises
    ------
    BadInput
        When it breaks the rules of PS3.4 sections C.4.1.2 and C.4.1.3.
    """
    raise NotImplementedError(identifier, root, relational, combined_date_time, empty_value)
