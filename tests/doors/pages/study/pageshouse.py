"""A real archive behind the pages of a study, asked in this process.

Rule: vault, audit log, workers, handlers and templates are the real ones; only
the connection, and who asks, are the test's own.
"""

import asyncio
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Message

from leadglass.archive.archive import Archive
from leadglass.doors.pages.desk import PagesDesk
from leadglass.doors.pages.study import attributes, documents, look, study
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Handler, Services
from leadglass.doors.web.settings import WebSettings
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from tests.callers import device
from tests.doors.dicomweb.wadohouse import Got, WadoHouse, opened

READER = frozenset({Action.FIND, Action.GET, Action.EXPORT})


class PagesHouse:
    """An archive and the pages of its studies.

    Parameters
    ----------
    house : WadoHouse
        The archive, which this one shares.
    threads : Threads
        Where the core runs.
    """

    def __init__(self, house: WadoHouse, threads: Threads) -> None:
        self.house = house
        self.caller: Caller = device("READER", *READER)
        archive = Archive(house.vault, house.audit, door="pages")
        self.archive = archive
        desk = cast("PagesDesk", SimpleNamespace(archive=archive, threads=threads))
        services = Services(
            archive=house.archive,
            threads=threads,
            transcoder=house.transcoder,
            renderer=house.renderer,
            settings=WebSettings(),
            pages=desk,
        )
        self.app = Starlette(
            routes=[
                StarletteRoute(route.path, self._answering(cast("Handler", route.handler)), methods=list(route.methods))
                for module in (study, attributes, look, documents)
                for route in module.routes(services)
            ]
        )

    def _answering(self, handler: Handler):
        async def answer(request: Request) -> Response:
            try:
                return await handler(Asked(request, self.caller))
            except LeadglassError as error:
                return problem_of(error).response()

        return answer

    def get(self, path: str, accept: str = "text/html", **fields: str) -> Got:
        """Open a page; header names with ``_`` for ``-``."""
        given = {name.replace("_", "-"): value for name, value in fields.items()} | {"accept": accept}
        return asyncio.run(self._ask("GET", path, given, b""))

    def post(self, path: str, **fields: str) -> Got:
        """Send a form."""
        given = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
        return asyncio.run(self._ask("POST", path, given, urlencode(fields).encode()))

    async def _ask(self, method: str, path: str, fields: dict[str, str], body: bytes) -> Got:
        url = urlsplit(path)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"pacs.example"), *((n.encode(), v.encode("latin_1")) for n, v in fields.items())],
            "server": ("pacs.example", 443),
        }
        sent: list[Message] = []
        gone = asyncio.Event()
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if waiting:
                return cast("Message", waiting.pop())
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await asyncio.sleep(0)
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode("latin_1") for name, value in sent[0]["headers"]}
        return Got(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def main_of(got: Got) -> str:
    """Give what the main part of a page says, without its tags."""
    found = re.search(r"<main.*?>(.*)</main>", got.body.decode(), re.DOTALL)
    assert found, got.body[:200]
    return " ".join(re.sub(r"<[^>]*>", " ", found[1]).split())


@contextmanager
def pages(folder: Path) -> Generator[PagesHouse]:
    """Open an archive in a folder, with its pages."""
    with opened(folder) as house, Pool(8, "pages") as pool:
        made = PagesHouse(house, Threads(pool))
        yield made
        made.archive.close()
