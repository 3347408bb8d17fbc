"""TLS between a link and its socket, and in a few words why a handshake failed.

Rule: a peer whose handshake we refuse gets the TLS alert that says why before the
connection closes (asyncio's own TLS drops it, and the operator of a modality sees
nothing but a lost connection). What a peer sent never gets into our words for the
audit log; they come from a table.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

_VERIFY: Final[Mapping[int, str]] = {
    9: "the certificate is not yet valid",
    10: "the certificate has expired",
    18: "the certificate was not issued by our authority (self-signed)",
    19: "the certificate was not issued by our authority",
    20: "the certificate was not issued by our authority",
    21: "the certificate was not issued by our authority",
    23: "the certificate was revoked",
    26: "the certificate is not for this use",
    62: "the certificate is for another host name",
    64: "the certificate is for another address",
}

_REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no client certificate"),
    ("CERTIFICATE_REQUIRED", "the peer asks for a certificate of ours"),
    ("UNSUPPORTED_PROTOCOL", "TLS older than version 1.2"),
    ("VERSION_TOO_LOW", "TLS older than version 1.2"),
    ("PROTOCOL_VERSION", "no TLS version in common"),
    ("NO_SHARED_CIPHER", "no cipher suite in common"),
    ("HANDSHAKE_FAILURE", "the peer found nothing in common or no certificate it accepts"),
    ("UNKNOWN_CA", "the other side does not trust the certificate's authority"),
    ("BAD_CERTIFICATE", "the other side does not accept the certificate"),
    ("CERTIFICATE_EXPIRED", "the other side finds the certificate expired"),
    ("CERTIFICATE_UNKNOWN", "the other side does not accept the certificate"),
    ("HTTP_REQUEST", "the peer speaks HTTP without TLS"),
    ("WRONG_VERSION_NUMBER", "the peer does not speak TLS"),
    ("UNEXPECTED_EOF", "the peer closed the connection during the handshake"),
    ("NO_SUITABLE_SIGNATURE", "no signature algorithm in common"),
    ("NO_SUITABLE_KEY_SHARE", "no key exchange in common"),
)

_SMALL: Final = 16 * 1024
"""bytes read from the socket at once before the handshake is done"""

_CHUNK: Final = 256 * 1024
"""bytes read from the socket at once"""

_SLICE: Final = 128 * 1024
"""bytes encrypted at once: what is written, its records and what is sent are still in the processor's cache then, and
OpenSSL's buffer need not grow, which copies all that is in it"""


def tls_failure(error: BaseException) -> str:
    """Say why a handshake or a connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {_VERIFY.get(error.verify_code, 'the certificate cannot be verified')}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").upper().replace(" ", "_")
        for name, text in _REASONS:
            if name in reason:
                return f"TLS: {text}"
        return "TLS: the handshake failed"
    if isinstance(error, TimeoutError):
        return "TLS: the handshake took too long"
    return "TLS: the peer closed the connection during the handshake"


class TlsTransport(asyncio.Transport):
    """What a link sees as its transport."""

    def __init__(self, tls: "Tls", raw: asyncio.Transport, secured: ssl.SSLObject) -> None:
        super().__init__()
        self._tls = tls
        self._raw = raw
        self._secured = secured

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give the SSL object, or what the socket's transport knows."""
        return self._secured if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Encrypt and send."""
        self._tls.send(data)

    def pause_reading(self) -> None:
        """Stop reading from the socket; what was read is at most one chunk."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say when the writer has to wait."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the peer."""
        return self._raw.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Tell whether the connection is going."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Say goodbye, send what waits, close."""
        self._tls.goodbye()
        self._raw.close()

    def write_eof(self) -> None:
        """Say goodbye, send what waits, and listen to nothing more; the peer closes, or whoever waits for it."""
        self._tls.hang_up()

    def abort(self) -> None:
        """Drop the connection."""
        self._raw.abort()


class Plain(Protocol):
    """What gets the plain bytes: a protocol that says where they go."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give where the next bytes go."""
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""

    def pause_writing(self) -> None:
        """Write no more for now."""

    def resume_writing(self) -> None:
        """Go on writing."""


class Tls(asyncio.BufferedProtocol):
    """Puts TLS between a socket's transport and a protocol.

    Parameters
    ----------
    context : ssl.SSLContext
        What is demanded and shown.
    protocol : Plain
        Gets the plain bytes; its ``connection_made`` is called when the handshake is done.
    server_side : bool
        Which side of the handshake this is.
    server_hostname : str, optional
        On the client's side, the name the certificate has to have.

    Attributes
    ----------
    connected : bool
        Whether there has been a connection, so that a failure is one of TLS.
    ready : asyncio.Future
        Done with the handshake; fails with what it failed by. The connection is then left to the peer to close, so
        that it reads the alert; whoever waits for ``closed`` in vain calls ``abort``.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol: Plain,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self._protocol = protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._secured = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._raw: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(_SMALL))
        self._established = False
        self.connected = False
        self._error: Exception | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- asyncio.BufferedProtocol --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream transports only
        self._raw = transport
        self.connected = True
        self._shake_hands()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - what fits is read
        """Give where the transport reads to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt."""
        if self._error is not None:
            return
        self._incoming.write(self._buffer[:nbytes])
        if not self._established:
            self._shake_hands()
        if self._established:
            self._read()

    def eof_received(self) -> None:
        """Let asyncio close."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits: for the handshake or for bytes."""
        self._raw = None
        error = self._error or exc
        if self._established:
            self._protocol.connection_lost(error)
        else:
            self._fail(error or ConnectionResetError())
        if not self.closed.done():
            self.closed.set_result(None)
        # The failure that is kept leads back to here: without this, what OpenSSL holds waits for the garbage collector.
        self._error = error or ConnectionResetError()
        self._buffer = memoryview(bytearray())
        del self._secured, self._incoming, self._outgoing

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._established:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._established:
            self._protocol.resume_writing()

    # --- what the transport asks ---------------------------------------------------

    def send(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Encrypt and send; the outgoing buffer takes everything."""
        if self._error is not None or not len(data):
            return
        if len(data) <= _SLICE:
            self._encrypt(data)
            return
        with memoryview(data) as whole:
            for start in range(0, len(whole), _SLICE):
                if self._error is None:
                    self._encrypt(whole[start : start + _SLICE])

    def _encrypt(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        try:
            self._secured.write(data)
        except ssl.SSLError as error:
            self._break(error)
        self._flush()

    def goodbye(self) -> None:
        """Send close_notify; the peer's is not waited for, since the association said its own goodbye."""
        if self._established and self._error is None:
            with suppress(ssl.SSLError):  # it would like to read the peer's close_notify
                self._secured.unwrap()
            self._flush()

    def hang_up(self) -> None:
        """Send close_notify and the end of the stream; what still comes is thrown away.

        Closing while the peer's bytes are still coming would reset the connection and destroy what was sent last.
        """
        self.goodbye()
        if self._error is None:
            self._error = ConnectionAbortedError()
        if self._raw is not None and not self._raw.is_closing():
            self._raw.write_eof()

    def abort(self) -> None:
        """Drop the connection, whatever state it is in."""
        if self._raw is not None:
            self._raw.abort()

    # --- within ----------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._secured.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._flush()
            return
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()
        if self._raw is None or self._raw.is_closing():
            return
        self._established = True
        self._buffer = memoryview(bytearray(_CHUNK))
        self._protocol.connection_made(TlsTransport(self, self._raw, self._secured))
        if not self.ready.done():
            self.ready.set_result(None)

    def _read(self) -> None:
        """Decrypt all there is, each record to where the protocol wants it, and tell it of all that fits at once.

        OpenSSL takes no more from the incoming bytes than the record that it decrypts, so it is not asked for what it
        cannot have: each answer in vain is an exception.
        """
        incoming, secured = self._incoming, self._secured
        filled = 0
        try:
            while self._error is None and (incoming.pending or secured.pending()):
                room = self._protocol.get_buffer(-1)
                size, filled = len(room), 0
                while filled < size and (incoming.pending or secured.pending()):
                    count: object = secured.read(size - filled, room[filled:] if filled else room)
                    assert isinstance(count, int)  # noqa: S101 - bytes come only where no buffer is given
                    if not count:
                        self._close(filled)
                        return
                    filled += count
                count, filled = filled, 0
                self._protocol.buffer_updated(count)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if filled:
                self._protocol.buffer_updated(filled)
        except ssl.SSLZeroReturnError:
            self._close(filled)
        except ssl.SSLError as error:
            if filled:
                self._protocol.buffer_updated(filled)
            self._break(error)
            return
        self._flush()  # a key update may want an answer

    def _close(self, filled: int) -> None:
        """Take the last bytes and close: the peer has sent close_notify."""
        if filled:
            self._protocol.buffer_updated(filled)
        if self._raw is not None:
            self._raw.close()

    def _break(self, error: ssl.SSLError) -> None:
        """Send the alert that says why, then close."""
        self._error = error
        self._flush()
        if self._raw is not None and self._established:
            self._raw.close()
        elif self._raw is not None:
            # Closing while the peer's bytes are still coming would reset the connection and destroy the alert.
            self._raw.write_eof()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # nobody may be waiting any more

    def _flush(self) -> None:
        if self._outgoing.pending and self._raw is not None and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())
