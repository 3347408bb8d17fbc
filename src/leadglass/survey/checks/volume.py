"""How much is there, where Orthanc says it to anybody: two numbers, told as orders of magnitude."""

from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.checks.orthanc_rest import roots, table
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.http import Talk

_MOST: Final = 10**9
"""What is more than any archive holds."""


def bucket(count: int) -> str:
    """Give the order of magnitude of a count: ``none``, ``1-9``, ``10-99`` and so on."""
    if count <= 0:
        return "none"
    if count >= _MOST:
        return f"{_MOST} or more"
    least = 10 ** (len(str(count)) - 1)
    return f"{least}-{10 * least - 1}"


async def run(visit: Visit) -> None:
    """Ask for ``/statistics``."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        for root in roots(known):
            said = table(await talk.ask("GET", f"{root}/statistics"))
            studies, images = said.get("CountStudies"), said.get("CountInstances")
            if type(studies) is not int or type(images) is not int:  # true is no number
                continue
            visit.report(
                Exposure.E5 if studies > 0 else Exposure.E4,
                {"studies": bucket(studies), "images": bucket(images)},
                title=CHECK.title if studies > 0 else "Orthanc says to anybody how much it holds: nothing yet.",
                in_tls=known.in_tls,
                not_tested=("No study was opened.",),
            )
            return


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None and known.http.product == "Orthanc" and not known.http.asks_credentials


CHECK = Check(
    id="volume-orthanc",
    title="Studies lie open to anybody.",
    level=Level.OPT_IN,
    sends="GET /statistics, where Orthanc answers without credentials.",
    fixes=("web-require-login", "firewall-web"),
    controls=("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.DS-01", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
