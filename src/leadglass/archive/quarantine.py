"""Quarantine: what is kept aside, listed, looked into and decided over by who may ``RESOLVE``.

Rule 1. Each look and each decision is on record before it happens, on the study
that the instance says it is of. Rule 2. Only who sees a study in full sees what
waits for it: nothing of it is shown masked. Rule 3. Decisions over many are one
record for each study, and each instance is decided for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from leadglass.archive.backroom import BackRoom, InstanceRecord, Kept, Looked, Mark, Reader, Resolution
from leadglass.archive.ledger import Ledger
from leadglass.archive.windows import Windows
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.model import Attributes
from leadglass.errors import LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit, entry


@dataclass(frozen=True, slots=True)
class Sight:
    """One of two instances side by side: what it is, and the way to read it.

    Parameters
    ----------
    transfer_syntax_uid : str
        How it is encoded.
    attributes : Attributes
        All of them.
    frames : FrameTable or None
        Where its frames are.
    """

    transfer_syntax_uid: str
    attributes: Attributes
    frames: FrameTable | None
    _room: BackRoom
    _permit: Permit
    _which: int | InstanceRecord

    def open(self) -> Reader:
        """Open it for reading; raises ``NotHere``, ``Corrupt``."""
        if isinstance(self._which, int):
            return self._room.open_kept(self._permit, self._which)
        return self._room.open(self._permit, self._which)


@dataclass(frozen=True, slots=True)
class Look:
    """One instance in quarantine, beside what is stored under its UID.

    Parameters
    ----------
    kept : Kept
        Which.
    aside : Sight
        The one in quarantine.
    stored : Sight or None
        The stored one, where there is one.
    is_same : bool
        Whether both are the same bytes.
    stored_study_uid : str
        The study of the stored one; empty where there is none.
    """

    kept: Kept
    aside: Sight
    stored: Sight | None
    is_same: bool = False
    stored_study_uid: str = ""


class Quarantine:
    """What is kept aside, for doors.

    Parameters
    ----------
    room : BackRoom
        Where it is.
    ledger : Ledger
        Where records go.
    windows : Windows
        Of the archive.
    door : str
        For the records.
    """

    __slots__ = ("_door", "_ledger", "_room", "_windows")

    def __init__(self, room: BackRoom, ledger: Ledger, windows: Windows, door: str) -> None:
        self._room = room
        self._ledger = ledger
        self._windows = windows
        self._door = door

    def kept(self, caller: Caller) -> list[Kept]:
        """List what is in quarantine, whom it is of only to who sees studies in full; raises ``Denied``."""
        permit = self._permit(caller, {"asked": "list"}, yes=True)
        kept = self._room.quarantined(permit)
        return kept if permit.is_always_full else [replace(each, patient_id="") for each in kept]

    def look(self, caller: Caller, number: int, *, picture: bool = False) -> Look:
        """Look into one, beside what is stored under its UID.

        Parameters
        ----------
        caller : Caller
            Who looks.
        number : int
            At which.
        picture : bool
            Whether a picture is to be made of it, for the record.

        Raises
        ------
        Denied, NotHere, Corrupt, BadInput
        """
        said: dict[str, str | int] = {"quarantine": number, "asked": "picture" if picture else "look"}
        permit = self._permit(caller, said)
        kept = self._room.quarantined(permit, (number,))
        if not kept or not permit.is_always_full:
            self._record(caller, Outcome.REFUSED, "no such instance in quarantine", "", said)
            raise NotHere("There is no such instance in quarantine.")
        self._record(caller, Outcome.PERMITTED, permit.reason, kept[0].study_uid, said)
        looked = self._room.look(permit, number)
        aside = Sight(looked.transfer_syntax_uid, looked.attributes, looked.frames, self._room, permit, number)
        return self._beside(permit, looked, aside)

    def _beside(self, permit: Permit, looked: Looked, aside: Sight) -> Look:
        record = looked.standing
        if record is None:
            return Look(looked.kept, aside, None)
        try:
            attributes = self._room.metadata(permit, record)
            frames = self._room.frames(permit, record)
        except NotHere:  # it was deleted meanwhile
            return Look(looked.kept, aside, None)
        stored = Sight(record.transfer_syntax_uid, attributes, frames, self._room, permit, record)
        is_same = (record.digest, record.transfer_syntax_uid) == (looked.digest, looked.transfer_syntax_uid)
        return Look(looked.kept, aside, stored, is_same, record.study_uid)

    def resolve(self, caller: Caller, number: int, resolution: Resolution) -> str:
        """Decide over one; what was decided and what came of it is on its study's record.

        Raises
        ------
        Denied, NotHere, BadInput, Corrupt, Conflict
        """
        said: dict[str, str | int] = {"quarantine": number, "resolution": resolution.value}
        permit = self._permit(caller, said)
        kept = self._room.quarantined(permit, (number,))
        study_uid = ""
        if kept:
            study_uid = kept[0].study_uid
            said |= {"instance": kept[0].sop_instance_uid, "kept because": kept[0].reason}
        self._record(caller, Outcome.PERMITTED, permit.reason, study_uid, said)
        try:
            outcome = self._room.resolve(permit, number, resolution)
        except LeadglassError as error:
            self._record(caller, Outcome.FAILED, error.message, study_uid, said)
            raise
        self._record(caller, Outcome.DONE, outcome, study_uid, said)
        return outcome

    def resolve_all(self, caller: Caller, numbers: Sequence[int], resolution: Resolution) -> list[str | LeadglassError]:
        """Decide over many alike; gives what ``resolve`` would give or raise, in their order.

        Raises
        ------
        Denied
        """
        permit = self._permit(caller, {"resolution": resolution.value, "instances": len(numbers)})
        studies: dict[str, list[int]] = {}
        for each in self._room.quarantined(permit, numbers):
            studies.setdefault(each.study_uid, []).append(each.number)
        for study_uid, mine in studies.items():
            said = {"quarantine": in_ranges(mine), "resolution": resolution.value, "instances": len(mine)}
            self._record(caller, Outcome.PERMITTED, permit.reason, study_uid, said)
        outcomes = self._room.resolve_all(permit, numbers, resolution)
        became = dict(zip(numbers, outcomes, strict=True))
        for study_uid, mine in studies.items():
            failed = [number for number in mine if isinstance(became[number], LeadglassError)]
            said = {"resolution": resolution.value, "instances": len(mine) - len(failed), "failed": len(failed)}
            if failed:
                said["failed numbers"] = in_ranges(failed)
            done = "filed" if resolution is Resolution.ACCEPT else "deleted"
            self._record(caller, Outcome.FAILED if failed else Outcome.DONE, done, study_uid, said)
        return outcomes

    def known(self, caller: Caller, marks: Sequence[Mark]) -> list[bool]:
        """Say of each whether sending it again would change nothing; to whom it may be sent, and no more than it tells.

        Raises
        ------
        Denied
        """
        permit = decide_on_record(
            self._ledger.record, caller, entry(caller), door=self._door, detail={"asked": "what is here"}, yes=False
        )
        self._windows.request(caller, permit, "what is here", "")
        return self._room.known(permit, marks, caller.name)

    def _permit(self, caller: Caller, said: Mapping[str, str | int], *, yes: bool = False) -> Permit:
        return decide_on_record(self._ledger.record, caller, Action.RESOLVE, door=self._door, detail=said, yes=yes)

    def _record(
        self, caller: Caller, outcome: Outcome, reason: str, study_uid: str, said: Mapping[str, str | int]
    ) -> None:
        self._ledger.record(
            Event.of(caller, outcome, Action.RESOLVE, reason, door=self._door, study_uid=study_uid, detail=said)
        )


def in_ranges(numbers: Sequence[int]) -> str:
    """Write numbers shortly: ``3-7, 9``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
