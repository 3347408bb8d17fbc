"""An answer that takes long is given to whoever still may, and to nobody else: its connection is cut in the middle."""

import asyncio
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response, StreamingResponse

from leadglass.doors.web.routes import Asked, Route
from leadglass.errors import Busy, Denied, Full
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.scope import Scope
from tests import callers
from tests.doors.web import webhouse
from tests.doors.web.webhouse import TOKEN, Book, House

ALL = (Action.GET, Action.FIND)


class Rights:
    """What the one token is worth just now, and how often that was asked."""

    def __init__(self) -> None:
        self.now: Caller | Exception = callers.device("LONG1", *ALL)
        self.asked = 0

    def __call__(self, text: str, peer: str) -> Caller:
        assert text == TOKEN
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


async def _blocks(most: int) -> AsyncIterator[bytes]:
    for _ in range(most):
        yield b"x" * 1_000
        await asyncio.sleep(0.05)


async def _long(asked: Asked) -> Response:
    return StreamingResponse(_blocks(400))


async def _proving(asked: Asked) -> Response:
    return StreamingResponse(_blocks(20))


ROUTES = [Route("/long", ("GET",), _long), Route("/proving", ("GET",), _proving, proves_again=True)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    folder: Path = tmp_path_factory.mktemp("long")
    with webhouse.opened(folder, ROUTES) as running:
        yield running


@pytest.fixture
def rights(house: House, monkeypatch: pytest.MonkeyPatch) -> Rights:
    made = Rights()
    monkeypatch.setattr(Book, "caller", staticmethod(made))
    return made


@pytest.mark.parametrize(
    "then",
    [
        Denied("It was revoked."),
        Full("It cannot be put on record."),
        callers.device("LONG1", Action.FIND),
        callers.device("LONG1", *ALL, scope=Scope.nothing()),
    ],
    ids=["revoked", "not on record", "an action less", "a smaller scope"],
)
def test_whoever_may_no_more_is_cut_off(house: House, rights: Rights, then: Caller | Exception) -> None:
    with house.client() as client, client.stream("GET", "/long") as answer:
        blocks = answer.iter_bytes()
        assert next(blocks)
        rights.now = then
        with pytest.raises(httpx.TransportError):  # nobody takes it for whole
            list(blocks)


def test_what_is_added_or_cannot_be_said_now_ends_nothing(house: House, rights: Rights) -> None:
    before = rights.now
    assert isinstance(before, Caller)
    more = Caller(before.kind, before.name, (*before.grants, *callers.everything().grants), before.peer, "more")
    with house.client() as client, client.stream("GET", "/long") as answer:
        blocks = answer.iter_bytes()
        for now in (more, Busy("Somebody writes."), before):
            rights.now, rights.asked = now, 0
            while rights.asked < 2:
                assert next(blocks)


def test_what_proves_again_by_itself_is_left_to_it(house: House, rights: Rights) -> None:
    with house.client() as client, client.stream("GET", "/proving") as answer:
        blocks = answer.iter_bytes()
        assert next(blocks)
        rights.now = Denied("It was revoked.")
        assert sum(map(len, blocks)) > 0
    assert rights.asked == 1
