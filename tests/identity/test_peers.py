from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import BadInput
from leadglass.identity.peers import is_local, plain, refuse_peer


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.9.9", "::1", "fd12::1", "fe80::1",
     "fe80::1%eth0", "::ffff:10.1.2.3", "::ffff:127.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1",
     "2001:db8::1"],
)  # fmt: skip
def test_local_addresses_may_speak(address: str) -> None:
    assert refuse_peer(address) is None
    assert refuse_peer(ip_address(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2a00:1450:4001:80b::200e",
        "::ffff:8.8.8.8",  # an IPv4 address in IPv6 clothes
        "172.32.0.1",
        "100.64.0.1",  # the shared space of carriers
        "2002:0a01:0203::1",  # 6to4, even of a private address
        "64:ff9b::a01:203",  # NAT64, even of a private address
        "64:ff9b:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "224.0.0.1",
        "239.1.1.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "::10.1.2.3",  # IPv4-compatible, deprecated
        "fec0::1",  # site-local, deprecated
    ],
)
def test_all_other_addresses_are_refused_and_the_reason_says_what_to_do(address: str) -> None:
    reason = refuse_peer(address)
    assert reason is not None
    assert str(plain(address)) in reason
    assert "allowed_public_networks" in reason


@given(st.ip_addresses())
def test_no_globally_routable_address_gets_in(address: IPv4Address | IPv6Address) -> None:
    if plain(address).is_global:
        assert refuse_peer(address) is not None


def test_a_listed_network_gets_in_and_its_neighbour_does_not() -> None:
    listed = [ip_network("8.8.8.0/28"), ip_network("2600:1:1::/48")]
    assert refuse_peer("8.8.8.9", listed) is None
    assert refuse_peer("::ffff:8.8.8.9", listed) is None
    assert refuse_peer("2600:1:1::9", listed) is None
    assert refuse_peer("8.8.8.16", listed) is not None
    assert refuse_peer("2600:1:2::9", listed) is not None


def test_what_is_no_address_is_refused() -> None:
    assert refuse_peer("pacs.example") is not None
    with pytest.raises(BadInput):
        plain("10.1.2.3.4")


@pytest.mark.parametrize(
    ("network", "local"),
    [("10.0.0.0/8", True), ("10.0.0.0/7", False), ("192.168.0.0/15", False), ("fd00::/8", True), ("0.0.0.0/0", False),
     ("::/0", False), ("8.8.8.0/24", False), ("127.0.0.1/32", True)],
)  # fmt: skip
def test_a_network_is_local_when_all_of_it_is(network: str, *, local: bool) -> None:
    assert is_local(ip_network(network)) is local
