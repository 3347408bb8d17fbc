"""The pages of who makes links: making one, the list, what was done by each, ending one.

Rule 1. A link and its code are shown once, on the page that answers the form; they
stand in no address. Rule 2. What may be lent is decided by the archive, study by
study, before a link is made. Rule 3. Who manages sees and ends everybody's links,
and learns of no patient here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.dicom.levels import Level
from leadglass.dicom.uids import parse_uid
from leadglass.doors.links import path_of_share
from leadglass.doors.listed import share_as_json
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.qr import qr_path
from leadglass.doors.pages.sharing.desk import SharingDesk
from leadglass.doors.pages.study.asking import find
from leadglass.doors.pages.study.facts import study_facts
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Denied, NotHere
from leadglass.identity.share import MOST_STUDIES, Share, ShareKind, ShareLock
from leadglass.identity.shares import MOST_FILES, MOST_NOTE, CreatedShare, may_give, may_receive
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller

PATH: Final = "/shares"
NEW: Final = f"{PATH}/new"
RECEIVE: Final = f"{PATH}/receive"
ONE: Final = f"{PATH}/{{share}}"

_ONE_STUDY: Final = "includefield=StudyDescription&limit=1"
_DAYS: Final = (1, 7, 30, 90)
_GIB: Final = 1024**3


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Links(desk)
    return [
        Route(PATH, ("GET",), pages.list, summary="The share links that one made, or everybody's."),
        Route(NEW, ("GET",), pages.form, summary="The form for a share link."),
        Route(NEW, ("POST",), pages.make, summary="Make a share link."),
        Route(RECEIVE, ("GET",), pages.receive_form, summary="The form for a link to send studies in by."),
        Route(RECEIVE, ("POST",), pages.receive, summary="Make a link to send studies in by."),
        Route(ONE, ("GET",), pages.one, summary="A share link and what was done by it."),
        Route(f"{ONE}/revoke", ("POST",), pages.revoke, summary="End a share link."),
    ]


@dataclass(frozen=True, slots=True)
class _Named:
    """A study as its row on a page: its UID, and its words where the caller may see them."""

    uid: str
    title: str
    patient: str
    moment: str


class _Links:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk
        self._sharing: SharingDesk = desk.sharing

    # --- the list -----------------------------------------------------------------

    async def list(self, asked: Asked) -> Response:
        everybodys = may(asked.caller, Action.MANAGE)
        gives, receives = may_give(asked.caller), may_receive(asked.caller)
        if not (everybodys or gives or receives):
            raise Denied("Links are made by those who may take studies out of the archive.")
        shares = await self._desk.threads.run(self._sharing.shares.list, asked.caller, everybodys=everybodys)
        now = self._sharing.shares.now
        if wants_json(asked.request):
            return JSONResponse([as_json(share, asked.caller, counts=share.counts(now)) for share in shares])
        return page(
            asked.request,
            "sharing/links.html",
            caller=asked.caller,
            open=[share for share in shares if share.counts(now)],
            over=[share for share in shares if not share.counts(now)],
            everybodys=everybodys,
            gives=gives,
            receives=receives,
        )

    # --- making one -----------------------------------------------------------------

    async def form(self, asked: Asked) -> Response:
        if not may_give(asked.caller):
            raise Denied("Links to studies are made by those who may take studies out of the archive.")
        studies = _uids(" ".join(asked.request.query_params.getlist("study")))
        return await self._form(asked, studies, {}, "")

    async def _form(self, asked: Asked, studies: Sequence[str], fields: dict[str, str], error: str) -> Response:
        named = await self._desk.threads.run(self._named, asked.caller, studies)
        if studies and not any(each.title for each in named):
            raise NotHere("There is no such study here.")
        return page(
            asked.request,
            "sharing/new.html",
            caller=asked.caller,
            status=400 if error else 200,
            named=named,
            studies=" ".join(studies),
            fields=fields,
            days=self._days(),
            error=error,
            most_note=MOST_NOTE,
        )

    async def make(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        studies = _uids(fields.get("studies", ""))
        try:
            created = await self._desk.threads.run(self._make, asked.caller, studies, fields)
        except BadInput as error:
            if wants_json(asked.request):
                raise
            return await self._form(asked, studies, fields, error.message)
        return self._created(asked, created)

    def _make(self, caller: Caller, studies: Sequence[str], fields: dict[str, str]) -> CreatedShare:
        """Decide over each study, then make the link (blocking)."""
        self._desk.archive.lend(caller, studies[: MOST_STUDIES + 1])
        return self._sharing.shares.give(
            caller,
            studies,
            is_masked=_choice(fields, "view", "full", "masked") == "masked",
            may_download=_choice(fields, "what", "look", "download") == "download",
            life=_life(fields),
            lock=_lock(fields),
            note=fields.get("note", ""),
        )

    def _named(self, caller: Caller, studies: Sequence[str]) -> "Rows":
        """Say studies in words, as far as the caller may see them (blocking)."""
        if not may(caller, Action.FIND):
            return [_Named(uid, "", "", "") for uid in studies]
        rows: list[_Named] = []
        for uid in studies[:MOST_STUDIES]:
            matches = find(self._desk.archive, caller, Level.STUDY, _ONE_STUDY, StudyInstanceUID=uid).matches
            seen = study_facts(matches[0]) if matches else None
            rows.append(
                _Named(uid, "", "", "") if seen is None else _Named(uid, seen.title or uid, seen.patient, seen.moment)
            )
        return rows

    # --- making one to receive --------------------------------------------------------

    async def receive_form(self, asked: Asked) -> Response:
        if not may_receive(asked.caller):
            raise Denied("Links to send studies in by are made by those who decide over quarantine.")
        return self._receive_form(asked, {}, "")

    def _receive_form(self, asked: Asked, fields: dict[str, str], error: str) -> Response:
        return page(
            asked.request,
            "sharing/receive.html",
            caller=asked.caller,
            status=400 if error else 200,
            fields=fields,
            days=self._days(),
            error=error,
            most_files=MOST_FILES,
            most_note=MOST_NOTE,
        )

    async def receive(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            created = await self._desk.threads.run(self._receive, asked.caller, fields)
        except BadInput as error:
            if wants_json(asked.request):
                raise
            return self._receive_form(asked, fields, error.message)
        return self._created(asked, created)

    def _receive(self, caller: Caller, fields: dict[str, str]) -> CreatedShare:
        return self._sharing.shares.receive(
            caller,
            note=fields.get("note", ""),
            life=_life(fields),
            lock=_lock(fields),
            most_files=_number(fields, "most_files", MOST_FILES),
            most_octets=_number(fields, "most_gib", 20) * _GIB,
        )

    # --- one of them --------------------------------------------------------------------

    def _created(self, asked: Asked, created: CreatedShare) -> Response:
        """Show a link, this once."""
        link = self._desk.origin(asked.request.headers["host"]) + path_of_share(created)
        if wants_json(asked.request):
            return JSONResponse(
                {**as_json(created.share, asked.caller, counts=True), "link": link, "code": created.code}, 201
            )
        width, path = qr_path(link)
        return page(
            asked.request,
            "sharing/made.html",
            caller=asked.caller,
            share=created.share,
            link=link,
            code=created.code,
            qr_width=width,
            qr=path,
            practice=self._sharing.practice,
        )

    async def one(self, asked: Asked) -> Response:
        shares, caller = self._sharing.shares, asked.caller
        id_ = str(asked.request.path_params["share"])[:64]
        share = await self._desk.threads.run(shares.get, caller, id_)
        accesses = await self._desk.threads.run(shares.accesses, caller, id_)
        if wants_json(asked.request):
            done = [
                {
                    "time": each.time.isoformat(),
                    "from": each.peer,
                    "action": each.action,
                    "outcome": each.outcome.value,
                    "study": each.study_uid,
                    "times": each.times,
                }
                for each in accesses
            ]
            return JSONResponse({**as_json(share, asked.caller, counts=share.counts(shares.now)), "accesses": done})
        return page(
            asked.request,
            "sharing/link.html",
            caller=caller,
            share=share,
            named=await self._desk.threads.run(self._named, caller, share.studies),
            accesses=accesses,
            is_open=share.counts(shares.now),
            words=_WORDS,
        )

    async def revoke(self, asked: Asked) -> Response:
        id_ = str(asked.request.path_params["share"])[:64]
        share = await self._desk.threads.run(self._sharing.shares.revoke, asked.caller, id_)
        if wants_json(asked.request):
            return JSONResponse(as_json(share, asked.caller, counts=False))
        return see_other(f"{PATH}/{share.id}")

    def _days(self) -> tuple[int, ...]:
        longest, usual = self._sharing.shares.longest.days, self._sharing.shares.life.days
        offered = {day for day in _DAYS if day <= longest} | {usual, longest}
        return tuple(sorted(offered - {usual})) if usual not in offered else (usual, *sorted(offered - {usual}))


Rows = list[_Named]

_WORDS: Final = {
    "signin": "opened the link",
    "signout": "closed it",
    "look": "looked at images",
    "get": "looked at images, or opened the viewer",
    "export": "downloaded",
    "submit": "sent images in",
}
"""What was done, as its maker reads it: English texts that are translated when they are shown."""


def as_json(share: Share, caller: Caller, *, counts: bool) -> dict[str, object]:
    """Write a link for programs; a note, which may name a patient, for its maker alone, or for whom it is shown to."""
    is_told = share.issuer == str(caller) or share.kind is ShareKind.RECEIVE
    return share_as_json(share, counts=counts) | {"note": share.note if is_told else ""}


def _uids(text: str) -> tuple[str, ...]:
    """Read Study Instance UIDs; raises ``NotHere`` where one is none."""
    try:
        return tuple(dict.fromkeys(parse_uid(each) for each in text.split()[: MOST_STUDIES + 1]))
    except BadInput:
        raise NotHere("There is no such study here.") from None


def _choice(fields: dict[str, str], name: str, *words: str) -> str:
    """Read one of some words; the first when nothing is said."""
    word = fields.get(name, words[0])
    if word not in words:
        raise BadInput(f"{name.capitalize()} is one of {', '.join(words)}.")
    return word


def _lock(fields: dict[str, str]) -> ShareLock:
    return ShareLock(_choice(fields, "lock", *(each.value for each in ShareLock)))


def _life(fields: dict[str, str]) -> timedelta | None:
    return timedelta(days=_number(fields, "days", 0)) if fields.get("days", "").strip() else None


def _number(fields: dict[str, str], name: str, usual: int) -> int:
    text = fields.get(name, "").strip() or str(usual)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput(f"{name.replace('_', ' ').capitalize()} is to be a whole number.")
    return int(text)
