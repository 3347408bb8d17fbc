"""WADO-URI: one instance by the parameters of a query (PS3.18 section 9), for older viewers.

Rule: each parameter is one of the Standard's, is there once and is well-formed,
or the request is refused and told which it was; none is passed over in silence.

Pictures (``image/jpeg`` and the like) are the rendered resource's: see ``rendered``.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from leadglass.dicom.uids import parse_uid
from leadglass.doors.dicomweb.accept import DICOM, NotAcceptable, Wanted, parse_accept
from leadglass.doors.dicomweb.parameters import once
from leadglass.doors.dicomweb.paths import Target, uid_of
from leadglass.doors.dicomweb.pumping import respond
from leadglass.doors.dicomweb.rendered import made
from leadglass.doors.dicomweb.wado import Instances
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Unsupported

PATH: Final = "/wado"
_KNOWN: Final = (
    "requestType",
    "studyUID",
    "seriesUID",
    "objectUID",
    "contentType",
    "charset",
    "anonymize",
    "annotation",
    "rows",
    "columns",
    "region",
    "windowCenter",
    "windowWidth",
    "frameNumber",
    "imageQuality",
    "presentationUID",
    "presentationSeriesUID",
    "transferSyntax",
    "accept",
)
"""PS3.18 section 9.1, and how the Accept header is said in a query."""
_DICOM_ONLY: Final = frozenset({"anonymize", "transferSyntax"})
_COMMON: Final = frozenset({"requestType", "studyUID", "seriesUID", "objectUID", "contentType", "charset", "accept"})

Pictures = Callable[[Asked, Target, str, Mapping[str, str]], Awaitable[Response]]
"""Answers a request for a picture: who asks, of what, the media type, and the parameters."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request, read.

    Parameters
    ----------
    target : Target
        The instance.
    media : str
        The media type wanted: ``application/dicom`` or that of a picture.
    transfer_syntax : str
        The one wanted; empty when none was named.
    picture : mapping of str to str
        Parameters that speak of a picture.
    """

    target: Target
    media: str
    transfer_syntax: str
    picture: Mapping[str, str]


def parse_query(request: Request) -> Query:
    """Read the parameters of a request.

    Raises
    ------
    BadInput
        Naming the parameter that is unknown, missing, given twice or malformed.
    Unsupported
        When de-identification is asked for.
    """
    given = once(request.query_params.multi_items(), _KNOWN)
    if given.get("requestType") != "WADO":
        raise BadInput("The parameter requestType has to be WADO.")
    missing = [name for name in ("studyUID", "seriesUID", "objectUID") if not given.get(name)]
    if missing:
        raise BadInput(f"The parameter {missing[0]} is missing.")
    if "anonymize" in given:
        if given["anonymize"] != "yes":
            raise BadInput("The parameter anonymize can be yes, or be left out.")
        raise Unsupported("De-identified retrieval is not built yet; nothing else is given in its place.")
    target = Target(
        uid_of(given["studyUID"], "Study"), uid_of(given["seriesUID"], "Series"), uid_of(given["objectUID"], "SOP")
    )
    syntax = given.get("transferSyntax", "")
    if syntax:
        try:
            syntax = parse_uid(syntax)
        except BadInput as error:
            raise BadInput(f"The parameter transferSyntax is no UID. {error.message}") from None
    picture = {name: value for name, value in given.items() if name not in _COMMON | _DICOM_ONLY}
    media = _media(given, is_picture=bool(picture))
    if media == DICOM and picture:
        raise BadInput(f"The parameter {next(iter(picture))} is one of pictures, not of {DICOM}.")
    if media != DICOM and syntax:
        raise BadInput(f"The parameter transferSyntax is one of {DICOM}, not of pictures.")
    return Query(target, media, syntax, picture)


def _media(given: Mapping[str, str], *, is_picture: bool) -> str:
    """Give the first media type of ``contentType`` that can be given; a picture where none is named (section 9.1.2)."""
    text = given.get("contentType") or given.get("accept") or ""
    wanted = sorted(parse_accept(text), key=lambda each: -each.q)
    for each in wanted:
        if not each.q:
            continue
        if each.media == DICOM:
            return DICOM
        if each.media.startswith(("image/", "video/")):
            return "image/jpeg" if each.media == "image/*" else each.media
        if each.media in ("*/*", "application/*"):
            return "image/jpeg" if is_picture or not text else DICOM
    raise NotAcceptable(f"The contentType can be {DICOM}, image/jpeg or image/png.")


class WadoUri:
    """The WADO-URI service.

    Parameters
    ----------
    services : Services
        What handlers work with.
    pictures : callable, optional
        Answers requests for pictures.
    """

    def __init__(self, services: Services, pictures: Pictures | None = None) -> None:
        self._services = services
        self._instances = Instances(services)
        self._pictures = pictures

    async def answer(self, asked: Asked) -> Response:
        """Give an instance, or a picture of it."""
        query = parse_query(asked.request)
        if query.media != DICOM:
            if self._pictures is None:
                raise NotAcceptable(f"Pictures are not given here: ask for contentType={DICOM}.")
            return await self._pictures(asked, query.target, query.media, query.picture)
        wanted = [Wanted(DICOM, is_related=False, transfer_syntax=query.transfer_syntax)]
        if query.transfer_syntax:  # what cannot be had in it is given as the default (section 9.1.2.2.1)
            wanted.append(Wanted(DICOM, is_related=False, q=0.5))
        return await respond(self._services.threads, lambda: self._instances.prepare(asked, query.target, wanted))


def routes(services: Services) -> list[Route]:
    """Give the route of WADO-URI."""
    uri = WadoUri(services, made(services).answer_uri)
    return [Route(PATH, ("GET",), uri.answer, summary="One instance by a query, for older viewers.")]
