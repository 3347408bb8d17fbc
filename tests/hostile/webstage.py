"""A served archive with its web door under attack: raw requests over TLS, and clients that have to be served meanwhile.

Rule: what is measured is the real ``leadglass serve``; what a request is made of is the test's own bytes.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest

from tests.hostile.stage import LEGITIMATE_PLAIN, Echoes, LegitimateClient, Process, assert_nothing_is_wrong
from tests.peers.running import wait_until
from tests.peers.web import PATIENCE, Web, serving

BOUNDARY: Final = "edge"
RELATED: Final = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
MIB: Final = 1 << 20


def multipart(*parts: bytes, media_type: str = "application/dicom", boundary: str = BOUNDARY) -> bytes:
    """Write a body of parts."""
    head = f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return b"".join([*(head + part + b"\r\n" for part in parts), f"--{boundary}--\r\n".encode()])


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to bytes of a request."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Served:
    """What legitimate clients of both doors saw during an attack: seconds of each round, and what went wrong."""

    echoes: Echoes
    health: list[float] = field(default_factory=list[float])
    searches: list[float] = field(default_factory=list[float])
    failures: list[str] = field(default_factory=list[str])

    def assert_served(self) -> None:
        """Fail unless all were served, in the generous deadline of each."""
        assert self.failures == []
        assert self.echoes.failures == []
        assert self.health
        assert self.searches
        assert self.echoes.echoes

    def said(self) -> str:
        """Say p95 and maximum of each, in milliseconds."""
        rows = {"echo": self.echoes.echoes, "healthz": self.health, "search": self.searches}
        return ", ".join(
            f"{name} p95 {p95(each):.0f} max {max(each, default=0) * 1e3:.0f} ms ({len(each)})"
            for name, each in rows.items()
        )


def p95(seconds: list[float]) -> float:
    """Give the 95th percentile in milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.95)] * 1e3 if seconds else 0.0


@dataclass(frozen=True)
class WebStage:
    """An archive that serves, and two tokens that may store and read: the attacker's and a legitimate one."""

    web: Web
    token: str
    good: str

    @property
    def process(self) -> Process:
        """The server."""
        return Process(self.web.doors.pid)

    def said(self) -> str:
        """What the server has logged so far."""
        return self.web.leadglass.log.read_text(encoding="utf-8", errors="replace")

    def client(self) -> httpx.Client:
        """Give a client with the token."""
        return self.web.client(self.token)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.web.authority))

    def connect(self, *, receive_buffer: int = 0) -> ssl.SSLSocket:
        """Open a connection, TLS done."""
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(PATIENCE)
        plain.connect(self.web.address)
        return self._context.wrap_socket(plain, server_hostname="127.0.0.1")

    def head(self, method: str, target: str, **fields: str) -> bytes:
        """Write a request's line and fields, with the token; names with ``_`` for ``-``."""
        given = {"Host": "127.0.0.1", "Authorization": f"Bearer {self.token}"}
        given |= {name.replace("_", "-"): value for name, value in fields.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin_1")

    def say(self, *blocks: bytes, patience: float = PATIENCE) -> Answer | None:
        """Send bytes as they are and give the answer; None when there is none."""
        with self.connect() as connection:
            connection.settimeout(patience)
            with suppress(OSError):  # it may have closed; what it said may be read all the same
                for block in blocks:
                    connection.sendall(block)
            return heard(connection)

    def stow(self, body: bytes, *, study: str = "", content_type: str = RELATED) -> httpx.Response:
        """Store."""
        with self.client() as client:
            target = f"/dicom-web/studies/{study}" if study else "/dicom-web/studies"
            return client.post(target, content=body, headers={"Content-Type": content_type})

    def count(self) -> int:
        """Give how many instances can be found."""
        with self.client() as client:
            return len(client.get("/dicom-web/instances", params={"limit": "5000"}).raise_for_status().json())

    @contextmanager
    def legitimate(self) -> Generator[Served]:
        """Let clients of both doors work inside the block."""
        stop = threading.Event()
        echo = LegitimateClient(self.web.doors.plain[1], LEGITIMATE_PLAIN, None)
        served = Served(echo.seen)

        def ask() -> None:
            with self.web.client(self.good) as client:
                while not stop.wait(0.02):
                    for path, into in (("/healthz", served.health), ("/dicom-web/studies?limit=1", served.searches)):
                        begun = time.perf_counter()
                        try:
                            status = client.get(path).status_code
                        except httpx.HTTPError as error:
                            served.failures.append(f"{path}: {error!r}")
                            continue
                        if status != 200:
                            served.failures.append(f"{path}: {status}")
                        into.append(time.perf_counter() - begun)

        thread = threading.Thread(target=ask, name="legitimate", daemon=True)
        echo.start()
        thread.start()
        try:
            yield served
        finally:
            stop.set()
            thread.join(2 * PATIENCE)
            echo.stop()

    def assert_unharmed(self, descriptors: int) -> None:
        """Fail unless the server lives, holds no more than before, and found nothing wrong with itself."""
        process = self.process
        assert self.web.doors.process.poll() is None, self.said()[-3000:]
        wait_until(
            lambda: process.descriptors <= descriptors,
            f"the server has its {descriptors} descriptors back (now {process.descriptors})",
        )
        assert_nothing_is_wrong(self.said())

    def assert_whole(self) -> None:
        """Fail unless everything that is stored is whole and nothing else lies about."""
        said = cast("dict[str, Any]", json.loads(self.web.leadglass.do("fsck", "--json")))
        assert said["faults"] == [], said


def heard(connection: ssl.SSLSocket) -> Answer | None:
    """Read one answer; None when there is none, or it is broken off."""
    response = HTTPResponse(cast("socket.socket", connection))
    try:
        response.begin()
        body = response.read()
    except (OSError, ValueError, EOFError):
        return None
    except Exception as error:
        if type(error).__module__ == "http.client":
            return None
        raise
    finally:
        response.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def at_once(number: int, work: "Iterable[Any]") -> list[BaseException]:
    """Call each of ``work`` in ``number`` threads; gives what they raised."""
    waiting = iter(work)
    lock = threading.Lock()
    broken: list[BaseException] = []

    def run() -> None:
        while True:
            with lock:
                call = next(waiting, None)
            if call is None:
                return
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - given to the test
                broken.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return broken


@contextmanager
def staged(folder: Path, *, settings: str = "") -> Generator[WebStage]:
    """Serve an archive whose web door is open, with a device of the plaintext lane that echoes."""
    with serving(folder, settings=settings) as web:
        web.leadglass.device(LEGITIMATE_PLAIN, plaintext=True)
        yield WebStage(web, web.token("service", ttl="8h"), web.token("service", name="good", ttl="8h"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[WebStage]:
    """Serve one archive for all attacks of a module: what one leaves behind, the next one finds."""
    with staged(tmp_path_factory.mktemp("webstage")) as it:
        yield it
