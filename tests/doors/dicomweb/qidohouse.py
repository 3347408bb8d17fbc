"""A real archive behind the handlers of QIDO-RS and the change feed, asked without a connection between."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from leadglass.archive.archive import Archive
from leadglass.doors.threads import Threads
from leadglass.doors.web.problem import problem_of
from leadglass.doors.web.routes import AnonymousHandler, Asked, Handler, Route, Services, pattern_of
from leadglass.errors import LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.vault.vault import Vault
from tests.callers import device
from tests.doors.dicomweb.stowhouse import StowHouse
from tests.doors.dicomweb.stowhouse import opened as opened_stow

HOST = "pacs.example"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def rows(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", json.loads(self.body))

    @property
    def told(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    def every(self, name: str) -> list[str]:
        """Give every field of a name."""
        return [value for each, value in self.headers if each == name]

    def firsts(self, tag: str) -> list[Any]:
        """Give one attribute's first value of each answer."""
        return [next(iter(each.get(tag, {}).get("Value", [])), None) for each in self.rows]


@dataclass(slots=True)
class House:
    """An archive and routes over it."""

    stow: StowHouse
    caller: Caller
    modules: tuple[Callable[[Services], list[Route]], ...]
    is_gone: bool = False

    @property
    def vault(self) -> Vault:
        return self.stow.vault

    @property
    def archive(self) -> Archive:
        return self.stow.archive

    def services(self) -> Services:
        return cast("Services", SimpleNamespace(archive=self.archive, threads=Threads(self.stow.pool)))

    def get(self, url: str, *, caller: Caller | None = None, **headers: str) -> Answer:
        """Ask for a path with its query string."""
        path, _, query = url.partition("?")
        fields = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "query_string": query.encode("utf-8", "surrogatepass"),
            "headers": [(name.encode(), value.encode("latin_1")) for name, value in fields.items()],
            "server": (HOST, 443),
        }

        async def receive() -> dict[str, Any]:
            if self.is_gone:
                return {"type": "http.disconnect"}
            await asyncio.sleep(3_600)
            raise AssertionError

        async def ask() -> Answer:
            for route in [route for module in self.modules for route in module(self.services())]:
                match = pattern_of(route.path).fullmatch(path)
                if match is not None:
                    break
            else:
                raise AssertionError(f"There is no route for {path}.")
            scope["path_params"] = match.groupdict()
            handler: Handler | AnonymousHandler = route.handler
            asked = Asked(Request(scope, receive), caller or self.caller)
            try:
                response = await cast("Callable[[Asked], Awaitable[Response]]", handler)(asked)
            except LeadglassError as error:
                response = problem_of(error).response()
            return Answer(response.status_code, list(response.headers.items()), bytes(response.body))

        return asyncio.run(ask())


@contextmanager
def opened(folder: Path, *modules: Callable[[Services], list[Route]]) -> Generator[House]:
    """Open an archive in a folder, with the routes of some modules."""
    with opened_stow(folder) as stow:
        yield House(stow, device("VIEWER", Action.FIND), modules)
