"""The system page: how the archive stands, what is open and how long it lasts, and what to do first.

Rule: counts and names of machines, doors and accounts; nothing of a patient, and no
count for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from leadglass.doors.pages.menu import ENTRIES
from leadglass.doors.pages.page import page, see_other
from leadglass.doors.pages.system.desk import SystemDesk
from leadglass.doors.threads import Threads
from leadglass.doors.web.forms import fields_of, needed, wants_json
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, LeadglassError, NotHere
from leadglass.exposure import told
from leadglass.exposure.facts import Facts, Reach
from leadglass.exposure.finding import Finding, Severity
from leadglass.exposure.report import Acceptance, Occasion, Report
from leadglass.exposure.selfcheck import LONGEST, MOST_REASON, Standing
from leadglass.policy.caller import Caller

PATH: Final = "/system"

_BESIDES: Final = {"/account": "Your account", "/break-glass/review": "Emergency access"}
"""Where a fix may lead besides what is in the menu."""

_SHOWN_RESULTS: Final = 14

WORDS: Final = {
    Severity.CRITICAL: ("Critical: mend it now", "bad"),
    Severity.HIGH: ("High: mend it within days", "bad"),
    Severity.MEDIUM: ("Medium: mend it within weeks", "warn"),
    Severity.LOW: ("Low: when you are at it", ""),
    Severity.INFO: ("Worth knowing", ""),
}
"""What each severity is called above its findings, and how it is marked."""

_REACHES: Final = {Reach.LOOPBACK: "good", Reach.LOCAL: "", Reach.PUBLIC: "bad"}

_DONE: Final = {
    "checked": "The archive has looked at itself.",
    "accepted": "The finding is accepted, and counts so from the next look on.",
    "withdrawn": "The finding is not accepted any more, and counts again from the next look on.",
}

_OCCASIONS: Final = {
    Occasion.START: "at the start of the server",
    Occasion.NIGHT: "at night",
    Occasion.ASKED: "because somebody asked",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding as it is shown.

    Parameters
    ----------
    finding : Finding
        The finding.
    is_new : bool
        Whether the look before did not find it.
    leads_to : str
        The page where it is mended, for who looks; empty: none.
    label : str
        What that page is called.
    accepted : Acceptance, optional
        Who lives with it, and until when.
    """

    finding: Finding
    is_new: bool
    leads_to: str
    label: str
    accepted: Acceptance | None = None


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    desk = services.pages
    if desk is None:
        return []
    pages = _System(desk.system, desk.threads)
    return [
        Route(PATH, ("GET",), pages.show, summary="How the archive stands, and what to do."),
        Route(f"{PATH}/check", ("POST",), pages.check, summary="Run the self-check now."),
        Route(f"{PATH}/accept", ("POST",), pages.accept, summary="Live with a finding until a day."),
        Route(f"{PATH}/withdraw", ("POST",), pages.withdraw, summary="Live with a finding no longer."),
    ]


class _System:
    def __init__(self, desk: SystemDesk, threads: Threads) -> None:
        self._desk = desk
        self._threads = threads

    async def show(self, asked: Asked) -> Response:
        done = _DONE.get(asked.request.query_params.get("done", ""), "")
        return await self._page(asked, done=done)

    async def check(self, asked: Asked) -> Response:
        await fields_of(asked.request)
        report = await self._threads.run(self._desk.check.run, Occasion.ASKED, asked.caller)
        if wants_json(asked.request):
            standing = await self._threads.run(self._desk.check.standing, asked.caller)
            return JSONResponse(told.as_json(report, standing.acceptances))
        return see_other(f"{PATH}?done=checked")

    async def accept(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        key = fields.get("finding", "")[:200]
        try:
            until = _day(needed(fields, "until"))
            reason = needed(fields, "reason")
            made = await self._threads.run(self._desk.check.accept, asked.caller, key, until, reason)
        except (BadInput, NotHere) as error:
            if wants_json(asked.request):
                raise
            return await self._page(asked, error=error, about=key, fields=fields)
        if wants_json(asked.request):
            return JSONResponse({"finding": made.key, "until": made.until.isoformat(), "reason": made.reason})
        return see_other(f"{PATH}?done=accepted")

    async def withdraw(self, asked: Asked) -> Response:
        fields = await fields_of(asked.request)
        await self._threads.run(self._desk.check.withdraw, asked.caller, needed(fields, "finding")[:200])
        if wants_json(asked.request):
            return JSONResponse({"done": _DONE["withdrawn"]})
        return see_other(f"{PATH}?done=withdrawn")

    # --- answering -----------------------------------------------------------------

    def _known(self, caller: Caller) -> tuple[Standing, Facts | None]:
        standing = self._desk.check.standing(caller, _SHOWN_RESULTS)
        try:
            return standing, self._desk.facts()
        except (LeadglassError, OSError):
            return standing, None

    async def _page(
        self,
        asked: Asked,
        *,
        done: str = "",
        error: LeadglassError | None = None,
        about: str = "",
        fields: dict[str, str] | None = None,
    ) -> Response:
        standing, facts = await self._threads.run(self._known, asked.caller)
        if wants_json(asked.request):
            return JSONResponse(_as_json(standing, facts))
        paths = _paths(asked.caller)
        report = standing.report
        today = datetime.now(UTC).date()
        return page(
            asked.request,
            "system/system.html",
            caller=asked.caller,
            status=HTTPStatus.OK if error is None else problem_of(error).status,
            done=done,
            error="" if error is None else _said(error),
            about=about,
            fields=fields or {},
            report=report,
            word="" if report is None else in_words(report),
            occasions=_OCCASIONS,
            groups=[] if report is None else _groups(report, standing, paths),
            accepted=[] if report is None else _accepted(report, standing, paths),
            gone=standing.gone,
            new_count=len(standing.new),
            history=standing.history,
            facts=facts,
            reaches=_REACHES,
            uptime="" if facts is None or facts.running is None else spoken(facts.now - facts.running.started),
            days_left=_days_left,
            today=today,
            latest=today + LONGEST,
            most_reason=MOST_REASON,
        )


def in_words(report: Report) -> str:
    """Say in a sentence how the archive stands."""
    match report.worst:
        case Severity.CRITICAL:
            return "Something is open to whoever comes along. Mend it now."
        case Severity.HIGH:
            return "Something can be got at, or lost. Mend it within days."
        case Severity.MEDIUM:
            return "Nothing is urgent. Some walls are missing."
        case Severity.LOW | Severity.INFO:
            return "It stands well. Some things could be better."
        case Severity.OK:
            return "It stands well. There is nothing to mend."


def spoken(span: timedelta) -> str:
    """Say a span in its two largest units: ``3 days 4 hours``."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    said = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    parts = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in said if count]
    return " ".join(parts[:2]) or "less than a minute"


def _said(error: LeadglassError) -> str:
    return "That finding is not there any more." if isinstance(error, NotHere) else error.message


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput("Give the last day as in 2027-06-30.") from None


def _paths(caller: Caller) -> Mapping[str, str]:
    """Give the pages that a fix may lead a caller to, and what they are called."""
    actions = {action for grant in caller.grants for action in grant.actions}
    return _BESIDES | {entry.path: entry.label for entry in ENTRIES if entry.actions & actions}


def _groups(
    report: Report, standing: Standing, paths: Mapping[str, str]
) -> list[tuple[Severity, str, str, list[Shown]]]:
    fresh = {each.key for each in standing.new}
    found: list[tuple[Severity, str, str, list[Shown]]] = []
    for severity, (words, mark) in WORDS.items():
        these = [_shown(each, fresh, paths) for each in report.open if each.severity is severity]
        if these:
            found.append((severity, words, mark, these))
    return found


def _accepted(report: Report, standing: Standing, paths: Mapping[str, str]) -> list[Shown]:
    of_key = {each.key: each for each in standing.acceptances}
    return [
        _shown(each, frozenset(), paths, of_key.get(each.key))
        for each in report.findings
        if each.key in report.accepted
    ]


def _shown(
    finding: Finding, fresh: set[str] | frozenset[str], paths: Mapping[str, str], accepted: Acceptance | None = None
) -> Shown:
    label = paths.get(finding.fix.page, "")
    return Shown(finding, finding.key in fresh, finding.fix.page if label else "", label, accepted)


def _days_left(until: datetime, now: datetime) -> int:
    return (until - now).days


def _as_json(standing: Standing, facts: Facts | None) -> dict[str, object]:
    report = standing.report
    said: dict[str, object] = {
        "report": None if report is None else told.as_json(report, standing.acceptances),
        "history": [told.in_short(each) for each in standing.history],
    }
    if facts is None:
        return said
    storage, trail, running = facts.storage, facts.trail, facts.running
    return said | {
        "version": facts.machine.version,
        "started": None if running is None else running.started.isoformat(),
        "doors": [{"door": each.door, "address": each.address, "reach": each.reach.value} for each in facts.doors],
        "storage": {
            "studies": storage.studies,
            "instances": storage.instances,
            "octets": storage.octets,
            "free": storage.free,
            "size": storage.size,
            "octets_a_day": round(storage.growth),
            "quarantined": storage.quarantined,
        },
        "work": {
            "threads": facts.work.threads,
            "busy": facts.work.busy,
            "waiting": facts.work.waiting,
            "associations": facts.work.associations,
            "commitments": facts.work.commitments,
            "webhook_receivers": facts.work.receivers,
        },
        "certificates": [
            {
                "door": each.door,
                "until": each.certificate.not_after.isoformat(),
                "issuer": each.certificate.issuer,
                "renews_itself": each.certificate.is_ours,
                "tls": each.preferred.version,
            }
            for each in facts.secured
            if each.certificate is not None
        ],
        "key": {"source": facts.key.source, "beside": facts.key.is_beside},
        "audit": {
            "records": trail.records,
            "signed": None if trail.signed is None else trail.signed.isoformat(),
            "collector": trail.has_collector,
            "checkpoint_folder": trail.has_folder,
        },
    }
