"""Does Orthanc's REST API answer without credentials: then all of it does."""

import json
import re
from typing import Final, cast

from leadglass.survey.check import Check, Http, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.http import Response, Talk

ROOTS: Final = ("", "/orthanc")
"""Where it lies by itself, and behind a proxy as its handbook shows it."""

_VERSION: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}")


async def run(visit: Visit) -> None:
    """Ask for ``/system``."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        for root in roots(known):
            said = table(await talk.ask("GET", f"{root}/system"))
            if not {"ApiVersion", "DatabaseVersion", "DicomPort"} <= said.keys():
                continue
            known.product = "Orthanc"
            version = said.get("Version")
            if isinstance(version, str) and _VERSION.fullmatch(version):
                known.version = version
            visit.report(
                Exposure.E4,
                {"path": f"{root}/system", "status": 200, "version": known.version or "unknown"},
                in_tls=known.in_tls,
                not_tested=("Whether there are studies; nothing else was asked.", "Nothing was written or deleted."),
            )
            return


def roots(known: Http) -> tuple[str, ...]:
    """Give where the REST API may lie: the usual places, and beside the DICOMweb that answered."""
    beside = (root.rpartition("/")[0] for root in known.roots)
    return tuple(dict.fromkeys((*ROOTS, *beside)))


def table(response: Response) -> dict[str, object]:
    """Read a JSON object; an empty one where it is none."""
    if response.status != 200:
        return {}
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", said) if isinstance(said, dict) else {}


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None and known.http.product in {"", "Orthanc", "Stone Web viewer", "OHIF"}


CHECK = Check(
    id="orthanc-rest",
    title="Orthanc's REST API answers anybody: studies can be read, changed and deleted.",
    level=Level.PROVE,
    sends="GET /system and GET /orthanc/system, and GET system beside the DICOMweb that answered.",
    fixes=("web-require-login", "firewall-web"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
