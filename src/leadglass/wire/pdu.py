"""The seven PDUs of PS3.8 9.3: encode and decode.

Rule: ``decode`` gives a PDU or raises ``ProtocolViolation`` with the reason our
A-ABORT will say; no other error leaves it, whatever the bytes. Lengths have been
checked by the caller on the 6-byte header before a body gets here.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from leadglass.wire.errors import AbortReason, ProtocolViolation
from leadglass.wire.items import (
    DEFAULT_MAXIMUM_LENGTH,
    CommonExtended,
    ItemType,
    Role,
    UserIdentity,
    UserInformation,
    decode_ae_title,
    decode_uid,
    decode_user_information,
    encode_ae_title,
    encode_uid,
    encode_user_information,
    item,
    items,
)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""The DICOM application context name (PS3.7 A.2.1)."""

HEADER: Final = struct.Struct(">BxI")
_PDV: Final = struct.Struct(">IBB")
_PDATA: Final = struct.Struct(">BxIIBB")
PDV_OVERHEAD: Final = 6
"""bytes of a PDV that are not its fragment: length, context, control header."""

MOST_TRANSFER_SYNTAXES: Final = 8192
"""of one A-ASSOCIATE-RQ: 64 for each of 128 contexts; there are some fifty in the Standard."""


class PDUType(IntEnum):
    """PDU types of PS3.8 9.3."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Refusal(IntEnum):
    """Why a presentation context is not accepted (PS3.8 Table 9-18)."""

    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as proposed: an odd id, one abstract syntax, its transfer syntaxes."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2) with all of its user information.

    Attributes
    ----------
    max_length : int
        bytes the requestor takes in one P-DATA-TF; 0 is no limit.
    roles : mapping of SOP class UID to Role
        What the *requestor* proposes to be (PS3.7 D.3.3.4).
    extended : mapping of SOP class UID to bytes
        Service-class-application-information (PS3.7 D.3.3.5).
    async_ops : tuple of int, optional
        (invoked, performed), PS3.7 D.3.3.3.
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    max_length: int = DEFAULT_MAXIMUM_LENGTH
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    async_ops: tuple[int, int] | None = None
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    extended: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    common_extended: Mapping[str, CommonExtended] = field(default_factory=dict[str, CommonExtended])
    user_identity: UserIdentity | None = None
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 9.3.3): each proposed context with its transfer syntax or its refusal."""

    called_ae_title: str
    calling_ae_title: str
    contexts: Mapping[int, str | Refusal]
    max_length: int = DEFAULT_MAXIMUM_LENGTH
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    async_ops: tuple[int, int] | None = None
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    extended: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    user_identity_response: bytes | None = None
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


_REASONS: Final[Mapping[tuple[int, int], str]] = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given by the peer's association control",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4, Table 9-21)."""

    result: int
    """1 permanent, 2 transient"""
    source: int
    """1 service user, 2 service provider (ACSE), 3 service provider (presentation)"""
    reason: int

    @property
    def text(self) -> str:
        """What the three numbers mean."""
        duration = {1: "permanent", 2: "transient"}.get(self.result, f"result {self.result}")
        reason = _REASONS.get((self.source, self.reason), f"source {self.source}, reason {self.reason}")
        return f"{reason} ({duration})"


NO_REASON_GIVEN: Final = Rejection(1, 1, 1)
CALLING_AE_TITLE_NOT_RECOGNIZED: Final = Rejection(1, 1, 3)
CALLED_AE_TITLE_NOT_RECOGNIZED: Final = Rejection(1, 1, 7)
APPLICATION_CONTEXT_NOT_SUPPORTED: Final = Rejection(1, 1, 2)
PROTOCOL_VERSION_NOT_SUPPORTED: Final = Rejection(1, 2, 2)
TEMPORARY_CONGESTION: Final = Rejection(2, 3, 1)
LOCAL_LIMIT_EXCEEDED: Final = Rejection(2, 3, 2)


class PDV(NamedTuple):
    """A presentation data value: one fragment of a message (PS3.8 9.3.5.1, E.2); a tuple because there are many."""

    context_id: int
    is_command: bool
    is_last: bool
    fragment: bytes


@dataclass(frozen=True, slots=True)
class PData:
    """P-DATA-TF (PS3.8 9.3.5)."""

    pdvs: tuple[PDV, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRQ:
    """A-RELEASE-RQ (PS3.8 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseRP:
    """A-RELEASE-RP (PS3.8 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 9.3.8)."""

    source: int
    reason: int


PDU = AssociateRequest | AssociateAccept | Rejection | PData | ReleaseRQ | ReleaseRP | Abort


# --- decoding --------------------------------------------------------------


def decode(kind: int, body: memoryview) -> PDU:
    """Read one PDU from the bytes after its header.

    Raises
    ------
    ProtocolViolation
        When the body is not what PS3.8 9.3 says it is.
    """
    match kind:
        case PDUType.P_DATA_TF:
            return PData(decode_pdvs(body))
        case PDUType.ASSOCIATE_RQ:
            return _decode_request(body)
        case PDUType.ASSOCIATE_AC:
            return _decode_accept(body)
        case PDUType.ASSOCIATE_RJ | PDUType.RELEASE_RQ | PDUType.RELEASE_RP | PDUType.ABORT:
            if len(body) != 4:
                raise ProtocolViolation(f"A PDU of type {kind:02X}H does not have 4 bytes.")
            if kind == PDUType.RELEASE_RQ:
                return ReleaseRQ()
            if kind == PDUType.RELEASE_RP:
                return ReleaseRP()
            if kind == PDUType.ABORT:
                return Abort(body[2], body[3])
            return Rejection(body[1], body[2], body[3])
        case _:
            raise ProtocolViolation(f"There is no PDU of type {kind:02X}H.", AbortReason.UNRECOGNIZED_PDU)


def decode_pdvs(body: memoryview) -> tuple[PDV, ...]:
    """Read the PDVs of a P-DATA-TF; each fragment is copied once, out of the receive buffer.

    Raises
    ------
    ProtocolViolation
        When a PDV does not fit, has an even context id, or there is none.
    """
    end = len(body)
    pdvs: list[PDV] = []
    offset = 0
    while offset < end:
        if end - offset < PDV_OVERHEAD:
            raise ProtocolViolation("A PDV's header is cut off.")
        length, context_id, control = _PDV.unpack_from(body, offset)
        stop = offset + 4 + length
        if length < 2 or stop > end:
            raise ProtocolViolation("A PDV's length does not fit its P-DATA-TF.")
        if not context_id & 1:
            raise ProtocolViolation("A PDV's presentation context id is not odd.")
        # Only the two lowest bits have a meaning; the others are not tested (PS3.8 E.2).
        fragment = bytes(body[offset + PDV_OVERHEAD : stop])
        pdvs.append(PDV(context_id, bool(control & 1), bool(control & 2), fragment))
        offset = stop
    if not pdvs:
        raise ProtocolViolation("A P-DATA-TF holds no PDV.")
    return tuple(pdvs)


def _head(body: memoryview) -> tuple[int, str, str]:
    """Read protocol version, called and calling AE title."""
    if len(body) < 68:
        raise ProtocolViolation("An A-ASSOCIATE PDU is shorter than its fixed fields.")
    return (body[0] << 8) | body[1], decode_ae_title(body[4:20]), decode_ae_title(body[20:36])


def _context_id(value: memoryview, seen: Mapping[int, object]) -> int:
    if len(value) < 4:
        raise ProtocolViolation("A presentation context item is cut off.")
    context_id = value[0]
    if not context_id & 1 or context_id in seen:
        raise ProtocolViolation("A presentation context id is even or comes twice.")
    return context_id


def _decode_request(body: memoryview) -> AssociateRequest:
    version, called, calling = _head(body)
    application_context: str | None = None
    contexts: dict[int, ProposedContext] = {}
    uids: dict[bytes, str] = {}
    proposed = 0
    user = UserInformation()
    for kind, value in items(body[68:]):
        match kind:
            case ItemType.APPLICATION_CONTEXT:
                application_context = decode_uid(value)
            case ItemType.PRESENTATION_CONTEXT_RQ:
                context_id = _context_id(value, contexts)
                context = contexts[context_id] = _decode_proposed(context_id, value[4:], uids)
                proposed += len(context.transfer_syntaxes)
                if proposed > MOST_TRANSFER_SYNTAXES:
                    raise ProtocolViolation(f"More than {MOST_TRANSFER_SYNTAXES} transfer syntaxes are proposed.")
            case ItemType.USER_INFORMATION:
                user = decode_user_information(value)
            case _:
                pass
    if application_context is None or not contexts:
        raise ProtocolViolation("An A-ASSOCIATE-RQ has no application context or no presentation context.")
    return AssociateRequest(
        called_ae_title=called,
        calling_ae_title=calling,
        contexts=tuple(contexts.values()),
        max_length=user.max_length,
        implementation_class_uid=user.implementation_class_uid,
        implementation_version_name=user.implementation_version_name,
        async_ops=user.async_ops,
        roles=user.roles,
        extended=user.extended,
        common_extended=user.common_extended,
        user_identity=user.user_identity,
        application_context=application_context,
        protocol_version=version,
    )


def _decode_proposed(context_id: int, raw: memoryview, uids: dict[bytes, str]) -> ProposedContext:
    """Read one context; ``uids`` are those of the transfer syntaxes read so far, which most contexts share."""
    abstract: str | None = None
    transfer: list[str] = []
    for kind, value in items(raw):
        match kind:
            case ItemType.ABSTRACT_SYNTAX:
                abstract = decode_uid(value)
            case ItemType.TRANSFER_SYNTAX:
                octets = bytes(value)
                uid = uids.get(octets)
                if uid is None:
                    uid = uids[octets] = decode_uid(octets)
                transfer.append(uid)
                if len(transfer) > MOST_TRANSFER_SYNTAXES:
                    raise ProtocolViolation(f"More than {MOST_TRANSFER_SYNTAXES} transfer syntaxes are proposed.")
            case _:
                pass
    if abstract is None or not transfer:
        raise ProtocolViolation("A proposed presentation context has no abstract or no transfer syntax.")
    return ProposedContext(context_id, abstract, tuple(transfer))


def _decode_accept(body: memoryview) -> AssociateAccept:
    version, called, calling = _head_of_accept(body)
    application_context = ""
    contexts: dict[int, str | Refusal] = {}
    user = UserInformation()
    for kind, value in items(body[68:]):
        match kind:
            case ItemType.APPLICATION_CONTEXT:
                application_context = decode_uid(value)
            case ItemType.PRESENTATION_CONTEXT_AC:
                number = _context_id(value, contexts)  # first: it looks at the length
                contexts[number] = _decode_answered(value)
            case ItemType.USER_INFORMATION:
                user = decode_user_information(value)
            case _:
                pass
    return AssociateAccept(
        called_ae_title=called,
        calling_ae_title=calling,
        contexts=contexts,
        max_length=user.max_length,
        implementation_class_uid=user.implementation_class_uid,
        implementation_version_name=user.implementation_version_name,
        async_ops=user.async_ops,
        roles=user.roles,
        extended=user.extended,
        user_identity_response=user.user_identity_response,
        application_context=application_context,
        protocol_version=version,
    )


def _head_of_accept(body: memoryview) -> tuple[int, str, str]:
    """Read the fixed fields; the AE titles of an acceptance "shall not be tested" (PS3.8 Table 9-17)."""
    try:
        return _head(body)
    except ProtocolViolation:
        if len(body) < 68:
            raise
        return (body[0] << 8) | body[1], "", ""


def _decode_answered(value: memoryview) -> str | Refusal:
    result = value[2]
    if result != 0:
        try:
            return Refusal(result)
        except ValueError:
            return Refusal.NO_REASON
    for kind, syntax in items(value[4:]):
        if kind == ItemType.TRANSFER_SYNTAX:
            return decode_uid(syntax)
    raise ProtocolViolation("An accepted presentation context has no transfer syntax.")


# --- encoding --------------------------------------------------------------


def encode(pdu: PDU) -> bytes:
    """Write one PDU with its header.

    Raises
    ------
    ValueError
        When a field cannot be written: our own mistake, never the peer's.
    """
    match pdu:
        case PData():
            parts = b"".join(
                _PDV.pack(len(pdv.fragment) + 2, pdv.context_id, pdv.is_command | pdv.is_last << 1) + pdv.fragment
                for pdv in pdu.pdvs
            )
            return HEADER.pack(PDUType.P_DATA_TF, len(parts)) + parts
        case AssociateRequest():
            return _encode_request(pdu)
        case AssociateAccept():
            return _encode_accept(pdu)
        case Rejection():
            return HEADER.pack(PDUType.ASSOCIATE_RJ, 4) + bytes((0, pdu.result, pdu.source, pdu.reason))
        case ReleaseRQ():
            return HEADER.pack(PDUType.RELEASE_RQ, 4) + bytes(4)
        case ReleaseRP():
            return HEADER.pack(PDUType.RELEASE_RP, 4) + bytes(4)
        case Abort():
            return HEADER.pack(PDUType.ABORT, 4) + bytes((0, 0, pdu.source, pdu.reason))


def pdata_header(context_id: int, *, command: bool, last: bool, length: int) -> bytes:
    """Write what comes before a fragment of ``length`` bytes in a P-DATA-TF that holds it alone."""
    return _PDATA.pack(PDUType.P_DATA_TF, length + PDV_OVERHEAD, length + 2, context_id, command | last << 1)


def _encode_associate(
    kind: PDUType, version: int, titles: tuple[str, str], application_context: str, contexts: bytes, user: bytes
) -> bytes:
    called, calling = titles
    fixed = version.to_bytes(2, "big") + bytes(2) + encode_ae_title(called) + encode_ae_title(calling) + bytes(32)
    body = fixed + item(ItemType.APPLICATION_CONTEXT, encode_uid(application_context)) + contexts + user
    return HEADER.pack(kind, len(body)) + body


def _encode_request(pdu: AssociateRequest) -> bytes:
    contexts = b"".join(
        item(
            ItemType.PRESENTATION_CONTEXT_RQ,
            bytes((context.id, 0, 0, 0))
            + item(ItemType.ABSTRACT_SYNTAX, encode_uid(context.abstract_syntax))
            + b"".join(item(ItemType.TRANSFER_SYNTAX, encode_uid(uid)) for uid in context.transfer_syntaxes),
        )
        for context in pdu.contexts
    )
    user = UserInformation(
        max_length=pdu.max_length,
        implementation_class_uid=pdu.implementation_class_uid,
        implementation_version_name=pdu.implementation_version_name,
        async_ops=pdu.async_ops,
        roles=pdu.roles,
        extended=pdu.extended,
        common_extended=pdu.common_extended,
        user_identity=pdu.user_identity,
    )
    titles = (pdu.called_ae_title, pdu.calling_ae_title)
    return _encode_associate(
        PDUType.ASSOCIATE_RQ,
        pdu.protocol_version,
        titles,
        pdu.application_context,
        contexts,
        encode_user_information(user),
    )


def _encode_accept(pdu: AssociateAccept) -> bytes:
    parts: list[bytes] = []
    for context_id, answer in pdu.contexts.items():
        # A refused context carries a transfer syntax too, which is not significant; peers expect one to be there.
        refused = isinstance(answer, Refusal)
        syntax = item(ItemType.TRANSFER_SYNTAX, b"" if refused else encode_uid(answer))
        head = bytes((context_id, 0, int(answer) if refused else 0, 0))
        parts.append(item(ItemType.PRESENTATION_CONTEXT_AC, head + syntax))
    user = UserInformation(
        max_length=pdu.max_length,
        implementation_class_uid=pdu.implementation_class_uid,
        implementation_version_name=pdu.implementation_version_name,
        async_ops=pdu.async_ops,
        roles=pdu.roles,
        extended=pdu.extended,
        user_identity_response=pdu.user_identity_response,
    )
    titles = (pdu.called_ae_title, pdu.calling_ae_title)
    return _encode_associate(
        PDUType.ASSOCIATE_AC,
        pdu.protocol_version,
        titles,
        pdu.application_context,
        b"".join(parts),
        encode_user_information(user),
    )
