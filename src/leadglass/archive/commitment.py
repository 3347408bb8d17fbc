"""Commitment: whether the archive takes responsibility for instances, asked for somebody who may (PS3.4 Annex J).

Rule 1. "Committed" is said of what is here under the class that was named, in
the asker's scope, and opens to its last byte; of nothing else. Rule 2. Not yours
and not here are one answer. Rule 3. What the asker sent and what went to
quarantine is not here, even where something else has its UID: the asker would
delete its own copy. Rule 4. Asked, decided, reported and given up are on record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from leadglass.archive.backroom import BackRoom, InstanceRecord, Selection
from leadglass.archive.ledger import Ledger
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.dicom.matching import Level
from leadglass.errors import NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit

_AT_ONCE: Final = 500
"""Instances located with one query."""


class Verdict(IntEnum):
    """What is found of one instance: 0, or its Failure Reason (0008,1197) as PS3.3 C.14.1.1 has it."""

    COMMITTED = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One item of a Referenced SOP Sequence."""

    sop_class_uid: str
    sop_instance_uid: str


class Commitments:
    """The archive's side of Storage Commitment: what may be asked, what is found, and the records of it.

    Parameters
    ----------
    room : BackRoom
        Where the images are.
    ledger : Ledger
        Where decisions are recorded.
    door : str
        The door it is asked through, for the records.
    """

    def __init__(self, room: BackRoom, ledger: Ledger, door: str) -> None:
        self._room = room
        self._ledger = ledger
        self._door = door

    def ask(self, caller: Caller, transaction_uid: str, references: int) -> None:
        """Decide over a request and put it on record, before anything is promised.

        Raises
        ------
        Denied
            When the caller may not ask for commitment.
        """
        self._decide(caller, transaction_uid, record=True, references=references)

    def check(self, caller: Caller, transaction_uid: str, references: Sequence[Reference]) -> "Check":
        """Locate what a transaction refers to, with the rights of now.

        Raises
        ------
        Denied
            When the caller may not ask for commitment any more.
        """
        permit = self._decide(caller, transaction_uid, record=False)
        wanted = sorted({reference.sop_instance_uid for reference in references})
        found: dict[str, InstanceRecord] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            selection = Selection(sop_instance_uids=tuple(wanted[start : start + _AT_ONCE]))
            found.update(
                (record.sop_instance_uid, record) for record in self._room.locate(permit, Level.IMAGE, selection)
            )
        contested = self._room.contested(permit, caller.name, wanted)
        return Check(self._room, permit, found, contested, lambda event: self._ledger.record(event), self._door)

    def decided(self, caller: Caller, transaction_uid: str, verdicts: Sequence[int]) -> None:
        """Put on record what was found, before anybody is told; raises when that cannot be written."""
        failed = sum(verdict != Verdict.COMMITTED for verdict in verdicts)
        outcome = Outcome.FAILED if failed else Outcome.DONE
        detail: dict[str, str | int] = {
            "transaction": transaction_uid,
            "committed": len(verdicts) - failed,
            "failed": failed,
        }
        self._ledger.record(self._event(caller, outcome, "decided", detail))

    def reported(self, caller: Caller, transaction_uid: str, how: str) -> None:
        """Put on record that the asker has the report."""
        detail: dict[str, str | int] = {"transaction": transaction_uid, "over": how}
        self._ledger.owe([self._event(caller, Outcome.DONE, "reported", detail)])

    def given_up(self, owner: str, transaction_uid: str, session: str, why: str) -> None:
        """Put on record that a device will not get its report, for the operator to look at."""
        self._ledger.owe(
            [
                Event(
                    outcome=Outcome.ALERT,
                    action=Action.COMMIT,
                    caller=owner,
                    door=self._door,
                    reason=f"The report of a storage commitment is given up. {why}",
                    session=session,
                    detail={"transaction": transaction_uid},
                )
            ]
        )

    def _decide(self, caller: Caller, transaction_uid: str, *, record: bool, **detail: int) -> Permit:
        said: dict[str, str | int] = {"transaction": transaction_uid, **detail}
        return decide_on_record(self._ledger.record, caller, Action.COMMIT, door=self._door, detail=said, yes=record)

    def _event(self, caller: Caller, outcome: Outcome, reason: str, detail: dict[str, str | int]) -> Event:
        return Event.of(caller, outcome, Action.COMMIT, reason, door=self._door, detail=detail)


class Check:
    """One transaction's instances, located, for a door to have judged one by one."""

    __slots__ = ("_contested", "_door", "_found", "_permit", "_record", "_room", "_told")

    def __init__(
        self,
        room: BackRoom,
        permit: Permit,
        found: dict[str, InstanceRecord],
        contested: frozenset[str],
        record: Callable[[Event], None],
        door: str,
    ) -> None:
        self._room = room
        self._permit = permit
        self._found = found
        self._contested = contested
        self._record = record
        self._door = door
        self._told: set[str] = set()

    def judge(self, reference: Reference, *, read: bool = True) -> Verdict:
        """Say what is found of one instance.

        Parameters
        ----------
        reference : Reference
            Which one, and its class as the asker has it.
        read : bool
            Whether its object is read to the end; False asks the index only,
            for what was read before.

        Raises
        ------
        Busy
            When nobody knows now.
        """
        record = self._found.get(reference.sop_instance_uid)
        if record is None:
            return Verdict.NO_SUCH_OBJECT_INSTANCE
        if record.sop_class_uid != reference.sop_class_uid:
            return Verdict.CLASS_INSTANCE_CONFLICT
        if reference.sop_instance_uid in self._contested:
            return Verdict.PROCESSING_FAILURE
        if not read:
            return Verdict.COMMITTED
        try:
            is_sound = self._room.is_sound(self._permit, record)
        except NotHere:  # deleted since it was located
            return Verdict.NO_SUCH_OBJECT_INSTANCE
        if is_sound:
            return Verdict.COMMITTED
        self._tell_of_damage(record)
        return Verdict.PROCESSING_FAILURE

    def _tell_of_damage(self, record: InstanceRecord) -> None:
        """Raise an alert, once for each study: a disk that fails damages many."""
        if record.study_uid in self._told:
            return
        self._told.add(record.study_uid)
        self._record(
            Event.of(
                self._permit.caller,
                Outcome.ALERT,
                Action.COMMIT,
                "A stored object is damaged; it was not committed to. Check the disk; run: leadglass fsck",
                door=self._door,
                study_uid=record.study_uid,
                detail={"instance": record.sop_instance_uid},
            )
        )
