"""A connection whose peer means harm: every byte before a request is understood is counted, and every wait ends."""

import asyncio
import re
import select
import ssl
import time
from collections.abc import AsyncIterator, Generator
from contextlib import suppress

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from leadglass.doors.web.routes import Access, Asked, Route
from leadglass.doors.web.settings import MEBI, WebSettings
from tests.doors.web import webhouse
from tests.doors.web.webhouse import TOKEN, House, hear

OPEN = "a test asks here without a token"
HOST = b"Host: localhost\r\n"
AUTH = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"


async def _ok(request: Request) -> Response:
    return PlainTextResponse(f"ok {request.url.path}")


async def _length(asked: Asked) -> Response:
    total = 0
    async for part in asked.request.stream():
        total += len(part)
    return PlainTextResponse(str(total))


async def _unread(asked: Asked) -> Response:
    return PlainTextResponse(str(asked.caller))


async def _large(asked: Asked) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(256 * 1024)

    return StreamingResponse(parts(), media_type="application/octet-stream")


async def _breaks(asked: Asked) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.sleep(0.05)
        raise RuntimeError("PATIENT^NAME")

    return StreamingResponse(parts(), headers={"content-length": "1000"})


async def _fault(asked: Asked) -> Response:
    raise RuntimeError("PATIENT^NAME")


ROUTES = [
    Route("/open", ("GET", "HEAD", "POST"), _ok, Access.ANONYMOUS, why=OPEN),
    Route("/open/{rest:path}", ("GET",), _ok, Access.ANONYMOUS, why=OPEN),
    Route("/length", ("POST", "PUT"), _length, body_bytes=64 * MEBI),
    Route("/small", ("POST",), _length),
    Route("/unread", ("POST",), _unread, body_bytes=64 * MEBI),
    Route("/large", ("GET",), _large),
    Route("/breaks", ("GET",), _breaks),
    Route("/fault", ("GET",), _fault),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    short = {"header_seconds": 1.0, "progress_window": 1.0, "write_stall": 1.5, "idle": 1.0, "drain": 0.5}
    limits = webhouse.limits(**short)
    with webhouse.opened(tmp_path_factory.mktemp("house"), ROUTES, settings=WebSettings(limits=limits)) as running:
        yield running


def _statuses(heard: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", heard)]


def _served(house: House) -> None:
    """Somebody honest is served."""
    with house.client() as client:
        assert client.get("/open").text == "ok /open"
        assert client.post("/length", content=b"x" * 100_000).text == "100000"


# --- what can be read in two ways ---------------------------------------------------------

GET = b"GET /open HTTP/1.1\r\n"
POST = b"POST /length HTTP/1.1\r\n" + HOST + AUTH
HIDDEN = b"0\r\n\r\nGET /open/hidden HTTP/1.1\r\n" + HOST + b"\r\n"

SMUGGLED = {
    "two kinds of length": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "two kinds of length, the other way": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + HIDDEN,
    "one length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\n" + HIDDEN,
    "a signed length": POST + b"Content-Length: +5\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -5\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\n" + HIDDEN,
    "a length beyond numbers": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + HIDDEN,
    "an empty length": POST + b"Content-Length: \r\n\r\n" + HIDDEN,
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HIDDEN,
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "a coding in a folded line": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + HIDDEN,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + HIDDEN,
    "a vertical tab in the coding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + HIDDEN,
    "a folded line": GET + HOST + b"X-A: b\r\n c\r\n\r\n",
    "a fold at the start": GET + b" X-A: b\r\n" + HOST + b"\r\n",
    "bare line feeds": b"GET /open HTTP/1.1\nHost: localhost\n\n",
    "a bare line feed in the header": GET + HOST + b"X-A: b\nX-C: d\r\n\r\n",
    "a bare carriage return": GET + HOST + b"X-A: b\rX-C: d\r\n\r\n",
    "a NUL in a value": GET + HOST + b"X-A: b\0c\r\n\r\n",
    "a NUL in a name": GET + HOST + b"X\0A: b\r\n\r\n",
    "a space in a name": GET + HOST + b"X A: b\r\n\r\n",
    "no colon": GET + HOST + b"nonsense\r\n\r\n",
    "no name": GET + HOST + b": b\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /length HTTP/1.0\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "a chunk size beyond numbers": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    "a negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that goes on": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "bare line feeds in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "trailer fields": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n",
    "two hosts": GET + HOST + b"Host: evil\r\n\r\n",
    "one host twice": GET + HOST + HOST + b"\r\n",
    "no host": GET + b"\r\n",
    "an absolute target": b"GET https://localhost/open HTTP/1.1\r\n" + HOST + b"\r\n",
    "a network path": b"GET //open HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /open#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "another protocol": GET + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/2 out of the blue": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": b"GET /open HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/3.0": b"GET /open HTTP/3.0\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /open\r\n\r\n",
    "no HTTP at all": b"\x00\x01\x02\x03\x04 nonsense\r\n\r\n",
    "a DICOM association": b"\x01\x00\x00\x00\x00\xcd\x00\x01" + bytes(100),
    "a method nobody knows": b"FETCH /open HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes beyond ASCII in the target": b"GET /open/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /open x HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_what_can_be_read_in_two_ways_is_refused(case: str, house: House) -> None:
    heard = house.say(SMUGGLED[case])
    statuses = _statuses(heard)
    assert len(statuses) <= 1, f"one answer at most: {heard!r}"
    assert all(400 <= status < 500 for status in statuses), heard
    assert b"hidden" not in heard
    assert b"Traceback" not in heard


DEVIOUS = ["/open/../open", "/open/./x", "/open/%2e%2e/x", "/open/%2E./x", "/open/a%2fb", "/open/a%5Cb", "/open/a\\b",
           "/open/%00", "/open//x", "/open/%252e", "/open/%0d%0aX-A:b"]  # fmt: skip


@pytest.mark.parametrize("path", DEVIOUS)
def test_a_path_that_hides_another_is_refused(path: str, house: House) -> None:
    assert _statuses(house.say(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n\r\n")) == [400]


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "PATCH", "PROPFIND", "LOCK"])
def test_methods_that_no_route_has_are_not_allowed(method: str, house: House) -> None:
    request = f"{method} /open HTTP/1.1\r\n".encode() + HOST + b"X-Secret: keep\r\n"
    assert _statuses(house.say(request + b"Connection: close\r\n\r\n")) in ([401], [400])
    heard = house.say(request + AUTH + b"Connection: close\r\n\r\n")
    assert _statuses(heard) in ([405], [400])
    assert b"keep" not in heard


# --- sizes -----------------------------------------------------------------------------

LARGE = {
    "a header line of a megabyte": GET + HOST + b"X-A: " + b"b" * 1_000_000,
    "a header name of a megabyte": GET + HOST + b"X" * 1_000_000,
    "a target of a megabyte": b"GET /open/" + b"a" * 1_000_000,
    "a million empty lines": b"\r\n" * 500_000,
    "ten thousand fields": GET + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
    "a hundred and one fields": GET + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(101)) + b"\r\n",
    "a field that is too long and ends": GET + HOST + b"X-A: " + b"b" * 40_000 + b"\r\n\r\n",
    "cookies that are too long": GET + HOST + b"Cookie: a=b; " * 3_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("case", LARGE)
def test_a_header_that_is_too_large_is_refused(case: str, house: House) -> None:
    with house.connect() as connection:
        try:
            connection.sendall(LARGE[case])
        except OSError:
            return  # closed while it was still sending
        heard = hear(connection)
    assert _statuses(heard) in ([431], [400], []), heard[:200]


def test_a_large_header_within_the_limit_is_served(house: House) -> None:
    with house.client(**{"X-A": "b" * 30_000}) as client:
        assert client.get("/open").status_code == 200


def test_a_body_that_is_announced_too_large_is_refused_unread(house: House) -> None:
    announced = b"POST /small HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 5000000000\r\n"
    assert _statuses(house.say(announced + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")) == [413]
    assert _statuses(house.say(announced + b"\r\n" + bytes(1000))) == [413]


def test_a_body_that_turns_out_too_large_is_refused_while_it_comes(house: House) -> None:
    head = b"POST /small HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    assert _statuses(house.say(head + chunk * 20))[0] == 413


def test_a_body_for_nobody_is_not_asked_for(house: House) -> None:
    asked = b"POST /length HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    assert _statuses(house.say(asked)) == [401]


def test_a_body_that_nobody_read_does_not_become_a_request(house: House) -> None:
    inner = b"GET /open/hidden HTTP/1.1\r\n" + HOST + b"\r\n"
    request = b"POST /unread HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: %d\r\n\r\n" % len(inner) + inner
    heard = house.say(request + GET + HOST + b"Connection: close\r\n\r\n")
    assert _statuses(heard) == [200, 200]
    assert b"hidden" not in heard


def test_a_body_without_end_that_nobody_reads_ends_the_connection(house: House) -> None:
    with house.connect() as connection:
        connection.sendall(b"POST /unread HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 60000000\r\n\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 60_000_000:
                sent += connection.send(bytes(65_536))
    assert sent < 40_000_000


# --- deadlines ---------------------------------------------------------------------------


def _dribbles(connection: ssl.SSLSocket, data: bytes, pause: float) -> bool:
    """Send a byte at a time; tells whether the other side ended it before the last."""
    try:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            if select.select([connection], [], [], pause)[0]:
                return True
    except OSError:
        return True
    return False


def test_a_header_that_comes_a_byte_at_a_time_ends(house: House) -> None:
    with house.connect() as connection:
        assert _dribbles(connection, GET + HOST + b"X-A: " + b"b" * 400, 0.02)
        assert _statuses(hear(connection)) in ([408], [])
    _served(house)


def test_a_connection_that_says_nothing_ends(house: House) -> None:
    with house.connect() as connection:
        assert _statuses(hear(connection)) in ([408], [])


def test_empty_lines_do_not_keep_a_connection_alive(house: House) -> None:
    with house.connect() as connection:
        for _ in range(3):
            connection.sendall(b"\r\n")
            time.sleep(0.2)
        assert _statuses(hear(connection)) in ([408], [400], [])


def test_a_body_that_trickles_ends(house: House) -> None:
    with house.connect() as connection:
        connection.sendall(POST + b"Content-Length: 1000000\r\n\r\n")
        assert _dribbles(connection, b"x" * 400, 0.02)


def test_an_answer_that_nobody_takes_ends(house: House) -> None:
    with house.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
        until = time.monotonic() + 60
        while not any("took nothing" in reason for reason in house.reception.failed):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(hear(connection)) < 200 * 256 * 1024


def test_an_idle_connection_ends(house: House) -> None:
    with house.connect() as connection:
        connection.sendall(GET + HOST + b"\r\n")
        assert _statuses(hear(connection)) == [200]


# --- what is allowed -----------------------------------------------------------------------


def test_requests_sent_ahead_are_answered_in_order(house: House) -> None:
    asked = b"".join(b"GET /open/%d HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(5))
    heard = house.say(asked + b"GET /open/last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert _statuses(heard) == [200] * 6
    assert re.findall(rb"ok /open/(\d|last)", heard) == [b"0", b"1", b"2", b"3", b"4", b"last"]


def test_too_many_requests_sent_ahead_end_the_connection(house: House) -> None:
    heard = house.say((GET + HOST + b"\r\n") * 5_000)
    assert len(_statuses(heard)) < 5_000
    _served(house)


def test_what_is_refused_behind_a_good_request_is_said_behind_its_answer(house: House) -> None:
    good = GET + HOST + b"\r\n"
    assert _statuses(house.say(good + b"what is this\r\n\r\n")) == [200, 400]
    assert _statuses(house.say(good + b"GET /open HTTP/1.1\r\nX: " + b"x" * 200_000)) == [200, 431]


def test_http_1_0_is_served_and_closed(house: House) -> None:
    heard = house.say(b"GET /open HTTP/1.0\r\n" + HOST + b"\r\n")
    assert _statuses(heard) == [200]
    assert b"connection: close" in heard


def test_head_has_no_body(house: House) -> None:
    heard = house.say(b"HEAD /open HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert heard.endswith(b"\r\n\r\n")
    assert b"content-length: 8" in heard


def test_a_chunked_body_is_read(house: House) -> None:
    with house.client() as client:
        assert client.post("/length", content=(bytes(100_000) for _ in range(50))).text == "5000000"


def test_an_answer_that_breaks_in_the_middle_is_cut_and_not_ended(house: House) -> None:
    with house.connect() as connection:
        connection.sendall(b"GET /breaks HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
        heard = hear(connection)
    assert heard.endswith(b"half")
    assert b"PATIENT" not in heard


def test_a_fault_is_a_problem_without_its_text(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with house.client() as client:
        answer = client.get("/fault")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "PATIENT" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
