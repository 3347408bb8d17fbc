"""A listening socket: hands accepted connections over, a few at a time, and rests when the system has no more.

Not asyncio's own: that one logs and stops for a second for each failed accept, and
gives connections to a transport before anybody could look at their first byte.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Self

_ACCEPTS_AT_ONCE: Final = 8
"""connections taken before others get their turn; a TLS handshake takes a millisecond, and the kernel holds the rest"""

_REST: Final = 0.2
"""seconds in which nothing is accepted, because the system is out of descriptors or memory"""

OnAccepted = Callable[[socket.socket, str, int], None]
"""Takes a connection, which does not block, with address and port of its peer."""


class Listener:
    """Listens on one address; made by ``open``."""

    def __init__(self, listening: socket.socket, on_accepted: OnAccepted) -> None:
        self._socket = listening
        self._on_accepted = on_accepted
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening.fileno(), self._accept)

    @classmethod
    async def open(cls, host: str, port: int, backlog: int, on_accepted: OnAccepted) -> Self:
        """Listen.

        Parameters
        ----------
        host : str
            An address or a name that resolves to one; the first it resolves to is used.
        port : int
            0 for any free port.
        backlog : int
            Connections that the kernel holds.
        on_accepted : callable
            Takes each connection.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.settimeout(0)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(backlog)
        except OSError:
            listening.close()
            raise
        return cls(listening, on_accepted)

    @property
    def bound(self) -> tuple[str, int]:
        """The address and port that are listened on."""
        address = self._socket.getsockname()
        return str(address[0]), int(address[1])

    def close(self) -> None:
        """Stop listening; connections live on."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError:
                # Out of file descriptors or memory, or the network is down: all of it passes.
                self._rest()
                return
            connection.settimeout(0)
            self._on_accepted(connection, str(address[0]), int(address[1]))

    def _rest(self) -> None:
        """Let the kernel keep newcomers for a moment."""
        if self._socket.fileno() != -1:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(_REST, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() != -1:
            self._loop.add_reader(self._socket.fileno(), self._accept)
