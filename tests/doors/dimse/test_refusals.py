"""Who is turned away, what they hear, and what is on record: one answer for strangers, the true reason for the log."""

import socket
from collections.abc import Callable

import pytest
from pydicom.uid import UID

from leadglass.identity.device import Device
from tests.doors.dimse.house import House
from tests.doors.dimse.peer import associate
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.running import wait_until
from tests.peers.scu import STUDY_FIND, UNCOMPRESSED, VERIFICATION, Way, find, identifier
from tests.peers.tunnel import tunnel

ECHO = [(VERIFICATION, UNCOMPRESSED)]


def rejection(way: Way, called: str = "LEADGLASS") -> tuple[int, int, int]:
    """Ask for an association and give the three numbers of its rejection."""
    with associate(way, ECHO, called=called) as assoc:
        assert assoc.is_rejected
        answer = assoc.acceptor.primitive
        assert answer is not None
        return answer.result or 0, answer.result_source or 0, answer.diagnostic or 0


def stranger(house: House) -> Way:
    return Way(house.port, "STRANGER")


def tls_device_in_plaintext(house: House) -> Way:
    house.enrol("CT1", "echo,store")
    return Way(house.port, "CT1")


def another_devices_certificate(house: House) -> Way:
    house.enrol("CT1", "echo,store")
    return Way(house.tls_port, "CT1", house.enrol("CT2", "echo,store").credentials)


def a_replaced_certificate(house: House) -> Way:
    old = house.enrol("CT1", "echo,store")
    house.enrol("CT1", "echo,store")
    return old


def another_address(house: House) -> Way:
    return house.lane("CT1", "echo,store", address="127.0.0.2")


def another_address_with_a_certificate(house: House) -> Way:
    return house.enrol("CT1", "echo,store", address="127.0.0.2")


STRANGERS: list[tuple[Callable[[House], Way], str]] = [
    (stranger, "No device is enrolled"),
    (tls_device_in_plaintext, "no plaintext lane"),
    (another_devices_certificate, "certificate of CT2"),
    (a_replaced_certificate, "replaced"),
    (another_address, "enrolled for 127.0.0.2"),
    (another_address_with_a_certificate, "enrolled for 127.0.0.2"),
]


@pytest.mark.parametrize(("who", "reason"), STRANGERS, ids=[who.__name__ for who, _ in STRANGERS])
def test_every_stranger_hears_the_same_and_the_log_has_the_reason(
    who: Callable[[House], Way], reason: str, house: House
) -> None:
    assert rejection(who(house)) == (1, 1, 3)
    (event,) = house.refusals()
    assert event.action == "associate"
    assert reason in event.reason


def test_a_stranger_who_calls_us_by_another_name_does_not_learn_ours(house: House) -> None:
    assert rejection(Way(house.port, "STRANGER"), called="SOMEBODY") == (1, 1, 3)


def test_an_enrolled_device_that_calls_us_by_another_name_is_told(house: House) -> None:
    assert rejection(house.lane("CT1", "echo"), called="SOMEBODY") == (1, 1, 7)
    assert "called" in house.refusals()[0].reason


def test_without_a_certificate_there_is_no_association_over_tls(house: House, dcmtk: Dcmtk) -> None:
    way = house.enrol("CT1", "echo,store")
    assert way.credentials is not None
    authority = str(way.credentials.authority)
    ran = dcmtk(
        "echoscu", "+tla", "+cf", authority, "-aet", "CT1", "-aec", "LEADGLASS", "127.0.0.1", str(house.tls_port)
    )
    assert ran.code != 0
    wait_until(lambda: bool(house.refusals()), "the refusal is on record")
    (event,) = house.refusals()
    assert event.action == "connect"
    assert "certificate" in event.reason


def test_plaintext_on_the_port_for_tls_is_on_record(house: House) -> None:
    house.lane("CT1", "echo")
    with associate(Way(house.tls_port, "CT1"), ECHO) as assoc:
        assert not assoc.is_established
    wait_until(lambda: bool(house.refusals()), "the refusal is on record")
    assert "TLS" in house.refusals()[0].reason


def test_garbage_is_on_record(house: House) -> None:
    with socket.create_connection(("127.0.0.1", house.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.settimeout(10)
        while connection.recv(4096):
            pass
    wait_until(lambda: bool(house.refusals()), "the refusal is on record")


def test_an_action_that_was_not_granted_is_refused_in_the_negotiation(house: House, dcmtk: Dcmtk) -> None:
    way = house.enrol("CT1", "store")
    ran = dcmtk(
        "echoscu", *tls_options(way.credentials), "-aet", "CT1", "-aec", "LEADGLASS", "127.0.0.1", str(way.port)
    )
    assert ran.code != 0
    (event,) = house.refusals()
    assert (event.caller, event.action) == ("device:CT1", "echo")
    assert "not granted" in event.reason


def test_the_right_to_ask_is_looked_at_again_with_every_association(house: House) -> None:
    way = house.lane("WS1", "find")
    with associate(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        assert find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=""))[0] == 0
    house.lane("WS1", "echo")
    with associate(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        assert assoc.accepted_contexts == []
    house.devices.remove(house.operator, "WS1")
    assert rejection(way) == (1, 1, 3)


@pytest.mark.parametrize("change", ["removed", "less", "moved", "enrolled anew"])
def test_an_open_association_ends_when_its_device_would_not_be_let_in_like_this_any_more(
    house: House, change: str
) -> None:
    way = house.enrol("WS1", "echo", "find")
    other = house.lane("CT1", "echo")
    with associate(other, ECHO) as untouched, associate(way, ECHO) as assoc:
        assert assoc.send_c_echo().Status == 0x0000
        match change:
            case "removed":
                house.devices.remove(house.operator, "WS1")
            case "less":
                house.devices.add(house.operator, Device.parse("WS1", ["127.0.0.1"], ["echo"]), replace=True)
            case "moved":
                house.devices.add(house.operator, Device.parse("WS1", ["127.0.0.9"], ["echo", "find"]), replace=True)
            case _:
                house.enrol("WS1", "echo", "find")
        wait_until(lambda: assoc.is_aborted, "the association to be ended")
        assert untouched.send_c_echo().Status == 0x0000
    (event,) = [e for e in house.refusals() if e.detail.get("why") == "no longer enrolled like this"]
    assert event.caller == "device:WS1"
    assert event.reason.startswith("An open association was ended.")


def test_a_certificate_opens_its_own_lane_from_its_own_address_only(house: House) -> None:
    way = house.enrol("CT1", "echo", address="127.0.0.7")
    with (
        tunnel(("127.0.0.1", way.port), credentials=way.credentials, source="127.0.0.7") as through,
        associate(Way(through, "CT1"), ECHO) as assoc,
    ):
        assert assoc.is_established
        assert assoc.send_c_echo().Status == 0x0000
    assert rejection(way) == (1, 1, 3)


def test_while_stopping_nothing_new_begins_and_what_runs_may_end(house: House) -> None:
    way = house.lane("CT1", "echo")
    with associate(way, ECHO) as before:
        house.door.stop()
        assert rejection(way) == (2, 3, 1)
        assert before.send_c_echo().Status == 0x0000


def test_a_refused_request_names_no_patient_anywhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    way = house.lane("WS1", "find")
    with associate(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", PatientName="Secret^Person", PatientID="HIDDEN42")
        assert find(assoc, keys)[0] == 0
        keys = identifier(QueryRetrieveLevel="IMAGE", PatientName="Secret^Person", PatientID="HIDDEN42")
        assert find(assoc, keys)[0] == 0xA900
        statuses = assoc.send_c_find(identifier(PatientName="Secret^Person"), UID(STUDY_FIND))
        assert [str(status.get("ErrorComment", "")) for status, _ in statuses if "Secret" in str(status)] == []
    said = repr(house.events()) + "".join(
        repr(record.__dict__) for record in caplog.records if record.name.startswith("leadglass")
    )
    assert "leadglass" in {record.name.partition(".")[0] for record in caplog.records}
    assert "Secret" not in said
    assert "HIDDEN42" not in said
