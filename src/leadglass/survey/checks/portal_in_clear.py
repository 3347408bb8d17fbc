"""Is a password asked for over plain HTTP: then whoever listens has it."""

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.http import Talk, page


async def run(visit: Visit) -> None:
    """Look at the first page, and where it sends on to on the same endpoint."""
    known = visit.known.http
    if known is None:
        return
    async with Talk(visit, in_tls=False) as talk:
        response, _ = await talk.follow("/", act="GET /")
    by_header = response.status == 401 and response.header("www-authenticate").lower().startswith(("basic", "digest"))
    if not by_header and page(response).sign_in is None:
        return
    known.asks_credentials = True
    visit.report(
        Exposure.E1,
        {"asks by": "HTTP authentication" if by_header else "a form", "product": known.product or "unknown"},
        password_in_clear=True,
        not_tested=("No password was sent.",),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.http is not None and not known.http.in_tls


CHECK = Check(
    id="portal-in-clear",
    title="Passwords are asked for over plain HTTP: whoever listens on the network has them.",
    level=Level.IDENTIFY,
    sends="GET / and the page of the same server it sends on to.",
    fixes=("web-require-tls",),
    controls=("PS3.15 B.12", "HIPAA 164.312(e)(1)", "GDPR 32(1)(a)", "NIST CSF PR.DS-02", "IEC 80001-2-2 TXCF"),
    applies=_applies,
    run=run,
)
