"""The first field of a form with files, read before anybody takes the files."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from leadglass.doors.web.begun import blocks_of, file_name, first_field
from leadglass.doors.web.gate import Message

GOOD = b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nTOKEN\r\n--b\r\nrest of it'


def request_of(body: bytes, sizes: list[int], media_type: str = "multipart/form-data; boundary=b") -> Request:
    """Make a request whose body comes in blocks of these sizes."""
    blocks: list[bytes] = []
    for size in sizes:
        blocks.append(body[:size])
        body = body[size:]
    blocks.append(body)

    async def receive() -> Message:
        block = blocks.pop(0)
        return {"type": "http.request", "body": block, "more_body": bool(blocks)}

    return Request({"type": "http", "method": "POST", "headers": [(b"content-type", media_type.encode())]}, receive)


async def _all(blocks: AsyncIterator[bytes]) -> bytes:
    return b"".join([block async for block in blocks])


def read(
    body: bytes, sizes: list[int], media_type: str = "multipart/form-data; boundary=b"
) -> tuple[str | None, bytes]:
    async def both() -> tuple[str | None, bytes]:
        request = request_of(body, sizes, media_type)
        return await first_field(request, "csrf"), await _all(blocks_of(request))

    return asyncio.run(both())


@given(st.lists(st.integers(0, 40), max_size=8))
def test_it_is_found_however_the_body_comes_and_the_body_is_whole_afterwards(sizes: list[int]) -> None:
    assert read(GOOD, sizes) == ("TOKEN", GOOD)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        GOOD.replace(b'"csrf"', b'"other"'),
        GOOD.replace(b'"csrf"', b'"csrf"; filename="x"'),
        GOOD.replace(b"TOKEN", b"T" * 40_000),
        b"--b\r\n" + b"A: b\r\n" * 50 + b"\r\nx\r\n--b",
        b"x" * 100_000 + GOOD,
    ],
)
def test_what_is_none_is_none_and_nothing_of_the_body_is_lost(body: bytes) -> None:
    assert read(body, [1_000]) == (None, body)


def test_another_body_is_left_alone() -> None:
    assert read(GOOD, [], "application/json") == (None, GOOD)
    assert read(GOOD, [], "multipart/form-data") == (None, GOOD)


@given(st.binary(max_size=300), st.lists(st.integers(0, 50), max_size=5))
def test_any_bytes_come_through(body: bytes, sizes: list[int]) -> None:
    assert read(body, sizes)[1] == body


def test_a_name_is_read_as_browsers_write_it() -> None:
    assert file_name({"content-disposition": 'form-data; name="file"; filename="a%22b.dcm"'}) == "a%22b.dcm"
    said = "放射線.dcm".encode().decode("latin_1")
    assert file_name({"content-disposition": f'form-data; name="file"; filename="{said}"'}) == "放射線.dcm"
    assert file_name({"content-disposition": 'form-data; name="filename"'}) is None
    assert file_name({}) is None
