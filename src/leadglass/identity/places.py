"""Places: the network an address belongs to, for whatever is counted or remembered by place."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from leadglass.identity.peers import plain


def network_of(peer: str) -> str:
    """Give the network that an address is counted with: /24 (IPv4) or /48 (IPv6); other words stand for themselves."""
    try:
        address = plain(ip_address(peer.partition("%")[0]))
    except ValueError:
        return peer
    if address.version == 4:
        return str(IPv4Network((int(address), 24), strict=False))
    return str(IPv6Network((int(address), 48), strict=False))
