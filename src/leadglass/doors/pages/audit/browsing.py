"""The audit log in a browser: found, read, verified and given away by who may read it.

Rule 1. Every look is on record, the search with it. Rule 2. A Patient ID is in no
address: what was searched for is remembered under a random word, for its session.
Rule 3. Of a patient nothing is shown but which studies the log knows: no names, no
images, not whether there is anything else.
"""

from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from leadglass.audit.event import Outcome
from leadglass.audit.inspection import FORMATS, NEWEST, Inspection, Leaf, Verified, Verifying
from leadglass.audit.record import Record, escape
from leadglass.doors.dicomweb.pumping import Prepared, respond
from leadglass.doors.pages.audit import asking, words
from leadglass.doors.pages.audit.asking import Search
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.remembered import Remembered
from leadglass.doors.web.forms import fields_of, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Busy, LeadglassError
from leadglass.policy.caller import Caller

PATH: Final = "/audit"
VERIFY: Final = "/audit/verify"

_ON_A_PAGE: Final = 50
_MOST_AT_ONCE: Final = 1_000
"""Records that a program is given at once."""

_DETAILS: Final = 400
"""Characters of one detail that are shown on a page."""
_NAME: Final = 80
"""Likewise of a name."""

_TYPES: Final = {
    "leadglass": ("application/jsonl", "jsonl"),
    "dicom-xml": ("text/plain; charset=utf-8", "dicom-xml.txt"),
    "fhir": ("application/fhir+ndjson", "ndjson"),
}


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Audit(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="The audit log, newest first."),
        Route(PATH, ("POST",), pages.search, summary="Search it."),
        Route(VERIFY, ("GET",), pages.verification, summary="What the last verification came to."),
        Route(VERIFY, ("POST",), pages.verify, summary="Have every record hashed again."),
        Route(f"{PATH}/export", ("POST",), pages.export, summary="Take records out."),
    ]


class _Audit:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk
        self._inspection = Inspection(
            desk.audit, door="pages", source=desk.config.ae_title, ended=self._verification_ended
        )
        self._searches: Remembered[Search] = Remembered()

    # --- looking ------------------------------------------------------------------

    async def show(self, asked: Asked) -> Response:
        query = asked.request.query_params
        word = query.get("s", "")[:32]
        search = self._searches.get(_session(asked.caller), word) if word else None
        is_forgotten = bool(word) and search is None
        if search is None:
            word = ""
            fields = asking.typed(dict(query))
            fields.pop("patient", None)  # never by an address
            try:
                search = Search(fields, asking.selection_of(fields))
            except BadInput as error:
                await self._desk.threads.run(self._inspection.state, asked.caller)  # first, who may not read it at all
                if wants_json(asked.request):
                    raise
                return await self._page(asked, Search(_bounded(fields), asking.selection_of({})), "", None, error=error)
        before = _number(query.get("before", ""), NEWEST)
        count = min(_number(query.get("limit", ""), _ON_A_PAGE), _MOST_AT_ONCE) if wants_json(asked.request) else 0
        leaf = await self._desk.threads.run(
            self._inspection.look, asked.caller, search.selection, before, count or _ON_A_PAGE
        )
        if wants_json(asked.request):
            found = [each.to_json() if isinstance(each, Record) else {"sequence": each} for each in leaf.records]
            return JSONResponse({"records": found, "older": leaf.older})
        return await self._page(asked, search, word, leaf, is_first=before == NEWEST, is_forgotten=is_forgotten)

    async def search(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        # Who may not read the log is told that, and not what was mistyped.
        await self._desk.threads.run(self._inspection.state, asked.caller)
        try:
            typed = asking.typed(fields)
            selection = asking.selection_of(typed)
        except BadInput as error:
            if wants_json(asked.request):
                raise
            return await self._page(asked, Search(_bounded(fields), asking.selection_of({})), "", None, error=error)
        studies: list[str] | None = None
        if "patient" in typed:
            studies = await self._desk.threads.run(self._desk.archive.studies_of, asked.caller, typed["patient"])
            selection = asking.of_patient(selection, studies)
        search = Search(typed, selection, None if studies is None else len(studies))
        word = self._searches.keep(_session(asked.caller), search)
        if wants_json(asked.request):
            return JSONResponse({"search": word, "studies": studies}, HTTPStatus.CREATED)
        return see_other(f"{PATH}?s={quote(word)}")

    async def _page(
        self,
        asked: Asked,
        search: Search,
        word: str,
        leaf: Leaf | None,
        *,
        is_first: bool = True,
        is_forgotten: bool = False,
        error: LeadglassError | None = None,
    ) -> Response:
        callers = await self._desk.threads.run(self._inspection.callers, asked.caller)
        back = f"{PATH}?s={quote(word)}&" if word else f"{PATH}?{_query(search)}"
        return page(
            asked.request,
            "audit/log.html",
            caller=asked.caller,
            status=HTTPStatus.OK if error is None else problem_of(error).status,
            error="" if error is None else error.message,
            search=search,
            typed=dict.fromkeys(asking.FIELDS, "") | dict(search.typed),
            word=word,
            rows=[_row(each) for each in leaf.records] if leaf else [],
            older=f"{back}before={leaf.older}" if leaf and leaf.older else "",
            newest=back.rstrip("&?"),
            is_first=is_first,
            is_recorded=leaf is None or leaf.is_recorded,
            is_forgotten=is_forgotten,
            is_narrowed=bool(search.typed),
            callers=[each for each in callers if each.isprintable() and len(each) <= _NAME],
            actions=words.ACTIONS,
            outcomes=tuple(Outcome),
            doors=words.DOORS,
        )

    # --- verifying ----------------------------------------------------------------

    async def verification(self, asked: Asked) -> Response:
        running, last = await self._desk.threads.run(self._inspection.state, asked.caller)
        return self._verification_page(asked, running, last)

    async def verify(self, asked: Asked) -> Response:
        try:
            await self._desk.threads.run(self._inspection.begin_verifying, asked.caller)
        except Busy:
            if wants_json(asked.request):
                raise
        if wants_json(asked.request):
            return JSONResponse({"done": "It runs."}, HTTPStatus.ACCEPTED)
        return see_other(VERIFY)

    def _verification_ended(self, is_whole: bool) -> None:  # noqa: FBT001 - a callback
        """Have the self-check know of it; where that cannot be written now, the log has it all the same."""
        with suppress(LeadglassError):
            self._desk.system.check.verified(0 if is_whole else 1)

    def _verification_page(self, asked: Asked, running: Verifying | None, last: Verified | None) -> Response:
        if wants_json(asked.request):
            return JSONResponse({"running": _running_as_json(running), "last": _verified_as_json(last)})
        is_part = asked.request.headers.get("hx-request") == "true"
        return page(
            asked.request,
            "audit/verify_state.html" if is_part else "audit/verify.html",
            caller=asked.caller,
            running=running,
            last=last,
        )

    # --- giving away --------------------------------------------------------------

    async def export(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        form = fields.get("format", FORMATS[0])
        word = fields.get("s", "")[:32]
        search = self._searches.get(_session(asked.caller), word) if word else None
        # Who may not read the log is told that, and not what was mistyped.
        await self._desk.threads.run(self._inspection.state, asked.caller)
        if form not in FORMATS:
            raise BadInput(f"A format is one of {', '.join(FORMATS)}.")
        if word and search is None:
            raise BadInput("The search is forgotten. Search again, then take the records out.")
        selection = search.selection if search else asking.selection_of(asking.typed(fields))
        media_type, ending = _TYPES[form]
        name = f"leadglass-audit-{self._now():%Y%m%d-%H%M%S}.{ending}"

        def prepare() -> Prepared:
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Prepared(media_type, self._inspection.give(asked.caller, form, selection), headers=headers)

        return await respond(self._desk.threads, prepare)

    def _now(self) -> datetime:
        return self._desk.tokens.now


def _session(caller: Caller) -> str:
    return f"{caller}\n{caller.session}"


def _bounded(fields: dict[str, str]) -> dict[str, str]:
    return {name: fields[name][: asking.LONGEST] for name in asking.FIELDS if fields.get(name)}


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 16 else otherwise


def _query(search: Search) -> str:
    """Give a search that names nobody as an address has it."""
    return "".join(f"{name}={quote(value)}&" for name, value in search.typed.items() if name != "patient")


def _row(record: Record | int) -> dict[str, object]:
    """Give one record as the page shows it."""
    if isinstance(record, int):
        return {"sequence": record, "is_readable": False}
    event = record.event
    said = {key: str(value) for key, value in event.detail.items()}
    return {
        "sequence": record.sequence,
        "is_readable": True,
        "time": record.time,
        "outcome": event.outcome,
        "kind": {Outcome.REFUSED: "bad", Outcome.ALERT: "bad", Outcome.FAILED: "warn"}.get(event.outcome, ""),
        "who": _cut(words.who(event), _NAME),
        "caller": _cut(event.caller),
        "sentence": _cut(words.sentence(event)),
        "peer": _cut(event.peer, _NAME),
        "door": _cut(event.door, _NAME),
        "reason": _cut(event.reason),
        "study": event.study_uid,
        "study_shown": _cut(event.study_uid, _NAME),
        "is_emergency": event.action == "break-glass",
        "detail": [(escape(key[:64]), _cut(value)) for key, value in said.items()],
        "session": _cut(event.session, _NAME),
        "action": _cut(event.action, _NAME),
        "before": record.before,
    }


def _cut(text: str, most: int = _DETAILS) -> str:
    """Give a text as it is shown: nothing invisible in it, and bounded."""
    text = escape(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _running_as_json(running: Verifying | None) -> dict[str, object] | None:
    if running is None:
        return None
    return {
        "by": running.by,
        "began": running.began.isoformat(),
        "checked": running.checked,
        "size": running.size,
    }


def _verified_as_json(verified: Verified | None) -> dict[str, object] | None:
    if verified is None:
        return None
    found = verified.result
    said: dict[str, object] = {
        "ok": verified.is_whole,
        "by": verified.by,
        "began": verified.began.isoformat(),
        "ended": verified.ended.isoformat(),
        "reason": verified.reason or None,
    }
    if found is not None:
        said |= {
            "records": found.records,
            "checkpoints": found.checkpoints,
            "signed": found.signed,
            "root": verified.root,
            "fault": {"sequence": found.fault.sequence, "what": found.fault.what} if found.fault else None,
            "warnings": list(found.warnings),
        }
    return said
