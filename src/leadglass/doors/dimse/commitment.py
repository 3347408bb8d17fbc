"""N-ACTION of the Storage Commitment Push Model as SCP (PS3.4 J.3.2, PS3.7 10.1.4): an answer is promised.

Rule 1. The request is in the queue, durably, before it is answered with success;
what becomes of it is found out and reported later (``commitment_work``). Rule 2.
Whoever may not ask is told so before anything is said of the request. Rule 3.
Asked again in the same words while it is open, the answer is success once more:
the first answer may have been lost.

Status: 0000 queued · 0112 not the well-known instance · 0115 no Transaction UID,
one that is in use, or references that cannot be read · 0118 another class · 0123
not action 1 · 0124 not authorized · 0213 too many references or open requests.
"""

from dataclasses import dataclass
from typing import Final, cast

import msgspec

from leadglass.archive.archive import Archive
from leadglass.archive.commitment import Reference
from leadglass.dicom import sop_classes, tags
from leadglass.dicom.codec_io import decode_identifier
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes
from leadglass.dicom.uids import parse_uid
from leadglass.doors.dimse.settings import CommitmentSettings
from leadglass.doors.dimse.status import NamedFault, Status
from leadglass.doors.threads import Threads
from leadglass.errors import BadInput, Conflict, Full
from leadglass.jobs.queue import JobKind, Queue
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.wire.messages import NActionRq
from leadglass.wire.stream import Message

REQUEST_STORAGE_COMMITMENT: Final = 1
"""The only Action Type ID of the class (PS3.4 J.3.2.1)."""

_REFERENCE: Final = 320
"""Bytes that one reference may take: two UIDs of 64 characters, their headers, and as much again."""

_ELEMENTS: Final = 8
"""Elements that one reference may have; two mean something."""

_WORK: Final = msgspec.json.Decoder(tuple[str, list[tuple[str, str]]])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Parameters
    ----------
    transaction_uid : str
        What the asker calls it.
    references : tuple of Reference
        Each once, in the order given.
    """

    transaction_uid: str
    references: tuple[Reference, ...]


def pack(session: str, references: tuple[Reference, ...]) -> bytes:
    """Give what the queue keeps: the association that asked, and the references."""
    return msgspec.json.encode((session, [(each.sop_class_uid, each.sop_instance_uid) for each in references]))


def unpack(work: bytes) -> tuple[str, tuple[Reference, ...]]:
    """Read what ``pack`` gave."""
    session, pairs = _WORK.decode(work)
    return session, tuple(Reference(*pair) for pair in pairs)


def _bytes_of(references: int) -> int:
    """Give the bytes that a request with so many references may have."""
    return 4_096 + references * _REFERENCE


def read_request(data: bytes, transfer_syntax_uid: str, most: int) -> Asked:
    """Read the Action Information (PS3.4 Table J.3-1).

    Parameters
    ----------
    data : bytes
        As received.
    transfer_syntax_uid : str
        Of the presentation context.
    most : int
        References there may be.

    Raises
    ------
    BadInput
        When it cannot be read, or what it must have is missing.
    Full
        When there are too many references.
    """
    size = _bytes_of(most)
    limits = Limits(
        header_bytes=2 * size,
        elements=256 + most * (_ELEMENTS + 1),
        depth=8,
        kept_bytes=size,
        inflated_bytes=size,
        inflation_free=1 << 20,
    )
    attributes = decode_identifier(data, transfer_syntax_uid, limits)
    transaction_uid = _uid(attributes, tags.TransactionUID, "Transaction UID")
    element = attributes.get(tags.key(tags.ReferencedSOPSequence))
    items = cast("list[Attributes]", element.get("Value", [])) if element is not None and element["vr"] == "SQ" else []
    if not items:
        raise BadInput("Referenced SOP Sequence is missing or empty.")
    if len(items) > most:
        raise Full(f"There are more than {most} references. Ask for less at once.")
    references = [
        Reference(
            _uid(item, tags.ReferencedSOPClassUID, "Referenced SOP Class UID"),
            _uid(item, tags.ReferencedSOPInstanceUID, "Referenced SOP Instance UID"),
        )
        for item in items
    ]
    return Asked(transaction_uid, tuple(dict.fromkeys(references)))


def _uid(attributes: Attributes, tag: int, name: str) -> str:
    element = attributes.get(tags.key(tag))
    values = cast("list[object]", element.get("Value", [])) if element is not None else []
    if len(values) != 1 or not isinstance(values[0], str):
        raise BadInput(f"{name} must be there, with one value.")
    return parse_uid(values[0])


class CommitmentDesk:
    """Takes requests in.

    Parameters
    ----------
    archive : Archive
        Decides and records.
    queue : Queue
        Where requests wait.
    settings : CommitmentSettings
        Bounds.
    """

    def __init__(self, archive: Archive, queue: Queue, settings: CommitmentSettings) -> None:
        self._archive = archive
        self._queue = queue
        self._settings = settings

    def check(self, caller: Caller, request: NActionRq) -> None:
        """Look at the command, before its data set is read.

        Raises
        ------
        Denied, NamedFault
        """
        if request.requested_sop_class_uid != sop_classes.STORAGE_COMMITMENT_PUSH_MODEL:
            fault = NamedFault(Status.NO_SUCH_SOP_CLASS, "The SOP class is not that of the presentation context.")
        elif request.requested_sop_instance_uid != sop_classes.STORAGE_COMMITMENT_INSTANCE:
            fault = NamedFault(Status.NO_SUCH_SOP_INSTANCE, "The SOP instance is not the well-known one of the class.")
        elif request.action_type_id != REQUEST_STORAGE_COMMITMENT:
            fault = NamedFault(Status.NO_SUCH_ACTION_TYPE, "The class has the action type 1 only.")
        else:
            return
        self._archive.refuse(caller, Action.COMMIT, fault.message)
        raise fault

    async def read(self, caller: Caller, message: Message, threads: Threads) -> bytes:
        """Read the data set of a request.

        Raises
        ------
        Denied
        Full
            When it is longer than any with as many references as there may be.
        AssociationAborted
        """
        try:
            return await message.read(_bytes_of(self._settings.references))
        except BadInput as error:
            await threads.run(self._archive.refuse, caller, Action.COMMIT, error.message)
            raise Full(error.message) from None

    def ask(self, caller: Caller, data: bytes, transfer_syntax_uid: str, now: float) -> None:
        """Read a request, decide over it and put it into the queue, in a thread.

        Raises
        ------
        Denied, BadInput, Conflict, Busy, Full, Corrupt, Misconfigured
        """
        try:
            asked = read_request(data, transfer_syntax_uid, self._settings.references)
        except (BadInput, Full) as error:
            self._archive.refuse(caller, Action.COMMIT, error.message)
            raise
        self._archive.commitments.ask(caller, asked.transaction_uid, len(asked.references))
        try:
            self._queue.add(
                JobKind.COMMITMENT,
                caller.name,
                asked.transaction_uid,
                pack(caller.session, asked.references),
                pack("", tuple(sorted(asked.references))),
                now=now,
                until=now + self._settings.pace.patience,
                most=self._settings.open,
            )
        except Conflict:
            reason = "The Transaction UID is in use for another request."
            self._archive.refuse(caller, Action.COMMIT, reason, transaction=asked.transaction_uid)
            raise Conflict(reason) from None
