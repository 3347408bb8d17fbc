"""Attacks on an archive's doors, each a function that goes on until it is told to stop.

Rule: an attack does what an attacker can do from outside: it opens sockets and
sends bytes. The tests and ``benchmarks/attack.py`` run the same ones.
"""

import json
import random
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import Final, Protocol

from tests.hostile import raw
from tests.hostile.captures import captures
from tests.peers.running import Credentials
from tests.peers.tunnel import client_context

TURNED: Final = "TURNED"
"""An enrolled device of the plaintext lane that went over to the attacker."""

TURNED_TLS: Final = "TURNEDTLS"
"""The same with a certificate."""

TURNED_FROM: Final = "127.0.0.66"
"""Where the two speak from."""

ONE: Final = ("127.0.0.2",)
MANY: Final = tuple(f"127.0.1.{last}" for last in range(1, 251))
CONNECTIONS: Final = 1000
_AGAIN: Final = 250
"""Connections a second that replace those which the archive closed."""


class Stop(Protocol):
    """What tells an attack to stop."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for it, ``timeout`` seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked: the two ports on 127.0.0.1, and the certificate of the device that turned."""

    tls: int
    plain: int
    credentials: Path
    study: str = ""
    """A study that is worth retrieving."""

    def turned_tls(self) -> ssl.SSLSocket:
        """Connect as the device with a certificate that turned."""
        context = client_context(Credentials(self.credentials))
        return context.wrap_socket(raw.dial(self.tls, TURNED_FROM), server_hostname="127.0.0.1")

    def turned(self) -> socket.socket:
        """Connect and associate as the plaintext device that turned."""
        connection = raw.dial(self.plain, TURNED_FROM)
        connection.sendall(raw.associate(TURNED))
        kind, _ = raw.read_pdu(connection)
        if kind != 0x02:
            connection.close()
            raise ConnectionRefusedError("The archive did not accept the device that turned.")
        return connection


Attack = Callable[[Target, Stop], None]


# --- connections that are held ---------------------------------------------------------


def hold(ports: Sequence[int], sources: Sequence[str], first: bytes, stop: Stop, count: int = CONNECTIONS) -> None:
    """Keep ``count`` connections open, each having sent ``first``; what is closed is opened again, 250 a second."""
    watcher = selectors.DefaultSelector()
    turn = 0

    def another() -> None:
        nonlocal turn
        turn += 1
        try:
            connection = raw.dial(ports[turn % len(ports)], sources[turn % len(sources)])
            connection.setblocking(False)
            if first:
                connection.send(first)
        except OSError:
            return
        watcher.register(connection, selectors.EVENT_READ)

    try:
        for _ in range(count):
            another()
        while not stop.is_set():
            missing = count - len(watcher.get_map())
            for _ in range(min(missing, _AGAIN // 10)):
                another()
            for key, _ in watcher.select(0.05):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                with suppress(OSError):
                    if connection.recv(65536):
                        continue
                watcher.unregister(connection)
                connection.close()
            stop.wait(0.05)
    finally:
        for key in list(watcher.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        watcher.close()


def silent_from_one_address(target: Target, stop: Stop) -> None:
    """1,000 TCP connections of one address that say nothing, on both doors."""
    hold((target.tls, target.plain), ONE, b"", stop)


def silent_from_many_addresses(target: Target, stop: Stop) -> None:
    """1,000 TCP connections of 250 addresses that say nothing, on both doors."""
    hold((target.tls, target.plain), MANY, b"", stop)


def half_tls_handshakes(target: Target, stop: Stop) -> None:
    """1,000 connections that send a ClientHello and leave the archive's answer unanswered."""
    hold((target.tls,), MANY, raw.client_hello(), stop)


def half_client_hellos(target: Target, stop: Stop) -> None:
    """1,000 connections that send the first half of a ClientHello."""
    hello = raw.client_hello()
    hold((target.tls,), MANY, hello[: len(hello) // 2], stop)


def half_requests(target: Target, stop: Stop) -> None:
    """1,000 connections that send the first half of an A-ASSOCIATE-RQ."""
    request = raw.associate("STRANGER")
    hold((target.plain,), MANY, request[: len(request) // 2], stop)


# --- slow ones -------------------------------------------------------------------------


def _drip(connections: Iterable[tuple[socket.socket, bytes]], stop: Stop, every: float = 1.0) -> None:
    """Send to each connection a byte a second, until it is closed."""
    open_ = list(connections)
    at = 0
    try:
        while not stop.is_set():
            for connection, data in open_:
                with suppress(OSError):
                    connection.send(data[at % len(data) : at % len(data) + 1])
            at += 1
            stop.wait(every)
    finally:
        for connection, _ in open_:
            connection.close()


def drip_association_requests(target: Target, stop: Stop) -> None:
    """100 strangers that send an A-ASSOCIATE-RQ a byte a second, header and body."""
    request = raw.associate("STRANGER")
    _drip(((raw.dial(target.plain, MANY[n]), request) for n in range(100)), stop)


def drip_tls(target: Target, stop: Stop) -> None:
    """100 strangers that send a ClientHello a byte a second."""
    _drip(((raw.dial(target.tls, MANY[n]), raw.client_hello()) for n in range(100)), stop)


def drip_data(target: Target, stop: Stop) -> None:
    """30 associations of an enrolled device that send a C-STORE a byte a second: header, command, data set."""
    command = raw.pdata(3, raw.command(raw.STORE, raw.CT, has_data=True, instance="1.2.3"), command=True)
    data = raw.pdata(3, bytes(4000), command=False, last=False)
    streams: list[tuple[socket.socket, bytes]] = []
    for number in range(30):
        connection = target.turned()
        begun = (b"", command, command + data[:1000])[number % 3]
        connection.sendall(begun)
        streams.append((connection, (command + data)[len(begun) :]))
    _drip(streams, stop)


def slow_readers(target: Target, stop: Stop) -> None:
    """20 associations that ask for everything (C-FIND and C-GET) and stop reading."""
    get = raw.pdata(7, raw.command(raw.GET, raw.STUDY_GET, has_data=True), command=True)
    get += raw.pdata(7, raw.STUDY_LEVEL + raw.study_key(target.study), command=False)
    find = raw.pdata(5, raw.command(raw.FIND, raw.STUDY_FIND, has_data=True), command=True)
    find += raw.pdata(5, raw.STUDY_LEVEL + raw.study_key(""), command=False)
    connections: list[socket.socket] = []
    try:
        for number in range(20):
            connection = target.turned()
            connections.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            with suppress(OSError):
                for _ in range(10 if number % 2 else 1):
                    connection.send(find if number % 2 else get)
        while not stop.wait(0.2):
            pass
    finally:
        for connection in connections:
            connection.close()


# --- bytes that lie --------------------------------------------------------------------


def _send_and_listen(connection: socket.socket, data: bytes, seconds: float = 1.0) -> None:
    """Send, then read what comes until the archive closes; for ``seconds`` at most."""
    with suppress(OSError):
        connection.settimeout(seconds)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + seconds
        while time.monotonic() < end and connection.recv(65536):
            pass


def _again_and_again(attempts: Sequence[Callable[[], tuple[socket.socket, bytes]]], stop: Stop) -> None:
    turn = 0
    while turn < len(attempts) or not stop.is_set():  # each of them once, however short the attack
        with suppress(OSError):
            connection, data = attempts[turn % len(attempts)]()
            with connection:
                _send_and_listen(connection, data)
        turn += 1


def _stranger(target: Target, data: bytes) -> Callable[[], tuple[socket.socket, bytes]]:
    return lambda: (raw.dial(target.plain, ONE[0]), data)


def _turned(target: Target, data: bytes) -> Callable[[], tuple[socket.socket, bytes]]:
    return lambda: (target.turned(), data)


def _turned_tls(target: Target, data: bytes) -> Callable[[], tuple[socket.socket, bytes]]:
    return lambda: (target.turned_tls(), data)


def lengths_of_four_gib(target: Target, stop: Stop) -> None:
    """PDUs, items and fragments that claim to have 4 GiB, and a flood of zeros after them: before and after."""
    flood = bytes(1 << 20)
    lies = [raw.pdu(kind, flood, raw.EVERY_LENGTH) for kind in (1, 2, 3, 4, 5, 6, 7, 0x42)]
    fragment = raw.pdata(1, flood[:1000], command=True, length=raw.EVERY_LENGTH)
    begun = raw.pdata(3, raw.command(raw.STORE, raw.CT, has_data=True, instance="1.2.3"), command=True)
    value = pack("<HHIHHI", 0, 0, 4, 0, 2, raw.EVERY_LENGTH)
    _again_and_again(
        [
            *(_stranger(target, lie) for lie in lies),
            *(_turned_tls(target, lie) for lie in lies[:1]),
            *(_turned(target, lie) for lie in lies),
            _turned(target, fragment),
            _turned(target, begun + lies[3]),
            _turned(target, raw.pdata(1, value, command=True)),
        ],
        stop,
    )


def lying_items(calling: str = TURNED) -> tuple[bytes, ...]:
    """Give A-ASSOCIATE-RQs whose items are nested, overlap, repeat, or lie about their lengths."""
    application = raw.item(0x10, raw.APPLICATION_CONTEXT.encode())
    verification = raw.context(1, raw.VERIFICATION)
    user = raw.user_information()
    nested = verification
    for _ in range(500):
        nested = raw.item(0x20, bytes([1, 0, 0, 0]) + nested)
    user_nested = raw.item(0x51, pack(">I", 16384))
    for _ in range(500):
        user_nested = raw.item(0x50, user_nested)
    uid = raw.CT.encode()
    return (
        raw.associate(calling, application, nested, user),
        raw.associate(calling, application, verification, user_nested),
        raw.associate(calling, application, raw.item(0x20, b"\1\0\0\0" + raw.item(0x30, b"1.2", 0xFFFF)), user),
        raw.associate(calling, raw.item(0x10, b"1.2", 0xFFFF)),
        raw.associate(calling, application, raw.item(0x20, b"\1\0\0\0", 2), user),
        raw.associate(calling, application, raw.item(0x20, b""), raw.item(0x50, b"")),
        raw.associate(calling, application, verification, verification, user),
        raw.associate(calling, application, application, verification, user, user),
        raw.associate(calling, user, verification, application),
        raw.associate(calling, application, raw.context(2, raw.VERIFICATION), user),
        raw.associate(calling, application, raw.context(1, raw.VERIFICATION, ["1.2"] * 5000), user),
        raw.associate(calling, application, raw.context(1, "1" * 60000), user),
        raw.associate(calling, application, raw.context(1, "../../etc/passwd"), user),
        raw.associate(calling, application, raw.context(1, raw.VERIFICATION, []), user),
        raw.associate(calling, application, verification, raw.user_information(raw.item(0x51, b"\0"))),
        raw.associate(calling, application, verification, raw.item(0x50, raw.item(0x51, pack(">I", 1)))),
        raw.associate(
            calling,
            application,
            verification,
            raw.user_information(raw.item(0x54, pack(">H", 0xFFFF) + uid + b"\1\1")),
        ),
        raw.associate(
            calling, application, verification, raw.user_information(raw.item(0x58, b"\2\1" + pack(">H", 0xFFFF)))
        ),
        raw.associate(calling, application, verification, user, length=20),
        raw.associate(calling, application, verification, user, length=68),
        raw.associate("", application, verification, user),
        raw.associate("\0" * 16, application, verification, user),
        raw.associate("\x1b[2J\r\n", application, verification, user, called="\x1b]0;x\x07"),
        raw.pdu(1, b""),
        raw.pdu(1, bytes(67)),
        raw.pdu(1, b"\xff" * 68),
    )


def nested_and_overlapping_items(target: Target, stop: Stop) -> None:
    """Items in items, items that overlap, repeat and lie, by strangers and by an enrolled device."""
    attempts: list[Callable[[], tuple[socket.socket, bytes]]] = []
    for request in lying_items():
        attempts.append(_stranger(target, request))
        attempts.append(lambda data=request: (raw.dial(target.plain, TURNED_FROM), data))
    _again_and_again(attempts, stop)


def ten_thousand_contexts(target: Target, stop: Stop) -> None:
    """A-ASSOCIATE-RQs with 10,000 presentation contexts, and with as many as fit into the longest that is read."""
    application = raw.item(0x10, raw.APPLICATION_CONTEXT.encode())
    many = b"".join(raw.context(2 * n + 1, raw.VERIFICATION) for n in range(10_000))
    fitting = b"".join(raw.context(2 * n + 1, "1", ["1"]) for n in range(10_000))[: 250 * 1024]
    fitting = fitting[: len(fitting) // 18 * 18]
    syntaxes = b"".join(raw.context(2 * n + 1, f"1.2.{n}", [f"1.{s}" for s in range(200)]) for n in range(128))
    requests = [
        raw.associate(TURNED, application, each, raw.user_information()) for each in (many, fitting, syntaxes[:250_000])
    ]
    _again_and_again(
        [lambda data=data: (raw.dial(target.plain, TURNED_FROM), data) for data in requests]
        + [_stranger(target, data) for data in requests],
        stop,
    )


def giant_user_items(target: Target, stop: Stop) -> None:
    """User information items as large as can be, and as many."""
    application = raw.item(0x10, raw.APPLICATION_CONTEXT.encode())
    context = raw.context(1, raw.VERIFICATION)
    uid = raw.CT.encode()

    def user(*inner: bytes) -> bytes:
        """Write items of sub-items up to the longest PDU that is read: each item has 64 KiB at most."""
        return raw.associate(TURNED, application, context, *(raw.item(0x50, each[:65_000]) for each in inner))

    identity = raw.item(0x58, b"\2\1" + pack(">H", 30_000) + b"u" * 30_000 + pack(">H", 30_000) + b"p" * 30_000)
    extended = raw.item(0x56, pack(">H", len(uid)) + uid + bytes(60_000))
    roles = b"".join(raw.item(0x54, pack(">H", len(f"1.2.{n}")) + f"1.2.{n}".encode() + b"\1\1") for n in range(5_000))
    requests = [
        user(raw.item(0x51, pack(">I", 16384)) + identity),
        user(raw.item(0x51, pack(">I", 16384)) + extended),
        user(raw.item(0x51, pack(">I", 16384)) + roles),
        user(*[raw.item(0x51, pack(">I", 0)) + roles] * 4),
        user(raw.item(0x55, b"V" * 60_000)),
    ]
    _again_and_again([lambda data=data: (raw.dial(target.plain, TURNED_FROM), data) for data in requests], stop)


# --- many of them ----------------------------------------------------------------------


def associate_and_abort(target: Target, stop: Stop) -> None:
    """A-ASSOCIATE and A-ABORT as fast as one can, by strangers and by an enrolled device."""
    linger = pack("ii", 1, 0)
    turn = 0
    while not stop.is_set():
        turn += 1
        calling, source = (TURNED, TURNED_FROM) if turn % 4 == 0 else ("STRANGER", MANY[turn % len(MANY)])
        with suppress(OSError), raw.dial(target.plain, source) as connection:
            # Without lingering: else the loopback's ports are all waiting after a minute.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(raw.associate(calling) + raw.ABORT)


def abort_and_release_everywhere(target: Target, stop: Stop) -> None:
    """A-ABORT, A-RELEASE and plain closing at every step of an association."""
    store = raw.pdata(3, raw.command(raw.STORE, raw.CT, has_data=True, instance="1.2.3"), command=True)
    get = raw.pdata(7, raw.command(raw.GET, raw.STUDY_GET, has_data=True), command=True)
    find = raw.pdata(5, raw.command(raw.FIND, raw.STUDY_FIND, has_data=True), command=True)
    steps = [
        b"",
        store[:3],
        store[:40],
        store,
        store + raw.pdata(3, bytes(5000), command=False, last=False),
        store + raw.pdata(3, bytes(5000), command=False),
        find,
        find + raw.pdata(5, raw.STUDY_LEVEL + raw.study_key(""), command=False),
        get + raw.pdata(7, raw.STUDY_LEVEL + raw.study_key(target.study), command=False),
        raw.RELEASE_RQ,
        raw.RELEASE_RP,
        raw.associate(TURNED),
    ]
    ends = [b"", raw.ABORT, raw.RELEASE_RQ, raw.RELEASE_RQ + raw.ABORT, raw.RELEASE_RQ + raw.RELEASE_RQ, raw.RELEASE_RP]
    attempts: list[Callable[[], tuple[socket.socket, bytes]]] = []
    for end in ends:
        attempts.append(_stranger(target, end or b"\0"))
        attempts.append(_stranger(target, raw.associate("STRANGER") + end))
        attempts.extend(_turned(target, step + end) for step in steps)
    _again_and_again(attempts, stop)


# --- not DICOM -------------------------------------------------------------------------


def garbage_in_tls(target: Target, stop: Stop) -> None:
    """TLS records full of noise, damaged ClientHellos, plain DICOM on the port for TLS, noise inside of TLS."""
    noise = random.Random(1)
    hello = raw.client_hello()
    damaged: list[bytes] = []
    for _ in range(40):
        one = bytearray(hello)
        for _ in range(noise.randrange(1, 8)):
            one[noise.randrange(5, len(one))] = noise.randrange(256)
        damaged.append(bytes(one))
    lies = [
        b"\x16\x03\x01\xff\xff" + noise.randbytes(70_000),
        b"\x16\x03\x01\x40\x00" + noise.randbytes(0x4000),
        b"\x15\x03\x03\x00\x02\x02\x28" * 1000,
        b"\x16\x03\x03\x00\x00" * 1000,
        b"\x80\x2e\x01\x00\x02" + bytes(60),
        raw.associate("STRANGER"),
        noise.randbytes(5000),
    ]
    attempts: list[Callable[[], tuple[socket.socket, bytes]]] = [
        lambda data=data: (raw.dial(target.tls, ONE[0]), data) for data in [*lies, *damaged]
    ]
    attempts.append(_turned_tls(target, noise.randbytes(5000)))
    _again_and_again(attempts, stop)


def http_on_the_dicom_port(target: Target, stop: Stop) -> None:
    """What scanners say to any port: HTTP, SSH, SMB, an empty line."""
    words = [
        b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
        b"POST /tools/execute-script HTTP/1.1\r\nContent-Length: 4294967295\r\n\r\n" + bytes(100_000),
        b"SSH-2.0-scanner\r\n",
        b"\xffSMB" + bytes(100),
        b"\r\n\r\n",
    ]
    _again_and_again(
        [lambda data=data, port=port: (raw.dial(port, ONE[0]), data) for data in words for port in
         (target.plain, target.tls)],
        stop,
    )  # fmt: skip


def mutated_captures(target: Target, stop: Stop) -> None:
    """Recorded conversations of DCMTK with bytes turned, cut out, doubled and exchanged."""
    chance = random.Random(2)
    recorded = [capture.replace(b"OLDSTATION      ", TURNED.ljust(16).encode()) for capture in captures().values()]

    def one() -> tuple[socket.socket, bytes]:
        return raw.dial(target.plain, TURNED_FROM), mutate(recorded, chance)

    _again_and_again([one] * 200, stop)


def mutate(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """Damage one of the conversations in a few places."""
    data = bytearray(chance.choice(recorded))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1"))
            case 2:
                del data[at : at + chance.randrange(1, 200)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 400)]
            case 4:
                data[at:at] = chance.choice(recorded)[: chance.randrange(1, 500)]
            case _:
                del data[at:]
    return bytes(data)


ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        silent_from_one_address,
        silent_from_many_addresses,
        half_tls_handshakes,
        half_client_hellos,
        half_requests,
        drip_association_requests,
        drip_tls,
        drip_data,
        slow_readers,
        lengths_of_four_gib,
        nested_and_overlapping_items,
        ten_thousand_contexts,
        giant_user_items,
        associate_and_abort,
        abort_and_release_everywhere,
        garbage_in_tls,
        http_on_the_dicom_port,
        mutated_captures,
    )
}


def main() -> None:
    """Run one attack in a process of its own until stdin is closed."""
    name, where = sys.argv[1:]
    told = json.loads(where)
    target = Target(int(told["tls"]), int(told["plain"]), Path(told["credentials"]), str(told["study"]))
    stop = threading.Event()

    def until_told() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=until_told, daemon=True).start()
    ATTACKS[name](target, stop)


if __name__ == "__main__":
    main()
