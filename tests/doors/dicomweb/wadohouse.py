"""A real archive behind the retrieve transactions, asked in this process.

Rule: vault, audit log, workers and handlers are the real ones; only the
connection and who asks are the test's own.
"""

import asyncio
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Message as AsgiMessage

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared
from leadglass.archive.braking import Braking
from leadglass.audit.event import Event
from leadglass.audit.log import AuditLog
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom.renderer import Renderer
from leadglass.dicom.transcode import Transcoder
from leadglass.doors.dicomweb import bulk, deleting, frames, metadata, rendered, thumbnails, wado, wado_uri
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import Asked, Handler, Services
from leadglass.doors.web.settings import WebSettings
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.vault.settings import VaultSettings
from leadglass.vault.vault import Vault, open_vault
from tests.callers import device

HOST = "https://pacs.example"
ROOT = f"{HOST}/dicom-web"
MODULES = (metadata, wado, frames, rendered, thumbnails, bulk, wado_uri, deleting)


@dataclass(slots=True)
class WadoHouse:
    """An archive and its retrieve transactions.

    ``caller`` asks; a test may put another in its place.
    """

    archive: Archive
    vault: Vault
    audit: AuditLog
    transcoder: Transcoder
    renderer: Renderer
    caller: Caller
    app: Starlette = field(init=False)

    def store(self, data: bytes, syntax: str) -> None:
        """Store a data set; raises what the archive says."""
        receiving = self.archive.receive(device("CT1", Action.STORE), Declared(syntax, origin="CT1"))
        try:
            receiving.write(data)
            receiving.finish()
        finally:
            receiving.abort()

    def get(self, path: str, accept: str = "", **fields: str) -> "Got":
        """Ask for a path below the service, or an absolute URL; header names with ``_`` for ``-``."""
        given = {name.replace("_", "-"): value for name, value in fields.items()} | {"accept": accept}
        given = {"accept-encoding": "identity"} | given
        url = urlsplit(path if path.startswith(HOST) else ROOT + path)
        return asyncio.run(self._ask(url.path, url.query, {name: value for name, value in given.items() if value}))

    def delete(self, path: str) -> "Got":
        """Delete what is at a path below the service."""
        return asyncio.run(self._ask(urlsplit(ROOT + path).path, "", {}, method="DELETE"))

    async def _ask(self, path: str, query: str, fields: dict[str, str], method: str = "GET") -> "Got":
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"pacs.example"), *((n.encode(), v.encode("latin_1")) for n, v in fields.items())],
            "server": ("pacs.example", 443),
        }
        sent: list[AsgiMessage] = []
        gone = asyncio.Event()

        async def receive() -> AsgiMessage:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: AsgiMessage) -> None:
            await asyncio.sleep(0)
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode("latin_1") for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        if headers.get("content-encoding") == "deflate":
            body = zlib.decompress(body)
        return Got(sent[0]["status"], headers, body)

    def events(self, outcome: str = "") -> list[Event]:
        """Give what is on record."""
        events = [record.event for record in self.audit.records()]
        return [event for event in events if not outcome or event.outcome.value == outcome]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer."""

    headers: Message
    body: bytes

    @property
    def media(self) -> str:
        return self.headers.get_content_type()

    @property
    def syntax(self) -> str:
        return str(self.headers.get_param("transfer-syntax", ""))


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    """Not in its repr, which asyncio.run makes of what it gives, each time: of a whole corpus that takes long."""

    @property
    def media(self) -> str:
        return self.headers["content-type"].partition(";")[0]

    @property
    def parts(self) -> list[Part]:
        """The parts of a multipart answer, taken apart by other code than ours."""
        said = Message()
        said["content-type"] = self.headers["content-type"]
        assert said.get_content_type() == "multipart/related"
        boundary = str(said.get_param("boundary"))
        pieces = (b"\r\n" + self.body).split(f"\r\n--{boundary}".encode())
        assert pieces[0] == b""
        assert pieces[-1] == b"--\r\n"
        parts: list[Part] = []
        for piece in pieces[1:-1]:
            head, _, body = piece[2:].partition(b"\r\n\r\n")
            parts.append(Part(BytesHeaderParser().parsebytes(head), body))
        assert not parts or parts[0].media == said.get_param("type")
        return parts


@contextmanager
def opened(folder: Path, *, braking: Braking | None = None) -> Generator[WadoHouse]:
    """Open an archive in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        key = ArchiveKey.create(folder / "archive.key")
        audit = stack.enter_context(AuditLog(folder / "audit.db", key.derive("audit"), key.derive("audit signing")))
        vault = stack.enter_context(open_vault(folder, key, VaultSettings(min_free_bytes=0)))
        archive = Archive(vault, audit, door="dicomweb", braking=braking)
        pool = stack.enter_context(Pool(8, "core"))
        transcoder = Transcoder(deadline=60)
        stack.callback(transcoder.close)
        renderer = Renderer()
        stack.callback(renderer.close)
        house = WadoHouse(archive, vault, audit, transcoder, renderer, device("VIEWER", Action.GET))
        house.app = _app(house, Threads(pool))
        yield house
        archive.close()


def _app(house: WadoHouse, threads: Threads) -> Starlette:
    services = Services(
        archive=house.archive,
        threads=threads,
        transcoder=house.transcoder,
        renderer=house.renderer,
        settings=WebSettings(),
    )

    def answering(handler: Handler):
        async def answer(request: Request) -> Response:
            try:
                return await handler(Asked(request, house.caller))
            except LeadglassError as error:
                return problem_of(error).response()

        return answer

    routes = [
        StarletteRoute(route.path, answering(route.handler), methods=list(route.methods))  # pyright: ignore[reportArgumentType]
        for module in MODULES
        for route in module.routes(services)
    ]
    return Starlette(routes=routes)
