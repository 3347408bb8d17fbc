"""Our own files for pages: one style sheet, and small scripts that pages can do without.

Rule: what is served is what lies in ``static`` (and what the build vendored, whose
hash it checked), listed when the door is made; nothing of a request is a file's name.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from leadglass.doors.web.routes import Access, Route, Services

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Media types of what is served, by the end of the name; nothing else is."""

FOLDERS: Final = ("static", "vendor")
"""Where the files are, beside this module. ``vendor`` is made by the build."""


def names() -> dict[str, str]:
    """Give every file there is, and the folder it is in."""
    here = files(__package__ or "leadglass.doors.pages")
    return {
        each.name: folder
        for folder in FOLDERS
        if here.joinpath(folder).is_dir()
        for each in sorted(here.joinpath(folder).iterdir(), key=lambda each: each.name)
        if PurePath(each.name).suffix in TYPES
    }


def routes(services: Services) -> list[Route]:
    """Give the routes of this module."""
    del services
    return [
        Route(
            f"/static/{name}",
            ("GET", "HEAD"),
            _serving(name, folder),
            Access.ANONYMOUS,
            why="The page to sign in needs it; it is the same for everybody and holds no secret.",
            summary="A file of our own for pages.",
        )
        for name, folder in names().items()
    ]


@cache
def _read(name: str, folder: str) -> tuple[bytes, str]:
    data = files(__package__ or "leadglass.doors.pages").joinpath(folder, name).read_bytes()
    return data, f'"{sha256(data).hexdigest()[:16]}"'


def _serving(name: str, folder: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        data, etag = _read(name, folder)
        fields = {"ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fields)
        return Response(data, headers=fields, media_type=TYPES[PurePath(name).suffix])

    return serve
