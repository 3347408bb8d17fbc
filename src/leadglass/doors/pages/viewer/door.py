"""The viewer's page and files, for whoever is identified: a person with a session, or a link's.

Rule 1. The page is given by whom it is shown to: somebody who may see pictures and
fetch nothing is led to the quick look, and a study with nothing that the viewer can
show to its own page. Rule 2. Files lie below a path that holds a digest of them
all, so browsers keep them for ever; the page is kept by nobody.
"""

import gzip
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response

from leadglass.dicom.levels import Level
from leadglass.dicom.model import Attributes
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.study.asking import Showing, find
from leadglass.doors.pages.study.reading import first
from leadglass.doors.pages.viewer.leading import MODES, Wanted, Where, wanted, where
from leadglass.doors.pages.viewer.reports import Reports
from leadglass.doors.pages.viewer.site import PAGE_POLICY, Site, read_site
from leadglass.doors.web.routes import Access, Asked, Route, Services
from leadglass.errors import NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

_FOREVER: Final = "private, max-age=31536000, immutable"


def routes(services: Services) -> list[Route]:
    """Give the routes of this module; none but that of reports where the build made no viewer."""
    desk, site = services.pages, read_site()
    reports = Route(
        "/viewer/reports",
        ("POST",),
        Reports().take,
        Access.ANONYMOUS,
        why="A browser sends what a policy forbade by itself, after a session's end too; it is counted and noted.",
        summary="Take a browser's report of what a page's policy forbade.",
        body_bytes=64 * 1024,
    )
    if desk is None or site is None:
        return [reports]
    door = _Door(desk, site)
    showing = Showing(desk, services.people)
    return [
        reports,
        *(
            Route(f"/viewer/{mode}", ("GET",), showing(door.show), summary="Open studies in the viewer.")
            for mode in MODES
        ),
        Route("/viewer/", ("GET",), door.choose, summary="Where studies are chosen."),
        Route(site.base + "{name:path}", ("GET", "HEAD"), door.file, summary="A file of the viewer."),
    ]


class _Door:
    def __init__(self, desk: PagesDesk, site: Site) -> None:
        self._desk = desk
        self._site = site

    async def choose(self, asked: Asked) -> Response:
        """Lead to where studies are chosen: the viewer has no list of its own."""
        caller = asked.caller
        return see_other("/studies" if may(caller, Action.FIND) and caller.kind is CallerKind.PERSON else "/")

    async def show(self, asked: Asked) -> Response:
        """Give the viewer's page, or lead to what suits the caller or the study better."""
        request, caller = asked.request, asked.caller
        said = wanted(request.query_params.multi_items())
        if said is None:
            return await self.choose(asked)
        if not may(caller, Action.GET):
            return see_other(f"/look/{said.studies[0]}")
        mode = request.url.path.rsplit("/", 1)[1]
        studies = await self._desk.threads.run(self._found, caller, said)
        match where(studies):
            case Where.ELSEWHERE:
                return page(
                    request, "viewer/elsewhere.html", caller=caller, study=said.studies[0], many=len(said.studies) > 1
                )
            case Where.MICROSCOPY if mode == "viewer":
                return see_other(f"/viewer/microscopy?{said.query}")
            case _:
                pass
        if not said.is_plain:
            return see_other(f"/viewer/{mode}?{said.query}")
        return page(
            request,
            "viewer/viewer.html",
            caller=caller,
            headers={"Content-Security-Policy": PAGE_POLICY},
            site=self._site,
            study=said.studies[0],
            may_store=may(caller, Action.STORE),
            has_names=any(first(each, "PatientName") or first(each, "PatientID") for each in studies),
            is_link=caller.kind is CallerKind.LINK,
        )

    def _found(self, caller: Caller, said: Wanted) -> list[Attributes]:
        """Find the studies; raises ``NotHere`` unless all are there for the caller."""
        found: list[Attributes] = []
        for study in said.studies:
            matches = find(
                self._desk.archive,
                caller,
                Level.STUDY,
                "limit=1&includefield=SOPClassesInStudy",
                StudyInstanceUID=study,
            ).matches
            if not matches:
                raise NotHere("A study of that address is not here.")
            found += matches
        return found

    async def file(self, asked: Asked) -> Response:
        request = asked.request
        file = self._site.files.get(cast("str", request.path_params["name"]))
        if file is None:
            raise NotHere("The viewer has no such file.")
        etag = f'"{file.digest}"'
        fields = {
            "ETag": etag,
            "Cache-Control": _FOREVER,
            "Content-Security-Policy": file.policy,
            "Vary": "Accept-Encoding",
        }
        if etag in _tags(request):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fields)
        data = await self._desk.threads.run(file.path.read_bytes)
        if file.packed:
            if _takes_gzip(request):
                fields["Content-Encoding"] = "gzip"
            else:
                data = await self._desk.threads.run(gzip.decompress, data)
        return Response(data, headers={**fields, "Content-Type": file.type})


def _tags(request: Request) -> Iterable[str]:
    shown = request.headers.get("if-none-match", "")
    return [each.strip().removeprefix("W/") for each in shown.split(",")]


def _takes_gzip(request: Request) -> bool:
    """Say whether who asks takes gzip (RFC 9110 12.5.3)."""
    for each in request.headers.get("accept-encoding", "").split(","):
        coding, _, weight = each.partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
