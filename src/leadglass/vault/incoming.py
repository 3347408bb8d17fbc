"""Incoming: one instance on its way from a door to stable storage.

Rule 1. Its bytes reach the disk only sealed, under a key that is in memory alone
until the row is written. Rule 2. Object first, row last. Rule 3. What is not
committed leaves nothing on the disk. Rule 4. What contradicts what is stored is
kept aside, and nothing is overwritten. Rule 5. It is let go as already here only
after what is here was opened; when that is damaged, this takes its place. Rule 6. Whatever the door,
of private SOP classes only those come in that the operator listed.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Final, NoReturn, TypeVar, assert_never

from leadglass.archive.backroom import Declared, NotAsDeclared, NotInStudy, NotTakenIn, Receipt, Stored
from leadglass.crypto.sealed import SealedReader, SealedWriter
from leadglass.crypto.wrap import new_key
from leadglass.dicom import compare, sop_classes
from leadglass.dicom.ingest import Description, describe
from leadglass.dicom.source import Blocks, Bytes, ReadAt
from leadglass.errors import BadInput, Busy, Conflict, Corrupt, Denied, Full, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit, decide
from leadglass.vault.committer import Failed, Work
from leadglass.vault.filing import Filing
from leadglass.vault.index import normal, packed
from leadglass.vault.index.normal import PADDING
from leadglass.vault.objects import disk_error
from leadglass.vault.parts import Parts, demand
from leadglass.vault.records import Arrived, Filed, Healed, OtherPatient, Outcome, Standing, Submitted
from leadglass.vault.soundness import is_sound

T = TypeVar("T")

HEAD: Final = 1 << 20
"""Bytes of the beginning, rounded up to a block, that are kept in memory until it
is described: most instances are whole in it, and most headers of the others. 1 MiB."""

_EARLY: Final = 128 << 10
"""Bytes from which on an object's way to the disk begins before it is described: for fewer, telling costs more."""

CONTRADICTS: Final = (
    "The instance contradicts what is stored, and is kept in quarantine. An operator has to resolve it."
)
"""What hears who may not find what stands there: one text, so that Patient IDs and values cannot be tried."""

HEALED: Final = "The stored copy was damaged and is replaced by this one."


class _State(Enum):
    OPEN = 0
    BROKEN = 1
    """Something of it is missing: it can be aborted, and nothing else."""
    EXAMINED = 2
    SETTLED = 3


class Incoming:
    """One instance on its way in. Not for use by two threads at once.

    Parameters
    ----------
    parts : Parts
        The vault's.
    declared : Declared
        What its sender says of it.
    action : Action
        ``STORE``, or ``SUBMIT``: then it goes to quarantine. A permit for the
        other one does not commit it.
    """

    def __init__(self, parts: Parts, declared: Declared, action: Action = Action.STORE) -> None:
        self._parts = parts
        self._action = action
        self._declared = declared
        parts.objects.check_room()
        self._key = new_key()
        self._place, self._file = parts.objects.create()
        self._state = _State.OPEN
        self._writer = SealedWriter(self._file, self._key, self._place.name, parts.scratch)
        self._digest = sha256()
        self._undigested: tuple[bytes, ...] = ()
        """What was written first; most instances are whole in it, and are digested while the disk writes them."""
        self._head: list[bytes] = []
        self._size = 0
        self._described: Description | None = None

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes of the data set; raises ``Full``."""
        if self._state is not _State.OPEN:
            raise BadInput("Nothing can be added to this instance any more.")
        self._state = _State.BROKEN  # until these bytes are written, too
        is_first = not self._size
        for block in blocks:
            if self._size < HEAD:
                self._head.append(block)
            self._size += len(block)
        if self._size > self._parts.settings.max_instance_bytes:
            raise Full("The instance is larger than this archive takes (ingest.max_instance_bytes).")
        self._parts.objects.claim(sum(map(len, blocks)))
        try:
            self._writer.write(*blocks)
        except OSError as error:
            raise disk_error(error) from error
        if is_first:
            self._undigested = blocks
        else:
            self._digest_all(blocks)
        self._state = _State.OPEN

    def _digest_all(self, blocks: tuple[bytes, ...] = ()) -> None:
        waiting, self._undigested = self._undigested, ()
        for block in waiting + blocks:
            self._digest.update(block)

    @property
    def identity(self) -> tuple[str, str]:
        """SOP Class and Instance UID as its data set says, once that was read; empty before, and where it cannot be."""
        described = self._described
        return (described.sop_class_uid, described.sop_instance_uid) if described is not None else ("", "")

    def examine(self) -> StudyFacts:
        """Read the header and give the facts its study will have; raises ``BadInput`` or kinds of it."""
        if self._state is not _State.OPEN:
            raise BadInput("This instance is not whole, or was examined already.")
        self._state = _State.BROKEN
        try:
            self._writer.finish()
        except OSError as error:
            raise disk_error(error) from error
        if self._size > _EARLY:
            self.write_back()  # the disk has something to do while we look at it
        self._digest_all()
        self._state = _State.EXAMINED
        description = self._described = self._describe()
        declared = self._declared
        for said, found, keyword in (
            (declared.sop_class_uid, description.sop_class_uid, "SOP Class UID"),
            (declared.sop_instance_uid, description.sop_instance_uid, "SOP Instance UID"),
        ):
            if said and said.rstrip(PADDING) != found:
                raise NotAsDeclared(f"The {keyword} in the data set is not the one that was declared for it.")
        if declared.study_uid and declared.study_uid != description.study_uid:
            raise NotInStudy("The data set is of another study than the one it was sent to.")
        if not sop_classes.may_be_taken_in(description.sop_class_uid, self._parts.settings.private_sop_classes):
            raise NotTakenIn
        return self._facts(description)

    def _describe(self) -> Description:
        limits = self._parts.settings.limits
        syntax = self._declared.transfer_syntax_uid
        head: ReadAt = Bytes(self._head[0]) if len(self._head) == 1 else Blocks(self._head)
        if self._size == head.size:
            return describe(head, syntax, limits)
        with SealedReader(os.dup(self._file), self._key, self._place.name) as rest:
            return describe(_Headed(head, rest), syntax, limits)

    def _facts(self, description: Description) -> StudyFacts:
        uid = description.study_uid
        stored = None
        if self._action is not Action.SUBMIT:  # what was decided would tell who submits of what is stored
            stored = self._parts.committer.remembered(uid) or self._parts.reading.facts(uid)
        origin = frozenset({self._declared.origin})
        patient_id, issuer = _identity(description)
        if stored is None:
            return StudyFacts(uid, patient_id, issuer, origin, referrers=normal.referrers(description.attributes))
        return replace(
            stored,
            patient_id=stored.patient_id or patient_id,
            issuer_of_patient_id=stored.issuer_of_patient_id or issuer,
            sources=stored.sources | origin,
        )

    def commit(self, permit: Permit) -> Receipt:
        """Put object and row on stable storage; raises ``Denied``, ``Conflict``, ``Corrupt``, ``Full``, ``Busy``."""
        [outcome] = commit_all(self._parts, [(self, permit)])
        if isinstance(outcome, LeadglassError):
            raise outcome
        return outcome

    def write_back(self) -> None:
        """Have the system begin to write the object to the disk, without waiting for it."""
        self._parts.objects.write_back(self._file)

    def sync(self, permit: Permit) -> Arrived:
        """Put the object on stable storage; gives what its row is to say."""
        demand(permit, self._action)
        description = self._described
        if self._state is not _State.EXAMINED or description is None:
            raise BadInput("An instance is examined once before it is committed.")
        arrived = self._arrived(description)
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise disk_error(error) from error
        return arrived

    def filing(self, arrived: Arrived, permit: Permit) -> Work[Outcome | Healed | Submitted]:
        """Give the job that gives it its row."""
        return Work(lambda filing: self._enter(filing, arrived, permit), (self._place,), self._doubt)

    def _enter(self, filing: Filing, arrived: Arrived, permit: Permit) -> Outcome | Healed | Submitted:
        return filing.submit(arrived, permit) if self._action is Action.SUBMIT else filing.file(arrived, permit)

    def conclude(self, arrived: Arrived, permit: Permit, outcome: Outcome | Healed | Submitted) -> Receipt:
        """Do what follows from an attempt to file it."""
        if isinstance(outcome, Submitted):
            self._settle(keep=outcome.is_kept)
            return self._receipt(Stored.KEPT_ASIDE, arrived)
        if isinstance(outcome, Standing) and outcome.is_same_as(arrived) and not self._is_sound(outcome):
            outcome = self._run(lambda filing: filing.file_or_heal(arrived, permit))
        match outcome:
            case Filed():
                self._settle(keep=True)
                return self._receipt(Stored.STORED, arrived)
            case Healed(damaged):
                self._settle(keep=True)
                self._parts.objects.remove([damaged])  # it is doomed: the next sweep takes it off the list
                return self._receipt(Stored.HEALED, arrived, HEALED)
            case Standing():
                reason, study_uid = self._contradiction(outcome, arrived), outcome.study_uid
            case OtherPatient(what):
                reason, study_uid = f"its study is stored with another {what}", arrived.study_uid
            case _ as never:
                assert_never(never)
        if reason is not None:
            self._keep_aside(arrived, reason, is_told=self._may_know(permit, study_uid))
        self._settle(keep=False)
        return self._receipt(Stored.ALREADY_HERE, arrived)

    def _arrived(self, description: Description) -> Arrived:
        patient_id, issuer = _identity(description)
        return Arrived(
            place=self._place,
            key=self._key,
            size=self._size,
            digest=self._digest.digest(),
            study_uid=description.study_uid,
            series_uid=description.series_uid,
            sop_instance_uid=description.sop_instance_uid,
            sop_class_uid=description.sop_class_uid,
            transfer_syntax_uid=self._declared.transfer_syntax_uid,
            patient_id=patient_id,
            issuer_of_patient_id=issuer,
            origin=self._declared.origin,
            received=now(),
            attributes=description.attributes,
            packed=packed.pack(description.attributes),
            frames=description.frames.to_bytes() if description.frames is not None else None,
        )

    def _is_sound(self, standing: Standing) -> bool:
        return is_sound(self._parts.objects, standing.place, standing.key, standing.size)

    def _contradiction(self, standing: Standing, arrived: Arrived) -> str | None:
        """Say in what an instance contradicts the one that is stored under its UID; None when it does not."""
        if standing.is_same_as(arrived):
            return None
        here = "another instance with this SOP Instance UID is stored"
        if standing.study_uid != arrived.study_uid:
            return f"{here}, in another study"
        if standing.series_uid != arrived.series_uid:
            return f"{here}, in another series"
        try:
            with (
                SealedReader(self._parts.objects.open(standing.place), standing.key, standing.place.name) as old,
                SealedReader(os.dup(self._file), self._key, self._place.name) as new,
            ):
                keyword = compare.difference(
                    old,
                    standing.transfer_syntax_uid,
                    new,
                    arrived.transfer_syntax_uid,
                    self._parts.settings.limits,
                )
        except Corrupt:
            return f"{here}, and cannot be read to compare (run fsck)"
        except Busy:
            raise
        except LeadglassError:
            return f"{here}, and cannot be compared"
        return f"{here}; first difference at {keyword}" if keyword is not None else None

    def _may_know(self, permit: Permit, study_uid: str) -> bool:
        """Say whether a sender may hear what stands there: who may find that study in full, or decides over it."""
        facts = self._parts.reading.facts(study_uid)
        if facts is None:
            return False
        for action in (Action.FIND, Action.RESOLVE):
            with suppress(Denied):
                if decide(permit.caller, action, facts).view_of(facts).is_full:
                    return True
        return False

    def _keep_aside(self, arrived: Arrived, reason: str, *, is_told: bool) -> NoReturn:
        """Put it into quarantine and tell the sender: in what it differs only where that tells nothing of others.

        Raises
        ------
        Conflict
        """
        is_new = self._run(lambda filing: filing.aside.keep(arrived, reason))
        self._settle(keep=is_new)
        if not is_told:
            raise Conflict(CONTRADICTS)
        raise Conflict(f"The instance is kept in quarantine: {reason}. An operator has to resolve it.")

    def _run(self, work: Callable[[Filing], T]) -> T:
        return self._parts.committer.run(work, (self._place,), self._doubt)

    def _receipt(self, outcome: Stored, arrived: Arrived, *warnings: str) -> Receipt:
        said = self._described.warnings if self._described is not None else ()
        return Receipt(
            outcome,
            arrived.study_uid,
            arrived.series_uid,
            arrived.sop_instance_uid,
            arrived.sop_class_uid,
            self._size,
            said + warnings,
        )

    def abort(self) -> None:
        """Forget it; nothing stays on disk. Harmless after ``commit``."""
        if self._state is not _State.SETTLED:
            self._settle(keep=False)

    def _settle(self, *, keep: bool) -> None:
        self._let_go()
        self._parts.objects.settle(self._place, keep=keep)

    def _doubt(self) -> None:
        """Keep the object until the next commit, or the next sweep: nobody knows whether its row was kept."""
        self._let_go()
        self._parts.objects.doubt(self._place)

    def _let_go(self) -> None:
        self._state = _State.SETTLED
        self._head = []
        os.close(self._file)


def commit_all(parts: Parts, arrivals: Sequence[tuple[Incoming, Permit]]) -> list[Receipt | LeadglassError]:
    """Put objects and rows on stable storage, all in one transaction; gives what became of each.

    One after the other, a file's sync waits for the disk twice: for its bytes,
    and for the file system's journal. Told of all first, the disk writes them
    together and the first sync takes the journal along for the rest.
    """
    if len(arrivals) > 1:
        for incoming, _ in arrivals:
            incoming.write_back()
    outcomes: list[Receipt | LeadglassError | None] = [None] * len(arrivals)
    synced: list[tuple[int, Incoming, Permit, Arrived]] = []
    for number, (incoming, permit) in enumerate(arrivals):
        try:
            synced.append((number, incoming, permit, incoming.sync(permit)))
        except LeadglassError as error:
            outcomes[number] = error
    # The committer asks for the same and hears the same, but there all would wait for it.
    with suppress(LeadglassError):
        parts.objects.sync([arrived.place for *_, arrived in synced])
    filed = parts.committer.run_all([incoming.filing(arrived, permit) for _, incoming, permit, arrived in synced])
    for (number, incoming, permit, arrived), outcome in zip(synced, filed, strict=True):
        try:
            if isinstance(outcome, Failed):
                raise outcome.error
            outcomes[number] = incoming.conclude(arrived, permit, outcome)
        except LeadglassError as error:
            outcomes[number] = error
    return [outcome for outcome in outcomes if outcome is not None]


class _Headed:
    """A ``ReadAt`` whose beginning is in memory."""

    __slots__ = ("_head", "_rest", "size")

    def __init__(self, head: ReadAt, rest: ReadAt) -> None:
        self._head = head
        self._rest = rest
        self.size = rest.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``offset``."""
        return (self._head if offset + length <= self._head.size else self._rest).read_at(offset, length)


def _identity(description: Description) -> tuple[str, str]:
    """Give Patient ID and its issuer without padding."""
    return description.patient_id.strip(PADDING), description.issuer_of_patient_id.strip(PADDING)


def now() -> str:
    """Give the time, ISO 8601 in UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
