"""The listening socket, where the system has no descriptor left."""

import asyncio
import os
import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager

from leadglass.wire.listener import Listener


@contextmanager
def no_descriptor_left() -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_whoever_comes_while_no_descriptor_is_left_is_taken_when_there_is_one() -> None:
    async def scene() -> None:
        taken = asyncio.Queue[socket.socket]()
        listener = await Listener.open("127.0.0.1", 0, 8, lambda connection, _, __: taken.put_nowait(connection))
        with socket.create_connection(listener.bound):
            with no_descriptor_left():
                await asyncio.sleep(0.05)
                assert taken.empty()
            connection = await asyncio.wait_for(taken.get(), 10)
            assert not connection.getblocking()
            connection.close()
        listener.close()

    asyncio.run(scene())


def test_one_that_is_closed_while_it_rests_stays_closed() -> None:
    async def scene() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        listener = await Listener.open("127.0.0.1", 0, 8, lambda connection, _, __: connection.close())
        with socket.create_connection(listener.bound), no_descriptor_left():
            await asyncio.sleep(0.05)
            listener.close()
            await asyncio.sleep(0.3)
        assert not faults

    asyncio.run(scene())
