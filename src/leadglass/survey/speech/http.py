"""HTTP/1.1, as the survey speaks it: few requests, spaced, each answer taken up to a bound.

Rule 1. What comes as an answer is looked at by tables and forgotten; neither it nor
an address it sends on to stands in a journal. Rule 2. Requests on one line are as
far apart as connections to one host are. Rule 3. What is longer than we need is not
read to its end: the line is closed.
"""

import asyncio
import re
import urllib.parse
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from html.parser import HTMLParser
from ipaddress import IPv6Address
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import h11

from leadglass.errors import BadInput
from leadglass.survey.check import Visit
from leadglass.survey.gate import Closed, Line
from leadglass.survey.speech.tls import lenient_context

AGENT: Final = "Leadglass-Survey"
"""We say who we are."""

MOST: Final = 64 * 1024
"""Bytes of a body that are read, where nothing else is said."""

_WHOLE: Final = 30.0
"""Seconds for one answer, however slowly it trickles in."""

_BEGIN: Final = b"HTTP/1."

_LINE: Final = 512 * 1024
"""Bytes after which a new line is opened: the gate allows a line so much and no more."""


class NotHttp(BadInput):
    """What answers is not HTTP."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; never to be kept.

    Parameters
    ----------
    status : int
        Its code.
    headers : mapping of str to str
        By lower-case name; the first of each name, cookies aside.
    cookies : mapping of str to str
        What is to be sent back in this one visit.
    body : bytes
        What was read of it.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Give a header, empty when it is not there."""
        return self.headers.get(name, "")

    @property
    def media_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text, whatever is no text in it aside."""
        return self.body.decode("utf-8", "replace")

    @property
    def is_redirect(self) -> bool:
        """Whether it sends on to another address."""
        return self.status in {301, 302, 303, 307, 308} and bool(self.header("location"))


class Talk:
    """HTTP with one endpoint, for one check; lines are opened as they are needed.

    Parameters
    ----------
    visit : Visit
        The check at its endpoint.
    in_tls : bool
        Whether over TLS.
    """

    def __init__(self, visit: Visit, *, in_tls: bool) -> None:
        self._visit = visit
        self._in_tls = in_tls
        self._stack = AsyncExitStack()
        self._line: Line | None = None
        self._machine = _machine()
        self._taken = 0
        host = visit.name or (f"[{visit.address}]" if isinstance(visit.address, IPv6Address) else str(visit.address))
        usual = 443 if in_tls else 80
        self._host = host if visit.port == usual else f"{host}:{visit.port}"
        self._base = f"{'https' if in_tls else 'http'}://{self._host}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._part()
        # the standard library keeps the addresses that it took apart last, and in them names of peers' files
        urllib.parse.clear_cache()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    async def ask(
        self,
        method: str,
        path: str,
        *,
        act: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = MOST,
    ) -> Response:
        """Send a request and read its answer.

        Parameters
        ----------
        method : str
            ``GET``, ``OPTIONS``, ``PROPFIND``; ``POST`` for nothing but signing in.
        path : str
            With its query.
        act : str
            For the journal; the path must stand for itself when there is none, so
            it is left out only where the path is from a table of ours.
        headers : mapping, optional
            More headers.
        body : bytes
            Of a sign-in form.
        most : int
            Bytes of the body that are read.

        Raises
        ------
        NotHttp
            When what answers does not speak HTTP.
        Closed, Unreachable, Denied, Stopped, ssl.SSLError
        """
        if any(not "!" <= sign <= "~" for sign in path):
            raise BadInput("An address on a web server has neither blanks nor signs that are not ASCII.")
        is_new = self._line is None
        self._visit.count()
        for is_last in (not is_new, True):
            line = await self._open()
            try:
                async with asyncio.timeout(_WHOLE):
                    return await self._exchange(line, method, path, act or f"{method} {path}", headers, body, most)
            except TimeoutError:
                await self._part()
                raise Closed("The answer takes too long.") from None
            except (Closed, NotHttp) as error:
                await self._part()
                # a server may close a kept line between two requests: once more, on a new one
                if is_new or is_last or isinstance(error, NotHttp):
                    raise
                is_new = True
        raise Closed("The peer closed the connection.")

    def here(self, path: str, location: str) -> str | None:
        """Give the path an address leads to, seen from another; None when it leads elsewhere."""
        try:
            whole = urlsplit(urljoin(self._base + path, location.strip()))
            port = whole.port or (443 if whole.scheme == "https" else 80)
        except ValueError:
            return None
        ours = {str(self._visit.address), self._visit.name.lower(), f"[{self._visit.address}]"}
        scheme = "https" if self._in_tls else "http"
        if whole.scheme != scheme or port != self._visit.port or (whole.hostname or "") not in ours:
            return None
        found = (whole.path or "/") + (f"?{whole.query}" if whole.query else "")
        return found if all("!" <= sign <= "~" for sign in found) and len(found) <= 2_000 else None

    async def follow(self, path: str, *, act: str, hops: int = 3, most: int = MOST) -> tuple[Response, str]:
        """GET a page, and those of the same endpoint it sends on to; gives the answer and its path."""
        response = await self.ask("GET", path, act=act, most=most)
        for _ in range(hops):
            onwards = self.here(path, response.header("location")) if response.is_redirect else None
            if onwards is None:
                break
            path = onwards
            response = await self.ask("GET", path, act=f"{act}, sent on", most=most)
        return response, path

    async def _open(self) -> Line:
        if self._line is not None and self._taken > _LINE:
            await self._part()
        if self._line is None:
            context = lenient_context() if self._in_tls else None
            self._line = await self._stack.enter_async_context(self._visit.connect(tls=context))
            self._machine = _machine()
            self._taken = 0
        else:
            await self._visit.gate.pause(self._visit.gate.scope.rate.seconds_between)
        return self._line

    async def _part(self) -> None:
        self._line = None
        await self._stack.aclose()

    async def _exchange(
        self,
        line: Line,
        method: str,
        path: str,
        act: str,
        headers: Mapping[str, str] | None,
        body: bytes,
        most: int,
    ) -> Response:
        said = {"Host": self._host, "User-Agent": AGENT, "Accept": "*/*"} | dict(headers or {})
        if body:
            said["Content-Length"] = str(len(body))
        events: list[h11.Event] = [
            h11.Request(method=method, target=path, headers=[(name, value) for name, value in said.items()])
        ]
        if body:
            events.append(h11.Data(data=body))
        events.append(h11.EndOfMessage())
        machine = self._machine
        await line.send(b"".join(machine.send(event) or b"" for event in events), act)
        try:
            head, taken = await self._read(line, machine, most)
        except h11.RemoteProtocolError:
            raise NotHttp("What answers is not HTTP.") from None
        if machine.our_state is h11.DONE and machine.their_state is h11.DONE:
            machine.start_next_cycle()
        else:
            await self._part()
        return _response(head, taken)

    async def _read(self, line: Line, machine: h11.Connection, most: int) -> tuple[h11.Response, bytes]:
        head: h11.Response | None = None
        taken, begin = bytearray(), b""
        while head is None or len(taken) < most or most == 0:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                data = await line.some()
                self._taken += len(data)
                begin += data[: len(_BEGIN) - len(begin)] if len(begin) < len(_BEGIN) else b""
                if not _BEGIN.startswith(begin):
                    raise NotHttp("What answers is not HTTP.")  # a greeting of something else: no use to wait for more
                machine.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                taken += event.data[: most - len(taken)]
                if most == 0:
                    break
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                break
        if head is None:
            raise Closed("The peer closed the connection.")
        return head, bytes(taken)


def _machine() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=64 * 1024)


def _response(head: h11.Response, body: bytes) -> Response:
    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        if name == "set-cookie" and len(cookies) < 16:
            key, _, rest = value.partition("=")
            cookies[key.strip()] = rest.partition(";")[0].strip()
        elif name == "www-authenticate" and name in headers:
            headers[name] += ", " + value
        else:
            headers.setdefault(name, value)
    return Response(head.status_code, headers, cookies, body)


# --- pages ----------------------------------------------------------------------


@dataclass(slots=True)
class Form:
    """One form of a page; lives in memory for one check.

    Parameters
    ----------
    action, method : str
        Where and how it is sent.
    fields : dict of str to str
        Names and what they hold already.
    user, password : str
        The names of the fields that ask who one is.
    passwords : int
        How many passwords it asks for: who wants a new one asks for it twice.
    """

    action: str = ""
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    user: str = ""
    password: str = ""
    passwords: int = 0

    @property
    def only_signs_in(self) -> bool:
        """Whether it may be sent: it makes no account, and sets no password."""
        return self.method == "post" and self.password not in {"", "-"} and self.passwords == 1


@dataclass(slots=True)
class Page:
    """What the survey looks for in a page."""

    title: str = ""
    forms: list[Form] = field(default_factory=list[Form], repr=False)
    links: list[str] = field(default_factory=list[str], repr=False)

    @property
    def sign_in(self) -> Form | None:
        """The form that asks for a password."""
        return next((form for form in self.forms if form.password), None)


_MOST_LINKS: Final = 20_000


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._form: Form | None = None
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        match tag:
            case "title":
                self._in_title = not self.page.title
            case "a" if "href" in said and len(self.page.links) < _MOST_LINKS:
                self.page.links.append(said["href"])
            case "form":
                self._form = Form(said.get("action", ""), said.get("method", "get").lower())
                self.page.forms.append(self._form)
            case "input":
                self._input(said)
            case _:
                pass

    def _input(self, said: Mapping[str, str]) -> None:
        kind, name = said.get("type", "text").lower(), said.get("name", "")
        if self._form is None:
            self._form = Form()  # some portals have fields without a form, and a script
            self.page.forms.append(self._form)
        if kind == "password":
            self._form.password = self._form.password or name or "-"
            self._form.passwords += 1
        elif kind in {"text", "email"} and not self._form.user:
            self._form.user = name
        if name and kind not in {"submit", "button", "image", "reset", "file"} and len(self._form.fields) < 64:
            self._form.fields[name] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.page.title = (self.page.title + data)[:500]


def page(response: Response) -> Page:
    """Read a page; an empty one where it is none."""
    if response.media_type not in {"text/html", "application/xhtml+xml", ""}:
        return Page()
    reader = _Reader()
    try:
        reader.feed(response.text)
    except (AssertionError, ValueError):  # what the standard library's parser raises at declarations that are none
        return reader.page
    return reader.page


_REALM: Final = re.compile(r'realm="?([^",]{0,200})', re.IGNORECASE)


def realm(response: Response) -> str:
    """Give the realm that is asked for (RFC 9110 11.5), for a table to know."""
    found = _REALM.search(response.header("www-authenticate"))
    return found[1] if found else ""
