"""Link: one TLS connection to a syslog collector (RFC 5425), and how to know that it has what was sent.

Rule 1. Syslog has no acknowledgement, so what was sent counts as received only
when the collector has ended the connection in order after we did: an orderly end
says that its process has read all there was; a reset says that it has not. Rule 2.
Every wait has an end.
"""

import fcntl
import socket
import ssl
import struct
import termios
from contextlib import suppress
from time import monotonic, sleep
from typing import Final, final

_CHUNK: Final = 65_536
_SHORT: Final = 0.02


class UnconfirmedError(OSError):
    """The collector did not confirm that it has what was sent."""


@final
class Link:
    """A connection.

    Parameters
    ----------
    host, port : str and int
        The collector.
    context : ssl.SSLContext
        Verifies the collector's certificate and name, and shows ours.
    patience : float
        Seconds for which the collector may take nothing of what is sent to it.

    Raises
    ------
    OSError
        When there is no connection (``ssl.SSLError`` is one).
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, *, patience: float) -> None:
        plain = socket.create_connection((host, port), timeout=patience)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience * 1000))
            self._tls: ssl.SSLSocket | None = context.wrap_socket(plain, server_hostname=host)
            self._socket: socket.socket = self._tls
        except BaseException:
            plain.close()
            raise
        self._patience = patience

    def send(self, data: bytes) -> None:
        """Send frames; raises ``OSError``."""
        view = memoryview(data)
        while view:
            self._socket.sendall(view[:_CHUNK])
            view = view[_CHUNK:]

    def end(self, *, silence: float) -> bool:
        """End the connection, and know that the collector has all of it.

        Parameters
        ----------
        silence : float
            Seconds to wait for the collector to end it too.

        Returns
        -------
        bool
            Whether it ended it too. If not, its machine has acknowledged every
            byte, which is as much as can be known of such a collector.

        Raises
        ------
        OSError
            When it was reset, or not every byte was acknowledged.
        """
        end = monotonic() + silence
        try:
            self._socket.settimeout(silence)
            has_ended = self._say_goodbye(end)
            self._drain(monotonic() + max(_SHORT, end - monotonic()))
            return has_ended
        finally:
            self.close()

    def _say_goodbye(self, end: float) -> bool:
        if self._tls is None:
            return True
        try:
            plain = self._tls.unwrap()
        except TimeoutError:
            return False
        except ssl.SSLEOFError:
            return True  # it closed without the courtesy of a close_notify
        except OSError as error:
            if error.errno:
                raise
            return True  # the same, as older versions of OpenSSL tell it
        self._tls, self._socket = None, plain
        with suppress(OSError):
            plain.shutdown(socket.SHUT_WR)
        # The close_notify may have been sent before all was read; then the connection is reset, not closed.
        while monotonic() < end:
            plain.settimeout(max(_SHORT, end - monotonic()))
            try:
                if not plain.recv(_CHUNK):
                    return True
            except TimeoutError:
                return False
        return False

    def _drain(self, end: float) -> None:
        """Wait until every byte is acknowledged."""
        while True:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise UnconfirmedError(error, "the collector reset the connection")
            (left,) = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
            if not left:
                return
            if monotonic() >= end:
                raise UnconfirmedError(f"the collector has not taken {left} bytes")
            sleep(_SHORT)

    def close(self) -> None:
        """Let go of the connection."""
        with suppress(OSError):
            self._socket.close()
