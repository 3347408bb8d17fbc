"""A TCP tunnel: lends a client a certificate, or another source address.

DCMTK 3.6.7's movescu and getscu do not speak TLS at all, and no client can
choose its source address; hospitals put a tunnel before such a client, and so
do these tests. The far end cannot tell the difference.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager

from tests.peers.running import Credentials


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Give a TLS client context that shows ``credentials`` and trusts their authority."""
    context = ssl.create_default_context(cafile=str(credentials.authority))
    context.check_hostname = False  # the archive is found by the operator's address, and proven by its authority
    context.load_cert_chain(str(credentials.certificate), str(credentials.key))
    return context


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until either side ends, then end the other."""
    with contextlib.suppress(OSError, ValueError):
        while block := source.recv(65536):
            sink.sendall(block)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


class _Tunnel:
    def __init__(self, target: tuple[str, int], credentials: Credentials | None, source: str) -> None:
        self.target = target
        self.context = None if credentials is None else client_context(credentials)
        self.source = source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []
        self.threads: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(near)
            thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self.target, 20, source_address=(self.source, 0) if self.source else None)
            far.settimeout(None)
            self.open.append(far)
            if self.context is not None:
                far = self.context.wrap_socket(far)
                self.open.append(far)
        except OSError:
            near.close()
            return
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join(20)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(20)
        for one in self.open:
            one.close()


@contextmanager
def tunnel(target: tuple[str, int], *, credentials: Credentials | None = None, source: str = "") -> Generator[int]:
    """Carry connections from a local port to ``target``, by TLS when ``credentials`` are lent, from ``source``.

    Yields
    ------
    int
        The local port.
    """
    carrier = _Tunnel(target, credentials, source)
    thread = threading.Thread(target=carrier.serve, daemon=True)
    thread.start()
    try:
        yield int(carrier.listener.getsockname()[1])
    finally:
        carrier.close()
        thread.join(20)
