"""Gate: the only place of the survey that opens connections.

Rule 1. Nothing is opened to an address that the scope does not cover, looked at
again for each connection; names are not looked up here. Rule 2. One connection at a
time to a host, some time apart, to so many hosts at once, and in no second more than
so many in all; only FTP has a second one beside its first. Rule 3. When the run is
stopped, nothing more is opened, and every open line says goodbye within a second.
Rule 4. Every act is in the journal before it happens.
"""

import asyncio
import errno
import random
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from time import monotonic
from typing import Final, cast

from leadglass.errors import Busy, Denied
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Address, SurveyScope, plain, today
from leadglass.survey.turns import Turns

CONNECT: Final = 5.0
"""Seconds for a connection. What takes longer on a network of one's own is not there, or filtered."""

ANSWER: Final = 10.0
"""Seconds for an answer."""

FAREWELL: Final = 0.35
"""Seconds for a goodbye, and as many for the close after it: with a look for the file STOP that is within a second."""

PATIENCE: Final = 90.0
"""Seconds for which one connection is held, however slowly it drips: nobody keeps a survey."""

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What a connection fails by where this machine has no more to give: that says nothing of the peer."""

_NEXT: Final = 256
"""Connections at most that are next: who comes after them may still be overtaken."""

_MOST: Final = 1 << 20
"""Bytes that are read of one connection at most: what we ask for is small."""


class Stopped(Busy):
    """The run was stopped, by a signal, by Ctrl-C or by a file."""


class Unreachable(Busy):
    """There is no connection: refused, filtered, or gone.

    Parameters
    ----------
    message : str
        What happened.
    is_refused : bool
        Whether the machine is there and nobody listens.
    """

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        super().__init__(message)
        self.is_refused = is_refused


class Closed(Busy):
    """The peer closed the connection, or was silent for too long."""


class Hindered(Busy):
    """Our own machine could not open a connection: nobody knows whether somebody listens there."""


class _Host:
    """A host that somebody is at, or waits for."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Line:
    """One connection of the survey. Made by ``Gate``.

    ``farewell`` is what is said when the run is stopped in the middle; whoever
    speaks a protocol that has a goodbye sets it.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        journal: Journal,
        check: str,
        address: Address,
        port: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._journal = journal
        self.check = check
        self._taken = 0
        self.is_reserved = _own_port(writer) < 1024
        """Whether we come from a port that only an administrator may."""
        self.address = address
        self.port = port
        self.farewell: Callable[[], Awaitable[None]] | None = None
        self._is_closed = False

    async def send(self, data: bytes, act: str) -> None:
        """Send bytes; ``act`` says what they are, in words of ours.

        Raises
        ------
        Closed
        """
        self._journal.write(act, self.check, self.address, self.port, len(data))
        try:
            self._writer.write(data)
            async with asyncio.timeout(ANSWER):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise Closed("The connection was closed.") from error

    async def exactly(self, count: int, seconds: float = ANSWER) -> bytes:
        """Give so many bytes; raises ``Closed`` when they do not come."""
        self._take(count)
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.readexactly(count)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Closed("The peer closed the connection, or was silent.") from error

    async def some(self, most: int = 65_536, seconds: float = ANSWER) -> bytes:
        """Give what there is, at least a byte; empty when the peer closed; raises ``Closed`` when it is silent."""
        try:
            async with asyncio.timeout(seconds):
                data = await self._reader.read(most)
        except (OSError, TimeoutError) as error:
            raise Closed("The peer was silent.") from error
        self._take(len(data))
        return data

    def _take(self, count: int) -> None:
        self._taken += count
        if self._taken > _MOST:
            raise Closed("The peer sends more than was asked for.")

    @property
    def tls(self) -> "ssl.SSLObject | None":
        """What TLS agreed on, where it is spoken."""
        found = self._writer.get_extra_info("ssl_object")
        return found if isinstance(found, ssl.SSLObject) else None

    async def close(self) -> None:
        """Close it: in good order where the peer plays along, at once where it does not."""
        if self._is_closed:
            return
        self._is_closed = True
        self._writer.close()
        try:
            with suppress(OSError, TimeoutError, ssl.SSLError):
                async with asyncio.timeout(FAREWELL):
                    await self._writer.wait_closed()
        finally:
            # who does not answer the goodbye of TLS, or reads nothing, would hold the connection for half a minute
            self._writer.transport.abort()


class Gate:
    """Opens lines.

    Parameters
    ----------
    scope : SurveyScope
        What may be spoken to, how fast, and when.
    journal : Journal
        Where acts go.
    clock : callable
        Monotonic seconds.
    wall : callable
        The local time, for the scope's hours.
    today : callable
        The day, for those in which the scope is in force.
    """

    def __init__(
        self,
        scope: SurveyScope,
        journal: Journal,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], datetime] = datetime.now,
        today: Callable[[], date] = today,
    ) -> None:
        self.scope = scope
        self.connections = 0
        self.is_heard = False
        """Whether a machine answered or refused: the line is up."""
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._today = today
        self._stop = asyncio.Event()
        self._parted = asyncio.Event()
        self._lines: set[Line] = set()
        self._pausing: set[asyncio.Future[None]] = set()
        self._turns = Turns(min(_NEXT, max(4, int(scope.rate.connections_per_second / 50))))
        self._slots = asyncio.Semaphore(scope.rate.hosts_at_once)
        self._hosts: dict[Address, _Host] = {}
        self._last: OrderedDict[Address, float] = OrderedDict()
        """When hosts were spoken to last, as long as that matters."""
        self._next = 0.0
        most = max(1, int(scope.rate.connections_per_second))
        self._window = most / scope.rate.connections_per_second
        self._begun: deque[float] = deque(maxlen=most)
        """When the newest connections began: as many as may begin in a window."""

    @property
    def is_stopped(self) -> bool:
        """Whether the run was stopped."""
        return self._stop.is_set()

    async def stop(self) -> None:
        """Open nothing more, and have every open line say goodbye."""
        self._stop.set()
        for pausing in self._pausing:
            if not pausing.done():
                pausing.set_result(None)
        await asyncio.gather(*(self._part(line) for line in tuple(self._lines)))
        self._parted.set()

    async def stopped(self) -> None:
        """Wait until the run is stopped and every open line has said goodbye."""
        await self._parted.wait()

    async def _part(self, line: Line) -> None:
        if line.farewell is not None:
            with suppress(Exception):  # whatever goes wrong with it, the line is closed
                await asyncio.wait_for(line.farewell(), FAREWELL)
        await line.close()

    async def pause(self, seconds: float) -> None:
        """Wait, or until the run is stopped; raises ``Stopped``."""
        if seconds <= 0:
            await asyncio.sleep(0)
        elif not self._stop.is_set():
            loop = asyncio.get_running_loop()
            over = loop.create_future()
            self._pausing.add(over)
            timer = loop.call_later(seconds, _end, over)
            try:
                await over
            finally:
                timer.cancel()
                self._pausing.discard(over)
        if self._stop.is_set():
            raise Stopped("The survey was stopped.")

    @asynccontextmanager
    async def turn(
        self, address: Address, port: int, check: str, act: str = "connect", *, is_new: bool = False
    ) -> AsyncGenerator[None]:
        """Wait for leave to open one connection to a host, and have it alone inside the block.

        Who speaks by a library of its own opens its one connection inside; who
        does not, uses ``connect``. Endpoints that are new wait until those that were
        begun with have what they ask for.

        Raises
        ------
        Denied
            When the address is outside of the scope.
        Stopped
        """
        address = plain(address)
        if not self.scope.covers(address):
            raise Denied("This address is outside of the scope: nothing is sent to it.")
        host = self._hosts.setdefault(address, _Host())
        host.users += 1
        try:
            async with host.lock:
                await self._wait(address)
                async with self._slot(act, check, address, port, is_new=is_new):
                    try:
                        yield
                    finally:
                        self._spoke(address)
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[address]

    @asynccontextmanager
    async def _slot(self, act: str, check: str, address: Address, port: int, *, is_new: bool) -> AsyncGenerator[None]:
        """Wait for one of the connections that there may be at one time, and for the rate of all; then it begins."""
        await self._turns.enter(is_new=is_new)
        try:
            await self._slots.acquire()
            try:
                await self._share()
                self._begins(act, check, address, port)
            except BaseException:
                self._slots.release()
                raise
        finally:
            self._turns.leave()
        try:
            yield
        finally:
            self._slots.release()

    def _spoke(self, address: Address) -> None:
        """Remember when a host was spoken to last, and forget for whom that matters no more."""
        now = self._clock()
        self._last[address] = now
        self._last.move_to_end(address)
        while (oldest := next(iter(self._last.items())))[1] < now - self.scope.rate.seconds_between:
            del self._last[oldest[0]]

    async def _wait(self, address: Address) -> None:
        """Wait until it is time: for the hours, and for the host."""
        while not self.scope.hours.contain(self._wall()):
            await self.pause(1.0)
        if not self.scope.valid_from <= self._today() <= self.scope.valid_until:  # a run may be longer than its scope
            await self.stop()
            raise Stopped("The scope is in force no more: nothing is sent.")
        rate = self.scope.rate
        last = self._last.get(address)
        if last is not None:
            await self.pause(last + rate.seconds_between - self._clock())

    async def _share(self) -> None:
        """Wait for a place in the rate of all."""
        now = self._clock()
        mine = max(now, self._next)
        self._next = mine + 1 / self.scope.rate.connections_per_second
        await self.pause(mine - now)
        # Who was kept from waking by a busy machine wakes together with others: there are no more of them all the same.
        while len(self._begun) == self._begun.maxlen and (left := self._begun[0] + self._window - self._clock()) > 0:
            await self.pause(left)

    def _begins(self, act: str, check: str, address: Address, port: int) -> None:
        """Put down that a connection begins now."""
        self._journal.write(act, check, address, port)
        self.connections += 1
        self._begun.append(self._clock())

    @asynccontextmanager
    async def connect(
        self,
        address: Address,
        port: int,
        check: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        act: str = "connect",
        reserved: bool = False,
        is_new: bool = False,
    ) -> AsyncGenerator[Line]:
        """Open one connection inside the block.

        Parameters
        ----------
        address, port
            To whom; an address, never a name.
        check : str
            The id of the check on whose behalf.
        tls : ssl.SSLContext, optional
            Client side; without it nothing is encrypted.
        server_hostname : str, optional
            What is sent as Server Name Indication.
        act : str
            For the journal.
        reserved : bool
            Whether to come from a port below 1024 where this process may, as servers of NFS want it.
        is_new : bool
            Whether nothing was opened to this endpoint yet: those that were begun with go first.

        Raises
        ------
        Denied, Stopped, Hindered, Closed
        Unreachable
            When there is no connection; ``ssl.SSLError`` where TLS failed on it.
        """
        async with (
            self.turn(address, port, check, act if tls is None else f"{act} with TLS", is_new=is_new),
            self._line(address, port, check, tls, server_hostname, reserved=reserved) as line,
        ):
            yield line

    @asynccontextmanager
    async def beside(self, line: Line, port: int, act: str = "connect for data") -> AsyncGenerator[Line]:
        """Open a second connection to the host of an open line, as FTP needs one; spaced as any other is.

        Raises
        ------
        Denied, Stopped, Unreachable
        """
        await self.pause(self.scope.rate.seconds_between)
        await self._share()
        if not self.scope.covers(line.address):
            raise Denied("This address is outside of the scope: nothing is sent to it.")
        self._begins(act, line.check, line.address, port)
        async with self._line(line.address, port, line.check, None, None) as second:
            yield second

    @asynccontextmanager
    async def _line(
        self,
        address: Address,
        port: int,
        check: str,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
        *,
        reserved: bool = False,
    ) -> AsyncGenerator[Line]:
        try:
            reader, writer = await self._open(plain(address), port, tls, server_hostname, reserved=reserved)
        except ssl.SSLError:
            raise
        except ConnectionRefusedError:
            self.is_heard = True
            raise Unreachable("Nobody listens there.", is_refused=True) from None
        except (OSError, TimeoutError) as error:
            if error.errno in _OURS:
                raise Hindered("This machine has no more connections to give. Survey fewer hosts at once.") from error
            raise Unreachable("There is no way there, or no answer.") from error
        line = Line(reader, writer, self._journal, check, address, port)
        self._lines.add(line)
        try:
            if self.is_stopped:
                raise Stopped("The survey was stopped.")
            held = asyncio.timeout(PATIENCE)
            try:
                async with held:
                    yield line
            except TimeoutError as error:
                if held.expired():
                    raise Closed("The peer was too slow.") from error
                raise
        finally:
            await line.close()
            self._lines.discard(line)

    async def _open(
        self,
        address: Address,
        port: int,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
        *,
        reserved: bool,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address, to which nothing is awaited before its first packet is sent."""
        where = (str(address), port)
        made = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            made.settimeout(0)
            if reserved:
                _reserve(made)
            try:
                made.connect(where)
                is_made = True
            except BlockingIOError:
                is_made = False
            finally:
                if self._begun:
                    self._begun[-1] = self._clock()  # a machine may have slept between leave and packet
            if not is_made:
                async with asyncio.timeout(CONNECT):
                    await asyncio.get_running_loop().sock_connect(made, where)
            if tls is None:
                return await asyncio.open_connection(sock=made)
            return await asyncio.wait_for(
                asyncio.open_connection(sock=made, ssl=tls, server_hostname=server_hostname or str(address)), ANSWER
            )
        except BaseException:
            made.close()
            raise


def _own_port(writer: asyncio.StreamWriter) -> int:
    """Give the port that we come from."""
    own = cast("tuple[object, ...] | None", writer.get_extra_info("sockname"))
    return cast("int", own[1]) if own else 65_535


def _reserve(made: socket.socket) -> None:
    """Take a port below 1024 to come from; any, where this process may not or none is free."""
    for port in random.sample(range(512, 1024), 16):
        try:
            made.bind(("", port))
        except PermissionError:
            return
        except OSError:  # taken
            continue
        return


def _end(pausing: asyncio.Future[None]) -> None:
    if not pausing.done():
        pausing.set_result(None)
