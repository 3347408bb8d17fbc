"""Every action and outcome in the words of PS3.15 A.5 and of FHIR, checked against their schemas."""

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from itertools import product
from typing import cast
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.dicom_xml import to_xml
from leadglass.audit.event import Event, Outcome
from leadglass.audit.fhir import to_fhir
from leadglass.audit.meaning import TABLE, meaning_of
from leadglass.audit.record import Record, encode, fields_of
from leadglass.audit.syslog import Format, Sender
from leadglass.policy.action import Action
from tests.audit.schema import check
from tests.peers.collector import parse

NOW = datetime(2026, 11, 22, 8, 30, 0, 5, tzinfo=UTC)
WORDS = sorted(
    {*Action, "init", "start", "stop", "connect", "associate", "collect", "key"}
    | {"identify", "signin", "signout", "account", "break-glass", "webhook", "share", "exposure"}
)
EVENTS = sorted({meaning_of(Event(outcome, word)).event.value for word, outcome in product(WORDS, Outcome)})

Json = dict[str, object]


def read(text: str) -> Element:
    """Read what we wrote."""
    return fromstring(text.encode("utf-8", "backslashreplace"))  # noqa: S314 - ours


def record_of(outcome: Outcome, action: str, **more: str) -> Record:
    event = Event(
        outcome,
        action,
        caller=more.get("caller", "device:CT1"),
        peer=more.get("peer", "10.0.0.7"),
        door=more.get("door", "dimse"),
        reason=more.get("reason", "because"),
        study_uid=more.get("study_uid", "1.2.3"),
        session="a1",
        detail={"instances": 5, "to": "WS1", "keys": "PatientID"},
    )
    return Record(7, NOW, "", event)


def test_every_action_there_is_has_its_row() -> None:
    assert set(WORDS) == set(TABLE)


def test_only_messages_of_the_standard_are_written() -> None:
    assert set(EVENTS) <= {str(code) for code in range(110100, 110115)}


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("action", [*WORDS, "something newer"])
def test_every_action_and_outcome_is_a_message_of_the_standard(action: str, outcome: Outcome) -> None:
    for door, caller in (("dimse", "device:CT1"), ("dimse", ""), ("cli", "cli:root"), ("system", "")):
        text = to_xml(record_of(outcome, action, door=door, caller=caller), "LEADGLASS")
        assert "\n" not in text
        message = read(text)
        assert check(message) == []
        assert sum(each.get("UserIsRequestor") == "true" for each in message.iter("ActiveParticipant")) == 1
        event = message.find("EventIdentification")
        assert event is not None
        is_well = outcome in (Outcome.PERMITTED, Outcome.DONE)
        assert (event.get("EventOutcomeIndicator") == "0") is is_well
        assert (event.find("EventOutcomeDescription") is None) is is_well


def test_a_study_that_was_stored_names_its_study_its_number_and_where_it_came_from() -> None:
    message = read(to_xml(record_of(Outcome.DONE, "store"), "LEADGLASS"))
    found = message.find("EventIdentification/EventID")
    assert found is not None
    assert found.get("csd-code") == "110104"
    asking = message.find("ActiveParticipant[@UserIsRequestor='true']")
    assert asking is not None
    assert (asking.get("UserID"), asking.get("NetworkAccessPointID")) == ("device:CT1", "10.0.0.7")
    study = message.find("ParticipantObjectIdentification[@ParticipantObjectID='1.2.3']")
    assert study is not None
    sop = study.find("ParticipantObjectDescription/SOPClass")
    assert sop is not None
    assert sop.get("NumberOfInstances") == "5"


@given(st.text(), st.text(), st.text())
def test_whatever_came_from_outside_stays_data(reason: str, peer: str, study_uid: str) -> None:
    text = to_xml(record_of(Outcome.REFUSED, "find", reason=reason, peer=peer, study_uid=study_uid), "LEADGLASS")
    message = read(text)
    assert check(message) == []
    values = {each.get("type"): each.get("value") for each in message.iter("ParticipantObjectDetail")}
    if reason:
        assert b64decode(values["reason"] or "") == reason.encode("utf-8", "backslashreplace")


# --- FHIR -----------------------------------------------------------------------

ALLOWED: dict[str, set[str]] = {
    "": {
        "resourceType", "id", "type", "subtype", "action", "recorded", "outcome", "outcomeDesc", "agent", "source",
        "entity",
    },
    "agent": {"type", "who", "altId", "requestor", "network"},
    "source": {"observer", "type"},
    "entity": {"what", "type", "role", "detail"},
}  # fmt: skip
"""What R4 knows of the elements that we use (AuditEvent, R4 4.0.1)."""


def coding(value: object) -> None:
    assert isinstance(value, dict)
    said = cast("dict[str, str]", value)
    assert set(said) <= {"system", "code", "display"}
    assert re.fullmatch(r"[^\s]+(\s[^\s]+)*", said["code"])
    assert re.match(r"(http|urn:)", said["system"])


def check_resource(resource: Json) -> None:
    """Check cardinalities, types and value sets of AuditEvent (R4)."""
    assert set(resource) <= ALLOWED[""]
    assert resource["resourceType"] == "AuditEvent"
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", str(resource["id"]))
    coding(resource["type"])
    for each in cast("list[object]", resource["subtype"]):
        coding(each)
    assert resource["action"] in set("CRUDE")
    assert resource["outcome"] in {"0", "4", "8", "12"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(resource["recorded"]))
    agents = cast("list[Json]", resource["agent"])
    assert agents
    for agent in agents:
        assert set(agent) <= ALLOWED["agent"]
        assert isinstance(agent["requestor"], bool)
        assert cast("Json", agent["who"])["display"]
        for each in cast("list[object]", cast("Json", agent["type"])["coding"]):
            coding(each)
    assert [agent["requestor"] for agent in agents].count(True) == 1
    assert set(cast("Json", resource["source"])) <= ALLOWED["source"]
    for entity in cast("list[Json]", resource["entity"]):
        assert set(entity) <= ALLOWED["entity"]
        coding(entity["type"])
        coding(entity["role"])
        for each in cast("list[Json]", entity.get("detail", [])):
            assert set(each) == {"type", "valueString"}
            assert str(each["valueString"]).strip()


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("action", [*WORDS, "something newer"])
def test_every_action_and_outcome_is_an_audit_event(action: str, outcome: Outcome) -> None:
    for door, caller in (("dimse", "device:CT1"), ("dimse", ""), ("cli", "cli:root"), ("system", "")):
        resource = to_fhir(record_of(outcome, action, door=door, caller=caller), "LEADGLASS")
        check_resource(cast("Json", json.loads(json.dumps(resource))))


def test_both_formats_say_the_same() -> None:
    for action, outcome in product(WORDS, Outcome):
        record = record_of(outcome, action)
        event = read(to_xml(record, "LEADGLASS")).find("EventIdentification")
        resource = to_fhir(record, "LEADGLASS")
        assert event is not None
        assert event.get("EventActionCode") == resource["action"]
        assert event.get("EventOutcomeIndicator") == resource["outcome"]


# --- syslog ---------------------------------------------------------------------


@given(st.text(max_size=50), st.sampled_from(Format), st.text(max_size=20))
def test_a_frame_says_its_length_and_is_one_message_whatever_is_in_it(reason: str, form: Format, host: str) -> None:
    sender = Sender(host, "LEADGLASS", 'a"]\\b', 7, form=form)
    body = encode(fields_of(Event(Outcome.ALERT, "get", reason=reason)), 9, NOW, bytes(32))
    frame = sender.of_record(body)
    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    found = parse(message)
    assert found.data["sequence"] == "9"
    assert found.priority == 10 * 8 + 1


def test_a_record_that_cannot_be_read_goes_as_it_lies_there_and_holds_nothing_up() -> None:
    sender = Sender("h", "LEADGLASS", "o", 7)
    message = parse(sender.of_record("nonsense").partition(b" ")[2])
    assert (message.kind, message.content) == ("LEADGLASS+JSON", b"nonsense")
