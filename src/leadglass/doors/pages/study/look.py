"""Quick look: the images of a study one by one, drawn by the archive, for any browser.

Rule 1. It works without scripts, without WebGL, on a phone and with a screen
reader; a script only makes it quicker. Rule 2. It shows one study and leads
nowhere else: somebody who came by a link sees nothing but that.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.render_model import PictureFormat
from leadglass.doors.dicomweb.fair import FairThreads
from leadglass.doors.dicomweb.frames import parse_frames
from leadglass.doors.dicomweb.locating import require_frames
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.dicomweb.pictures import FEW, NOT_SHOWN, Pictures, tag_of, unchanged
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, nothing, respond
from leadglass.doors.dicomweb.rendered_query import parse_rendered
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.study.asking import Showing, instance, target
from leadglass.doors.pages.study.stack import listing, look
from leadglass.doors.web.forms import wants_json
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind

PATH: Final = "/look/{study}"

AUTOMATIC: Final = "automatic"
WINDOWS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "soft": ("Soft tissue", "40,400"),
        "lung": ("Lung", "-600,1500"),
        "bone": ("Bone", "500,2000"),
        "brain": ("Brain", "40,80"),
    }
)
"""Windows by name: what they are called, and centre and width in Hounsfield units."""
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_HOUNSFIELD: Final = frozenset(_STORAGE + last for last in ("2", "2.1", "2.2"))
"""Classes whose values are Hounsfield units as a rule: CT, enhanced, legacy converted."""
_GRAY: Final = _HOUNSFIELD | frozenset(
    _STORAGE + last
    for last in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "4", "4.1", "4.4", "7.2", "7.3", "12.1", "12.1.1", "12.2",
        "12.2.1", "13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5", "14.1", "20", "30", "77.1.5.4", "128", "128.1",
        "130", "481.1", "481.2",
    )
)  # fmt: skip
"""Classes whose images are gray, so that a window says something."""


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pictures = Pictures(services.renderer)
    pages, shows = _Look(desk, pictures), Showing(desk, services.people)
    of_instance = f"{PATH}/{{series}}/{{instance}}"
    return [
        Route(PATH, ("GET",), shows(pages.show), summary="A quick look at a study."),
        Route(f"{PATH}/{{series}}", ("GET",), shows(pages.show), summary="At a series; as JSON, what is in it."),
        Route(of_instance, ("GET",), shows(pages.show), summary="At an image; frame says at which of it."),
        Route(
            f"{of_instance}/frames/{{frames}}/picture",
            ("GET",),
            pages.picture,
            summary="A frame, never larger than it is; window=automatic is from its darkest values to its brightest.",
        ),
    ]


class _Look:
    def __init__(self, desk: PagesDesk, pictures: Pictures) -> None:
        self._desk = desk
        self._pictures = pictures
        self._threads = FairThreads(desk.threads, pictures.together)

    async def show(self, asked: Asked) -> Response:
        wanted, query = target(asked.request), asked.request.query_params
        if wants_json(asked.request) and wanted.series:
            return JSONResponse(
                await self._desk.threads.run(
                    listing, self._desk.archive, asked.caller, Target(wanted.study, wanted.series)
                )
            )
        seen = await self._desk.threads.run(look, self._desk.archive, asked.caller, wanted, query.get("frame", ""))
        if seen.delay:
            await asyncio.sleep(seen.delay)
        if not seen.is_image and not seen.withheld:
            return see_other(f"/documents/{seen.study_uid}/{seen.series_uid}/{seen.instance_uid}")
        is_gray = seen.sop_class_uid in _GRAY
        windows = {name: said for name, (said, _) in WINDOWS.items()} if seen.sop_class_uid in _HOUNSFIELD else {}
        window = query.get("window", "")
        if window not in windows and (window != AUTOMATIC or not is_gray):
            window = ""
        is_implied = is_gray and not window and not seen.has_window
        if is_implied:
            window = AUTOMATIC
        return page(
            asked.request,
            "study/look.html",
            caller=asked.caller,
            seen=seen,
            windows=windows,
            window=window,
            is_implied=is_implied,
            has_automatic=is_gray,
            values={name: value for name, (_, value) in WINDOWS.items()},
            is_inverted=query.get("invert") == "1",
            is_link=asked.caller.kind is CallerKind.LINK,
            may_get=may(asked.caller, Action.GET),
        )

    async def picture(self, asked: Asked) -> Response:
        request = asked.request
        wanted, numbers = target(request), parse_frames(request.path_params["frames"])
        given = request.query_params.multi_items()
        is_automatic = ("window", AUTOMATIC) in given
        query = parse_rendered(each for each in given if each != ("window", AUTOMATIC))
        wish = self._pictures.wish(replace(query, may_enlarge=False), PictureFormat.JPEG.value)
        wish = replace(wish, leaves_out=FEW)
        known = request.headers.get("if-none-match", "")

        def prepare() -> Prepared:
            retrieval, record = instance(self._desk.archive, asked.caller, wanted, drawn=True)
            seen = self._pictures.looking.at(retrieval, record)
            if seen.table is None:
                raise HttpFault(NOT_SHOWN, "The instance has no image, or none whose frames can be told apart.")
            require_frames(numbers[:1], seen.table.number_of_frames)
            tag = tag_of(retrieval, f"{numbers[0]} {wish} {is_automatic}")
            headers = {"ETag": tag}
            if unchanged(tag, known):
                return Prepared(wish.format.value, nothing(), status=HTTPStatus.NOT_MODIFIED, headers=headers)
            return Prepared(wish.format.value, made(retrieval, record), headers=headers)

        def made(retrieval: Retrieval, record: InstanceRecord) -> Blocks:
            who = str(asked.caller)
            data = self._pictures.make(
                retrieval, record, (numbers[0],), wish, frozenset(), who, is_automatic=is_automatic
            )
            yield Pause(retrieval.take_delay())
            yield data

        return await respond(self._threads.of(str(asked.caller)), prepare)
