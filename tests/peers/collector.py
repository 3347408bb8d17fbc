"""A small, strict syslog collector over mutual TLS (RFC 5425), which can be slow, silent, and killed."""

import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Self

HEADER = re.compile(
    rb"<(?P<priority>\d{1,3})>1 (?P<time>-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[\x21-\x7e]{1,255}) "
    rb"(?P<app>[\x21-\x7e]{1,48}) (?P<process>[\x21-\x7e]{1,128}) (?P<kind>[\x21-\x7e]{1,32}) "
    rb'\[(?P<id>[\x21-\x7e]{1,32})(?P<data>(?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")+)\] (?P<content>.*)\Z',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Message:
    """One syslog message."""

    priority: int
    kind: str
    data: dict[str, str]
    content: bytes


def parse(frame: bytes) -> Message:
    """Read one message by the letter of RFC 5424."""
    match = HEADER.match(frame)
    assert match is not None, frame[:300]
    data = dict(re.findall(r'([a-z]+)="([^"]*)"', match["data"].decode()))
    return Message(int(match["priority"]), match["kind"].decode(), data, match["content"])


class Collector:
    """Listens on loopback, on a port of its own that it comes back to.

    Parameters
    ----------
    certificate, authority : Path
        What it shows, and whose certificates it accepts.
    """

    def __init__(self, certificate: Path, authority: Path) -> None:
        self._certificate = certificate
        self._authority = authority
        self._lock = Lock()
        self.messages: list[Message] = []
        self.faults: list[str] = []
        self.is_slow = False
        self.is_silent = False
        self.dies_after: int | None = None
        self.connections = 0
        self.port = 0
        self._up = Event()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Listen."""
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        listener.settimeout(0.1)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._up.set()
        Thread(target=self._accept, args=(listener,), daemon=True).start()

    def kill(self) -> None:
        """Die as a process does: what was not read is lost, connections are reset."""
        self._up.clear()
        with self._lock:
            listener, self._listener = self._listener, None
            left, self._open = self._open, []
        if listener is not None:
            # Closing alone would leave it listening for as long as the other thread still waits in accept.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for each in left:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()

    def sequences(self) -> list[int]:
        """Give the numbers of the records that came, in the order in which they came."""
        return [int(message.data["sequence"]) for message in list(self.messages) if "sequence" in message.data]

    def heads(self) -> list[str]:
        """Give the signed heads that came."""
        return [
            message.content.removeprefix(b"\xef\xbb\xbf").decode()
            for message in list(self.messages)
            if message.kind == "LEADGLASS+CHECKPOINT"
        ]

    def _accept(self, listener: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        context.load_verify_locations(self._authority)
        context.verify_mode = ssl.CERT_REQUIRED
        while self._up.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            plain.settimeout(20)
            with self._lock:
                if listener is not self._listener:
                    plain.close()
                    return
            try:
                connection = context.wrap_socket(plain, server_side=True)
            except OSError as error:
                self.faults.append(type(error).__name__)
                plain.close()
                continue
            with self._lock:
                self._open.append(connection)
                self.connections += 1
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: ssl.SSLSocket) -> None:
        held = b""
        while self._up.is_set():
            try:
                block = connection.recv(2_048 if self.is_slow else 65_536)
            except OSError:
                return
            if not block:
                break
            held = self._take(held + block)
            if self.dies_after is not None and len(self.messages) >= self.dies_after:
                self.kill()
                self.dies_after = None
                return
            if self.is_slow:
                time.sleep(0.002)
        if held:
            self.faults.append(f"{len(held)} bytes of half a message")
        if self.is_silent:
            return  # neither a close_notify nor the end of the connection
        with suppress(OSError):
            connection.unwrap()
        connection.close()

    def _take(self, held: bytes) -> bytes:
        while match := re.match(rb"([1-9]\d*) ", held):
            end = match.end() + int(match[1])
            if len(held) < end:
                break
            self.messages.append(parse(held[match.end() : end]))
            held = held[end:]
        else:
            if held and not re.match(rb"[1-9]\d{0,8}\Z", held):
                self.faults.append(f"no frame: {held[:40]!r}")
        return held


def eventually(holds: Callable[[], bool], what: str, patience: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)
