"""Web products: what realms, titles and addresses of web pages are known to belong to.

Rule: a name is given only where this table has it, and it is ours; what a page says
goes nowhere.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.survey.speech.http import Response, page, realm


class Kind(StrEnum):
    """What a product is for."""

    ARCHIVE = "archive"
    VIEWER = "viewer"
    SHARE = "network storage"


@dataclass(frozen=True, slots=True)
class Product:
    """A product that a page shows.

    Parameters
    ----------
    name : str
        What it is called.
    kind : Kind
        What it is for.
    by : str
        What showed it: ``realm``, ``title``, ``redirect``, ``page``.
    """

    name: str
    kind: Kind
    by: str


@dataclass(frozen=True, slots=True)
class _Sign:
    name: str
    kind: Kind
    by: str
    pattern: re.Pattern[str]


def _sign(name: str, kind: Kind, by: str, pattern: str) -> _Sign:
    return _Sign(name, kind, by, re.compile(pattern, re.IGNORECASE))


_SIGNS: Final = (
    _sign("Orthanc", Kind.ARCHIVE, "realm", r"\AOrthanc Secure Area\Z"),
    _sign("Orthanc", Kind.ARCHIVE, "redirect", r"(?:app/explorer\.html|ui/app/?)\Z"),
    _sign("Orthanc", Kind.ARCHIVE, "title", r"\A\s*Orthanc (?:Explorer|Server)"),
    _sign("dcm4chee", Kind.ARCHIVE, "redirect", r"/dcm4chee-(?:arc|web3?)\b"),
    _sign("dcm4chee", Kind.ARCHIVE, "title", r"\A\s*dcm4chee"),
    _sign("dcm4chee", Kind.ARCHIVE, "page", r"/dcm4chee-(?:arc|web3?)/"),
    _sign("Dicoogle", Kind.ARCHIVE, "title", r"\A\s*Dicoogle"),
    _sign("XNAT", Kind.ARCHIVE, "title", r"\A\s*XNAT\b"),
    _sign("XNAT", Kind.ARCHIVE, "redirect", r"/app/template/Login\.vm"),
    _sign("Conquest", Kind.ARCHIVE, "title", r"Conquest DICOM"),
    _sign("Conquest", Kind.ARCHIVE, "page", r"cgi-bin/dgate(?:\.exe)?\?mode="),
    _sign("Leadglass", Kind.ARCHIVE, "title", r"Leadglass\s*\Z"),
    _sign("OHIF", Kind.VIEWER, "title", r"\A\s*OHIF Viewer|Open Health Imaging Foundation"),
    _sign("Oviyam", Kind.VIEWER, "title", r"\A\s*Oviyam"),
    _sign("Weasis", Kind.VIEWER, "title", r"\A\s*Weasis"),
    _sign("MedDream", Kind.VIEWER, "title", r"\A\s*MedDream"),
    _sign("DWV", Kind.VIEWER, "title", r"DICOM Web Viewer"),
    _sign("Stone Web viewer", Kind.VIEWER, "title", r"Stone Web viewer"),
    _sign("ClearCanvas", Kind.VIEWER, "title", r"ClearCanvas ImageServer"),
    _sign("Synology", Kind.SHARE, "title", r"Synology"),
    _sign("Synology", Kind.SHARE, "page", r"/webman/(?:index\.cgi|3rdparty|login)"),
    _sign("QNAP", Kind.SHARE, "title", r"\A\s*(?:QNAP|QTS\b|Welcome to QNAP)"),
    _sign("QNAP", Kind.SHARE, "page", r"/cgi-bin/(?:QTS\.cgi|html/login\.html)"),
    _sign("ReadyNAS", Kind.SHARE, "realm", r"\AReadyNAS"),
    _sign("My Cloud", Kind.SHARE, "title", r"\A\s*(?:WD )?My Cloud"),
    _sign("TrueNAS", Kind.SHARE, "title", r"\A\s*(?:True|Free)NAS"),
    _sign("LinkStation", Kind.SHARE, "title", r"LinkStation|TeraStation"),
    _sign("ASUSTOR", Kind.SHARE, "title", r"ASUSTOR"),
)
"""What the products' own pages and handbooks show. A sign proves a name, and nothing more."""


def web_product(response: Response) -> Product | None:
    """Give the product that an answer shows."""
    seen = {
        "realm": realm(response),
        "redirect": response.header("location") if response.is_redirect else "",
        "title": page(response).title,
        "page": response.text if response.media_type in {"text/html", ""} else "",
    }
    for sign in _SIGNS:
        if seen[sign.by] and sign.pattern.search(seen[sign.by]):
            return Product(sign.name, sign.kind, sign.by)
    return None
