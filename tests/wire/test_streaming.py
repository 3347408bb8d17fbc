"""Large data sets pass through; nothing in the path holds one."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from leadglass.wire.association import Message, ServerAssociation
from leadglass.wire.client import ClientAssociation, connect, propose
from leadglass.wire.errors import AssociationAborted
from leadglass.wire.limits import MIB
from leadglass.wire.messages import CGetRq, CStoreRq, CStoreRsp
from tests.wire.harness import (
    CT,
    EXPLICIT,
    IMPLICIT,
    STUDY_GET,
    Authority,
    Recorder,
    Role,
    client_context,
    running,
    server_context,
    serving,
)

SIZE = 300 * MIB
BLOCK = bytes(range(256)) * 1024
ROOM = 24 * MIB
"""bytes that both ends together may hold: buffers of the limits, twice, and what the interpreter does with them"""


async def large(digest: "hashlib._Hash") -> AsyncGenerator[bytes, None]:  # pyright: ignore[reportPrivateUsage]
    for _ in range(SIZE // len(BLOCK)):
        digest.update(BLOCK)
        yield BLOCK


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_an_instance_of_300_megabytes_needs_little_memory_on_either_side(tmp_path: Path, secured: bool) -> None:
    authority = Authority(tmp_path, "hospital")
    device = authority.issue("CT1")
    context = server_context(authority.issue("server")) if secured else None
    received, sent = hashlib.sha256(), hashlib.sha256()

    async def sink(association: ServerAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CStoreRq)
        assert message.data is not None
        async for block in message.data:
            received.update(block)
        await association.send(message.context.id, command.response(0))

    async def scene(port: int) -> int:
        tls = client_context(device, device.authority) if secured else None
        contexts = propose((CT, [EXPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts, tls=tls) as association:
            request = CStoreRq(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2")
            answer = await association.call(1, request, large(sent))
            assert isinstance(answer.command, CStoreRsp)
            assert answer.command.status == 0
        return tracemalloc.get_traced_memory()[1]

    with serving(Recorder(answer=sink), tls=context) as served:
        tracemalloc.start()
        try:
            peak = running(scene(served.port))
        finally:
            tracemalloc.stop()
    assert received.digest() == sent.digest()
    assert peak < ROOM, f"{peak / MIB:.1f} MiB"


def test_a_slow_consumer_on_the_other_end_bounds_our_memory_too() -> None:
    """A C-GET of a large instance to a client that reads slowly."""

    class Slow:
        def __init__(self) -> None:
            self.read = 0

        async def message(self, association: ClientAssociation, message: Message) -> None:
            command = message.command
            assert isinstance(command, CStoreRq)
            assert message.data is not None
            async for block in message.data:
                self.read += len(block)
                await asyncio.sleep(0.002)
            await association.send(message.context.id, command.response(0))

    async def give(association: ServerAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CGetRq)

        async def blocks() -> AsyncGenerator[bytes, None]:
            for _ in range(200):
                yield BLOCK

        (context,) = association.accepted(CT, "scu")
        request = CStoreRq(
            message_id=association.next_message_id(), affected_sop_class_uid=CT, affected_sop_instance_uid="1.2"
        )
        await association.call(context.id, request, blocks())
        await association.send(message.context.id, command.response(0))

    slow = Slow()

    async def scene(port: int) -> int:
        contexts = propose((CT, [EXPLICIT]), (STUDY_GET, [IMPLICIT]))
        roles = {CT: Role(scu=True, scp=True)}
        async with connect(
            "127.0.0.1", port, calling="A", called="B", contexts=contexts, roles=roles, session=slow
        ) as association:
            await association.call(3, CGetRq(message_id=1, affected_sop_class_uid=STUDY_GET), b"")
        return tracemalloc.get_traced_memory()[1]

    with serving(Recorder(answer=give)) as served:
        tracemalloc.start()
        try:
            peak = running(scene(served.port))
        finally:
            tracemalloc.stop()
    assert slow.read == 200 * len(BLOCK)
    assert peak < ROOM, f"{peak / MIB:.1f} MiB"


def test_a_data_set_that_stops_half_way_is_never_taken_for_a_whole_one() -> None:
    outcome: list[str] = []

    async def sink(association: ServerAssociation, message: Message) -> None:
        assert message.data is not None
        try:
            async for _ in message.data:
                pass
            outcome.append("complete")
        except AssociationAborted as aborted:
            outcome.append(aborted.message)
            raise

    async def scene(port: int) -> None:
        async def half() -> AsyncGenerator[bytes, None]:
            for _ in range(20):
                yield BLOCK
            raise KeyError

        async with connect("127.0.0.1", port, calling="A", called="B", contexts=propose((CT, [EXPLICIT]))) as it:
            await it.call(1, CStoreRq(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2"), half())

    recorder = Recorder(answer=sink)
    with serving(recorder) as served:
        with pytest.raises(KeyError):
            running(scene(served.port))
        recorder.end()
    assert outcome == ["The data set is incomplete: aborted by the peer."]
