"""What a compose file would expose: what it publishes, and what it switches off.

Rule: it is read line by line, as such files are written; what anchors and other files
bring in is not, and is said not to be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from leadglass.errors import BadInput
from leadglass.survey import config_orthanc
from leadglass.survey.config_found import Audit
from leadglass.survey.findings import Exposure

CHECKS: Final = (
    *config_orthanc.CHECKS,
    "config-compose-published",
    "config-compose-host",
    "config-compose-default",
    "config-compose-dcm4chee",
)

_MEDICAL: Final = {
    104: "DICOM", 11112: "DICOM", 4242: "DICOM", 2761: "DICOM", 2762: "DICOM", 5678: "DICOM",
    8042: "Orthanc's web side", 3306: "a database", 5432: "a database", 27017: "a database", 389: "a directory",
    9990: "an administration console", 9993: "an administration console",
}  # fmt: skip
_PUBLISHED: Final = re.compile(
    r"(?:(?P<host>\[[0-9a-fA-F:]*\]|[\w.-]+|\$\{[^}]*\}):(?=.*:))?(?:(?P<out>[\d-]+|\$\{[^}]*\})?:)?"
    r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?P<udp>/udp)?(?:/tcp)?\Z"
)
_OWN_MACHINE: Final = re.compile(r"127\.|\[?::1\]?\Z|localhost\Z")
_SECRET: Final = re.compile(
    r"(?:POSTGRES_PASSWORD|MYSQL_(?:ROOT_)?PASSWORD|LDAP_ROOTPASS|WILDFLY_PASS|KEYCLOAK_ADMIN_PASSWORD)\Z",
    re.IGNORECASE,
)
_DEFAULTS: Final = frozenset({"", "pacs", "secret", "changeit", "password", "postgres", "admin", "root", "orthanc"})
_ORTHANC: Final = re.compile(r"(?:\A|/)orthanc(?:[/:@-]|\Z)", re.IGNORECASE)
_DCM4CHEE: Final = re.compile(r"(?:\A|/)dcm4chee-arc-\w+(?:[:@]|\Z)", re.IGNORECASE)
_NOT_READ: Final = "What anchors, extends, include, env_file and files that are mounted bring in."


@dataclass(slots=True)
class _Service:
    image: str = ""
    is_host: bool = False
    mounts_configuration: bool = False
    ports: list[int] = field(default_factory=list[int])
    """Ports of the container that every address of the machine leads to."""
    environment: dict[str, str] = field(default_factory=dict[str, str])


def audit(text: str, name: str, made: Audit) -> None:
    """Say what it would expose; raises ``BadInput`` with the line where it is broken."""
    services = list(_services(text, name))
    published: dict[str, int] = {}
    secrets = hosts = insecure = 0
    for service in services:
        hosts += service.is_host
        for port in service.ports:
            said = _MEDICAL.get(port) or ("dcm4chee's web side" if _is_web(service, port) else "")
            if said:
                published[said] = published.get(said, 0) + 1
        secrets += sum(
            1 for key, value in service.environment.items() if _SECRET.match(key) and value.lower() in _DEFAULTS
        )
        if _DCM4CHEE.search(service.image) and not service.image.endswith("-secure"):
            insecure += service.is_host or any(_is_web(service, port) for port in service.ports)
    _orthanc(services, made)
    if insecure:
        made.report(
            "config-compose-dcm4chee",
            Exposure.E4,
            "dcm4chee's web side would be open to anybody: its image is not one of those that ask for a login.",
            {"services": insecure},
            fixes=("web-require-login", "config-secure"),
            in_clear=True,
            not_tested=(_NOT_READ,),
        )
    if published:
        made.report(
            "config-compose-published",
            Exposure.E1,
            "Ports would be published on every address of the machine, past most firewalls of the host.",
            published,
            fixes=("firewall-dicom", "config-secure"),
            not_tested=(_NOT_READ,),
        )
    if hosts:
        made.report(
            "config-compose-host",
            Exposure.E1,
            "Containers would share the machine's network: whatever they open is open on every address of it.",
            {"network_mode: host": hosts},
            fixes=("firewall-dicom", "config-secure"),
            not_tested=(_NOT_READ,),
        )
    if secrets:
        made.report(
            "config-compose-default",
            Exposure.E1,
            "Databases or consoles would have blank passwords, or some that handbooks print.",
            {"blank or default": secrets},
            fixes=("default-passwords",),
            is_default=True,
            not_tested=(_NOT_READ,),
        )


def _orthanc(services: list[_Service], made: Audit) -> None:
    """Audit the first service that is an Orthanc, or has its variables."""
    for service in services:
        said = config_orthanc.from_environment(service.environment)
        if not said and not (_ORTHANC.search(service.image) and not service.mounts_configuration):
            continue
        if not (service.is_host or service.ports or said):
            continue
        # its images let others in, and ask for a login, where nothing else is said
        said = {"RemoteAccessAllowed": True} | said
        config_orthanc.audit(said, Audit(made.vantage, is_whole=False, found=made.found))
        return


def _is_web(service: _Service, port: int) -> bool:
    return _DCM4CHEE.search(service.image) is not None and port in {8080, 8443}


def _services(text: str, name: str) -> Iterator[_Service]:
    """Give each service."""
    lines = list(_lines(text, name))
    at = next((place for place, (indent, line) in enumerate(lines) if not indent and line == "services:"), None)
    if at is None:
        return
    inside = lines[at + 1 :]
    end = next((place for place, (indent, line) in enumerate(inside) if not indent and line[0] != "-"), len(inside))
    inside = inside[:end]
    if not inside:
        return
    depth = inside[0][0]
    starts = [*(place for place, (indent, _) in enumerate(inside) if indent == depth), len(inside)]
    for first, last in pairwise(starts):
        yield _service(inside[first + 1 : last])


def _lines(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Give lines that say something: how far they are indented, and what they say without comments."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(?:\A|\s)#.*", "", raw).rstrip()
        if not line.strip():
            continue
        rest = line.lstrip(" ")
        if rest.startswith("\t"):
            raise BadInput(f"{name}, line {number}: a tab begins this line, and YAML allows none. Write blanks.")
        yield len(line) - len(rest), rest


def _service(lines: list[tuple[int, str]]) -> _Service:
    made = _Service()
    if not lines:
        return made
    depth = lines[0][0]
    starts = [place for place, (indent, line) in enumerate(lines) if indent == depth and line[0] != "-"]
    for first, last in pairwise([*starts, len(lines)]):
        key, _, value = lines[first][1].partition(":")
        below = lines[first + 1 : last]
        match key.strip("\"'"):
            case "image":
                made.image = _text(value)
            case "network_mode":
                made.is_host = _text(value) == "host"
            case "ports":
                made.ports = list(_ports(_inline(value), below))
            case "environment":
                made.environment = _environment(below)
            case "volumes" | "configs" | "secrets":
                said = " ".join([value, *(line for _, line in below)])
                made.mounts_configuration |= "/etc/orthanc" in said or "orthanc.json" in said
            case _:
                pass
    return made


def _text(value: str) -> str:
    return value.strip().strip("\"'")


def _inline(value: str) -> list[str]:
    value = value.strip()
    return [_text(each) for each in value[1:-1].split(",")] if value.startswith("[") else []


def _ports(inline: list[str], below: list[tuple[int, str]]) -> Iterator[int]:
    """Give ports of a container that are published on every address (Compose specification, ports)."""
    long: dict[str, str] = {}
    for line in [*(f"- {each}" for each in inline), *(line for _, line in below), "-"]:
        if line.startswith("-"):
            if "target" in long and not _OWN_MACHINE.match(long.get("host_ip", "")):
                yield from _numbers(long["target"], "")
            long = {}
            line = line[1:].strip()
        key, colon, value = line.partition(":")
        if key.strip() in {"target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"} and colon:
            long[key.strip()] = _text(value)
            continue
        found = _PUBLISHED.match(_text(line))
        if found and not found["udp"] and not _OWN_MACHINE.match(found["host"] or ""):
            yield from _numbers(found["first"], found["last"] or "")


def _numbers(first: str, last: str) -> Iterator[int]:
    if first.isascii() and first.isdigit() and len(first) < 6:
        begin, end = int(first), int(last or first)
        yield from (port for port in (*_MEDICAL, 8080, 8443) if begin <= port <= end)


def _environment(below: list[tuple[int, str]]) -> dict[str, str]:
    """Read variables, as a mapping or as a list, and texts of several lines."""
    made: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    open_key, depth = "", 0
    for indent, raw in below:
        if open_key and indent > depth:
            texts.setdefault(open_key, []).append(raw + "\n")
            continue
        open_key = ""
        is_item = raw.startswith("-")
        line = _text(raw[1:]) if is_item else raw
        key, _, value = line.partition("=") if is_item else line.partition(":")
        key, value = _text(key), _text(value)
        if value in {"|", ">", "|-", ">-"}:
            open_key, depth, value = key, indent, ""
        made[key] = value
        texts.pop(key, None)
    return made | {key: "".join(lines) for key, lines in texts.items()}
