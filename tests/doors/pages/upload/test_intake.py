"""What becomes of a ZIP's file when its sender goes away while it is unpacked."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import cast

import pytest
from starlette.requests import Request
from starlette.types import Message

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Draft, Reader
from leadglass.doors.dicomweb.stow_share import Share
from leadglass.doors.pages.upload.intake import Spools, Upload, unpacking
from leadglass.doors.threads import Threads
from leadglass.errors import Busy, Full
from tests.callers import everything


class _Slow:
    """A draft that takes its time to write its last bytes."""

    def __init__(self) -> None:
        self.has_begun = Event()
        self.goes_on = Event()
        self.is_writing = False
        self.aborted: list[bool] = []
        """Of each call whether a thread was writing."""

    def write(self, *blocks: bytes) -> None:
        assert blocks

    def finish(self) -> Reader:
        self.is_writing = True
        self.has_begun.set()
        self.goes_on.wait(30)
        self.is_writing = False
        raise Full("The disk is full.")

    def abort(self) -> None:
        self.aborted.append(self.is_writing)


class _Archive:
    def __init__(self, draft: _Slow) -> None:
        self._draft = draft

    def offers(self, caller: object, actions: object) -> bool:
        return bool(caller and actions)

    def draft(self, caller: object) -> Draft:
        assert caller
        return self._draft


def _request() -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"PK\x05\x06" + bytes(18), "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/zip")]}
    return Request(scope, receive)


def test_nobody_lets_go_of_a_file_that_a_thread_writes_to() -> None:
    """The descriptor would be another file's by then."""
    asyncio.run(_left_while_unpacking())


async def _left_while_unpacking() -> None:
    draft, spools = _Slow(), Spools(1)
    with ThreadPoolExecutor(2) as pool:
        archive = cast("Archive", _Archive(draft))
        upload = Upload(archive, everything(), Threads(pool), Share(), unpacking(), spools)
        await upload.receive(_request())
        closing = asyncio.create_task(upload.close())
        await asyncio.to_thread(draft.has_begun.wait, 30)
        await upload.abandon()
        assert draft.aborted == []
        with pytest.raises(Busy):
            spools.take("somebody else")
        draft.goes_on.set()
        [became] = await closing
    assert became.name == ""
    assert draft.aborted == [False]
    spools.take("somebody else")


def test_a_zip_that_was_not_begun_when_its_sender_left_is_let_go() -> None:
    asyncio.run(_left_before())


async def _left_before() -> None:
    draft, spools = _Slow(), Spools(1)
    with ThreadPoolExecutor(2) as pool:
        archive = cast("Archive", _Archive(draft))
        upload = Upload(archive, everything(), Threads(pool), Share(), unpacking(), spools)
        await upload.receive(_request())
        await upload.abandon()
    assert draft.aborted == [False]
    spools.take("somebody else")
