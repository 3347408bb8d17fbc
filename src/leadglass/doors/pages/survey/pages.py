"""The survey in a browser: what is open in the network, whose it is, who was told, and when it is looked at again.

Rule 1. Nothing is sent from here; the page says which command does. Rule 2. A page
decides nothing: the follow-up lets in, and puts on record. Rule 3. Reports and letters
leave as files: no page of ours runs under another's policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from getpass import getuser
from http import HTTPStatus
from ipaddress import ip_network
from shlex import quote as shell_quote
from typing import Final
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse, Response

from leadglass import languages
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.menu import may
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.survey.choosing import SHOWN, Choice, chosen
from leadglass.doors.web.forms import fields_of, needed, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Conflict, LeadglassError, NotHere
from leadglass.followup import MEDIA, Endpoint, Overview, Stage
from leadglass.policy.action import Action
from leadglass.survey.entries import Asset
from leadglass.survey.findings import Severity
from leadglass.survey.recipes import RECIPES
from leadglass.survey.report import charts
from leadglass.survey.report.listing import entry_as_json
from leadglass.survey.report.page import RUNGS, VANTAGES
from leadglass.survey.standing import CLOSED, LONGEST_ACCEPTED, Standing
from leadglass.survey.state import Status

PATH: Final = "/survey"

_ON_A_PAGE: Final = 50
_SHOWN_RUNS: Final = 24

KINDS: Final = {
    Severity.CRITICAL: "bad", Severity.HIGH: "bad", Severity.MEDIUM: "warn", Severity.LOW: "", Severity.INFO: "",
}  # fmt: skip
"""How each severity is marked."""

STANDINGS: Final = {
    Standing.OPEN: ("open", "bad"),
    Standing.TOLD: ("told", "warn"),
    Standing.FIXED_UNVERIFIED: ("said to be fixed", ""),
    Standing.FIXED_VERIFIED: ("fixed, verified", "good"),
    Standing.GONE: ("gone", "good"),
    Standing.REGRESSED: ("back", "bad"),
    Standing.ACCEPTED: ("accepted", ""),
}
"""What each standing is called on the page, and how it is marked."""

DONE: Final = {
    "assigned": "It is assigned.",
    "told": "It is noted that the owner was told. Re-tests are due 7, 30 and 60 days after the first time.",
    "fixed": "It is noted that it is said to be fixed. It counts as fixed when a survey looked and did not find it.",
    "accepted": "It is accepted until that day; then it is open again.",
}
"""What is said after a form did what it is for."""

ENDED: Final = {Status.DONE: "is done", Status.STOPPED: "was stopped", Status.RUNNING: "goes on, or was cut off"}
"""How a run stands, after 'Survey 3'."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong with a form: what, and what was typed."""

    error: LeadglassError
    about: str
    fields: dict[str, str]


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _Survey(desk)
    return [
        Route(PATH, ("GET",), pages.show, summary="What surveys of the network found, and where it stands."),
        Route(PATH, ("POST",), pages.search, summary="Choose what is shown of it."),
        Route(f"{PATH}/at/{{address}}/{{port}}", ("GET",), pages.endpoint, summary="One endpoint of it."),
        Route(f"{PATH}/assign", ("POST",), pages.assign, summary="Say whose an address or a network is."),
        Route(f"{PATH}/told", ("POST",), pages.told, summary="Say that an owner was told."),
        Route(f"{PATH}/fixed", ("POST",), pages.fixed, summary="Say that a finding is fixed."),
        Route(f"{PATH}/accept", ("POST",), pages.accept, summary="Accept a finding until a day."),
        Route(f"{PATH}/letter", ("POST",), pages.letter, summary="Write the letter to an owner."),
        Route(f"{PATH}/report", ("POST",), pages.report, summary="Take out a report."),
    ]


class _Survey:
    def __init__(self, desk: PagesDesk) -> None:
        self._desk = desk
        self._survey = desk.survey
        self._threads = desk.threads

    # --- the overview -----------------------------------------------------------------

    async def show(self, asked: Asked) -> Response:
        return await self._overview(asked)

    async def search(self, asked: Asked) -> Response:
        choice = chosen(await fields_of(asked.request))
        said = {name: value for name, value in choice.to_query().items() if value}
        return see_other(f"{PATH}?{urlencode(said)}" if said else PATH)

    async def _overview(self, asked: Asked, *, fault: _Fault | None = None) -> Response:
        query = dict(asked.request.query_params)
        overview = await self._threads.run(self._survey.overview, asked.caller)
        if wants_json(asked.request):
            if fault is not None:
                raise fault.error
            return JSONResponse(_as_json(overview))
        today = self._survey.today
        choice = chosen(query if asked.request.method in ("GET", "HEAD") else {})
        rows = choice.of(overview, today)
        number = min(choice.page, max(1, -(-len(rows) // _ON_A_PAGE)))
        command = "" if overview.file is None else shell_quote(str(overview.file))
        return page(
            asked.request,
            "survey/survey.html",
            caller=asked.caller,
            status=HTTPStatus.OK if fault is None else problem_of(fault.error).status,
            done=DONE.get(query.get("done", ""), ""),
            error="" if fault is None else fault.error.message,
            about="" if fault is None else fault.about,
            fields={} if fault is None else fault.fields,
            may_change=may(asked.caller, Action.MANAGE),
            overview=overview,
            stages=Stage,
            today=today,
            tabs=[(name, label, choice.address(show=name, page=1), len(Choice(show=name).of(overview, today)))
                  for name, label in SHOWN.items()],
            choice=choice,
            rows=rows[(number - 1) * _ON_A_PAGE : number * _ON_A_PAGE],
            found=len(rows),
            number=number,
            newer=choice.address(page=number - 1) if number > 1 else "",
            older=choice.address(page=number + 1) if number * _ON_A_PAGE < len(rows) else "",
            owners=sorted({row.asset.owner for row in overview.endpoints if row.asset and row.asset.owner}),
            units=sorted({row.asset.unit for row in overview.endpoints if row.asset and row.asset.unit}),
            unowned=sum(1 for row in overview.endpoints if row.open and not (row.asset and row.asset.owner)),
            counts=_counts(overview, today),
            chart=_trend(overview),
            points=list(reversed(overview.trend))[:_SHOWN_RUNS],
            ended=ENDED,
            path_of=path_of,
            kinds=KINDS,
            standings=STANDINGS,
            rungs=RUNGS,
            severities=list(reversed(Severity)),
            vantage="" if overview.run is None else VANTAGES.get(overview.run.vantage, overview.run.vantage),
            commands=_commands(command, str(self._desk.folder)),
            user=getuser(),
            forms=list(MEDIA),
            languages=languages.known(),
        )  # fmt: skip

    # --- one endpoint ---------------------------------------------------------------------

    async def endpoint(self, asked: Asked) -> Response:
        parameters = asked.request.path_params
        address, port = str(parameters["address"]), str(parameters["port"])
        return await self._endpoint(asked, address, port)

    async def _endpoint(self, asked: Asked, address: str, port: str, *, fault: _Fault | None = None) -> Response:
        if not (port.isascii() and port.isdigit() and len(port) < 6):
            raise NotHere("Nothing is followed at that endpoint.")
        at = "" if address == _FILE else address
        found, followed = await self._threads.run(self._survey.endpoint, asked.caller, at, int(port))
        if wants_json(asked.request):
            if fault is not None:
                raise fault.error
            return JSONResponse([entry_as_json(each.entry, found.asset) for each in followed])
        today = self._survey.today
        return page(
            asked.request,
            "survey/endpoint.html",
            caller=asked.caller,
            status=HTTPStatus.OK if fault is None else problem_of(fault.error).status,
            done=DONE.get(asked.request.query_params.get("done", ""), ""),
            error="" if fault is None else fault.error.message,
            about="" if fault is None else fault.about,
            fields={} if fault is None else fault.fields,
            may_change=may(asked.caller, Action.MANAGE),
            endpoint=found,
            followed=followed,
            recipes={each.id: each for each in RECIPES.values()},
            today=today,
            latest=today + LONGEST_ACCEPTED,
            closed=CLOSED,
            kinds=KINDS,
            standings=STANDINGS,
            rungs=RUNGS,
            vantages=VANTAGES,
        )

    # --- changing -------------------------------------------------------------------------

    async def assign(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            asset = _asset(fields)
            await self._threads.run(self._survey.assign, asked.caller, asset)
        except (BadInput, NotHere) as error:
            return await self._again(asked, _Fault(error, "assign", fields))
        return self._done(asked, fields, "assigned")

    async def told(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            if owner := fields.get("owner", ""):
                await self._threads.run(self._survey.told_owner, asked.caller, owner)
            else:
                which = needed(fields, "which")
                await self._threads.run(self._survey.told, asked.caller, which, fields.get("note", ""))
        except (BadInput, NotHere, Conflict) as error:
            return await self._again(asked, _Fault(error, f"told {fields.get('which', '')}", fields))
        return self._done(asked, fields, "told")

    async def fixed(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            which = needed(fields, "which")
            await self._threads.run(self._survey.fixed, asked.caller, which, fields.get("note", ""))
        except (BadInput, NotHere, Conflict) as error:
            return await self._again(asked, _Fault(error, f"fixed {fields.get('which', '')}", fields))
        return self._done(asked, fields, "fixed")

    async def accept(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        try:
            which, until, reason = needed(fields, "which"), _day(needed(fields, "until")), needed(fields, "reason")
            await self._threads.run(self._survey.accept, asked.caller, which, until, reason)
        except (BadInput, NotHere, Conflict) as error:
            return await self._again(asked, _Fault(error, f"accept {fields.get('which', '')}", fields))
        return self._done(asked, fields, "accepted")

    def _done(self, asked: Asked, fields: dict[str, str], done: str) -> Response:
        if wants_json(asked.request):
            return JSONResponse({"done": DONE[done]})
        return see_other(f"{_back(fields)}?done={done}")

    async def _again(self, asked: Asked, fault: _Fault) -> Response:
        """Show the page a form was on once more, with what is wrong and what was typed."""
        if wants_json(asked.request):
            raise fault.error
        address, port = fault.fields.get("address", ""), fault.fields.get("at_port", "")
        if address:
            return await self._endpoint(asked, address, port, fault=fault)
        return await self._overview(asked, fault=fault)

    # --- what is taken out ------------------------------------------------------------------

    async def letter(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        owner, language = needed(fields, "owner"), fields.get("language", languages.ENGLISH)[:35]
        try:
            written = await self._threads.run(self._survey.letter, asked.caller, owner, language)
        except NotHere as error:
            return await self._again(asked, _Fault(error, "letter", fields))
        if fields.get("as", "") == "file":
            return _file(written.text, "text/plain; charset=utf-8", "leadglass-notice.txt")
        if wants_json(asked.request):
            return JSONResponse({"subject": written.subject, "body": written.body, "reminder": written.is_reminder})
        return page(
            asked.request,
            "survey/letter.html",
            caller=asked.caller,
            owner=owner,
            letter=written,
            spoken=languages.chosen(language),
            languages=languages.known(),
        )

    async def report(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        form, number = fields.get("form", "html"), fields.get("run", "")
        language = fields.get("language", languages.ENGLISH)[:35]
        if number and not (number.isascii() and number.isdigit() and len(number) < 10):
            raise BadInput("A run is a number.")
        run, text = await self._threads.run(
            self._survey.report, asked.caller, form, int(number) if number else None, language
        )
        return _file(text, MEDIA[form], f"leadglass-survey-{run.number}.{form}")


_FILE: Final = "file"
"""Stands for the address of what was found in a configuration file."""


def path_of(endpoint: Endpoint) -> str:
    """Give the page of an endpoint."""
    return f"{PATH}/at/{quote(endpoint.address or _FILE, safe=':')}/{endpoint.port}"


def _back(fields: dict[str, str]) -> str:
    """Give the page that a form was on."""
    address, port = fields.get("address", "")[:64], fields.get("at_port", "")[:5]
    return f"{PATH}/at/{quote(address, safe=':')}/{quote(port, safe='')}" if address else PATH


def _file(text: str, media_type: str, name: str) -> Response:
    """Give a text as a file: never as a page of this archive."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text.encode(), headers=headers, media_type=media_type)


def _asset(fields: dict[str, str]) -> Asset:
    port = fields.get("port", "").strip() or "0"
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536):
        raise BadInput("A port is a number from 1 to 65535; 0 is every port.")
    try:
        network = ip_network(needed(fields, "network").strip())
    except ValueError:
        raise BadInput("That is no address and no network. Write it like 192.0.2.10 or 192.0.2.0/28.") from None
    names = {each: fields.get(each, "") for each in ("unit", "owner", "contact")}
    if not any(each.strip() for each in names.values()):
        raise BadInput("Say whose it is: a unit, an owner or a contact.")
    return Asset(network, int(port), **names)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput("Give the last day as in 2027-06-30.") from None


def _counts(overview: Overview, today: date) -> dict[str, int]:
    entries = overview.entries
    standing = [each.standing for each in entries]
    return {
        "open": sum(each in {Standing.OPEN, Standing.TOLD, Standing.REGRESSED} for each in standing),
        "claimed": standing.count(Standing.FIXED_UNVERIFIED),
        "accepted": standing.count(Standing.ACCEPTED),
        "closed": sum(each in CLOSED for each in standing),
        "due": sum(each.due is not None and each.due <= today for each in entries),
    }


def _trend(overview: Overview) -> object:
    if not overview.trend:
        return ""
    return charts.trend(
        "New, back and gone by survey",
        [
            charts.Moment(each.run.started.date().isoformat(), each.tally.new, each.tally.back, each.tally.gone)
            for each in overview.trend
        ],
    )


def _commands(scope: str, folder: str) -> dict[str, str]:
    beside = shell_quote(f"{folder}/clinic.toml")
    return {
        "init": f"leadglass survey init {scope or beside}",
        "run": f"leadglass survey run {scope or beside}",
        "resume": f"leadglass survey run {scope} --resume",
        "due": f"leadglass survey retest {scope} --due",
    }


def _as_json(overview: Overview) -> dict[str, object]:
    run = overview.run

    def whose(rows: Sequence[Endpoint]) -> list[dict[str, object]]:
        return [entry_as_json(each, row.asset) | {"path": path_of(row)} for row in rows for each in row.entries]

    return {
        "stage": overview.stage.value,
        "fault": overview.fault or None,
        "run": None if run is None else {
            "number": run.number, "started": run.started.isoformat(), "status": run.status.value,
            "vantage": run.vantage, "level": run.level, "targets": run.targets, "looked_at": run.done,
            "answered": run.open,
        },
        "tally": {"new": overview.tally.new, "back": overview.tally.back, "gone": overview.tally.gone,
                  "still": overview.tally.still},
        "entries": whose(overview.endpoints),
        "owners": [{"owner": each.owner, "untold": each.untold, "still": each.still,
                    "remind": each.remind.isoformat() if each.remind else None} for each in overview.owed],
        "trend": [{"run": each.run.number, "started": each.run.started.isoformat(), "new": each.tally.new,
                   "back": each.tally.back, "gone": each.tally.gone, "still": each.tally.still}
                  for each in overview.trend],
    }  # fmt: skip
