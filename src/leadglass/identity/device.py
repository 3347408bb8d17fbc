"""Device: an enrolled modality or workstation, valid or not at all.

Rule 1. A device that breaks a rule cannot be made; the message says which rule
and what to write instead. Rule 2. The plaintext lane is for one machine, in one
place, until a day: its networks are small and local and its end is near.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Network, ip_network
from typing import Final, Self

from leadglass.audit.record import escape
from leadglass.dicom.uids import parse_ae_title
from leadglass.errors import BadInput
from leadglass.identity.peers import IpNetwork, is_inside, is_local, plain
from leadglass.policy.action import DEVICE_ACTIONS, Action

_SERVED: Final = DEVICE_ACTIONS - {Action.WORKLIST}
"""What may be granted anew; an enrolment that speaks of the worklist stays as it is."""

WIDEST: Final = {4: 8, 6: 32}
"""Shortest prefix of a device's network: what an organisation owns at most. A device that may
speak from anywhere is not bound to an address."""

WIDEST_PLAINTEXT: Final = {4: 24, 6: 64}
"""Shortest prefix in the plaintext lane. Without TLS the address is all the evidence there is: best
one host, at most the one segment a modality gets its address in by DHCP."""

MAX_ADDRESSES: Final = 32
"""Networks of one device."""

MAX_REASON: Final = 200
"""Characters of the reason why a device is granted bulk: a sentence."""

MAX_PLAINTEXT_DAYS: Final = 3_653
"""Days ahead that a plaintext lane may end: ten years, longer than a modality lives."""

LONG_PLAINTEXT_DAYS: Final = 366
"""Days ahead from which the operator is told that the lane is long: somebody should look at it once a year."""

TLS_ACTIONS: Final = frozenset({Action.ECHO, Action.STORE})
PLAINTEXT_ACTIONS: Final = frozenset({Action.STORE})
"""What is granted when nothing is said: a modality sends. In plaintext not even C-ECHO."""

_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]{2,45}")


class Part(StrEnum):
    """What of a device a rule is about: who typed it finds it there."""

    AE_TITLE = "ae"
    ADDRESSES = "addresses"
    ALLOW = "allow"
    UNTIL = "until"
    WHY = "why"
    HOST = "host"
    PORT = "port"
    BULK = "bulk"
    BULK_UNTIL = "bulk_until"


class BrokenRule(BadInput):
    """A device that cannot be.

    Parameters
    ----------
    part : Part
        What is wrong with it.
    message : str
        Which rule it breaks, and what to write instead.
    """

    def __init__(self, part: Part, message: str) -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled device.

    Parameters
    ----------
    ae_title : str
        Its AE title (PS3.5 section 6.2). Upper and lower case differ.
    addresses : tuple of networks
        Where it may speak from.
    allow : frozenset of Action
        What it may ask for, with a certificate and in the plaintext lane alike.
    plaintext : bool
        Whether it may speak without TLS.
    until : date, optional
        The last day (UTC) on which it may; needed with ``plaintext``, else none.
    host : str
        Where it receives (C-MOVE); empty: it does not.
    port : int
        The TCP port there; 0: it does not.
    fingerprint : str
        SHA-256 of its certificate (hexadecimal); empty: it has none.
    certificate_until : datetime, optional
        When that ends (UTC).
    bulk : str
        Why it may query and retrieve in masses, unbraked; empty: it may not.
    bulk_until : date, optional
        The last day (UTC) on which it may; none: as long as it is enrolled.
    why_plaintext : str
        Why it speaks without TLS, for who looks at it next year; may be empty.

    Raises
    ------
    BrokenRule
        When a rule is broken.
    """

    ae_title: str
    addresses: tuple[IpNetwork, ...]
    allow: frozenset[Action]
    plaintext: bool = False
    until: date | None = None
    host: str = ""
    port: int = 0
    fingerprint: str = ""
    certificate_until: datetime | None = None
    bulk: str = ""
    bulk_until: date | None = None
    why_plaintext: str = ""

    def __post_init__(self) -> None:
        if parse_ae_title(self.ae_title) != self.ae_title:
            raise BrokenRule(Part.AE_TITLE, "An AE title is kept without spaces around it.")
        _check_addresses(self.addresses)
        if not self.allow:
            raise BrokenRule(
                Part.ALLOW,
                "A device that is allowed nothing needs no enrolment. Give --allow, for instance --allow store.",
            )
        if beyond := self.allow - DEVICE_ACTIONS:
            raise BrokenRule(
                Part.ALLOW,
                f"A device cannot be granted {_listed(beyond)}; it can be granted {_listed(DEVICE_ACTIONS)}.",
            )
        if self.plaintext:
            _check_plaintext(self.addresses, self.until)
        elif self.until is not None:
            raise BrokenRule(
                Part.UNTIL, "--until is the last day of a plaintext lane; give it with --plaintext, or leave it out."
            )
        if self.why_plaintext and not self.plaintext:
            raise BrokenRule(Part.WHY, "Why it speaks without TLS is asked of a plaintext lane only. Leave it out.")
        if len(self.why_plaintext) > MAX_REASON or not self.why_plaintext.isprintable():
            raise BrokenRule(Part.WHY, f"Give the reason for plaintext in one line of at most {MAX_REASON} characters.")
        _check_bulk(self.bulk, self.bulk_until)
        _check_destination(self.host, self.port)
        if self.plaintext and not self.fingerprint:
            _check_plaintext_destination(self.host, self.addresses)

    @classmethod
    def parse(
        cls,
        ae_title: str,
        addresses: Iterable[str],
        allow: Iterable[str] = (),
        *,
        plaintext: bool = False,
        until: str | date | None = None,
        host: str = "",
        port: int = 0,
        bulk: str = "",
        bulk_until: str | date | None = None,
        why_plaintext: str = "",
    ) -> Self:
        """Make a device from what an operator typed.

        Parameters
        ----------
        ae_title : str
            The AE title.
        addresses : iterable of str
            Networks in CIDR notation, or single addresses.
        allow : iterable of str
            Words such as ``store``; none means ``echo`` and ``store``, in the
            plaintext lane ``store`` only.
        plaintext : bool
            Whether it may speak without TLS.
        until : str or date, optional
            The last day of the plaintext lane, ``YYYY-MM-DD``.
        host, port
            Where it receives.
        bulk : str
            Why it may query and retrieve in masses.
        bulk_until : str or date, optional
            The last day on which it may, ``YYYY-MM-DD``.
        why_plaintext : str
            Why it speaks without TLS.

        Raises
        ------
        BadInput
        """
        words = [word for text in allow for word in text.split(",")]
        default = PLAINTEXT_ACTIONS if plaintext else TLS_ACTIONS
        return cls(
            ae_title=parse_ae_title(ae_title),
            addresses=tuple(dict.fromkeys(parse_network(text) for each in addresses for text in each.split(","))),
            allow=frozenset(_parse_action(word) for word in words) if words else default,
            plaintext=plaintext,
            until=_parse_date(until, Part.UNTIL) if isinstance(until, str) else until,
            host=host,
            port=port,
            bulk=bulk.strip(),
            bulk_until=_parse_date(bulk_until, Part.BULK_UNTIL) if isinstance(bulk_until, str) else bulk_until,
            why_plaintext=why_plaintext.strip(),
        )

    def check_new(self, today: date) -> None:
        """Refuse a plaintext lane that has ended already or would stay open too long, and bulk that has ended already.

        Raises
        ------
        BadInput
        """
        if self.bulk_until is not None and self.bulk_until < today:
            raise BrokenRule(Part.BULK_UNTIL, f"Bulk would have ended on {self.bulk_until} already. Give a later day.")
        if self.until is None:
            return
        if self.until < today:
            raise BrokenRule(
                Part.UNTIL, f"The plaintext lane would have ended on {self.until} already. Give a later day."
            )
        if self.until > today + timedelta(days=MAX_PLAINTEXT_DAYS):
            latest = today + timedelta(days=MAX_PLAINTEXT_DAYS)
            raise BrokenRule(
                Part.UNTIL, f"A plaintext lane ends within {MAX_PLAINTEXT_DAYS} days: give {latest} or an earlier day."
            )

    def is_long(self, today: date) -> bool:
        """Say whether its plaintext lane stays open so long that it will be forgotten."""
        return self.until is not None and self.until > today + timedelta(days=LONG_PLAINTEXT_DAYS)

    def speaks_plaintext(self, today: date) -> bool:
        """Say whether its plaintext lane is open on a day (UTC), the last one included."""
        return self.plaintext and self.until is not None and today <= self.until

    def is_bulk(self, today: date) -> bool:
        """Say whether it may query and retrieve in masses on a day (UTC), the last one included."""
        return bool(self.bulk) and (self.bulk_until is None or today <= self.bulk_until)

    @property
    def receives(self) -> bool:
        """Whether it is registered as a C-MOVE destination."""
        return bool(self.host)


def parse_network(text: str) -> IpNetwork:
    """Read a network in CIDR notation, or a single address.

    Raises
    ------
    BadInput
        With what to write instead, where that is clear.
    """
    text = text.strip()
    try:
        return _unmapped(ip_network(text, strict=True))
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise BrokenRule(
            Part.ADDRESSES,
            f"{_shown(text)} is no address and no network. Write an address such as 10.1.2.3, "
            "or a network such as 10.1.2.0/24.",
        ) from None
    host = text.partition("/")[0]
    raise BrokenRule(
        Part.ADDRESSES, f"{text} is both an address and a network. Write {host} for the one or {meant} for the other."
    )


def _unmapped(network: IpNetwork) -> IpNetwork:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and (v4 := network.network_address.ipv4_mapped):
        return ip_network(f"{v4}/{network.prefixlen - 96}")
    return network


def _check_addresses(addresses: tuple[IpNetwork, ...]) -> None:
    if not addresses:
        raise BrokenRule(
            Part.ADDRESSES, "A device is bound to its address. Give --address, for instance --address 10.1.2.3."
        )
    if len(addresses) > MAX_ADDRESSES:
        raise BrokenRule(Part.ADDRESSES, f"A device has at most {MAX_ADDRESSES} networks. Join some of them.")
    for network in addresses:
        if network.prefixlen < WIDEST[network.version]:
            raise BrokenRule(
                Part.ADDRESSES,
                f"{network} is (nearly) everybody. Give the device's own address or network; "
                f"/{WIDEST[network.version]} is the widest.",
            )
        if network.is_multicast or network.is_unspecified:
            raise BrokenRule(Part.ADDRESSES, f"{network} is not where a device can speak from. Give its own address.")


def _check_plaintext(addresses: tuple[IpNetwork, ...], until: date | None) -> None:
    if until is None:
        raise BrokenRule(
            Part.UNTIL, "A plaintext lane has a last day. Give --until YYYY-MM-DD, by which the device speaks TLS."
        )
    for network in addresses:
        # Loopback is one machine, however wide.
        if network.prefixlen < WIDEST_PLAINTEXT[network.version] and not network.is_loopback:
            raise BrokenRule(
                Part.ADDRESSES,
                f"{network} is too wide for the plaintext lane, where the address is all that tells devices apart. "
                f"Give the device's own address; /{WIDEST_PLAINTEXT[network.version]} is the widest.",
            )
        if not is_local(network):
            raise BrokenRule(
                Part.ADDRESSES,
                f"{network} is not a local network, and plaintext does not leave the house. "
                "Give a private address, or enrol the device with a certificate.",
            )


def _check_bulk(reason: str, until: date | None) -> None:
    if until is not None and not reason:
        raise BrokenRule(
            Part.BULK_UNTIL, "--bulk-until is the last day of bulk; give --bulk with its reason, or leave it out."
        )
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise BrokenRule(Part.BULK, f"Give the reason for bulk in one line of at most {MAX_REASON} characters.")


def _check_destination(host: str, port: int) -> None:
    if bool(host) != bool(port):
        raise BrokenRule(Part.HOST, "A destination needs both --host and --port, or neither.")
    if host and not _HOST.fullmatch(host):
        raise BrokenRule(
            Part.HOST, f"{_shown(host)} is no host name and no address. Write it as in a URL, without the port."
        )
    if not 0 <= port <= 65_535:
        raise BrokenRule(Part.PORT, "A port is a number from 1 to 65535.")


def _check_plaintext_destination(host: str, addresses: tuple[IpNetwork, ...]) -> None:
    """Refuse an address elsewhere; what a name stands for is looked at with each connection."""
    try:
        address = plain(host)
    except BadInput:
        return
    if not is_inside(address, addresses):
        raise BrokenRule(
            Part.HOST,
            f"{host} is not inside the device's own addresses, and without TLS nothing is sent elsewhere. "
            "Name a host inside of them, or enrol the device with a certificate.",
        )


def _parse_action(word: str) -> Action:
    try:
        action = Action(word.strip().lower())
    except ValueError:
        raise BrokenRule(
            Part.ALLOW, f"{_shown(word)} is nothing that can be granted; give {_listed(_SERVED)}."
        ) from None
    if action is Action.WORKLIST:
        raise BrokenRule(Part.ALLOW, f"The worklist is not served yet; give {_listed(_SERVED)}.")
    return action


def _parse_date(text: str, part: Part) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BrokenRule(part, f"{_shown(text)} is no day. Write it as 2027-03-31.") from None


def _listed(actions: Iterable[Action]) -> str:
    return ", ".join(sorted(action.value for action in actions))


def _shown(text: str) -> str:
    return f"“{escape(text[:64])}”"
