"""Server-sent events: studies that are new, changed or gone, told as it happens.

``GET /dicom-web/events`` (WHATWG HTML, server-sent events). Rule 1. It says what
the change feed says, a study at a time: its ids are the feed's cursors, and who
comes back with Last-Event-ID misses nothing. Rule 2. Who asks is found out again
and again; when nobody is found, the stream ends. Rule 3. So many listeners and no
more, of one caller and in all.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from leadglass.archive.changed import ChangeKind, Changes
from leadglass.doors.dicomweb.accept import Offer, accept_of, choose
from leadglass.doors.dicomweb.changes import LONGEST_CURSOR
from leadglass.doors.dicomweb.paths import ROOT
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput, Busy, LeadglassError
from leadglass.policy.caller import Caller

EVENTS: Final = f"{ROOT}/events"
MEDIA_TYPE: Final = "text/event-stream"
_OFFERS: Final = (Offer(MEDIA_TYPE, is_related=False),)
_NOW: Final = "now"


@dataclass(frozen=True, slots=True)
class EventsPace:
    """How often is looked, and how many may listen; seconds.

    Parameters
    ----------
    look : float
        Between two looks for something new.
    prove : float
        Between two times that who listens is found out.
    heartbeat : float
        After which a comment is sent when there is nothing to tell.
    listeners, listeners_per_caller : int
        At one time.
    limit : int
        Changes read at a time.
    """

    look: float = 1.0
    prove: float = 5.0
    heartbeat: float = 15.0
    listeners: int = 64
    listeners_per_caller: int = 4
    limit: int = 1_000


class _Told(msgspec.Struct, omit_defaults=True):
    """What an event says."""

    study: str
    stored: int = 0
    removed: int = 0


class Events:
    """The listeners of one door.

    Parameters
    ----------
    services : Services
        What handlers work with.
    pace : EventsPace
        How often, and how many.
    """

    def __init__(self, services: Services, pace: EventsPace | None = None) -> None:
        self._services = services
        self._pace = pace or EventsPace()
        self._listening: Counter[str] = Counter()

    async def listen(self, asked: Asked) -> Response:
        """Begin to tell one listener."""
        request = asked.request
        choose(accept_of(request), _OFFERS)
        if set(request.query_params) - {"accept"}:
            raise BadInput("There are no parameters here. Come back with the field Last-Event-ID.")
        cursor = request.headers.get("last-event-id", _NOW) or _NOW
        if len(cursor) > LONGEST_CURSOR:
            raise BadInput("Last-Event-ID is no cursor.")
        name = str(asked.caller)
        if self._listening.total() >= self._pace.listeners or self._listening[name] >= self._pace.listeners_per_caller:
            raise Busy("Too many listen at one time. End one of them, or use the change feed.")
        self._listening[name] += 1
        try:
            first = await self._changes(asked.caller, cursor, record=True)
        except BaseException:
            self._leave(name)
            raise
        return StreamingResponse(
            self._told(asked, name, first), headers={"Content-Type": MEDIA_TYPE, "X-Accel-Buffering": "no"}
        )

    def _leave(self, name: str) -> None:
        self._listening[name] -= 1
        if not self._listening[name]:
            del self._listening[name]

    async def _changes(self, caller: Caller, cursor: str, *, record: bool = False) -> Changes:
        def look() -> Changes:
            return self._services.archive.changes(caller, cursor, self._pace.limit, record=record)

        return await self._services.threads.run(look)

    async def _told(self, asked: Asked, name: str, found: Changes) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 5000\n\n"
            async for block in self._blocks(asked, found):
                yield block
        except LeadglassError:
            return  # not permitted any more, or not now: whoever listens comes back and hears why
        finally:
            self._leave(name)

    async def _blocks(self, asked: Asked, found: Changes) -> AsyncIterator[bytes]:
        """Give events as they come, until nobody is proven to listen any more."""
        pace, loop = self._pace, asyncio.get_running_loop()
        caller: Caller | None = asked.caller
        yield _events(found)
        cursor, newest = found.next, -1
        proven = spoken = loop.time()
        while True:
            if found.is_last:
                await asyncio.sleep(pace.look)
            now = loop.time()
            if now - proven >= pace.prove:
                caller = await asked.again() if asked.again is not None else caller
                proven = now
            if caller is None:
                return
            seen = await self._services.threads.run(self._services.archive.newest_change, caller)
            if seen == newest and found.is_last:
                if now - spoken >= pace.heartbeat:
                    yield b":\n\n"
                    spoken = now
                continue
            found = await self._changes(caller, cursor)
            newest = seen
            if found.entries:
                yield _events(found)
                spoken = now
            cursor = found.next


def _events(found: Changes) -> bytes:
    """Give changes as events: one for each study, in the order of their last change; the last has the cursor."""
    kinds: dict[str, str] = {}
    told: dict[str, _Told] = {}
    for change in found.entries:
        study = change.study_uid
        before = kinds.pop(study, "")
        said = told.setdefault(study, _Told(study))
        match change.kind:
            case ChangeKind.STUDY_DELETED:
                kinds[study] = "study-deleted"
                told[study] = _Told(study)
                continue
            case ChangeKind.STUDY_NEW:
                before = "study-new"
            case ChangeKind.INSTANCE_STORED:
                said.stored += 1
            case ChangeKind.INSTANCE_REMOVED:
                said.removed += 1
            case ChangeKind.STUDY_CHANGED:
                pass
        kinds[study] = before if before == "study-new" else "study-changed"
    blocks = [
        b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(told[study]) + b"\n"
        for study, kind in kinds.items()
    ]
    cursor = b"id: " + found.next.encode() + b"\n"
    if not blocks:
        return cursor + b"\n"  # no event, and yet where to go on from
    blocks[-1] += cursor
    return b"\n".join(blocks) + b"\n"


def routes(services: Services) -> list[Route]:
    """Give the route of the events."""
    events = Events(services)
    summary = "Studies that are new, changed or gone, as it happens"
    return [Route(EVENTS, ("GET",), events.listen, summary=summary, proves_again=True)]
