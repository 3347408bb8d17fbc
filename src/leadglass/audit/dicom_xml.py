"""Records as the audit messages of PS3.15 A.5 (the schema that followed RFC 3881).

Rule 1. Nothing is in a message that is not in the record: there is no patient in
the log, so there is none here, and the messages that the Standard wants a patient
in lack it. Rule 2. What came from outside is data: it is escaped, and what XML
1.0 cannot hold is written out as an escape.
"""

import re
from base64 import b64encode
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from leadglass.audit import meaning
from leadglass.audit.meaning import Code, Severity, meaning_of
from leadglass.audit.record import Record, escape, to_text

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_IP_ADDRESS: Final = "2"
_SYSTEM_OBJECT: Final = "2"
_ROLE_QUERY, _ROLE_REPORT, _ROLE_JOB = "24", "3", "20"
_APPLICATION_SERVER: Final = "4"


def to_xml(record: Record, source: str) -> str:
    """Give a record as one AuditMessage, on one line and with its XML declaration.

    Parameters
    ----------
    record : Record
        The record.
    source : str
        Names the archive: AuditSourceID, and its UserID as a participant.
    """
    message = Element("AuditMessage")
    _event(message, record)
    _participants(message, record, source)
    SubElement(_sub(message, "AuditSourceIdentification", AuditSourceID=source), "AuditSourceTypeCode").set(
        "csd-code", _APPLICATION_SERVER
    )
    _objects(message, record)
    text = tostring(message, encoding="unicode", short_empty_elements=True)
    return '<?xml version="1.0" encoding="UTF-8"?>' + text.replace("\r", "&#13;").replace("\n", "&#10;")


def _sub(parent: Element, tag: str, **attributes: str) -> Element:
    """Add an element with attributes whose values XML can hold."""
    return SubElement(parent, tag, {name: _clean(value) for name, value in attributes.items()})


def _clean(text: str) -> str:
    """Write out what XML 1.0 cannot hold, and what a token would lose."""
    return _NOT_XML.sub(lambda match: escape(match[0]), text)


def _coded(parent: Element, tag: str, code: Code) -> None:
    SubElement(
        parent,
        tag,
        {
            "csd-code": code.value,
            "codeSystemName": code.scheme,
            "displayName": code.meaning,
            "originalText": code.meaning,
        },
    )


def _event(message: Element, record: Record) -> None:
    means = meaning_of(record.event)
    event = _sub(
        message,
        "EventIdentification",
        EventActionCode=means.operation.value,
        EventDateTime=to_text(record.time),
        EventOutcomeIndicator=str(means.severity.value),
    )
    _coded(event, "EventID", means.event)
    if means.kind is not None:
        _coded(event, "EventTypeCode", means.kind)
    if means.severity is not Severity.SUCCESS:
        SubElement(event, "EventOutcomeDescription").text = _clean(record.event.reason)


def _participants(message: Element, record: Record, source: str) -> None:
    """Name who asked (or knocked), the archive, and the receiver of a C-MOVE."""
    event = record.event
    inwards = event.action == "store"
    if event.caller or event.door != "system":
        who = _sub(
            message,
            "ActiveParticipant",
            UserID=event.caller or "unknown",
            UserIsRequestor="true",
        )
        if event.session:
            who.set("AlternativeUserID", _clean(event.session))
        if event.peer and event.peer != "local":
            who.set("NetworkAccessPointID", _clean(event.peer))
            who.set("NetworkAccessPointTypeCode", _IP_ADDRESS)
        _coded(who, "RoleIDCode", meaning.SOURCE if inwards else meaning.DESTINATION)
    receiver = event.detail.get("to")
    if receiver:
        other = _sub(message, "ActiveParticipant", UserID=f"device:{receiver}", UserIsRequestor="false")
        _coded(other, "RoleIDCode", meaning.DESTINATION)
    archive = _sub(
        message,
        "ActiveParticipant",
        UserID=source,
        UserIsRequestor="true" if event.door == "system" and not event.caller else "false",
    )
    if event.door == "system" and not event.caller:
        _coded(archive, "RoleIDCode", meaning.APPLICATION)
    else:
        _coded(archive, "RoleIDCode", meaning.DESTINATION if inwards else meaning.SOURCE)


def _objects(message: Element, record: Record) -> None:
    event = record.event
    if event.study_uid:
        study = _object(message, event.study_uid, meaning.STUDY, _ROLE_REPORT)
        if "instances" in event.detail:
            # No SOP class is in the log: the attribute is optional, the number is not.
            description = SubElement(study, "ParticipantObjectDescription")
            _sub(description, "SOPClass", NumberOfInstances=str(event.detail["instances"]))
    about = Code("record", "Number of the record in the audit log", "99LEADGLASS")
    named = _object(message, str(record.sequence), about, _ROLE_JOB)
    details: dict[str, str | int] = {"outcome": event.outcome.value, "reason": event.reason, "door": event.door}
    for key, value in {**details, **event.detail}.items():
        if value != "":
            _sub(named, "ParticipantObjectDetail", type=key, value=b64encode(str(value).encode()).decode())
    if event.action in {"find", "worklist"}:
        keys = b64encode(str(event.detail.get("keys", "")).encode()).decode()
        _object(message, "keys", Code("keys", "Attributes asked for, without values", "99LEADGLASS"), _ROLE_QUERY, keys)


def _object(message: Element, name: str, code: Code, role: str, query: str | None = None) -> Element:
    found = _sub(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=name,
        ParticipantObjectTypeCode=_SYSTEM_OBJECT,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(found, "ParticipantObjectIDTypeCode", code)
    if query is None:
        SubElement(found, "ParticipantObjectName").text = _clean(name)
    else:
        SubElement(found, "ParticipantObjectQuery").text = query
    return found
