"""What fields of sections are made of."""

from dataclasses import field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

IpNetwork = IPv4Network | IPv6Network

KIB: Final = 1024
MIB: Final = 1024 * KIB


def limit(default: int, least: int, most: int) -> int:
    """Declare a whole number with its bounds."""
    return field(default=default, metadata={"least": least, "most": most})


def seconds(default: float, least: float, most: float) -> float:
    """Declare a duration with its bounds."""
    return field(default=default, metadata={"least": least, "most": most})
