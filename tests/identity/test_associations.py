import ssl
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.audit.event import Outcome
from leadglass.errors import Busy, Denied
from leadglass.identity.associations import (
    AssociationEvidence,
    Associations,
    CalledAETitleNotRecognized,
    Refused,
    Why,
)
from leadglass.identity.device import Device
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind
from leadglass.policy.permit import decide
from leadglass.policy.scope import Scope
from tests.callers import everything
from tests.identity.conftest import House


def evidence(
    certificate: bytes | None = None,
    *,
    tls: bool = True,
    address: str = "10.1.2.3",
    calling: str = "CT1",
    called: str = "LEADGLASS",
) -> AssociationEvidence:
    return AssociationEvidence(ip_address(address), tls, certificate, calling, called)


def plaintext(address: str = "10.1.9.9", calling: str = "OLD", called: str = "LEADGLASS") -> AssociationEvidence:
    return evidence(tls=False, address=address, calling=calling, called=called)


def add_old(house: House) -> None:
    house.devices.add(everything(), Device.parse("OLD", ["10.1.9.9"], plaintext=True, until="2026-12-31"))


def why(house: House, shown: AssociationEvidence) -> Why:
    """Be refused, check that it is on record as it should be, and give the kind of reason."""
    before = len(house.log.records())
    with pytest.raises(Denied) as refused:
        house.associations.identify(shown)
    assert isinstance(refused.value, Refused)
    records = house.log.records()[before:]
    assert [record.event.reason for record in records] == [refused.value.message]
    assert records[0].event.outcome is Outcome.REFUSED
    assert records[0].event.caller == ""
    assert refused.value.message.isprintable()
    return refused.value.why


# --- with a certificate -------------------------------------------------------


def test_an_enrolled_device_becomes_a_caller_with_what_it_was_granted(house: House) -> None:
    certificate = house.enrol("CT1", allow="echo,store")
    caller = house.associations.identify(evidence(certificate))
    assert str(caller) == "device:CT1"
    assert caller.kind is CallerKind.DEVICE
    assert caller.peer == "10.1.2.3"
    for action in Action:
        if action in {Action.ECHO, Action.STORE}:
            assert decide(caller, action).scope == Scope.everything()
        else:
            with pytest.raises(Denied):
                decide(caller, action)


def test_an_association_is_on_record_with_its_evidence(house: House) -> None:
    caller = house.associations.identify(evidence(house.enrol("CT1")))
    (record,) = house.log.records(action="associate")
    assert record.event.outcome is Outcome.PERMITTED
    assert record.event.caller == "device:CT1"
    assert record.event.session == caller.session
    assert str(record.event.detail["evidence"]).startswith("certificate ")


def test_two_associations_of_one_device_are_told_apart(house: House) -> None:
    certificate = house.enrol("CT1")
    first, second = (house.associations.identify(evidence(certificate)) for _ in range(2))
    assert first.session != second.session


def test_without_a_record_nobody_is_let_in(house: House) -> None:
    certificate = house.enrol("CT1")
    house.log.close()
    with pytest.raises(Busy):
        house.associations.identify(evidence(certificate))


@pytest.mark.parametrize("calling", ["CT1", "CT1             ", "  CT1"])
def test_spaces_around_an_ae_title_are_padding(house: House, calling: str) -> None:
    assert house.associations.identify(evidence(house.enrol("CT1"), calling=calling)).name == "CT1"


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address(house: House) -> None:
    caller = house.associations.identify(evidence(house.enrol("CT1"), address="::ffff:10.1.2.3"))
    assert caller.peer == "10.1.2.3"


def test_no_certificate_is_refused(house: House) -> None:
    house.enrol("CT1")
    assert why(house, evidence(None)) is Why.NO_CERTIFICATE


def test_a_certificate_that_was_never_issued_is_refused(house: House) -> None:
    house.enrol("CT1")
    unrecorded = house.authority.issue_device("CT1", now=house.clock.now)
    der = ssl.PEM_cert_to_DER_cert(unrecorded.certificate_pem.decode())
    assert why(house, evidence(der)) is Why.UNKNOWN_CERTIFICATE
    assert why(house, evidence(b"no certificate at all", calling="CT2")) is Why.UNKNOWN_CERTIFICATE


def test_another_devices_certificate_is_refused(house: House) -> None:
    house.enrol("CT1")
    other = house.enrol("CT2")
    assert why(house, evidence(other, calling="CT1")) is Why.OTHER_CERTIFICATE
    assert "the certificate of CT2" in house.log.records()[-1].event.reason


@pytest.mark.parametrize("calling", ["ct1", "CT1X", "", "CT1\x00", "CT1\n", "'; DROP TABLE device; --"])
def test_an_ae_title_that_is_not_the_certificates_is_refused(house: House, calling: str) -> None:
    assert why(house, evidence(house.enrol("CT1"), calling=calling)) is Why.OTHER_CERTIFICATE


def test_a_replaced_certificate_is_refused_and_the_new_one_is_not(house: House) -> None:
    old = house.enrol("CT1")
    new = house.enrol("CT1")
    assert why(house, evidence(old)) is Why.ENDED_CERTIFICATE
    assert "a certificate of CT1 that was replaced" in house.log.records()[-1].event.reason
    assert house.associations.identify(evidence(new)).name == "CT1"


def test_the_certificate_of_a_removed_device_is_refused_even_when_it_is_added_again(house: House) -> None:
    certificate = house.enrol("CT1")
    house.devices.remove(everything(), "CT1")
    assert why(house, evidence(certificate)) is Why.ENDED_CERTIFICATE
    assert "a certificate of CT1 that was removed" in house.log.records()[-1].event.reason
    house.devices.add(everything(), Device.parse("CT1", ["10.1.2.0/24"]))
    assert why(house, evidence(certificate, address="10.1.2.4")) is Why.ENDED_CERTIFICATE


def test_an_expired_certificate_is_refused(house: House) -> None:
    certificate = house.enrol("CT1")
    house.clock.now += timedelta(days=731)
    assert why(house, evidence(certificate)) is Why.EXPIRED_CERTIFICATE


def test_an_address_that_is_not_enrolled_is_refused(house: House) -> None:
    certificate = house.enrol("CT1", "10.1.2.0/24")
    assert why(house, evidence(certificate, address="10.1.3.3")) is Why.OTHER_ADDRESS
    assert why(house, evidence(certificate, address="fd00::1")) is Why.OTHER_ADDRESS
    assert "10.1.2.0/24" in house.log.records()[-1].event.reason


def test_a_public_address_is_refused_even_when_the_device_is_enrolled_for_it(house: House) -> None:
    certificate = house.enrol("CT1", "9.9.9.0/24")
    assert why(house, evidence(certificate, address="9.9.9.7")) is Why.NOT_LOCAL
    listed = Associations(
        house.devices, house.log, house.refusals, ae_title="LEADGLASS", allowed_networks=[ip_network("9.9.9.0/28")]
    )
    assert listed.identify(evidence(certificate, address="9.9.9.7")).name == "CT1"
    with pytest.raises(Refused):
        listed.identify(evidence(certificate, address="9.9.9.17"))


def test_a_device_without_a_plaintext_lane_is_refused_without_tls(house: House) -> None:
    certificate = house.enrol("CT1")
    assert why(house, evidence(certificate, tls=False)) is Why.NO_PLAINTEXT


# --- in the plaintext lane ----------------------------------------------------


def test_a_device_in_the_plaintext_lane_stores_and_nothing_else(house: House) -> None:
    add_old(house)
    caller = house.associations.identify(plaintext())
    assert decide(caller, Action.STORE)
    for action in set(Action) - {Action.STORE}:
        with pytest.raises(Denied):
            decide(caller, action)
    assert "plaintext lane until 2026-12-31" in caller.evidence


def test_a_plaintext_lane_closes_when_its_last_day_is_over(house: House) -> None:
    add_old(house)
    house.clock.now = house.clock.now.replace(month=12, day=31, hour=23, minute=59)
    assert house.associations.identify(plaintext()).name == "OLD"
    house.clock.now += timedelta(minutes=1)
    assert why(house, plaintext()) is Why.PLAINTEXT_ENDED


def test_a_plaintext_lane_is_for_its_address(house: House) -> None:
    add_old(house)
    assert why(house, plaintext("10.1.9.10")) is Why.OTHER_ADDRESS


def test_an_unknown_device_is_refused_in_plaintext(house: House) -> None:
    add_old(house)
    assert why(house, plaintext(calling="NEW")) is Why.UNKNOWN_DEVICE
    assert why(house, plaintext(address="10.1.9.8", calling="old")) is Why.UNKNOWN_DEVICE


def test_a_plaintext_device_over_tls_needs_its_certificate(house: House) -> None:
    add_old(house)
    other = house.enrol("CT1")
    assert why(house, evidence(None, address="10.1.9.9", calling="OLD")) is Why.NO_CERTIFICATE
    assert why(house, evidence(other, address="10.1.9.9", calling="OLD")) is Why.OTHER_CERTIFICATE


def test_a_device_may_have_both_a_certificate_and_a_plaintext_lane(house: House) -> None:
    certificate = house.enrol("OLD", "10.1.9.9")
    add = Device.parse("OLD", ["10.1.9.9"], plaintext=True, until="2026-12-31")
    house.devices.add(everything(), add, replace=True)
    assert house.associations.identify(evidence(certificate, address="10.1.9.9", calling="OLD")).name == "OLD"
    assert house.associations.identify(plaintext()).name == "OLD"


# --- who learns what ----------------------------------------------------------


def test_only_an_identified_device_learns_that_it_called_another_archive(house: House) -> None:
    certificate = house.enrol("CT1")
    with pytest.raises(CalledAETitleNotRecognized) as told:
        house.associations.identify(evidence(certificate, called="ORTHANC"))
    assert "ORTHANC" in told.value.message
    assert house.log.records()[-1].event.detail["identified"] == 1
    for stranger in (
        evidence(None, called="ORTHANC"),
        evidence(certificate, called="ORTHANC", address="10.9.9.9"),
        evidence(certificate, called="ORTHANC", calling="CT2"),
        plaintext(called="ORTHANC"),
    ):
        with pytest.raises(Refused) as refused:
            house.associations.identify(stranger)
        assert not isinstance(refused.value, CalledAETitleNotRecognized)


def test_every_refusal_names_the_peer_and_what_to_do(house: House) -> None:
    certificate, other = house.enrol("CT1"), house.enrol("CT2")
    add_old(house)
    messages: set[str] = set()
    for shown in (
        evidence(None),
        evidence(b"?"),
        evidence(other),
        evidence(certificate, address="10.7.7.7"),
        evidence(certificate, address="8.8.8.8"),
        evidence(certificate, called="X"),
        evidence(tls=False),
        plaintext(calling="NEW"),
        plaintext("10.1.9.10"),
    ):
        with pytest.raises(Refused) as refused:
            house.associations.identify(shown)
        messages.add(refused.value.message)
        assert str(shown.address) in refused.value.message
        assert refused.value.message.count(".") >= 2
    assert len(messages) == 9


def test_a_refused_connection_is_on_record_and_raises_an_alert(house: House) -> None:
    assert house.associations.refuse_peer(ip_address("10.1.2.3")) is None
    assert house.log.records() == []
    reason = house.associations.refuse_peer(ip_address("8.8.8.8"))
    assert reason is not None
    (record,) = house.log.records()
    assert (record.event.action, record.event.peer, record.event.reason) == ("connect", "8.8.8.8", reason)
    assert record.event.detail["alert"] == 1


def test_a_connection_that_failed_is_on_record(house: House) -> None:
    house.associations.connection_failed(ip_address("10.1.2.3"), "The TLS handshake failed: no certificate.")
    house.associations.connection_failed(ip_address("10.1.2.3"), "The peer was too slow.")
    first, second = house.log.records()
    assert first.event.outcome is Outcome.REFUSED
    assert "no certificate" in first.event.reason
    assert "too slow. Peer: 10.1.2.3" in second.event.reason


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    address=st.ip_addresses(),
    tls=st.booleans(),
    certificate=st.none() | st.binary(max_size=40),
    calling=st.sampled_from(["CT1", "OLD", "CT2"]) | st.text(max_size=80),
    called=st.sampled_from(["LEADGLASS"]) | st.text(max_size=80),
)
def test_made_up_evidence_never_becomes_a_caller(
    house: House, address: object, tls: bool, certificate: bytes | None, calling: str, called: str
) -> None:
    house.devices.add(everything(), Device.parse("CT1", ["10.0.0.0/8", "fd00::/32"]), replace=True)
    shown = AssociationEvidence(address, tls, certificate, calling, called)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Refused) as refused:
        house.associations.identify(shown)
    assert refused.value.message.isprintable()
