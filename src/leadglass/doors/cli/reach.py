"""Reach: whether an enrolled device could come in at all, whatever it may do.

Rule: this only explains; who comes in is decided where devices are identified.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from leadglass.identity.device import Device
from leadglass.identity.peers import IpNetwork, is_local


def turned_away(device: Device, allowed_networks: Iterable[IpNetwork]) -> tuple[IpNetwork, ...]:
    """Give the networks of a device whose peers are turned away, wholly or in part, before any protocol.

    Parameters
    ----------
    device : Device
        Who.
    allowed_networks : iterable of networks
        What the operator listed beyond the local networks.
    """
    allowed = tuple(allowed_networks)
    return tuple(
        network
        for network in device.addresses
        if not is_local(network) and not any(_holds(other, network) for other in allowed)
    )


def _holds(outer: IpNetwork, inner: IpNetwork) -> bool:
    # subnet_of wants both of one version; spelled out for the type checker
    return outer.version == inner.version and inner.network_address in outer and inner.broadcast_address in outer


def sentence_on(networks: tuple[IpNetwork, ...]) -> str:
    """Say that peers from ``networks`` are turned away, and what to do."""
    is_are = "is no local network" if len(networks) == 1 else "are no local networks"
    return (
        f"{', '.join(map(str, networks))} {is_are}: who speaks from there is turned away unless its network is listed "
        "in network.allowed_public_networks of leadglass.toml."
    )


def why_unreachable(device: Device, now: datetime, allowed_networks: Iterable[IpNetwork]) -> str | None:
    """Say why a device cannot come in today, or None when it can.

    Parameters
    ----------
    device : Device
        Who, with its certificate.
    now : datetime
        The time, with its zone.
    allowed_networks : iterable of networks
        What the operator listed beyond the local networks.
    """
    until = device.certificate_until
    if (until is None or until <= now) and not device.speaks_plaintext(now.astimezone(UTC).date()):
        return (
            f"But {device.ae_title} cannot come in: it has neither a valid certificate nor an open plaintext lane. "
            f"Run: leadglass device enroll {device.ae_title} --out DIR"
        )
    strange = turned_away(device, allowed_networks)
    return f"But {sentence_on(strange)}" if len(strange) == len(device.addresses) else None
