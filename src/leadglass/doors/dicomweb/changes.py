"""The change feed: what happened in the archive, in the order in which it was committed.

``GET /dicom-web/changes?since=CURSOR&limit=N`` gives JSON; the Standard has no
such resource. Rule 1. It says ids and nothing else. Rule 2. Who may see every
study gets numbers without a gap; everybody else gets cursors that say nothing of
how much happens elsewhere. Rule 3. Whoever asks again with ``next`` misses
nothing and hears nothing twice.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from leadglass.archive.changed import Change, Changes
from leadglass.doors.dicomweb.accept import JSON, Offer, accept_of, choose
from leadglass.doors.dicomweb.parameters import once
from leadglass.doors.dicomweb.paths import ROOT
from leadglass.doors.web.routes import Asked, Route, Services
from leadglass.errors import BadInput

CHANGES: Final = f"{ROOT}/changes"

DEFAULT: Final = 1_000
MOST: Final = 10_000
"""Changes of one answer; some 2 MB."""
LONGEST_CURSOR: Final = 128

_PARAMETERS: Final = ("since", "limit")
_OFFERS: Final = (Offer(JSON, is_related=False),)


class _Entry(msgspec.Struct, omit_defaults=True):
    """One change, as it is sent; PS3.18 has no words for it."""

    cursor: str
    kind: str
    study: str
    moment: str
    instance: str = ""
    sequence: int | None = None


class _Told(msgspec.Struct):
    """An answer."""

    changes: list[_Entry]
    next: str
    last: bool


def entry_of(change: Change) -> _Entry:
    """Give a change as it is sent."""
    moment = datetime.fromtimestamp(change.moment, UTC).isoformat(timespec="seconds")
    return _Entry(change.cursor, change.kind.value, change.study_uid, moment, change.sop_instance_uid, change.sequence)


def encode(found: Changes) -> bytes:
    """Give an answer's body."""
    return msgspec.json.encode(_Told([entry_of(each) for each in found.entries], found.next, found.is_last))


def read(request: Request) -> tuple[str, int]:
    """Read cursor and limit.

    Raises
    ------
    BadInput
        That names what is wrong.
    """
    given = once(request.query_params.multi_items(), _PARAMETERS)
    cursor, limit = given.get("since", ""), given.get("limit", str(DEFAULT))
    if len(cursor) > LONGEST_CURSOR:
        raise BadInput("since is no cursor.")
    if not (limit.isascii() and limit.isdecimal()) or len(limit) > len(str(MOST)) or not 0 < int(limit) <= MOST:
        raise BadInput(f"limit is not a whole number from 1 to {MOST:,}.")
    return cursor, int(limit)


def routes(services: Services) -> list[Route]:
    """Give the route of the change feed."""

    async def changes(asked: Asked) -> Response:
        request = asked.request
        cursor, limit = read(request)
        choose(accept_of(request), _OFFERS)

        def look() -> bytes:
            return encode(services.archive.changes(asked.caller, cursor, limit))

        return Response(await services.threads.run(look), media_type=JSON)

    return [Route(CHANGES, ("GET",), changes, summary="What happened in the archive, in order")]
