"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6).

Rule 1. A search works in slices, in a thread, and only a few work at one time:
the others wait without a thread. One that works long without a match is ended.
Rule 2. Who asked and went away is not worked for. Rule 3. The query string is
nobody's to keep: it is in no log and in no message. Rule 4. What is gathered is
bounded by bytes: an answer that would be longer ends as a page does, and says
that there is more; all answers together have a budget.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from leadglass.archive.braking import Found
from leadglass.dicom import tags
from leadglass.dicom.levels import Level
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.native_xml import write_native
from leadglass.doors.budget import Budget, Room
from leadglass.doors.dicomweb.accept import DICOM_JSON, DICOM_XML, JSON, Offer, accept_of, choose
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import ROOT, SERIES, STUDY, service_url, uid_of
from leadglass.doors.dicomweb.qido_query import Search, parse
from leadglass.doors.turns import Turns
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.doors.web.stream import Stream
from leadglass.errors import Busy
from leadglass.policy.caller import Caller

_OFFERS: Final = (
    Offer(DICOM_JSON, is_related=False),
    Offer(JSON, is_related=False),
    Offer(DICOM_XML, is_related=True),
)
_LITERAL: Final = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
"""The words of PS3.18 8.3.4.2."""

_PIECE: Final = 256 << 10
"""Bytes of an answer that are sent at once; one that is shorter is sent whole."""

_STUDY_UID: Final = tags.key(tags.StudyInstanceUID)
_SERIES_UID: Final = tags.key(tags.SeriesInstanceUID)
_INSTANCE_UID: Final = tags.key(tags.SOPInstanceUID)
_RETRIEVE_URL: Final = tags.key(tags.RetrieveURL)
_CHARSET: Final = tags.key(tags.SpecificCharacterSet)

_FIXED: Final = {"study": (_STUDY_UID, "Study"), "series": (_SERIES_UID, "Series")}
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class SearchPace:
    """How much a search may do before others get their turn, and before it is ended; seconds and bytes."""

    at_once: int = 4
    answer: int = 32 << 20
    """Of one answer: 5,000 instances with all that is known of each have some 20 MB."""
    answers: int = 192 << 20
    """Of all together."""
    of_one: int = 96 << 20
    """Of one caller."""
    slice: float = 0.25
    patience: float = 120.0


@dataclass(slots=True)
class _Work:
    """One search under way."""

    caller: Caller
    search: Search
    level: Level
    base: str
    written: Callable[[Attributes], bytes]
    """Writes an answer: thousands, with hundreds of attributes each, are small as bytes and large as objects."""
    room: Room
    """Counts what was gathered."""
    answers: list[bytes] = field(default_factory=list[bytes])
    found: Found | None = None
    fruitless: float = 0.0
    further: int = 0
    """Matches that were found and are not in the answer, because it is long enough."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Whether it was the last, and seconds to wait before the next."""

    is_last: bool
    delay: float


class Qido:
    """The search transaction.

    Parameters
    ----------
    services : Services
        What handlers work with.
    pace : SearchPace
        How much a search may do.
    """

    def __init__(self, services: Services, pace: SearchPace | None = None) -> None:
        self._services = services
        self._pace = pace or SearchPace()
        together = max(2, self._pace.at_once)
        self._turns = Turns[str](together=together, of_one=together - 1)
        self._budget = Budget(self._pace.answers, self._pace.of_one)

    async def studies(self, asked: Asked) -> Response:
        """Search for studies."""
        return await self._answer(asked, Level.STUDY)

    async def series(self, asked: Asked) -> Response:
        """Search for series."""
        return await self._answer(asked, Level.SERIES)

    async def instances(self, asked: Asked) -> Response:
        """Search for instances."""
        return await self._answer(asked, Level.IMAGE)

    async def _answer(self, asked: Asked, level: Level) -> Response:
        request = asked.request
        fixed: Attributes = {
            tag: {"vr": "UI", "Value": [str(uid_of(request.path_params[name], said))]}
            for name, (tag, said) in _FIXED.items()
            if name in request.path_params
        }
        search = parse(request.scope.get("query_string", b""), level, fixed)
        offer = choose(accept_of(request), _OFFERS)
        written = write_native if offer.media == DICOM_XML else _ENCODER.encode
        room = self._budget.answer(str(asked.caller))
        work = _Work(asked.caller, search, level, service_url(request), written, room)
        try:
            await self._gather(work, request)
            headers: list[str] = []
            remaining = work.further + (work.found.remaining if work.found is not None else 0)
            if remaining:
                headers.append(f"299 {work.base}: There are {remaining} additional results that can be requested")
            if search.is_literal:
                headers.append(f"299 {work.base}: {_LITERAL}")
            response = _response(work.answers, offer, room)
        except BaseException:
            work.answers.clear()
            work.found = None
            room.close()
            raise
        for text in headers:
            response.headers.append("Warning", text)
        return response

    async def _gather(self, work: _Work, request: Request) -> None:
        threads, who = self._services.threads, str(work.caller)
        while True:
            async with self._turns.take(who):
                step = await threads.run(self._step, work)
            if step.is_last:
                return
            if step.delay:
                await asyncio.sleep(step.delay)
            if await request.is_disconnected():
                raise Busy("Nobody waits for the answer.")

    def _step(self, work: _Work) -> _Step:
        """Work for a slice, in a thread."""
        began = since = monotonic()
        if work.found is None:
            work.found = self._services.archive.find(work.caller, work.search.query, work.search.window)
        for match in work.found:
            if match:
                answer = work.written(_dressed(match, work))
                if work.answers and work.room.octets + len(answer) > self._pace.answer:
                    work.further = 1
                    return _Step(is_last=True, delay=0.0)
                try:
                    work.room.add(len(answer))
                except Busy:
                    del match, answer  # an exception holds what its frames do until it is collected itself
                    raise
                work.answers.append(answer)
                del answer
                work.fruitless, since = 0.0, monotonic()
                now = since
            else:
                now = monotonic()
                if work.fruitless + now - since > self._pace.patience:
                    raise Busy("The search takes too long without a match. Ask for less.")
            if now - began >= self._pace.slice:
                work.fruitless += now - since
                return _Step(is_last=False, delay=work.found.take_delay())
        return _Step(is_last=True, delay=0.0)


def _dressed(match: Attributes, work: _Work) -> Attributes:
    """Give a match as it is answered: without what is not known, with where it can be retrieved."""
    answer = {
        tag: element if element["vr"] != "SQ" else _clean(element)
        for tag, element in match.items()
        if "Value" in element or "InlineBinary" in element or tag not in work.search.if_known
    }
    url = f"{work.base}/studies/{_uid(match, _STUDY_UID)}"
    if work.level is not Level.STUDY:
        url += f"/series/{_uid(match, _SERIES_UID)}"
    if work.level is Level.IMAGE:
        url += f"/instances/{_uid(match, _INSTANCE_UID)}"
    answer[_RETRIEVE_URL] = {"vr": "UR", "Value": [url]}
    answer[_CHARSET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # of the answer (PS3.18 F.2)
    return dict(sorted(answer.items()))


def _uid(match: Attributes, tag: str) -> str:
    values = match.get(tag, JsonElement(vr="UI")).get("Value", [""])
    return str(values[0])


def _clean(sequence: JsonElement) -> JsonElement:
    """Give a sequence without the values that were left in the data set."""
    items = [
        {
            tag: _clean(element)
            if element["vr"] == "SQ"
            else JsonElement(vr=element["vr"])
            if "BulkDataURI" in element
            else element
            for tag, element in item.items()
        }
        for item in cast("list[Attributes]", sequence.get("Value", []))
        if item
    ]
    return JsonElement(vr="SQ", Value=items) if items else JsonElement(vr="SQ")


def _response(answers: list[bytes], offer: Offer, room: Room) -> Response:
    """Give answers as JSON, an empty list where there are none (PS3.18 8.3.4.4.1), or as parts of XML."""
    if offer.media != DICOM_XML:
        media, first, between, last = offer.media, b"[", b",", b"]"
    else:
        writer = MultipartWriter(DICOM_XML)
        first = between = b""
        media = writer.content_type
        for index, answer in enumerate(answers):
            answers[index] = writer.part({"Content-Type": DICOM_XML}) + answer
        last = writer.end()
    if room.octets <= _PIECE:
        body = first + between.join(answers) + last
        room.close()
        return Response(body, headers={"Content-Type": media})
    length = len(first) + sum(map(len, answers)) + len(between) * (len(answers) - 1) + len(last)
    headers = {"Content-Type": media, "Content-Length": str(length)}
    return Stream(_pieces(answers, first, between, last), room.close, headers)


async def _pieces(answers: list[bytes], first: bytes, between: bytes, last: bytes) -> AsyncGenerator[bytes]:
    """Put answers together, some at a time; those that were sent are let go of."""
    answers.reverse()
    parts, size = [first], 0
    while answers:
        parts.append(answers.pop())
        size += len(parts[-1])
        parts.append(between if answers else last)
        if size >= _PIECE or not answers:
            text = b"".join(parts)
            parts, size = list[bytes](), 0
            for start in range(0, len(text), _PIECE):
                yield text[start : start + _PIECE]


def routes(services: Services) -> list[Route]:
    """Give the routes of the search transaction (PS3.18 table 10.6.1-1)."""
    qido = Qido(services)
    return [
        Route(f"{ROOT}/studies", ("GET",), qido.studies, summary="Search for studies"),
        Route(f"{ROOT}/series", ("GET",), qido.series, summary="Search for series"),
        Route(f"{ROOT}/instances", ("GET",), qido.instances, summary="Search for instances"),
        Route(f"{STUDY}/series", ("GET",), qido.series, summary="Search for series of a study"),
        Route(f"{STUDY}/instances", ("GET",), qido.instances, summary="Search for instances of a study"),
        Route(f"{SERIES}/instances", ("GET",), qido.instances, summary="Search for instances of a series"),
        Route(
            f"{ROOT}/series/{{series}}/instances",
            ("GET",),
            qido.instances,
            summary="Search for instances of a series, whatever its study",
        ),
    ]
