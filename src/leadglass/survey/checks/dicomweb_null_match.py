"""Does DICOMweb answer strangers: a study asked for that nobody has (PS3.18 10.6)."""

from typing import Final
from uuid import uuid4

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.dicom import random_uid
from leadglass.survey.speech.http import Response, Talk

ROOTS: Final = (
    "/dicom-web",
    "/dicomweb",
    "/dcm4chee-arc/aets/DCM4CHEE/rs",
    "/orthanc/dicom-web",
    "/pacs/dicom-web",
    "/api/dicom-web",
    "/api/dicomweb",
    "/dicom",
    "/wado-rs",
    "/qido-rs",
    "/rs",
    "",
)
"""Where DICOMweb usually lies."""

_JSON: Final = "application/dicom+json"
_PEEKED: Final = 16
"""Bytes that are read of an answer: enough to see whether the list is empty, and nothing of what is in it."""


async def run(visit: Visit) -> None:
    """Ask below each usual root, until one answers."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=known.in_tls) as talk:
        turned_away = 0
        for root in ROOTS:
            answer = await _query(talk, root)
            if answer.status in {401, 403} or answer.is_redirect:
                turned_away += answer.status in {401, 403}
                continue
            rung = _rung(answer)
            if rung is None or await _is_said_to_anything(talk, answer):
                continue
            known.roots = (*known.roots, root)
            offered = await _offered(talk, root)
            gave = rung is Exposure.E5
            visit.report(
                rung if gave else Exposure.E4 if offered else Exposure.E3,
                {"root": root or "/", "status": answer.status, "offers": ", ".join(offered) or "queries"}
                | ({"gave records": "yes, dropped unread"} if gave else {}),
                title="DICOMweb answers anybody, and offers them images to read or to store."
                if offered
                else CHECK.title,
                in_tls=known.in_tls,
                not_tested=("Nothing was retrieved and nothing was stored: what is offered was asked by OPTIONS.",),
            )
            return


async def _query(talk: Talk, root: str) -> Response:
    return await talk.ask(
        "GET",
        f"{root}/studies?StudyInstanceUID={random_uid()}&limit=1",
        act=f"GET {root}/studies that nothing matches",
        headers={"Accept": _JSON},
        most=_PEEKED,
    )


def _rung(answer: Response) -> Exposure | None:
    """Say what an answer to a query proves; None: nothing, any web server could have said that."""
    if answer.status == 204:
        return Exposure.E3
    if answer.status != 200:
        return None
    begin = b"".join(answer.body.split())
    if answer.media_type in {_JSON, "application/json"} and begin == b"[]":
        return Exposure.E3
    if answer.media_type == _JSON and begin.startswith(b"[{"):
        return Exposure.E5  # the key was ignored: there are records, and they were given
    if answer.media_type == "multipart/related" and not begin:
        return Exposure.E3
    return None


async def _is_said_to_anything(talk: Talk, answer: Response) -> bool:
    """Say whether the server answers like that wherever one asks: then it proves nothing."""
    other = await talk.ask(
        "GET",
        f"/{uuid4()}/studies?limit=1",
        act="GET of an address that nobody has",
        headers={"Accept": _JSON},
        most=_PEEKED,
    )
    return other.status == answer.status and other.media_type == answer.media_type


async def _offered(talk: Talk, root: str) -> tuple[str, ...]:
    """Ask what is offered of STOW-RS and WADO-RS."""
    asked = (("STOW-RS", f"{root}/studies", "POST"), ("WADO-RS", f"{root}/studies/{random_uid()}", "GET"))
    found: list[str] = []
    for name, path, method in asked:
        answer = await talk.ask("OPTIONS", path, act=f"OPTIONS {root}/studies", most=0)
        allowed = answer.header("allow") + "," + answer.header("access-control-allow-methods")
        if answer.status in {200, 204} and method in {each.strip().upper() for each in allowed.split(",")}:
            found.append(name)
    return tuple(found)


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None


CHECK = Check(
    id="dicomweb-null-match",
    title="DICOMweb answers anybody's questions.",
    level=Level.PROVE,
    sends="A query below each usual root for a StudyInstanceUID that nothing has; OPTIONS below the one that answers.",
    fixes=("web-require-login", "firewall-web"),
    controls=("PS3.15 B.12", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
