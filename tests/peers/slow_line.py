"""A download over a slow line: begun, and taken only when a test says so."""

import re
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.peers.web import Web

_ENDS = b"0\r\n\r\n"
"""How a body in chunks ends that is whole (RFC 9112 7.1)."""


@dataclass(slots=True)
class Download:
    """An answer that has begun.

    Parameters
    ----------
    taken : int
        Octets that came so far, of the head and of the body.
    """

    _line: ssl.SSLSocket = field(repr=False)
    taken: int = 0
    _tail: bytes = b""
    _whole: int | None = None
    """Octets of head and body together, where the head says how long the body is."""

    def start(self) -> bytes:
        """Take the beginning, with the head in it, whole; gives the head."""
        begins = self.take(65_536)
        while b"\r\n\r\n" not in begins:
            more = self.take(65_536)
            assert more, begins
            begins += more
        head = begins.partition(b"\r\n\r\n")[0]
        if told := re.search(rb"(?mi)^content-length: *(\d+)", head):
            self._whole = len(head) + 4 + int(told[1])
        return head

    def take(self, most: int) -> bytes:
        """Take a little of it."""
        block = self._line.recv(most)
        self.taken += len(block)
        self._tail = (self._tail + block)[-16:]
        return block

    def rest(self) -> bool:
        """Take what is left; gives whether it was whole to its end (RFC 9112 8)."""
        with suppress(OSError):  # broken off: a reset, or an end that nobody announced
            while self.take(65_536):
                pass
        return self.taken == self._whole if self._whole is not None else self._tail.endswith(_ENDS)


@contextmanager
def begun(web: Web, path: str, cookie: str) -> Generator[Download]:
    """Ask for something large with a cookie, and take its beginning."""
    host, port = web.address
    asks = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    with socket.socket() as line:
        # What the kernel keeps for the one who asks is little, from the beginning.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        line.settimeout(60)
        line.connect((host, port))
        trusted = ssl.create_default_context(cafile=str(web.authority))
        with trusted.wrap_socket(line, server_hostname=host) as secured:
            secured.sendall(asks.encode())
            download = Download(secured)
            assert download.start().startswith(b"HTTP/1.1 200")
            yield download
