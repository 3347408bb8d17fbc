"""Broken bodies over the wire: each ends in a clear refusal or in nothing, and leaves nothing by halves."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.hostile.images import Image, image
from tests.hostile.webstage import RELATED, WebStage, at_once, multipart, stage

__all__ = ["stage"]

LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
LEAVING: Final = 1_000 if LONG else 200


def made(tmp: Path, draw: Random, *, size: int = 300, number: int = 1, study: str = "") -> tuple[bytes, Image]:
    """Make a DICOM file and what it holds."""
    one = image(draw, study or f"2.25.{draw.getrandbits(100)}", number, sizes=(size,))
    one.write(tmp / "one.dcm")
    return (tmp / "one.dcm").read_bytes(), one


def test_a_body_that_ends_at_any_byte_is_refused_or_taken_and_never_halved(stage: WebStage, tmp_path: Path) -> None:
    draw = Random(1)
    file, one = made(tmp_path, draw)
    body = multipart(file)
    before = stage.count()
    with stage.client() as client:
        for end in range(0, len(body), 1 if LONG else 9):
            said = client.post("/dicom-web/studies", content=body[:end], headers={"Content-Type": RELATED})
            whole = end >= len(body) - 4  # the two hyphens are not told from other bytes until after them
            assert said.status_code == 400 or (whole and said.status_code == 200), (end, said.text)
            if said.status_code == 400:
                assert stage_found(stage, one) == 0
    assert stage.stow(body).status_code == 200
    assert stage.count() == before + 1
    stage.assert_whole()


def stage_found(stage: WebStage, one: Image) -> int:
    """Count the instances of an image's study."""
    with stage.client() as client:
        return len(client.get(f"/dicom-web/studies/{one.study_uid}/instances").json())


def cut_off(stage: WebStage, body: bytes, end: int, *, chunked: bool, reset: bool) -> None:
    """Send a request up to a byte of its body, and leave."""
    if chunked:
        head = stage.head("POST", "/dicom-web/studies", Content_Type=RELATED, Transfer_Encoding="chunked")
        sent = head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(body[:end], 4_000))
    else:
        sent = stage.head("POST", "/dicom-web/studies", Content_Type=RELATED, Content_Length=str(len(body)))
        sent += body[:end]
    with stage.connect() as connection, suppress(OSError):
        connection.sendall(sent)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_clients_that_leave_anywhere_leave_nothing_and_hold_nobody_up(stage: WebStage, tmp_path: Path) -> None:
    """Descriptors come back (drafts without a name among them), nothing is in quarantine, and fsck finds nothing."""
    draw = Random(2)
    files = [
        made(tmp_path, draw, size=draw.choice((300, 40_000, 700_000)), number=n, study="2.25.77")[0] for n in range(5)
    ]
    body = multipart(*files)
    good = [made(tmp_path, draw, size=20_000) for _ in range(40)]
    warm = [partial(cut_off, stage, body, n * 2_000, chunked=False, reset=False) for n in range(16)]
    with stage.legitimate():
        assert at_once(8, [*warm, *(partial(stage.stow, multipart(good[0][0])) for _ in range(16))]) == []
    before, quiet = stage.count(), stage.process.descriptors
    stage.process.forget_peak()
    work: list[Callable[[], None]] = [
        partial(cut_off, stage, body, draw.randrange(len(body)), chunked=draw.random() < 0.5, reset=draw.random() < 0.5)
        for _ in range(LEAVING)
    ]

    def store(file: bytes) -> None:
        said = stage.stow(multipart(file))
        assert said.status_code == 200, said.text

    stored = [partial(store, file) for file, _ in good]
    mixed = [*work, *stored]
    draw.shuffle(mixed)
    with stage.legitimate() as served:
        assert at_once(8, mixed) == []

    served.assert_served()
    stage.assert_unharmed(quiet + 2)
    assert stage.process.peak < 400 << 20
    found = stage.count()
    assert before + 39 <= found <= before + 39 + 5
    stage.assert_whole()
    assert stage.web.leadglass.cli("quarantine", "list").out.count("2.25.77") == 0


def lies(body: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Give fields that lie about a body's length, and what is sent after them."""
    chunked = b"Transfer-Encoding: chunked"
    three = b"3\r\nabc\r\n0\r\n"
    return {
        "longer": (b"Content-Length: %d" % (len(body) + 50), body),
        "negative": (b"Content-Length: -1", body),
        "plus": (b"Content-Length: +%d" % len(body), body),
        "hex": (b"Content-Length: 0x10", body),
        "beyond-64-bit": (b"Content-Length: 18446744073709551617", body),
        "larger-than-anything": (b"Content-Length: 9223372036854775807", body),
        "digits-of-another-script": ("Content-Length: \u0661\u0662".encode(), body),
        "list": (b"Content-Length: 5, 5", body),
        "five-thousand-digits": (b"Content-Length: " + b"1" * 5_000, body),
        "chunk-of-2-to-the-64": (chunked, b"FFFFFFFFFFFFFFFF\r\n" + body),
        "chunk-size-of-a-megabyte": (chunked, b"0" * (1 << 20) + b"5\r\n" + body),
        "chunk-that-is-negative": (chunked, b"-5\r\n" + body),
        "chunk-without-size": (chunked, b"\r\n" + body),
        "chunk-extension-of-a-megabyte": (chunked, b"5;" + b"a" * (1 << 20) + b"\r\nabcde\r\n0\r\n\r\n"),
        "chunks-of-one-byte-with-extensions": (
            chunked,
            b"".join(b"1;%s\r\n%c\r\n" % (b"x" * 200, each) for each in body) + b"0\r\n\r\n",
        ),
        "chunk-that-does-not-end-where-it-says": (chunked, b"3\r\nabcdef\r\n0\r\n\r\n"),
        "chunks-with-bare-line-feeds": (chunked, b"3\nabc\n0\n\n"),
        "trailers": (chunked, three + b"X: y\r\n\r\n"),
        "coding-with-tab": (b"Transfer-Encoding:\tchunked", three + b"\r\n"),
        "identity": (b"Transfer-Encoding: identity\r\nContent-Length: 5", body),
        "gzip": (b"Transfer-Encoding: gzip, chunked", three + b"\r\n"),
    }


WAITED_FOR: Final = frozenset({"longer", "chunk-of-2-to-the-64"})
"""What could still come: the deadline of a body that does not come is tested where deadlines are short (test_http)."""


@pytest.mark.parametrize("lie", list(lies(b"")))
def test_a_length_that_lies_is_refused_or_waited_for_and_stores_nothing(
    stage: WebStage, tmp_path: Path, lie: str
) -> None:
    file, one = made(tmp_path, Random(lie))
    field, body = lies(multipart(file))[lie]
    head = stage.head("POST", "/dicom-web/studies", Content_Type=RELATED)[:-2] + field + b"\r\n\r\n"
    assert stage.stow(multipart(made(tmp_path, Random(f"warm {lie}"))[0])).status_code == 200  # opens what stays open
    quiet = stage.process.descriptors
    stage.process.forget_peak()
    said = stage.say(head, body, patience=1.0 if lie in WAITED_FOR else 20.0)
    if lie in WAITED_FOR:
        assert said is None
    elif lie == "chunks-of-one-byte-with-extensions":
        assert said is not None
        assert said.status == 200
    else:
        assert said is not None, "a clear refusal"
        assert said.status in (400, 413)
        assert stage_found(stage, one) == 0
    stage.assert_unharmed(quiet + 8)
    assert stage.process.peak < 400 << 20
