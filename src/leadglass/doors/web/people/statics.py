"""Our own files for pages: one style sheet, and small scripts that pages can do without."""

from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from leadglass.doors.web.people.pages import static_file
from leadglass.doors.web.routes import Access, Route, Services

FILES: Final = {
    "leadglass.css": "text/css; charset=utf-8",
    "link.js": "text/javascript; charset=utf-8",
    "leadglass.svg": "image/svg+xml",
}
"""Every file there is, and its media type."""


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    del services
    return [
        Route(
            f"/static/{name}",
            ("GET", "HEAD"),
            _serving(name),
            Access.ANONYMOUS,
            why="The page to sign in needs it; it is the same for everybody and holds no secret.",
            summary="A file of our own for pages.",
        )
        for name in FILES
    ]


@cache
def _read(name: str) -> tuple[bytes, str]:
    data = static_file(name)
    return data, f'"{sha256(data).hexdigest()[:16]}"'


def _serving(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        data, etag = _read(name)
        fields = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fields)
        return Response(data, headers=fields, media_type=FILES[name])

    return serve
