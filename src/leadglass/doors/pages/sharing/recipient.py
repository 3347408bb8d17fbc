"""The pages of who has a link: opening it, and what it shows.

Rule 1. The secret arrives in the body of a POST; the page that takes it from the
fragment knows nothing, and is the same for every link there is or is not. Rule 2.
A link is not opened in a browser that is signed in: what is done there would be
done by two. Rule 3. Whoever is here by a link gets to see nothing but what it is for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from leadglass.dicom.levels import Level
from leadglass.dicom.uids import UID
from leadglass.doors.dicomweb.locating import locate
from leadglass.doors.dicomweb.paths import Target
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.sharing.desk import SharingDesk
from leadglass.doors.pages.study.asking import find
from leadglass.doors.pages.study.facts import StudyFacts, study_facts
from leadglass.doors.web import cookie
from leadglass.doors.web.evidence import SHARE_COOKIE, Unidentified, peer_of
from leadglass.doors.web.forms import fields_of, told, wants_json, wants_page
from leadglass.doors.web.problem import HttpFault
from leadglass.doors.web.routes import Access, Asked, Route, Services
from leadglass.doors.web.sharecookie import HOME, give_share
from leadglass.errors import Denied, NotHere, Throttled
from leadglass.identity.sessions import csrf_of
from leadglass.identity.share import Share, ShareKind, ShareLock
from leadglass.identity.share_visits import CLOSED, Asks, OpenedShare
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

PATH: Final = "/s/{share}"

_WHY: Final = "Who opens a share link has no account; the link is what they show."
_ONE: Final = "includefield=StudyDescription&limit=1"
_LONGEST: Final = 128
_MOST_TRIED: Final = 100
"""Instances of which it is looked up whether a mask reaches them."""


@dataclass(frozen=True, slots=True)
class Lent:
    """One study that a link shows, and what may be done with it."""

    study: StudyFacts
    may_view: bool
    may_download: bool
    has_images: bool = True


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Recipient(desk)
    opening = "Open a share link."
    return [
        Route(PATH, ("GET",), pages.show, Access.ANONYMOUS, why=_WHY, summary=opening),
        Route(PATH, ("POST",), cookie.from_here(pages.open), Access.ANONYMOUS, why=_WHY, summary=opening),
        Route(HOME, ("GET",), pages.home, summary="What a share link shows."),
        Route(f"{HOME}/leave", ("POST",), pages.leave, summary="Close a share link in this browser."),
    ]


def closed_page(request: Request, status: int = HTTPStatus.NOT_FOUND) -> Response:
    """Give the one page for every link that opens nothing, and take away what the browser had of one."""
    return cookie.take_share(page(request, "sharing/closed.html", status=status))


def welcome(before: Callable[[Request], Response | None]) -> Callable[[Request], Response | None]:
    """Give what a browser is shown where nobody is identified; of who was here by a link, that it is closed."""

    def page_for(request: Request) -> Response | None:
        was_here = SHARE_COOKIE in request.cookies or request.url.path.split("/")[1] == HOME[1:]
        if not was_here or request.method not in {"GET", "HEAD"} or not wants_page(request):
            return before(request)
        answer = closed_page(request, HTTPStatus.UNAUTHORIZED)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="leadglass"'
        return answer

    return page_for


class _Recipient:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk
        self._sharing: SharingDesk = desk.sharing

    # --- opening ------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """Show where the secret goes; nothing is looked up, so nothing is told."""
        return page(request, "sharing/open.html", path=request.url.path, practice=self._sharing.practice)

    async def open(self, request: Request) -> Response:
        fields = await fields_of(request)
        id_ = str(request.path_params["share"])[:_LONGEST]
        secret = fields.get("secret", "").strip().rpartition("#")[2]  # the whole link may be pasted
        code = fields.get("code", "").strip()
        await self._require_nobody_in(request)
        try:
            answer = await self._sharing.threads.run(
                self._sharing.visits.open, id_, secret[:_LONGEST], code[:_LONGEST], peer_of(request)
            )
        except NotHere:
            if wants_json(request):
                raise
            return closed_page(request)
        except (Denied, Throttled) as error:
            text, status = told(request, error)
            lock = ShareLock.ONCE if fields.get("lock") == ShareLock.ONCE else ShareLock.PIN  # for the words alone
            return self._ask(request, secret, lock, text, status)
        if isinstance(answer, Asks):
            if wants_json(request):
                return JSONResponse({"opened": False, "needs": "code"})
            return self._ask(request, secret, answer.lock, "", HTTPStatus.OK)
        return self._opened(request, answer)

    def _ask(self, request: Request, secret: str, lock: ShareLock, error: str, status: int) -> Response:
        path = request.url.path
        return page(request, "sharing/code.html", status=status, path=path, secret=secret, lock=lock, error=error)

    @staticmethod
    def _opened(request: Request, opened: OpenedShare) -> Response:
        if not wants_json(request):
            return give_share(see_other(HOME), opened)
        said = {"opened": True, "at": HOME, "csrf": csrf_of(opened.secret), "until": opened.share.until.isoformat()}
        return give_share(JSONResponse(said), opened)

    async def _require_nobody_in(self, request: Request) -> None:
        """Refuse where somebody is signed in; a session that is over counts for nobody."""
        try:
            secret = cookie.secret_of(request)
            if secret is None:
                return
            await self._sharing.threads.run(self._sharing.sessions.caller, secret, peer_of(request), is_use=False)
        except (Denied, Unidentified):
            return
        raise HttpFault(
            HTTPStatus.CONFLICT,
            "Somebody is signed in to this archive in this browser. To see what the link shows, sign out first, or "
            "open it in a private window.",
        )

    # --- what it shows --------------------------------------------------------------

    async def home(self, asked: Asked) -> Response:
        share = await self._desk.threads.run(self._sharing.visits.share_of, asked.caller)
        if share.kind is ShareKind.RECEIVE:
            return self._shown(asked, "sharing/send.html", share)
        lent = await self._desk.threads.run(self._lent, asked.caller, share)
        if not lent:
            return closed_page(asked.request)
        if wants_json(asked.request):
            return JSONResponse({"studies": [each.study.uid for each in lent], "until": share.until.isoformat()})
        return self._shown(asked, "sharing/shared.html", share, lent)

    def _shown(self, asked: Asked, template: str, share: Share, lent: Sequence[Lent] = ()) -> Response:
        return page(
            asked.request, template, caller=asked.caller, share=share, practice=self._sharing.practice, lent=lent
        )

    def _lent(self, caller: Caller, share: Share) -> list[Lent]:
        """Give the studies that are here and that the link still shows (blocking)."""
        lent: list[Lent] = []
        for uid in share.studies:
            found = find(self._desk.archive, caller, Level.STUDY, _ONE, StudyInstanceUID=uid)
            has_images = not share.is_masked or (bool(found.matches) and self._is_given(caller, uid))
            lent += [
                Lent(study_facts(match), may(caller, Action.GET), may(caller, Action.EXPORT), has_images)
                for match in found.matches
            ]
        return lent

    def _is_given(self, caller: Caller, uid: str) -> bool:
        """Say whether anything of a study is left where who it is of is kept back (blocking)."""
        retrieval = locate(self._desk.archive, caller, Target(UID(uid)), drawn=True)
        return any(not retrieval.withheld(record) for record in retrieval.records[:_MOST_TRIED])

    async def leave(self, asked: Asked) -> Response:
        if asked.caller.kind is not CallerKind.LINK:
            raise NotHere(CLOSED)
        await self._desk.threads.run(self._sharing.visits.leave, asked.caller)
        answer = page(asked.request, "sharing/left.html", caller=None)
        answer.headers["Clear-Site-Data"] = '"cache"'
        return cookie.take_share(answer)
