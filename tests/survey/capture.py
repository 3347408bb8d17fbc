"""Capture: every packet that leaves or reaches a machine, and what connections and associations they make up.

Rule: nothing here knows what the survey wants; all of it is read from packets.
"""

import socket
import struct
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address

from leadglass.wire.pdu import PDUType
from tests.survey.networks import Machine

_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP packet over IPv4; ``at`` in seconds of the kernel's clock."""

    at: float
    source: IPv4Address
    source_port: int
    target: IPv4Address
    target_port: int
    sequence: int
    flags: int
    payload: bytes


@dataclass
class Connection:
    """One TCP connection that this machine opened, or tried to."""

    target: IPv4Address
    port: int
    own_port: int
    began: float
    sequence: int
    packets: list[Packet] = field(default_factory=list[Packet])

    @property
    def is_made(self) -> bool:
        """Whether it was answered."""
        return any(each.source == self.target and each.flags & _SYN and each.flags & _ACK for each in self.packets)

    @property
    def ended(self) -> float | None:
        """When it ended for this machine: it said so, or was reset; None where it never did."""
        return next(
            (
                each.at
                for each in self.packets
                if each.flags & _RST or (each.flags & _FIN and each.target == self.target)
            ),
            None,
        )

    def _stream(self, *, own: bool) -> bytes:
        first: int | None = None
        parts: dict[int, bytes] = {}
        for each in self.packets:
            if (each.target == self.target) is not own:
                continue
            if each.flags & _SYN:
                first = each.sequence + 1
            elif each.payload and first is not None:
                at = (each.sequence - first) % (1 << 32)
                if len(each.payload) > len(parts.get(at, b"")):
                    parts[at] = each.payload
        out = bytearray()
        for at in sorted(parts):
            if at > len(out):
                break
            out[at:] = parts[at]
        return bytes(out)

    @cached_property
    def said(self) -> bytes:
        """What this machine said."""
        return self._stream(own=True)

    @cached_property
    def heard(self) -> bytes:
        """What it was answered."""
        return self._stream(own=False)

    @property
    def is_association(self) -> bool:
        """Whether an association was asked for and granted, in the clear (PS3.8 9.3)."""
        return self.said[:2] == b"\1\0" and self.heard[:1] == bytes((PDUType.ASSOCIATE_AC,))

    def begins(self, *words: bytes) -> list[float]:
        """Give when this machine said something that begins with one of some words."""
        return [each.at for each in self.packets if each.target == self.target and each.payload.startswith(words)]

    def pdus(self, *, own: bool) -> list[int]:
        """Give the kinds of its PDUs."""
        return list(_kinds(self.said if own else self.heard))


def _kinds(stream: bytes) -> Iterator[int]:
    at = 0
    while at + 6 <= len(stream):
        yield stream[at]
        at += 6 + int.from_bytes(stream[at + 2 : at + 6], "big")


class Capture:
    """What was captured on a machine."""

    def __init__(self, own: frozenset[IPv4Address]) -> None:
        self.own = own
        self.frames: list[tuple[float, bytes]] = []
        self.lost = 0

    @cached_property
    def packets(self) -> list[Packet]:
        """All TCP packets over IPv4."""
        return [packet for at, frame in self.frames if (packet := _packet(at, frame)) is not None]

    @cached_property
    def connections(self) -> list[Connection]:
        """All connections that this machine began, in that order."""
        found: list[Connection] = []
        by_ends: dict[tuple[IPv4Address, int, int], Connection] = {}
        for each in self.packets:
            out = each.source in self.own
            peer = each.target if out else each.source
            port, own_port = (each.target_port, each.source_port) if out else (each.source_port, each.target_port)
            key = (peer, port, own_port)
            known = by_ends.get(key)
            is_first = out and bool(each.flags & _SYN) and not each.flags & _ACK
            if is_first and (known is None or known.sequence != each.sequence):
                known = by_ends[key] = Connection(peer, port, own_port, each.at, each.sequence)
                found.append(known)
            if known is not None:
                known.packets.append(each)
        return found

    @property
    def targets(self) -> set[IPv4Address]:
        """Whom this machine sent anything by TCP."""
        return {each.target for each in self.packets if each.source in self.own}

    def datagrams(self) -> list[float]:
        """Give when this machine sent anything by UDP over IPv4: to ask for a name, for one."""
        own = {each.packed for each in self.own}
        return [
            at for at, frame in self.frames if frame[12:14] == b"\x08\0" and frame[23] == 17 and frame[26:30] in own
        ]


def _packet(at: float, frame: bytes) -> Packet | None:
    if frame[12:14] != b"\x08\0" or len(frame) < 54 or frame[23] != 6:
        return None
    start = 14 + 4 * (frame[14] & 15)
    end = 14 + int.from_bytes(frame[16:18], "big") if frame[16:18] != b"\0\0" else len(frame)
    source_port, target_port, sequence = struct.unpack_from("!HHI", frame, start)
    payload = frame[start + 4 * (frame[start + 12] >> 4) : end]
    return Packet(
        at,
        IPv4Address(frame[26:30]),
        source_port,
        IPv4Address(frame[30:34]),
        target_port,
        sequence,
        frame[start + 13],
        payload,
    )


@contextmanager
def capturing(machine: Machine, *also: str) -> Generator[Capture]:
    """Keep every packet at a machine's one interface inside the block.

    Parameters
    ----------
    machine : Machine
        Whose.
    also : str
        More addresses of its own.
    """
    made = Capture(frozenset(IPv4Address(each) for each in (machine.address, *also)))
    with machine.inside():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    ended = threading.Event()

    def take() -> None:
        while True:
            try:
                frame, said, _, _ = listener.recvmsg(70_000, 64)
            except TimeoutError:
                if ended.is_set():
                    return
                continue
            seconds, nanoseconds = next(
                struct.unpack("qq", data[:16]) for level, _, data in said if level == socket.SOL_SOCKET
            )
            made.frames.append((seconds + nanoseconds / 1e9, frame))

    with listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        listener.settimeout(0.2)
        listener.bind(("eth0", _ALL))
        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield made
        finally:
            ended.set()
            thread.join()
            _, made.lost = struct.unpack("II", listener.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
