"""Start-up: what is looked at before any listener opens, as a table.

Rule 1. Every check is a plain function of a frozen description: it gives the
sentence to refuse with, or None. Rule 2. One refusal is enough; nothing opens
and the sentence says what to do. What a part can see by itself (permissions,
keys, the audit log's end, settings) it refuses by itself, with ``Misconfigured``
or ``Corrupt``; this table holds what only the whole shows.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from leadglass.dicom.uids import parse_ae_title
from leadglass.errors import BadInput, Misconfigured

IpAddress = IPv4Address | IPv6Address


class Door(StrEnum):
    """A kind of listener, by the word in ``{"ready": …}``."""

    HTTPS = "https"
    DICOM_TLS = "dicom-tls"
    DICOM = "dicom"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on, as written: ``127.0.0.1:2762``, ``[::1]:0``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read ``HOST:PORT``.

    Raises
    ------
    BadInput
        When it is not of that form.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not colon or not host or (":" in host) != bracketed or not 0 <= number <= 65_535:
        raise BadInput(
            f"{text!r} is not HOST:PORT. Write it like 127.0.0.1:2762 or [::1]:2762; port 0 is any free one."
        )
    return Endpoint(host, number)


def addresses_of(endpoint: Endpoint) -> tuple[IpAddress, ...]:
    """Give the addresses a host name stands for on this machine.

    Raises
    ------
    Misconfigured
        When it stands for none.
    """
    try:
        return (ip_address(endpoint.host),)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Misconfigured(
            f"{endpoint.host} is not a name this machine knows. Name an address of this machine to listen on."
        ) from error
    return tuple(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)


def own_addresses(net: Path = Path("/proc/net")) -> tuple[IpAddress, ...] | None:
    """Give the addresses of this machine's interfaces; None when the system does not tell.

    Parameters
    ----------
    net : Path
        Where Linux shows its network.
    """
    found: list[IpAddress] = []
    try:
        leaf = ""
        for line in (net / "fib_trie").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[:1] == ["|--"]:
                leaf = words[1]
            elif words[:1] == ["/32"] and words[-1:] == ["LOCAL"]:
                found.append(ip_address(leaf))
        inet6 = net / "if_inet6"  # not there where IPv6 is switched off
        lines = inet6.read_text(encoding="ascii").splitlines() if inet6.exists() else []
        found += [IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    except (OSError, ValueError, IndexError):
        return None
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener that is about to open."""

    door: Door
    endpoint: Endpoint
    addresses: tuple[IpAddress, ...]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return bool(self.addresses) and all(_plain(address).is_loopback for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the table looks at.

    Parameters
    ----------
    ae_title : str
        The archive's own.
    listeners : tuple of Listener
        What is to open.
    certificate_devices : int
        Devices enrolled with a certificate that is still valid.
    plaintext_lanes : int
        Devices in the plaintext lane that have not expired.
    own_addresses : tuple of addresses or None
        Those of this machine's interfaces; None when they are not known.
    unsafe_listen_on_public_address : bool
        As in the settings.
    web_identities : int
        People, tokens and providers of sign-in that let somebody in by the web.
    """

    ae_title: str
    listeners: tuple[Listener, ...]
    certificate_devices: int = 0
    plaintext_lanes: int = 0
    own_addresses: tuple[IpAddress, ...] | None = None
    unsafe_listen_on_public_address: bool = False
    web_identities: int = 0


def _plain(address: IpAddress) -> IpAddress:
    """Give the IPv4 address inside an IPv6 one that only wraps it."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _ae_title(situation: Situation) -> str | None:
    try:
        parse_ae_title(situation.ae_title)
    except BadInput as error:
        return f"The archive's AE title {situation.ae_title!r} cannot be used. {error.message}"
    return None


def _public_address(situation: Situation) -> str | None:
    if situation.unsafe_listen_on_public_address:
        return None
    known = situation.own_addresses
    for listener in situation.listeners:
        for address in map(_plain, listener.addresses):
            if address.is_unspecified and known is None:
                what = "every address of this machine, and whether a public one is among them cannot be seen"
            elif address.is_unspecified:
                public = next((own for own in map(_plain, known or ()) if own.is_global), None)
                if public is None:
                    continue
                what = f"every address of this machine, and {public} is one that the whole internet can reach"
            elif address.is_global:
                what = "an address that the whole internet can reach"
            else:
                continue
            return (
                f"{listener.endpoint} is {what}. Listen on the address of the network your devices are in. "
                "If a firewall keeps the internet out and you must: "
                "[network] unsafe_listen_on_public_address = true in leadglass.toml."
            )
    return None


def _nobody_enrolled(situation: Situation) -> str | None:
    for listener in situation.listeners:
        if listener.is_loopback:
            continue
        match listener.door:
            case Door.DICOM_TLS if not situation.certificate_devices:
                return (
                    f"{listener.endpoint} is reached from other machines, and no device has a valid certificate, so "
                    "nobody could use it. Enrol one first: leadglass device add AE --address CIDR --allow echo,store, "
                    "then: leadglass device enroll AE --out DIR."
                )
            case Door.DICOM if not situation.plaintext_lanes:
                return (
                    f"{listener.endpoint} is not encrypted and is reached from other machines, and no device has a "
                    "plaintext lane that has not expired. Leave --dicom away, or open a lane first: "
                    "leadglass device add AE --address ADDRESS --allow echo,store --plaintext --until DATE."
                )
            case Door.HTTPS if not situation.web_identities:
                return (
                    f"{listener.endpoint} is reached from other machines, and nobody could sign in there. Make an "
                    "account or a token first: leadglass user add NAME --role ROLE, or: leadglass token create NAME "
                    "--role ROLE."
                )
            case Door.HTTPS | Door.DICOM_TLS | Door.DICOM:
                pass
    return None


def _no_door(situation: Situation) -> str | None:
    if situation.listeners:
        return None
    return "No door is to be opened. Name at least one: --dicom-tls HOST:PORT, or [listen] dicom_tls in leadglass.toml."


def _same_port(situation: Situation) -> str | None:
    seen: set[Endpoint] = set()
    for listener in situation.listeners:
        if listener.endpoint.port and listener.endpoint in seen:
            return f"Two doors cannot share {listener.endpoint}. Give each its own port."
        seen.add(listener.endpoint)
    return None


CHECKS: Final[tuple[Callable[[Situation], str | None], ...]] = (
    _ae_title,
    _no_door,
    _same_port,
    _public_address,
    _nobody_enrolled,
)
"""The table: in this order, the first sentence wins."""


def check(situation: Situation) -> None:
    """Refuse an unsafe start.

    Raises
    ------
    Misconfigured
        With the first sentence of the table.
    """
    for each in CHECKS:
        sentence = each(situation)
        if sentence is not None:
            raise Misconfigured(sentence)
