"""Configuration audit: what a configuration file of an archive would expose; nothing is sent.

Rule 1. A value of a file goes into no finding: keys are named by tables of ours, and
things are counted. Rule 2. What a file says is no proof that it runs: every finding
says so, and that it was not tried.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, cast

from leadglass.errors import BadInput, Misconfigured
from leadglass.survey.findings import Exposure, Finding, severity_of
from leadglass.survey.scope import Vantage

_MOST: Final = 16 << 20
_CONTROLS: Final = (
    "PS3.15 B.12",
    "HIPAA 164.312(a)(1)",
    "HIPAA 164.312(d)",
    "GDPR 32(1)(b)",
    "NIST CSF PR.PS-01",
    "IEC 80001-2-2 CNFS",
)
_NOT_TESTED: Final = (
    "Whether this file is in force; nothing was sent.",
    "What a firewall or a proxy in front of it changes.",
)


class Kind(StrEnum):
    """What a file configures."""

    ORTHANC = "Orthanc"
    DCMQRSCP = "DCMTK dcmqrscp"
    COMPOSE = "docker compose"
    DCM4CHEE = "dcm4chee"
    CONQUEST = "Conquest"


@dataclass(slots=True)
class _Audit:
    vantage: Vantage
    found: list[Finding] = field(default_factory=list[Finding])

    def report(
        self,
        check: str,
        exposure: Exposure,
        title: str,
        proof: Mapping[str, str | int],
        *,
        fixes: tuple[str, ...] = ("config-secure",),
        is_default: bool = False,
        inferred: bool = False,
        in_clear: bool = False,
    ) -> None:
        severity = severity_of(exposure, self.vantage, in_clear=in_clear, default_credential=is_default)
        self.found.append(
            Finding(
                check=check,
                address=None,
                port=0,
                transport="file",
                title=title,
                exposure=exposure,
                severity=severity,
                proof=proof,
                not_tested=_NOT_TESTED,
                fixes=fixes,
                controls=_CONTROLS,
                inferred=inferred,
            )
        )


def audit(path: Path, vantage: Vantage = Vantage.INTERNAL) -> tuple[Kind, list[Finding]]:
    """Read a configuration file; gives what it configures and what that would expose.

    Raises
    ------
    BadInput
        When it is none that is known, or broken.
    Misconfigured
        When it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read ({error.strerror}).") from error
    if len(raw) > _MOST:
        raise BadInput(f"{path.name} is larger than {_MOST >> 20} MB: no configuration file is.")
    text = raw.decode("utf-8-sig", "replace")
    kind = _kind(text, path)
    made = _Audit(vantage)
    _AUDITS[kind](text, made)
    return kind, made.found


def _kind(text: str, path: Path) -> Kind:
    is_json = text.lstrip().startswith(("{", "/"))
    signs = (
        (Kind.DCMQRSCP, re.search(r"(?mi)^\s*(?:HostTable|AETable)\s+BEGIN", text)),
        (Kind.DCM4CHEE, re.search(r"(?mi)^dn:", text) and re.search(r"(?i)dicom(?:Device|Network)", text)),
        (Kind.CONQUEST, re.search(r"(?mi)^\s*\[sscscp\]", text)),
        (Kind.ORTHANC, is_json and re.search(r'"(?:Dicom|Http|Remote|Registered)\w+"', text)),
        (Kind.COMPOSE, re.search(r"(?m)^services:", text)),
    )
    for kind, shows in signs:
        if shows:
            return kind
    raise BadInput(
        f"{path.name} is none of: orthanc.json, dcmqrscp.cfg, a compose file, dcm4chee's LDIF, Conquest's dicom.ini."
    )


# --- Orthanc ------------------------------------------------------------------------

_COMMENTS: Final = re.compile(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_TRAILING: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')

_DEFAULT_PAIRS: Final = frozenset(
    {("orthanc", "orthanc"), ("demo", "demo"), ("admin", "admin"), ("alice", "alicePassword"), ("admin", "password")}
)
"""What is printed in handbooks and tutorials."""


def _plain(text: str) -> str:
    """Give JSON without the comments and last commas that Orthanc allows."""
    text = _COMMENTS.sub(lambda found: found[1] or " ", text)
    return _TRAILING.sub(lambda found: found[1] or "", text)


def _orthanc(text: str, made: _Audit) -> None:
    try:
        read: object = json.loads(_plain(text))
    except (ValueError, RecursionError):
        raise BadInput("This configuration of Orthanc is not JSON. Orthanc would not start with it either.") from None
    if not isinstance(read, dict):
        raise BadInput("A configuration of Orthanc is a JSON object.")
    said = cast("Mapping[str, object]", read)
    users = said.get("RegisteredUsers")
    _orthanc_web(said, cast("Mapping[str, object]", users) if isinstance(users, dict) else {}, made)
    _orthanc_dicom(said, made)


def _orthanc_web(said: Mapping[str, object], users: Mapping[str, object], made: _Audit) -> None:
    in_clear = said.get("SslEnabled") is not True
    _orthanc_users(said, users, made)
    if said.get("RemoteAccessAllowed") is not True or said.get("HttpServerEnabled") is False:
        return
    if said.get("AuthenticationEnabled") is False:
        made.report(
            "config-orthanc-open",
            Exposure.E4,
            "Orthanc's web side would be open to anybody, to read and to delete.",
            {"RemoteAccessAllowed": "true", "AuthenticationEnabled": "false"},
            fixes=("web-require-login", "config-secure"),
            in_clear=in_clear,
        )
    if in_clear:
        made.report(
            "config-orthanc-clear",
            Exposure.E1,
            "Passwords and images would cross the network in the clear.",
            {"SslEnabled": "false or not set"},
            fixes=("web-require-tls",),
        )
    if said.get("ExecuteLuaEnabled") is True:
        made.report(
            "config-orthanc-lua",
            Exposure.E4,
            "Whoever reaches Orthanc's web side could run programs of theirs on this machine.",
            {"ExecuteLuaEnabled": "true"},
        )


def _orthanc_users(said: Mapping[str, object], users: Mapping[str, object], made: _Audit) -> None:
    """Count weak passwords; Debian keeps them in a file of their own, which says nothing else."""
    if said.get("RemoteAccessAllowed") is False or said.get("AuthenticationEnabled") is False:
        return
    weak = sum(1 for user, secret in users.items() if not secret or (user, secret) in _DEFAULT_PAIRS)
    if weak:
        made.report(
            "config-orthanc-default",
            Exposure.E4,
            "Blank passwords, or some that handbooks print, would open Orthanc.",
            {"RegisteredUsers": len(users), "blank or default": weak},
            fixes=("default-passwords",),
            is_default=True,
        )


def _orthanc_dicom(said: Mapping[str, object], made: _Audit) -> None:
    if said.get("DicomServerEnabled") is False or not any(name.startswith("Dicom") for name in said):
        return  # switched off, or one of several files, in which DICOM is not spoken of
    in_clear = said.get("DicomTlsEnabled") is not True
    allowed = {
        "DicomAlwaysAllowFind": Exposure.E3,
        "DicomAlwaysAllowFindWorklist": Exposure.E3,
        "DicomAlwaysAllowGet": Exposure.E4,
        "DicomAlwaysAllowMove": Exposure.E4,
    }
    given = {name: rung for name, rung in allowed.items() if said.get(name) is True}
    if given:
        made.report(
            "config-orthanc-strangers",
            max(given.values()),
            "Orthanc would answer the questions of callers that nobody registered.",
            dict.fromkeys(given, "true"),
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=in_clear,
        )
    if said.get("DicomAlwaysAllowStore") is not False:
        made.report(
            "config-orthanc-store",
            Exposure.E4,
            "Anybody could put images into Orthanc.",
            {"DicomAlwaysAllowStore": "true or not set"},
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=in_clear,
        )
    if said.get("DicomCheckModalityHost") is not True:
        made.report(
            "config-orthanc-titles",
            Exposure.E2,
            "Callers would be known by their AE titles alone, which anybody can give.",
            {"DicomCheckModalityHost": "false or not set", "DicomTlsEnabled": "no" if in_clear else "yes"},
            fixes=("dicom-tls", "dicom-know-your-callers"),
            in_clear=in_clear,
        )


# --- the others ----------------------------------------------------------------------


def _dcmqrscp(text: str, made: _Audit) -> None:
    """Read the AE table: a title, a folder, access, a quota, and who may (DCMTK's dcmqrcnf.txt)."""
    inside, areas, reading, writing = False, 0, 0, 0
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if re.match(r"(?i)AETable\s+(?:BEGIN|END)", line):
            inside = line.upper().endswith("BEGIN")
        elif inside and line:
            areas += 1
            found = re.match(r"\S+\s+(?:\"[^\"]*\"|\S+)\s+(RW|WR|R|W)\s+\([^)]*\)\s*(.*)", line, re.IGNORECASE)
            if found and re.search(r"(?i)(?:^|[\s,])ANY(?:$|[\s,])", found[2]):
                reading += "R" in found[1].upper()
                writing += "W" in found[1].upper()
    if reading or writing:
        made.report(
            "config-dcmqrscp-any",
            Exposure.E4,
            "Storage areas would be open to any caller.",
            {"areas": areas, "anybody may read": reading, "anybody may write": writing},
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=True,
        )


_PUBLISHED: Final = re.compile(
    r"""^\s*-\s*["']?(?P<host>\d[\d.]*:|\[[0-9a-fA-F:]+\]:)?(?P<out>\d{1,5}):(?P<in>\d{1,5})(?:/tcp)?["']?\s*(?:#.*)?$"""
)
_MEDICAL: Final = {
    104: "DICOM", 11112: "DICOM", 4242: "DICOM", 2761: "DICOM", 2762: "DICOM", 5678: "DICOM",
    8042: "Orthanc's web side", 3306: "a database", 5432: "a database", 27017: "a database", 389: "a directory",
    9990: "an administration console", 9993: "an administration console",
}  # fmt: skip
_OFF: Final = re.compile(r"""ORTHANC__AUTHENTICATION_ENABLED["']?\s*[:=]\s*["']?false""", re.IGNORECASE)
_DEFAULT_SECRET: Final = re.compile(
    r"""(?P<key>POSTGRES_PASSWORD|MYSQL_(?:ROOT_)?PASSWORD|LDAP_ROOTPASS|WILDFLY_PASS|KEYCLOAK_ADMIN_PASSWORD)["']?"""
    r"""\s*[:=]\s*["']?(?:pacs|secret|changeit|password|postgres|admin|root|orthanc)?["']?\s*$""",
    re.IGNORECASE,
)


def _compose(text: str, made: _Audit) -> None:
    """Read a compose file line by line: what it publishes, and what it switches off."""
    published: dict[str, int] = {}
    secrets = 0
    for line in text.splitlines():
        found = _PUBLISHED.match(line)
        if found and not (found["host"] or "").startswith(("127.", "[::1]")):
            name = _MEDICAL.get(int(found["in"]), "")
            if name:
                published[name] = published.get(name, 0) + 1
        secrets += not line.lstrip().startswith("#") and _DEFAULT_SECRET.search(line) is not None
    if _OFF.search(text):
        made.report(
            "config-compose-open",
            Exposure.E4,
            "Orthanc's web side would be open to anybody: its authentication is switched off.",
            {"ORTHANC__AUTHENTICATION_ENABLED": "false"},
            fixes=("web-require-login", "config-secure"),
            in_clear=True,
        )
    if published:
        made.report(
            "config-compose-published",
            Exposure.E1,
            "Ports would be published on every address of the machine, past most firewalls of the host.",
            published,
            fixes=("firewall-dicom", "config-secure"),
        )
    if secrets:
        made.report(
            "config-compose-default",
            Exposure.E1,
            "Databases or consoles would have blank passwords, or some that handbooks print.",
            {"blank or default": secrets},
            fixes=("default-passwords",),
            is_default=True,
        )


def _dcm4chee(text: str, made: _Audit) -> None:
    """Read the entries of an LDIF (RFC 2849)."""
    open_titles = connections = in_clear = 0
    for entry in _entries(text):
        kinds = {value.lower() for value in entry.get("objectclass", ())}
        if "dicomnetworkae" in kinds and entry.get("dicomassociationacceptor", ("",))[0].upper() == "TRUE":
            open_titles += not entry.get("dcmacceptedcallingaetitle")
        if (
            "dicomnetworkconnection" in kinds
            and entry.get("dicomport")
            and entry.get("dcmprotocol", ("DICOM",)) == ("DICOM",)
        ):
            connections += 1
            in_clear += not entry.get("dicomtlsciphersuite")
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


def _entries(text: str) -> Iterator[dict[str, tuple[str, ...]]]:
    entry: dict[str, tuple[str, ...]] = {}
    for line in [*re.sub(r"\r?\n ", "", text).splitlines(), ""]:
        if not line.strip():
            if entry:
                yield entry
            entry = {}
        elif not line.startswith("#") and ":" in line:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            entry[key] = (*entry.get(key, ()), value.strip(": "))


def _conquest(text: str, made: _Audit) -> None:
    """Read dicom.ini: Conquest keeps no list of callers; only a script of its ``[lua]`` section turns some away."""
    guarded = re.search(r"(?mi)^\s*association\s*=\s*\S", text) is not None
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


_AUDITS: Final[Mapping[Kind, Callable[[str, _Audit], None]]] = {
    Kind.ORTHANC: _orthanc,
    Kind.DCMQRSCP: _dcmqrscp,
    Kind.COMPOSE: _compose,
    Kind.DCM4CHEE: _dcm4chee,
    Kind.CONQUEST: _conquest,
}
