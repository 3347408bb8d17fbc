"""A real server under a crowd: whoever is honest is served meanwhile, and memory has bounds."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from starlette.responses import Response, StreamingResponse

from leadglass.doors.web.routes import Asked, Route
from tests.doors.web import webhouse
from tests.peers.web import Web, serving

MIB = 1024 * 1024
MORE = 96 * MIB
"""What a crowd may cost at most; with ten thousand times the patience it would not be more."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    with serving(tmp_path_factory.mktemp("crowd"), settings="[web]\nheader = 30\n") as running:
        yield running


def _memory(web: Web) -> int:
    """Resident bytes of the server."""
    for line in Path(f"/proc/{web.doors.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def _hello() -> bytes:
    """Give the first bytes of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def _crowd(web: Web, size: int, first: bytes, stack: ExitStack) -> None:
    for _ in range(size):
        connection = stack.enter_context(socket.socket())
        connection.settimeout(10)
        connection.connect(web.address)
        with suppress(OSError):
            connection.sendall(first)


@pytest.mark.parametrize("kind", ["silent", "half a handshake", "one byte of TLS", "plain HTTP", "garbage"])
def test_a_thousand_connections_keep_nobody_out(kind: str, web: Web) -> None:
    hello = _hello()
    first = {
        "silent": b"",
        "half a handshake": hello,
        "one byte of TLS": hello[:1],
        "plain HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "garbage": b"\x16" + b"\xff" * 2000,
    }[kind]
    with web.client(web.token("service", name=kind.replace(" ", "-"))) as known:
        assert known.get("/nothing").status_code == 404
        before = _memory(web)
        with ExitStack() as stack:
            _crowd(web, 1_000, first, stack)
            assert known.get("/nothing").status_code == 404, "who was known before stays connected"
            with web.client() as new:
                assert new.get("/healthz").text == "ok", "and somebody new comes in"
            assert _memory(web) - before < MORE
    assert "Traceback" not in web.leadglass.log.read_text()


def test_a_hundred_connections_that_shook_hands_and_fell_silent_keep_nobody_out(web: Web) -> None:
    context = ssl.create_default_context(cafile=str(web.authority))
    with ExitStack() as stack:
        for _ in range(150):
            plain = stack.enter_context(socket.create_connection(web.address, 10))
            stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        with web.client() as new:
            assert new.get("/healthz").text == "ok"
    assert "Traceback" not in web.leadglass.log.read_text()


def test_large_headers_of_many_do_not_add_up(web: Web) -> None:
    context = ssl.create_default_context(cafile=str(web.authority))
    before = _memory(web)
    with ExitStack() as stack:
        for _ in range(60):
            plain = stack.enter_context(socket.create_connection(web.address, 10))
            connection = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
            with suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 1_000_000)
        assert _memory(web) - before < MORE
        with web.client() as new:
            assert new.get("/healthz").text == "ok"


def _nobody(*_: object) -> bool:
    return False


def test_who_may_not_speak_is_closed_before_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhouse.opened(tmp_path, []) as house:
        monkeypatch.setattr(type(house.reception), "may_speak", _nobody)
        with socket.create_connection(("127.0.0.1", house.port), 10) as connection:
            with suppress(ConnectionError):
                connection.sendall(_hello())
            with suppress(ConnectionError):
                assert connection.recv(100) == b"", "not even a TLS alert"
        assert any(each.detail.get("alert") for each in house.log.records)


async def _endless(asked: Asked) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024
            await asyncio.sleep(0.01)

    return StreamingResponse(parts())


def test_who_ends_the_server_waits_for_no_stream_without_end(tmp_path: Path) -> None:
    connections: list[ssl.SSLSocket] = []
    with webhouse.opened(tmp_path, [Route("/endless", ("GET",), _endless)]) as house:
        for _ in range(3):
            connection = house.connect()
            connections.append(connection)
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer lg_good\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    # Leaving the block asserts that the server ended.
    for connection in connections:
        with connection:
            assert not webhouse.hear(connection).endswith(b"0\r\n\r\n"), "nobody takes the stream for whole"
