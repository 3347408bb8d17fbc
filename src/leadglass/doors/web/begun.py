"""A form with files whose beginning was read: its first field says that it is one of ours.

Rule: no more is read than the first field needs, and whoever takes the body is
given it from its beginning.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final, cast

from starlette.requests import Request

from leadglass.doors.dicomweb.multipart import (
    Malformed,
    MultipartLimits,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
    boundary_of,
    parse_content_type,
)
from leadglass.doors.web.forms import media_type

FORM: Final = "multipart/form-data"

_LIMITS: Final = MultipartLimits(parts=20_000)
_LONGEST: Final = 256
"""Bytes of a first field at most."""
_BEGINNING: Final = 16 << 10
"""Bytes after which a form that has not shown its first field is none of ours."""
_NAME: Final = re.compile(r'(?:^|;)\s*name="([^"]*)"')
_FILE: Final = re.compile(r'(?:^|;)\s*filename="([^"]*)"')


def reader_of(request: Request) -> MultipartReader:
    """Give what takes the form apart; raises ``Malformed``."""
    return MultipartReader(boundary_of(parse_content_type(request.headers.get("content-type", ""))), _LIMITS)


def field_name(headers: Mapping[str, str]) -> str:
    """Give the name of a part's field (RFC 7578 4.2); empty where there is none."""
    found = _NAME.search(headers.get("content-disposition", ""))
    return found[1] if found else ""


def file_name(headers: Mapping[str, str]) -> str | None:
    """Give the name of a part's file as its sender calls it, for showing it and nothing else; None: it is no file."""
    found = _FILE.search(headers.get("content-disposition", ""))
    return found[1].encode("latin_1").decode("utf-8", "replace") if found else None


async def first_field(request: Request, name: str) -> str | None:
    """Give the value of a form's first field when it has this name; None for another one, or another body."""
    if media_type(request) != FORM:
        return None
    blocks = request.stream()
    taken: list[bytes] = []
    request.state.begun = (taken, blocks)
    try:
        return await _first(reader_of(request), blocks, taken, name)
    except Malformed:
        return None


async def _first(reader: MultipartReader, blocks: AsyncGenerator[bytes], taken: list[bytes], name: str) -> str | None:
    value = bytearray()
    size = 0
    async for block in blocks:
        taken.append(block)
        size += len(block)
        for event in reader.feed(block):
            match event:
                case PartBegins(headers):
                    if field_name(headers) != name or file_name(headers) is not None:
                        return None
                case PartData(data):
                    value += data
                case PartEnds():
                    return value.decode("ascii", "replace")
        if size > _BEGINNING or len(value) > _LONGEST:
            return None
    return None


async def blocks_of(request: Request) -> AsyncIterator[bytes]:
    """Give the body from its beginning, whatever was read of it; once."""
    begun = cast("tuple[list[bytes], AsyncGenerator[bytes]] | None", getattr(request.state, "begun", None))
    if begun is None:
        async for block in request.stream():
            if block:
                yield block
        return
    taken, rest = begun
    request.state.begun = None
    while taken:
        yield taken.pop(0)
    async for block in rest:
        if block:
            yield block
