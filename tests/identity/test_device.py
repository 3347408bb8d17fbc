from datetime import date, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.identity.device import MAX_PLAINTEXT_DAYS, Device, parse_network
from leadglass.policy.action import DEVICE_ACTIONS, Action

TODAY = date(2026, 11, 22)


def test_a_device_with_a_certificate_may_echo_and_store_when_nothing_is_said() -> None:
    device = Device.parse("CT1", ["10.1.2.0/24"])
    assert device.allow == {Action.ECHO, Action.STORE}
    assert not device.plaintext
    assert not device.receives


def test_the_plaintext_lane_is_for_storing_when_nothing_is_said() -> None:
    device = Device.parse("CT1", ["10.1.2.3"], plaintext=True, until="2027-01-31")
    assert device.allow == {Action.STORE}
    assert device.until == date(2027, 1, 31)


def test_words_and_networks_may_be_parted_by_commas() -> None:
    device = Device.parse(" WS 1 ", ["10.1.2.3, fd00::/64", "10.1.2.3"], ["echo,Store", "find"], host="ws1", port=104)
    assert device.ae_title == "WS 1"
    assert device.addresses == (ip_network("10.1.2.3/32"), ip_network("fd00::/64"))
    assert device.allow == {Action.ECHO, Action.STORE, Action.FIND}
    assert device.receives


def test_an_ipv4_network_in_ipv6_clothes_is_the_ipv4_network() -> None:
    assert parse_network("::ffff:10.1.2.0/120") == ip_network("10.1.2.0/24")
    assert parse_network("::ffff:10.1.2.3") == ip_network("10.1.2.3/32")


@pytest.mark.parametrize("ae_title", ["", "   ", "SEVENTEENLETTERSX", "A\\B", "A\nB", "Ä1", "A\x00"])
def test_an_ae_title_that_breaks_the_standard_is_refused(ae_title: str) -> None:
    with pytest.raises(BadInput, match="AE title"):
        Device.parse(ae_title, ["10.1.2.3"])


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        ([], "--address"),
        (["0.0.0.0/0"], "everybody"),
        (["::/0"], "everybody"),
        (["10.0.0.0/7"], "everybody"),
        (["0.0.0.0/1", "128.0.0.0/1"], "everybody"),
        (["::ffff:0:0/96"], "everybody"),
        (["fc00::/31"], "everybody"),
        (["10.1.2.3/24"], "Write 10.1.2.3 for the one or 10.1.2.0/24"),
        (["ct1.example"], "no address and no network"),
        (["10.1.2"], "no address and no network"),
        ([""], "no address and no network"),
        (["224.0.0.0/8"], "cannot? speak|can speak"),
        (["0.0.0.0"], "can speak"),
        ([f"10.0.0.{n}" for n in range(33)], "at most 32"),
    ],
)
def test_an_address_that_binds_nobody_is_refused(addresses: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Device.parse("CT1", addresses)


@pytest.mark.parametrize("network", ["10.0.0.0/8", "fd00::/32", "203.0.113.0/24"])
def test_the_widest_networks_are_still_taken_with_a_certificate(network: str) -> None:
    assert Device.parse("CT1", [network]).addresses == (ip_network(network),)


@pytest.mark.parametrize(
    "word", ["export", "delete", "audit", "manage", "resolve", "verify", "everything", "", "\x1b[2J"]
)
def test_a_device_is_not_granted_what_is_not_for_devices(word: str) -> None:
    with pytest.raises(BadInput) as refused:
        Device.parse("CT1", ["10.1.2.3"], [word])
    assert "echo, find, get, move" in refused.value.message
    assert refused.value.message.isprintable()


def test_every_device_action_can_be_granted() -> None:
    served = DEVICE_ACTIONS - {Action.WORKLIST}
    assert Device.parse("CT1", ["10.1.2.3"], [",".join(served)]).allow == served


def test_the_worklist_is_not_granted_before_it_is_served() -> None:
    with pytest.raises(BadInput, match="not served yet"):
        Device.parse("CT1", ["10.1.2.3"], ["find,worklist"])
    assert Action.WORKLIST in Device("CT1", (ip_network("10.1.2.3"),), DEVICE_ACTIONS).allow  # of an earlier version


def test_a_device_that_is_allowed_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="--allow"):
        Device("CT1", (ip_network("10.1.2.3"),), frozenset())


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("10.1.2.0/23", "/24 is the widest"),
        ("fd00::/63", "/64 is the widest"),
        ("9.9.9.9", "not a local network"),
        ("8.8.8.8", "not a local network"),
        ("2a00::1", "not a local network"),
        ("100.64.0.1", "not a local network"),
    ],
)
def test_a_plaintext_lane_is_small_and_local(address: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Device.parse("CT1", [address], plaintext=True, until="2027-01-31")


def _sent_to(host: str) -> Device:
    return Device.parse("CT1", ["10.1.2.0/24"], plaintext=True, until="2027-01-31", host=host, port=104)


def test_what_is_sent_in_plaintext_stays_inside_the_devices_addresses() -> None:
    assert _sent_to("10.1.2.9").receives
    assert _sent_to("ct1.hospital").receives  # what it stands for is looked at with each connection
    for host in ("10.1.3.9", "203.0.113.9", "9.9.9.9", "fd00::1"):
        with pytest.raises(BadInput, match="inside the device's own addresses"):
            _sent_to(host)
    assert Device.parse("CT1", ["10.1.2.0/24"], host="10.1.3.9", port=104).receives


def test_a_plaintext_lane_needs_a_last_day_and_a_last_day_needs_a_lane() -> None:
    with pytest.raises(BadInput, match="--until"):
        Device.parse("CT1", ["10.1.2.3"], plaintext=True)
    with pytest.raises(BadInput, match="--plaintext"):
        Device.parse("CT1", ["10.1.2.3"], until="2027-01-31")


@pytest.mark.parametrize("until", ["tomorrow", "2027-02-30", "31.01.2027", "", "\n"])
def test_a_day_that_is_none_is_refused(until: str) -> None:
    with pytest.raises(BadInput, match="no day"):
        Device.parse("CT1", ["10.1.2.3"], plaintext=True, until=until)


@pytest.mark.parametrize(("days", "taken"), [(-1, False), (0, True), (366, True), (3_653, True), (3_654, False)])
def test_a_new_plaintext_lane_ends_today_or_later_and_within_ten_years(days: int, *, taken: bool) -> None:
    device = Device.parse("CT1", ["10.1.2.3"], plaintext=True, until=TODAY + timedelta(days=days))
    if taken:
        device.check_new(TODAY)
    else:
        with pytest.raises(BadInput, match="already" if days < 0 else str(MAX_PLAINTEXT_DAYS)):
            device.check_new(TODAY)


def test_a_lane_of_more_than_a_year_is_long() -> None:
    for days, long in ((366, False), (367, True)):
        device = Device.parse("CT1", ["10.1.2.3"], plaintext=True, until=TODAY + timedelta(days=days))
        assert device.is_long(TODAY) is long


def test_all_of_loopback_is_one_machine() -> None:
    device = Device.parse("CT1", ["127.0.0.0/8"], plaintext=True, until=TODAY)
    assert device.addresses[0].prefixlen == 8


def test_a_plaintext_lane_is_open_to_the_end_of_its_last_day() -> None:
    device = Device.parse("CT1", ["10.1.2.3"], plaintext=True, until=TODAY)
    assert device.speaks_plaintext(TODAY - timedelta(days=1))
    assert device.speaks_plaintext(TODAY)
    assert not device.speaks_plaintext(TODAY + timedelta(days=1))
    assert not Device.parse("CT1", ["10.1.2.3"]).speaks_plaintext(TODAY)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("ws1", 0),
        ("", 104),
        ("a b", 104),
        ("ws1:104", 104),
        ("http://ws1", 104),
        ("ws1", 65_536),
        ("ws1", -1),
        ("-x", 104),
    ],
)
def test_a_destination_that_cannot_be_reached_is_refused(host: str, port: int) -> None:
    with pytest.raises(BadInput):
        Device.parse("WS1", ["10.1.2.3"], host=host, port=port)


@pytest.mark.parametrize("host", ["ws1", "ws1.radiology.example", "10.1.2.3", "fd00::1"])
def test_a_destination_is_a_host_name_or_an_address(host: str) -> None:
    assert Device.parse("WS1", ["10.1.2.3"], host=host, port=11112).receives


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_whatever_is_typed_is_refused_in_a_plain_sentence(
    ae_title: str, address: str, word: str, until: str, host: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Device.parse(ae_title, [address], [word], plaintext=True, until=until, host=host, port=104)
    assert refused.value.message.isprintable()


def test_bulk_has_a_reason_in_one_line_and_no_last_day_without_it() -> None:
    for reason, until in (("", "2027-03-31"), ("two\nlines", None), ("x" * 201, None), ("export", "soon")):
        with pytest.raises(BadInput):
            Device.parse("NIGHT", ["10.1.2.3"], ["find"], bulk=reason, bulk_until=until)
    ended = Device.parse("NIGHT", ["10.1.2.3"], ["find"], bulk="export", bulk_until="2026-01-01")
    with pytest.raises(BadInput):
        ended.check_new(date(2026, 1, 2))
