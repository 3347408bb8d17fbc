"""Config: what the operator may set, read from ``leadglass.toml`` in the data folder.

Rule 1. Everything is frozen once read, and handed to parts by constructor.
Rule 2. Each field says its unit, its default and the reason for the default.
Rule 3. A key nobody knows, or a value of another type, is an error that names
the key: a misspelt safety setting must not be silently absent. Rule 4. What
makes the archive less safe has a name that begins with ``unsafe_``; it is shown
and put on record at every start.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from types import NoneType
from typing import Final, cast, get_args, get_origin, get_type_hints

from leadglass.errors import Misconfigured
from leadglass.sections import (
    Audit,
    Backup,
    Brakes,
    Commitment,
    Exposure,
    Ingest,
    Introspection,
    IpNetwork,
    Key,
    Listen,
    Network,
    Oidc,
    People,
    Shares,
    Survey,
    Tokens,
    Web,
    Webhooks,
    Wire,
    Work,
)

FILE_NAME: Final = "leadglass.toml"

_SHORTEST_PREFIX = {4: 8, 6: 16}
"""The widest network that can be allowed, in bits of prefix: an operator who
writes 0.0.0.0/0, or its two halves, has not thought of which networks are theirs."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator may set."""

    ae_title: str = "LEADGLASS"
    """The archive's own AE title (PS3.5 section 6.2: at most 16 characters)."""

    listen: Listen = field(default_factory=Listen)
    network: Network = field(default_factory=Network)
    wire: Wire = field(default_factory=Wire)
    ingest: Ingest = field(default_factory=Ingest)
    work: Work = field(default_factory=Work)
    audit: Audit = field(default_factory=Audit)
    brakes: Brakes = field(default_factory=Brakes)
    key: Key = field(default_factory=Key)
    commitment: Commitment = field(default_factory=Commitment)
    webhooks: Webhooks = field(default_factory=Webhooks)
    web: Web = field(default_factory=Web)
    people: People = field(default_factory=People)
    tokens: Tokens = field(default_factory=Tokens)
    shares: Shares = field(default_factory=Shares)
    oidc: Oidc = field(default_factory=Oidc)
    introspection: Introspection = field(default_factory=Introspection)
    backup: Backup = field(default_factory=Backup)
    exposure: Exposure = field(default_factory=Exposure)
    survey: Survey = field(default_factory=Survey)

    def dangers(self) -> tuple[str, ...]:
        """Name every ``unsafe_…`` setting that is on."""
        return tuple(name for name, value in _walk(self) if name.rpartition(".")[2].startswith("unsafe_") and value)


def _walk(section: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give every setting as its full name and value."""
    if not is_dataclass(section):
        return
    for each in fields(section):
        value = cast(object, getattr(section, each.name))
        name = prefix + each.name
        if is_dataclass(value):
            yield from _walk(value, name + ".")
        else:
            yield name, value


def load(folder: Path) -> Config:
    """Read ``leadglass.toml`` in ``folder``; without the file everything has its default.

    Raises
    ------
    Misconfigured
        When the file cannot be read, a key is unknown, or a value has the
        wrong type or is out of bounds.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{FILE_NAME} cannot be read ({error}). Make it a text file this user may read.") from error
    return parse(text)


def parse(text: str) -> Config:
    """Read the text of a ``leadglass.toml``.

    Raises
    ------
    Misconfigured
        As ``load``.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{FILE_NAME} is not TOML: {error}. Correct that line.") from error
    return cast(Config, _section(Config, table, ""))


def _section(kind: type[object], table: Mapping[str, object], prefix: str) -> object:
    """Make one section from its table."""
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(cast("type[Config]", kind))}
    given: dict[str, object] = {}
    for key, value in table.items():
        if key not in known:
            raise Misconfigured(_unknown(prefix + key))
        name = prefix + key
        hint = cast(type[object], hints[key])
        if is_dataclass(hint):
            if not isinstance(value, dict):
                raise Misconfigured(f"{FILE_NAME}: {name} is a section; write it as [{name}].")
            given[key] = _section(hint, cast(dict[str, object], value), name + ".")
        else:
            given[key] = _value(hint, value, name, known[key].metadata)
    return kind(**given)


def _value(hint: object, value: object, name: str, bounds: Mapping[str, float]) -> object:
    """Check one value against its type and bounds."""
    if get_origin(hint) is tuple:
        item = cast(object, get_args(hint)[0])
        if not isinstance(value, list):
            raise Misconfigured(f"{FILE_NAME}: {name} must be a list, as in {name} = [ … ].")
        return tuple(_value(item, each, name, bounds) for each in cast(list[object], value))
    if hint == IpNetwork:
        return _network(value, name)
    wanted: tuple[type[object], ...] = (int, float) if hint is float else (cast(type[object], hint),)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise Misconfigured(f"{FILE_NAME}: {name} must be {_SPOKEN[hint]}, not {_SPOKEN.get(type(value), 'that')}.")
    if isinstance(value, (int, float)) and bounds and not bounds["least"] <= value <= bounds["most"]:
        raise Misconfigured(f"{FILE_NAME}: {name} must be from {bounds['least']:,} to {bounds['most']:,}.")
    return float(value) if hint is float and isinstance(value, int) else value


_SPOKEN: Final[Mapping[object, str]] = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a section",
    NoneType: "nothing",
}


def _network(value: object, name: str) -> IpNetwork:
    """Read one allowed network."""
    if not isinstance(value, str):
        raise Misconfigured(f"{FILE_NAME}: {name} lists networks as texts, as in {name} = ['203.0.113.0/24'].")
    try:
        network = ip_network(value)
    except ValueError as error:
        raise Misconfigured(f"{FILE_NAME}: {name} holds {value!r}, which is not a network ({error}).") from error
    shortest = _SHORTEST_PREFIX[network.version]
    if network.prefixlen < shortest:
        raise Misconfigured(
            f"{FILE_NAME}: {name} holds {value}, which is (nearly) everybody. "
            f"Name the networks your devices are in; the widest allowed is a /{shortest}."
        )
    return network


def _unknown(name: str) -> str:
    """Say that nobody knows a key, and which one may have been meant."""
    everything = [known for known, _ in _walk(Config())]
    sections = sorted({known.partition(".")[0] for known in everything if "." in known})
    last = name.rpartition(".")[2]
    by_last = {known.rpartition(".")[2]: known for known in everything}
    near = get_close_matches(name, [*everything, *sections], n=1, cutoff=0.6)
    if not near:
        near = [by_last[match] for match in get_close_matches(last, by_last, n=1, cutoff=0.6)]
    hint = f" Did you mean {near[0]}?" if near else f" Sections are {', '.join(sections)}."
    return f"{FILE_NAME}: nobody knows the key {name}.{hint}"
