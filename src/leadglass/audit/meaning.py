"""What our records mean in the words of PS3.15 A.5.3 and of FHIR: one table.

Rule: each action and outcome has one row here, and every format is written from
it; a test walks all of them. What the Standard has no message for is told by the
nearest one, and the reason stands beside it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from leadglass.audit.event import Event, Outcome


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the DICOM Controlled Terminology (PS3.16), or of ours."""

    value: str
    meaning: str
    scheme: str = "DCM"


class Operation(Enum):
    """EventActionCode (PS3.15 A.5.1.1) and AuditEvent.action."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Severity(Enum):
    """EventOutcomeIndicator (PS3.15 A.5.1.1) and AuditEvent.outcome."""

    SUCCESS = 0
    MINOR = 4
    SERIOUS = 8
    MAJOR = 12


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one record says.

    Parameters
    ----------
    event : Code
        EventID (CID 400).
    operation : Operation
        EventActionCode.
    severity : Severity
        EventOutcomeIndicator.
    kind : Code, optional
        EventTypeCode (CID 401 to 403).
    """

    event: Code
    operation: Operation
    severity: Severity
    kind: Code | None = None


APPLICATION_ACTIVITY: Final = Code("110100", "Application Activity")
AUDIT_LOG_USED: Final = Code("110101", "Audit Log Used")
BEGIN_TRANSFERRING: Final = Code("110102", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED: Final = Code("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED: Final = Code("110105", "DICOM Study Deleted")
EXPORT: Final = Code("110106", "Export")
NETWORK_ENTRY: Final = Code("110108", "Network Entry")
QUERY: Final = Code("110112", "Query")
SECURITY_ALERT: Final = Code("110113", "Security Alert")
USER_AUTHENTICATION: Final = Code("110114", "User Authentication")

APPLICATION_START: Final = Code("110120", "Application Start")
APPLICATION_STOP: Final = Code("110121", "Application Stop")
LOGIN: Final = Code("110122", "Login")
LOGOUT: Final = Code("110123", "Logout")
ATTACH: Final = Code("110124", "Attach")
NODE_AUTHENTICATION: Final = Code("110126", "Node Authentication")
EMERGENCY_OVERRIDE_STARTED: Final = Code("110127", "Emergency Override Started")
SECURITY_CONFIGURATION: Final = Code("110129", "Security Configuration")
RESTRICTED_FUNCTION: Final = Code("110132", "Use of Restricted Function")
RECORDING_STOPPED: Final = Code("110133", "Audit Recording Stopped")
RECORDING_STARTED: Final = Code("110134", "Audit Recording Started")
USER_SECURITY_ATTRIBUTES_CHANGED: Final = Code("110137", "User security Attributes Changed")

SOURCE: Final = Code("110153", "Source Role ID")
DESTINATION: Final = Code("110152", "Destination Role ID")
APPLICATION: Final = Code("110150", "Application")
STUDY: Final = Code("110180", "Study Instance UID")
NODE: Final = Code("110182", "Node ID")

COLLECT: Final = "collect"
"""The action word for handing records to the operator's collector."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What one action means: while it is permitted, once it is done, and when it was refused or failed."""

    permitted: Code
    done: Code
    operation: Operation
    kind: Code | None = None
    refused: Code | None = None
    """When not what it means when done."""
    refused_kind: Code | None = None


_E, _R, _C, _U, _D = Operation.EXECUTE, Operation.READ, Operation.CREATE, Operation.UPDATE, Operation.DELETE

_ALERT_KINDS: Final = {
    "audit": RECORDING_STOPPED,
    COLLECT: RECORDING_STOPPED,
    "start": SECURITY_CONFIGURATION,
    "manage": SECURITY_CONFIGURATION,
    "key": SECURITY_CONFIGURATION,
    "exposure": SECURITY_CONFIGURATION,
    "connect": NODE_AUTHENTICATION,
    "associate": NODE_AUTHENTICATION,
    "identify": NODE_AUTHENTICATION,
    "break-glass": EMERGENCY_OVERRIDE_STARTED,
}
"""EventTypeCode of an alert (CID 403); for all others "Use of Restricted Function"."""

TABLE: Final[dict[str, _Row]] = {
    # The archive itself.
    "init": _Row(APPLICATION_ACTIVITY, APPLICATION_ACTIVITY, _E, APPLICATION_START),
    "start": _Row(APPLICATION_ACTIVITY, APPLICATION_ACTIVITY, _E, APPLICATION_START),
    "stop": _Row(APPLICATION_ACTIVITY, APPLICATION_ACTIVITY, _E, APPLICATION_STOP),
    COLLECT: _Row(SECURITY_ALERT, SECURITY_ALERT, _E, RECORDING_STARTED),
    # Who may come in. A stranger is no user: turning it away is a failed node authentication.
    "connect": _Row(SECURITY_ALERT, SECURITY_ALERT, _E, NODE_AUTHENTICATION),
    "associate": _Row(
        USER_AUTHENTICATION, USER_AUTHENTICATION, _E, LOGIN, refused=SECURITY_ALERT, refused_kind=NODE_AUTHENTICATION
    ),
    # Somebody at the web door who showed nothing, or nothing good; no user either.
    "identify": _Row(SECURITY_ALERT, SECURITY_ALERT, _E, NODE_AUTHENTICATION),
    "signin": _Row(USER_AUTHENTICATION, USER_AUTHENTICATION, _E, LOGIN),
    "signout": _Row(USER_AUTHENTICATION, USER_AUTHENTICATION, _E, LOGOUT),
    # What people change of their own: a password, an authenticator app.
    "account": _Row(SECURITY_ALERT, SECURITY_ALERT, _U, USER_SECURITY_ATTRIBUTES_CHANGED),
    # A link by which somebody without an account sees studies, or sends some in, was made or ended.
    "share": _Row(SECURITY_ALERT, SECURITY_ALERT, _U, USER_SECURITY_ATTRIBUTES_CHANGED),
    # Opening is an alert; a refusal and the review of one are the use of a restricted function.
    "break-glass": _Row(SECURITY_ALERT, SECURITY_ALERT, _E, RESTRICTED_FUNCTION),
    # The Standard has no message for Verification; a node that asks whether it is heard is entering the network.
    "echo": _Row(NETWORK_ENTRY, NETWORK_ENTRY, _E, ATTACH),
    # Instances.
    "store": _Row(BEGIN_TRANSFERRING, INSTANCES_TRANSFERRED, _C),
    "submit": _Row(BEGIN_TRANSFERRING, INSTANCES_TRANSFERRED, _C),
    # Pictures that were drawn here: the instances were looked at, and stay.
    "look": _Row(INSTANCES_ACCESSED, INSTANCES_ACCESSED, _R),
    "get": _Row(BEGIN_TRANSFERRING, INSTANCES_TRANSFERRED, _R),
    "move": _Row(BEGIN_TRANSFERRING, INSTANCES_TRANSFERRED, _R),
    "export": _Row(EXPORT, EXPORT, _R),
    "find": _Row(QUERY, QUERY, _E),
    "worklist": _Row(QUERY, QUERY, _E),
    "delete": _Row(STUDY_DELETED, STUDY_DELETED, _D),
    "commit": _Row(INSTANCES_ACCESSED, INSTANCES_ACCESSED, _R),
    "resolve": _Row(INSTANCES_ACCESSED, INSTANCES_ACCESSED, _U),
    # Re-reading everything touches no study for anybody: it is a restricted function that was used.
    "verify": _Row(SECURITY_ALERT, SECURITY_ALERT, _E, RESTRICTED_FUNCTION),
    # A receiver that was not told of what happened, which the archive wants to be.
    "webhook": _Row(SECURITY_ALERT, SECURITY_ALERT, _E, RESTRICTED_FUNCTION),
    # The archive's own books.
    # The archive looked at itself; what it found wrong is an alert.
    "exposure": _Row(APPLICATION_ACTIVITY, APPLICATION_ACTIVITY, _E),
    "audit": _Row(AUDIT_LOG_USED, AUDIT_LOG_USED, _R),
    "key": _Row(SECURITY_ALERT, SECURITY_ALERT, _U, SECURITY_CONFIGURATION),
    "manage": _Row(SECURITY_ALERT, SECURITY_ALERT, _U, SECURITY_CONFIGURATION),
}

_UNKNOWN: Final = _Row(APPLICATION_ACTIVITY, APPLICATION_ACTIVITY, _E)
"""For an action that a newer version wrote."""


def meaning_of(event: Event) -> Meaning:
    """Say what a record means."""
    row = TABLE.get(event.action, _UNKNOWN)
    match event.outcome:
        case Outcome.PERMITTED:
            # The Standard's message for a transfer that begins has the action Execute (A.5.3.3).
            begins = row.permitted is BEGIN_TRANSFERRING
            return Meaning(row.permitted, _E if begins else row.operation, Severity.SUCCESS, row.kind)
        case Outcome.DONE:
            return Meaning(row.done, row.operation, Severity.SUCCESS, row.kind)
        case Outcome.REFUSED:
            refused, kind = row.refused or row.done, row.refused_kind or row.kind
            return Meaning(refused, row.operation, Severity.MINOR, kind)
        case Outcome.FAILED:
            return Meaning(row.done, row.operation, Severity.SERIOUS, row.kind)
        case Outcome.ALERT:
            # Records that were lost: nothing could be permitted meanwhile, the archive was unavailable.
            severity = Severity.MAJOR if event.action == "audit" else Severity.SERIOUS
            return Meaning(SECURITY_ALERT, _E, severity, _ALERT_KINDS.get(event.action, RESTRICTED_FUNCTION))
