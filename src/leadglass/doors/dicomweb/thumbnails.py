"""Thumbnails (PS3.18 section 10.4.1.1.4): one small picture of a study, a series, an instance or a frame.

Rule: which picture stands for many is said in ``representative``, and the answer
says which it was (Content-Location).
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.render_model import PictureFormat, Viewport
from leadglass.doors.dicomweb.accept import NotAcceptable, Offer, Wanted, accept_of, choose
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.frames import parse_frames
from leadglass.doors.dicomweb.locating import locate, require_frames
from leadglass.doors.dicomweb.paths import INSTANCE, SERIES, STUDY, Target, instance_path, service_url, target_of
from leadglass.doors.dicomweb.pictures import NOT_SHOWN, Pictures, tag_of, unchanged
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, nothing, respond
from leadglass.doors.dicomweb.rendered_query import parse_thumbnail
from leadglass.doors.dicomweb.representative import representative, representative_frame
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services

_OFFERS: Final = tuple(Offer(each.value, is_related=False) for each in PictureFormat)


class Thumbnails:
    """The thumbnail resources.

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
        """Give one thumbnail."""
        request = asked.request
        viewport = parse_thumbnail(request.query_params.multi_items())
        target = target_of(request)
        frames = request.path_params.get("frames")
        numbers = parse_frames(frames) if frames is not None else []
        wanted = accept_of(request)
        base, known = service_url(request), request.headers.get("if-none-match", "")
        return await respond(
            self._threads.of(str(asked.caller)),
            lambda: self._prepare(asked, target, numbers, viewport, wanted, base, known),
        )

    def _prepare(
        self,
        asked: Asked,
        target: Target,
        numbers: list[int],
        viewport: Viewport,
        wanted: Sequence[Wanted],
        base: str,
        known: str,
    ) -> Prepared:
        retrieval = locate(self._archive, asked.caller, target, drawn=True)
        record = retrieval.records[0] if target.instance else representative(retrieval, self._pictures.looking)
        if record is None:
            raise NotAcceptable("There is no image here that can be rendered.")
        frame = self._frame(retrieval, record, numbers)
        offer = choose(wanted, _OFFERS)
        tag = tag_of(retrieval, f"{offer} {record.sop_instance_uid} {frame} {viewport}")
        headers = {
            "ETag": tag,
            "Vary": "Accept",
            "Content-Location": f"{base}{instance_path(record)}/frames/{frame}/thumbnail",
        }
        if unchanged(tag, known):
            return Prepared(offer.media, nothing(), status=HTTPStatus.NOT_MODIFIED, headers=headers)
        blocks = self._picture(retrieval, record, frame, viewport, offer, str(asked.caller))
        return Prepared(offer.media, blocks, headers=headers)

    def _frame(self, retrieval: Retrieval, record: InstanceRecord, numbers: list[int]) -> int:
        """Give the number of the frame to show: of a list of frames, the middle one."""
        seen = self._pictures.looking.at(retrieval, record)
        table = seen.table
        if table is None:
            raise HttpFault(NOT_SHOWN, "The instance has no image, or none whose frames can be told apart.")
        if not numbers:
            return representative_frame(seen)
        require_frames(numbers, table.number_of_frames)
        return numbers[len(numbers) // 2]

    def _picture(
        self, retrieval: Retrieval, record: InstanceRecord, frame: int, viewport: Viewport, offer: Offer, who: str
    ) -> Blocks:
        wish = self._pictures.thumbnail(viewport, offer.media)
        data = self._pictures.make(retrieval, record, (frame,), wish, frozenset(), who)
        yield Pause(retrieval.take_delay())
        yield data


def routes(services: Services) -> list[Route]:
    """Give the routes of thumbnails."""
    pictures = Pictures(services.renderer)
    thumbnails = Thumbnails(services, pictures, FairThreads(services.threads, pictures.together))
    return [
        Route(f"{path}/thumbnail", ("GET",), thumbnails.answer, summary=f"A small picture of {what}.")
        for path, what in (
            (STUDY, "a study"),
            (SERIES, "a series"),
            (INSTANCE, "an instance"),
            (f"{INSTANCE}/frames/{{frames}}", "a frame"),
        )
    ]
