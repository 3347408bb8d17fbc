"""Changed: what happened in the archive, as a feed tells it.

Rule: UIDs only, and moments; nothing of a patient.
"""

from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    """What happened."""

    STUDY_NEW = "study-new"
    INSTANCE_STORED = "instance-stored"
    INSTANCE_REMOVED = "instance-removed"
    """Another instance took its UID; it is in quarantine."""
    STUDY_CHANGED = "study-changed"
    """An identity that its patient lacked was filled in."""
    STUDY_DELETED = "study-deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened; ids only.

    Parameters
    ----------
    cursor : str
        What to continue after.
    sequence : int or None
        Its number; None for a caller who does not see every study.
    kind : ChangeKind
        What happened.
    study_uid, sop_instance_uid : str
        To what; the second empty where it is the whole study.
    moment : int
        When it was committed, in seconds since 1970.
    """

    cursor: str
    sequence: int | None
    kind: ChangeKind
    study_uid: str
    sop_instance_uid: str
    moment: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Some changes, what to continue after, and whether there are no more now."""

    entries: tuple[Change, ...]
    next: str
    is_last: bool
