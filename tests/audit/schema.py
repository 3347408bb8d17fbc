"""The schema of PS3.15 A.5.1 as facts: which elements stand where, how often, with which attributes.

Transcribed from the RELAX NG of the Standard; ``check`` says what is wrong with a message.
"""

import re
from xml.etree.ElementTree import Element

TOKEN, TEXT = r".*", r".*"
OID = r"[0-2](\.(0|[1-9][0-9]*))*"
BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
CODED = {"csd-code": TOKEN, "codeSystemName": TOKEN, "displayName?": TOKEN, "originalText": TOKEN}

Rule = tuple[dict[str, str], str, str | None]
"""Attributes (optional with ?), the children in order as an expression, and the text, if it has one."""

RULES: dict[str, Rule] = {
    "AuditMessage": (
        {},
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification (ParticipantObjectIdentification )*",
        None,
    ),
    "EventIdentification": (
        {"EventActionCode?": "[CRUDE]", "EventDateTime": DATE_TIME, "EventOutcomeIndicator": "0|4|8|12"},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        None,
    ),
    "EventID": (CODED, "", None),
    "EventTypeCode": (CODED, "", None),
    "EventOutcomeDescription": ({}, "", TEXT),
    "ActiveParticipant": (
        {
            "UserID": TEXT, "AlternativeUserID?": TEXT, "UserName?": TEXT, "UserIsRequestor": "true|false|0|1",
            "NetworkAccessPointID?": TOKEN, "NetworkAccessPointTypeCode?": "[1-5]",
        },
        "(RoleIDCode )*(MediaIdentifier )?",
        None,
    ),
    "RoleIDCode": (CODED, "", None),
    "AuditSourceIdentification": (
        {"AuditEnterpriseSiteID?": TOKEN, "AuditSourceID": TOKEN}, "(AuditSourceTypeCode )*", None,
    ),
    "AuditSourceTypeCode": ({"csd-code": "[1-9]"}, "", None),
    "ParticipantObjectIdentification": (
        {
            "ParticipantObjectID": TOKEN, "ParticipantObjectTypeCode?": "[1-4]",
            "ParticipantObjectTypeCodeRole?": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle?": "[1-9]|1[0-5]", "ParticipantObjectSensitivity?": TOKEN,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )(ParticipantObjectDetail )*"
        "(ParticipantObjectDescription )*",
        None,
    ),
    "ParticipantObjectIDTypeCode": (CODED, "", None),
    "ParticipantObjectName": ({}, "", TOKEN),
    "ParticipantObjectQuery": ({}, "", BASE64),
    "ParticipantObjectDetail": ({"type": TOKEN, "value": BASE64}, "", None),
    "ParticipantObjectDescription": (
        {}, "(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?", None,
    ),
    "SOPClass": ({"UID?": OID, "NumberOfInstances": r"-?\d+"}, "(Instance )*", None),
}  # fmt: skip


def check(element: Element) -> list[str]:
    """Give everything that is wrong with an element and what is in it."""
    if element.tag not in RULES:
        return [f"{element.tag} is not in the schema"]
    attributes, children, text = RULES[element.tag]
    wrong = [
        f"{element.tag} lacks {name}" for name in attributes if not name.endswith("?") and name not in element.attrib
    ]
    for name, value in element.attrib.items():
        pattern = attributes.get(name, attributes.get(f"{name}?"))
        if pattern is None or not re.fullmatch(pattern, value, re.DOTALL):
            wrong.append(f"{element.tag} {name}={value!r}")
    said = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(children, said):
        wrong.append(f"{element.tag} holds {said!r}")
    if (element.text or "").strip() and (text is None or not re.fullmatch(text, element.text or "", re.DOTALL)):
        wrong.append(f"{element.tag} says {element.text!r}")
    return wrong + [fault for child in element for fault in check(child)]
