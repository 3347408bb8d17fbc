"""Contacts: what is remembered of each device, and what arrives while somebody waits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.identity.associations import AssociationEvidence, CalledAETitleNotRecognized, Refused, Why
from leadglass.identity.contacts import MOST_CLAIMED, MOST_SEEN, MOST_WAITING, Arrival, Contacts, What
from leadglass.identity.device import Device
from leadglass.identity.peers import plain
from tests.identity.conftest import KEY, House

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEVICE = Device.parse("CT1", ["10.1.2.3"])


@pytest.fixture
def contacts(tmp_path: Path) -> Iterator[Contacts]:
    with Contacts(tmp_path / "contacts.db", KEY) as opened:
        yield opened


def arrival(what: What, address: str = "10.1.2.3", calling: str = "CT1", minutes: int = 0, **more: str) -> Arrival:
    at = NOON + timedelta(minutes=minutes)
    return Arrival(what, address, at, secured=True, calling=calling, **more)


def test_the_last_contact_is_known_at_once_and_after_a_restart(contacts: Contacts, tmp_path: Path) -> None:
    contacts.note(arrival(What.LET_IN))
    contacts.note(arrival(What.ENDED, said="3 stored"))
    first = contacts.of(["CT1"])["CT1"]
    assert (first.at, first.address, first.secured, first.did) == (NOON, "10.1.2.3", True, "3 stored")
    contacts.save(["CT1"])
    with Contacts(tmp_path / "contacts.db", KEY) as again:
        assert again.of(["CT1"]) == {"CT1": first}


def test_a_refusal_does_not_hide_when_it_was_let_in_and_the_other_way_round(contacts: Contacts) -> None:
    contacts.note(arrival(What.LET_IN))
    contacts.save(["CT1"])
    contacts.note(arrival(What.REFUSED, "10.9.9.9", minutes=5, why="address not enrolled"))
    known = contacts.of(["CT1"])["CT1"]
    assert known.was_refused_last
    assert (known.at, known.refused_address, known.why) == (NOON, "10.9.9.9", "address not enrolled")
    contacts.save(["CT1"])
    contacts.note(arrival(What.LET_IN, minutes=9))
    known = contacts.of(["CT1"])["CT1"]
    assert not known.was_refused_last
    assert known.refused_at == NOON + timedelta(minutes=5)


def test_what_an_association_came_to_is_kept_when_it_ends_after_a_saving(contacts: Contacts) -> None:
    contacts.note(arrival(What.LET_IN))
    contacts.save(["CT1"])
    contacts.note(arrival(What.ENDED, said="7 stored"))
    contacts.save(["CT1"])
    assert contacts.of(["CT1"])["CT1"].did == "7 stored"
    assert contacts.of(["CT1"])["CT1"].at == NOON


def test_strangers_are_neither_saved_nor_without_bound(contacts: Contacts) -> None:
    for number in range(MOST_CLAIMED + 50):
        contacts.note(arrival(What.REFUSED, calling=f"S{number}", why="unknown device"))
    assert len(contacts.of(f"S{n}" for n in range(MOST_CLAIMED + 50))) == MOST_CLAIMED
    contacts.save(["CT1"])
    assert contacts.of(f"S{n}" for n in range(MOST_CLAIMED + 50)) == {}


def test_a_device_that_is_removed_is_forgotten_with_the_next_saving(contacts: Contacts) -> None:
    contacts.note(arrival(What.LET_IN))
    contacts.save(["CT1"])
    contacts.note(arrival(What.LET_IN, calling="CT2"))
    contacts.save(["CT2"])
    assert set(contacts.of(["CT1", "CT2"])) == {"CT2"}


def test_who_waits_sees_the_device_by_its_address_or_its_name_and_strangers_apart(contacts: Contacts) -> None:
    waiting = contacts.wait_for(DEVICE)
    contacts.note(arrival(What.FAILED, calling="", said="the peer does not speak TLS"))
    contacts.note(arrival(What.REFUSED, "10.7.7.7", why="address not enrolled"))
    contacts.note(arrival(What.REFUSED, "10.8.8.8", calling="OTHER", why="unknown device"))
    contacts.note(arrival(What.LET_IN, "10.8.8.9", calling="ANOTHER"))
    seen, strangers = contacts.arrived(waiting)
    assert [each.what for each in seen] == [What.FAILED, What.REFUSED]
    assert [each.calling for each in strangers] == ["OTHER"]
    contacts.stop_waiting(waiting)
    contacts.note(arrival(What.LET_IN))
    assert len(contacts.arrived(waiting)[0]) == 2


def test_a_flood_while_somebody_waits_is_bounded_and_so_are_those_who_wait(contacts: Contacts) -> None:
    first = contacts.wait_for(DEVICE)
    for _ in range(10 * MOST_SEEN):
        contacts.note(arrival(What.REFUSED, why="unknown device"))
    assert len(contacts.arrived(first)[0]) == MOST_SEEN
    for _ in range(MOST_WAITING):
        contacts.wait_for(DEVICE)
    contacts.note(arrival(What.LET_IN))
    assert all(each.what is What.REFUSED for each in contacts.arrived(first)[0]), "the oldest gave way"


def test_associations_tell_of_everybody_they_let_in_refuse_or_lose(house: House, contacts: Contacts) -> None:
    associations = house.associations
    associations._contacts = contacts  # pyright: ignore[reportPrivateUsage]
    certificate = house.enrol("CT1", "10.1.2.3")
    waiting = contacts.wait_for(house.devices.get("CT1"))

    def evidence(calling: str = "CT1", called: str = "LEADGLASS", address: str = "10.1.2.3") -> AssociationEvidence:
        return AssociationEvidence(plain(address), True, certificate, calling, called)

    caller = associations.identify(evidence())
    associations.did(caller, What.ECHOED, "C-ECHO answered")
    with pytest.raises(CalledAETitleNotRecognized):
        associations.identify(evidence(called="ORTHANC"))
    with pytest.raises(Refused):
        associations.identify(evidence(address="10.1.2.4"))
    associations.connection_failed("10.1.2.3", "TLS: no client certificate")
    seen, _ = contacts.arrived(waiting)
    assert [(each.what, each.why) for each in seen] == [
        (What.LET_IN, ""),
        (What.ECHOED, ""),
        (What.REFUSED, Why.OTHER_ARCHIVE),
        (What.REFUSED, Why.OTHER_ADDRESS),
        (What.FAILED, ""),
    ]
    assert seen[2].called == "ORTHANC"
