"""The gate: what every request passes before anything else, and every answer on its way out.

Rule 1. What is refused here is refused before anybody is asked who it is, and says
nothing. Rule 2. Every answer bears the security fields, a request's id, and
``no-store`` unless its handler decided otherwise. Rule 3. Nothing of a request but
its method and the route it found goes to the log: paths hold UIDs and queries hold
names. Rule 4. Every fault becomes a problem document; a fault in the middle of an
answer cuts the connection, so that nobody takes half of it for whole.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from secrets import token_hex
from time import monotonic, time
from typing import Any, Final, Protocol, cast

from starlette.requests import ClientDisconnect

from leadglass.doors.threads import Threads
from leadglass.doors.web.peer import peer_behind
from leadglass.doors.web.problem import FAULT, HttpFault, Problem, plain, problem_of
from leadglass.doors.web.settings import WebSettings
from leadglass.doors.web.strangers import Strangers
from leadglass.errors import BadInput, LeadglassError
from leadglass.identity.peers import IpAddress, is_inside
from leadglass.identity.visitors import Visitors, Why
from leadglass.wire.errors import place

LOG: Final = logging.getLogger(__name__)
ACCESS: Final = logging.getLogger("leadglass.access")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
_Fields = list[tuple[bytes, bytes]]

HEALTH: Final = "/healthz"
"""The one path that a proxy may ask for on its own account."""

SECURITY: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cache-control", b"no-store"),
)
"""Fields of every answer; a handler that sends one of them itself has decided otherwise."""

STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
"""Not for ``localhost``: browsers would apply it to every other program on that machine."""

_ORIGIN_METHODS: Final = b"GET, HEAD, POST, PUT, DELETE, OPTIONS"
_ORIGIN_FIELDS: Final = b"Authorization, Content-Type, Accept, Range, If-None-Match"
_ORIGIN_EXPOSED: Final = b"Content-Location, ETag, Link, Location, Retry-After, Warning, X-Request-Id"


_OTHER_NAME: Final = "Ask for it by a name it knows. Whoever runs it adds a name in leadglass.toml: [web] names."
"""What to do about a 421. It is the same for every name, so it tells none."""

_ON_RECORD: Final = "Whoever runs the archive finds what is missing in its audit log."


_PORT_DIGITS: Final = 5
_LAST_PORT: Final = 65_535


class Connection(Protocol):
    """What may be done with the connection of a request."""

    def identified(self) -> bool:
        """Note that a caller was identified on it; False when there are too many such connections."""
        ...

    def cut(self) -> None:
        """Drop it in the middle of an answer, so that nobody takes that for whole."""
        ...


class Gate:
    """The outermost ASGI application.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    visitors : Visitors
        Who may speak; where refusals go on record.
    clerk : Threads
        Where they are put on record.
    settings : WebSettings
        What the operator set.
    strangers : Strangers, optional
        Counts who sends proxy fields and is no trusted proxy.
    """

    def __init__(
        self,
        app: Asgi,
        visitors: Visitors,
        clerk: Threads,
        settings: WebSettings,
        strangers: Strangers | None = None,
    ) -> None:
        self.app = app
        self._visitors = visitors
        self._clerk = clerk
        self._strangers = strangers or Strangers()
        self._hosts = settings.hosts
        self._address = settings.address
        self._proxies = settings.trusted_proxies
        self._origins = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or not."""
        if scope["type"] != "http":
            return
        begun = monotonic()
        answer = _Answer(send, self._fields(scope))
        problem: Problem | None = None
        try:
            refused = await self._refusal(scope)
            if refused is None:
                await self.app(scope, receive, answer.send)
            else:
                problem = refused
        except LeadglassError as error:
            problem = problem_of(error)
        except asyncio.CancelledError:
            connection_of(scope).cut()  # the server ends, and this with it
        except ClientDisconnect:
            connection_of(scope).cut()  # nobody is left to be answered: no fault of ours, and as often as anybody likes
        except Exception as error:  # noqa: BLE001 - the border: a fault ends one answer, not the server
            LOG.error("A request failed: %s", place(error), extra={"request": answer.id})  # noqa: TRY400 - no texts
            problem = plain(FAULT)
        if problem is not None:
            await answer.say(problem, scope)
        elif not answer.complete:
            connection_of(scope).cut()
        _log(scope, answer, begun)

    def _fields(self, scope: Scope) -> _Fields:
        """Give what every answer to a request bears."""
        now = int(time())
        if now != self._date[0]:
            self._date = (now, formatdate(now, usegmt=True).encode())
        fields = [(b"date", self._date[1]), *SECURITY]
        request = cast("_Fields", scope["headers"])
        host = _host_of(next((value for name, value in request if name == b"host"), b""))
        if host != "localhost":
            fields.append(STRICT_TRANSPORT)
        if self._origins:
            fields.append((b"vary", b"Origin"))
            origin = next((value for name, value in request if name == b"origin"), b"")
            if origin in self._origins:
                fields = [each for each in fields if each[0] != b"cross-origin-resource-policy"]
                fields += [
                    (b"access-control-allow-origin", origin),
                    (b"access-control-expose-headers", _ORIGIN_EXPOSED),
                    (b"cross-origin-resource-policy", b"cross-origin"),
                ]
        return fields

    async def _refusal(self, scope: Scope) -> Problem | None:
        """Say with what a request is refused; None when it may go on."""
        hosts: list[bytes] = []
        forwarded: list[str] = []
        forwarded_for: list[str] = []
        for name, value in cast("_Fields", scope["headers"]):
            if name == b"host":
                hosts.append(value)
            elif name == b"forwarded":
                forwarded.append(value.decode("latin-1"))
            elif name == b"x-forwarded-for":
                forwarded_for.append(value.decode("latin-1"))
        direct = cast("IpAddress", scope["leadglass.direct"])
        scope["leadglass.peer"] = direct
        scope["leadglass.address"] = self._address
        if (forwarded or forwarded_for) and not is_inside(direct, self._proxies):
            self._strangers.note(str(direct))
        try:
            peer = peer_behind(direct, forwarded, forwarded_for, self._proxies)
        except BadInput as error:
            if scope["path"] == HEALTH and not forwarded and not forwarded_for:
                peer = direct
            else:
                await self._record(str(direct), Why.PROXY, error.message)
                return Problem(HTTPStatus.BAD_REQUEST, "proxy", "The proxy is not set up for this archive", _ON_RECORD)
        scope["leadglass.peer"] = peer
        if peer is not direct and not self._visitors.may_speak(peer):
            await self._clerk.run(self._visitors.refuse_peer, peer)
            return Problem(HTTPStatus.FORBIDDEN, "", "")
        if len(hosts) != 1 or _host_of(hosts[0]) not in self._hosts:
            reason = (
                "A request was for a host that is not this archive's. If the name is yours, list it in [web] names."
            )
            await self._record(str(peer), Why.OTHER_HOST, reason)
            return Problem(HTTPStatus.MISDIRECTED_REQUEST, "misdirected", "This is not that host", _OTHER_NAME)
        if _is_devious(cast("bytes", scope["raw_path"])):
            raise HttpFault(HTTPStatus.BAD_REQUEST, "The path holds what no path of this archive does.")
        return self._preflight(scope)

    def _preflight(self, scope: Scope) -> Problem | None:
        """Answer a browser that asks whether a script of another site may ask (Fetch, CORS preflight)."""
        if scope["method"] != "OPTIONS" or not self._origins:
            return None
        fields = dict(cast("_Fields", scope["headers"]))
        if b"access-control-request-method" not in fields or fields.get(b"origin") not in self._origins:
            return None
        return Problem(
            HTTPStatus.NO_CONTENT,
            "",
            "",
            headers={
                "Access-Control-Allow-Methods": _ORIGIN_METHODS.decode(),
                "Access-Control-Allow-Headers": _ORIGIN_FIELDS.decode(),
                "Access-Control-Max-Age": "600",
            },
        )

    async def _record(self, peer: str, why: Why, reason: str) -> None:
        """Put a refusal on record; the answer is the same when that fails."""
        try:
            await self._clerk.run(self._visitors.refuse, peer, why, reason)
        except LeadglassError as error:
            LOG.warning("refusal not recorded", extra={"kind": error.kind.value, "reason": error.message})


class _Answer:
    """An answer on its way out."""

    __slots__ = ("_common", "_send", "complete", "id", "octets", "started", "status")

    def __init__(self, send: Send, common: Iterable[tuple[bytes, bytes]]) -> None:
        self.id = token_hex(8)
        self._send = send
        self._common = common
        self.status = 0
        self.octets = 0
        self.started = False
        self.complete = False

    async def send(self, message: Message) -> None:
        """Pass a message on, the first with the fields of every answer."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = int(message["status"])
            own = cast("_Fields", list(message.get("headers", ())))
            said = {name.lower() for name, _ in own} - {b"vary"}  # what varies by two things says both
            own += [field for field in self._common if field[0] not in said]
            own.append((b"x-request-id", self.id.encode()))
            message["headers"] = own
        elif message["type"] == "http.response.body":
            self.octets += len(message.get("body", b""))
            await self._send(message)
            # After it: an answer that was cut while it was being sent is not complete.
            self.complete = not message.get("more_body", False)
            return
        await self._send(message)

    async def say(self, problem: Problem, scope: Scope) -> None:
        """Answer with a problem, or cut an answer that has begun."""
        if self.started:
            connection_of(scope).cut()
            return
        if problem.slug:
            await problem.response()(scope, _nothing, self.send)
        else:
            fields = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
            if problem.status is not HTTPStatus.NO_CONTENT:
                fields.append((b"content-length", b"0"))
            await self.send({"type": "http.response.start", "status": int(problem.status), "headers": fields})
            await self.send({"type": "http.response.body"})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def connection_of(scope: Scope) -> Connection:
    """Give the connection that a request came on."""
    return cast("Connection", scope["leadglass.connection"])


def _log(scope: Scope, answer: _Answer, begun: float) -> None:
    """Say what was asked and what came of it, without path and query."""
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    ACCESS.info(
        "request",
        extra={
            "request": answer.id,
            "method": scope["method"],
            "route": scope.get("leadglass.route", ""),
            "status": answer.status,
            "octets": answer.octets,
            "ms": round((monotonic() - begun) * 1000, 1),
            "caller": scope.get("leadglass.caller", ""),
        },
    )


def _host_of(field: bytes) -> str:
    """Give the host of a Host field, in lower case, without port, brackets and last dot; empty when it is none."""
    text = field.decode("latin-1").lower()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    if port and not (port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS and int(port) <= _LAST_PORT):
        return ""
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return "" if ":" in host else host.removesuffix(".")


def _is_devious(raw_path: bytes) -> bool:
    """Tell whether a path means another one to somebody: hidden separators, dot segments, control characters."""
    lowered = raw_path.lower()
    if b"%" in lowered and any(each in lowered for each in (b"%2f", b"%5c", b"%00", b"%2e", b"%25", b"%0d", b"%0a")):
        return True
    return b"\\" in lowered or b"//" in lowered or any(segment in (b".", b"..") for segment in lowered.split(b"/"))
