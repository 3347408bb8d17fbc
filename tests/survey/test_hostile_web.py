"""Hostile web servers: whatever answers, the survey stays where it is, keeps nothing and comes to an end."""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.scope import Level
from tests.survey.visiting import visit

CANARY = "CANARYHOSTILE"
WEB = tuple(
    check
    for check in CHECKS
    if check.id.startswith(("http", "dicomweb", "orthanc", "portal", "directory", "web", "bucket", "volume"))
)


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Generator[tuple[int, list[bytes]]]:
    """Answer each first line of a request with bytes, whatever they are, and close; gives port and first lines."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.settimeout(5)
                first = line.recv(65_536).partition(b"\r\n")[0]
                seen.append(first)
                line.sendall(answer(first))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1]), seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _page(body: bytes, kind: bytes = b"text/html") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nX-Name: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        kind,
        CANARY.encode(),
        len(body),
        body,
    )


def _said(text: bytes) -> Callable[[bytes], bytes]:
    return lambda _: text


HOSTILE = {
    "headers without an end": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 300_000,
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc",
    "a status that is none": b"HTTP/1.1 999999 OK\r\n\r\n",
    "bytes": bytes(range(256)) * 64,
    "nothing": b"",
    "a page of open tags": _page(b"<a href=x>" * 6_000 + b"<title>" * 1_000),
    "a declaration that is none": _page(b"<![" * 5_000 + b"<!" * 5_000),
    "JSON that is deep": _page(b"[" * 60_000, b"application/json"),
    "JSON of wrong types": _page(
        b'{"ApiVersion":[],"DatabaseVersion":{},"DicomPort":null,"Version":"' + CANARY.encode() + b'"}',
        b"application/json",
    ),
    "a body larger than we read": _page(CANARY.encode() * 200_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_web_server_says_none_of_it_is_kept(name: str, tmp_path: Path) -> None:
    with answering(_said(HOSTILE[name])) as (port, _):
        seen = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert CANARY not in seen.said
    assert set(seen.rungs) <= {"orthanc-rest"}
    if "orthanc-rest" in seen.rungs:
        assert name == "JSON of wrong types"
        assert seen.finding("orthanc-rest").proof["version"] == "unknown"


@pytest.mark.parametrize(
    "where",
    [
        "http://192.0.2.1/",
        "https://127.0.0.1/",
        "//192.0.2.1/x",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "http://[::",
    ],
)
def test_nobody_sends_the_survey_elsewhere(where: str, tmp_path: Path) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    with answering(_said(answer)) as (port, seen):
        visited = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert seen
    assert '"to":"192' not in visited.journal
    assert visited.journal.count(f'"port":{port},') == visited.journal.count('"port":')


def test_a_server_that_sends_on_for_ever_is_left(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with answering(_said(answer)) as (port, seen):
        visit(tmp_path, port, WEB, Level.OPT_IN)
    assert 0 < len(seen) < 100


def test_a_form_is_not_sent_to_another_server(tmp_path: Path) -> None:
    form = b'<form method="post" action="http://192.0.2.1/steal"><input name=u><input type=password name=p></form>'
    with answering(_said(_page(form))) as (port, seen):
        visited = visit(tmp_path, port, WEB, Level.OPT_IN)
    assert not [line for line in seen if line.startswith(b"POST")]
    assert "192.0.2.1" not in visited.said
