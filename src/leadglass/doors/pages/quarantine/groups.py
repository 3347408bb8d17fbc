"""Groups: what waits in quarantine, put together as people decide over it: a study from one sender for one reason.

Rule: a group is named by its smallest number, which is never given twice; a list of
numbers is what a decision is over, so that what arrives meanwhile is not in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from leadglass.archive.backroom import Kept
from leadglass.archive.quarantine import in_ranges
from leadglass.errors import BadInput

MOST: Final = 5_000
"""Instances decided over at one time."""
_LONGEST: Final = 24_000
"""Characters of a list of numbers: it has to fit into a form."""


@dataclass(frozen=True, slots=True)
class Group:
    """Instances that are decided over together.

    Parameters
    ----------
    first : int
        The smallest number.
    numbers : tuple of int
        All of them.
    study_uid, patient_id, origin, reason : str
        What they have in common.
    received : str
        When the last one came.
    octets : int
        Bytes of all.
    is_submitted : bool
        Whether they were handed in to be looked at.
    """

    first: int
    numbers: tuple[int, ...]
    study_uid: str
    patient_id: str
    origin: str
    reason: str
    received: str
    octets: int
    is_submitted: bool

    @property
    def ranges(self) -> str:
        """The numbers, shortly."""
        return in_ranges(self.numbers)


def grouped(kept: Iterable[Kept]) -> list[Group]:
    """Put instances together, those that came last first; what is kept for what is wrong with it stays alone."""
    groups: dict[tuple[object, ...], list[Kept]] = {}
    for each in kept:
        alone = 0 if each.is_submitted else each.number
        groups.setdefault((each.study_uid, each.patient_id, each.origin, each.reason, alone), []).append(each)
    made = [_group(members) for members in groups.values()]
    return sorted(made, key=lambda group: (group.received, group.first), reverse=True)


def _group(members: Sequence[Kept]) -> Group:
    one = members[0]
    return Group(
        min(each.number for each in members),
        tuple(sorted(each.number for each in members)),
        one.study_uid,
        one.patient_id,
        one.origin,
        one.reason,
        max(each.received for each in members),
        sum(each.size for each in members),
        one.is_submitted,
    )


def numbers_of(text: str) -> list[int]:
    """Read a list of numbers as ``in_ranges`` writes it.

    Raises
    ------
    BadInput
    """
    if len(text) > _LONGEST:
        raise BadInput("That is too much at one time. Choose less, and do the rest afterwards.")
    numbers: dict[int, None] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (not dash or _is_number(last))):
            raise BadInput("The numbers cannot be read. Write them as: 3-7, 9")
        low, high = int(first), int(last or first)
        if high - low >= MOST:
            raise BadInput(f"At most {MOST:,} instances are decided over at one time.")
        numbers.update(dict.fromkeys(range(low, high + 1)))
        if len(numbers) > MOST:
            raise BadInput(f"At most {MOST:,} instances are decided over at one time.")
    if not numbers:
        raise BadInput("Nothing was chosen. Choose at least one.")
    return list(numbers)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 15
