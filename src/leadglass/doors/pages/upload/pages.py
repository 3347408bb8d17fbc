"""The page for sending files in, and the routes that take them: for people, and for who has a link to send by.

Rule 1. What somebody may send, and where it goes, the archive decides, here as for
STOW-RS. Rule 2. The form works without scripts; the script sends the same form,
some files at a time. Rule 3. What is asked before sending tells no more than
sending would.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from leadglass.archive.backroom import Mark
from leadglass.dicom.uids import parse_uid
from leadglass.doors.dicomweb.multipart import Malformed, TooManyParts
from leadglass.doors.dicomweb.stow_share import Share
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.page import page
from leadglass.doors.pages.sharing.taking import Taking
from leadglass.doors.pages.upload.intake import Spools, Upload, progress, unpacking
from leadglass.doors.pages.upload.results import Outcome, as_json, summary_of
from leadglass.doors.web import cookie
from leadglass.doors.web.begun import blocks_of
from leadglass.doors.web.cookie import csrf_token
from leadglass.doors.web.evidence import peer_of
from leadglass.doors.web.forms import wants_json
from leadglass.doors.web.problem import HttpFault, problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Denied, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import CallerKind
from leadglass.policy.permit import entry

PATH: Final = "/upload"

MOST_BYTES: Final = 1 << 40
"""Bytes of one request. Each instance has a limit of its own, and the disk has one; this one is for counters."""
_MOST_ASKED: Final = 200
"""Files that are asked about at one time."""
_EVERY: Final = 1.0
"""Seconds between two signs of life while a ZIP is unpacked."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One file that somebody wants to know about."""

    uid: Annotated[str, msgspec.Meta(max_length=64)]
    sha256: Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern="^[0-9a-f]*$")]


class _Questions(msgspec.Struct, forbid_unknown_fields=True):
    files: Annotated[list[_Asked], msgspec.Meta(max_length=_MOST_ASKED)]


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Pages(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="The page for sending files in."),
        Route(
            f"{PATH}/files",
            ("POST",),
            pages.take,
            summary="Send files in: DICOM files and ZIPs of them.",
            body_bytes=MOST_BYTES,
        ),
        Route(f"{PATH}/known", ("POST",), pages.known, summary="Say which files need not be sent again."),
        Route(f"{PATH}/session", ("GET",), pages.session, summary="Who sends, and what its forms have to carry."),
    ]


class _Pages:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk
        self._share = Share()
        self._unpacking = unpacking()
        self._spools = Spools()

    async def show(self, asked: Asked) -> Response:
        """Show the page to who may use it."""
        if not await self._may(asked):
            raise Denied("The caller may send nothing in.")
        return page(asked.request, "upload/upload.html", caller=asked.caller)

    async def _may(self, asked: Asked) -> bool:
        actions = frozenset({entry(asked.caller)})
        return bool(await self._desk.threads.run(self._desk.archive.offers, asked.caller, actions))

    async def session(self, asked: Asked) -> Response:
        """Say who sends: after signing in anew in another tab the page goes on with it."""
        if not await self._may(asked):
            raise Denied("The caller may send nothing in.")
        waits = entry(asked.caller) is Action.SUBMIT
        csrf = csrf_token(asked.request, asked.caller)
        return JSONResponse({"name": asked.caller.name, "csrf": csrf, "waits": waits})

    async def known(self, asked: Asked) -> Response:
        """Say of each file whether sending it would change nothing."""
        questions = await _questions(asked.request)
        archive = self._desk.archive
        known = await self._desk.threads.run(archive.quarantine.known, asked.caller, questions)
        return JSONResponse({"known": known})

    async def take(self, asked: Asked) -> Response:
        """Take files in."""
        with self._share.request(str(asked.caller)):
            taking = await self._taking(asked)
            upload = Upload(
                self._desk.archive,
                asked.caller,
                self._desk.threads,
                self._share,
                self._unpacking,
                self._spools,
                None if taking is None else taking.member,
                self._looking_again(asked) if taking is None else taking.require,
            )
            try:
                await upload.receive(asked.request)
            except (Malformed, TooManyParts) as error:
                await upload.abandon()
                raise HttpFault(HTTPStatus.BAD_REQUEST, f"{error.message} Send it again.") from None
            except BaseException:
                await upload.abandon()
                raise
            became = asyncio.create_task(self._close(upload, taking))
            if wants_json(asked.request):
                return StreamingResponse(_lines(upload, became), media_type="application/x-ndjson")
            try:
                outcomes = await asyncio.shield(became)
            except asyncio.CancelledError:
                await upload.abandon()
                raise
        if not outcomes:
            error = "Choose one or more files first."
            return page(asked.request, "upload/upload.html", caller=asked.caller, status=400, error=error)
        return page(asked.request, "upload/done.html", caller=asked.caller, summary=summary_of(outcomes))

    def _looking_again(self, asked: Asked) -> Callable[[], object] | None:
        """Give what finds out whether a session goes on; None for who has none. Sending is a use of it."""
        secret = cookie.secret_of(asked.request) if asked.caller.kind is CallerKind.PERSON else None
        if secret is None:
            return None
        sessions, peer = self._desk.sharing.sessions, peer_of(asked.request)

        def look() -> None:
            try:
                sessions.caller(secret, peer)
            except Denied:
                raise HttpFault(
                    HTTPStatus.UNAUTHORIZED, "Your session has ended. Sign in again, then send the rest."
                ) from None

        return look

    async def _taking(self, asked: Asked) -> Taking | None:
        """Begin to count what comes by a link; None for everybody else."""
        if asked.caller.kind is not CallerKind.LINK:
            return None
        said = asked.request.headers.get("content-length")
        length = int(said) if said is not None else None  # the server has looked at it
        return await self._desk.threads.run(Taking, self._desk.sharing.shares, asked.caller.name, length)

    async def _close(self, upload: Upload, taking: Taking | None) -> list[Outcome]:
        outcomes = await upload.close()
        if taking is not None:
            await self._desk.threads.run(taking.settle, outcomes)
        return outcomes


async def _lines(upload: Upload, became: "asyncio.Task[list[Outcome]]") -> AsyncGenerator[bytes]:
    """Give signs of life, then what became of the files: one JSON object a line."""
    try:
        async for done in progress(upload, became, _EVERY):
            yield _line({"unpacked": done})
        try:
            yield _line(as_json(became.result()))
        except LeadglassError as error:
            problem = problem_of(error)
            yield _line({"error": problem.detail or problem.title, "again": problem.status >= 429})
    finally:
        if not became.done():
            await upload.abandon()


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


async def _questions(request: Request) -> list[Mark]:
    body = bytearray()
    async for block in blocks_of(request):
        body += block
        if len(body) > _MOST_ASKED * 256:
            raise BadInput(f"At most {_MOST_ASKED} files are asked about at one time.")
    try:
        questions = msgspec.json.decode(bytes(body), type=_Questions)
    except (msgspec.MsgspecError, RecursionError):
        raise BadInput('The body is to be {"files": [{"uid": …, "sha256": …}, …]}.') from None
    return [Mark(parse_uid(each.uid), bytes.fromhex(each.sha256)) for each in questions.files]
