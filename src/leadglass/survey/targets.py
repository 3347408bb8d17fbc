"""Targets: what other engines found open, read from their files as a list of where to look.

Rule 1. A file is a stranger's: it is read piece by piece, no piece longer than a
bound, and no more of it is kept than addresses and ports. Rule 2. What the scope does
not cover is not a target, whoever found it. Rule 3. Nothing is looked up: a name
counts only where the scope resolved it.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Final, cast
from urllib.parse import urlsplit

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError
from defusedxml.ElementTree import XMLParser as DefusedParser

from leadglass.errors import BadInput, Misconfigured
from leadglass.survey.engine import Target
from leadglass.survey.scope import Address, SurveyScope, address_of

MOST: Final = 1_000_000
"""Targets of one import: so many are remembered to see which come twice."""

_LONGEST_LINE: Final = 1 << 20
_LONGEST_OBJECT: Final = 8 << 20
_CHUNK: Final = 1 << 16
_NAMED: Final = 5
"""Lines without a usable entry that are named; the others are counted."""
_DEEPEST: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")


class Form(StrEnum):
    """The form of a file."""

    NMAP = "nmap"
    MASSCAN = "masscan"
    MASSCAN_LIST = "masscan-list"
    ZMAP = "zmap"
    SHODAN = "shodan"
    CENSYS = "censys"
    NUCLEI = "nuclei"
    CSV = "csv"


@dataclass(slots=True)
class Counted:
    """What was in a file.

    Parameters
    ----------
    taken : int
        Targets.
    outside : int
        Endpoints that the scope does not cover.
    twice : int
        Endpoints that were there before.
    unusable : int
        Entries without an address, or without a port.
    unusable_lines : list of int
        Where the first of them stand.
    """

    taken: int = 0
    outside: int = 0
    twice: int = 0
    unusable: int = 0
    unusable_lines: list[int] = field(default_factory=list[int])


Entry = tuple[str, int | None, str]
"""An address as it stands there, a port where there is one, and a name or nothing."""


@dataclass(slots=True)
class Source:
    """A file that is read piece by piece.

    Parameters
    ----------
    file : binary file
        At its beginning.
    line : int
        Where what was given last begins.
    """

    file: IO[bytes]
    line: int = 0


@dataclass(slots=True)
class Import:
    """Reads one file.

    Parameters
    ----------
    path : Path
        The file.
    scope : SurveyScope
        What may be looked at.
    form : Form, optional
        Found out by how it begins when it is not said.
    port : int, optional
        For forms without ports, as zmap's list of addresses is.
    """

    path: Path
    scope: SurveyScope
    form: Form | None = None
    port: int | None = None
    counted: Counted = field(default_factory=Counted)

    def targets(self) -> Iterator[Target]:
        """Give the targets, each once.

        Raises
        ------
        BadInput
            Where the file is not what it should be; says where.
        Misconfigured
            When it cannot be read.
        """
        seen: set[int] = set()  # numbers take half of what addresses with ports do
        for text, port, name, line in self._entries():
            found = self._addresses(text, name)
            if not found:
                self.counted.unusable += 1
                if len(self.counted.unusable_lines) < _NAMED:
                    self.counted.unusable_lines.append(line)
            for address in found:
                if not self.scope.covers(address):
                    self.counted.outside += 1
                    continue
                ports = (port,) if port else (self.port,) if self.port else self._usual()
                for each in ports:
                    which = (int(address) << 16 | each) * 10 + address.version
                    if which in seen:
                        self.counted.twice += 1
                        continue
                    if len(seen) >= MOST:
                        raise BadInput(f"There are more than {MOST:,} targets in {self.path.name}. Split it.")
                    seen.add(which)
                    self.counted.taken += 1
                    yield Target(address, each, self._name(name, address), self.counted.taken - 1)

    def _usual(self) -> tuple[int, ...]:
        if self.form is Form.ZMAP:
            raise BadInput(f"{self.path.name} has no port: say which one was looked at, as in --port 104.")
        return self.scope.ports

    def _addresses(self, text: str, name: str) -> Sequence[Address]:
        try:
            return (address_of(text),)
        except BadInput:
            return self.scope.hosts.get(text.lower()) or self.scope.hosts.get(name.lower()) or ()

    def _name(self, name: str, address: Address) -> str:
        if not _NAME.fullmatch(name) or address not in self.scope.hosts.get(name.lower(), ()):
            return next((known for known, found in self.scope.hosts.items() if address in found), "")
        return name.lower()

    def _entries(self) -> Iterator[tuple[str, int | None, str, int]]:
        try:
            with self.path.open("rb") as file:
                self.form = self.form or form_of(file.read(_CHUNK), self.path)
                file.seek(0)
                source = Source(file)
                for text, port, name in _READERS[self.form](source):
                    yield text, port, name, source.line
        except OSError as error:
            raise Misconfigured(f"{self.path} cannot be read ({error.strerror}).") from error


def form_of(begin: bytes, path: Path) -> Form:
    """Find out the form of a file by how it begins; raises ``BadInput``."""
    text = begin.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    first = text.partition("\n")[0].strip().lower()
    columns = {each.strip().strip('"') for each in re.split("[,;]", first)}
    signs = (
        (Form.NMAP, text.startswith("<") and "<nmaprun" in text),
        (Form.MASSCAN_LIST, first.startswith(("#masscan", "open tcp ", "open udp "))),
        (Form.NUCLEI, text.startswith(("{", "[")) and '"template-id"' in text),
        (Form.CENSYS, text.startswith(("{", "[")) and '"services"' in text),
        (Form.SHODAN, text.startswith(("{", "[")) and '"ip_str"' in text),
        (Form.MASSCAN, text.startswith(("{", "[")) and '"ports"' in text),
        (Form.ZMAP, "saddr" in columns or (first.count(".") == 3 and first.replace(".", "").isdigit())),
        (Form.CSV, bool(columns & _ADDRESSES)),
    )
    for form, shows in signs:
        if shows:
            return form
    raise BadInput(f"{path.name} is of no known form. Say which one it has: --from {', '.join(Form)}.")


# --- pieces -----------------------------------------------------------------------


def _lines(source: Source) -> Iterator[str]:
    """Give lines, none longer than a bound."""
    while line := source.file.readline(_LONGEST_LINE + 1):
        source.line += 1
        if len(line) > _LONGEST_LINE:
            raise BadInput(f"Line {source.line} is longer than {_LONGEST_LINE:,} bytes: that is no list of targets.")
        try:
            yield line.decode("utf-8-sig" if source.line == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise BadInput(f"Line {source.line} is no text in UTF-8.") from None


_OUTSIDE: Final = re.compile(rb'["{}]')
_INSIDE: Final = re.compile(rb'["\\]')


def _objects(source: Source) -> Iterator[dict[str, object]]:
    """Give the outermost JSON objects one by one, whether in lines, in an array or printed prettily."""
    for piece in _braces(source):
        try:
            read = json.loads(piece)
        except (ValueError, RecursionError) as error:
            if re.fullmatch(rb"\{\s*finished:\s*1\s*\}", piece):
                continue  # how older masscan ends its file
            line = source.line + (error.lineno - 1 if isinstance(error, json.JSONDecodeError) else 0)
            raise BadInput(f"Line {line} is not JSON. Have the file written again.") from None
        yield cast("dict[str, object]", read)


def _braces(source: Source) -> Iterator[bytes]:  # noqa: C901 - one automaton
    taken, depth, in_text, skip, between, line = bytearray(), 0, False, False, 0, 1
    while chunk := source.file.read(_CHUNK):
        at = begin = counted = 0
        if skip:
            at, skip = 1, False
        while found := (_INSIDE if in_text else _OUTSIDE).search(chunk, at):
            at = found.end()
            match found[0]:
                case b"\\":
                    skip = at == len(chunk)
                    at += 1
                case b'"' if depth:
                    in_text = not in_text
                case b"{":
                    if not depth:
                        begin = at - 1
                        line += chunk.count(b"\n", counted, begin)
                        counted = begin
                        source.line = line
                    depth += 1
                case b"}" if depth:
                    depth -= 1
                    if not depth:
                        yield bytes(taken + chunk[begin:at])
                        taken.clear()
                        between = 0
                case _:
                    line += chunk.count(b"\n", counted, at)
                    raise BadInput(
                        f"Line {line}: what stands between objects is not JSON. Have the file written again."
                    )
        line += chunk.count(b"\n", counted)
        if depth:
            taken += chunk[begin:]
            if len(taken) > _LONGEST_OBJECT:
                raise BadInput(
                    f"The object in line {source.line} is larger than {_LONGEST_OBJECT:,} bytes: that is no list of "
                    "targets."
                )
        else:
            between += len(chunk)
            if between > _LONGEST_LINE + _LONGEST_OBJECT:
                raise BadInput(f"Before line {line} there is no object for long: that is no list of targets.")
    if depth:
        raise BadInput(f"The file ends in the middle of the object in line {source.line}. Have it written again.")


def _text(table: Mapping[str, object], *names: str) -> str:
    return next((value for name in names if isinstance(value := table.get(name), str)), "")


def _tables(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        return []
    return [cast("Mapping[str, object]", each) for each in cast("list[object]", value) if isinstance(each, dict)]


def _port(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65_535:
        return None
    return value


def _is_tcp(value: str) -> bool:
    return value.lower() in {"", "tcp", "quic+tcp"}


# --- forms ------------------------------------------------------------------------


class _Nmap:
    """What the parser tells: nothing is built of it but one host's open ports."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Entry]] = []
        self.line: Callable[[], int] = int
        """Where the parser is."""
        self._depth = 0
        self._address = self._name = ""
        self._port: int | None = None
        self._ports: list[int] = []

    def start(self, tag: str, attrs: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadInput("The XML is nested deeper than nmap nests it.")
        match tag:
            case "host":
                self._address, self._name, self._ports = "", "", []
            case "address" if attrs.get("addrtype", "ipv4").startswith("ip"):
                self._address = self._address or attrs.get("addr", "")
            case "hostname":
                self._name = self._name or attrs.get("name", "")
            case "port":
                self._port = _port(attrs.get("portid")) if attrs.get("protocol") == "tcp" else None
            case "state" if attrs.get("state") == "open" and self._port and len(self._ports) < 65_536:
                self._ports.append(self._port)
            case _:
                pass

    def end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "host" and self._address:
            self.found += [(self.line(), (self._address, port, self._name)) for port in self._ports]

    def close(self) -> None:
        """There is nothing to give in the end."""


def _nmap(source: Source) -> Iterator[Entry]:
    told = _Nmap()
    parser = DefusedParser(target=told, forbid_dtd=False)  # nmap writes a DOCTYPE; entities stay forbidden
    told.line = lambda: parser.parser.CurrentLineNumber
    fed = 0
    try:
        while chunk := source.file.read(_CHUNK):
            # how far the parser came, and not where the last > stands: comments and values may be full of them
            if fed - max(0, parser.parser.CurrentByteIndex) > _LONGEST_LINE:
                raise BadInput(
                    f"Line {told.line()}: the XML has an element that does not end. That is no file of nmap's."
                )
            parser.feed(chunk)
            fed += len(chunk)
            for source.line, entry in told.found:
                yield entry
            told.found.clear()
        parser.close()
    except DefusedXmlException:
        raise BadInput("The XML declares entities, which nmap never does: it is not read.") from None
    except ParseError as error:
        line, _ = error.position
        raise BadInput(f"Line {line} is not XML. Have the file written again.") from None


def _masscan(source: Source) -> Iterator[Entry]:
    for host in _objects(source):
        for port in _tables(host.get("ports")):
            if _is_tcp(_text(port, "proto")) and _text(port, "status") in {"", "open"}:
                number = _port(port.get("port"))
                yield (_text(host, "ip") if number else ""), number, ""


def _masscan_list(source: Source) -> Iterator[Entry]:
    for line in _lines(source):
        if not line or line.startswith("#"):
            continue
        match line.split():
            case ["open", "tcp", port, address, *_]:
                number = _port(port)
                yield (address if number else ""), number, ""
            case ["open" | "closed" | "banner", *_]:
                continue
            case _:
                raise BadInput(f"Line {source.line} is none of masscan's list.")


def _rows(source: Source) -> Iterator[list[str]]:
    """Give the rows of a CSV; a row is a line."""
    for line in _lines(source):
        if not line or line.startswith("#"):
            continue
        try:
            yield next(iter(csv.reader([line], delimiter=";" if line.count(";") > line.count(",") else ",")))
        except (csv.Error, StopIteration):
            raise BadInput(f"Line {source.line} is not CSV.") from None


_ADDRESSES: Final = frozenset({"ip", "address", "ip_address", "ipv4", "ip address", "host", "hostname", "saddr"})
_NAMES: Final = frozenset({"name", "hostname", "dns", "fqdn"})
_PORTS: Final = frozenset({"port", "tcp_port", "sport", "tcp port"})


def _csv(source: Source) -> Iterator[Entry]:
    columns: list[str] | None = None
    for row in _rows(source):
        if columns is None:
            columns = [each.strip().lower() for each in row]
            if not _ADDRESSES & set(columns):
                raise BadInput(f"The first line names no column of addresses: {', '.join(sorted(_ADDRESSES))}.")
            continue
        said = dict(zip(columns, row, strict=False))
        address = next((said[name] for name in said if name in _ADDRESSES and said[name].strip()), "")
        port = next((said[name].strip() for name in said if name in _PORTS), "")
        if port and _port(port) is None:
            yield "", None, ""
            continue
        yield address.strip(), _port(port), next((said[name].strip() for name in said if name in _NAMES), "")


def _zmap(source: Source) -> Iterator[Entry]:
    columns = ["saddr"]
    for number, row in enumerate(_rows(source)):
        names = [each.strip().lower() for each in row]
        if number == 0 and "saddr" in names:
            columns = names
            continue
        said = dict(zip(columns, row, strict=False))
        if said.get("success", "1").strip() in {"1", "true"}:
            port = said.get("sport", "").strip()
            yield ("" if port and _port(port) is None else said.get("saddr", "").strip()), _port(port), ""


def _shodan(source: Source) -> Iterator[Entry]:
    for banner in _objects(source):
        if _is_tcp(_text(banner, "transport")):
            port = _port(banner.get("port"))
            yield (_text(banner, "ip_str") if port else ""), port, ""


def _censys(source: Source) -> Iterator[Entry]:
    for read in _objects(source):
        result = read.get("result")
        inner = cast("Mapping[str, object]", result) if isinstance(result, dict) else read
        for host in _tables(inner.get("hits")) or [inner]:
            for service in _tables(host.get("services")):
                if _is_tcp(_text(service, "transport_protocol")):
                    port = _port(service.get("port"))
                    yield (_text(host, "ip") if port else ""), port, ""


def _nuclei(source: Source) -> Iterator[Entry]:
    for found in _objects(source):
        where = _text(found, "matched-at", "host", "url")
        try:
            whole = urlsplit(where if "//" in where else f"//{where}")
            port = _port(found.get("port")) or whole.port or {"http": 80, "https": 443}.get(whole.scheme)
            host = whole.hostname or ""
        except ValueError:
            port, host = None, ""
        yield ((_text(found, "ip") or host) if port else ""), port, host


_READERS: Final[Mapping[Form, Callable[[Source], Iterator[Entry]]]] = {
    Form.NMAP: _nmap,
    Form.MASSCAN: _masscan,
    Form.MASSCAN_LIST: _masscan_list,
    Form.ZMAP: _zmap,
    Form.SHODAN: _shodan,
    Form.CENSYS: _censys,
    Form.NUCLEI: _nuclei,
    Form.CSV: _csv,
}
