"""STOW-RS: the Store transaction (PS3.18 section 10.5).

Rule 1. The answer is sent after all is decided; what it calls stored is on stable
storage. Rule 2. A body is taken block by block; how large it is does not tell how
much memory it takes. Rule 3. What is not a request of the Standard is refused before
anything of it is read, where the header already tells, and else at the first byte
that is wrong, with what was wrong and where.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from leadglass.archive.archive import Archive
from leadglass.dicom.json_reader import ModelLimits
from leadglass.dicom.native_xml import write_native
from leadglass.doors.dicomweb.accept import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    RELATED,
    NotAcceptable,
    Offer,
    accept_of,
    choose,
)
from leadglass.doors.dicomweb.multipart import (
    Malformed,
    MultipartLimits,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
    PartEvent,
    TooManyParts,
    boundary_of,
    parse_content_type,
)
from leadglass.doors.dicomweb.paths import ROOT, STUDY, service_url, uid_of
from leadglass.doors.dicomweb.stow_intake import Courier, Files, Sink
from leadglass.doors.dicomweb.stow_models import Drafts, Models
from leadglass.doors.dicomweb.stow_response import response_module, status_of
from leadglass.doors.dicomweb.stow_share import Share
from leadglass.doors.threads import Threads
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput
from leadglass.policy.caller import Caller

MOST_BYTES: Final = 1 << 40
"""Bytes of one request. Each instance has a limit of its own, and the disk has one; this one is for counters."""
_OFFERS: Final = (
    Offer(DICOM_JSON, is_related=False),
    Offer(DICOM_XML, is_related=False),
    Offer(JSON, is_related=False),
)
_READINGS: Final = 1
"""Requests whose metadata is taken apart at one time: one may take some 200 MB for it, real ones take some MB."""
_TYPES: Final = frozenset({DICOM, DICOM_JSON, DICOM_XML})
_WANTED: Final = (
    f'Send {RELATED}; type="{DICOM}"; boundary=…, or with type "{DICOM_JSON}" or "{DICOM_XML}" '
    f"(PS3.18 section 10.5.1); one file alone as {DICOM}."
)


@dataclass(frozen=True, slots=True)
class _Payload:
    """What a request's header says of its body."""

    media_type: str
    """Of the parts; of the whole where it is one part."""
    boundary: str
    """Empty where it is one part."""


class Stow:
    """Answers the Store transaction.

    Parameters
    ----------
    archive : Archive
        Where to store.
    threads : Threads
        Where that is called.
    limits : MultipartLimits
        What a body may cost to take apart.
    """

    def __init__(self, archive: Archive, threads: Threads, limits: MultipartLimits | None = None) -> None:
        self._archive = archive
        self._threads = threads
        self._limits = limits or MultipartLimits()
        self._share = Share()
        self._reading = asyncio.Semaphore(_READINGS)

    async def store(self, asked: Asked) -> Response:
        """Store the instances of one request."""
        request = asked.request
        study_uid = _study_of(request)
        offer = _offer_of(request)
        payload = _payload_of(request)
        with self._share.request(str(asked.caller)):
            courier = Courier(self._archive, asked.caller, study_uid)
            await self._threads.run(courier.ask)
            sink = self._sink(asked.caller, courier, payload.media_type)
            try:
                await self._pour(request, payload, sink)
                outcomes = await sink.close()
            except (Malformed, TooManyParts) as error:
                await sink.abandon()
                raise _broken(error, sink.stored) from None
            except BaseException:
                await sink.abandon()
                raise
        module = response_module(outcomes, service_url(request), study_uid)
        written = write_native(module) if offer.media == DICOM_XML else msgspec.json.encode(module)
        return Response(written, status_of(outcomes), media_type=offer.media)

    def _sink(self, caller: Caller, courier: Courier, media_type: str) -> Sink:
        if media_type == DICOM:
            return Files(courier, self._threads, self._share, media_type)
        drafts = Drafts(self._archive, caller)
        return Models(drafts, courier, self._threads, self._share, media_type, self._reading, ModelLimits())

    async def _pour(self, request: Request, payload: _Payload, sink: Sink) -> None:
        """Read the body into the sink."""
        if not payload.boundary:
            await sink.begin({})
            async for block in request.stream():
                if block:
                    await sink.take(block)
            await sink.end()
            return
        reader = MultipartReader(payload.boundary, self._limits)
        async for block in request.stream():
            if block:
                await _hand(reader.feed(block), sink)
        await _hand(reader.finish(), sink)
        if not reader.parts:
            raise Malformed("The multipart body has no parts.")


async def _hand(events: Iterable[PartEvent], sink: Sink) -> None:
    for event in events:
        match event:
            case PartData(data):
                await sink.take(data)
            case PartBegins(headers):
                await sink.begin(headers)
            case PartEnds():
                await sink.end()


def _broken(error: BadInput, stored: int) -> HttpFault:
    """Say what was wrong with a body, and what came of it all the same."""
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if isinstance(error, TooManyParts) else HTTPStatus.BAD_REQUEST
    rest = "Nothing of the request is stored."
    if stored:
        rest = f"{stored:,} instances before it are stored; sending them again does no harm."
    return HttpFault(status, f"{error.message} {rest}")


def _study_of(request: Request) -> str:
    """Give the study that a request is for; empty when it is for none."""
    text: str | None = request.path_params.get("study")
    return "" if text is None else uid_of(text, "Study")


def _offer_of(request: Request) -> Offer:
    """Choose how to answer, before anything is stored."""
    wanted = accept_of(request)
    try:
        return choose(wanted, _OFFERS)
    except NotAcceptable as error:
        raise HttpFault(HTTPStatus.NOT_ACCEPTABLE, error.message) from None


def _payload_of(request: Request) -> _Payload:
    """Read what the header says of the body, and refuse what cannot be taken."""
    headers = request.headers
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise HttpFault(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "A body with a Content-Encoding is not taken: a few bytes may stand for any number. Send it as it is.",
            {"Accept-Encoding": "identity"},
        )
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise HttpFault(HTTPStatus.LENGTH_REQUIRED, "The request says neither Content-Length nor Transfer-Encoding.")
    if headers.get("content-length") == "0":
        raise BadInput(f"The request has no body. {_WANTED}")
    if len(headers.getlist("content-type")) != 1:
        raise HttpFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The request needs one Content-Type. {_WANTED}")
    said = parse_content_type(headers["content-type"])
    if said.name in _TYPES:
        return _Payload(said.name, "")
    media_type = said.parameters.get("type", DICOM).partition(";")[0].strip().lower()
    if said.name != RELATED or media_type not in _TYPES:
        raise HttpFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body's media type is not taken. {_WANTED}")
    return _Payload(media_type, boundary_of(said))


def routes(services: Services) -> list[Route]:
    """Give the routes of the Store transaction (PS3.18 Table 10.5.1-1)."""
    stow = Stow(services.archive, services.threads)
    return [
        Route(
            f"{ROOT}/studies",
            ("POST",),
            stow.store,
            summary="Store instances of any studies (STOW-RS, PS3.18 10.5).",
            body_bytes=MOST_BYTES,
        ),
        Route(
            STUDY,
            ("POST",),
            stow.store,
            summary="Store instances of one study (STOW-RS, PS3.18 10.5).",
            body_bytes=MOST_BYTES,
        ),
    ]
