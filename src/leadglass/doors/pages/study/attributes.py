"""All attributes of an instance as a table that can be searched, and the instance as a file.

Rule. What is searched for is sent in a form and stands in no address: it may be
somebody's name.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.dictionary import uid_name
from leadglass.dicom.sop_classes import name_of
from leadglass.doors.dicomweb.pumping import Blocks, Pause, Prepared, respond
from leadglass.doors.media.fileset import Member
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page
from leadglass.doors.pages.study import reading
from leadglass.doors.pages.study.asking import Showing, instance, target
from leadglass.doors.pages.study.kinds import kind_of
from leadglass.doors.pages.study.listing import listed
from leadglass.doors.pages.study.study import SERIES
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import NotHere
from leadglass.policy.action import Action

PATH: Final = f"{SERIES}/instances/{{instance}}"
_LONGEST_SOUGHT: Final = 100


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose an instance is, as far as the caller may know."""

    patient: str
    patient_id: str


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages, shows = _Attributes(desk), Showing(desk, services.people)
    return [
        Route(PATH, ("GET",), shows(pages.show), summary="All attributes of an instance."),
        Route(PATH, ("POST",), shows(pages.search), summary="Those that hold what is searched for."),
        Route(f"{PATH}/file", ("GET",), shows(pages.file), summary="An instance as a DICOM file, as stored."),
    ]


class _Attributes:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk

    async def show(self, asked: Asked) -> Response:
        return await self._desk.threads.run(self._page, asked, "")

    async def search(self, asked: Asked) -> Response:
        sought = (await fields_of(asked.request)).get("sought", "").strip()[:_LONGEST_SOUGHT]
        return await self._desk.threads.run(self._page, asked, sought)

    def _page(self, asked: Asked, sought: str) -> Response:
        """Read and render, both in a thread: there may be thousands of rows."""
        wanted = target(asked.request)
        retrieval, record = instance(self._desk.archive, asked.caller, wanted)
        attributes = retrieval.metadata(record)
        found = listed(attributes, sought)
        retrieval.read((record,), sum(len(row.value) for row in found.rows))
        if wants_json(asked.request):
            rows = [{"tag": each.tag, "name": each.name, "vr": each.vr, "value": each.value} for each in found.rows]
            return JSONResponse(rows)
        return page(
            asked.request,
            "study/attributes.html",
            caller=asked.caller,
            status=HTTPStatus.OK,
            where=wanted,
            patient=Whose(reading.first(attributes, "PatientName"), reading.text(attributes, "PatientID")),
            record=record,
            kind=kind_of(record.sop_class_uid, record.transfer_syntax_uid),
            sop_class=name_of(record.sop_class_uid),
            transfer_syntax=uid_name(record.transfer_syntax_uid),
            found=found,
            sought=sought,
            may_download=may(asked.caller, Action.EXPORT),
            withheld=retrieval.withheld(record),
        )

    async def file(self, asked: Asked) -> Response:
        wanted = target(asked.request)

        def prepare() -> Prepared:
            found = self._desk.archive.retrieve(
                asked.caller, Action.EXPORT, wanted.level, wanted.selection, to="download"
            )
            if not found.records:
                raise NotHere("There is nothing of that name here.")
            headers = {"Content-Disposition": 'attachment; filename="instance.dcm"'}
            return Prepared("application/dicom", _file(found, found.records[0]), headers=headers)

        return await respond(self._desk.threads, prepare)


def _file(retrieval: Retrieval, record: InstanceRecord) -> Blocks:
    """Give the file; what fails its check breaks off before its end."""
    last = b""
    for block in Member(("instance",), retrieval, record).blocks():
        yield Pause(retrieval.take_delay())
        yield last
        last = block  # the last block is kept back until the digest was compared
    yield last
    retrieval.sent(record)
