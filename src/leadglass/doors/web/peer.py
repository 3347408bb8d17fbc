"""Peer: whose request it is, when it may have come through a proxy.

Rule 1. Nobody but a configured proxy is believed about whom it asks for. Rule 2. A
configured proxy that does not say so is refused: taken for the one who asks, it
would let in everybody behind it as a neighbour. Rule 3. Of a chain only what
trusted proxies wrote counts, read from our end.
"""

import re
from collections.abc import Sequence
from typing import Final

from leadglass.errors import BadInput
from leadglass.identity.peers import IpAddress, IpNetwork, is_inside, plain

MAX_HOPS: Final = 16
"""Proxies of one chain; more is a chain that somebody made up."""

_PAIR: Final = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*')
_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\d{1,5})?")


def peer_behind(
    direct: IpAddress, forwarded: Sequence[str], forwarded_for: Sequence[str], trusted: Sequence[IpNetwork]
) -> IpAddress:
    """Give the address of who asks.

    Parameters
    ----------
    direct : IPv4Address or IPv6Address
        Who is connected to us.
    forwarded, forwarded_for : sequence of str
        The fields Forwarded (RFC 7239) and X-Forwarded-For, in order.
    trusted : sequence of networks
        The configured proxies.

    Raises
    ------
    BadInput
        When a trusted proxy does not say for whom it asks, or says it in two ways.
    """
    if not is_inside(direct, trusted):
        return direct
    if forwarded and forwarded_for:
        raise BadInput("The proxy says in two fields for whom it asks. Have it send one of them and remove the other.")
    if not forwarded and not forwarded_for:
        raise BadInput("The proxy does not say for whom it asks. Have it send X-Forwarded-For or Forwarded.")
    chain = (
        _forwarded(",".join(forwarded)) if forwarded else [each.strip() for each in ",".join(forwarded_for).split(",")]
    )
    if len(chain) > MAX_HOPS:
        raise BadInput("The chain of proxies is too long.")
    peer = direct
    for node in reversed(chain):
        peer = _address(node)
        if not is_inside(peer, trusted):
            break
    return peer


def _forwarded(text: str) -> list[str]:
    """Give the ``for`` of each element of a Forwarded field (RFC 7239 section 4)."""
    nodes: list[str] = []
    at = 0
    node = ""
    while True:
        match = _PAIR.match(text, at)
        if match is None:
            raise BadInput("What the proxy says in Forwarded cannot be read.")
        if match[1].lower() == "for":
            if node:
                raise BadInput("The proxy names two callers in one element of Forwarded.")
            node = match[2][1:-1] if match[2].startswith('"') else match[2]
        at = match.end()
        following = text[at : at + 1]
        if following == ";":
            at += 1
            continue
        nodes.append(node)
        node = ""
        if not following:
            return nodes
        if following != ",":
            raise BadInput("What the proxy says in Forwarded cannot be read.")
        at += 1


def _address(node: str) -> IpAddress:
    """Read one node: an address, with or without a port."""
    match = _NODE.fullmatch(node)
    try:
        return plain((match[1] or match[2]) if match else node)
    except BadInput:
        raise BadInput("The proxy names a caller that is no address. Have it send the caller's IP address.") from None
