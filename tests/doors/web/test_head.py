"""HEAD is answered wherever GET is: the same status and fields, no body, and nothing goes on being made."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from starlette.responses import Response, StreamingResponse

from leadglass.doors.web.routes import Asked, Route, with_head
from leadglass.doors.web.stream import Stream
from leadglass.errors import NotHere
from tests.doors.web import webhouse
from tests.doors.web.webhouse import House

MADE: list[str] = []
"""What the stream did: each block, and that it was let go of."""


async def _short(asked: Asked) -> Response:
    return Response(b"x" * 40, headers={"X-Kind": "short"})


async def _blocks() -> AsyncGenerator[bytes]:
    try:
        for number in range(1_000_000):
            MADE.append(str(number))
            yield b"x" * 1_000
    finally:
        MADE.append("closed")


async def _long(asked: Asked) -> Response:
    return StreamingResponse(_blocks(), headers={"Content-Length": "1000000000"})


async def _held(asked: Asked) -> Response:
    return Stream(_blocks(), lambda: MADE.append("let go"), {"Content-Length": "1000000000"})


async def _none(asked: Asked) -> Response:
    raise NotHere("There is no such thing here.")


ROUTES = [
    Route("/short", ("GET",), _short),
    Route("/long", ("GET",), _long),
    Route("/held", ("GET",), _held),
    Route("/none", ("GET",), _none),
    Route("/in", ("POST",), _short),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    folder: Path = tmp_path_factory.mktemp("head")
    with webhouse.opened(folder, ROUTES) as running:
        yield running


@pytest.mark.parametrize(("path", "status"), [("/short", 200), ("/none", 404), ("/nothing", 404)])
def test_head_says_what_get_says_and_gives_nothing(house: House, path: str, status: int) -> None:
    with house.client() as client:
        there, head = client.get(path), client.head(path)
        assert (there.status_code, head.status_code, head.content) == (status, status, b"")
        for field in ("content-type", "content-length", "x-kind", "cache-control"):
            assert head.headers.get(field) == there.headers.get(field), field
        assert client.get("/short").content == b"x" * 40, "the connection goes on"


def test_a_stream_is_not_made_for_who_asks_for_its_header_only(house: House) -> None:
    MADE.clear()
    with house.client() as client:
        head = client.head("/long")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "1000000000", b"")
        assert client.get("/short").status_code == 200
    assert MADE == ["0", "closed"], "it is begun, as for somebody who leaves at once, and let go of"


def test_what_an_answer_holds_is_let_go_of_after_its_header(house: House) -> None:
    MADE.clear()
    with house.client() as client:
        assert client.head("/held").status_code == 200
        assert client.get("/short").status_code == 200
    assert MADE == ["0", "closed", "let go"]


def test_who_is_not_identified_hears_of_head_what_they_hear_of_get(house: House) -> None:
    with house.client(None) as client:
        assert client.head("/short").status_code == client.get("/short").status_code == 401


def test_what_has_no_get_has_no_head(house: House) -> None:
    with house.client() as client:
        assert client.head("/in").status_code == 405
        assert client.delete("/short").headers["allow"] == "GET, HEAD"
    assert with_head(("POST", "GET", "POST")) == ("POST", "GET", "HEAD")
    assert with_head(("GET", "HEAD")) == ("GET", "HEAD")
