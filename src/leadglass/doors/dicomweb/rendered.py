"""Rendered resources (PS3.18 section 10.4.1.1.3): pictures of a study, a series, an instance, single frames.

Rule 1. Only the frames that are shown are read. Rule 2. A picture that stands for
several says of which one it is (Content-Location). Rule 3. What is drawn is what
the caller may see. Rule 4. Who asks for many pictures does not keep others waiting.

With ``multipart/related`` every picture is given; with a single part the
representative one (``representative``), or as ``image/gif`` the cine of an
instance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.render_model import PictureFormat
from leadglass.doors.dicomweb.accept import NotAcceptable, Offer, Wanted, accept_of, choose
from leadglass.doors.dicomweb.documents import PDF, document_of
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.frames import parse_frames
from leadglass.doors.dicomweb.locating import locate, require_frames
from leadglass.doors.dicomweb.multipart import MultipartWriter
from leadglass.doors.dicomweb.paths import INSTANCE, SERIES, STUDY, Target, instance_path, service_url, target_of
from leadglass.doors.dicomweb.pictures import NOT_SHOWN, Pictures, tag_of, unchanged
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, nothing, respond
from leadglass.doors.dicomweb.rendered_query import RenderQuery, parse_rendered, parse_uri
from leadglass.doors.dicomweb.representative import representative, representative_frame
from leadglass.doors.web.problem import MEDIA_TYPE, HttpFault, problem_of
from leadglass.doors.web.routes import Asked, Route, Services

_MOST_PARTS: Final = 2000
"""Pictures in one answer."""
_FORMATS: Final = tuple(PictureFormat)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, read."""

    asked: Asked
    target: Target
    frames: tuple[int, ...]
    query: RenderQuery
    wanted: Sequence[Wanted]
    base: str
    known_tags: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """One picture to make: of some frames of an instance, and where it can be asked for."""

    record: InstanceRecord
    frames: tuple[int, ...]
    location: str


class Rendered:
    """The rendered resources.

    Parameters
    ----------
    services : Services
        What handlers work with.
    pictures : Pictures
        Makes pictures of what was located.
    threads : FairThreads
        Where they are made.
    """

    def __init__(self, services: Services, pictures: Pictures, threads: FairThreads) -> None:
        self._archive = services.archive
        self._pictures = pictures
        self._threads = threads

    async def answer(self, asked: Asked) -> Response:
        """Give pictures."""
        request = asked.request
        query = parse_rendered(request.query_params.multi_items())
        frames = request.path_params.get("frames")
        read = _Request(
            asked=asked,
            target=target_of(request),
            frames=tuple(parse_frames(frames)) if frames is not None else (),
            query=query,
            wanted=accept_of(request),
            base=service_url(request),
            known_tags=request.headers.get("if-none-match", ""),
        )
        return await respond(self._threads.of(str(asked.caller)), lambda: self._prepare(read))

    async def answer_uri(self, asked: Asked, target: Target, media: str, given: Mapping[str, str]) -> Response:
        """Give the picture that WADO-URI asks for: always a single part."""
        query, frame = parse_uri(given)
        read = _Request(
            asked=asked,
            target=target,
            frames=(frame,) if frame is not None else (),
            query=query,
            wanted=(Wanted(media, is_related=False),),
            base=service_url(asked.request),
            known_tags=asked.request.headers.get("if-none-match", ""),
        )
        return await respond(self._threads.of(str(asked.caller)), lambda: self._prepare(read))

    # --- what is given --------------------------------------------------------

    def _prepare(self, read: _Request) -> Prepared:
        """Decide what is given and how (blocking)."""
        target = read.target
        retrieval = locate(self._archive, read.asked.caller, target, drawn=True)
        if not target.instance:
            return self._of_many(read, retrieval)
        record = retrieval.records[0]
        seen = self._pictures.looking.at(retrieval, record)
        table = seen.table
        if read.frames:
            require_frames(read.frames, table.number_of_frames if table is not None else 0)
            return self._of_frames(read, retrieval, record, read.frames)
        if not seen.is_image:
            return document_of(retrieval, record, retrieval.metadata(record), read.wanted)
        if table is None:
            raise HttpFault(NOT_SHOWN, "The frames of the pixel data cannot be told apart: it cannot be rendered.")
        return self._of_instance(read, retrieval, record, table.number_of_frames)

    def _of_frames(
        self, read: _Request, retrieval: Retrieval, record: InstanceRecord, frames: tuple[int, ...]
    ) -> Prepared:
        singles = _FORMATS if len(frames) == 1 else (PictureFormat.GIF,)
        related = [Offer(each.value, is_related=True) for each in _FORMATS]
        alone = [Offer(each.value, is_related=False) for each in singles]
        offer = choose(read.wanted, [*alone, *related] if len(frames) == 1 else [*related, *alone])
        if not offer.is_related:
            return self._single(read, retrieval, _Shown(record, frames, ""), offer)
        shown = [_Shown(record, (number,), _location(record, number)) for number in frames]
        return self._related(read, retrieval, iter(shown), offer)

    def _of_instance(self, read: _Request, retrieval: Retrieval, record: InstanceRecord, count: int) -> Prepared:
        offers = [Offer(each.value, is_related) for is_related in (False, True) for each in _FORMATS]
        offer = choose(read.wanted, offers)
        if offer.is_related:
            if count > _MOST_PARTS:
                raise HttpFault(NOT_SHOWN, f"More than {_MOST_PARTS:,} frames. Ask for some: …/frames/1,2,3/rendered")
            every = (_Shown(record, (number,), _location(record, number)) for number in range(1, count + 1))
            return self._related(read, retrieval, every, offer)
        if offer.media == PictureFormat.GIF.value and count > 1:
            return self._single(read, retrieval, _Shown(record, tuple(range(1, count + 1)), ""), offer)
        return self._single(read, retrieval, self._representative(retrieval, record), offer)

    def _of_many(self, read: _Request, retrieval: Retrieval) -> Prepared:
        """Give a study or a series: every image, or the one that stands for all."""
        offers = [Offer(each.value, is_related) for is_related in (True, False) for each in _FORMATS]
        offer = choose(read.wanted, offers)
        if not offer.is_related:
            record = representative(retrieval, self._pictures.looking)
            if record is None:
                raise NotAcceptable("There is no image here that can be rendered.")
            return self._single(read, retrieval, self._representative(retrieval, record), offer)
        if len(retrieval.records) > _MOST_PARTS:
            raise HttpFault(NOT_SHOWN, f"More than {_MOST_PARTS:,} instances. Ask for a series or an instance.")
        return self._related(read, retrieval, self._every(retrieval), offer)

    def _every(self, retrieval: Retrieval) -> Iterator[_Shown]:
        """Give one picture for each image."""
        for record in retrieval.records:
            if not retrieval.withheld(record) and self._pictures.looking.at(retrieval, record).is_image:
                yield self._representative(retrieval, record)

    def _representative(self, retrieval: Retrieval, record: InstanceRecord) -> _Shown:
        seen = self._pictures.looking.at(retrieval, record)
        if seen.table is None or seen.table.number_of_frames == 1:
            return _Shown(record, (1,), f"{instance_path(record)}/rendered")
        number = representative_frame(seen)
        return _Shown(record, (number,), _location(record, number))

    # --- how it is given ------------------------------------------------------

    def _single(self, read: _Request, retrieval: Retrieval, shown: _Shown, offer: Offer) -> Prepared:
        tag = tag_of(retrieval, f"{offer} {shown.record.sop_instance_uid} {shown.frames} {read.query}")
        headers = {"ETag": tag, "Vary": "Accept"}
        if shown.location:
            headers["Content-Location"] = read.base + shown.location
        if unchanged(tag, read.known_tags):
            return Prepared(offer.media, nothing(), status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Prepared(offer.media, self._picture(read, retrieval, shown, offer), headers=headers)

    def _picture(self, read: _Request, retrieval: Retrieval, shown: _Shown, offer: Offer) -> Blocks:
        data = self._made(read, retrieval, shown, offer)
        yield Pause(retrieval.take_delay())
        yield data

    def _made(self, read: _Request, retrieval: Retrieval, shown: _Shown, offer: Offer) -> bytes:
        wish = self._pictures.wish(read.query, offer.media)
        who = str(read.asked.caller)
        return self._pictures.make(retrieval, shown.record, shown.frames, wish, read.query.annotations, who)

    def _related(self, read: _Request, retrieval: Retrieval, every: Iterator[_Shown], offer: Offer) -> Prepared:
        writer = MultipartWriter(offer.media)
        blocks = self._parts(read, retrieval, every, offer, writer)
        return Prepared(writer.content_type, blocks, headers={"Vary": "Accept"})

    def _parts(
        self, read: _Request, retrieval: Retrieval, every: Iterator[_Shown], offer: Offer, writer: MultipartWriter
    ) -> Blocks:
        """Give each picture; where one cannot be made, a problem in its place, once there is any picture."""
        is_any = False
        failed: list[tuple[_Shown, HttpFault]] = []
        for shown in every:
            try:
                data = self._made(read, retrieval, shown, offer)
            except HttpFault as fault:
                failed.append((shown, fault))
                continue
            yield Pause(retrieval.take_delay())
            is_any = True
            yield writer.part({"Content-Type": offer.media, "Content-Location": read.base + shown.location})
            yield data
        if not is_any:
            raise failed[0][1] if failed else NotAcceptable("There is no image here that can be rendered.")
        for shown, fault in failed:
            yield writer.part({"Content-Type": MEDIA_TYPE, "Content-Location": read.base + shown.location})
            yield problem_of(fault).body()
        yield writer.end()


def _location(record: InstanceRecord, number: int) -> str:
    return f"{instance_path(record)}/frames/{number}/rendered"


def made(services: Services) -> Rendered:
    """Make the rendered resources."""
    pictures = Pictures(services.renderer)
    return Rendered(services, pictures, FairThreads(services.threads, pictures.together))


def routes(services: Services) -> list[Route]:
    """Give the routes of rendered resources."""
    rendered = made(services)
    return [
        Route(f"{path}/rendered", ("GET",), rendered.answer, summary=f"{what} as pictures: JPEG, PNG or GIF.")
        for path, what in (
            (STUDY, "A study"),
            (SERIES, "A series"),
            (INSTANCE, f"An instance (a document as {PDF})"),
            (f"{INSTANCE}/frames/{{frames}}", "Frames"),
        )
    ]
