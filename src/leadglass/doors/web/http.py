"""One HTTP/1.1 connection: uvicorn's protocol, with the limits and deadlines that it does not have.

Rule 1. Every byte before a request is understood is counted, and every wait for a
peer ends. Rule 2. What can be read in two ways is refused, not guessed at: two
lengths, folded lines, a target that is not a path, trailer fields, an upgrade.
Rule 3. A peer whose bytes are refused hears a status and nothing of what it sent.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from leadglass.doors.web.outgoing import Outgoing
from leadglass.doors.web.settings import WebLimits

_PIECE: Final = 16 * 1024
"""bytes of a header given to the parser at a time, so that it never gathers more than that unseen"""

_LINGER: Final = 2.0
"""seconds in which a peer may take the answer to what was refused before the connection is closed; closing it while
bytes of it are still coming would destroy the answer"""

_DRAIN_BYTES: Final = 8 * 1024 * 1024
"""bytes that are read and thrown away of a body that nobody wanted"""

_WRITE_BUFFER: Final = 512 * 1024
"""bytes that wait for a slow peer before the sender has to wait"""


_ONCE: Final = (b"content-length", b"transfer-encoding", b"host", b"content-type", b"authorization")
"""fields of which the second would be read by somebody else"""


class _RefusedError(ValueError):
    """What the peer sent is refused."""


class Http(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    config : Config
        Holds the application.
    state : ServerState
        The connections and tasks of the server.
    limits : WebLimits
        What the peer may cost.
    address : IPv4Address or IPv6Address
        The peer.
    buffer : memoryview
        Where bytes are read to; they are taken before the next are read, so one is enough for all connections.
    on_identified : callable
        Told once, when a request of an identified caller came; says whether there is room for the connection.
    on_failed : callable
        Told why a connection was closed that the peer spoiled.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        *,
        limits: WebLimits,
        address: IPv4Address | IPv6Address,
        buffer: memoryview,
        on_identified: Callable[[], bool],
        on_failed: Callable[[str], None],
    ) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._address = address
        self._buffer = buffer
        self._on_identified = on_identified
        self._on_failed = on_failed
        self._identified = False
        self._lost = False
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._head_since: float | None = None
        self._in_head = False
        self._head_raw = 0
        self._head_bytes = 0
        self._body_since = 0.0
        self._body_bytes = 0
        self._drain_since: float | None = None
        self._drained = 0
        self._stalled_since: float | None = None
        self._closing_since: float | None = None
        self._until: float | None = None
        self._has_refused = False
        self._to_say: HTTPStatus | None = None

    # --- what the gate and the routes ask ---------------------------------------------

    @property
    def counts(self) -> bool:
        """Whether it counts among the connections of identified callers."""
        return self._identified

    def identified(self) -> bool:
        """Note that a caller was identified on this connection; False when there are too many such connections."""
        if not self._identified:
            self._identified = self._on_identified()
        return self._identified

    def cut(self) -> None:
        """Drop the connection in the middle of an answer, so that nobody takes it for whole."""
        if not self._lost and not self._has_refused:
            self.transport.abort()

    # --- bytes ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn narrows it
        """Begin: TLS is done."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream transports only
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        super().connection_made(Outgoing(transport, self.loop))
        self.scheme = "https"
        self._head_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._lost = True
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - what fits is read
        """Give where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many bytes."""
        if self._until is not None or self._lost:
            return  # refused: what still comes is not looked at
        self._unset_keepalive_if_required()
        if self._head_since is None and not self._is_answering():
            self._head_since = self.loop.time()
        view = self._buffer[:nbytes]
        while len(view) and self._refusal is None:
            piece = view[:_PIECE] if self._is_before_body() else view
            view = view[len(piece) :]
            self._feed(piece)
        if self._refusal is not None:
            self._refuse(*self._refusal)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - None until the first request

    def _is_before_body(self) -> bool:
        """Tell whether a header is being read, or nothing yet."""
        return self._in_head or not self._is_in_body()

    def _is_in_body(self) -> bool:
        return self._drain_since is not None or (self._is_answering() and self.cycle.more_body)

    def _feed(self, piece: memoryview) -> None:
        parser = self.parser
        assert parser is not None  # noqa: S101 - until the connection is lost
        begins_in_head = self._is_before_body()
        begun = self._head_bytes
        try:
            parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._refusal = self._refusal or (HTTPStatus.BAD_REQUEST, "it asked for another protocol")
        except httptools.HttpParserError:
            self._refusal = self._refusal or (HTTPStatus.BAD_REQUEST, "it is not HTTP/1.1 by the letter of RFC 9112")
        if self._refusal is not None:
            return
        if begins_in_head and self._is_before_body() and begun <= self._head_bytes:
            self._head_raw += len(piece)
            if self._head_raw > self._limits.header_bytes + _PIECE:
                self._refusal = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header is too large")

    # --- the parser's callbacks ---------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._head_since = self.loop.time() if self._head_since is None else self._head_since
        scope: dict[str, object] = self.scope  # pyright: ignore[reportAssignmentType] - the extensions of a scope
        scope["leadglass.connection"] = self
        scope["leadglass.direct"] = self._address

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        if not self._in_head:
            raise self._no(HTTPStatus.BAD_REQUEST, "it sent trailer fields")
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= self._limits.header_fields:
            raise self._no(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header has too many fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._in_head = False
        self._head_since = None
        self._head_raw = 0
        self._check_header()
        if len(self.pipeline) >= self._limits.pipelined:
            raise self._no(HTTPStatus.SERVICE_UNAVAILABLE, "it sent too many requests ahead")
        self._body_since = self.loop.time()
        self._body_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._body_bytes += len(body)
        if self._drain_since is not None:
            self._drained += len(body)
            if self._drained > _DRAIN_BYTES:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._drain_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; what is left of the body is thrown away for a while."""
        if self.cycle.response_complete and self.cycle.more_body and not self._lost:
            self._drain_since = self.loop.time()
            self._drained = 0
        super().on_response_complete()
        if self._to_say is not None and not self._lost:
            self._say(self._to_say)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes:
            raise self._no(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header is too large")

    def _check_header(self) -> None:
        parser = self.parser
        assert parser is not None  # noqa: S101 - it is what calls
        if parser.should_upgrade():
            raise self._no(HTTPStatus.BAD_REQUEST, "it asked for another protocol")
        if parser.get_http_version() not in ("1.1", "1.0"):
            raise self._no(HTTPStatus.BAD_REQUEST, "it says it is of another version of HTTP")
        if not self.url.startswith(b"/") or self.url.startswith(b"//"):
            raise self._no(HTTPStatus.BAD_REQUEST, "its target is no path")
        if not self.url.isascii() or b"#" in self.url:
            raise self._no(HTTPStatus.BAD_REQUEST, "its target holds what no target may")
        names = [name for name, _ in self.headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise self._no(HTTPStatus.BAD_REQUEST, f"it sent two {name.decode()} fields")
        if b"transfer-encoding" in names:
            coding = next(value for name, value in self.headers if name == b"transfer-encoding")
            if coding.strip().lower() != b"chunked" or b"content-length" in names:
                raise self._no(HTTPStatus.BAD_REQUEST, "the length of its body can be read in two ways")
            if parser.get_http_version() != "1.1":
                raise self._no(HTTPStatus.BAD_REQUEST, "it sent chunks, which HTTP/1.0 does not have")

    def _no(self, status: HTTPStatus, reason: str) -> _RefusedError:
        self._refusal = self._refusal or (status, reason)
        return _RefusedError(reason)

    # --- refusing and closing ------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are its own
        """Refuse, where uvicorn would."""
        self._refuse(HTTPStatus.BAD_REQUEST, "it is not HTTP/1.1 by the letter of RFC 9112")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Say the status, when nothing else is being said, and close."""
        if self._until is not None or self._lost:
            return
        self._until = self.loop.time() + _LINGER
        self._on_failed(f"an HTTP request was refused: {reason}")
        if self._is_answering():
            if not self.cycle.more_body and not self.pipeline:
                self._to_say = status  # it came behind a request that is still being answered
                return
            if self.cycle.response_started or self.pipeline:
                self.transport.close()  # what was answered so far is flushed; the rest cannot be told from this request
                return
            self.cycle.disconnected = True  # who reads the body hears that nothing more comes, and says nothing
            self.cycle.message_event.set()
        self._say(status)

    def _say(self, status: HTTPStatus) -> None:
        """Say the status as the last of this connection."""
        self._has_refused = True
        self._to_say = None
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\ncache-control: no-store\r\n"
            b"x-content-type-options: nosniff\r\n\r\n" % (status, status.phrase.encode())
        )
        self.transport.write_eof()

    def pause_writing(self) -> None:
        """Note that the peer does not take what is sent."""
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._stalled_since = None
        super().resume_writing()

    def check(self, now: float) -> None:
        """Look at every deadline; called about twice a second."""
        if self._lost or self.transport is None:  # pyright: ignore[reportUnnecessaryComparison] - until TLS is done
            return
        limit = self._limits.write_stall
        if self._stalled_since is not None and now - self._stalled_since > limit:
            self._on_failed(f"it took nothing of what was sent to it for {limit:g} seconds")
            self.transport.abort()
        elif self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > limit:
                self.transport.abort()
        elif self._until is not None or self._drain_since is not None:
            if now > (self._until or 0.0) and now - (self._drain_since or 0.0) > self._limits.drain:
                self.transport.close()
        elif self.flow.read_paused:
            # We do not read: that the peer does not send is not its fault.
            self._head_since = None if self._head_since is None else now
            self._body_since, self._body_bytes = now, 0
        else:
            self._check_reading(now)

    def _check_reading(self, now: float) -> None:
        limits = self._limits
        if self._head_since is not None:
            if now - self._head_since > limits.header_seconds:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no header within {limits.header_seconds:g} seconds")
        elif self._is_in_body() and now - self._body_since > limits.progress_window:
            if self._body_bytes < limits.progress_bytes:
                few = f"less than {limits.progress_bytes} bytes of a body"
                self._on_failed(f"{few} in {limits.progress_window:g} seconds")
                self.transport.abort()
            self._body_since, self._body_bytes = now, 0
