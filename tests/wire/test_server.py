"""The server with real sockets: what strangers may do to it, and that others do not notice."""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self

import pytest

from leadglass.wire.association import (
    Acceptance,
    AssociateRequest,
    Message,
    Peer,
    ProposedContext,
    Rejection,
    ServerAssociation,
)
from leadglass.wire.client import connect, propose
from leadglass.wire.command_set import encode as encode_command
from leadglass.wire.errors import AssociationAborted, AssociationRejected
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CEchoRq, CEchoRsp, Command, CStoreRq
from leadglass.wire.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    PDV,
    PData,
    ReleaseRP,
    ReleaseRQ,
    encode,
)
from tests.peers.dcmtk import Dcmtk
from tests.wire.harness import (
    CT,
    EXPLICIT,
    IMPLICIT,
    SHORT,
    VERIFICATION,
    Authority,
    Recorder,
    accept_everything,
    running,
    server_context,
    serving,
    swallow,
)

REQUEST = AssociateRequest(
    called_ae_title="LEADGLASS",
    calling_ae_title="STRANGER",
    contexts=(
        ProposedContext(1, VERIFICATION, (IMPLICIT,)),
        ProposedContext(3, CT, (EXPLICIT,)),
    ),
)
ABORTED_BY_PROVIDER = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02"


def message(command: Command, *, context: int = 1, has_data_set: bool = False) -> bytes:
    return encode(PData((PDV(context, True, True, encode_command(command, has_data_set=has_data_set)),)))


ECHO = message(CEchoRq(message_id=1, affected_sop_class_uid=VERIFICATION))
STORE = message(
    CStoreRq(message_id=2, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2.3"), context=3, has_data_set=True
)


class Raw:
    """A peer that may do anything."""

    def __init__(self, port: int, *, associate: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(10)
        if associate:
            self.socket.sendall(encode(REQUEST))
            assert self.pdu()[0] == 2

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def pdu(self) -> bytes:
        """Read one PDU; nothing when the server closed."""
        head = self.exactly(6)
        return head + self.exactly(struct.unpack(">BxI", head)[1]) if head else b""

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def rest(self) -> bytes:
        """Read until the server closes."""
        data = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                return data
            if not more:
                return data
            data += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


async def echo(port: int, limits: WireLimits | None = None, tls: ssl.SSLContext | None = None) -> int:
    contexts = propose((VERIFICATION, [IMPLICIT]))
    async with connect(
        "127.0.0.1", port, calling="CT1", called="LEADGLASS", contexts=contexts, limits=limits, tls=tls
    ) as association:
        answer = await association.call(1, CEchoRq(message_id=1, affected_sop_class_uid=VERIFICATION))
    assert isinstance(answer.command, CEchoRsp)
    return answer.command.status


# --- who is let in ------------------------------------------------------------


def test_a_refused_address_is_closed_before_a_byte_is_read() -> None:
    recorder = Recorder(refuse=lambda _: "globally routable")
    with serving(recorder) as served, Raw(served.port, associate=False) as peer:
        assert peer.rest() == b""
    assert recorder.requested == []
    assert recorder.failed == []


def test_a_rejection_reaches_the_peer_with_its_reason() -> None:
    recorder = Recorder(decide=lambda _peer, _request: CALLED_AE_TITLE_NOT_RECOGNIZED)
    with serving(recorder) as served, pytest.raises(AssociationRejected) as caught:
        running(echo(served.port))
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)
    assert "called AE title not recognized" in caught.value.message
    assert recorder.ends == []


def test_a_handler_that_fails_is_a_transient_rejection_and_the_server_lives_on() -> None:
    faulty = [True]

    def decide(_: Peer, request: AssociateRequest) -> Acceptance | Rejection:
        if faulty.pop() if faulty else False:
            raise KeyError("DOE^JANE")
        return accept_everything(request)

    recorder = Recorder(decide=decide)
    with serving(recorder, expected_fault="KeyError at test_server.py") as served:
        with pytest.raises(AssociationRejected) as caught:
            asyncio.run(echo(served.port))
        assert caught.value.result == 2
        assert asyncio.run(echo(served.port)) == 0


# --- violations -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS to a port for plain DICOM"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\xde\xad\xbe\xef" * 100, "not DICOM"),
        (b"\x01\x00\xff\xff\xff\xff", "longer than allowed"),
        (encode(ReleaseRQ()), "not expected"),
        (encode(REQUEST)[:-10] + b"\xff" * 10, "Item"),
    ],
    ids=["TLS", "HTTP", "garbage", "4 GiB request", "release first", "damaged request"],
)
def test_what_is_no_association_request_is_reported_with_its_reason(bytes_: bytes, reason: str) -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port, associate=False) as peer:
        peer.send(bytes_)
        assert peer.rest()[:1] in (b"\x07", b"")
        assert reason in recorder.reasons()[0]


@pytest.mark.parametrize(
    ("bytes_", "how"),
    [
        (struct.pack(">BxI", 4, 0xFFFFFFFF), "longer than allowed"),
        (encode(REQUEST), "not expected"),
        (message(CEchoRq(message_id=1, affected_sop_class_uid="1.2"), context=9), "not accepted"),
        (message(CEchoRsp(message_id_being_responded_to=5, status=0)), "no request of ours"),
        (encode(PData((PDV(1, False, True, b"xx"),))), "without its command"),
        (STORE + encode(ReleaseRQ()), "middle of a message"),
        (STORE + ECHO, "half-way"),
        (encode(PData((PDV(1, True, True, b"not a command set"),))), "not of group 0000"),
        (encode(ReleaseRP()), "not expected"),
        (b"\x99\x00\x00\x00\x00\x01\x00", "not DICOM"),
    ],
)
def test_a_violation_aborts_the_association_and_says_how(bytes_: bytes, how: str) -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        peer.send(bytes_)
        assert peer.rest()[:9] == ABORTED_BY_PROVIDER
        assert how in recorder.end()
        assert asyncio.run(echo(served.port)) == 0
    assert recorder.ends[0].startswith("protocol violation")


def test_requests_that_nobody_waits_for_are_limited() -> None:
    recorder = Recorder()
    many = b"".join(message(CEchoRq(message_id=n, affected_sop_class_uid=VERIFICATION)) for n in range(1, 40))
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        peer.send(many)
        peer.rest()
        assert "Too many requests" in recorder.end()


def test_a_session_that_fails_ends_its_association_and_names_the_line_without_the_value() -> None:
    async def fail(_: ServerAssociation, __: Message) -> None:
        raise ValueError("DOE^JANE")

    recorder = Recorder(answer=fail)
    with serving(recorder, SHORT, expected_fault="ValueError at test_server.py") as served, Raw(served.port) as peer:
        peer.send(ECHO)
        assert peer.rest()[0] == 7
        assert "ValueError at test_server.py" in recorder.end()
    assert "DOE" not in recorder.ends[0]


def test_a_session_learns_that_its_association_is_open_before_anything_is_asked() -> None:
    recorder = Recorder()
    with serving(recorder) as served, Raw(served.port):
        recorder.wait(lambda: len(recorder.begun_with) == 1)
        assert recorder.messages == []


def test_a_data_set_the_session_does_not_read_is_swallowed() -> None:
    async def answer_at_once(association: ServerAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CStoreRq | CEchoRq)
        await association.send(message.context.id, command.response(0xA700 if message.data else 0))

    recorder = Recorder(answer=answer_at_once)
    with serving(recorder) as served, Raw(served.port) as peer:
        data = b"".join(encode(PData((PDV(3, False, last, bytes(100_000)),))) for last in [False] * 40 + [True])
        peer.send(STORE + data + ECHO)
        assert peer.pdu()[0] == 4
        assert peer.pdu()[0] == 4
        peer.send(encode(ReleaseRQ()))
        assert peer.pdu() == encode(ReleaseRP())
    assert recorder.end() == "released"


# --- deadlines ------------------------------------------------------------------


def test_a_silent_connection_is_closed_after_a_while() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port, associate=False) as peer:
        assert peer.rest() == b""
        assert recorder.reasons() == ["nothing was sent within 0.6 seconds"]


def test_a_connection_that_is_closed_at_once_is_named_as_such() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served:
        Raw(served.port, associate=False).socket.close()
        assert recorder.reasons() == ["the peer closed the connection without sending anything"]


def test_a_request_that_comes_byte_by_byte_does_not_get_more_time() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port, associate=False) as peer:
        for byte in encode(REQUEST)[:100]:
            try:
                peer.send(bytes([byte]))
            except OSError:
                break
            time.sleep(0.02)
        assert "no association was asked for" in recorder.reasons()[0]


def test_an_idle_association_is_aborted() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        assert peer.rest()[0] == 7
        assert "nothing came for" in recorder.end()


def test_a_message_that_trickles_is_aborted() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        peer.send(STORE)
        try:
            for _ in range(200):
                peer.send(encode(PData((PDV(3, False, False, b"ab"),))))
                time.sleep(0.02)
        except OSError:
            pass
        assert "no progress" in recorder.end()


def test_a_peer_that_never_closes_after_the_release_is_closed() -> None:
    recorder = Recorder()
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        peer.send(encode(ReleaseRQ()))
        assert peer.pdu() == encode(ReleaseRP())
        assert peer.rest() == b""
    assert recorder.ends == ["released"]


def test_a_peer_that_stops_reading_is_aborted_and_costs_little_memory() -> None:
    sent = [0]

    async def talk(association: ServerAssociation, message: Message) -> None:
        async def endless() -> AsyncGenerator[bytes, None]:
            while True:
                sent[0] += 100_000
                yield bytes(100_000)

        await association.send(message.context.id, CEchoRsp(message_id_being_responded_to=1, status=0xFF00), endless())

    recorder = Recorder(answer=talk)
    with serving(recorder, SHORT) as served, Raw(served.port) as peer:
        peer.send(ECHO)
        assert "did not read" in recorder.end()
    assert sent[0] < 20_000_000


def test_a_slow_consumer_stops_the_peer() -> None:
    gate = asyncio.Event()
    held = [0]

    async def read_later(association: ServerAssociation, message: Message) -> None:
        await gate.wait()
        await swallow(association, message)

    async def scene(served_port: int, loop: asyncio.AbstractEventLoop) -> None:
        async def blocks() -> AsyncGenerator[bytes, None]:
            for number in range(400):
                held[0] = number
                if number == 399:
                    loop.call_soon_threadsafe(gate.set)
                yield bytes(100_000)

        async def open_gate() -> None:
            await asyncio.sleep(1.0)
            held.append(held[0])
            loop.call_soon_threadsafe(gate.set)

        contexts = propose((CT, [EXPLICIT]))
        async with connect("127.0.0.1", served_port, calling="A", called="B", contexts=contexts) as association:
            opening = asyncio.create_task(open_gate())
            request = CStoreRq(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2")
            await association.call(1, request, blocks())
            await opening

    recorder = Recorder(answer=read_later)
    # The waiting is ours, so the short progress window does not count against the peer.
    with serving(recorder, SHORT) as served:
        running(scene(served.port, served.loop))
    assert held[1] < 200, "the sender should have been stopped by what the kernel and one buffer hold"
    assert recorder.ends == ["released"]


# --- crowds -----------------------------------------------------------------------


def test_a_thousand_silent_connections_do_not_keep_a_caller_out(dcmtk: Dcmtk) -> None:
    recorder = Recorder()
    silent: list[socket.socket] = []
    try:
        with serving(recorder) as served:
            silent += [socket.create_connection(("127.0.0.1", served.port), 10) for _ in range(1000)]
            ran = dcmtk("echoscu", "-to", "5", "127.0.0.1", str(served.port))
            assert ran.code == 0, ran.said
            assert served.server.connections <= WireLimits().pending_per_address + 1
    finally:
        for each in silent:
            each.close()
    assert len([reason for _, reason in recorder.failed if "too many connections" in reason]) == 1


def test_half_done_handshakes_do_not_keep_a_caller_out(tmp_path: Path, dcmtk: Dcmtk) -> None:
    authority = Authority(tmp_path, "hospital")
    recorder = Recorder()
    half: list[socket.socket] = []
    device = authority.issue("device")
    try:
        with serving(recorder, tls=server_context(authority.issue("server"))) as served:
            for number in range(200):
                peer = socket.create_connection(("127.0.0.1", served.port), 10)
                peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[: 1 + number % 7])
                half.append(peer)
            ran = dcmtk(
                "echoscu", "-to", "5", "+tls", device.key, device.certificate, "+cf", device.authority,
                "127.0.0.1", str(served.port),
            )  # fmt: skip
            assert ran.code == 0, ran.said
    finally:
        for each in half:
            each.close()


def test_too_many_associations_are_rejected_as_transient() -> None:
    recorder = Recorder()
    limits = WireLimits(associations_per_address=2, linger=0.3)
    with serving(recorder, limits) as served, Raw(served.port), Raw(served.port):
        with pytest.raises(AssociationRejected) as caught:
            running(echo(served.port))
        assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
        assert recorder.reasons() == ["the limit of associations is reached"]
    assert len(recorder.requested) == 2


# --- the end ------------------------------------------------------------------------


def test_closing_waits_for_associations_and_then_aborts_them() -> None:
    recorder = Recorder()
    with serving(recorder, WireLimits(linger=0.3)) as served, Raw(served.port) as peer:
        peer.send(ECHO)
        assert peer.pdu()[0] == 4
        served.close(0.2)
        assert peer.rest()[0] == 7
    assert recorder.ends == ["the archive is shutting down"]


def test_closing_lets_an_association_finish_within_its_grace() -> None:
    recorder = Recorder()
    with serving(recorder) as served, Raw(served.port) as peer:
        closing = asyncio.run_coroutine_threadsafe(served.server.close(20), served.loop)
        peer.send(ECHO)
        assert peer.pdu()[0] == 4
        peer.send(encode(ReleaseRQ()))
        assert peer.pdu() == encode(ReleaseRP())
        peer.socket.close()
        closing.result(10)
    assert recorder.ends == ["released"]


def test_a_session_that_works_when_the_peer_is_gone_learns_it_from_what_it_awaits() -> None:
    told: list[str] = []

    async def work(association: ServerAssociation, message: Message) -> None:
        while not association.cancelled(1):  # noqa: ASYNC110 - as a session in the middle of its work asks
            await asyncio.sleep(0.01)
        try:
            await swallow(association, message)
        except AssociationAborted as aborted:
            told.append(aborted.message)
            raise

    recorder = Recorder(answer=work)
    with serving(recorder) as served:
        peer = Raw(served.port)
        peer.send(ECHO)
        recorder.wait(lambda: bool(recorder.messages))
        peer.socket.close()
        assert recorder.end() == "the peer closed the connection"
    assert told == ["The association is over: the peer closed the connection."]
