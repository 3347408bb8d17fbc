"""A small HTTPS server on loopback that answers what a test wants, however wrong that is."""

import re
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from leadglass.crypto.ca import Authority


@dataclass
class Liar:
    """A running server.

    Parameters
    ----------
    authority : Path
        Whose certificate it shows.
    answer : callable
        Told the request's bytes and how to send; whatever it sends is sent.
    """

    authority: Path
    port: int = 0
    answer: Callable[[bytes, Callable[[bytes], None]], None] = lambda _request, _send: None
    requests: list[bytes] = field(default_factory=list[bytes])

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def says(self, body: bytes, *, status: str = "200 OK", fields: str = "Content-Type: application/json\r\n") -> None:
        """Have it answer everything alike."""
        head = f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        self.answer = lambda _request, send: send(head + body)


@contextmanager
def lying(folder: Path) -> Generator[Liar]:
    """Keep it running inside the block."""
    authority = Authority.create(folder / "liar-ca.pem", folder / "liar-ca.key")
    issued = authority.issue_device("LIAR", names=["localhost"], days=2)
    pem = folder / "liar.pem"
    pem.write_bytes(issued.key_pem + issued.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    liar = Liar(folder / "liar-ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        liar.port = listener.getsockname()[1]
        is_open = [True]
        thread = Thread(target=_accept, args=(listener, context, liar, is_open), daemon=True)
        thread.start()
        yield liar
        is_open.clear()
        thread.join(10)


def _accept(listener: socket.socket, context: ssl.SSLContext, liar: Liar, is_open: list[bool]) -> None:
    while is_open:
        with suppress(OSError, TimeoutError):
            plain, _ = listener.accept()
            Thread(target=_serve, args=(plain, context, liar), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, liar: Liar) -> None:
    plain.settimeout(10)
    with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65_536)
        head, _, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length is not None and len(body) < int(length[1]):
            body += connection.recv(65_536)
        liar.requests.append(head + b"\r\n\r\n" + body)
        liar.answer(request, connection.sendall)
