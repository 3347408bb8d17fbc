"""DICOM, as the survey speaks it: an association proposed, at most one question, and a proper goodbye.

Rule 1. Every association that was made is released; one that is stopped in the
middle is aborted. Rule 2. A data set that comes as an answer is never read: its
bytes are dropped, and the association aborted. Only who was asked how much there
is (level 3) is read, and of it one number a record. Rule 3. We say who we are: the
Implementation Version Name is the survey's.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from leadglass.survey.gate import ANSWER, Closed, Line
from leadglass.survey.speech.tls import wants_certificate
from leadglass.wire import command_set
from leadglass.wire.errors import AbortReason, AbortSource, ProtocolViolation
from leadglass.wire.items import UserIdentity, UserIdentityType
from leadglass.wire.messages import CCancelRq, CEchoRq, CEchoRsp, CFindRq, CFindRsp, Command, is_pending
from leadglass.wire.pdu import (
    PDV,
    Abort,
    AssociateAccept,
    AssociateRequest,
    PData,
    PDUType,
    ProposedContext,
    Rejection,
    ReleaseRP,
    ReleaseRQ,
    decode,
    encode,
)

IMPLEMENTATION_CLASS_UID: Final = "2.25.104558810232681489379544044640554636717"
IMPLEMENTATION_VERSION_NAME: Final = "LEADGLASS SURVEY"

VERIFICATION: Final = "1.2.840.10008.1.1"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"

SERVICES: Final[Mapping[str, str]] = {
    STUDY_ROOT_FIND: "StudyRootQueryRetrieveInformationModelFind",
    "1.2.840.10008.5.1.4.1.2.2.2": "StudyRootQueryRetrieveInformationModelMove",
    "1.2.840.10008.5.1.4.1.2.2.3": "StudyRootQueryRetrieveInformationModelGet",
    "1.2.840.10008.5.1.4.1.2.1.1": "PatientRootQueryRetrieveInformationModelFind",
    "1.2.840.10008.5.1.4.31": "ModalityWorklistInformationModelFind",
    "1.2.840.10008.5.1.4.1.1.7": "SecondaryCaptureImageStorage",
    "1.2.840.10008.1.20.1": "StorageCommitmentPushModel",
}
"""Services that are proposed to see whether a stranger is granted them, by keyword (PS3.6 Annex A)."""

_HEADER: Final = 6
_LARGEST_PDU: Final = 1 << 17
_IN_ALL: Final = 2 * ANSWER
"""Seconds for a question and all of its answer, however slowly that drips."""
_TLS_ALERT: Final = 21
_LARGEST_COMMAND: Final = 1 << 14
_LARGEST_RECORD: Final = 1 << 12
"""Bytes of a record that are looked through: what was asked for takes a hundred."""
_COUNTING: Final = 60.0
"""Seconds for counting, however slowly records come."""
_DIGITS: Final = 9
_ABORT: Final = encode(Abort(AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED))


class Nature(Enum):
    """What answered an A-ASSOCIATE-RQ."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ABORTED = "aborted"
    CLOSED = "closed without a word"
    SILENT = "silence"
    CERTIFICATE = "TLS asks for a client certificate"
    NOT_DICOM = "not DICOM"


@dataclass(frozen=True, slots=True)
class Answer:
    """What answered.

    Parameters
    ----------
    nature : Nature
        What it was.
    accept : AssociateAccept, optional
        Where it was accepted.
    rejection : Rejection, optional
        Where it was rejected.
    """

    nature: Nature
    accept: AssociateAccept | None = None
    rejection: Rejection | None = None
    may_be_tls: bool = False
    """Whether what is no DICOM looks like an alert of TLS (RFC 8446 6)."""

    @property
    def is_dicom(self) -> bool:
        """Whether DICOM answered."""
        return self.nature in {Nature.ACCEPTED, Nature.REJECTED, Nature.ABORTED}


@dataclass(frozen=True, slots=True)
class Queried:
    """What a query with no possible match came to.

    Parameters
    ----------
    status : int or None
        The final status; None where the association ended without one.
    gave_records : bool
        Whether something was given all the same, because the key was ignored; it was dropped unread.
    """

    status: int | None
    gave_records: bool = False
    was_aborted: bool = False
    """Whether it was answered by an A-ABORT: a refusal in proper form (Orthanc's)."""


@dataclass(slots=True)
class Counted:
    """How much there is, as far as it was counted.

    Parameters
    ----------
    studies : int
        Records that came.
    images : int
        What they said of images together.
    is_told : bool
        Whether any said how many images it has.
    is_all : bool
        Whether there are no more: the query ended by itself, with Success.
    """

    studies: int = 0
    images: int = 0
    is_told: bool = False
    is_all: bool = False


def random_title() -> str:
    """Give an AE title that nobody has given to anything."""
    return "X" + secrets.token_hex(7).upper()


def random_uid() -> str:
    """Give a UID that nothing in the world has (PS3.5 B.2)."""
    return f"2.25.{secrets.randbits(127)}"


def random_user() -> UserIdentity:
    """Give a user whom nobody knows, without a passcode; a positive response is asked for (PS3.7 D.3.3.7)."""
    return UserIdentity(UserIdentityType.USERNAME, random_title().encode("ascii"), positive_response_requested=True)


def contexts(*abstract_syntaxes: str) -> tuple[ProposedContext, ...]:
    """Propose each with the syntax that everybody has to know."""
    return tuple(
        ProposedContext(2 * number + 1, uid, (IMPLICIT_VR_LITTLE_ENDIAN,))
        for number, uid in enumerate(abstract_syntaxes)
    )


def nonsense(number: int) -> ProposedContext:
    """Propose a service that does not exist, in a transfer syntax that does not: no archive takes it."""
    return ProposedContext(number, random_uid(), (random_uid(),))


class _Aborted(Closed):
    """The peer aborted the association."""


class Speaker:
    """One association over one line.

    Parameters
    ----------
    line : Line
        Open, in TLS or not.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._accept: AssociateAccept | None = None
        self._has_aborted = False
        self._kind = 0
        self._heard: deque[PDV] = deque()
        """Fragments that came together with one that was waited for."""

    async def associate(
        self, called: str, calling: str, proposed: Sequence[ProposedContext], user: UserIdentity | None = None
    ) -> Answer:
        """Ask for an association; whatever comes back is an answer, and nothing is raised."""
        request = AssociateRequest(
            called_ae_title=called,
            calling_ae_title=calling,
            contexts=tuple(proposed),
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            user_identity=user,
        )
        self._line.farewell = self._abort
        try:
            async with asyncio.timeout(_IN_ALL):
                await self._line.send(encode(request), "A-ASSOCIATE-RQ")
                pdu = await self._pdu(in_the_beginning=True)
        except ProtocolViolation:
            self._line.farewell = None
            return Answer(Nature.NOT_DICOM, may_be_tls=self._kind == _TLS_ALERT)
        except TimeoutError:
            await self._give_up()  # it may make the association yet
            return Answer(Nature.SILENT)
        except Closed as error:
            if isinstance(error.__cause__, TimeoutError):
                await self._give_up()
                return Answer(Nature.SILENT)
            self._line.farewell = None
            return Answer(Nature.CERTIFICATE if wants_certificate(error.__cause__) else Nature.CLOSED)
        match pdu:
            case AssociateAccept():
                self._accept = pdu
                return Answer(Nature.ACCEPTED, accept=pdu)
            case Rejection():
                self._line.farewell = None
                return Answer(Nature.REJECTED, rejection=pdu)
            case Abort():
                self._line.farewell = None
                return Answer(Nature.ABORTED)
            case _:
                self._line.farewell = None
                return Answer(Nature.NOT_DICOM)

    def granted(self) -> frozenset[int]:
        """Give the ids of the contexts that were accepted."""
        if self._accept is None:
            return frozenset()
        return frozenset(number for number, syntax in self._accept.contexts.items() if isinstance(syntax, str))

    @property
    def is_associated(self) -> bool:
        """Whether an association was made, and not aborted by us."""
        return self._accept is not None

    async def echo(self, context_id: int) -> int | None:
        """Send a C-ECHO; gives its status, None where there came none."""
        command = CEchoRq(message_id=1, affected_sop_class_uid=VERIFICATION)
        try:
            async with asyncio.timeout(_IN_ALL):
                await self._send(context_id, command_set.encode(command, has_data_set=False), None, "C-ECHO-RQ")
                response, _ = await self._command()
        except (Closed, ProtocolViolation, TimeoutError):
            return None
        return response.status if isinstance(response, CEchoRsp) else None

    async def null_query(self, context_id: int) -> Queried:
        """Ask for a study that does not exist, and for nothing else (PS3.4 C.4.1).

        The identifier holds QueryRetrieveLevel and a random StudyInstanceUID. Who
        answers it with Success answers queries of strangers; nobody is an answer
        to it. Where records come all the same they are dropped, unread, and the
        association is aborted.
        """
        identifier = _element(0x0008, 0x0052, b"STUDY ") + _element(0x0020, 0x000D, _padded(random_uid()))
        command = CFindRq(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND)
        try:
            async with asyncio.timeout(_IN_ALL):
                await self._send(
                    context_id,
                    command_set.encode(command, has_data_set=True),
                    identifier,
                    "C-FIND-RQ that nothing matches",
                )
                response, has_data_set = await self._command()
        except _Aborted:
            return Queried(None, was_aborted=True)
        except (Closed, ProtocolViolation, TimeoutError):
            await self._give_up()
            return Queried(None)
        if not isinstance(response, CFindRsp):
            await self._give_up()
            return Queried(None)
        if is_pending(response.status) or has_data_set:
            await self._abort()
            return Queried(response.status, gave_records=True)
        return Queried(response.status)

    async def count_studies(self, context_id: int, most: int) -> Counted:
        """Ask for every study's UID and NumberOfStudyRelatedInstances, and count, no further than ``most``.

        Nothing but the number is read of a record (PS3.4 C.3.4), and nothing of it
        is kept. What goes on behind ``most`` is cancelled (PS3.7 9.1.2.2), and the
        association is aborted where that changes nothing.
        """
        counted = Counted()
        identifier = (
            _element(0x0008, 0x0052, b"STUDY ") + _element(0x0020, 0x000D, b"") + _element(0x0020, _INSTANCES, b"")
        )
        command = CFindRq(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND)
        try:
            async with asyncio.timeout(_COUNTING):
                asked = command_set.encode(command, has_data_set=True)
                await self._send(context_id, asked, identifier, "C-FIND-RQ for UIDs and numbers of images")
                while counted.studies < most:
                    status, images = await self._match()
                    if not is_pending(status):
                        counted.is_all = status == 0
                        return counted
                    counted.studies += 1
                    counted.images += images or 0
                    counted.is_told = counted.is_told or images is not None
            async with asyncio.timeout(_IN_ALL):
                cancel = CCancelRq(message_id_being_responded_to=1)
                await self._send(context_id, command_set.encode(cancel, has_data_set=False), None, "C-CANCEL-RQ")
                while not isinstance(response := (await self._command())[0], CFindRsp) or is_pending(response.status):
                    pass
        except _Aborted:
            pass
        except (Closed, ProtocolViolation, TimeoutError):
            await self._give_up()
        return counted

    async def release(self) -> bool:
        """Say goodbye; gives whether it was answered."""
        if self._accept is None:
            return False
        try:
            async with asyncio.timeout(_IN_ALL):
                await self._line.send(encode(ReleaseRQ()), "A-RELEASE-RQ")
                self._line.farewell = None
                for _ in range(8):
                    pdu = await self._pdu()
                    if isinstance(pdu, ReleaseRP | Abort):
                        return isinstance(pdu, ReleaseRP)
        except (Closed, ProtocolViolation, TimeoutError):
            return False
        return False

    async def _give_up(self) -> None:
        """Abort what answers as nothing should, if it is still there."""
        with suppress(Closed):
            await self._abort()

    async def _abort(self) -> None:
        if self._has_aborted:
            return
        self._has_aborted = True
        self._line.farewell = None
        self._accept = None
        await self._line.send(_ABORT, "A-ABORT")

    async def _send(self, context_id: int, command: bytes, data_set: bytes | None, act: str) -> None:
        pdus = encode(PData((PDV(context_id, is_command=True, is_last=True, fragment=command),)))
        if data_set is not None:
            pdus += encode(PData((PDV(context_id, is_command=False, is_last=True, fragment=data_set),)))
        await self._line.send(pdus, act)

    async def _command(self) -> tuple[Command, bool]:
        """Give the next command set; fragments of data sets are dropped."""
        return command_set.decode(await self._message(is_command=True, most=_LARGEST_COMMAND))

    async def _match(self) -> tuple[int, int | None]:
        """Give the status of the next answer to a query, and how many images its record says that it has."""
        response, has_data_set = await self._command()
        if not isinstance(response, CFindRsp) or (is_pending(response.status) and not has_data_set):
            raise ProtocolViolation("What answers is no answer to a query.")
        record = await self._message(is_command=False, most=_LARGEST_RECORD) if has_data_set else b""
        return response.status, _images(record)

    async def _message(self, *, is_command: bool, most: int) -> bytes:
        """Give the next command set, or the next data set; fragments of the other kind are dropped."""
        taken = b""
        while True:
            pdv = await self._pdv()
            if pdv.is_command is not is_command:
                continue
            taken += pdv.fragment
            if len(taken) > most:
                raise ProtocolViolation("It is larger than anything that was asked for.")
            if pdv.is_last:
                return taken

    async def _pdv(self) -> PDV:
        """Give the next fragment."""
        while not self._heard:
            pdu = await self._pdu()
            if isinstance(pdu, Abort):
                self._line.farewell = None
                self._accept = None
                raise _Aborted("The association was aborted.")
            if not isinstance(pdu, PData):
                raise Closed("The association ended.")
            self._heard.extend(pdu.pdvs)
        return self._heard.popleft()

    async def _pdu(self, *, in_the_beginning: bool = False) -> object:
        head = await self._line.exactly(_HEADER)
        kind, length = head[0], int.from_bytes(head[2:], "big")
        self._kind = kind
        known = {PDUType.ASSOCIATE_AC, PDUType.ASSOCIATE_RJ, PDUType.ABORT} if in_the_beginning else set(PDUType)
        if kind not in known or length > _LARGEST_PDU:
            raise ProtocolViolation("What answers is not DICOM.")
        return decode(kind, memoryview(await self._line.exactly(length)))


_INSTANCES: Final = 0x1208
"""NumberOfStudyRelatedInstances, in group 0020."""


def _images(record: bytes) -> int | None:
    """Give NumberOfStudyRelatedInstances of a record in Implicit VR Little Endian; nothing else of it is looked at."""
    at = 0
    while at + 8 <= len(record):
        length = int.from_bytes(record[at + 4 : at + 8], "little")
        value = record[at + 8 : at + 8 + length]
        if record[at : at + 4] == _tag(0x0020, _INSTANCES):
            said = value.strip(b" \0")
            return int(said) if said.isdigit() and len(said) <= _DIGITS else None
        at += 8 + length
    return None


def _padded(uid: str) -> bytes:
    raw = uid.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)


def _element(group: int, element: int, value: bytes) -> bytes:
    """Write one element as Implicit VR Little Endian (PS3.5 7.1.3)."""
    return _tag(group, element) + len(value).to_bytes(4, "little") + value


def _tag(group: int, element: int) -> bytes:
    return group.to_bytes(2, "little") + element.to_bytes(2, "little")
