"""The messages of PS3.7 Chapters 9 and 10, one frozen dataclass per command.

Rule: the names are the Standard's. A command says nothing about whether a data
set follows: that is known where it is sent and where it is received. Responses
are made by their request (``request.response(status)``), so that message id and
SOP class come back as they came.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final


@unique
class CommandField(IntEnum):
    """Command Field values (PS3.7 Annex E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


class Priority(IntEnum):
    """Priority of a DIMSE-C request (PS3.7 E.1)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


class Status(IntEnum):
    """The general statuses of PS3.7 Annex C; services add their own numbers, so a status is an ``int``."""

    SUCCESS = 0x0000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_OPTIONAL_KEYS_NOT_SUPPORTED = 0xFF01
    ATTRIBUTE_LIST_ERROR = 0x0107
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    CLASS_INSTANCE_CONFLICT = 0x0119
    DUPLICATE_SOP_INSTANCE = 0x0111
    DUPLICATE_INVOCATION = 0x0210
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_ATTRIBUTE_VALUE = 0x0106
    INVALID_OBJECT_INSTANCE = 0x0117
    MISSING_ATTRIBUTE = 0x0120
    MISSING_ATTRIBUTE_VALUE = 0x0121
    MISTYPED_ARGUMENT = 0x0212
    NO_SUCH_ACTION_TYPE = 0x0123
    NO_SUCH_ARGUMENT = 0x0114
    NO_SUCH_ATTRIBUTE = 0x0105
    NO_SUCH_EVENT_TYPE = 0x0113
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_SOP_CLASS = 0x0118
    NOT_AUTHORIZED = 0x0124
    PROCESSING_FAILURE = 0x0110
    RESOURCE_LIMITATION = 0x0213
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211


def status_of(command: "Command") -> int:
    """Give the status of a response; success for what has none."""
    status = getattr(command, "status", 0)
    return status if isinstance(status, int) else 0


def is_pending(status: int) -> bool:
    """Tell whether more responses follow (PS3.7 C.1.3)."""
    return status in (Status.PENDING, Status.PENDING_OPTIONAL_KEYS_NOT_SUPPORTED)


def is_warning(status: int) -> bool:
    """Tell whether the operation was done with a remark (PS3.7 C.3)."""
    return status in (0x0001, 0x0107, 0x0116) or status >> 12 == 0xB


ERROR_COMMENT_LENGTH: Final = 64
"""characters an Error Comment may have (VR LO)."""


# --- DIMSE-C ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoRsp:
    """C-ECHO-RSP (PS3.7 9.3.5.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoRq:
    """C-ECHO-RQ (PS3.7 9.3.5.1)."""

    message_id: int
    affected_sop_class_uid: str

    def response(self, status: int, error_comment: str = "") -> CEchoRsp:
        """Make the answer to this request."""
        return CEchoRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreRsp:
    """C-STORE-RSP (PS3.7 9.3.1.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreRq:
    """C-STORE-RQ (PS3.7 9.3.1.1)."""

    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    priority: int = Priority.MEDIUM
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    def response(self, status: int, error_comment: str = "", offending_element: tuple[int, ...] = ()) -> CStoreRsp:
        """Make the answer to this request."""
        return CStoreRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            affected_sop_instance_uid=self.affected_sop_instance_uid,
            error_comment=error_comment,
            offending_element=offending_element,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindRsp:
    """C-FIND-RSP (PS3.7 9.3.2.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindRq:
    """C-FIND-RQ (PS3.7 9.3.2.1)."""

    message_id: int
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM

    def response(self, status: int, error_comment: str = "", offending_element: tuple[int, ...] = ()) -> CFindRsp:
        """Make one of the answers to this request."""
        return CFindRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            error_comment=error_comment,
            offending_element=offending_element,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suboperations:
    """How far the sub-operations of a C-GET or C-MOVE are; ``None`` is "not sent"."""

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetRsp:
    """C-GET-RSP (PS3.7 9.3.3.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetRq:
    """C-GET-RQ (PS3.7 9.3.3.1)."""

    message_id: int
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM

    def response(
        self,
        status: int,
        counts: Suboperations | None = None,
        error_comment: str = "",
        offending_element: tuple[int, ...] = (),
    ) -> CGetRsp:
        """Make one of the answers to this request."""
        counts = counts or Suboperations()
        return CGetRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            number_of_remaining_suboperations=counts.remaining,
            number_of_completed_suboperations=counts.completed,
            number_of_failed_suboperations=counts.failed,
            number_of_warning_suboperations=counts.warning,
            error_comment=error_comment,
            offending_element=offending_element,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveRsp:
    """C-MOVE-RSP (PS3.7 9.3.4.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None
    offending_element: tuple[int, ...] = ()
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveRq:
    """C-MOVE-RQ (PS3.7 9.3.4.1)."""

    message_id: int
    affected_sop_class_uid: str
    move_destination: str
    priority: int = Priority.MEDIUM

    def response(
        self,
        status: int,
        counts: Suboperations | None = None,
        error_comment: str = "",
        offending_element: tuple[int, ...] = (),
    ) -> CMoveRsp:
        """Make one of the answers to this request."""
        counts = counts or Suboperations()
        return CMoveRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            number_of_remaining_suboperations=counts.remaining,
            number_of_completed_suboperations=counts.completed,
            number_of_failed_suboperations=counts.failed,
            number_of_warning_suboperations=counts.warning,
            error_comment=error_comment,
            offending_element=offending_element,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CCancelRq:
    """C-CANCEL-RQ (PS3.7 9.3.2.3)."""

    message_id_being_responded_to: int


# --- DIMSE-N ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportRsp:
    """N-EVENT-REPORT-RSP (PS3.7 10.3.1.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    event_type_id: int | None = None
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportRq:
    """N-EVENT-REPORT-RQ (PS3.7 10.3.1.1)."""

    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    event_type_id: int

    def response(self, status: int, error_comment: str = "") -> NEventReportRsp:
        """Make the answer to this request."""
        return NEventReportRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            affected_sop_instance_uid=self.affected_sop_instance_uid,
            event_type_id=self.event_type_id,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetRsp:
    """N-GET-RSP (PS3.7 10.3.2.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetRq:
    """N-GET-RQ (PS3.7 10.3.2.1)."""

    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    attribute_identifier_list: tuple[int, ...] = ()

    def response(self, status: int, error_comment: str = "") -> NGetRsp:
        """Make the answer to this request."""
        return NGetRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.requested_sop_class_uid,
            affected_sop_instance_uid=self.requested_sop_instance_uid,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetRsp:
    """N-SET-RSP (PS3.7 10.3.3.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetRq:
    """N-SET-RQ (PS3.7 10.3.3.1)."""

    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str

    def response(self, status: int, error_comment: str = "") -> NSetRsp:
        """Make the answer to this request."""
        return NSetRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.requested_sop_class_uid,
            affected_sop_instance_uid=self.requested_sop_instance_uid,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionRsp:
    """N-ACTION-RSP (PS3.7 10.3.4.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    action_type_id: int | None = None
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionRq:
    """N-ACTION-RQ (PS3.7 10.3.4.1)."""

    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    action_type_id: int

    def response(self, status: int, error_comment: str = "") -> NActionRsp:
        """Make the answer to this request."""
        return NActionRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.requested_sop_class_uid,
            affected_sop_instance_uid=self.requested_sop_instance_uid,
            action_type_id=self.action_type_id,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateRsp:
    """N-CREATE-RSP (PS3.7 10.3.5.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateRq:
    """N-CREATE-RQ (PS3.7 10.3.5.1)."""

    message_id: int
    affected_sop_class_uid: str
    affected_sop_instance_uid: str | None = None

    def response(
        self, status: int, error_comment: str = "", *, affected_sop_instance_uid: str | None = None
    ) -> NCreateRsp:
        """Make the answer to this request; the instance UID may have been assigned by us."""
        return NCreateRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.affected_sop_class_uid,
            affected_sop_instance_uid=affected_sop_instance_uid or self.affected_sop_instance_uid,
            error_comment=error_comment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteRsp:
    """N-DELETE-RSP (PS3.7 10.3.6.2)."""

    message_id_being_responded_to: int
    status: int
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    error_id: int | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteRq:
    """N-DELETE-RQ (PS3.7 10.3.6.1)."""

    message_id: int
    requested_sop_class_uid: str
    requested_sop_instance_uid: str

    def response(self, status: int, error_comment: str = "") -> NDeleteRsp:
        """Make the answer to this request."""
        return NDeleteRsp(
            message_id_being_responded_to=self.message_id,
            status=status,
            affected_sop_class_uid=self.requested_sop_class_uid,
            affected_sop_instance_uid=self.requested_sop_instance_uid,
            error_comment=error_comment,
        )


Request = (
    CEchoRq
    | CStoreRq
    | CFindRq
    | CGetRq
    | CMoveRq
    | NEventReportRq
    | NGetRq
    | NSetRq
    | NActionRq
    | NCreateRq
    | NDeleteRq
)
Response = (
    CEchoRsp
    | CStoreRsp
    | CFindRsp
    | CGetRsp
    | CMoveRsp
    | NEventReportRsp
    | NGetRsp
    | NSetRsp
    | NActionRsp
    | NCreateRsp
    | NDeleteRsp
)
Command = Request | Response | CCancelRq

FIELD_OF: Final[dict[type[Command], CommandField]] = {
    CEchoRq: CommandField.C_ECHO_RQ,
    CEchoRsp: CommandField.C_ECHO_RSP,
    CStoreRq: CommandField.C_STORE_RQ,
    CStoreRsp: CommandField.C_STORE_RSP,
    CFindRq: CommandField.C_FIND_RQ,
    CFindRsp: CommandField.C_FIND_RSP,
    CGetRq: CommandField.C_GET_RQ,
    CGetRsp: CommandField.C_GET_RSP,
    CMoveRq: CommandField.C_MOVE_RQ,
    CMoveRsp: CommandField.C_MOVE_RSP,
    CCancelRq: CommandField.C_CANCEL_RQ,
    NEventReportRq: CommandField.N_EVENT_REPORT_RQ,
    NEventReportRsp: CommandField.N_EVENT_REPORT_RSP,
    NGetRq: CommandField.N_GET_RQ,
    NGetRsp: CommandField.N_GET_RSP,
    NSetRq: CommandField.N_SET_RQ,
    NSetRsp: CommandField.N_SET_RSP,
    NActionRq: CommandField.N_ACTION_RQ,
    NActionRsp: CommandField.N_ACTION_RSP,
    NCreateRq: CommandField.N_CREATE_RQ,
    NCreateRsp: CommandField.N_CREATE_RSP,
    NDeleteRq: CommandField.N_DELETE_RQ,
    NDeleteRsp: CommandField.N_DELETE_RSP,
}
"""Each command class and the number that stands for it on the wire."""
