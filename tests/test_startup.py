"""The start-up table, check by check; ``test_app`` runs the same with real servers."""

from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.errors import BadInput, Misconfigured
from leadglass.startup import Door, Endpoint, Listener, Situation, addresses_of, check, own_addresses, parse_endpoint


def _listener(door: Door, host: str, port: int = 2762) -> Listener:
    return Listener(door, Endpoint(host, port), (ip_address(host),))


def _situation(
    *listeners: Listener,
    ae_title: str = "LEADGLASS",
    certificate_devices: int = 0,
    plaintext_lanes: int = 0,
    own_addresses: tuple[str, ...] | None = ("127.0.0.1", "8.8.8.8", "10.1.2.3"),
    unsafe_listen_on_public_address: bool = False,
    web_identities: int = 0,
) -> Situation:
    return Situation(
        ae_title,
        listeners,
        certificate_devices,
        plaintext_lanes,
        None if own_addresses is None else tuple(map(ip_address, own_addresses)),
        unsafe_listen_on_public_address,
        web_identities,
    )


LOOPBACK = _listener(Door.DICOM_TLS, "127.0.0.1")


def test_loopback_alone_starts_with_nobody_enrolled() -> None:
    check(_situation(LOOPBACK))
    check(_situation(LOOPBACK, _listener(Door.DICOM, "::1", 104)))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "::ffff:0.0.0.0"])
@pytest.mark.parametrize("door", list(Door))
def test_a_public_or_wildcard_address_is_refused_unless_the_operator_says_so(host: str, door: Door) -> None:
    listener = _listener(door, host)
    everybody = partial(_situation, listener, certificate_devices=1, plaintext_lanes=1, web_identities=1)
    with pytest.raises(Misconfigured, match="unsafe_listen_on_public_address"):
        check(everybody())
    check(everybody(unsafe_listen_on_public_address=True))


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.1", "fd00::1", "169.254.1.1"])
def test_off_loopback_the_web_needs_somebody_who_can_come_in(host: str) -> None:
    with pytest.raises(Misconfigured, match=r"leadglass user add .* leadglass token create"):
        check(_situation(_listener(Door.HTTPS, host), certificate_devices=1, plaintext_lanes=1))
    check(_situation(_listener(Door.HTTPS, host), web_identities=1))
    check(_situation(_listener(Door.HTTPS, "127.0.0.1")))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
def test_every_address_of_a_machine_without_a_public_one_is_no_public_address(host: str) -> None:
    listener = _listener(Door.DICOM_TLS, host)
    private = ("127.0.0.1", "::1", "10.1.2.3", "fd00::1", "fe80::1")
    check(_situation(listener, certificate_devices=1, own_addresses=private))
    with pytest.raises(Misconfigured, match="device enroll"):
        check(_situation(listener, own_addresses=private))
    for own in ((*private, "8.8.8.8"), (*private, "2606:4700::1111"), (*private, "::ffff:8.8.8.8"), None):
        with pytest.raises(Misconfigured, match="unsafe_listen_on_public_address"):
            check(_situation(listener, certificate_devices=1, own_addresses=own))


def test_the_addresses_of_this_machine_are_read_from_the_system(tmp_path: Path) -> None:
    own = own_addresses()
    assert own is not None
    assert ip_address("127.0.0.1") in own
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "Local:\n     |-- 10.1.2.0\n        /24 link UNICAST\n     |-- 10.1.2.3\n        /32 host LOCAL\n"
    )
    assert own_addresses(tmp_path) == (ip_address("10.1.2.3"),)
    (tmp_path / "if_inet6").write_text("fd000000000000000000000000000001 04 40 00 02     eth0\n")
    assert own_addresses(tmp_path) == (ip_address("10.1.2.3"), ip_address("fd00::1"))
    (tmp_path / "if_inet6").write_text("?")
    assert own_addresses(tmp_path) is None
    assert own_addresses(tmp_path / "nowhere") is None


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.1", "fd00::1", "169.254.1.1"])
def test_off_loopback_tls_needs_a_device_with_a_certificate(host: str) -> None:
    listener = _listener(Door.DICOM_TLS, host)
    with pytest.raises(Misconfigured, match="device enroll"):
        check(_situation(listener, plaintext_lanes=1))
    check(_situation(listener, certificate_devices=1))


def test_off_loopback_plaintext_needs_a_lane() -> None:
    listener = _listener(Door.DICOM, "10.1.2.3")
    with pytest.raises(Misconfigured, match="--plaintext --until"):
        check(_situation(LOOPBACK, listener, certificate_devices=1))
    check(_situation(LOOPBACK, listener, plaintext_lanes=1))


def test_the_public_address_does_not_excuse_from_enrolling() -> None:
    with pytest.raises(Misconfigured, match="device enroll"):
        check(_situation(_listener(Door.DICOM_TLS, "8.8.8.8"), unsafe_listen_on_public_address=True))


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "BACK\\SLASH", "LINE\nFEED", "ÄRCHIV"])
def test_a_bad_ae_title_is_refused(title: str) -> None:
    with pytest.raises(Misconfigured, match="AE title"):
        check(_situation(LOOPBACK, ae_title=title))


def test_a_start_without_any_door_is_refused() -> None:
    with pytest.raises(Misconfigured, match="No door"):
        check(_situation())


def test_two_doors_cannot_share_a_port_but_any_free_one_is_two() -> None:
    with pytest.raises(Misconfigured, match="share"):
        check(_situation(LOOPBACK, _listener(Door.DICOM, "127.0.0.1")))
    check(_situation(_listener(Door.DICOM_TLS, "127.0.0.1", 0), _listener(Door.DICOM, "127.0.0.1", 0)))


def test_a_name_counts_with_all_its_addresses() -> None:
    mixed = Listener(Door.DICOM_TLS, Endpoint("archive", 2762), (ip_address("127.0.0.1"), ip_address("10.0.0.1")))
    assert not mixed.is_loopback
    with pytest.raises(Misconfigured):
        check(_situation(mixed))


def test_what_has_no_address_is_not_loopback() -> None:
    assert not Listener(Door.DICOM_TLS, Endpoint("nowhere", 1), ()).is_loopback


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:2762", "127.0.0.1", 2762), ("[::1]:0", "::1", 0), ("localhost:104", "localhost", 104)],
)
def test_an_address_is_read_and_written_back(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == Endpoint(host, port)
    assert str(parse_endpoint(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "2762", ":2762", "host", "host:", "host:x", "host:65536", "host:-1", "::1:2762", "[::1]", "[]:1", "h:٣"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:2762"):
        parse_endpoint(text)


def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Misconfigured, match="not a name"):
        addresses_of(Endpoint("no-such-host.invalid", 2762))
