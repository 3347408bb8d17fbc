"""Statuses: what each kind of error is called in each DIMSE service.

Rule 1. The mapping is total: every service answers every kind, and a test walks
them all. Rule 2. Why something was refused stays in the audit log: the peer
hears that it was, never the reason. Rule 3. An Error Comment is one short
sentence without patient data.
"""

from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final

from leadglass.archive.backroom import NotAsDeclared, NotTakenIn
from leadglass.errors import BadInput, Kind, LeadglassError


class Service(Enum):
    """The DIMSE services that the door answers."""

    ECHO = "C-ECHO"
    STORE = "C-STORE"
    FIND = "C-FIND"
    GET = "C-GET"
    MOVE = "C-MOVE"
    COMMIT = "N-ACTION"


class Status(IntEnum):
    """Values of Status (0000,0900) that this archive sends (PS3.7 Annex C; PS3.4 B.2.3, C.4.1-C.4.3)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    INVALID_ARGUMENT_VALUE = 0x0115
    NO_SUCH_SOP_CLASS = 0x0118
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION_TYPE = 0x0123
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    OUT_OF_RESOURCES_MATCHES = 0xA701
    OUT_OF_RESOURCES_SUB_OPERATIONS = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DOES_NOT_MATCH_SOP_CLASS = 0xA900
    SUB_OPERATIONS_WARNING = 0xB000
    CANNOT_UNDERSTAND = 0xC000
    UNABLE_TO_PROCESS = 0xC001
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_OPTIONAL_KEYS = 0xFF01


COMMENT_LENGTH: Final = 64
"""Most characters of an Error Comment (0000,0902), an LO (PS3.7 C.4)."""

_STORE: Final = MappingProxyType(
    {
        Kind.DENIED: Status.NOT_AUTHORIZED,
        Kind.NOT_HERE: Status.PROCESSING_FAILURE,
        Kind.BAD_INPUT: Status.CANNOT_UNDERSTAND,
        Kind.CONFLICT: Status.DUPLICATE_SOP_INSTANCE,
        Kind.BUSY: Status.OUT_OF_RESOURCES,
        Kind.THROTTLED: Status.OUT_OF_RESOURCES,
        Kind.FULL: Status.OUT_OF_RESOURCES,
        Kind.CORRUPT: Status.PROCESSING_FAILURE,
        Kind.UNSUPPORTED: Status.CANNOT_UNDERSTAND,
        Kind.MISCONFIGURED: Status.PROCESSING_FAILURE,
    }
)
"""PS3.4 Table B.2-1 and PS3.7 9.1.1.1.9."""

_FIND: Final = MappingProxyType(
    {
        Kind.DENIED: Status.NOT_AUTHORIZED,
        Kind.NOT_HERE: Status.UNABLE_TO_PROCESS,
        Kind.BAD_INPUT: Status.DOES_NOT_MATCH_SOP_CLASS,
        Kind.CONFLICT: Status.UNABLE_TO_PROCESS,
        Kind.BUSY: Status.OUT_OF_RESOURCES,
        Kind.THROTTLED: Status.OUT_OF_RESOURCES,
        Kind.FULL: Status.OUT_OF_RESOURCES,
        Kind.CORRUPT: Status.UNABLE_TO_PROCESS,
        Kind.UNSUPPORTED: Status.UNABLE_TO_PROCESS,
        Kind.MISCONFIGURED: Status.UNABLE_TO_PROCESS,
    }
)
"""PS3.4 Table C.4-1."""

_RETRIEVE: Final = MappingProxyType(
    {
        Kind.DENIED: Status.NOT_AUTHORIZED,
        Kind.NOT_HERE: Status.UNABLE_TO_PROCESS,
        Kind.BAD_INPUT: Status.DOES_NOT_MATCH_SOP_CLASS,
        Kind.CONFLICT: Status.UNABLE_TO_PROCESS,
        Kind.BUSY: Status.OUT_OF_RESOURCES_SUB_OPERATIONS,
        Kind.THROTTLED: Status.OUT_OF_RESOURCES_SUB_OPERATIONS,
        Kind.FULL: Status.OUT_OF_RESOURCES_SUB_OPERATIONS,
        Kind.CORRUPT: Status.UNABLE_TO_PROCESS,
        Kind.UNSUPPORTED: Status.UNABLE_TO_PROCESS,
        Kind.MISCONFIGURED: Status.UNABLE_TO_PROCESS,
    }
)
"""PS3.4 Tables C.4-2 and C.4-3."""

_ECHO: Final = MappingProxyType(
    {kind: Status.NOT_AUTHORIZED if kind is Kind.DENIED else Status.PROCESSING_FAILURE for kind in Kind}
)
"""PS3.7 9.1.5.1.4 knows no failures of its own; these are the general ones of Annex C."""

_COMMIT: Final = MappingProxyType(
    {
        Kind.DENIED: Status.NOT_AUTHORIZED,
        Kind.NOT_HERE: Status.NO_SUCH_SOP_INSTANCE,
        Kind.BAD_INPUT: Status.INVALID_ARGUMENT_VALUE,
        Kind.CONFLICT: Status.INVALID_ARGUMENT_VALUE,
        Kind.BUSY: Status.RESOURCE_LIMITATION,
        Kind.THROTTLED: Status.RESOURCE_LIMITATION,
        Kind.FULL: Status.RESOURCE_LIMITATION,
        Kind.CORRUPT: Status.PROCESSING_FAILURE,
        Kind.UNSUPPORTED: Status.PROCESSING_FAILURE,
        Kind.MISCONFIGURED: Status.PROCESSING_FAILURE,
    }
)
"""PS3.7 10.1.4.1.10, to which PS3.4 J.3.2 adds nothing. A conflict is a Transaction UID that is in use."""

TABLES: Final = MappingProxyType(
    {
        Service.ECHO: _ECHO,
        Service.STORE: _STORE,
        Service.FIND: _FIND,
        Service.GET: _RETRIEVE,
        Service.MOVE: _RETRIEVE,
        Service.COMMIT: _COMMIT,
    }
)
"""Service → kind → status."""


class NamedFault(BadInput):
    """A fault of a request for which its service has a status of its own.

    Parameters
    ----------
    status : Status
        That status.
    message : str
        What was wrong.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(service: Service, error: LeadglassError) -> Status:
    """Give the status with which ``service`` answers ``error``."""
    if isinstance(error, NamedFault):
        return error.status
    if service is Service.STORE and isinstance(error, NotTakenIn):
        return Status.SOP_CLASS_NOT_SUPPORTED
    if service is Service.STORE and isinstance(error, NotAsDeclared):
        return Status.DOES_NOT_MATCH_SOP_CLASS
    return TABLES[service][error.kind]


def comment_of(error: LeadglassError) -> str:
    """Give the Error Comment for an error: its message, cut to fit; of a refusal only that it is one."""
    if error.kind is Kind.DENIED:
        return "Not authorized."
    return comment(error.message)


def comment(text: str) -> str:
    """Make a sentence fit for an Error Comment: default repertoire, no backslash, at most 64 characters."""
    plain = "".join(character if " " <= character <= "~" and character != "\\" else "?" for character in text)
    return plain if len(plain) <= COMMENT_LENGTH else plain[: COMMENT_LENGTH - 3].rstrip() + "..."
