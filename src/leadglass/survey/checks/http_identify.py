"""Does a web server answer there, and is it one of a PACS, a viewer or a network storage."""

import ssl
from collections.abc import Mapping
from typing import Final

from leadglass.survey.check import Check, Http, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech.http import NotHttp, Response, Talk, page
from leadglass.survey.speech.web_products import Kind, Product, web_product


async def run(visit: Visit) -> None:
    """Ask for the first page, in the clear and in TLS, until a web server answers."""
    for in_tls in _ORDER[visit.known.speaks_tls]:
        try:
            response, product = await _look(visit, in_tls=in_tls)
        except Unreachable:
            return
        except (Closed, NotHttp, ssl.SSLError, OSError):
            continue
        if response.status == 400 and not in_tls:
            continue  # what web servers say to plain HTTP on a port for TLS
        _learned(visit, response, product, in_tls=in_tls)
        return


_ORDER: Final[Mapping[bool | None, tuple[bool, ...]]] = {True: (True, False), False: (False,), None: (False, True)}
"""In TLS first or in the clear, by whether TLS is known to be spoken."""


async def _look(visit: Visit, *, in_tls: bool) -> tuple[Response, Product | None]:
    async with Talk(visit, in_tls=in_tls) as talk:
        response = await talk.ask("GET", "/")
        visit.known.is_open = True
        product = web_product(response)
        if product is None and response.is_redirect:
            response, _ = await talk.follow("/", act="GET /")
            product = web_product(response)
        return response, product


def _learned(visit: Visit, response: Response, product: Product | None, *, in_tls: bool) -> None:
    asks = response.status == 401 or page(response).sign_in is not None
    visit.known.http = Http(
        in_tls=in_tls, status=response.status, product=product.name if product else "", asks_credentials=asks
    )
    visit.known.service = visit.known.service or "http"
    if product is None:
        return
    proof: dict[str, str | int] = {"product": product.name, "by": product.by, "status": response.status}
    if product.kind is Kind.VIEWER and not asks:
        title = "A viewer's page is given to anybody, without a login."
    elif asks:
        title = f"The web page of {_A[product.kind]} answers here, and asks who one is."
    else:
        title = f"The web page of {_A[product.kind]} answers here."
    visit.report(
        Exposure.E1,
        proof,
        title=title,
        in_tls=in_tls,
        not_tested=("Whether the page leads to images: nothing was opened.",),
    )


_A = {Kind.ARCHIVE: "an archive", Kind.VIEWER: "a viewer", Kind.SHARE: "a network storage"}


def _applies(known: Known, _port: int) -> bool:
    return known.is_open is not False and known.dicom is None and known.http is None and not known.service


CHECK = Check(
    id="http-identify",
    title="The web page of an archive, a viewer or a network storage answers here.",
    level=Level.IDENTIFY,
    sends="GET / in the clear, then in TLS, and the page of the same server it sends on to.",
    fixes=("web-require-login", "firewall-web"),
    controls=("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.AA-05", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
