"""A crowd: some hundred hosts of the loopback at one port, in one process, each with a way of its own.

    python -m tests.peers.crowd PORT [KIND=NUMBER ...]

Rule: where they are follows from their numbers alone. It says ``ready``, and keeps who was called how often; a line
on its standard input asks for that, its end ends it. ``mute`` hosts never answer a SYN, as behind a firewall: their
listeners are full. ``held`` ones are archives that make one wait until they are told to go on.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Final

from leadglass.wire.association import (
    Acceptance,
    AssociateRequest,
    Message,
    Peer,
    Rejection,
    ServerAssociation,
)
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CEchoRq, CFindRq
from leadglass.wire.server import DicomServer

NETWORK: Final = IPv4Network("127.66.0.0/16")
_STRIDE: Final = 167
"""Coprime with the size of any network here: the hosts are spread over all of it."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """A crowd that is there.

    Parameters
    ----------
    port : int
        Where all of them listen.
    hosts : mapping of str to tuple of IPv4Address
        Who they are, by kind.
    """

    port: int
    hosts: Mapping[str, tuple[IPv4Address, ...]]
    _process: "subprocess.Popen[str]"

    def calls(self) -> Counter[str]:
        """Give how often each host was called since it is there; ``mute`` ones do not know."""
        return self._ask("calls")

    def go_on(self) -> None:
        """Let those that are ``held`` answer from now on."""
        self._ask("go on")

    def _ask(self, what: str) -> Counter[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._process.stdout.readline()))


def placed(numbers: Mapping[str, int], size: int) -> dict[str, tuple[IPv4Address, ...]]:
    """Say where in the first ``size`` addresses of the network each host is."""
    held = range(size * 3 // 10, size * 3 // 10 + numbers.get("held", 0))  # together, a third of the way along
    spread = (place for number in range(size) if (place := (number * _STRIDE + 5) % size) not in held)
    return {
        kind: tuple(NETWORK[each] for each in (held if kind == "held" else islice(spread, number)))
        for kind, number in numbers.items()
    }


@contextmanager
def crowd(port: int, size: int = 65_536, **numbers: int) -> Generator[Crowd]:
    """Bring a crowd up inside the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(port), str(size), json.dumps(numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield Crowd(port, placed(numbers, size), process)
        finally:
            process.kill()


# --- the process ------------------------------------------------------------------


class _Archive:
    """Handler and session in one: whoever comes may ask, and nothing is found."""

    def __init__(self, calls: Counter[str], host: str, held: asyncio.Event | None) -> None:
        self._calls = calls
        self._host = host
        self._held = held

    async def peer_connected(self, address: object) -> str | None:
        self._calls[self._host] += 1
        return None

    async def connection_failed(self, peer: Peer, reason: str) -> None:
        pass

    async def association_requested(
        self,
        peer: Peer,
        request: AssociateRequest,
    ) -> "tuple[Acceptance, _Archive] | Rejection":
        if self._held is not None:
            await self._held.wait()
        return Acceptance(contexts={context.id: context.transfer_syntaxes[0] for context in request.contexts}), self

    async def begun(self, association: ServerAssociation) -> None:
        pass

    async def message(self, association: ServerAssociation, message: Message) -> None:
        await message.discard()
        if isinstance(message.command, CEchoRq | CFindRq):
            await association.send(message.context.id, message.command.response(0))
        else:
            await association.abort()

    async def ended(self, how: str) -> None:
        pass


_PAGE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<p>Nothing.</p>"
)
_BAD: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def _other(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ValueError):
        match kind:
            case "web":
                head = await reader.readline()
                writer.write(_PAGE if head.startswith(b"GET ") else _BAD)
                await writer.drain()
            case "echo":
                while data := await reader.read(4096):
                    writer.write(data)
                    await writer.drain()
            case _:
                while await reader.read(4096):
                    pass
    writer.close()


def _full(host: str, port: int) -> list[socket.socket]:
    """Listen where nobody is let in any more."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(0)
    kept = [listener]
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex((host, port))
        kept.append(waiting)
    return kept


async def _main(port: int, size: int, numbers: Mapping[str, int]) -> None:
    calls: Counter[str] = Counter()
    limits = WireLimits(
        pending=4096, pending_per_address=4096, associations=4096, associations_per_address=4096
    )  # all of them come from one address
    full: list[socket.socket] = []
    held = asyncio.Event()
    for kind, hosts in placed(numbers, size).items():
        for host in map(str, hosts):
            if kind in {"dicom", "held"}:
                archive = _Archive(calls, host, held if kind == "held" else None)
                await DicomServer(archive, limits).listen(host, port, None)
                continue
            if kind == "mute":
                full += _full(host, port)
                continue

            async def come(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str = kind, host: str = host
            ) -> None:
                calls[host] += 1
                await _other(kind, reader, writer)

            await asyncio.start_server(come, host, port)
    _say("ready")
    async for line in _lines():
        if line.strip() == "go on":
            held.set()
        _say(json.dumps(calls))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def _lines() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))
