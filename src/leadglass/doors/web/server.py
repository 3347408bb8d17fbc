"""The listening side: accepts connections, shakes hands, counts them, and watches their deadlines.

Rule 1. Who may not speak is refused before TLS. Rule 2. Each connection waits for
nobody else's handshake, header or body; a newcomer is never refused because others
are silent (``wire.admission``). Rule 3. Nothing a peer does ends in a traceback.
"""

import asyncio
import logging
import socket
import ssl
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from uvicorn.config import Config
from uvicorn.server import ServerState

from leadglass.doors.web.gate import Asgi
from leadglass.doors.web.http import Http
from leadglass.doors.web.settings import KIBI, WebLimits
from leadglass.identity.peers import IpAddress, IpNetwork, is_inside, plain
from leadglass.wire.admission import Admission
from leadglass.wire.listener import Listener
from leadglass.wire.sockets import first_byte, has_spoken
from leadglass.wire.tls import Tls, tls_failure

LOG: Final = logging.getLogger(__name__)

_LOOK: Final = 0.5
"""seconds between two looks at the deadlines"""

_REPORTS_AT_ONCE: Final = 64
"""reports of failed connections under way; of a flood the rest is not reported one by one"""

_BUFFER: Final = 256 * KIBI
"""bytes decrypted at a time"""

_SEND_BUFFER: Final = 1 << 20
"""bytes of ours that the kernel holds for a peer; with less, encrypting a frame is interrupted to wait for room"""

_TLS_RECORD: Final = 0x16


class Reception(Protocol):
    """Who is told of connections."""

    def may_speak(self, address: IpAddress) -> bool:
        """Say whether a connection may go on to TLS."""
        ...

    async def refuse_peer(self, address: IpAddress) -> None:
        """Put on record that one was closed before."""
        ...

    async def connection_failed(self, address: IpAddress, reason: str) -> None:
        """Put a connection that came to nothing on record."""
        ...


class HttpsServer:
    """Serves an ASGI application over TLS.

    Parameters
    ----------
    app : ASGI application
        Answers requests.
    reception : Reception
        Decides who may connect, and is told who failed.
    limits : WebLimits
        What a peer may cost.
    trusted_proxies : tuple of networks
        Many callers come through them: their connections are counted one by one.
    """

    def __init__(
        self,
        app: Asgi,
        reception: Reception,
        limits: WebLimits,
        trusted_proxies: tuple[IpNetwork, ...] = (),
    ) -> None:
        self.app = app
        self._reception = reception
        self._limits = limits
        self._proxies = trusted_proxies
        self._config = Config(
            app,
            http=Http,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(limits.idle),
        )
        self._config.load()
        logging.getLogger("uvicorn").disabled = True  # what it would say may hold what a peer sent; we say our own
        logging.getLogger("uvicorn.error").disabled = True
        self._state = ServerState()
        self._admission = Admission(
            pending=limits.pending,
            pending_per_address=limits.pending_per_address,
            associations=limits.connections,
            associations_per_address=limits.connections_per_address,
        )
        self._buffer = memoryview(bytearray(_BUFFER))
        self._listeners: list[Listener] = []
        self._connections: dict[int, asyncio.Task[None]] = {}
        self._open: dict[int, Http] = {}
        self._reports: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._watch: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Connections, of identified callers and others."""
        return len(self._connections)

    # --- life ----------------------------------------------------------------------

    async def listen(self, host: str, port: int, context: ssl.SSLContext) -> tuple[str, int]:
        """Listen on one address.

        Returns
        -------
        tuple of str and int
            The address and port that are listened on.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """

        def begin(connection: socket.socket, address: str, _port: int) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._begin(connection, plain(address), context)

        listener = await Listener.open(host, port, self._limits.backlog, begin)
        self._listeners.append(listener)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._keep_watch(), name="web-deadlines")
        return listener.bound

    async def close(self, grace: float = 5.0) -> None:
        """Stop listening, let answers end by themselves for ``grace`` seconds, then drop their connections."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for number, task in list(self._connections.items()):
            if number not in self._open:
                task.cancel()
        for http in list(self._open.values()):
            http.shutdown()
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=grace)
        for http in list(self._open.values()):
            http.cut()
        for task in list(self._state.tasks):
            task.cancel()
        left = [*self._connections.values(), *self._state.tasks, *self._reports]
        if left:
            await asyncio.wait(left, timeout=2.0)
        for task in [*self._connections.values(), *self._reports]:
            task.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _keep_watch(self) -> None:
        """Look at the deadlines of every connection."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK)
            now = loop.time()
            for http in list(self._open.values()):
                http.check(now)

    # --- accepting ------------------------------------------------------------------

    def _counted_as(self, address: IpAddress, number: int) -> IpAddress:
        """Give the address a connection counts for: behind a proxy there are many callers, so each for itself."""
        return IPv6Address(number) if is_inside(address, self._proxies) else address

    def _begin(self, connection: socket.socket, address: IpAddress, context: ssl.SSLContext) -> None:
        self._numbers += 1
        number = self._numbers
        evicted = self._admission.arrive(self._counted_as(address, number), number)
        if has_spoken(connection):
            self._admission.spoke(number)
        if evicted is not None and evicted in self._connections:
            self._connections[evicted].cancel()
            self._report(address, "too many connections without a caller; the oldest silent ones are closed")
        task = asyncio.get_running_loop().create_task(
            self._connection(number, connection, address, context), name=f"web-{number}"
        )
        self._connections[number] = task

        def gone(_: asyncio.Task[None]) -> None:
            self._admission.leave(number)
            connection.close()
            del self._connections[number]

        task.add_done_callback(gone)

    async def _connection(
        self, number: int, connection: socket.socket, address: IpAddress, context: ssl.SSLContext
    ) -> None:
        """Live one connection from its first to its last moment."""
        secured: Tls | None = None
        http: Http | None = None
        counted = self._counted_as(address, number)
        try:
            if not self._reception.may_speak(address):
                await self._reception.refuse_peer(address)
                return
            if not await self._speaks_tls(number, connection, address):
                return
            http = self._http(number, address, counted)
            secured = Tls(context, http, server_side=True)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: secured, connection)
            if await self._shake_hands(secured, address):
                self._open[number] = http
                await asyncio.shield(secured.closed)
        except asyncio.CancelledError:
            pass  # evicted or shutting down: it is our own cancel, and this task is the only one that ends by it
        except OSError:
            pass  # the connection went while it was being taken
        finally:
            if secured is not None:
                secured.abort()
            if self._open.pop(number, None) is not None and http is not None and http.counts:
                self._admission.dissociate(counted)

    def _http(self, number: int, address: IpAddress, counted: IpAddress) -> Http:
        def identified() -> bool:
            if not self._admission.associate(counted):
                return False
            self._admission.welcome(counted)
            self._admission.leave(number)
            return True

        return Http(
            self._config,
            self._state,
            limits=self._limits,
            address=address,
            buffer=self._buffer,
            on_identified=identified,
            on_failed=lambda reason: self._report(address, reason),
        )

    async def _speaks_tls(self, number: int, connection: socket.socket, address: IpAddress) -> bool:
        """Wait for the first byte and look at it, without taking it."""
        try:
            async with asyncio.timeout(self._limits.header_seconds):
                first = await first_byte(connection)
        except TimeoutError:
            self._report(address, f"nothing was sent within {self._limits.header_seconds:g} seconds")
            return False
        except OSError:
            return False
        if first is None:
            return False  # it came and went: a look at whether the port is open
        self._admission.spoke(number)
        if first != _TLS_RECORD:
            self._report(address, "the peer does not speak TLS")
            return False
        return True

    async def _shake_hands(self, secured: Tls, address: IpAddress) -> bool:
        try:
            async with asyncio.timeout(self._limits.tls_handshake):
                await secured.ready
        except OSError as error:
            self._report(address, tls_failure(error))
            if not isinstance(error, TimeoutError):
                await asyncio.wait([secured.closed], timeout=2.0)
            return False
        return True

    def _report(self, address: IPv4Address | IPv6Address, reason: str) -> None:
        """Have a failed connection put on record, and let nobody wait for it."""
        if len(self._reports) >= _REPORTS_AT_ONCE:
            return
        report = asyncio.get_running_loop().create_task(self._reception.connection_failed(address, reason))
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)
