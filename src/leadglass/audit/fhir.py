"""Records as FHIR R4 AuditEvent resources, after the patterns of IHE BALP.

Rule: as in ``dicom_xml``, nothing is in a resource that is not in the record, and
the meaning comes from the same table.
"""

from typing import Final

from leadglass.audit import meaning
from leadglass.audit.meaning import Code, Severity, meaning_of
from leadglass.audit.record import Record, to_text

Json = dict[str, "str | int | bool | Json | list[Json]"]

_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_OURS: Final = "urn:leadglass:audit"
_SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_OBJECT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_IP_ADDRESS: Final = "2"


def to_fhir(record: Record, source: str) -> Json:
    """Give a record as an AuditEvent.

    Parameters
    ----------
    record : Record
        The record.
    source : str
        Names the archive.
    """
    event, means = record.event, meaning_of(record.event)
    resource: Json = {
        "resourceType": "AuditEvent",
        "id": f"record-{record.sequence}",
        "type": _coding(means.event),
        "subtype": [_coding(means.kind)] if means.kind is not None else [_word(event.action)],
        "action": means.operation.value,
        "recorded": to_text(record.time),
        "outcome": str(means.severity.value),
        "agent": _agents(record, source),
        "source": {
            "observer": {"display": source},
            "type": [{"system": _SOURCE_TYPE, "code": "4", "display": "Application Server"}],
        },
        "entity": _entities(record),
    }
    if means.severity is not Severity.SUCCESS and event.reason.strip():
        resource["outcomeDesc"] = event.reason
    return resource


def _coding(code: Code) -> Json:
    return {"system": _DICOM, "code": code.value, "display": code.meaning}


def _word(text: str) -> Json:
    return {"system": _OURS, "code": "-".join(text.split()) or "unknown"}


def _agents(record: Record, source: str) -> list[Json]:
    event = record.event
    inwards = event.action == "store"
    is_own = event.door == "system" and not event.caller
    archive: Json = {
        "type": {
            "coding": [_coding(meaning.APPLICATION if is_own else meaning.DESTINATION if inwards else meaning.SOURCE)]
        },
        "who": {"display": source},
        "requestor": is_own,
    }
    if is_own:
        return [archive]
    asking: Json = {
        "type": {"coding": [_coding(meaning.SOURCE if inwards else meaning.DESTINATION)]},
        "who": {"display": event.caller or "unknown"},
        "requestor": True,
    }
    if event.session:
        asking["altId"] = event.session
    if event.peer and event.peer != "local":
        asking["network"] = {"address": event.peer, "type": _IP_ADDRESS}
    agents = [asking]
    receiver = event.detail.get("to")
    if receiver:
        agents.append(
            {
                "type": {"coding": [_coding(meaning.DESTINATION)]},
                "who": {"display": f"device:{receiver}"},
                "requestor": False,
            }
        )
    return [*agents, archive]


def _entities(record: Record) -> list[Json]:
    event = record.event
    entities: list[Json] = []
    if event.study_uid:
        entities.append(
            {
                "what": {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{event.study_uid}"}},
                "type": {"system": _OBJECT_TYPE, "code": "2", "display": "System Object"},
                "role": {"system": _OBJECT_ROLE, "code": "3", "display": "Report"},
            }
        )
    details: dict[str, str | int] = {
        "outcome": event.outcome.value,
        "action": event.action,
        "reason": event.reason,
        "door": event.door,
    }
    said: list[Json] = [
        {"type": key, "valueString": str(value)}
        for key, value in {**details, **event.detail}.items()
        if str(value).strip()
    ]
    entities.append(
        {
            "what": {"identifier": {"system": _OURS, "value": str(record.sequence)}},
            "type": {"system": _OBJECT_TYPE, "code": "2", "display": "System Object"},
            "role": {"system": _OBJECT_ROLE, "code": "20", "display": "Job"},
            "detail": said,
        }
    )
    return entities
