"""A web door in this process, over real TLS, with routes and deadlines of a test's own."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import httpx

from leadglass.audit.event import Event as Record
from leadglass.audit.refusals import Refusals
from leadglass.crypto.ca import Authority
from leadglass.crypto.tls import web_server_context
from leadglass.doors.threads import Pool, Threads
from leadglass.doors.web.dispatch import WebApp
from leadglass.doors.web.evidence import Bearer, Evidence
from leadglass.doors.web.gate import Gate
from leadglass.doors.web.routes import Route
from leadglass.doors.web.server import HttpsServer
from leadglass.doors.web.settings import WebLimits, WebSettings
from leadglass.errors import Denied
from leadglass.identity.peers import IpAddress
from leadglass.identity.visitors import Visitors
from leadglass.policy.caller import Caller
from tests import callers

TOKEN = "lg_good"


class Log:
    """An audit log that only keeps what it is told; or fails."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fails: Exception | None = None

    def append(self, event: Record) -> int:
        if self.fails is not None:
            raise self.fails
        self.records.append(event)
        return len(self.records)


class Book:
    """Knows one token."""

    def __init__(self) -> None:
        self.good = {TOKEN: "TOKEN1"}
        self.fails: Exception | None = None

    def known(self, text: str, peer: str) -> Caller | None:
        return None

    def caller(self, text: str, peer: str) -> Caller:
        if self.fails is not None:
            raise self.fails
        if text not in self.good:
            raise Denied("This token is not known.")
        return callers.device(self.good[text], peer=peer)


@dataclass(slots=True)
class Reception:
    """As that of the composition root, remembering what it was told."""

    visitors: Visitors
    failed: list[str] = field(default_factory=list[str])

    def may_speak(self, address: IpAddress) -> bool:
        return self.visitors.may_speak(address)

    async def refuse_peer(self, address: IpAddress) -> None:
        self.visitors.refuse_peer(address)

    async def connection_failed(self, address: IpAddress, reason: str) -> None:
        self.failed.append(reason)
        self.visitors.connection_failed(address, reason)


@dataclass(frozen=True, slots=True)
class House:
    """A running web door."""

    port: int
    authority: Path
    log: Log
    book: Book
    reception: Reception
    server: HttpsServer
    _run: Callable[[Callable[[], Awaitable[object]]], object]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def client(self, token: str | None = TOKEN, **more: str) -> httpx.Client:
        fields = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=self.url, headers={**fields, **more}, verify=self.context(), timeout=30, trust_env=False
        )

    def connect(self) -> ssl.SSLSocket:
        """Open a connection, TLS done."""
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        return self.context().wrap_socket(plain, server_hostname="127.0.0.1")

    def say(self, *parts: bytes) -> bytes:
        """Send bytes and give everything that comes until the other side closes or is silent."""
        with self.connect() as connection:
            with suppress(OSError):  # it may be closed before all of it is sent
                for part in parts:
                    connection.sendall(part)
            return hear(connection)

    def run(self, what: Callable[[], Awaitable[object]]) -> object:
        """Do something in the server's loop."""
        return self._run(what)


def hear(connection: ssl.SSLSocket, patience: float = 10.0) -> bytes:
    """Give all that comes until the other side closes."""
    connection.settimeout(patience)
    heard = b""
    try:
        while block := connection.recv(65_536):
            heard += block
    except (ConnectionError, ssl.SSLError, TimeoutError):
        pass
    return heard


def limits(**changes: float) -> WebLimits:
    """Give limits with some changed."""
    return WebLimits(**cast("dict[str, Any]", changes))


@contextmanager
def opened(
    folder: Path,
    routes: list[Route],
    *,
    settings: WebSettings | None = None,
    evidence: Callable[[Bearer], Evidence] | None = None,
) -> Generator[House]:
    """Open a web door with these routes."""
    settings = settings or WebSettings()
    authority = Authority.create(folder / "ca.pem", folder / "ca.key")
    own = authority.ensure_server_certificate(folder / "web.pem", ["localhost", "127.0.0.1"])
    log, book = Log(), Book()
    refusals = Refusals(cast("Any", log))
    visitors = Visitors(refusals, allowed_networks=settings.allowed_networks)
    pool = Pool(4, "house")
    threads = Threads(pool)
    bearer = Bearer(book, threads)
    app = WebApp(
        routes, evidence(bearer) if evidence else bearer, visitors, threads, body_bytes=settings.limits.body_bytes
    )
    reception = Reception(visitors)
    up, loop = Event(), asyncio.new_event_loop()
    found: list[tuple[int, HttpsServer]] = []
    stop = asyncio.Event()

    async def live() -> None:
        server = HttpsServer(
            Gate(app, visitors, threads, settings), reception, settings.limits, settings.trusted_proxies
        )
        _, port = await server.listen("127.0.0.1", 0, web_server_context(own))
        found.append((port, server))
        up.set()
        await stop.wait()
        await server.close(1.0)

    def run(what: Callable[[], Awaitable[object]]) -> object:
        async def do() -> object:
            return await what()

        return asyncio.run_coroutine_threadsafe(do(), loop).result(30)

    thread = Thread(target=partial(loop.run_until_complete, live()), daemon=True)
    thread.start()
    assert up.wait(30)
    try:
        yield House(found[0][0], folder / "ca.pem", log, book, reception, found[0][1], run)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
        loop.close()
        pool.close(5)
        refusals.close()
