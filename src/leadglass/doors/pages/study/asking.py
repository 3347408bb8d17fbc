"""Asking: what pages of a study want from the archive, and what is shown where there is nothing.

Rule 1. What is not here and what is not the caller's are one page, with the same
words and the same status. Rule 2. Who may open studies in an emergency is told so
on that page, whether there is such a study or not.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import InstanceRecord
from leadglass.archive.retrieving import Retrieval
from leadglass.dicom.levels import Level
from leadglass.dicom.model import Attributes
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.paths import Target, target_of
from leadglass.doors.dicomweb.qido_query import parse
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.page import page
from leadglass.doors.pages.people.desk import PeopleDesk
from leadglass.doors.pages.people.rights import sees_everything
from leadglass.doors.pages.study.reading import key_of
from leadglass.doors.web.forms import wants_page
from leadglass.doors.web.routes import Asked
from leadglass.errors import BadInput, NotHere
from leadglass.policy.caller import Caller, CallerKind

Handler = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a search found, and seconds to wait before it is shown."""

    matches: list[Attributes]
    delay: float = 0.0


def find(archive: Archive, caller: Caller, level: Level, options: str, **keys: str) -> Answers:
    """Search (blocking).

    Parameters
    ----------
    archive : Archive
        Where.
    caller : Caller
        Who asks.
    level : Level
        For what.
    options : str
        Ours, as QIDO-RS has them: ``limit=20&includefield=StudyDescription``.
    **keys : str
        Unique keys by keyword, each with a value that is matched as it is.

    Raises
    ------
    Denied, Throttled
    """
    fixed: Attributes = {key_of(keyword): {"vr": _VRS[keyword], "Value": [value]} for keyword, value in keys.items()}
    search = parse(options.encode(), level, fixed)
    found = archive.find(caller, search.query, search.window)
    matches = [match for match in found if match]
    return Answers(matches, found.take_delay())


_VRS = {"StudyInstanceUID": "UI", "SeriesInstanceUID": "UI", "PatientID": "LO"}


def target(request: Request) -> Target:
    """Give what a path names; raises ``NotHere`` where a UID of it is none."""
    try:
        return target_of(request)
    except BadInput:
        raise NotHere("There is nothing of that name here.") from None


def instance(
    archive: Archive, caller: Caller, wanted: Target, *, drawn: bool = False
) -> tuple[Retrieval, InstanceRecord]:
    """Locate one instance, to show parts of it (blocking); raises ``NotHere``, ``Denied``, ``Throttled``.

    Parameters
    ----------
    drawn : bool
        Whether nothing is given of it but pictures: then who may only look is permitted too.
    """
    retrieval = locate(archive, caller, wanted, drawn=drawn)
    return retrieval, retrieval.records[0]


class Showing:
    """Has handlers show what is not here as a page that says what to do.

    Parameters
    ----------
    desk : PagesDesk
        Where threads are.
    people : PeopleDesk, optional
        Who knows whether somebody may open studies in an emergency.
    """

    def __init__(self, desk: PagesDesk, people: PeopleDesk | None) -> None:
        self._desk = desk
        self._people = people

    def __call__(self, handler: Handler) -> Handler:
        """Wrap a handler."""

        async def answer(asked: Asked) -> Response:
            try:
                return await handler(asked)
            except NotHere:
                if not wants_page(asked.request):
                    raise
                return await self._not_here(asked)

        return answer

    async def _not_here(self, asked: Asked) -> Response:
        return page(
            asked.request,
            "study/not_here.html",
            caller=asked.caller,
            status=HTTPStatus.NOT_FOUND,
            may_break_glass=await self._may_break_glass(asked.caller),
            is_link=asked.caller.kind is CallerKind.LINK,
        )

    async def _may_break_glass(self, caller: Caller) -> bool:
        if self._people is None or caller.kind is not CallerKind.PERSON or sees_everything(caller):
            return False
        return await self._desk.threads.run(self._people.accounts.glass.may_open, caller)
