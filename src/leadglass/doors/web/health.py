"""Health: that the door answers, and nothing else."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from leadglass.doors.web.gate import HEALTH
from leadglass.doors.web.routes import Access, Route, Services


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    del services
    return [
        Route(
            HEALTH,
            ("GET", "HEAD"),
            _health,
            Access.ANONYMOUS,
            why="Watchers have no account; it says ok and nothing else.",
            summary="Say that the door answers.",
        )
    ]


async def _health(request: Request) -> Response:
    del request
    return PlainTextResponse("ok")
