"""About: the door describes itself: OPTIONS everywhere, capabilities of the service, and ``/openapi.json``.

Rule: it is told to those who are identified. Who is not learns neither what there
is here nor which version of it.
"""

import json
from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from leadglass.doors.dicomweb.accept import JSON, Offer, accept_of, choose
from leadglass.doors.dicomweb.capabilities import WADL, write_wadl
from leadglass.doors.dicomweb.operations import OPERATIONS
from leadglass.doors.dicomweb.paths import ROOT, service_url
from leadglass.doors.web.description import Operation, Operations, describe
from leadglass.doors.web.routes import Asked, Handler, Route, with_head

DESCRIPTION: Final = "/openapi.json"

_OFFERS: Final = (Offer(WADL, is_related=False), Offer(JSON, is_related=False))
_CAPABILITIES: Final = Operation("RetrieveCapabilities", "PS3.18 8.9", (), (WADL, JSON))
_OWN: Final[Operations] = {
    ("OPTIONS", ROOT): _CAPABILITIES,
    ("GET", ROOT): Operation("GetCapabilities", "PS3.18 8.9", (), (WADL, JSON)),
    ("OPTIONS", f"{ROOT}/"): Operation("RetrieveCapabilitiesOfRoot", "PS3.18 8.9", (), (WADL, JSON)),
    ("GET", f"{ROOT}/"): Operation("GetCapabilitiesOfRoot", "PS3.18 8.9", (), (WADL, JSON)),
    ("GET", DESCRIPTION): Operation("Describe", "", (), (JSON,)),
}
_SAID: Final[Operations] = {**OPERATIONS, **_OWN}


class About:
    """What the door says of itself.

    Parameters
    ----------
    routes : sequence of Route
        All of the door but those that are made here.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._others = tuple(routes)
        self.routes = self._made()
        """The routes that are made here."""
        self._all = (*self._others, *self.routes)
        self._document = json.dumps(describe(self._all, _SAID), ensure_ascii=False, separators=(",", ":")).encode()

    def _made(self) -> list[Route]:
        methods: dict[str, list[str]] = {}
        for route in self._others:
            methods.setdefault(route.path, []).extend(route.methods)
        made = [
            Route(DESCRIPTION, ("GET",), self._describe, summary="This description (OpenAPI)."),
            *(
                Route(path, ("GET", "OPTIONS"), self._capabilities, summary="What the service can do.")
                for path in (ROOT, f"{ROOT}/")
            ),
        ]
        methods[DESCRIPTION] = ["GET"]
        for path, there in methods.items():
            if "OPTIONS" not in there:
                allowed = ", ".join([*with_head(there), "OPTIONS"])
                made.append(Route(path, ("OPTIONS",), _allowing(allowed), summary="What can be done here."))
        return made

    async def _describe(self, asked: Asked) -> Response:
        del asked
        return Response(self._document, media_type=JSON)

    async def _capabilities(self, asked: Asked) -> Response:
        request = asked.request
        offer = choose(accept_of(request), _OFFERS)
        headers = {"Allow": "GET, HEAD, OPTIONS", "Vary": "Accept"}
        if offer.media == JSON:
            return Response(self._document, headers=headers, media_type=JSON)
        return Response(write_wadl(self._all, _SAID, service_url(request)), headers=headers, media_type=WADL)


def _allowing(methods: str) -> Handler:
    async def answer(asked: Asked) -> Response:
        del asked
        return Response(status_code=204, headers={"Allow": methods})

    return answer
