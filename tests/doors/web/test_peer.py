"""Whose request it is when it may have come through a proxy: nobody's own word counts."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.doors.web.peer import MAX_HOPS, peer_behind
from leadglass.errors import BadInput
from leadglass.identity.peers import IpAddress

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))
PROXY = ip_address("10.0.0.1")


def _for(*fields: str, direct: IpAddress = PROXY) -> str:
    return str(peer_behind(direct, (), fields, PROXIES))


def _forwarded(*fields: str) -> str:
    return str(peer_behind(PROXY, fields, (), PROXIES))


@pytest.mark.parametrize("said", ["127.0.0.1", "10.0.0.1", "8.8.8.8", "nonsense", ""])
def test_nobody_is_believed_who_is_no_configured_proxy(said: str) -> None:
    stranger = ip_address("192.168.1.9")
    assert peer_behind(stranger, (f"for={said}",), (said,), PROXIES) == stranger
    assert peer_behind(PROXY, (), (said,), ()) == PROXY


def test_a_proxy_is_believed_about_who_is_behind_it() -> None:
    assert _for("192.168.1.9") == "192.168.1.9"
    assert _for("192.168.1.9:5000") == "192.168.1.9"
    assert _for("[2001:db8::1]:5000") == "2001:db8::1"
    assert _for("2001:db8::1") == "2001:db8::1"
    assert _for("::ffff:192.168.1.9") == "192.168.1.9"
    assert _forwarded("for=192.168.1.9;proto=https;by=10.0.0.1") == "192.168.1.9"
    assert _forwarded('for="[2001:db8::1]:5000"') == "2001:db8::1"
    assert _forwarded('Proto=https; FOR="192.168.1.9"') == "192.168.1.9"
    assert str(peer_behind(ip_address("fd00::5"), (), ("192.168.1.9",), PROXIES)) == "192.168.1.9"


def test_what_the_caller_wrote_before_the_proxy_does_not_count() -> None:
    assert _for("127.0.0.1, 192.168.1.9") == "192.168.1.9"
    assert _for("127.0.0.1", "192.168.1.9") == "192.168.1.9"
    assert _for("nonsense, 192.168.1.9") == "192.168.1.9"
    assert _for("127.0.0.1, 192.168.1.9, 10.0.0.2") == "192.168.1.9", "through two proxies of ours"
    assert _for("10.0.0.3, 10.0.0.2") == "10.0.0.3", "a proxy asks for itself"
    assert _forwarded("for=127.0.0.1, for=192.168.1.9") == "192.168.1.9"


@pytest.mark.parametrize("said", ["", " ", ",", "unknown", "_hidden", "192.168.1.9,", "192.168.1", "1.2.3.4.5", "::g",
                                  "192.168.1.9; DROP", "localhost", "192.168.1.9:99999999"])  # fmt: skip
def test_a_proxy_that_does_not_say_for_whom_is_refused(said: str) -> None:
    with pytest.raises(BadInput):
        _for(said)


@pytest.mark.parametrize("said", ["", "for=", "for=unknown", "for=_x", "proto=https", "for", "for=1.2.3.4 for=5.6.7.8",
                                  'for="1.2.3.4', "for=1.2.3.4;for=5.6.7.8", "for=1.2.3.4,"])  # fmt: skip
def test_what_cannot_be_read_in_forwarded_is_refused(said: str) -> None:
    with pytest.raises(BadInput):
        _forwarded(said)


def test_two_fields_and_long_chains_are_refused() -> None:
    with pytest.raises(BadInput, match="two fields"):
        peer_behind(PROXY, ("for=192.168.1.9",), ("192.168.1.9",), PROXIES)
    with pytest.raises(BadInput, match="does not say"):
        peer_behind(PROXY, (), (), PROXIES)
    with pytest.raises(BadInput, match="too long"):
        _for(", ".join(["192.168.1.9"] * (MAX_HOPS + 1)))


@given(st.text(max_size=200))
def test_whatever_a_proxy_says_is_an_address_or_refused(said: str) -> None:
    for ask in (_for, _forwarded):
        with suppress(BadInput):
            assert isinstance(ip_address(ask(said)), IPv4Address | IPv6Address)
