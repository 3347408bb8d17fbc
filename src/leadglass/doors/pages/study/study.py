"""The study page: what a study is, its series as cards, and what one may do with it.

Rule 1. The archive decides over each thing when it is asked for; what somebody has
no right to at all is not offered. Rule 2. A study is deleted by who was told how
much it is and wrote that down.
"""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.archive.archive import Archive
from leadglass.dicom.levels import Level
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.dicomweb.pumping import Prepared, respond
from leadglass.doors.media.zipping import zipped
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page
from leadglass.doors.pages.study.asking import Showing, target
from leadglass.doors.pages.study.facts import Seen, see
from leadglass.doors.pages.study.kinds import kind_of
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

PATH: Final = "/studies/{study}"
SERIES: Final = f"{PATH}/series/{{series}}"

_MOST_ROWS: Final = 200
"""Instances on one page of a series."""


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages, shows = _Study(desk), Showing(desk, services.people)
    return [
        Route(PATH, ("GET",), shows(pages.show), summary="A study: what it is, and its series."),
        Route(SERIES, ("GET",), shows(pages.series), summary="A series: its instances, one by one."),
        Route(f"{PATH}/download", ("GET",), shows(pages.download), summary="A study as a ZIP with a DICOMDIR."),
        Route(f"{PATH}/delete", ("GET",), shows(pages.ask), summary="Ask whether a study is to be deleted."),
        Route(f"{PATH}/delete", ("POST",), shows(pages.delete), summary="Delete a study."),
    ]


class _Study:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        seen = await self._see(asked)
        caller = asked.caller
        if wants_json(asked.request):
            return JSONResponse(_as_json(seen))
        is_person = caller.kind is CallerKind.PERSON
        return page(
            asked.request,
            "study/study.html",
            caller=caller,
            seen=seen,
            study=seen.study,
            is_link=caller.kind is CallerKind.LINK,
            may_download=may(caller, Action.EXPORT),
            may_share=is_person and may(caller, Action.EXPORT),
            may_delete=may(caller, Action.DELETE),
            may_audit=may(caller, Action.AUDIT),
        )

    async def series(self, asked: Asked) -> Response:
        wanted = target(asked.request)
        start = _whole(asked.request.query_params.get("from", ""))
        seen = await self._desk.threads.run(see, self._desk.archive, asked.caller, Target(wanted.study))
        chosen = next((each for each in seen.series if each.uid == wanted.series), None)
        if chosen is None:
            raise NotHere("There is nothing of that name here.")
        rows = await self._desk.threads.run(_rows, self._desk.archive, asked.caller, wanted)
        start = min(start, (len(rows) - 1) // _MOST_ROWS * _MOST_ROWS)
        return page(
            asked.request,
            "study/series.html",
            caller=asked.caller,
            seen=seen,
            study=seen.study,
            series=chosen,
            rows=rows[start : start + _MOST_ROWS],
            start=start,
            count=len(rows),
            step=_MOST_ROWS,
            may_download=may(asked.caller, Action.EXPORT),
        )

    async def download(self, asked: Asked) -> Response:
        wanted = target(asked.request)

        def prepare() -> Prepared:
            retrieval = self._desk.archive.retrieve(
                asked.caller, Action.EXPORT, Level.STUDY, wanted.selection, to="download"
            )
            if not retrieval.records:
                raise NotHere("There is nothing of that name here.")
            headers = {"Content-Disposition": 'attachment; filename="study.zip"'}
            return Prepared("application/zip", zipped(retrieval), headers=headers)

        return await respond(self._desk.threads, prepare)

    async def ask(self, asked: Asked) -> Response:
        return self._confirm(asked, await self._see(asked))

    async def delete(self, asked: Asked) -> Response:
        typed = (await fields_of(asked.request)).get("typed", "").strip()
        seen = await self._see(asked)
        if typed != str(seen.instances):
            return self._confirm(asked, seen, "That is not the number. Nothing was deleted.")
        deleted = await self._desk.threads.run(self._desk.archive.delete, asked.caller, seen.study.uid)
        if wants_json(asked.request):
            return JSONResponse({"instances": deleted.instances, "octets": deleted.octets})
        return page(asked.request, "study/deleted.html", caller=asked.caller, deleted=deleted)

    def _confirm(self, asked: Asked, seen: Seen, error: str = "") -> Response:
        return page(
            asked.request,
            "study/delete.html",
            caller=asked.caller,
            status=HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK,
            seen=seen,
            study=seen.study,
            error=error,
            may_delete=may(asked.caller, Action.DELETE),
        )

    async def _see(self, asked: Asked) -> Seen:
        wanted = target(asked.request)
        seen = await self._desk.threads.run(see, self._desk.archive, asked.caller, wanted)
        if seen.delay:
            await asyncio.sleep(seen.delay)
        return seen


def _rows(archive: Archive, caller: Caller, wanted: Target) -> list[dict[str, object]]:
    """Give the instances of a series in their order (blocking)."""
    retrieval = archive.retrieve(caller, Action.GET, wanted.level, wanted.selection, is_whole=False)
    return [
        {
            "number": number,
            "uid": record.sop_instance_uid,
            "kind": kind_of(record.sop_class_uid, record.transfer_syntax_uid),
            "size": record.size,
        }
        for number, record in enumerate(retrieval.records, 1)
    ]


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0


def _as_json(seen: Seen) -> dict[str, object]:
    return {
        "study": seen.study.uid,
        "description": seen.study.description,
        "instances": seen.instances,
        "octets": seen.octets,
        "series": [
            {
                "series": each.uid,
                "modality": each.modality,
                "description": each.description,
                "instances": each.count,
                "kind": each.kind.value,
            }
            for each in seen.series
        ],
    }
