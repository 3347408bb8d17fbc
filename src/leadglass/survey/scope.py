"""Scope: what the operator authorised, by whom, when, how far and how fast.

Rule 1. Without a scope that is in force nothing is sent. Rule 2. What is not in it
is outside, and what it excludes is outside whatever else it says. Rule 3. A name is
resolved once, when the run begins; what it points at later changes nothing.
"""

import hashlib
import os
import re
import socket
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, cast

from leadglass.errors import BadInput, Misconfigured

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

WIDEST: Final = {4: 16, 6: 112}
"""Shortest prefix of a network in a scope: 65,536 addresses. An operator who owns more writes several."""

LONGEST_VALIDITY: Final = timedelta(days=366)
"""From the first to the last day of a scope: somebody has to look at it once a year."""


class Level(IntEnum):
    """How far a survey goes."""

    PASSIVE = 0
    """Reads what is known already; sends nothing."""
    IDENTIFY = 1
    """Asks what something is."""
    PROVE = 2
    """Proves that strangers are answered, by questions to which no patient is an answer."""
    OPT_IN = 3
    """Tries default passwords, counts, and looks at the first bytes of files."""


class Vantage(StrEnum):
    """From where the survey looks."""

    INTERNET = "internet"
    PARTNER = "partner"
    INTERNAL = "internal"


DEFAULT_PORTS: Final = (
    104, 11112, 2761, 2762, 4242, 8042,  # DICOM, and Orthanc's REST API
    80, 443, 8080, 8443,  # DICOMweb, portals, viewers
    21, 445, 873, 2049,  # shares: FTP, SMB, rsync, NFS
)  # fmt: skip
"""Ports that are looked at when a scope names none. A port proves nothing: what answers there does."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When something may be sent, in the machine's own time; by default always.

    Parameters
    ----------
    days : tuple of str
        ``mon`` … ``sun``; a window that passes midnight belongs to the day it begins on.
    start, end : time
        From and until; the same time twice is the whole day.
    """

    days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    start: time = time(0)
    end: time = time(0)

    def contain(self, moment: datetime) -> bool:
        """Say whether a moment (local time) is inside."""
        at = moment.time()
        if self.start == self.end:
            return _DAYS[moment.weekday()] in self.days
        if self.start < self.end:
            return _DAYS[moment.weekday()] in self.days and self.start <= at < self.end
        if at >= self.start:
            return _DAYS[moment.weekday()] in self.days
        return at < self.end and _DAYS[moment.weekday() - 1] in self.days


_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast.

    Parameters
    ----------
    connections_per_second : float
        Of all hosts together.
    seconds_between : float
        Between the ends and beginnings of two connections to one host. Old devices are fragile.
    hosts_at_once : int
        How many hosts are spoken to at one time. Where nobody answers a connection takes five seconds: it takes
        five times the connections a second to keep that rate.
    """

    connections_per_second: float = 20.0
    seconds_between: float = 1.0
    hosts_at_once: int = 128


@dataclass(frozen=True, slots=True)
class SurveyScope:
    """One authorisation.

    Parameters
    ----------
    owner : str
        Whose network it is.
    contact : str
        Whom to ask, for whoever sees the survey in a log.
    authorised_by : str
        Who allowed it.
    valid_from, valid_until : date
        First and last day.
    networks : tuple of networks
        What is in it.
    hosts : mapping of str to tuple of addresses
        Names in it, and what they pointed at when the scope was read.
    exclude : tuple of networks
        What is not, whatever else is said.
    ports : tuple of int
        TCP ports that are looked at.
    level : Level
        How far.
    vantage : Vantage
        From where.
    hours : Hours
        When.
    rate : Rate
        How fast.
    """

    owner: str
    contact: str
    authorised_by: str
    valid_from: date
    valid_until: date
    networks: tuple[Network, ...] = ()
    hosts: Mapping[str, tuple[Address, ...]] = field(default_factory=dict[str, tuple[Address, ...]])
    exclude: tuple[Network, ...] = ()
    ports: tuple[int, ...] = DEFAULT_PORTS
    level: Level = Level.PROVE
    vantage: Vantage = Vantage.INTERNAL
    hours: Hours = field(default_factory=Hours)
    rate: Rate = field(default_factory=Rate)

    def covers(self, address: Address) -> bool:
        """Say whether something may be sent to an address.

        Addresses of groups are never covered, nor is 0.0.0.0, by which this machine
        would look at itself.
        """
        address = plain(address)
        if address.is_multicast or address.is_unspecified:
            return False
        meant = (address, *_behind(address))
        if any(one.version == each.version and one in each for each in self.exclude for one in meant):
            return False
        if any(address.version == each.version and address in each for each in self.networks):
            return True
        return any(address in found for found in self.hosts.values())

    def require_in_force(self, today: date) -> None:
        """Refuse a scope that is not in force; raises ``Misconfigured``."""
        if today < self.valid_from:
            raise Misconfigured(f"The scope is in force from {self.valid_from} on. Nothing is sent before.")
        if today > self.valid_until:
            raise Misconfigured(
                f"The scope ended on {self.valid_until}. Have it authorised again, and write the new days into it."
            )

    def extent(self, *, with_addresses: bool) -> str:
        """Give a digest of how far it goes and from where, and of what it covers: names by what they point at."""
        said = [f"level {int(self.level)} from {self.vantage}"]
        if with_addresses:
            said += [f"network {each}" for each in self.networks]
            said += [f"{name} is {each}" for name, found in self.hosts.items() for each in sorted(found, key=_order)]
            said += [f"not {each}" for each in self.exclude] + [f"port {each}" for each in self.ports]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def addresses(self) -> Iterator[Address]:
        """Give every address in it, each once, those of names first."""
        named = sorted(
            {plain(each) for found in self.hosts.values() for each in found if self.covers(each)}, key=_order
        )
        yield from named
        seen: list[Network] = []
        for network in self.networks:
            for address in network.hosts() if network.num_addresses > 2 else network:
                if address in named or not self.covers(address):
                    continue
                if any(address.version == each.version and address in each for each in seen):
                    continue
                yield address
            seen.append(network)


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))


def plain(address: Address) -> Address:
    """Give an IPv4 address that is written as an IPv6 one as what it is (RFC 4291 2.5.5.2), and none its zone."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


_NAT64: Final = IPv6Network("64:ff9b::/96")


def _behind(address: Address) -> Iterator[Address]:
    """Give the IPv4 addresses that a gateway sends on to (RFC 6052, RFC 3056, RFC 4380): who excludes one means it."""
    if isinstance(address, IPv4Address):
        return
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield address.teredo[1]


# --- reading ------------------------------------------------------------------

Resolve = Callable[[str], Iterable[Address]]


def resolve(name: str) -> Iterable[Address]:
    """Ask the system what a name points at; nothing where it does not know."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(ip_address(str(each[4][0]).partition("%")[0]) for each in found))


def load(path: Path, *, look_up: Resolve = resolve) -> SurveyScope:
    """Read a scope file; see ``parse``.

    Raises
    ------
    Misconfigured
        When it cannot be read, or says what a scope may not say.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe keeps nobody waiting
            raw = file.read(_LARGEST + 1) or b""
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise Misconfigured(
            f"The scope file {path} cannot be read: {why}. Make one with: leadglass survey init FILE"
        ) from error
    if len(raw) > _LARGEST:
        raise Misconfigured(f"The scope file is larger than {_LARGEST >> 20} MB: no scope is. Name the right file.")
    return parse(text, look_up=look_up)


_SECTIONS: Final = {
    "survey": ("owner", "contact", "authorised_by", "valid_from", "valid_until", "level", "vantage"),
    "scope": ("networks", "hosts", "exclude", "ports"),
    "hours": ("days", "from", "until"),
    "rate": tuple(each.name for each in fields(Rate)),
}
_NAME: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
_MOST_TEXT: Final = 200
_LARGEST: Final = 4 << 20


def parse(text: str, *, look_up: Resolve = resolve) -> SurveyScope:
    """Read the text of a scope file.

    Raises
    ------
    Misconfigured
        With what is wrong and what to write.
    """
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"The scope file is not TOML: {error}. Correct that line.") from error
    except (ValueError, RecursionError):  # numbers and tables that no scope has
        raise Misconfigured("The scope file holds a number too long, or tables in tables, to be read.") from None
    tables = _tables(read)
    said, where, hours, rate = (tables[name] for name in _SECTIONS)
    first, last = _day(said, "valid_from"), _day(said, "valid_until")
    if last < first or last - first > LONGEST_VALIDITY:
        raise Misconfigured("[survey] valid_until is to be after valid_from, and at most a year later.")
    networks = tuple(_network(each, "networks", bounded=True) for each in _texts(where, "networks"))
    names = _texts(where, "hosts")
    if not networks and not names:
        raise Misconfigured("[scope] names neither networks nor hosts. An empty scope covers nothing.")
    made = SurveyScope(
        owner=_text(said, "owner"),
        contact=_text(said, "contact"),
        authorised_by=_text(said, "authorised_by"),
        valid_from=first,
        valid_until=last,
        networks=networks,
        hosts={name: tuple(plain(each) for each in _found(name, look_up)) for name in names},
        exclude=tuple(_network(each, "exclude", bounded=False) for each in _texts(where, "exclude")),
        ports=_ports(where),
        level=_level(said),
        vantage=_vantage(said),
        hours=_hours(hours),
        rate=_rate(rate),
    )
    for network in made.networks:
        if made.vantage is Vantage.INTERNAL and network.is_global:
            raise Misconfigured(
                f"[scope] networks holds {network}, which is of the internet, and vantage says internal. Write "
                'vantage = "internet" if that is where you look from.'
            )
    for name, found in made.hosts.items():
        own = next((each for each in found if _is_own(each) and made.covers(each)), None)
        if own is not None and not any(own.version == each.version and own in each for each in made.networks):
            raise Misconfigured(
                f"[scope] hosts holds {name}, which leads to {own}: to this machine itself, or to what only its own "
                "line knows. Correct the name, or write that address under networks, or under exclude."
            )
        public = next((each for each in found if each.is_global and made.covers(each)), None)
        if made.vantage is Vantage.INTERNAL and public is not None:
            raise Misconfigured(
                f"[scope] hosts holds {name}, which leads to {public}, an address of the internet, and vantage says "
                'internal. Write vantage = "internet" if that is where you look from, or put that address under '
                "exclude."
            )
    return made


def _is_own(address: Address) -> bool:
    """Say whether an address is another machine on every machine: whoever changes a name is not to choose it."""
    return address.is_loopback or address.is_link_local


def _tables(read: Mapping[str, object]) -> dict[str, dict[str, object]]:
    for name in read:
        if name not in _SECTIONS:
            raise Misconfigured(f"The scope file has a section [{name}] nobody knows.{_near(name, _SECTIONS)}")
    tables: dict[str, dict[str, object]] = {}
    for name, keys in _SECTIONS.items():
        table = read.get(name, {})
        if not isinstance(table, dict):
            raise Misconfigured(f"{name} of the scope file is a section: write it as [{name}].")
        tables[name] = cast("dict[str, object]", table)
        for key in tables[name]:
            if key not in keys:
                raise Misconfigured(f"[{name}] of the scope file has {key}, which nobody knows.{_near(key, keys)}")
    return tables


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f" Is it {near[0]}?" if near else ""


def _text(table: Mapping[str, object], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Misconfigured(f"[survey] {name} of the scope file is missing. A survey without it is not authorised.")
    if len(value) > _MOST_TEXT or not value.isprintable():
        raise Misconfigured(f"[survey] {name} is to be one line of at most {_MOST_TEXT} characters.")
    return value.strip()


def _day(table: Mapping[str, object], name: str) -> date:
    value = table.get(name)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Misconfigured(f"[survey] {name} of the scope file is to be a day, as in {name} = 2026-11-22.")
    return value


def _texts(table: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
        raise Misconfigured(f'[scope] {name} is to be a list of texts, as in {name} = ["192.0.2.0/24"].')
    return tuple(dict.fromkeys(cast("list[str]", value)))


def _network(text: str, name: str, *, bounded: bool) -> Network:
    try:
        network = _plain_network(text)
    except ValueError:
        raise Misconfigured(
            f"[scope] {name} holds {text!r}, which is no network. Write it as 192.0.2.0/24, a host as 192.0.2.10."
        ) from None
    if bounded and network.prefixlen < WIDEST[network.version]:
        raise Misconfigured(
            f"[scope] {name} holds {network}, which is wider than /{WIDEST[network.version]}. Nobody surveys a network "
            "of that size by accident: name the parts that are yours."
        )
    return network


def _plain_network(text: str) -> Network:
    """Read a network; one of IPv4 that is written as one of IPv6 is what it is: else it would exclude nothing."""
    if "%" in text:
        raise ValueError("a zone is of one machine")
    network = ip_network(text.strip())
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


def _found(name: str, look_up: Resolve) -> Iterable[Address]:
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"[scope] hosts holds {name!r}, which is no host name.")
    return look_up(name)


def _ports(table: Mapping[str, object]) -> tuple[int, ...]:
    value = table.get("ports", list(DEFAULT_PORTS))
    if not isinstance(value, list) or not value:
        raise Misconfigured("[scope] ports is to be a list of TCP ports, as in ports = [104, 11112].")
    for each in cast("list[object]", value):
        if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= 65_535:
            raise Misconfigured("[scope] ports holds what is no TCP port (1 to 65535).")
    return tuple(dict.fromkeys(cast("list[int]", value)))


def _level(table: Mapping[str, object]) -> Level:
    value = table.get("level", int(Level.PROVE))
    if not isinstance(value, int) or isinstance(value, bool) or value not in set(Level):
        raise Misconfigured("[survey] level is 0 (send nothing), 1 (identify), 2 (prove) or 3 (opt-in checks too).")
    return Level(value)


def _vantage(table: Mapping[str, object]) -> Vantage:
    value = table.get("vantage", Vantage.INTERNAL.value)
    try:
        return Vantage(str(value))
    except ValueError:
        raise Misconfigured(f"[survey] vantage is one of {', '.join(Vantage)}.") from None


def _hours(table: Mapping[str, object]) -> Hours:
    days = table.get("days", list(_DAYS))
    if not isinstance(days, list) or not days or not all(each in _DAYS for each in cast("list[object]", days)):
        raise Misconfigured(f"[hours] days is a list of {', '.join(_DAYS)}.")
    found: list[time] = []
    for name in ("from", "until"):
        value = table.get(name, time(0))
        if isinstance(value, str):
            try:
                value = time.fromisoformat(value)
            except ValueError:
                value = None
        if not isinstance(value, time) or value.tzinfo is not None:
            raise Misconfigured(f'[hours] {name} is a time of the day, as in {name} = "22:00".')
        found.append(value)
    return Hours(tuple(cast("list[str]", days)), *found)


_RATES: Final = {
    "connections_per_second": (0.1, 10_000.0),
    "seconds_between": (0.0, 3_600.0),
    "hosts_at_once": (1, 4_096),
}


def _rate(table: Mapping[str, object]) -> Rate:
    given: dict[str, float] = {}
    for name, value in table.items():
        least, most = _RATES[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise Misconfigured(f"[rate] {name} is a number from {least} to {most}.")
        given[name] = value
    usual = Rate()
    return Rate(
        float(given.get("connections_per_second", usual.connections_per_second)),
        float(given.get("seconds_between", usual.seconds_between)),
        int(given.get("hosts_at_once", usual.hosts_at_once)),
    )


def address_of(text: str) -> Address:
    """Read one address of a list of targets; raises ``BadInput``."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        raise BadInput("A target is an IPv4 or IPv6 address.") from None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise BadInput("A target has no zone: what stands after the % is of one machine alone, and may be any text.")
    return plain(found)


def today() -> date:
    """Give the day it is (UTC)."""
    return datetime.now(UTC).date()
