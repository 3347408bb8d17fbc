"""What configuration files of DCMTK's dcmqrscp, dcm4chee and Conquest would expose."""

import re
from collections.abc import Iterator
from typing import Final

from leadglass.errors import BadInput
from leadglass.survey.config_found import Audit
from leadglass.survey.findings import Exposure

DCMQRSCP_CHECKS: Final = ("config-dcmqrscp-any",)
DCM4CHEE_CHECKS: Final = ("config-dcm4chee-callers", "config-dcm4chee-clear", "config-dcm4chee-certificates")
CONQUEST_CHECKS: Final = ("config-conquest-callers",)
CONQUEST_MAP_CHECKS: Final = ("config-conquest-destinations",)


def dcmqrscp(text: str, name: str, made: Audit) -> None:
    """Read the AE table: a title, a folder, access, a quota, and who may (DCMTK's dcmqrcnf.txt)."""
    inside, areas, reading, writing = False, 0, 0, 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if re.match(r"(?i)AETable\s+(?:BEGIN|END)", line):
            inside = line.upper().endswith("BEGIN")
        elif inside and line:
            areas += 1
            found = re.match(r"\S+\s+(?:\"[^\"]*\"|\S+)\s+(RW|WR|R|W)\s+\([^)]*\)\s*(.*)", line, re.IGNORECASE)
            if found is None:
                raise BadInput(
                    f"{name}, line {number}: a line of the AETable is a title, a folder, R, W or RW, a quota in "
                    "parentheses, and who may. dcmqrscp would not start with it either."
                )
            if re.search(r"(?i)(?:^|[\s,])ANY(?:$|[\s,])", found[2]):
                reading += "R" in found[1].upper()
                writing += "W" in found[1].upper()
    if inside:
        raise BadInput(f"{name}: its AETable does not end. dcmqrscp would not start with it either.")
    if reading or writing:
        made.report(
            "config-dcmqrscp-any",
            Exposure.E4,
            "Storage areas would be open to any caller.",
            {"areas": areas, "anybody may read": reading, "anybody may write": writing},
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=True,
        )


def dcm4chee(text: str, name: str, made: Audit) -> None:
    """Read the entries of an LDIF (RFC 2849)."""
    open_titles = connections = in_clear = uncertified = 0
    for entry in _entries(text, name):
        kinds = {value.lower() for value in entry.get("objectclass", ())}
        if _first(entry, "dicominstalled", "TRUE") == "FALSE":
            continue
        if "dicomnetworkae" in kinds and _first(entry, "dicomassociationacceptor", "") == "TRUE":
            open_titles += not entry.get("dcmacceptedcallingaetitle")
        if (
            "dicomnetworkconnection" in kinds
            and entry.get("dicomport")
            and _first(entry, "dcmprotocol", "DICOM") == "DICOM"
        ):
            connections += 1
            in_clear += not entry.get("dicomtlsciphersuite")
            uncertified += bool(entry.get("dicomtlsciphersuite")) and (
                _first(entry, "dcmtlsneedclientauth", "TRUE") == "FALSE"
            )
    if open_titles:
        made.report(
            "config-dcm4chee-callers",
            Exposure.E3,
            "AE titles of dcm4chee would take any caller.",
            {"AE titles without a list of callers": open_titles},
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=bool(in_clear),
        )
    if in_clear:
        made.report(
            "config-dcm4chee-clear",
            Exposure.E1,
            "DICOM would cross the network in the clear.",
            {"connections": connections, "without TLS": in_clear},
            fixes=("dicom-tls",),
        )
    if uncertified:
        made.report(
            "config-dcm4chee-certificates",
            Exposure.E1,
            "TLS would be spoken with everybody: no certificate of theirs is asked for.",
            {"connections": connections, "without client certificates": uncertified},
            fixes=("dicom-mutual-tls",),
        )


def _first(entry: dict[str, tuple[str, ...]], key: str, otherwise: str) -> str:
    return entry.get(key, (otherwise,))[0].upper()


def _entries(text: str, name: str) -> Iterator[dict[str, tuple[str, ...]]]:
    entry: dict[str, list[str]] = {}
    goes_on: list[str] = []
    is_comment = False
    last = ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith(" "):  # goes on with the line before
            if last and not is_comment:
                goes_on.append(line[1:])
            continue
        if goes_on:
            entry[last][-1] += "".join(goes_on)
            goes_on = []
        is_comment = line.startswith("#")
        if not line.strip():
            if entry:
                yield {key: tuple(values) for key, values in entry.items()}
            entry, last = {}, ""
        elif not is_comment and line != "-":  # which ends one change of several
            key, colon, value = line.partition(":")
            if not colon:
                raise BadInput(f"{name}, line {number}: a line of an LDIF is a name, a colon and a value.")
            last = key.strip().lower()
            entry.setdefault(last, []).append(value.strip(": "))


def conquest(text: str, name: str, made: Audit) -> None:
    """Read dicom.ini: Conquest keeps no list of callers; only a script of its ``[lua]`` section turns some away."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("[") and "]" not in line:
            raise BadInput(f"{name}, line {number}: the name of a section does not end.")
    guarded = re.search(r"(?mi)^[ \t]*+association[ \t]*+=[ \t]*+\S", text) is not None
    if not guarded:
        made.report(
            "config-conquest-callers",
            Exposure.E3,
            "Conquest would answer the questions of any caller.",
            {"a script that looks at callers": "none"},
            fixes=("dicom-know-your-callers", "firewall-dicom"),
            inferred=True,
            in_clear=True,
        )


MAP_LINE: Final = re.compile(
    r"(?P<title>\S+)\s+(?P<host>\S+)\s+(?P<port>\d{1,5}|\*)\s+(?P<form>[A-Za-z]\w{0,5})(?:\s.*)?\Z"
)
"""Of acrnema.map: an AE title, a host, a port, and how images are sent."""


def conquest_map(text: str, name: str, made: Audit) -> None:
    """Read acrnema.map: where images may be sent; a star for a host is whoever asks."""
    plain = re.sub(r"/\*(?:[^*]++|\*(?!/))*+(?:\*/)?", lambda found: "\n" * found[0].count("\n"), text)
    destinations = anybody = 0
    for number, raw in enumerate(plain.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", "//")):
            continue
        found = MAP_LINE.match(line)
        if found is None:
            raise BadInput(f"{name}, line {number}: a line of acrnema.map is an AE title, a host, a port and a form.")
        destinations += 1
        anybody += found["host"] == "*"
    if anybody:
        made.report(
            "config-conquest-destinations",
            Exposure.E4,
            "Conquest would send images to whoever asks: destinations with a star for a host are the caller's own.",
            {"destinations": destinations, "of whoever asks": anybody},
            fixes=("dicom-know-your-callers", "firewall-dicom"),
            inferred=True,
            in_clear=True,
        )
