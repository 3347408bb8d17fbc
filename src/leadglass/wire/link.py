"""One protocol machine on one asyncio transport.

Rule: bytes go in and out in as few system calls as possible (no delayed
acknowledgement is waited for, one write per group of PDUs), and every wait for
the peer has a deadline. ``deliver`` gets the machine's events; ``over`` is told
once, when the association is gone, how it ended.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from leadglass.wire.deadlines import Deadline, Deadlines
from leadglass.wire.errors import AssociationAborted, ProtocolViolation
from leadglass.wire.fsm import Evt, State
from leadglass.wire.limits import WireLimits
from leadglass.wire.machine import Event, Machine, Side
from leadglass.wire.pdu import AssociateAccept, AssociateRequest, Rejection
from leadglass.wire.tls import tls_failure

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class _Reading(Enum):
    ON = auto()
    PAUSED = auto()


class Link(asyncio.BufferedProtocol):
    """Carries one association's end.

    Parameters
    ----------
    side : Side
        Requestor or acceptor.
    limits : WireLimits
        Sizes and deadlines.
    deliver : callable
        Gets every event of the machine.
    over : callable
        Gets, once, how the association ended.
    mid_message : callable
        Tells whether the peer is in the middle of a message.
    """

    def __init__(
        self,
        side: Side,
        limits: WireLimits,
        deliver: Callable[[Event], None],
        over: Callable[[str], None],
        mid_message: Callable[[], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._machine = Machine(
            side,
            max_pdu=limits.max_pdu,
            associate_pdu=limits.associate_pdu,
            smallest_peer_pdu=limits.smallest_peer_pdu,
        )
        self._limits = limits
        self._deliver = deliver
        self._over = over
        self._mid_message = mid_message
        self._deadlines = Deadlines(loop, self._expired)
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._artim = 0
        self._waiting = 0
        self._reading = _Reading.ON
        self._received = 0
        self._received_at_window = 0
        self._write_waiters: list[asyncio.Future[None]] = []
        self._write_paused = False
        self._ended: str | None = None
        self.closed: asyncio.Future[None] = loop.create_future()

    # --- asyncio.BufferedProtocol ----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the machine on its transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream transports only
        self._transport = transport
        transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self._socket = transport.get_extra_info("socket")
        if self._socket is not None and self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = None
        self._quick_ack()
        self._after(self._machine.transport_connected())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the machine knows what its PDU lacks
        """Give where the transport reads to."""
        return self._machine.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the machine."""
        self._quick_ack()
        self._received += nbytes
        self._after(self._machine.received(nbytes))
        self._watch_progress()

    def eof_received(self) -> None:
        """Let asyncio close: nobody half-closes a DICOM connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the machine, wake everybody."""
        self._deadlines.close()
        text = f"the connection was lost ({_short(exc)})" if exc is not None else "the peer closed the connection"
        for event in self._machine.transport_closed(text):
            self._deliver(event)
        self.end(text)
        self._transport = None
        self._wake_writers()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Note that the peer reads slower than we write."""
        self._write_paused = True
        self._deadlines.set(Deadline.WRITE, self._limits.write_stall)

    def resume_writing(self) -> None:
        """Note that the peer has caught up."""
        self._write_paused = False
        self._deadlines.clear(Deadline.WRITE)
        self._wake_writers()

    # --- what an association asks --------------------------------------------

    @property
    def state(self) -> State:
        """Where the machine is."""
        return self._machine.state

    @property
    def ended(self) -> str | None:
        """How the association ended, or ``None`` while it has not."""
        return self._ended

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, while it is open."""
        return self._transport

    def associate(self, request: AssociateRequest) -> None:
        """Ask for an association as soon as the transport is there."""
        self._after(self._machine.associate(request))

    def accept(self, answer: AssociateAccept) -> None:
        """Accept the association that was asked for."""
        self._after(self._machine.accept(answer))

    def reject(self, rejection: Rejection) -> None:
        """Reject the association that was asked for."""
        if self._machine.may(Evt.Evt8):
            self._after(self._machine.reject(rejection))

    def send(self, buffers: list[bytes | memoryview]) -> None:
        """Write P-DATA-TF PDUs, in one write.

        Raises
        ------
        AssociationAborted
            When the association is over.
        """
        if self._ended is not None or not self._machine.may(Evt.Evt9):
            raise AssociationAborted(f"The association is over: {self._ended or 'it was released'}.")
        self._after(self._machine.send_data(buffers))

    async def drain(self) -> None:
        """Wait until the peer has taken enough.

        Raises
        ------
        AssociationAborted
            When the association ended meanwhile.
        """
        while self._write_paused and self._ended is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._write_waiters.append(waiter)
            await waiter
        if self._ended is not None:
            raise AssociationAborted(f"The association is over: {self._ended}.")

    def release(self) -> None:
        """Ask for release, with a deadline."""
        if self._machine.may(Evt.Evt11):
            self._deadlines.set(Deadline.RELEASE, self._limits.release)
            self._after(self._machine.release())

    def respond_release(self) -> None:
        """Agree to the peer's release."""
        if self._machine.may(Evt.Evt14):
            self._after(self._machine.respond_release())

    def abort(self, how: str) -> None:
        """Abort as the user of the service, for the reason ``how``."""
        self.end(how)
        self._after(self._machine.abort())
        if self._write_paused and self._transport is not None:
            # The peer does not read, so it will not read an A-ABORT either.
            self._transport.abort()

    def violated(self, violation: ProtocolViolation) -> None:
        """Abort as the provider of the service, because of what the peer's message held."""
        self._after(self._machine.abort_for(violation))

    def end(self, how: str) -> None:
        """Note how the association ended; the first reason is the true one."""
        if self._ended is not None:
            return
        self._ended = how
        for deadline in (Deadline.IDLE, Deadline.PROGRESS, Deadline.RELEASE):
            self._deadlines.clear(deadline)
        self._waiting = 0
        self._resume()
        self._wake_writers()
        self._over(how)

    def buffered(self, change: int) -> bool:
        """Note how many bytes wait for their consumer; stop or start the socket, and tell whether it is stopped."""
        if self._ended is not None:
            return False
        self._waiting += change
        if self._waiting > self._limits.receive_buffer:
            if self._reading is _Reading.ON and self._transport is not None:
                self._transport.pause_reading()
                self._reading = _Reading.PAUSED
        elif self._waiting <= self._limits.receive_buffer // 2:
            self._resume()
        return self._reading is _Reading.PAUSED

    def idle(self, *, idle: bool) -> None:
        """Say whether the next word is the peer's and nothing is going on."""
        if idle and self._ended is None:
            self._deadlines.set(Deadline.IDLE, self._limits.idle)
        else:
            self._deadlines.clear(Deadline.IDLE)

    # --- within ----------------------------------------------------------------

    def _after(self, events: list[Event]) -> None:
        """Do what the machine wants done: write, time, deliver, close."""
        machine = self._machine
        out = machine.take()
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out)
        if machine.artim != self._artim:
            self._artim = machine.artim
            if machine.artim:
                before = machine.state is State.Sta2
                self._deadlines.set(Deadline.ARTIM, self._limits.artim if before else self._limits.linger)
            else:
                self._deadlines.clear(Deadline.ARTIM)
        for event in events:
            self._deliver(event)
        if machine.closing and self._transport is not None and Deadline.CLOSE not in self._deadlines:
            self._deadlines.set(Deadline.CLOSE, self._limits.linger)
            self._transport.close()

    def _watch_progress(self) -> None:
        if self._ended is None and (self._machine.mid_pdu or self._mid_message()):
            if Deadline.PROGRESS not in self._deadlines and self._machine.state is not State.Sta2:
                self._open_window()
        else:
            self._deadlines.clear(Deadline.PROGRESS)

    def _open_window(self) -> None:
        self._received_at_window = self._received
        self._deadlines.set(Deadline.PROGRESS, self._limits.progress_window)

    def _expired(self, deadline: Deadline) -> None:
        match deadline:
            case Deadline.ARTIM:
                if self._machine.state is State.Sta2:
                    self.end(f"no association was asked for within {self._limits.artim:g} seconds")
                self._after(self._machine.artim_expired())
            case Deadline.IDLE:
                self.abort(f"timeout: nothing came for {self._limits.idle:g} seconds")
            case Deadline.PROGRESS:
                paused = self._reading is _Reading.PAUSED
                if paused or self._received - self._received_at_window >= self._limits.progress_bytes:
                    self._open_window()
                else:
                    self.abort(f"timeout: a message made no progress in {self._limits.progress_window:g} seconds")
            case Deadline.WRITE:
                self.abort(f"timeout: the peer did not read for {self._limits.write_stall:g} seconds")
            case Deadline.RELEASE:
                self.abort(f"timeout: no answer to the release within {self._limits.release:g} seconds")
            case Deadline.CLOSE:
                if self._transport is not None:
                    self._transport.abort()

    def _resume(self) -> None:
        if self._reading is _Reading.PAUSED:
            self._reading = _Reading.ON
            if Deadline.PROGRESS in self._deadlines:
                self._open_window()  # the time we took ourselves is not the peer's
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake_writers(self) -> None:
        waiters, self._write_waiters = self._write_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _quick_ack(self) -> None:
        """Acknowledge at once: a sender with Nagle's algorithm waits for it before its next PDU (40 ms each)."""
        if _QUICKACK is not None and self._socket is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                self._socket = None  # the connection is going down; its loss will be reported as such


def _short(error: Exception) -> str:
    """Name an error without what a peer may have put into it."""
    if isinstance(error, ssl.SSLError):  # with TLS 1.3 a refused certificate of ours shows only now
        return tls_failure(error)
    return type(error).__name__
