"""Planning the associations of a C-MOVE: what to propose, in groups that fit.

Rule: each stored transfer syntax gets a context of its own, so that a receiver
that takes it gets the original, and each class a context to fall back upon.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadglass.archive.backroom import InstanceRecord
from leadglass.doors.dimse.parcel import FALLBACKS

CONTEXTS: Final = 128
"""Most presentation contexts of one association: odd ids from 1 to 255 (PS3.8 9.3.2.2)."""

Proposal = tuple[str, tuple[str, ...]]
"""SOP class and transfer syntaxes of one context."""


@dataclass(frozen=True, slots=True)
class Group:
    """What goes over one association."""

    records: deque[InstanceRecord]
    proposals: tuple[Proposal, ...]


def plan(records: Sequence[InstanceRecord]) -> list[Group]:
    """Group records by SOP class into associations of at most 128 contexts, keeping their order within a class."""
    classes: dict[str, list[InstanceRecord]] = {}
    for record in records:
        classes.setdefault(record.sop_class_uid, []).append(record)
    groups: list[Group] = []
    for sop_class_uid, members in classes.items():
        proposals = _proposals(sop_class_uid, members)
        if groups and len(groups[-1].proposals) + len(proposals) <= CONTEXTS:
            last = groups.pop()
            groups.append(Group(deque([*last.records, *members]), last.proposals + proposals))
        else:
            groups.append(Group(deque(members), proposals))
    return groups


def _proposals(sop_class_uid: str, records: Sequence[InstanceRecord]) -> tuple[Proposal, ...]:
    stored = list(dict.fromkeys(record.transfer_syntax_uid for record in records))[: CONTEXTS - 1]
    fallback = tuple(uid for uid in FALLBACKS if uid not in stored)
    return tuple((sop_class_uid, (uid,)) for uid in stored) + (((sop_class_uid, fallback),) if fallback else ())
