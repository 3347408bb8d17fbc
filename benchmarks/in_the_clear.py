"""``leadglass`` with its web door in plain HTTP, for one comparison only: with a server that speaks no TLS.

Rule: the product has no such door, and this is no way to get one. All else is as it comes: the token, the policy, the
sealing, the record.

    python -m benchmarks.in_the_clear serve --http 127.0.0.1:0 ...
"""

import asyncio
import ssl

from leadglass.__main__ import main
from leadglass.doors.web import server
from leadglass.wire.tls import Plain


class Clear(asyncio.BufferedProtocol):
    """Stands where TLS stands between the socket's transport and a protocol, and does nothing."""

    def __init__(self, context: ssl.SSLContext, protocol: Plain, *, server_side: bool) -> None:  # noqa: ARG002 - as Tls
        self._protocol = protocol
        self._raw: asyncio.BaseTransport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once."""
        self._raw = transport
        self._protocol.connection_made(transport)
        self.ready.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Pass it on."""
        return self._protocol.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Pass it on."""
        self._protocol.buffer_updated(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._raw = None
        self._protocol.connection_lost(exc)
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    def abort(self) -> None:
        """Drop the connection."""
        if isinstance(self._raw, asyncio.Transport):
            self._raw.abort()


async def _speaks_clearly(door: server.HttpsServer, number: int, *_: object) -> bool:
    """Take whatever a connection says for a request."""
    door._admission.spoke(number)  # pyright: ignore[reportPrivateUsage]
    return True


if __name__ == "__main__":
    setattr(server, "Tls", Clear)  # noqa: B010 - of another type, on purpose
    setattr(server.HttpsServer, "_speaks_tls", _speaks_clearly)  # noqa: B010
    main()
