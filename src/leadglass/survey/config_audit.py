"""Configuration audit: what configuration files of an archive would expose; nothing is sent.

Rule 1. A value of a file goes into no finding: keys are named by tables of ours, and
things are counted. Rule 2. What a file says is no proof that it runs: every finding
says so, and where it is kept it lifts no host on the ladder.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from leadglass.errors import BadInput, Misconfigured
from leadglass.survey import config_compose, config_orthanc, config_others
from leadglass.survey.config_found import Audit
from leadglass.survey.engine import Outcome, Target
from leadglass.survey.findings import Finding, Severity
from leadglass.survey.register import Register
from leadglass.survey.scope import Address, SurveyScope, Vantage, today
from leadglass.survey.state import Run, State

_MOST: Final = 16 << 20
SOURCE: Final = "files"
"""Of a run that looked at files."""


class Kind(StrEnum):
    """What a file configures."""

    ORTHANC = "Orthanc"
    DCMQRSCP = "DCMTK dcmqrscp"
    COMPOSE = "docker compose"
    DCM4CHEE = "dcm4chee"
    CONQUEST = "Conquest"
    CONQUEST_MAP = "Conquest's destinations"


@dataclass(frozen=True, slots=True)
class Audited:
    """What one file, or one folder, came to.

    Parameters
    ----------
    path : Path
        Which.
    kind : Kind
        What it configures.
    findings : sequence of Finding
        What it would expose.
    """

    path: Path
    kind: Kind
    findings: Sequence[Finding]


_OF_TEXT: Final[Mapping[Kind, Callable[[str, str, Audit], None]]] = {
    Kind.DCMQRSCP: config_others.dcmqrscp,
    Kind.COMPOSE: config_compose.audit,
    Kind.DCM4CHEE: config_others.dcm4chee,
    Kind.CONQUEST: config_others.conquest,
    Kind.CONQUEST_MAP: config_others.conquest_map,
    Kind.ORTHANC: lambda text, name, made: config_orthanc.audit(config_orthanc.read(text, name), made),
}

CHECKS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.ORTHANC: config_orthanc.CHECKS,
    Kind.DCMQRSCP: config_others.DCMQRSCP_CHECKS,
    Kind.COMPOSE: config_compose.CHECKS,
    Kind.DCM4CHEE: config_others.DCM4CHEE_CHECKS,
    Kind.CONQUEST: config_others.CONQUEST_CHECKS,
    Kind.CONQUEST_MAP: config_others.CONQUEST_MAP_CHECKS,
}
"""What is looked for in each kind."""


def audit(path: Path, vantage: Vantage = Vantage.INTERNAL) -> Audited:
    """Read a configuration file, or a folder of files that Orthanc reads together.

    Raises
    ------
    BadInput
        When it is none that is known, or broken: with its name and, where there is one, the line.
    Misconfigured
        When it cannot be read.
    """
    if path.is_dir():
        return _folder(path, vantage)
    text = _text(path)
    kind = _kind(text, path)
    made = Audit(vantage)
    _OF_TEXT[kind](text, path.name, made)
    return Audited(path, kind, made.found)


def _folder(path: Path, vantage: Vantage) -> Audited:
    files = sorted(path.glob("*.json"))
    if not files:
        raise BadInput(f"{path.name} is a folder without a .json: name the files themselves.")
    made = Audit(vantage, is_whole=True)
    config_orthanc.audit(config_orthanc.merged(config_orthanc.read(_text(each), each.name) for each in files), made)
    return Audited(path, Kind.ORTHANC, made.found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read ({error.strerror}).") from error
    if len(raw) > _MOST:
        raise BadInput(f"{path.name} is larger than {_MOST >> 20} MB: no configuration file is.")
    return raw.decode("utf-8-sig", "replace")


def _kind(text: str, path: Path) -> Kind:
    is_json = text.lstrip().startswith(("{", "/", "["))
    lines = [line.strip() for line in text.splitlines()[:1_000]]
    signs = (
        (Kind.DCMQRSCP, re.search(r"(?mi)^[ \t]*+(?:HostTable|AETable)\s++BEGIN", text)),
        (Kind.DCM4CHEE, re.search(r"(?mi)^dn:", text) and re.search(r"(?i)dicom(?:Device|Network)", text)),
        (Kind.CONQUEST, re.search(r"(?mi)^[ \t]*+\[sscscp\]", text)),
        (Kind.ORTHANC, is_json and re.search(r'"(?:Dicom|Http|Remote|Registered)\w+"', text)),
        (Kind.COMPOSE, re.search(r"(?m)^services:", text)),
        (Kind.CONQUEST_MAP, any(config_others.MAP_LINE.match(line) for line in lines)),
    )
    for kind, shows in signs:
        if shows:
            return kind
    raise BadInput(
        f"{path.name} is none of: orthanc.json, dcmqrscp.cfg, a compose file, dcm4chee's LDIF, Conquest's dicom.ini "
        "and acrnema.map."
    )


def keep(state: State, scope: SurveyScope, asset: Address, audited: Iterable[Audited]) -> Run:
    """Keep what files of an asset came to as a run of its own, so that its register knows of it.

    Parameters
    ----------
    state : State
        Opened for writing.
    scope : SurveyScope
        Whose; the asset is to be in it, or nobody would look for it there.
    asset : Address
        Of which machine the files are.
    audited : iterable of Audited
        All of its files: what an earlier look at files of the same kinds found and this does not, is gone.

    Raises
    ------
    BadInput
        When the asset is outside the scope.
    """
    if not scope.covers(asset):
        raise BadInput(f"{asset} is outside of the scope: its findings belong into another one.")
    order = list(Severity)
    worst: dict[str, Finding] = {}
    checks: set[str] = set()
    for each in audited:
        checks |= set(CHECKS[each.kind])
        for finding in each.findings:
            kept = replace(finding, address=asset, inferred=True)
            before = worst.get(kept.id)
            if before is None or order.index(before.severity) < order.index(kept.severity):
                worst[kept.id] = kept
    run = state.begin(scope, SOURCE, 1)
    state.makes(run.id, checks)
    state.done(run.id, Outcome(Target(asset, 0), is_open=True, findings=tuple(worst.values())))
    state.end(run.id, stopped=False)
    Register(state).conclude(state.run(run.id), today())
    return state.run(run.id)
