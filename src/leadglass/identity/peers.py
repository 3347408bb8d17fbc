"""Peers: which addresses may speak to the archive at all, before any protocol.

Rule 1. An address is refused unless it is known to be local: the list of local
networks is positive, so that whatever is assigned tomorrow is refused today.
Rule 2. The operator may add networks, in the configuration, one by one. Rule 3.
An IPv4 address in IPv6 clothes is the IPv4 address.

Documentation and benchmarking networks count as local: no router of the internet
carries them, so whoever speaks from one stands in the same laboratory.

Not local, and so refused unless listed: everything globally routable; the
shared space of carriers, 100.64.0.0/10 (RFC 6598: other customers of the same
carrier are in it); 6to4, Teredo and NAT64 (they carry addresses of the
internet); multicast, the unspecified address and everything reserved (no
connection comes from there honestly).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from leadglass.errors import BadInput

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

LOCAL: Final[tuple[IpNetwork, ...]] = (
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("10.0.0.0/8"),  # RFC 1918
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("169.254.0.0/16"),  # link-local, RFC 3927
    IPv4Network("192.0.2.0/24"),  # documentation, RFC 5737
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("198.18.0.0/15"),  # benchmarking, RFC 2544
    IPv6Network("::1/128"),  # loopback
    IPv6Network("fc00::/7"),  # unique local, RFC 4193
    IPv6Network("fe80::/10"),  # link-local
    IPv6Network("2001:db8::/32"),  # documentation, RFC 3849
)


def plain(address: IpAddress | str) -> IpAddress:
    """Give the address itself: unmapped from IPv6 (``::ffff:…``) and without a zone (``%eth0``).

    Raises
    ------
    BadInput
        When the text is no address.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        raise BadInput("A peer's address cannot be read.") from None
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped or IPv6Address(int(parsed))
    return parsed


def is_inside(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    """Say whether an address (plain) is in one of the networks."""
    return any(address in network for network in networks)


def is_local(network: IpNetwork) -> bool:
    """Say whether all of a network is local."""
    return any(
        # subnet_of wants both of one version; spelled out for the type checker
        network.version == local.version and network.network_address in local and network.broadcast_address in local
        for local in LOCAL
    )


def refuse_peer(address: IpAddress | str, allowed_networks: Iterable[IpNetwork] = ()) -> str | None:
    """Say why a peer's connection is closed before any protocol, or None when it may speak.

    Parameters
    ----------
    address : IPv4Address, IPv6Address or str
        The peer.
    allowed_networks : iterable of networks
        What the operator listed beyond the local networks.
    """
    try:
        peer = plain(address)
    except BadInput as error:
        return error.message
    if is_inside(peer, LOCAL) or is_inside(peer, allowed_networks):
        return None
    kind = "is globally routable" if peer.is_global and not peer.is_multicast else "belongs to no local network"
    return (
        f"The address {peer} {kind}, and its network is not listed in the configuration "
        "(network.allowed_public_networks). If it is yours, list it; if not, find out how it can reach this port."
    )
